//! What the fuzz targets run on each input. `fuzz/` feeds them what libFuzzer makes up, the test
//! `corpus` what was kept of that. The target `roi` needs the plugin, whose own tests are built with this
//! crate: it lies with the test `corpus`.

mod bytes;
mod frame;
mod onnx;
mod seetaface;

pub use bytes::Bytes;
pub use frame::frame;
pub use onnx::onnx;
pub use seetaface::seetaface;
