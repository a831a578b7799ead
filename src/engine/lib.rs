//! The engine of facesr: a frame comes in, every small face in it leaves sharper.
//!
//! The way of a frame, each step a module:
//!
//! 1. [`frame`]: a borrowed view of the pixels, any of fifteen formats.
//! 2. [`detect`]: boxes of faces, every few frames.
//! 3. [`track`]: which box is which face, and where it is between detections.
//!    [`finder`] is 2 and 3 together; for live streams it detects on a thread of its own.
//! 4. [`canvas`]: cuts each face to 16x16, and blends the 64x64 result back.
//! 5. [`generator`]: 16x16 to 64x64, the Low-to-High network of Bulat, Yang and Tzimiropoulos,
//!    "To learn image super-resolution, use a GAN to learn how to do image degradation first"
//!    (ECCV 2018), run by ONNX Runtime. [`enhancer`] is 4 and 5 together, on a [`backend`].
//!
//! [`cuda`] does 4 and 5 on an NVIDIA GPU. [`runtime`] finds ONNX Runtime, [`models`] the weights.
//! Nothing here knows GStreamer.

pub mod detect;
pub mod enhance;
pub mod error;
pub mod face;
pub mod finder;
pub mod frame;
pub mod geometry;
mod imgproc;
pub mod inference;
pub mod search;
pub mod track;
pub mod util;

pub use enhance::generator::{Generator, GeneratorOptions};
pub use enhance::{Enhancer, EnhancerOptions};
pub use error::{Error, ModelError};
pub use face::{Detection, Face};
pub use finder::{Finder, FinderOptions};
pub use frame::{CudaFrame, Frame, FrameInfo, FrameMut, PixelFormat};
pub use geometry::{CropSquare, Rect};
