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
    /// Matroska.
    Matroska,
}

impl Container {
    /// The container that a file's extension names.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        match extension.as_ref().and_then(|e| e.to_str()) {
            Some("mp4" | "m4v") => Ok(Self::Mp4),
            Some("mkv") => Ok(Self::Matroska),
            _ => Err(Failure::usage(format_args!(
                "cannot tell the format of {}: name the output something.mp4 or something.mkv",
                path.display()
            ))),
        }
    }

    /// Its name in a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "MP4",
            Self::Matroska => "Matroska",
        }
    }

    /// The muxer. The same streams give the same bytes.
    pub(super) fn muxer(
        self,
        recorded_at: Option<glib::DateTime>,
    ) -> Result<gst::Element, Failure> {
        match self {
            Self::Mp4 => make("mp4mux"),
            Self::Matroska => {
                // It draws its track and segment ids from GLib's random numbers, and writes the
                // time of day unless it is given one.
                // SAFETY: sets the seed of GLib's own generator, which is locked inside.
                unsafe { glib::ffi::g_random_set_seed(1) };
                let mux = make("matroskamux")?;
                let epoch = glib::DateTime::from_utc(2001, 1, 1, 0, 0, 0.0);
                let time = recorded_at.map_or(epoch, Ok).map_err(Failure::running)?;
                mux.set_property("creation-time", time);
                mux.set_property("writing-app", concat!("facesr ", env!("FACESR_VERSION")));
                Ok(mux)
            }
        }
    }
}

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

/// Whether `mux` takes a stream of these caps as it is.
pub(super) fn takes(mux: &gst::Element, kind: Kind, caps: &gst::Caps) -> bool {
    mux.pad_template(kind.template()).is_some_and(|t| t.caps().can_intersect(caps))
}

/// A new input of `mux`.
pub(super) fn request(mux: &gst::Element, kind: Kind) -> Option<gst::Pad> {
    mux.request_pad(&mux.pad_template(kind.template())?, None, None)
}
