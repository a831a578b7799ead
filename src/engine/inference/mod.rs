//! Models and ONNX Runtime: which file, whether it is safe to open, and the sessions that run it.

pub(crate) mod arena;
pub mod loader;
pub mod model_source;
pub mod runtime;
pub(crate) mod session_pool;

pub use facesr_onnx as onnx;
pub use model_source::ModelSource;
pub use runtime::Runtime;
