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

use gst::glib;

pub mod detect;
pub mod enhance;
mod errors;
mod faces;
pub mod facesrbin;
mod lock;
mod logger;
mod settings;
mod stream;
mod video;

pub use detect::Detector;
pub use enhance::Device;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    logger::install();
    detect::register(plugin)?;
    enhance::register(plugin)?;
    facesrbin::register(plugin)?;
    Ok(())
}

gst::plugin_define!(
    facesr,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    // GStreamer refuses licences it does not know: this is its word for the first of our two.
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_REPOSITORY"),
    env!("BUILD_REL_DATE")
);
