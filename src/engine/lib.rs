//! Real-time face super-resolution: finds small faces in video frames and makes each sharper.
//!
//! What happens to a frame:
//!
//! 1. [`frame`]: a borrowed view of the pixels, in any of twenty formats.
//! 2. [`detect`]: boxes of faces, every few frames.
//! 3. [`track`]: which box belongs to which face, and where each face is between detections.
//!    [`finder`] does 2 and 3; for live streams it detects on its own thread.
//! 4. [`enhance`]: crops each face to 16x16, runs the generator where the face has changed, and
//!    composites the 64x64 result into the frame. The generator is the Low-to-High network of
//!    Bulat, Yang and Tzimiropoulos, "To learn image super-resolution, use a GAN to learn how to
//!    do image degradation first" (ECCV 2018), run by ONNX Runtime on the CPU or a CUDA GPU.
//!
//! [`FaceEnhancer`] does all of it:
//!
//! ```
//! use facesr::{FaceEnhancer, FaceEnhancerOptions, FrameInfo, FrameMut, PixelFormat};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut enhancer = FaceEnhancer::open(&FaceEnhancerOptions::default())?;
//! let (width, height) = (64, 48);
//! let mut pixels = vec![90; 3 * width * height];
//!
//! let info = FrameInfo::new(PixelFormat::Rgb, width as u32, height as u32);
//! let mut frame = FrameMut::new(info, [pixels.as_mut_slice()], &[3 * width])?;
//! for face in enhancer.enhance(&mut frame, None)?.faces {
//!     println!("face {} at {:?}", face.id, face.rect);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it needs
//!
//! ONNX Runtime is loaded at run time, so nothing has to be there to build: [`inference::Runtime`]
//! says where it is looked for (`ORT_DYLIB_PATH` names the file). The generators are built in, **for
//! research and non-commercial use only**. So is a detector for faces from 40 pixels on; with
//! `centerface.onnx` in one of the model folders ([`inference::folders`]) smaller ones are found.
//!
//! A stream is one [`FaceEnhancer`], on any thread. With the features as they are, nothing here
//! needs a GPU; one with CUDA is used where it works ([`enhance::generator::Device`]).
//!
//! The programs in `examples/` enhance a picture, track faces through pictures, and use a detector
//! of their own. [`inference`] finds ONNX Runtime and the model files. Nothing here knows
//! GStreamer.

// Without the feature, what only the project's own crates use is out of reach.
#![cfg_attr(not(feature = "internals"), allow(dead_code, unreachable_pub, unused_imports))]

pub mod detect;
pub mod enhance;
pub mod error;
mod face;
mod face_enhancer;
pub mod finder;
pub mod frame;
pub mod geometry;
mod imgproc;
pub mod inference;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
pub mod search;
mod shape;
mod track;
mod util;

pub use enhance::generator::{Generator, GeneratorOptions};
pub use enhance::{Enhancer, EnhancerOptions};
pub use error::{Error, ModelError};
pub use face::{Detection, Face};
pub use face_enhancer::{FaceEnhancer, FaceEnhancerOptions};
pub use finder::{Finder, FinderOptions, Found};
pub use frame::{CudaFrame, Frame, FrameInfo, FrameMut, PixelFormat, Timestamp};
pub use geometry::{CropSquare, Rect};
pub use shape::Shape;

#[cfg(doctest)]
#[doc = include_str!("README.md")]
struct Readme;
