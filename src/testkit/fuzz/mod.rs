//! What the fuzz targets run on each input. `fuzz/` feeds them what libFuzzer makes up, the test
//! `corpus` what was kept of that.

mod bytes;
mod frame;
mod onnx;
mod roi;
mod seetaface;

pub use frame::frame;
pub use onnx::onnx;
pub use roi::roi;
pub use seetaface::seetaface;
