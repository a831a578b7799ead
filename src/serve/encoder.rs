//! The H.264 encoder: the machine's own, or x264. Always without delay: no picture waits for the next.

use gst::prelude::*;

use crate::elements::{make, set_if_there};
use crate::error::ServeError;

/// Encoders that are known, those in hardware first.
pub(crate) const KNOWN: [&str; 6] =
    ["vah264enc", "vah264lpenc", "nvh264enc", "v4l2h264enc", "x264enc", "openh264enc"];

/// Quality of pictures that need less than all of the bits: x264's CRF.
const QUANTIZER: &str = "21";
/// Pictures of more pixels get x264's quickest preset and two threads.
const LARGE: u32 = 1280 * 720;

/// What is wished of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EncoderSettings {
    /// The element; `None` for the first that works.
    pub(crate) name: Option<String>,
    /// Kilobits a second at most.
    pub(crate) bitrate: u32,
    /// Frames between two key frames.
    pub(crate) key_interval: u32,
}

/// Makes an encoder for pictures of `width` x `height`.
///
/// # Errors
/// None is installed, or the one that was asked for is not.
pub(crate) fn make_encoder(
    settings: &EncoderSettings,
    (width, height): (u32, u32),
) -> Result<gst::Element, ServeError> {
    if let Some(name) = &settings.name {
        let encoder = make(name)?;
        configure(&encoder, name, settings, width * height > LARGE);
        return Ok(encoder);
    }
    for name in KNOWN {
        let Ok(encoder) = make(name) else { continue };
        configure(&encoder, name, settings, width * height > LARGE);
        // A driver that is there without its device is found out here.
        let works = encoder.set_state(gst::State::Ready).is_ok();
        let _ = encoder.set_state(gst::State::Null);
        if works {
            return Ok(encoder);
        }
    }
    Err(ServeError::NoEncoder)
}

fn configure(encoder: &gst::Element, name: &str, settings: &EncoderSettings, is_large: bool) {
    let (kilobits, frames) = (settings.bitrate.to_string(), settings.key_interval.to_string());
    let bits = (settings.bitrate * 1000).to_string();
    let controls = format!(
        "controls,video_bitrate={bits},video_gop_size={frames},h264_i_frame_period={frames}"
    );
    let list: &[(&str, &str)] = match name {
        "x264enc" => &[
            ("tune", "zerolatency"),
            ("speed-preset", if is_large { "ultrafast" } else { "superfast" }),
            ("pass", "qual"),
            ("quantizer", QUANTIZER),
            ("bitrate", &kilobits),
            ("key-int-max", &frames),
            ("threads", if is_large { "2" } else { "1" }),
            ("byte-stream", "true"),
        ],
        "openh264enc" => &[
            ("usage-type", "camera"),
            ("complexity", "low"),
            ("rate-control", "bitrate"),
            ("bitrate", &bits),
            ("max-bitrate", &bits),
            ("gop-size", &frames),
        ],
        "nvh264enc" => &[
            ("zerolatency", "true"),
            ("preset", "low-latency-hq"),
            ("bitrate", &kilobits),
            ("gop-size", &frames),
            ("bframes", "0"),
        ],
        "v4l2h264enc" => &[("extra-controls", &controls)],
        _ => &[
            ("bitrate", &kilobits),
            ("key-int-max", &frames),
            ("b-frames", "0"),
            ("target-usage", "6"),
        ],
    };
    for (property, value) in list {
        set_if_there(encoder, property, value);
    }
}
