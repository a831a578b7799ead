//! Making GStreamer elements, and setting what not every version of them has.

use gst::glib;
use gst::prelude::*;

use crate::error::ServeError;

/// Makes an element that must exist.
///
/// # Errors
/// [`ServeError::MissingElement`] names the package to install.
pub(crate) fn make(name: &str) -> Result<gst::Element, ServeError> {
    gst::ElementFactory::make(name)
        .build()
        .map_err(|_| ServeError::MissingElement { element: name.into(), package: package(name) })
}

/// The Debian package that holds an element.
fn package(name: &str) -> &'static str {
    match name {
        "capsfilter" | "queue" | "identity" => "libgstreamer1.0-0",
        "decodebin" | "uridecodebin" | "videoconvert" | "videoscale" | "textoverlay"
        | "videotestsrc" => "gstreamer1.0-plugins-base",
        "clocksync" => "libgstreamer1.0-0",
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "facesr" => "facesr",
        "h264parse" | "openh264enc" => "gstreamer1.0-plugins-bad",
        _ => "gstreamer1.0-plugins-good",
    }
}

/// Sets a property if the element has it and it can have that value.
pub(crate) fn set_if_there(element: &gst::Element, name: &str, text: &str) {
    let Some(spec) = element.find_property(name) else { return };
    if let Ok(value) = glib::Value::deserialize_with_pspec(text, &spec) {
        element.set_property_from_value(name, &value);
    }
}

/// Adds elements to `bin` and links them in order.
pub(crate) fn chain(
    bin: &impl IsA<gst::Bin>,
    elements: &[gst::Element],
) -> Result<(), glib::BoolError> {
    bin.add_many(elements)?;
    gst::Element::link_many(elements)
}
