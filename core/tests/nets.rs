//! Networks and engines against PyTorch's answers (`fixtures/make_nets.py`).

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;
use vigie_core::infer::{self, Engine, EngineError, LoadSpec, WeightsFrom, golden};
use vigie_core::nets::weights::{self, Weights, WeightsError};
use vigie_core::nets::{self, Network};
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;

const LITE0: Architecture = Architecture::EfficientnetLite0;
const B0: Architecture = Architecture::EfficientnetB0;

#[test]
fn lite0_network_matches_pytorch() {
    network_matches(LITE0, &Weights::read(&lite0_file()).unwrap());
}

#[test]
fn b0_network_matches_torchvision() {
    network_matches(B0, &b0_weights());
}

#[test]
fn lite0_engine_matches_pytorch_and_the_network() {
    engine_matches(LITE0, &Weights::read(&lite0_file()).unwrap());
}

#[test]
fn b0_engine_matches_torchvision_and_the_network() {
    engine_matches(B0, &b0_weights());
}

#[test]
fn lite0_features_match_pytorch() {
    let file = lite0_file();
    let spec = nets::default_preprocess(LITE0, 224);
    let expected = floats(&answers(LITE0)["features"]["photo_cat"]);
    for device in ["cpu", "cpu-burn"] {
        let extractor = infer::features(LITE0, WeightsFrom::Path(&file), &spec, device).unwrap();
        assert_eq!(extractor.width(), 1280);
        assert_close(&extractor.features(&photo("photo_cat")).unwrap(), &expected, 1e-3, device);
    }
}

#[test]
fn a_batch_answers_as_its_images_do() {
    for (architecture, weights) in [(LITE0, Weights::read(&lite0_file()).unwrap()), (B0, b0_weights())] {
        let spec = nets::default_preprocess(architecture, 96);
        let engine = engine(architecture, &weights, &spec, "cpu");
        let cat = photo("photo_cat");
        // Nine different images: more than there are cores, and not a multiple of them.
        let images: Vec<Vec<u8>> = (0..9).map(|i| crop(&cat, 10 * i, 7 * i, 96)).collect();
        let together = engine.logits(&images.concat()).unwrap();
        for (image, found) in images.iter().zip(together.chunks_exact(1000)) {
            assert_close(&engine.logits(image).unwrap(), found, 1e-4, "one of a batch");
        }
        assert!(engine.logits(&[]).unwrap().is_empty());
        assert!(matches!(engine.logits(&[0; 100]), Err(EngineError::Input { got: 100, image: 27648 })));
    }
}

#[test]
fn engines_take_odd_sides() {
    // 33 → 17 → 9 → 5 → 3 → 2: every padding that a stride of 2 can need.
    for (architecture, weights) in [(LITE0, Weights::read(&lite0_file()).unwrap()), (B0, b0_weights())] {
        for side in [33, 97] {
            let spec = nets::default_preprocess(architecture, side as u32);
            let network = Network::from_weights(architecture, &weights, 1000, 0.0, &Device::flex()).unwrap();
            let pixels = crop(&photo("photo_coffee"), 40, 60, side);
            let expected = run(&network, &pixels, &spec);
            let found = engine(architecture, &weights, &spec, "cpu").logits(&pixels).unwrap();
            assert_close(&found, &expected, 1e-4, &format!("{architecture} at {side}"));
        }
    }
}

#[test]
fn saving_and_loading_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for architecture in Architecture::ALL {
        let network = Network::new(architecture, 7, 0.2, 42, &Device::flex().autodiff()).unwrap();
        weights::save(&network, &path).unwrap();
        let loaded = weights::load(architecture, &path, 7, 0.2, &Device::flex()).unwrap();
        assert!(network.to_weights() == loaded.to_weights());
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes == loaded.to_weights().to_bytes(architecture).unwrap(), "equal weights, equal bytes");
        let other = Network::new(architecture, 7, 0.2, 43, &Device::flex()).unwrap();
        assert!(other.to_weights() != loaded.to_weights(), "the seed decides");
    }
}

#[test]
fn a_backbone_is_taken_with_a_new_classifier() {
    let file = lite0_file();
    let load = |classes, seed| weights::load_backbone(LITE0, &file, classes, 0.2, seed, &Device::flex());
    let pretrained = Weights::read(&file).unwrap();
    let ten = load(10, 1).unwrap().to_weights();
    assert_eq!(ten.get("_fc.weight").unwrap().shape, [10, 1280]);
    assert_eq!(ten.get("_bn1.bias"), pretrained.get("_bn1.bias"));
    assert!(ten == load(10, 1).unwrap().to_weights(), "the seed decides alone");
    assert!(ten != load(10, 2).unwrap().to_weights());
    let same = load(1000, 1).unwrap().to_weights();
    assert_eq!(same.get("_fc.weight"), pretrained.get("_fc.weight"));
    let mut headless = pretrained;
    headless.remove("_fc.weight");
    headless.remove("_fc.bias");
    let made = Network::from_backbone(LITE0, headless, 10, 0.2, 1, &Device::flex()).unwrap();
    assert!(made.to_weights() == ten);
}

