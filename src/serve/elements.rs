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

/// Whether a number lies in the range of a property; setting another one would panic.
pub(crate) fn is_in_range(spec: &glib::ParamSpec, value: &glib::Value) -> bool {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        return value.get::<u32>().is_ok_and(|n| (spec.minimum()..=spec.maximum()).contains(&n));
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
        return value.get::<i32>().is_ok_and(|n| (spec.minimum()..=spec.maximum()).contains(&n));
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecDouble>() {
        return value.get::<f64>().is_ok_and(|n| (spec.minimum()..=spec.maximum()).contains(&n));
    }
    true
}

/// Sets a property if the element has it and it can have that value.
pub(crate) fn set_if_there(element: &gst::Element, name: &str, text: &str) {
    let Some(spec) = element.find_property(name) else { return };
    if let Ok(value) = glib::Value::deserialize_with_pspec(text, &spec)
        && is_in_range(&spec, &value)
    {
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
