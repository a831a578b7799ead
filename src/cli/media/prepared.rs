//! Files that GStreamer's demuxers cannot read as they are: they get them by a pipe, without what
//! hinders, and with what is missing.

use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::dhav;
use super::format::Format;

/// What is done to a file on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preparation {
    /// Bytes at its beginning that are left out.
    skip: u64,
    /// Where it ends.
    end: u64,
    /// Type of the video in a program stream that does not tell it.
    video: Option<u8>,
    /// Whether it is DHAV, which becomes a program stream.
    is_dhav: bool,
}

impl Preparation {
    /// What a file of this kind needs, if it needs something.
    pub(super) fn of(format: Format) -> Option<Self> {
        let whole = Self { skip: 0, end: u64::MAX, video: None, is_dhav: false };
        match format {
            Format::Dhav => Some(Self { is_dhav: true, ..whole }),
            Format::Ps { skip, untold } if skip > 0 || untold.is_some() => {
                Some(Self { skip, video: untold, ..whole })
            }
            Format::Matroska { second: Some(end) } => Some(Self { end, ..whole }),
            Format::Ogg { files, first, .. } if files > 1 => Some(Self { end: first, ..whole }),
            _ => None,
        }
    }

    /// Opens a file; what comes out of the pipe is prepared. Whoever writes ends when nobody reads.
    pub(super) fn open(self, path: &Path) -> io::Result<PipeReader> {
        let mut file = File::open(path)?;
        let (reader, mut writer) = io::pipe()?;
        std::thread::Builder::new().name("prepare".into()).spawn(move || {
            // The demuxer tells of a file that ends early.
            let _ = self.copy(&mut file, &mut writer);
        })?;
        Ok(reader)
    }

    fn copy(self, file: &mut (impl Read + Seek), to: &mut impl Write) -> io::Result<()> {
        file.seek(SeekFrom::Start(self.skip))?;
        if self.is_dhav {
            return dhav::to_program_stream(file, to);
        }
        let mut rest = file.take(self.end.saturating_sub(self.skip));
        if let Some(video) = self.video {
            let mut pack = vec![0; 14];
            rest.read_exact(&mut pack)?;
            // The pack's own length: MPEG-2 has one with stuffing, MPEG-1 a fixed one.
            let more = if pack[4] & 0xc0 == 0x40 { usize::from(pack[13] & 7) } else { 0 };
            let mut stuffing = vec![0; more];
            rest.read_exact(&mut stuffing)?;
            pack.extend(stuffing);
            let at = if pack[4] & 0xc0 == 0x40 { pack.len() } else { 12 };
            to.write_all(&pack[..at])?;
            to.write_all(&stream_map(video))?;
            to.write_all(&pack[at..])?;
        }
        io::copy(&mut rest, to).map(drop)
    }
}

/// A program stream map that says of what type the video streams are.
pub(super) fn stream_map(video: u8) -> Vec<u8> {
    let entries: Vec<u8> = (0xe0..=0xef).flat_map(|id| [video, id, 0, 0]).collect();
    let entries_length = entries.len() as u16;
    let mut map = vec![0, 0, 1, 0xbc];
    map.extend((6 + entries_length + 4).to_be_bytes());
    map.extend([0xe0, 0xff, 0, 0]);
    map.extend(entries_length.to_be_bytes());
    map.extend(entries);
    map.extend(crc(&map).to_be_bytes());
    map
}

/// The checksum of MPEG-2's tables.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn program_stream_gets_its_map_behind_the_first_pack() {
        let pack = [0, 0, 1, 0xba, 0x44, 1, 1, 1, 1, 1, 1, 1, 1, 0xf9, 0xff];
        let file = [&[7; 40][..], &pack, b"rest"].concat();
        let of = |preparation: Preparation| {
            let mut out = Vec::new();
            preparation.copy(&mut Cursor::new(&file), &mut out).map(|()| out)
        };
        let whole = Preparation { skip: 0, end: u64::MAX, video: None, is_dhav: false };
        let out = of(Preparation { skip: 40, video: Some(0x1b), ..whole }).unwrap();
        assert_eq!(out, [&pack[..], &stream_map(0x1b), b"rest"].concat());
        let out = of(Preparation { end: 5, ..whole }).unwrap();
        assert_eq!(out, [7; 5]);
        assert!(of(Preparation { skip: 58, video: Some(1), ..whole }).is_err());
        assert_eq!(crc(b"123456789"), 0x0376_e6e7);
    }
}