#[test]
fn wrong_weights_are_named() {
    let good = Weights::read(&lite0_file()).unwrap();
    let check = |edit: &dyn Fn(&mut Weights), said: &str| {
        let mut weights = good.clone();
        edit(&mut weights);
        let error = Network::from_weights(LITE0, &weights, 1000, 0.0, &Device::flex()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.to_string().len() < 1000);
    };
    check(&|w| _ = w.remove("_blocks.3._bn1.bias"), "missing: _blocks.3._bn1.bias");
    check(&|w| w.insert("more", vec![1], vec![0.0]), "unexpected: more");
    check(&|w| w.insert("_fc.bias", vec![2], vec![0.0; 2]), "_fc.bias is [2] and should be [1000]");
    check(&|w| w.insert("_bn1.bias", vec![1280], vec![f32::NAN; 1280]), "not finite");
    check(&|w| w.insert("_bn1.running_var", vec![1280], vec![-1.0; 1280]), "negative variance");
    check(&|w| *w = Weights::default(), "and 242 more");
    let error = Network::from_weights(B0, &good, 1000, 0.0, &Device::flex()).unwrap_err();
    assert!(matches!(error, WeightsError::Mismatch { .. }));
}

#[test]
fn hostile_files_are_refused() {
    let good = std::fs::read(lite0_file()).unwrap();
    let huge = [&(1u64 << 40).to_le_bytes()[..], &good[8..]].concat();
    for bytes in [&[][..], &[1, 2, 3], &huge, &good[..good.len() / 2], &good[..100]] {
        assert!(matches!(Weights::parse(bytes), Err(WeightsError::Format(_))));
    }
}

#[test]
fn pytorch_checkpoints_are_read_in_both_formats() {
    let folder = fixtures().join("pth");
    let expected = json(&folder.join("permuted.json"));
    for name in ["permuted-zip.pth", "permuted-legacy.pth"] {
        let weights = Weights::read_pth(&folder.join(name)).unwrap();
        assert_eq!(weights.iter().count(), 3, "{name}");
        for (tensor, found) in weights.iter() {
            let expected = &expected[tensor];
            let shape: Vec<usize> = serde_json::from_value(expected["shape"].clone()).unwrap();
            assert_eq!(found.shape, shape, "{name} {tensor}");
            assert_close(&found.values, &floats(&expected["values"]), 1e-6, tensor);
        }
    }
    assert!(Weights::read_pth(&fixtures().join("photo_cat.png")).is_err());
}

#[test]
fn another_preprocess_is_refused() {
    let file = lite0_file();
    let trained = nets::default_preprocess(LITE0, 224);
    let asked = PreprocessSpec { std: [255.0; 3], ..trained.clone() };
    let spec = LoadSpec {
        architecture: LITE0,
        classes: 1000,
        preprocess: &asked,
        preprocess_hash: trained.hash(),
        weights: WeightsFrom::Path(&file),
        device: "cpu",
    };
    assert!(matches!(infer::load(&spec), Err(EngineError::Preprocess { .. })));
    let spec = LoadSpec { preprocess: &trained, classes: 10, ..spec };
    assert!(matches!(infer::load(&spec), Err(EngineError::Weights(_))));
}

fn network_matches(architecture: Architecture, weights: &Weights) {
    let network = Network::from_weights(architecture, weights, 1000, 0.2, &Device::flex()).unwrap();
    for (name, side, pixels, expected) in cases(architecture) {
        let found = run(&network, &pixels, &nets::default_preprocess(architecture, side));
        assert_close(&found, &expected, 1e-3, &name);
    }
}

fn engine_matches(architecture: Architecture, weights: &Weights) {
    let network = Network::from_weights(architecture, weights, 1000, 0.2, &Device::flex()).unwrap();
    for (name, side, pixels, expected) in cases(architecture) {
        let spec = nets::default_preprocess(architecture, side);
        let golden = [(pixels.clone(), expected)];
        let unfolded = run(&network, &pixels, &spec);
        for device in ["cpu", "cpu-burn"] {
            let engine = engine(architecture, weights, &spec, device);
            assert_eq!(engine.classes(), 1000);
            let verdict = golden::check(&*engine, &golden, 1e-3).unwrap();
            assert!(verdict.passed, "{architecture} {name} {device}: {verdict:?}");
            assert_close(&engine.logits(&pixels).unwrap(), &unfolded, 1e-4, &format!("{name} {device}"));
        }
    }
}

