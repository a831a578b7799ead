//! What the plugin, the command, the trainer and the tests of this project use of the engine beside
//! its public face, behind the feature `internals`. Any version may change it.

pub use crate::detect::preprocess::InputBench;
pub use crate::imgproc::color::Color;
pub use crate::inference::loader::read as read_model;
pub use crate::inference::model_source::{built_in, built_in_fp32, has_byte_products};
pub use crate::inference::runtime::environment;
pub use crate::search::SearchResult;
pub use crate::track::Tracker;
pub use crate::util::cpu_time;
pub use crate::util::parallel::cores;
pub use facesr_onnx as onnx;

/// Between the enhancer and the device that does its work.
pub mod backend {
    pub use crate::enhance::backend::{
        Backend, BlendWeights, Crop, Crops, FaceLayer, FacePlan, MAX_LAYERS, MAX_RUNGS, RenderTimes,
    };
}

/// Cropping and blending in system memory.
pub mod cpu {
    pub use crate::enhance::cpu::{ColorMatch, Compositor, CpuBackend, FaceBatch};
}

/// The same on a GPU: its driver, kernels and generators.
pub mod cuda {
    pub use crate::enhance::cuda::{
        Arguments, BATCHES, BoundGenerator, Cuda, DevicePtr, Driver, GpuBackend, Grid, Kernel,
        MAX_FACES, Mark, OpenError, PTX, Place, RunFaces, TEST_DEVICE, context_of, driver_present,
        open, primary_context,
    };
    pub use crate::error::GpuError;
}
