//! The choice of a device by name. burn's default device is never used: it goes by what was compiled
//! in, not by what is there.

use burn::tensor::Device;

use super::EngineError;

/// The device of this name: `cpu`, `cuda` (the first GPU) or `cuda:N`. `cpu-burn` is the CPU as well;
/// engines on it go through burn and not through our own kernels, which is slower and good for
/// comparison.
///
/// The driver is asked before any tensor exists, for a tensor on a GPU that is not there ends the
/// process. The number of CPU threads is that of rayon's global pool.
///
/// # Errors
/// When the name is none of these, this build has no CUDA support, or there is no such GPU.
pub fn pick(name: &str) -> Result<Device, EngineError> {
    let refuse = |detail: String| EngineError::NoDevice { device: name.to_owned(), detail };
    let index = match name.split_once(':') {
        None if name == "cpu" || name == "cpu-burn" => return Ok(Device::flex()),
        None if name == "cuda" => 0,
        Some(("cuda", index)) => {
            index.parse().map_err(|_| refuse("what follows cuda: must be a number".to_owned()))?
        }
        _ => return Err(refuse("devices are cpu, cuda and cuda:N".to_owned())),
    };
    cuda(index).map_err(refuse)
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, String> {
    use burn::tensor::DeviceType;
    match Device::enumerate(DeviceType::Cuda).len() {
        0 => Err("no NVIDIA driver or GPU was found".to_owned()),
        count if index < count => Ok(Device::cuda(index)),
        count => Err(format!("there are {count} GPUs, counted from 0")),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device, String> {
    Err("this build has no CUDA support; build with --features cuda".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_answered_or_explained() {
        assert!(pick("cpu").is_ok());
        for (name, said) in [("", "devices are"), ("gpu", "devices are"), ("cuda:x", "a number")] {
            let error = pick(name).expect_err(name).to_string();
            assert!(error.contains(said), "{error}");
        }
        #[cfg(not(feature = "cuda"))]
        assert!(pick("cuda:0").expect_err("cuda").to_string().contains("--features cuda"));
    }
}
