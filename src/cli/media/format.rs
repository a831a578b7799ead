//! What kind of file it is, by its first bytes: enough to say at once what cannot be, and to help
//! where GStreamer knows no better.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{dhav, matroska};

/// Bytes that are looked at.
const HEAD: usize = 4096;
/// Bytes of a JPEG file that are searched for a second picture.
const PICTURE: u64 = 32 << 20;

/// A kind of file that is treated in a way of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// MP4 and QuickTime.
    Mp4,
    /// Matroska and WebM; where another file begins that was joined to it.
    Matroska { second: Option<u64> },
    /// AVI, which tells when frames are decoded, not when they are shown.
    Avi,
    /// FLV, whose demuxer finds streams as they come.
    Flv,
    /// MPEG transport stream; the bytes from one packet to the next, and those before the first.
    Ts { stride: usize, offset: usize },
    /// MPEG program stream; bytes before it that some recorders write, and what its video is if it
    /// does not say so itself: a number of ISO/IEC 13818-1.
    Ps { skip: u64, untold: Option<u8> },
    /// What Dahua's recorders export.
    Dhav,
    /// Ogg files, one behind the other: how many, where the first ends, and whether the file ends
    /// within a page.
    Ogg { files: usize, first: u64, is_cut: bool },
    /// ASF, which Windows Media comes in.
    Asf,
    /// The tape format DV, as it is.
    Dv,
    /// JPEG pictures one after the other.
    Mjpeg,
    /// An animated picture: how many frames.
    Gif { frames: u64 },
    /// One picture.
    Picture,
    /// An animated picture that no decoder here can play.
    Animation,
    /// A list of other files or addresses.
    Playlist,
    /// Anything else.
    Other,
}

/// The first bytes of a file, at most `limit`.
fn head(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a file without a telling name is a video, by its first bytes.
pub(crate) fn is_video_container(path: &Path) -> bool {
    let is_video = |format| {
        !matches!(format, Format::Picture | Format::Animation | Format::Playlist | Format::Other)
    };
    Format::of(path).is_ok_and(is_video)
}

impl Format {
    /// The kind of a file.
    ///
    /// # Errors
    /// What reading answers.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let bytes = head(path, HEAD as u64)?;
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        let at = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|b| b.starts_with(magic));
        Ok(match () {
            () if is_playlist(&bytes) => Self::Playlist,
            () if starts(b"IMKH") || starts(PACK) => program_stream(&head(path, PS_HEAD)?),
            () if starts(b"OggS") => ogg(path)?,
            () if starts(b"\x1aE\xdf\xa3") => {
                Self::Matroska { second: matroska::second_file(path) }
            }
            () if starts(b"RIFF") && at(8, b"AVI ") => Self::Avi,
            () if starts(b"<svg") || starts(b"<?xml") && bytes.windows(4).any(|w| w == b"<svg") => {
                Self::Picture
            }
            () if starts(b"FLV\x01") => Self::Flv,
            () if dhav::is_dhav(&bytes) => Self::Dhav,
            () if starts(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11") => Self::Asf,
            () if starts(&[0x1f, 7, 0]) => Self::Dv,
            () if starts(b"\x89PNG") && bytes.windows(4).take(1024).any(|w| w == b"acTL") => {
                Self::Animation
            }
            () if starts(b"RIFF")
                && at(8, b"WEBPVP8X")
                && bytes.get(20).is_some_and(|flags| flags & 2 != 0) =>
            {
                Self::Animation
            }
            () if starts(b"GIF8") => gif(&head(path, PICTURE)?),
            () if starts(b"\xff\xd8\xff") => jpeg(&head(path, PICTURE)?),
            () if starts(b"\x89PNG") || starts(b"BM") && at(6, &[0; 4]) => Self::Picture,
            () if starts(b"II*\0") || starts(b"MM\0*") => Self::Picture,
            () if starts(b"RIFF") && at(8, b"WEBP") => Self::Picture,
            () if at(4, b"ftyp") && (at(8, b"heic") || at(8, b"avif") || at(8, b"mif1")) => {
                Self::Picture
            }
            () if at(4, b"ftyp") || at(4, b"moov") || at(4, b"mdat") || at(4, b"wide") => Self::Mp4,
            () => ts(&bytes).unwrap_or(Self::Other),
        })
    }
}

/// What a pack of an MPEG program stream begins with.
const PACK: &[u8] = b"\x00\x00\x01\xba";
/// Bytes of a program stream that are searched for what its video is.
const PS_HEAD: u64 = 1 << 20;

