//! The plugin as GStreamer loads it.
#![allow(missing_docs, reason = "what the macro defines has no documentation")]

use gst::glib;

use crate::{facesr, facesrdetect, facesrenhance};

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    facesrdetect::register(plugin)?;
    facesrenhance::register(plugin)?;
    facesr::register(plugin)?;
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
