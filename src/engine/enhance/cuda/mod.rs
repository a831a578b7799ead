//! NVIDIA GPUs: the canvas as CUDA kernels, the generator by ONNX Runtime's CUDA provider, on one
//! stream.
//!
//! [`backend`] is what a frame passes; [`tables`] and [`patches`] are its geometry, worked out on
//! the CPU; [`kernels`] are the launches, [`driver`] is what they are asked of, [`device`] is CUDA's
//! own; [`generator`] binds ONNX Runtime to the same memory.

mod backend;
mod device;
mod driver;
mod generator;
mod kernels;
mod patches;
mod tables;

pub use backend::GpuBackend;
pub use device::{Cuda, Mark, TEST_DEVICE, context_of, driver_present, primary_context};
pub use driver::Driver;
pub use generator::{BATCHES, BoundGenerator, MAX_FACES, Place, RunFaces};
pub use kernels::{Arguments, DevicePtr, Grid, Kernel, PTX};

use std::sync::Arc;

use crate::enhance::backend::Backend;
use crate::enhance::ladder::Ladder;
use crate::error::{GpuError, ModelError};
use crate::inference::model_source::{self, ModelSource};

/// Why a generator cannot run on a GPU.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The device.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The generator on it.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A backend on CUDA device `id`. `named` are the generators, or `None` for the best that ship: the
/// files in half precision as far as they lie in a model folder, else the built-in ones in single
/// precision. `on_cpu` are the same generators on the CPU, against which they are held.
///
/// # Errors
/// [`OpenError`] says what is missing.
pub fn open(
    id: u32,
    named: Option<Vec<ModelSource>>,
    on_cpu: &Ladder,
) -> Result<(Box<dyn Backend>, Vec<ModelSource>), OpenError> {
    let cuda = Cuda::open(id)?;
    let place = cuda.place();
    let mut sources = named.unwrap_or_else(model_source::gpu_generators);
    let cuda: Arc<dyn Driver> = Arc::new(cuda);
    let mut opened = Vec::new();
    for source in sources.drain(..) {
        // SAFETY: the stream is one of the device's primary context; the backend drops the
        // generators before the driver that owns the stream.
        opened.push((unsafe { BoundGenerator::open(&source, place) }?, source));
    }
    opened.sort_by_key(|(generator, _)| generator.shape());
    let mut generators: Vec<Box<dyn RunFaces>> = Vec::new();
    for (generator, source) in opened {
        generators.push(Box::new(generator));
        sources.push(source);
    }
    let mut backend = GpuBackend::new(cuda, generators)?;
    // What the runs of opening have failed at comes to light now, not in the first frame.
    backend.verify(on_cpu)?;
    Ok((Box::new(backend), sources))
}
