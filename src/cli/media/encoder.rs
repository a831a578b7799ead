//! The video encoder: H.264 by x264, or by OpenH264 where x264 is missing.

use super::elements::{have, make};
use crate::term::Failure;

/// What is wished of the encoder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncoderOptions {
    /// Quality: x264's CRF, 0 (lossless) to 50.
    pub(crate) crf: u32,
    /// x264's name of an effort.
    pub(crate) preset: &'static str,
}

/// Encoder elements, linked one after the other, whose output a muxer takes.
pub(crate) struct Encoder {
    /// The elements in order.
    pub(super) chain: Vec<gst::Element>,
    /// Said once if the wished encoder is missing.
    pub(super) note: Option<&'static str>,
}

/// Makes the encoder.
pub(crate) fn encoder(options: &EncoderOptions) -> Result<Encoder, Failure> {
    if have("x264enc") {
        return x264(options).map(|x264| Encoder { chain: vec![x264], note: None });
    }
    if !have("openh264enc") {
        return Err(Failure::running(
            "no H.264 encoder is installed; install the package gstreamer1.0-plugins-ugly (x264)",
        ));
    }
    let chain = vec![open_h264(options)?, make("h264parse")?];
    let note = "x264 is missing (package gstreamer1.0-plugins-ugly); OpenH264 encodes instead, \
                with less quality for the size";
    Ok(Encoder { chain, note: Some(note) })
}

fn x264(options: &EncoderOptions) -> Result<gst::Element, Failure> {
    use gst::prelude::*;
    let x264 = make("x264enc")?;
    x264.set_property_from_str("speed-preset", options.preset);
    x264.set_property_from_str("pass", "qual");
    x264.set_property("quantizer", options.crf);
    // The element caps even constant quality at `bitrate` unless its rate buffer is off, and
    // keeps quantizers below 10 from being used.
    x264.set_property("vbv-buf-capacity", 0u32);
    x264.set_property("qp-min", 0u32);
    // Left alone, the element switches these off whatever the preset says.
    x264.set_property("bframes", if options.preset == "ultrafast" { 0u32 } else { 3 });
    x264.set_property("dct8x8", options.preset != "ultrafast");
    Ok(x264)
}

fn open_h264(options: &EncoderOptions) -> Result<gst::Element, Failure> {
    use gst::prelude::*;
    let encoder = make("openh264enc")?;
    // It has no constant quality; a fixed range of quantizers comes close.
    encoder.set_property_from_str("rate-control", "off");
    encoder.set_property("qp-min", options.crf.min(51));
    encoder.set_property("qp-max", options.crf.min(51));
    encoder.set_property_from_str("complexity", "high");
    Ok(encoder)
}
