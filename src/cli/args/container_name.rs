//! Containers as the command line names them, and what files in them are called.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::media::Container;

/// A container that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ContainerName {
    /// MP4.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska.
    Mkv,
    /// WebM.
    Webm,
    /// MPEG transport stream.
    Ts,
    /// The input's own if it can be written whatever the codecs, else Matroska, which holds nearly all
    /// sound as it is.
    Auto,
}

impl ContainerName {
    /// The container that a file's name tells.
    pub(crate) fn of(name: &Path) -> Option<Self> {
        let extension = name.extension().map(OsStr::to_ascii_lowercase);
        Some(match extension.as_ref().and_then(|e| e.to_str())? {
            "mp4" | "m4v" => Self::Mp4,
            "mkv" => Self::Mkv,
            "mov" | "qt" => Self::Mov,
            "webm" => Self::Webm,
            "ts" | "mts" | "m2t" => Self::Ts,
            _ => return None,
        })
    }

    /// The container that it stands for with an input of this name.
    pub(crate) fn resolve(self, input: &Path) -> Self {
        match self {
            // WebM takes VP8, VP9 and AV1 alone, which take long to encode.
            Self::Auto => Self::of(input).filter(|own| *own != Self::Webm).unwrap_or(Self::Mkv),
            named => named,
        }
    }

    /// What it names, with an input of this name.
    pub(crate) fn container(self, input: &Path) -> Container {
        match self.resolve(input) {
            Self::Mp4 => Container::Mp4,
            Self::Mov => Container::Mov,
            Self::Webm => Container::WebM,
            Self::Ts => Container::MpegTs,
            Self::Mkv | Self::Auto => Container::Matroska,
        }
    }

    /// Name of the output for an input of this name. Two names never give the same: only an extension
    /// that says what the output is stays as it is, others get one more.
    pub(crate) fn output_name(self, input: &Path) -> PathBuf {
        let wanted = self.resolve(input);
        if Self::of(input) == Some(wanted) {
            return input.to_path_buf();
        }
        let mut longer = OsString::from(input);
        longer.push(match wanted {
            Self::Mp4 => ".mp4",
            Self::Mov => ".mov",
            Self::Webm => ".webm",
            Self::Ts => ".ts",
            Self::Mkv | Self::Auto => ".mkv",
        });
        longer.into()
    }
}

#[cfg(test)]
mod tests {
    use super::ContainerName::{self, Auto, Mkv, Mp4};
    use super::*;

    #[test]
    fn outputs_are_told_apart() {
        let name = |container: ContainerName, input: &str| {
            container.output_name(Path::new(input)).display().to_string()
        };
        assert_eq!(name(Mp4, "a/b.mp4"), "a/b.mp4");
        assert_eq!(name(Mkv, "a/b.MKV"), "a/b.MKV");
        assert_eq!(name(Mp4, "b.avi"), "b.avi.mp4");
        assert_eq!(name(Mp4, "b.mkv"), "b.mkv.mp4");
        assert_eq!(name(Mkv, "b"), "b.mkv");
    }

    #[test]
    fn auto_keeps_what_can_be_written() {
        let name = |input: &str| Auto.output_name(Path::new(input)).display().to_string();
        assert_eq!(name("b.mov"), "b.mov");
        assert_eq!(name("b.m2t"), "b.m2t");
        assert_eq!(name("b.webm"), "b.webm.mkv");
        assert_eq!(name("b.avi"), "b.avi.mkv");
        assert_eq!(name("b"), "b.mkv");
    }
}
