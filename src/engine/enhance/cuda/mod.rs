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

pub use crate::error::GpuError;
pub use backend::GpuBackend;
pub use device::{Cuda, Mark, TEST_DEVICE, context_of, driver_present, primary_context};
pub use driver::Driver;
pub use generator::{BATCHES, BoundGenerator, MOST_FACES, Place, RunFaces};
pub use kernels::{Arguments, DevicePtr, Grid, Kernel, PTX};

use std::sync::Arc;

use crate::enhance::backend::Backend;
use crate::error::ModelError;
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

/// A backend on CUDA device `id`. `model` is the generator, or `None` for the best that ships: the
/// file in half precision if it lies in a model folder, else the built-in one in single precision.
///
/// # Errors
/// [`OpenError`] says what is missing.
pub fn open(
    id: u32,
    model: Option<ModelSource>,
) -> Result<(Box<dyn Backend>, ModelSource), OpenError> {
    let cuda = Cuda::open(id)?;
    let place = cuda.place();
    let source = model.unwrap_or_else(model_source::gpu_generator);
    let cuda: Arc<dyn Driver> = Arc::new(cuda);
    // SAFETY: the stream is one of the device's primary context; the backend drops the generator
    // before the driver that owns the stream.
    let generator = unsafe { BoundGenerator::open(&source, place) }?;
    let backend = GpuBackend::new(cuda.clone(), Box::new(generator))?;
    // What the runs of opening have failed at comes to light now, not in the first frame.
    cuda.synchronize()?;
    Ok((Box::new(backend), source))
}
