//! GStreamer elements that find small faces in video and sharpen them.
//!
//! | element | what it does |
//! |---|---|
//! | [`facesrdetect`] | finds and tracks faces, describes them in buffer metadata |
//! | [`facesrenhance`] | sharpens the faces that the metadata name, in place |
//! | [`facesr`](mod@facesr) | both in one bin: what most pipelines need |
//!
//! As a shared library it is a plugin that GStreamer finds in its plugin path. A program that links
//! this crate calls [`plugin_register_static`] once after `gst::init`, and its pipelines know the
//! elements.
//!
//! All real work is done by the engine, crate `facesr`; here are caps, buffers, metadata,
//! properties and messages. Imports run one way: `facesr`, then the two filters, then `common`,
//! which holds what they share, then `frame_map`, `analytics`, `cuda_context`, and the engine.

mod analytics;
mod common;
mod cuda_context;
pub mod facesr;
pub mod facesrdetect;
pub mod facesrenhance;
mod frame_map;
mod plugin;

pub use common::face_meta::FaceReader;
pub use common::live::LiveMode;
pub use facesrdetect::Detector;
pub use facesrenhance::Device;
pub use frame_map::{FrameMapper, MapError};
pub use plugin::plugin_register_static;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
