//! Making GStreamer elements, and setting what not every version of them has.

use gst::glib;
use gst::prelude::*;

use crate::error::ServeError;

/// Makes an element that must exist.
///
/// # Errors
/// [`ServeError::MissingElement`] names the package to install.
pub(crate) fn make(name: &str) -> Result<gst::Element, ServeError> {
    gst::ElementFactory::make(name).build().map_err(|_| ServeError::MissingElement {
        element: name.into(),
        package: element_package(name),
    })
}

/// The Debian 12 package that holds an element which `facesr` or its server uses.
pub fn element_package(name: &str) -> &'static str {
    match name {
        "facesr" => "facesr",
        "filesrc" | "filesink" | "fdsrc" | "fdsink" | "fakesink" | "queue" | "multiqueue"
        | "capsfilter" | "identity" | "clocksync" => "libgstreamer1.0-0",
        "parsebin" | "decodebin" | "uridecodebin" | "urisourcebin" | "videoconvert"
        | "videoscale" | "videotestsrc" | "audioconvert" | "opusparse" | "vp8dec" => {
            "gstreamer1.0-plugins-base"
        }
        "textoverlay" | "ximagesink" | "xvimagesink" => "gstreamer1.0-x",
        "nicesrc" => "gstreamer1.0-nice",
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "openh264enc" | "x265enc" | "av1enc" | "svtav1enc" | "mpegtsmux" | "h264parse"
        | "h265parse" | "av1parse" | "webrtcbin" | "srtpenc" | "dtlssrtpenc" => {
            "gstreamer1.0-plugins-bad"
        }
        name if name.starts_with("nv") || name.starts_with("qsv") => "gstreamer1.0-plugins-bad",
        name if name.starts_with("vaapi") => "gstreamer1.0-vaapi",
        name if name.starts_with("va") => "gstreamer1.0-plugins-bad",
        name if name.starts_with("avdec_") => "gstreamer1.0-libav",
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
