//! The readers, and as much of the command as they use.
#![allow(dead_code, unused_imports, reason = "the readers only")]

#[path = "../../../src/cli/media/asf.rs"]
mod asf;
#[path = "../../../src/cli/media/avi.rs"]
mod avi;
#[path = "../../../src/cli/media/flv.rs"]
mod flv;
#[path = "../../../src/cli/media/format.rs"]
mod format;
#[path = "../../../src/cli/media/matroska/mod.rs"]
mod matroska;
#[path = "../../../src/cli/media/mp4/mod.rs"]
mod mp4;
#[path = "../../../src/cli/media/mpeg_ts.rs"]
mod mpeg_ts;
#[path = "../../../src/cli/media/damage/mod.rs"]
mod damage;
#[path = "../../../src/cli/media/dhav.rs"]
mod dhav;
#[path = "../../../src/cli/media/prepared.rs"]
mod prepared;
#[path = "../../../src/cli/media/picture_metadata.rs"]
mod picture_metadata;
#[path = "../../../src/cli/media/read_all.rs"]
mod read_all;

pub(crate) use read_all::read_all;

pub(crate) mod container {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Kind {
        Video,
        Audio,
        Subtitle,
    }

    pub(crate) const WRITING_APP: &str = "facesr";
}

pub(crate) mod timing {
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Span {
        pub(crate) start: i64,
        pub(crate) end: i64,
        pub(crate) trimmed: bool,
    }
}
