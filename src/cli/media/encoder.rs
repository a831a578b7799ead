//! The video encoder: x264, or OpenH264 where that is missing; VP9 for WebM; any other by name.

use facesr::internals::cores;
use facesr_serve::element_package;
use gst::prelude::*;

use super::container::{Container, PictureFormat};
use super::elements::{have, make};
use crate::term::Failure;

/// What is wished of the encoder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncoderOptions<'a> {
    /// Quality: x264's CRF, 0 (lossless) to 50.
    pub(crate) crf: u32,
    /// x264's name of an effort.
    pub(crate) preset: &'static str,
    /// One of [`encoder_names`]; the best for the container if there is none.
    pub(crate) name: Option<&'a str>,
    /// Where its pictures go.
    pub(crate) container: Container,
    /// Whether somebody waits for each frame.
    pub(crate) is_stream: bool,
}

/// Encoder elements, linked one after the other, whose output a muxer takes.
pub(crate) struct Encoder {
    /// The elements in order.
    pub(super) chain: Vec<gst::Element>,
    /// Said once if the wished encoder is missing.
    pub(super) note: Option<&'static str>,
    /// Name of the element that encodes.
    pub(crate) name: String,
}

/// What an encoder writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    H264,
    H265,
    Av1,
    Vp8,
    Vp9,
}

/// An encoder by its name on the command line.
struct Known {
    name: &'static str,
    element: &'static str,
    codec: Codec,
}

const fn known(name: &'static str, element: &'static str, codec: Codec) -> Known {
    Known { name, element, codec }
}

const KNOWN: [Known; 18] = [
    known("x264", "x264enc", Codec::H264),
    known("openh264", "openh264enc", Codec::H264),
    known("x265", "x265enc", Codec::H265),
    known("vp8", "vp8enc", Codec::Vp8),
    known("vp9", "vp9enc", Codec::Vp9),
    known("av1", "av1enc", Codec::Av1),
    known("svtav1", "svtav1enc", Codec::Av1),
    // Hardware: NVIDIA, Intel and AMD by VA-API, Intel by Quick Sync, boards by V4L2.
    known("nvh264", "nvh264enc", Codec::H264),
    known("nvh265", "nvh265enc", Codec::H265),
    known("nvav1", "nvav1enc", Codec::Av1),
    known("vah264", "vah264enc", Codec::H264),
    known("vah265", "vah265enc", Codec::H265),
    known("vaav1", "vaav1enc", Codec::Av1),
    known("vaapih264", "vaapih264enc", Codec::H264),
    known("qsvh264", "qsvh264enc", Codec::H264),
    known("qsvh265", "qsvh265enc", Codec::H265),
    known("v4l2h264", "v4l2h264enc", Codec::H264),
    known("v4l2h265", "v4l2h265enc", Codec::H265),
];

/// Names that [`encoder`] knows, whether they are installed or not.
pub(crate) fn encoder_names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.name)
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Av1 => "AV1",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
        }
    }

    /// Whether `container` holds it, as GStreamer's muxers write it.
    fn fits(self, container: Container) -> bool {
        match container {
            Container::Matroska => true,
            Container::WebM => matches!(self, Self::Vp8 | Self::Vp9 | Self::Av1),
            Container::Mp4 => matches!(self, Self::H264 | Self::H265 | Self::Av1),
            Container::Mov | Container::MpegTs => matches!(self, Self::H264 | Self::H265),
            Container::Picture(_) => false,
        }
    }

    fn parser(self) -> Option<&'static str> {
        match self {
            Self::H264 => Some("h264parse"),
            Self::H265 => Some("h265parse"),
            Self::Av1 => Some("av1parse"),
            Self::Vp8 | Self::Vp9 => None,
        }
    }
}

/// Makes the encoder.
///
/// # Errors
/// A [`Failure`] if it is not installed, or writes what the container does not hold.
pub(crate) fn encoder(options: &EncoderOptions<'_>) -> Result<Encoder, Failure> {
    if let Container::Picture(format) = options.container {
        return picture(format);
    }
    let (wished, note) = wished(options)?;
    if !wished.codec.fits(options.container) {
        let fitting = KNOWN.iter().filter(|known| known.codec.fits(options.container));
        let names: Vec<_> = fitting.map(|known| known.name).collect();
        return Err(Failure::usage(format_args!(
            "{} does not hold {}; --encoder can be {}",
            options.container.name(),
            wished.codec.name(),
            names.join(", ")
        )));
    }
    let element = make(wished.element)?;
    set_up(&element, wished, options);
    let mut chain = vec![element];
    // x264's element writes what any muxer takes.
    if wished.element != "x264enc"
        && let Some(parser) = wished.codec.parser()
    {
        chain.push(make(parser)?);
    }
    Ok(Encoder { chain, note, name: wished.element.into() })
}

