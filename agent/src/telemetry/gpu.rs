//! GPUs through NVML, which is loaded when the driver is there: a machine without one has no GPUs
//! and no error.

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use vigie_protocol::health::GpuStats;

pub(super) enum GpuProbe {
    Nvml(Box<Nvml>),
    /// No driver on this machine.
    Absent,
    /// A driver that does not start.
    Faulty(String),
}

impl GpuProbe {
    pub(super) fn open() -> Self {
        match Nvml::init() {
            Ok(nvml) => Self::Nvml(Box::new(nvml)),
            Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound) => Self::Absent,
            Err(error) => Self::Faulty(error.to_string()),
        }
    }

    pub(super) fn sample(&self) -> Result<Vec<GpuStats>, String> {
        match self {
            Self::Nvml(nvml) => read(nvml).map_err(|error| error.to_string()),
            Self::Absent => Ok(Vec::new()),
            Self::Faulty(reason) => Err(reason.clone()),
        }
    }
}

fn read(nvml: &Nvml) -> Result<Vec<GpuStats>, NvmlError> {
    (0..nvml.device_count()?)
        .map(|index| {
            let device = nvml.device_by_index(index)?;
            let memory = device.memory_info()?;
            Ok(GpuStats {
                index,
                name: device.name()?,
                busy: device.utilization_rates()?.gpu as f32 / 100.0,
                memory_total: memory.total,
                memory_used: memory.used,
                // Passively cooled and virtual devices lack these sensors.
                temperature: device.temperature(TemperatureSensor::Gpu).unwrap_or(0),
                power: device.power_usage().map_or(0.0, |milliwatts| milliwatts as f32 / 1_000.0),
            })
        })
        .collect()
}
