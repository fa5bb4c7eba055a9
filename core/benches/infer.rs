//! Our own CPU engine beside burn's: EfficientNet-Lite0 and B0, one image and eight, at 224² and
//! 112². `cargo bench -p vigie-core --bench infer`; the ratio of `burn` to `cpu` is the point.

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigie_core::infer::{self, LoadSpec, WeightsFrom};
use vigie_core::nets::Network;
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;

fn engines(criterion: &mut Criterion) {
    for architecture in Architecture::ALL {
        // Weights from a seed: time does not depend on them.
        let network = Network::new(architecture, 10, 0.0, 1, &Device::flex()).expect("a known network");
        let weights = network.to_weights().to_bytes(architecture).expect("weights of f32");
        for side in [224, 112] {
            let preprocess = PreprocessSpec::for_network(architecture, side);
            for batch in [1, 8] {
                let mut group = criterion.benchmark_group(format!("{architecture}/{side}/b{batch}"));
                group.throughput(Throughput::Elements(batch as u64));
                group.sample_size(10).warm_up_time(Duration::from_millis(500));
                group.measurement_time(Duration::from_secs(2));
                let pixels: Vec<u8> = (0..batch * preprocess.crop as usize * preprocess.crop as usize * 3)
                    .map(|i| (i * 31 % 251) as u8)
                    .collect();
                for (name, device) in [("cpu", "cpu"), ("burn", "cpu-burn")] {
                    let engine = infer::load(&LoadSpec {
                        architecture,
                        classes: 10,
                        preprocess: &preprocess,
                        preprocess_hash: preprocess.hash(),
                        weights: WeightsFrom::Bytes(&weights),
                        device,
                    })
                    .expect("the network loads");
                    group.bench_function(name, |bencher| {
                        bencher.iter(|| engine.logits(black_box(&pixels)).expect("whole images"));
                    });
                }
            }
        }
    }
}

criterion_group!(benches, engines);
criterion_main!(benches);
