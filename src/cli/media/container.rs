//! The containers that can be written, and which streams each can hold.

use std::path::Path;

use gst::glib;
use gst::prelude::*;

use super::elements::make;
use crate::term::Failure;

/// A container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    /// MP4.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska.
    Matroska,
    /// WebM.
    WebM,
    /// MPEG transport stream.
    MpegTs,
    /// One picture.
    Picture(PictureFormat),
}

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PictureFormat {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
}

impl Container {
    /// The container that a file's extension names.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        match extension.as_ref().and_then(|e| e.to_str()) {
            Some("mp4" | "m4v") => Ok(Self::Mp4),
            Some("mov" | "qt") => Ok(Self::Mov),
            Some("mkv") => Ok(Self::Matroska),
            Some("webm") => Ok(Self::WebM),
            Some("ts" | "mts" | "m2t") => Ok(Self::MpegTs),
            Some("png") => Ok(Self::Picture(PictureFormat::Png)),
            Some("jpg" | "jpeg") => Ok(Self::Picture(PictureFormat::Jpeg)),
            _ => Err(Failure::usage(format_args!(
                "cannot tell the format of {}: name the output something.mp4, .mov, .mkv, .webm or \
                 .ts, or give --container",
                path.display()
            ))),
        }
    }

    /// Its name in a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "MP4",
            Self::Mov => "QuickTime",
            Self::Matroska => "Matroska",
            Self::WebM => "WebM",
            Self::MpegTs => "an MPEG transport stream",
            Self::Picture(_) => "a picture",
        }
    }

    /// Whether its index is boxes, which are finished once the muxer has written them.
    pub(super) fn is_boxes(self) -> bool {
        matches!(self, Self::Mp4 | Self::Mov)
    }

    /// Whether it is made of Matroska's elements.
    pub(super) fn is_matroska(self) -> bool {
        matches!(self, Self::Matroska | Self::WebM)
    }

    /// Whether it says how the picture is to be turned.
    pub(super) fn tells_rotation(self) -> bool {
        self.is_boxes()
    }

    /// Whether it can be read while it is written, and needs no index.
    pub(crate) fn can_stream(self) -> bool {
        self.is_matroska() || self == Self::MpegTs
    }

    /// The muxer. The same streams give the same bytes. A stream is written front to back.
    pub(super) fn muxer(
        self,
        recorded_at: Option<glib::DateTime>,
        is_stream: bool,
    ) -> Result<gst::Element, Failure> {
        match self {
            Self::Mp4 => make("mp4mux"),
            Self::Mov => make("qtmux"),
            Self::MpegTs => {
                let mux = make("mpegtsmux")?;
                // Players that join a stream wait for these tables; in units of 1/90,000 s.
                mux.set_property("pat-interval", 9000u32);
                mux.set_property("pmt-interval", 9000u32);
                Ok(mux)
            }
            Self::Picture(_) => make("identity"),
            Self::Matroska | Self::WebM => {
                // It draws its track and segment ids from GLib's random numbers, and writes the
                // time of day unless it is given one.
                // SAFETY: sets the seed of GLib's own generator, which is locked inside.
                unsafe { glib::ffi::g_random_set_seed(1) };
                let mux = make(if self == Self::WebM { "webmmux" } else { "matroskamux" })?;
                let epoch = glib::DateTime::from_utc(2001, 1, 1, 0, 0, 0.0);
                let time = recorded_at.map_or(epoch, Ok).map_err(Failure::running)?;
                mux.set_property("creation-time", time);
                mux.set_property("writing-app", WRITING_APP);
                hold_templates(&mux);
                mux.set_property("streamable", is_stream);
                Ok(mux)
            }
        }
    }
}

/// What Matroska calls the program that wrote a file.
pub(super) const WRITING_APP: &str = concat!("facesr ", env!("FACESR_VERSION"));

/// What a stream is to a muxer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Moving pictures.
    Video,
    /// Sound.
    Audio,
    /// Text or pictures to show over the video.
    Subtitle,
}

impl Kind {
    /// The kind of a stream with these caps, if it is one that containers hold.
    pub(super) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let name = caps.structure(0)?.name();
        match name.split('/').next()? {
            "video" | "image" => Some(Self::Video),
            "audio" => Some(Self::Audio),
            "text" | "subtitle" | "subpicture" | "closedcaption" => Some(Self::Subtitle),
            _ if ["x-ssa", "x-ass", "x-usf", "x-subtitle"].iter().any(|s| name.contains(s)) => {
                Some(Self::Subtitle)
            }
            _ => None,
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Video => "video_%u",
            Self::Audio => "audio_%u",
            Self::Subtitle => "subtitle_%u",
        }
    }

    /// Its name in a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Subtitle => "subtitle",
        }
    }
}

/// The template of `mux` for streams of a kind; some have one for all.
fn template(mux: &gst::Element, kind: Kind) -> Option<gst::PadTemplate> {
    mux.pad_template(kind.template()).or_else(|| mux.pad_template("sink_%d"))
}

/// Keeps the templates of `mux` for as long as the program runs. One that takes the place of an
/// inherited one, as those of webmmux do, GStreamer leaves floating: whoever looks at it first owns
/// it and frees it, and the class is left with a dangling one.
fn hold_templates(mux: &gst::Element) {
    for kind in [Kind::Video, Kind::Audio, Kind::Subtitle] {
        std::mem::forget(mux.pad_template(kind.template()));
    }
}

/// Whether `mux` takes a stream of these caps as it is.
pub(super) fn takes(mux: &gst::Element, kind: Kind, caps: &gst::Caps) -> bool {
    template(mux, kind).is_some_and(|t| t.caps().can_intersect(caps))
}

/// A new input of `mux`.
pub(super) fn request(mux: &gst::Element, kind: Kind) -> Option<gst::Pad> {
    match template(mux, kind) {
        Some(template) => mux
            .request_pad(&template, None, None)
            .or_else(|| mux.request_pad_simple(kind.template())),
        // A picture has no muxer.
        None => mux.static_pad("sink").filter(|_| kind == Kind::Video),
    }
}