/// A program stream, maybe behind the head of a recorder.
fn program_stream(bytes: &[u8]) -> Format {
    let begin = bytes.windows(4).take(4096).position(|window| window == PACK);
    let Some(begin) = begin else { return Format::Other };
    let mut rest = &bytes[begin..];
    let mut untold = None;
    while let Some(at) = rest.windows(3).position(|window| window == [0, 0, 1]) {
        rest = &rest[at + 3..];
        match rest.first() {
            // It has a map.
            Some(0xbc) => {
                untold = None;
                break;
            }
            Some(0xe0..=0xef) if untold.is_none() => untold = video_in(rest),
            _ => {}
        }
    }
    Format::Ps { skip: begin as u64, untold }
}

/// The type of the video in a packet of it, where players would take it for MPEG-1 or 2 and it is
/// not.
fn video_in(packet: &[u8]) -> Option<u8> {
    let head = 6 + usize::from(*packet.get(5)?);
    let is_mpeg2 = packet.get(3)? & 0xc0 == 0x80;
    let payload = packet.get(if is_mpeg2 { head } else { 3 }..)?;
    // The first unit that tells.
    payload.windows(5).take(1024).filter(|w| w[..3] == [0, 0, 1]).find_map(|w| {
        match (w[3], w[4]) {
            (0xb3, _) => Some(None),
            (0xb0 | 0x20, _) => Some(Some(0x10)),
            // Parameter sets of H.264 and H.265.
            (0x27 | 0x47 | 0x67, _) => Some(Some(0x1b)),
            (0x40 | 0x42, 0x01) => Some(Some(0x24)),
            _ => None,
        }
    })?
}

/// Pages of an Ogg file that are looked at.
const MAX_PAGES: usize = 1 << 22;

/// How many Ogg files there are in one. Each begins with the first pages of its streams.
fn ogg(path: &Path) -> io::Result<Format> {
    use std::io::BufReader;
    let mut file = BufReader::new(File::open(path)?);
    let length = file.get_ref().metadata()?.len();
    let (mut files, mut first, mut at) = (1, u64::MAX, 0u64);
    let (mut is_in_beginning, mut is_cut) = (true, false);
    for _ in 0..MAX_PAGES {
        let mut head = [0; 27];
        if file.read_exact(&mut head).is_err() {
            is_cut |= at < length;
            break;
        }
        if !head.starts_with(b"OggS") {
            break;
        }
        let begins = head[5] & 2 != 0;
        if begins && !is_in_beginning {
            files += 1;
            first = first.min(at);
        }
        is_in_beginning = begins;
        let mut sizes = vec![0; head[26].into()];
        if file.read_exact(&mut sizes).is_err() {
            is_cut = true;
            break;
        }
        let body: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
        file.seek_relative(body as i64)?;
        at += 27 + sizes.len() as u64 + body;
        is_cut = at > length;
    }
    Ok(Format::Ogg { files, first, is_cut })
}

fn is_playlist(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with("#EXTM3U")
        || text.starts_with("v=0\r") | text.starts_with("v=0\n")
        || text.starts_with('<')
            && (text.contains("<MPD") || text.contains("<SmoothStreamingMedia"))
        || text.starts_with("[playlist]")
        || text.starts_with("ffconcat")
}

/// A transport stream, if sync bytes stand where they must.
fn ts(bytes: &[u8]) -> Option<Format> {
    [(188, 0), (192, 4), (204, 0)].into_iter().find_map(|(stride, offset)| {
        let syncs = (0..5).all(|i| bytes.get(offset + i * stride) == Some(&0x47));
        syncs.then_some(Format::Ts { stride, offset })
    })
}

/// One JPEG picture or several.
fn jpeg(bytes: &[u8]) -> Format {
    match jpeg_end(bytes).map(|end| &bytes[end..]) {
        Some(rest) if rest.windows(3).take(1024).any(|w| w == b"\xff\xd8\xff") => Format::Mjpeg,
        _ => Format::Picture,
    }
}

