//! What an FLV file says it holds.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Tags that are looked at: a day of video has some ten million.
const MAX_TAGS: usize = 1 << 24;
/// Tags in which every stream has begun.
pub(super) const BEGIN: usize = 400;

/// What a file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flv {
    /// Streams that begin within the first [`BEGIN`] tags.
    pub(super) streams: usize,
    /// Whether the file ends within a tag.
    pub(super) is_cut: bool,
    /// Whether another file is joined to it.
    pub(super) is_joined: bool,
}

/// Reads a file; `None` if it cannot be read.
pub(super) fn read(path: &Path) -> Option<Flv> {
    let mut file = BufReader::new(File::open(path).ok()?);
    walk(&mut file).ok()
}

fn walk(file: &mut (impl Read + Seek)) -> io::Result<Flv> {
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut head = [0; 9];
    file.read_exact(&mut head)?;
    let mut at = u64::from(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
    let (mut has_audio, mut has_video) = (false, false);
    let (mut is_cut, mut is_joined) = (false, false);
    for number in 0..MAX_TAGS {
        // Each tag follows the size of the one before.
        file.seek(SeekFrom::Start(at))?;
        let mut tag = [0; 8];
        if at.saturating_add(8) > end || file.read_exact(&mut tag).is_err() {
            is_cut = at.saturating_add(4) < end;
            break;
        }
        if tag[4..].starts_with(b"FLV") {
            is_joined = true;
            break;
        }
        let size = u64::from(u32::from_be_bytes([0, tag[5], tag[6], tag[7]]));
        if number < BEGIN {
            has_audio |= tag[4] == 8;
            has_video |= tag[4] == 9;
        }
        at = at.saturating_add(4 + 11 + size);
        if at > end {
            is_cut = true;
            break;
        }
    }
    Ok(Flv { streams: usize::from(has_audio) + usize::from(has_video), is_cut, is_joined })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn streams_are_counted_and_a_cut_is_seen() {
        let tag = |kind: u8| [&[0, 0, 0, 0, kind, 0, 0, 3][..], &[0; 7], b"abc"].concat();
        let file = [b"FLV\x01\x05\0\0\0\x09", &tag(18)[..], &tag(9), &tag(8), &[0; 4]].concat();
        let of = |bytes: &[u8]| walk(&mut Cursor::new(bytes)).unwrap();
        let whole = Flv { streams: 2, ..Flv::default() };
        assert_eq!(of(&file), whole);
        assert_eq!(of(&file[..file.len() - 4]), whole);
        assert_eq!(of(&file[..file.len() - 6]), Flv { is_cut: true, ..whole });
        assert_eq!(of(&[&file[..], &file].concat()), Flv { is_joined: true, ..whole });
        assert_eq!(of(&file[..9 + 18]), Flv::default());
    }
}
