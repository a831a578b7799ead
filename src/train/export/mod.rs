//! Export to ONNX: a small graph builder, the two generators, the check of the
//! result against libtorch, and the way back from an exported generator to a training.

pub mod graph;
pub mod model;
pub mod verify;
pub mod weights;
