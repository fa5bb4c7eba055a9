//! Weights from a foreign file: safetensors or PyTorch's own, chosen by the first byte.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;
use vigie_core::nets::weights::Weights;
use vigie_protocol::model::Architecture;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let read = if choice.is_multiple_of(2) {
        Weights::parse(bytes)
    } else {
        let mut file = NamedTempFile::new().expect("a temporary file");
        file.write_all(bytes).expect("written");
        Weights::read_pth(file.path())
    };
    let Ok(weights) = read else { return };
    for (name, tensor) in weights.iter() {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len(), "{name}");
    }
    let written = weights.to_bytes(Architecture::EfficientnetLite0).expect("what was read can be written");
    let again = Weights::parse(&written).expect("what was written is read");
    assert_eq!(again.iter().count(), weights.iter().count());
});