fn wished(options: &EncoderOptions<'_>) -> Result<(&'static Known, Option<&'static str>), Failure> {
    let named = |name: &str| KNOWN.iter().find(|known| known.name == name);
    if let Some(name) = options.name.filter(|name| *name != "auto") {
        let known = named(name)
            .ok_or_else(|| Failure::usage(format_args!("there is no encoder {name}")))?;
        return match have(known.element) {
            true => Ok((known, None)),
            false => Err(Failure::running(format_args!(
                "the encoder {name} is not here: GStreamer has no element {} (package {}, or a \
                 driver that is missing)",
                known.element,
                element_package(known.element)
            ))),
        };
    }
    let candidates = match options.container {
        Container::WebM => ["vp9", "vp8"],
        _ => ["x264", "openh264"],
    };
    let here = |name: &&str| named(name).filter(|known| have(known.element));
    let found = candidates.iter().find_map(here).ok_or_else(|| {
        Failure::running(match options.container {
            Container::WebM => {
                "no encoder for WebM is installed; install the package gstreamer1.0-plugins-good \
                 (VP9)"
            }
            _ => {
                "no H.264 encoder is installed; install the package gstreamer1.0-plugins-ugly \
                 (x264)"
            }
        })
    })?;
    let note = (found.name == "openh264").then_some(
        "x264 is missing (package gstreamer1.0-plugins-ugly); OpenH264 encodes instead, with less \
         quality for the size",
    );
    Ok((found, note))
}

fn picture(format: PictureFormat) -> Result<Encoder, Failure> {
    let name = match format {
        PictureFormat::Png => "pngenc",
        PictureFormat::Jpeg => "jpegenc",
    };
    let encoder = make(name)?;
    if format == PictureFormat::Jpeg {
        encoder.set_property("quality", 95i32);
    }
    let chain = vec![make("videoconvert")?, encoder];
    Ok(Encoder { chain, note: None, name: name.into() })
}

/// Sets a property if the element has one of this name that takes this value: those of hardware
/// differ from version to version.
fn set(element: &gst::Element, name: &str, value: &str) {
    let Some(property) = element.find_property(name) else { return };
    if let Ok(value) = gst::glib::Value::deserialize_with_pspec(value, &property) {
        element.set_property_from_value(name, &value);
    }
}

/// Frames from one that can be decoded alone to the next, in a stream that players join.
const STREAM_KEY_FRAMES: u32 = 50;

fn set_up(element: &gst::Element, known: &Known, options: &EncoderOptions<'_>) {
    let crf = options.crf.to_string();
    let speed = speed(options.preset).to_string();
    let threads = cores().min(64).to_string();
    // VPx and AV1 count their quantizers to 63.
    let level = (options.crf * 63 / 51).to_string();
    let settings: &[(&str, &str)] = match known.name {
        "x264" => &[
            ("speed-preset", options.preset),
            ("pass", "qual"),
            ("quantizer", &crf),
            // The element caps even constant quality at `bitrate` unless its rate buffer is off,
            // and keeps quantizers below 10 from being used.
            ("vbv-buf-capacity", "0"),
            ("qp-min", "0"),
            // Left alone, the element switches these off whatever the preset says.
            ("bframes", if options.preset == "ultrafast" || options.is_stream { "0" } else { "3" }),
            ("dct8x8", if options.preset == "ultrafast" { "false" } else { "true" }),
        ],
        "openh264" => &[
            // It has no constant quality; a fixed range of quantizers comes close.
            ("rate-control", "off"),
            ("qp-min", &crf),
            ("qp-max", &crf),
            ("complexity", "high"),
        ],
        "x265" => &[
            ("speed-preset", options.preset),
            ("option-string", &format!("crf={crf}:log-level=none")),
            ("log-level", "none"),
        ],
        "vp8" | "vp9" => &[
            ("end-usage", "cq"),
            ("cq-level", &level),
            ("target-bitrate", "2000000000"),
            ("deadline", "1"),
            // What it holds back to look ahead would be missing at the end of WebM.
            ("lag-in-frames", "0"),
            ("cpu-used", &speed),
            ("row-mt", "true"),
            ("threads", &threads),
            ("timebase", "1/90000"),
        ],
        "av1" => &[
            ("min-quantizer", &level),
            ("max-quantizer", &level),
            ("end-usage", "vbr"),
            ("target-bitrate", "1000000"),
            ("cpu-used", &speed),
            ("threads", &threads),
        ],
        "svtav1" => &[("crf", &level), ("preset", &speed)],
        _ => &[
            // NVIDIA's, VA-API's, Quick Sync's.
            ("rc-mode", "constqp"),
            ("rate-control", "cqp"),
            ("qp-const", &crf),
            ("qp", &crf),
            ("qpi", &crf),
            ("qpp", &crf),
            ("qpb", &crf),
            ("qp-i", &crf),
            ("qp-p", &crf),
            ("qp-b", &crf),
        ],
    };
    for (name, value) in settings {
        set(element, name, value);
    }
    if options.is_stream {
        let far = STREAM_KEY_FRAMES.to_string();
        for name in ["key-int-max", "gop-size", "keyframe-max-dist"] {
            set(element, name, &far);
        }
        set(element, "tune", "zerolatency");
        set(element, "lag-in-frames", "0");
    }
}

