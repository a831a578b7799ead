//! Models and ONNX Runtime: which file, whether it is safe to open, and the sessions that run it.

pub(crate) mod arena;
pub(crate) mod loader;
pub(crate) mod model_source;
pub(crate) mod runtime;
pub(crate) mod session_pool;

pub use model_source::{
    FOLDER_VARIABLE, ModelSource, default_generator, default_generators, find, folders,
};
pub use runtime::{LIBRARY_VARIABLE, OLDEST_VERSION, Runtime};
