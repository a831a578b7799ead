//! Boxes: a reader that trusts no size, and a writer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Largest `moov` that is read; that of a day of video has some tens of megabytes.
const MAX_MOOV: u64 = 256 << 20;
/// Boxes at the top of a file that are looked at: a fragmented day has some ten thousand.
const MAX_TOP: usize = 1 << 20;
/// Boxes within one box that are looked at.
const MAX_INNER: usize = 1 << 16;

/// A box: type, and where its content lies in the buffer it was read from.
pub(super) type Found = ([u8; 4], Range<usize>);

/// The boxes in `data[range]`.
pub(super) fn boxes(data: &[u8], range: Range<usize>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = range.start;
    let end_of_all = range.end.min(data.len());
    while found.len() < MAX_INNER
        && let Some(head) = at.checked_add(8).and_then(|end| data[..end_of_all].get(at..end))
    {
        let kind = [head[4], head[5], head[6], head[7]];
        let (header, size) = match be32(head, 0) {
            0 => (8, end_of_all - at),
            1 => (16, usize::try_from(be64(data, at + 8)).unwrap_or(0)),
            size => (8, size as usize),
        };
        let Some(end) = at.checked_add(size).filter(|end| size >= header && *end <= end_of_all)
        else {
            break;
        };
        found.push((kind, at + header..end));
        at = end;
    }
    found
}

/// The first box of a path of types below `range`.
pub(super) fn find(data: &[u8], range: Range<usize>, path: &[&[u8; 4]]) -> Option<Range<usize>> {
    path.iter().try_fold(range, |range, kind| {
        boxes(data, range).into_iter().find(|(k, _)| k == *kind).map(|(_, content)| content)
    })
}

/// A big-endian number; 0 where there are no bytes.
pub(super) fn be32(data: &[u8], at: usize) -> u32 {
    let bytes = at.checked_add(4).and_then(|end| data.get(at..end));
    bytes.map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

/// A big-endian number; 0 where there are no bytes.
pub(super) fn be64(data: &[u8], at: usize) -> u64 {
    u64::from(be32(data, at)) << 32 | u64::from(be32(data, at.saturating_add(4)))
}

/// Fields of `mvhd` and `mdhd`: creation time, ticks a second and duration.
pub(super) fn time_fields(header: &[u8]) -> (u64, u32, u64) {
    match header.first() {
        Some(1) => (be64(header, 4), be32(header, 20), be64(header, 24)),
        _ => (be32(header, 4).into(), be32(header, 12), be32(header, 16).into()),
    }
}

/// A box with this content.
pub(super) fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 8);
    out.extend_from_slice(&(content.len() as u32 + 8).to_be_bytes());
    out.extend_from_slice(kind);
    out.extend_from_slice(content);
    out
}

/// The top of a file.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// `moov`: where the box begins, where its content does, and the content.
    pub(super) moov: Option<(u64, u64, Vec<u8>)>,
    /// Whether the file ends before a box does.
    pub(super) is_cut: bool,
    /// Whether the samples lie in fragments.
    pub(super) has_fragments: bool,
    /// Whether there is more than one index: files that were joined.
    pub(super) is_joined: bool,
}

/// Reads the top of a file. `None` if it is no MP4.
pub(super) fn read_top(file: &mut File) -> io::Result<Option<Top>> {
    let length = file.metadata()?.len();
    let mut top = Top::default();
    let mut at = 0u64;
    for number in 0..MAX_TOP {
        if length.saturating_sub(at) < 8 {
            break;
        }
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        let got = read_up_to(file, &mut head)?;
        let (header, size) = match be32(&head, 0) {
            0 => (8, length - at),
            1 if got == 16 => (16, be64(&head, 8)),
            size => (8, u64::from(size)),
        };
        let kind = &head[4..8];
        let is_plain = kind.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
        let Some(end) = at.checked_add(size).filter(|_| size >= header && is_plain) else {
            // Rubbish in front is no MP4, rubbish behind is passed over.
            return Ok((number > 0 && top.moov.is_some()).then_some(top));
        };
        top.has_fragments |= kind == b"moof";
        top.is_joined |= kind == b"moov" && top.moov.is_some();
        if end > length {
            top.is_cut = kind != b"free" && kind != b"skip";
            break;
        }
        if kind == b"moov" && size <= MAX_MOOV && top.moov.is_none() {
            let mut content = vec![0; (size - header) as usize];
            file.seek(SeekFrom::Start(at + header))?;
            file.read_exact(&mut content)?;
            top.moov = Some((at, at + header, content));
        }
        at = end;
    }
    Ok(Some(top))
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..])? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top_of(bytes: &[u8]) -> Option<Top> {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        read_top(&mut file).unwrap()
    }

    #[test]
    fn sizes_that_wrap_end_the_reading() {
        let first = boxed(b"ftyp", b"isom");
        let mut wrap = first.clone();
        wrap.extend([0, 0, 0, 1]);
        wrap.extend(b"free");
        wrap.extend((u64::MAX - first.len() as u64 + 1).to_be_bytes());
        assert!(top_of(&wrap).is_none_or(|top| top.moov.is_none()));
        assert!(boxes(&wrap, 0..wrap.len()).len() == 1);
        assert!(boxes(&wrap, usize::MAX - 4..usize::MAX).is_empty());
    }

    #[test]
    fn empty_headers_are_zeros() {
        assert_eq!(time_fields(b""), (0, 0, 0));
        assert_eq!(time_fields(&[1]), (0, 0, 0));
    }

    #[test]
    fn box_beyond_the_end_is_a_cut() {
        let mut file = boxed(b"moov", b"");
        file.extend([0, 0, 1, 0]);
        file.extend(b"mdat....");
        let top = top_of(&file).unwrap();
        assert!(top.is_cut && top.moov.is_some());
    }
}
