//! What fuzzing runs on a file: all readers, one after the other. The test `corpus` has it from here, the fuzz
//! target `media` builds it in by its path.

use std::path::Path;

use super::damage::Damage;
use super::format::Format;
use super::picture_metadata::PictureTexts;
use super::{asf, avi, dhav, flv, matroska, mp4, mpeg_ts};

/// Reads a file as each kind that has a reader.
pub(crate) fn read_all(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let format = Format::of(path).unwrap();
    if let Format::Ps { skip, .. } = format {
        assert!(skip < bytes.len() as u64);
    }
    let _ = mp4::Movie::read(path);
    let _ = matroska::Movie::read(path);
    for format in damage_formats(format) {
        let _ = Damage::find(path, format);
    }
    let _ = asf::length(path);
    let _ = dhav::read(path);
    let _ = dhav::to_program_stream(&bytes[..], &mut std::io::sink());
    let _ = avi::read(path);
    let _ = flv::read(path);
    for (stride, offset) in [(188, 0), (192, 4), (204, 0)] {
        mpeg_ts::read(path, stride, offset);
    }
    let mut texts = PictureTexts::read(&bytes);
    texts.mark_generated();
    assert!(texts.put_into(bytes.clone()).len() >= bytes.len());
}

/// What a file is, and what it is not: no walk may trust that it has the right file before it.
fn damage_formats(own: Format) -> [Format; 11] {
    [
        own,
        Format::Matroska { second: None },
        Format::Ts { stride: 188, offset: 0 },
        Format::Mp4,
        Format::Avi,
        Format::Flv,
        Format::Ogg { files: 1, first: 0, is_cut: false },
        Format::Asf,
        Format::Ps { skip: 0, untold: None },
        Format::Dv,
        Format::Dhav,
    ]
}
