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
#[path = "../../../src/cli/media/picture_metadata.rs"]
mod picture_metadata;

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

/// Reads a file as each kind that has a reader.
pub(crate) fn read(path: &std::path::Path, data: &[u8]) {
    let format = format::Format::of(path).unwrap();
    if let format::Format::Ps { skip, .. } = format {
        assert!(skip < data.len() as u64);
    }
    let _ = mp4::Movie::read(path);
    let _ = matroska::Movie::read(path);
    let _ = asf::length(path);
    let _ = avi::read(path);
    let _ = flv::read(path);
    for (stride, offset) in [(188, 0), (192, 4), (204, 0)] {
        mpeg_ts::read(path, stride, offset);
    }
    let mut texts = picture_metadata::PictureTexts::read(data);
    texts.mark_generated();
    assert!(texts.put_into(data.to_vec()).len() >= data.len());
}