/// How quick the encoders that count their efforts are to be, 0 to 8.
fn speed(preset: &str) -> u32 {
    match preset {
        "ultrafast" | "superfast" => 8,
        "veryfast" | "faster" => 7,
        "fast" => 6,
        "medium" => 5,
        "slow" => 3,
        _ => 1,
    }
}

/// Pixels of a frame from which an encoder looks less far ahead: those of full HD.
const LARGE: u64 = 1920 * 1088;
/// Frames that x264 looks ahead in pictures of that size at most.
const LOOK_AHEAD: u64 = 16;
/// Frames of that size that x264 works on at once at most.
const AT_ONCE: u64 = 16;

impl Encoder {
    /// Whether it encodes frames of this format.
    pub(super) fn takes(&self, format: gst_video::VideoFormat) -> bool {
        let frames = gst_video::VideoCapsBuilder::new().format(format).build();
        let sink = self.chain.first().and_then(|element| element.static_pad("sink"));
        sink.is_some_and(|sink| sink.pad_template_caps().can_intersect(&frames))
    }

    /// Whether what it writes is H.264.
    pub(super) fn writes_h264(&self) -> bool {
        KNOWN.iter().any(|known| known.element == self.name && known.codec == Codec::H264)
    }

    /// Keeps the memory for frames of this size within bounds: every frame that is looked ahead at
    /// is kept twice. Samples of 10 bits take twice the memory.
    pub(super) fn fit(&self, width: u32, height: u32, has_ten_bits: bool) {
        let pixels = (u64::from(width) * u64::from(height)) << u32::from(has_ten_bits);
        if pixels <= LARGE {
            return;
        }
        let frames = (LOOK_AHEAD * LARGE / pixels).max(4).to_string();
        let most = (AT_ONCE * LARGE / pixels).max(2);
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        for element in self.chain.iter().filter(|_| self.name == "x264enc") {
            set(element, "rc-lookahead", &frames);
            // A thread of its own for looking ahead has a queue of its own.
            set(element, "sync-lookahead", "0");
            // It would take half as many again as there are cores.
            if cores * 3 / 2 > most {
                set(element, "threads", &most.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_are_refused_where_the_container_cannot_hold_them() {
        let _ = gst::init();
        let ask = |name, container| {
            let options =
                EncoderOptions { crf: 18, preset: "fast", name, container, is_stream: false };
            encoder(&options).map(|encoder| encoder.name).map_err(|failure| failure.message)
        };
        assert_eq!(ask(None, Container::Mp4).unwrap(), "x264enc");
        assert_eq!(ask(None, Container::WebM).unwrap(), "vp9enc");
        assert_eq!(ask(Some("vp8"), Container::Matroska).unwrap(), "vp8enc");
        let refused = ask(Some("x264"), Container::WebM).unwrap_err();
        assert!(refused.contains("WebM does not hold H.264") && refused.contains("vp9"));
        assert!(ask(Some("nosuch"), Container::Mp4).is_err());
    }
}
