//! GStreamer elements that find small faces in video and sharpen them.
//!
//! | element | what it does |
//! |---|---|
//! | [`facesrdetect`](detect) | finds and tracks faces, describes them in buffer metadata |
//! | [`facesrenhance`](enhance) | sharpens the faces that the metadata name, in place |
//! | [`facesr`](facesrbin) | both in one bin: what most pipelines need |
//!
//! All real work is done by the engine, crate `facesr`; here are caps, buffers, metadata,
//! properties and messages.

mod cuda;
pub mod detect;
pub mod enhance;
mod errors;
mod faces;
pub mod facesrbin;
mod lock;
mod plugin;
mod settings;
mod stream;
mod video;

pub use detect::Detector;
pub use enhance::Device;
pub use faces::Reader as FaceReader;
pub use plugin::plugin_register_static;
pub use settings::LiveUse;
pub use video::{MapError, Video};
