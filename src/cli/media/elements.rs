//! Making GStreamer elements, and which Debian package holds one that is missing.

use facesr_serve::element_package;
use gst::prelude::*;

use crate::term::Failure;

/// Starts GStreamer with the elements of facesr. What its libraries complain of goes to its debug
/// log, not to the terminal.
pub(crate) fn start_gstreamer() -> Result<(), Failure> {
    // It can be set only once.
    static LOG: std::sync::Once = std::sync::Once::new();
    LOG.call_once(|| {
        gst::glib::log_set_writer_func(|level, fields| {
            let text = fields.iter().find(|field| field.key() == "MESSAGE");
            let text = text.and_then(|field| field.value_str()).unwrap_or_default();
            gst::warning!(gst::CAT_RUST, "{level:?}: {text}");
            gst::glib::LogWriterOutput::Handled
        });
    });
    gst::init().map_err(|e| Failure::running(format_args!("GStreamer does not start: {e}")))?;
    gstfacesr::plugin_register_static().map_err(Failure::running)
}

/// Makes an element that must exist.
///
/// # Errors
/// A [`Failure`] that names the package to install.
pub(crate) fn make(name: &str) -> Result<gst::Element, Failure> {
    gst::ElementFactory::make(name).build().map_err(|_| {
        Failure::running(format_args!(
            "GStreamer's element '{name}' is missing; install the package {}",
            element_package(name)
        ))
    })
}

/// Whether an element can be made.
pub(crate) fn have(name: &str) -> bool {
    gst::ElementFactory::find(name).is_some()
}

/// The Debian packages that can decode a stream, from what a missing-plugin message says of it
/// (its caps, or an element's name).
pub(super) fn decoder_package(detail: &str) -> &'static str {
    const KNOWN: [(&str, &str); 9] = [
        ("video/x-vp8", "gstreamer1.0-plugins-good"),
        ("video/x-vp9", "gstreamer1.0-plugins-good"),
        ("video/x-av1", "gstreamer1.0-plugins-bad"),
        ("video/x-theora", "gstreamer1.0-plugins-base"),
        ("image/jpeg", "gstreamer1.0-plugins-good"),
        ("image/png", "gstreamer1.0-plugins-good"),
        ("application/x-", "gstreamer1.0-plugins-bad"),
        ("video/quicktime", "gstreamer1.0-plugins-good"),
        ("video/mpegts", "gstreamer1.0-plugins-bad"),
    ];
    KNOWN
        .iter()
        .find(|(caps, _)| detail.contains(caps))
        .map_or("gstreamer1.0-libav", |(_, package)| package)
}

/// The parser that brings a compressed stream into the form that containers want, where one form
/// is not the other (an ADTS stream in an MP4, say).
pub(super) fn parser_for(caps: &gst::CapsRef) -> Option<&'static str> {
    let s = caps.structure(0)?;
    Some(match s.name().as_str() {
        "audio/mpeg" if s.get::<i32>("mpegversion").is_ok_and(|v| v == 1) => "mpegaudioparse",
        "audio/mpeg" => "aacparse",
        "audio/x-ac3" | "audio/x-eac3" => "ac3parse",
        "audio/x-opus" => "opusparse",
        "audio/x-flac" => "flacparse",
        "video/x-h264" => "h264parse",
        "video/x-h265" => "h265parse",
        "video/x-av1" => "av1parse",
        "video/x-vp9" => "vp9parse",
        _ => return None,
    })
}

/// Adds elements to a pipeline, links them in order and brings them to the pipeline's state.
pub(crate) fn add_chain(
    pipeline: &gst::Pipeline,
    chain: &[&gst::Element],
) -> Result<(), gst::glib::BoolError> {
    pipeline.add_many(chain.iter().copied())?;
    gst::Element::link_many(chain.iter().copied())?;
    // From the sink on, so that nothing arrives at an element that is not ready for it.
    chain.iter().rev().try_for_each(|element| element.sync_state_with_parent())
}

/// Pads of a filter of our own that takes frames of one format and gives those of another.
pub(super) fn pad_templates(
    sink: gst_video::VideoFormat,
    src: gst_video::VideoFormat,
) -> Vec<gst::PadTemplate> {
    [("sink", gst::PadDirection::Sink, sink), ("src", gst::PadDirection::Src, src)]
        .into_iter()
        .filter_map(|(name, direction, format)| {
            let caps = gst_video::VideoCapsBuilder::new().format(format).build();
            gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
        })
        .collect()
}