/// Where the JPEG picture that `bytes` begin with ends; thumbnails in it are passed over. `None`
/// if it is cut short.
pub(crate) fn jpeg_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        let marker = loop {
            let marker = *bytes.get(at + 1)?;
            match (*bytes.get(at)?, marker) {
                // Bytes that fill.
                (0xff, 0xff) => at += 1,
                (0xff, marker) => break marker,
                _ => return None,
            }
        };
        match marker {
            0xd9 => return Some(at + 2),
            0x01 | 0xd0..=0xd8 => at += 2,
            marker => {
                let length =
                    usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
                at += 2 + length.max(2);
                if marker == 0xda {
                    // Coded samples: up to a marker that is neither a restart nor a stuffed byte.
                    at += bytes.get(at..)?.windows(2).position(|pair| {
                        pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff)
                    })?;
                }
            }
        }
    }
}

/// Counts the frames of a GIF.
fn gif(bytes: &[u8]) -> Format {
    let mut frames = 0;
    let mut walk = || -> Option<()> {
        let table = |flags: u8| if flags & 0x80 != 0 { 3usize << ((flags & 7) + 1) } else { 0 };
        let skip_blocks = |mut at: usize| loop {
            match *bytes.get(at)? {
                0 => return Some(at + 1),
                size => at += 1 + usize::from(size),
            }
        };
        let mut at = 13 + table(*bytes.get(10)?);
        loop {
            match *bytes.get(at)? {
                0x21 => at = skip_blocks(at + 2)?,
                0x2c => {
                    frames += 1;
                    at = skip_blocks(at + 10 + table(*bytes.get(at + 9)?) + 1)?;
                }
                _ => return None,
            }
        }
    };
    walk();
    match frames {
        0 | 1 => Format::Picture,
        frames => Format::Gif { frames },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playlists_are_known_by_their_first_bytes() {
        for text in
            ["#EXTM3U\n", "\u{feff}#EXTM3U", "<?xml?><MPD>", "v=0\r\no=-", "ffconcat version"]
        {
            assert!(is_playlist(text.as_bytes()), "{text}");
        }
        assert!(!is_playlist(b"<html>") && !is_playlist(b"v=01"));
    }

    #[test]
    fn program_streams_tell_what_they_hold() {
        let stream = |unit: &[u8]| {
            let video = [&[0, 0, 1, 0xe0, 0, 9, 0x80, 0, 0, 0, 0, 0, 1][..], unit].concat();
            [b"IMKH", &[0; 36][..], PACK, &[0x44; 10], &video, &[0; 8]].concat()
        };
        let untold = |unit: &[u8]| match program_stream(&stream(unit)) {
            Format::Ps { skip: 40, untold } => untold,
            other => panic!("{other:?}"),
        };
        assert_eq!(untold(&[0x67, 0x64]), Some(0x1b));
        assert_eq!(untold(&[0x40, 0x01]), Some(0x24));
        assert_eq!(untold(&[0xb3, 0x10]), None);
        assert_eq!(program_stream(b"IMKH"), Format::Other);
        let mapped = [&stream(&[0x67, 0x64])[..], &[0, 0, 1, 0xbc, 0, 0]].concat();
        assert_eq!(program_stream(&mapped), Format::Ps { skip: 40, untold: None });
    }

    #[test]
    fn ogg_files_in_a_row_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ogg");
        let page = |flags: u8| [b"OggS", &[0, flags][..], &[0; 20], &[1, 3], b"abc"].concat();
        let one = [page(2), page(2), page(0), page(4)].concat();
        std::fs::write(&path, &one).unwrap();
        let whole = Format::Ogg { files: 1, first: u64::MAX, is_cut: false };
        assert_eq!(ogg(&path).unwrap(), whole);
        for length in [one.len() - 1, one.len() - 4, one.len() - 12] {
            std::fs::write(&path, &one[..length]).unwrap();
            assert!(matches!(ogg(&path).unwrap(), Format::Ogg { is_cut: true, .. }), "{length}");
        }
        std::fs::write(&path, [one.clone(), one.clone()].concat()).unwrap();
        assert_eq!(
            ogg(&path).unwrap(),
            Format::Ogg { files: 2, first: one.len() as u64, is_cut: false }
        );
    }

    #[test]
    fn jpegs_are_counted_and_cut_ones_known() {
        let mut one = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut one)
            .encode(&[7; 48 * 48 * 3], 48, 48, image::ExtendedColorType::Rgb8)
            .unwrap();
        assert_eq!(jpeg_end(&one), Some(one.len()));
        assert_eq!(jpeg_end(&one[..one.len() - 3]), None);
        assert_eq!(jpeg(&one), Format::Picture);
        assert_eq!(jpeg(&[one.clone(), one].concat()), Format::Mjpeg);
        assert_eq!(jpeg_end(b"\xff\xd8\xff\xe0\0"), None);
    }
}