fn engine(
    architecture: Architecture,
    weights: &Weights,
    spec: &PreprocessSpec,
    device: &str,
) -> Arc<dyn Engine> {
    let bytes = weights.to_bytes(architecture).unwrap();
    infer::load(&LoadSpec {
        architecture,
        classes: 1000,
        preprocess: spec,
        preprocess_hash: spec.hash(),
        weights: WeightsFrom::Bytes(&bytes),
        device,
    })
    .unwrap()
}

/// What a burn network says of one image.
fn run(network: &Network, pixels: &[u8], spec: &PreprocessSpec) -> Vec<f32> {
    let side = spec.crop as usize;
    let normalised = |(i, p): (usize, &u8)| (f32::from(*p) - spec.mean[i % 3]) / spec.std[i % 3];
    let values: Vec<f32> = pixels.iter().enumerate().map(normalised).collect();
    let images = Tensor::<4>::from_data(TensorData::new(values, [1, side, side, 3]), &Device::flex());
    network.forward(images.permute([0, 3, 1, 2])).into_data().try_into_vec().unwrap()
}

/// Name, side, pixels and PyTorch's logits of every image of a network's fixtures.
fn cases(architecture: Architecture) -> Vec<(String, u32, Vec<u8>, Vec<f32>)> {
    let answers = answers(architecture);
    let logits = answers["logits"].as_object().unwrap();
    let mut cases: Vec<_> =
        logits.iter().map(|(name, values)| (name.clone(), 224, photo(name), floats(values))).collect();
    let small = crop(&photo("photo_cat"), 56, 56, 112);
    cases.push(("centre_112".to_owned(), 112, small, floats(&answers["centre_112"]["logits"])));
    cases
}

/// Weights from the formula that the fixture writes down, held against the fixture's checks.
fn b0_weights() -> Weights {
    let plan = nets::plan(B0).unwrap();
    let mut weights = Weights::default();
    for (name, shape) in plan.backbone_tensors().into_iter().chain(plan.classifier_tensors(1000)) {
        let values = formula(&name, &shape);
        weights.insert(&name, shape, values);
    }
    for check in answers(B0)["checks"].as_array().unwrap() {
        let name = check["name"].as_str().unwrap();
        let found = weights.get(name).unwrap();
        assert_eq!(found.shape, serde_json::from_value::<Vec<usize>>(check["shape"].clone()).unwrap());
        assert_close(&found.values[..4], &floats(&check["first"]), 1e-7, name);
    }
    weights
}

fn formula(name: &str, shape: &[usize]) -> Vec<f32> {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let uniform = |index: usize| {
        let mut z = hash.wrapping_add(index as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * 2f64.powi(-53)
    };
    let gain = match *shape {
        [_, _] => 0.5,
        _ if name.ends_with("fc1.weight") || name.ends_with("fc2.weight") => 0.3,
        [_, 1, height, _] if height > 1 => 1.5,
        _ => 1.15,
    };
    let fan_in: usize = shape[1..].iter().product();
    let value = |u: f64| {
        let s = 2.0 * u - 1.0;
        if name.ends_with("running_var") {
            1.0 + 0.5 * u
        } else if name.ends_with("running_mean") || name.ends_with("bias") {
            0.1 * s
        } else if shape.len() == 1 {
            1.0 + 0.2 * s
        } else {
            gain * (6.0 / fan_in as f64).sqrt() * s
        }
    };
    (0..shape.iter().product()).map(|index| value(uniform(index)) as f32).collect()
}

fn photo(name: &str) -> Vec<u8> {
    image::open(fixtures().join(format!("{name}.png"))).unwrap().to_rgb8().into_raw()
}

/// A square of a 224×224 photo.
fn crop(pixels: &[u8], x: usize, y: usize, side: usize) -> Vec<u8> {
    (y..y + side).flat_map(|row| &pixels[(row * 224 + x) * 3..][..side * 3]).copied().collect()
}

fn answers(architecture: Architecture) -> Value {
    let name = if architecture == LITE0 { "lite0_logits.json" } else { "b0_logits.json" };
    json(&fixtures().join(name))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nets")
}

fn lite0_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/weights/efficientnet-lite0.safetensors")
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{what}: {worst} from what is expected");
}
