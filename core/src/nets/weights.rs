//! Weights in host memory, and the safetensors files they come from and go to.
//!
//! A file holds the network's tensors under the names of its PyTorch original, in PyTorch's layouts
//! (convolutions O×I×H×W, the classifier's weight classes × features), so that PyTorch users read
//! what we write and we read what they have. f32, f16 and bf16 are read; f32 is written.
//! `num_batches_tracked` counters, which only training with a cumulative average needs, are ignored.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use burn::tensor::Device;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tempfile::NamedTempFile;
use vigie_protocol::model::Architecture;

use super::Network;

/// Reads a network whose file must be exactly its own: a checkpoint, a model version.
///
/// # Errors
/// As [`Weights::read`] and [`Network::from_weights`].
pub fn load(
    architecture: Architecture,
    path: &Path,
    classes: usize,
    dropout: f64,
    device: &Device,
) -> Result<Network, WeightsError> {
    Network::from_weights(architecture, &Weights::read(path)?, classes, dropout, device)
}

/// Reads a network's backbone, and its classifier if it is for as many classes; else the classifier
/// is a new one from the seed.
///
/// # Errors
/// As [`Weights::read`] and [`Network::from_backbone`].
pub fn load_backbone(
    architecture: Architecture,
    path: &Path,
    classes: usize,
    dropout: f64,
    seed: u64,
    device: &Device,
) -> Result<Network, WeightsError> {
    Network::from_backbone(architecture, Weights::read(path)?, classes, dropout, seed, device)
}

/// Writes a network durably: to a temporary name beside `path`, synced, renamed.
///
/// # Errors
/// When the file cannot be written.
pub fn save(network: &Network, path: &Path) -> Result<(), WeightsError> {
    let bytes = network.to_weights().to_bytes(network.architecture())?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| WeightsError::Io { path: path.display().to_string(), source })
}

/// Named f32 tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, HostTensor>,
}

/// One tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// Largest weights file that is read: ours have 5 million parameters, so this is generous.
pub const MAX_FILE_BYTES: u64 = 1 << 30;
/// Largest safetensors header that is parsed: a few hundred tensors take about 30 KiB.
pub const MAX_HEADER_BYTES: u64 = 1 << 20;

impl Weights {
    /// Reads a safetensors file.
    ///
    /// # Errors
    /// When it cannot be read, is too large, or is not safetensors of f32, f16 or bf16.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let io = |source| WeightsError::Io { path: path.display().to_string(), source };
        let mut bytes = Vec::new();
        File::open(path).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        Self::parse(&bytes)
    }

    /// Parses the bytes of a safetensors file.
    ///
    /// # Errors
    /// When they are too many, or not safetensors of f32, f16 or bf16.
    pub fn parse(bytes: &[u8]) -> Result<Self, WeightsError> {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(WeightsError::Format(format!("more than {MAX_FILE_BYTES} bytes")));
        }
        let header =
            bytes.first_chunk().ok_or_else(|| WeightsError::Format("shorter than 8 bytes".to_owned()))?;
        if u64::from_le_bytes(*header) > MAX_HEADER_BYTES {
            return Err(WeightsError::Format(format!("a header of more than {MAX_HEADER_BYTES} bytes")));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|e| WeightsError::Format(e.to_string()))?;
        let mut weights = Self::default();
        for (name, view) in file.iter() {
            if !is_counter(name) {
                weights.insert(name, view.shape().to_vec(), floats(name, &view)?);
            }
        }
        Ok(weights)
    }

    /// The bytes of a safetensors file of f32. Equal weights give equal bytes.
    ///
    /// # Errors
    /// When the format cannot hold them.
    pub fn to_bytes(&self, architecture: Architecture) -> Result<Vec<u8>, WeightsError> {
        let bytes: Vec<(&str, &[usize], Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                (name.as_str(), &*tensor.shape, tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect())
            })
            .collect();
        let format = |e: safetensors::SafeTensorError| WeightsError::Format(e.to_string());
        let views = bytes
            .iter()
            .map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), data)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(format)?;
        // A single entry: the format's map of metadata has no order, and the bytes are hashed.
        let metadata = HashMap::from([("architecture".to_owned(), architecture.as_str().to_owned())]);
        safetensors::serialize(views, Some(metadata)).map_err(format)
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&HostTensor> {
        self.tensors.get(name)
    }

    /// Adds or replaces a tensor.
    ///
    /// # Panics
    /// When the shape does not hold that many values.
    pub fn insert(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: shape {shape:?}");
        self.tensors.insert(name.to_owned(), HostTensor { shape, values });
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, name: &str) -> Option<HostTensor> {
        self.tensors.remove(name)
    }

    /// Every tensor by name, in the names' order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HostTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// Whether a tensor is a batch norm's counter of batches.
pub(super) fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// A tensor's values, widened to f32.
fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, WeightsError> {
    decode(view.dtype(), view.data()).ok_or_else(|| {
        WeightsError::Format(format!("{name} has type {:?}; f32, f16 and bf16 are read", view.dtype()))
    })
}

/// Little-endian numbers as f32; nothing for a type that is not read.
fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let (pairs, _) = bytes.as_chunks::<2>();
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => pairs.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => pairs.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        _ => return None,
    })
}

/// Why weights could not be read or do not fit.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be read or written.
    #[error("weights file {path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are not a file of weights that we read.
    #[error("not a weights file we can read: {0}")]
    Format(String),
    /// The tensors are not those of the network.
    #[error("not the weights of {architecture}: {detail}")]
    Mismatch {
        /// The network.
        architecture: Architecture,
        /// The first few tensors that are missing, unexpected or of another shape.
        detail: String,
    },
    /// This build cannot build the network.
    #[error("this build does not know the architecture {0}")]
    Architecture(Architecture),
}
