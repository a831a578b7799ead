//! What kind of file it is, by its first bytes: enough to say at once what cannot be, and to help
//! where GStreamer knows no better.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes that are looked at.
const HEAD: usize = 4096;
/// Bytes of a JPEG file that are searched for a second picture.
const PICTURE: u64 = 32 << 20;

/// A kind of file that is treated in a way of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// MP4 and QuickTime.
    Mp4,
    /// Matroska and WebM.
    Matroska,
    /// AVI, which tells when frames are decoded, not when they are shown.
    Avi,
    /// MPEG transport stream; the bytes from one packet to the next, and those before the first.
    Ts { stride: usize, offset: usize },
    /// MPEG program stream behind the head of 40 bytes that some recorders write.
    Imkh,
    /// JPEG pictures one after the other.
    Mjpeg,
    /// An animated picture: how many frames.
    Gif { frames: u64 },
    /// One picture.
    Picture,
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
    let is_video = |format| !matches!(format, Format::Picture | Format::Playlist | Format::Other);
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
            () if starts(b"IMKH") => Self::Imkh,
            () if starts(b"\x1aE\xdf\xa3") => Self::Matroska,
            () if starts(b"RIFF") && at(8, b"AVI ") => Self::Avi,
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
