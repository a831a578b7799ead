//! The parts of MP4 that GStreamer's muxer and demuxer leave no say in: the time scale of the
//! input's video, and in the output the edit lists and the times of making.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::timing::Span;

/// Largest `moov` that is read; that of a day of video has some tens of megabytes.
const MAX_MOOV: u64 = 1 << 30;

/// A box: type, and where its content lies in the buffer it was read from.
type Found = ([u8; 4], std::ops::Range<usize>);

/// The boxes in `data[range]`.
fn boxes(data: &[u8], range: std::ops::Range<usize>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = range.start;
    while let Some(head) = data[..range.end].get(at..at + 8) {
        let size = be32(head, 0) as usize;
        let kind = [head[4], head[5], head[6], head[7]];
        let (header, size) = match size {
            0 => (8, range.end - at),
            1 if at + 16 <= range.end => (16, be64(data, at + 8) as usize),
            size => (8, size),
        };
        let Some(end) = at.checked_add(size).filter(|end| size >= header && *end <= range.end)
        else {
            break;
        };
        found.push((kind, at + header..end));
        at = end;
    }
    found
}

/// The first box of a path of types below `range`.
fn find(
    data: &[u8],
    range: std::ops::Range<usize>,
    path: &[&[u8; 4]],
) -> Option<std::ops::Range<usize>> {
    path.iter().try_fold(range, |range, kind| {
        boxes(data, range).into_iter().find(|(k, _)| k == *kind).map(|(_, content)| content)
    })
}

fn be32(data: &[u8], at: usize) -> u32 {
    data.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

fn be64(data: &[u8], at: usize) -> u64 {
    u64::from(be32(data, at)) << 32 | u64::from(be32(data, at + 4))
}

/// `moov` of a file: where the box begins, and its content. `None` if it is no MP4.
fn read_moov(file: &mut File) -> io::Result<Option<(u64, Vec<u8>)>> {
    let length = file.metadata()?.len();
    let mut at = 0;
    while at + 8 <= length {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        let got = file.read(&mut head)?;
        let (header, size) = match be32(&head, 0) {
            0 => (8, length - at),
            1 if got == 16 => (16, be64(&head, 8)),
            size => (8, u64::from(size)),
        };
        let plain = head[4..8].iter().all(|b| b.is_ascii_graphic() || *b == b' ');
        if size < header || !plain || at + size > length {
            return Ok(None);
        }
        if &head[4..8] == b"moov" && size <= MAX_MOOV {
            let mut content = vec![0; (size - header) as usize];
            file.seek(SeekFrom::Start(at + header))?;
            file.read_exact(&mut content)?;
            return Ok(Some((at, content)));
        }
        at += size;
    }
    Ok(None)
}

/// Ticks a second of the first video track, if `path` is an MP4 or QuickTime file.
pub(super) fn video_timescale(path: &Path) -> Option<u32> {
    let (_, moov) = read_moov(&mut File::open(path).ok()?).ok()??;
    boxes(&moov, 0..moov.len()).into_iter().filter(|(kind, _)| kind == b"trak").find_map(
        |(_, trak)| {
            let mdia = find(&moov, trak, &[b"mdia"])?;
            let hdlr = find(&moov, mdia.clone(), &[b"hdlr"])?;
            if moov.get(hdlr.start + 8..hdlr.start + 12)? != b"vide" {
                return None;
            }
            let mdhd = find(&moov, mdia, &[b"mdhd"])?;
            let at = if moov[mdhd.start] == 1 { 20 } else { 12 };
            Some(be32(&moov[mdhd], at)).filter(|scale| *scale > 0)
        },
    )
}

/// What is known of a track of the output.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    /// When it is shown; `None` for a track that stayed empty.
    pub(super) span: Option<Span>,
    /// How players are to turn its picture: the nine numbers of `tkhd`.
    pub(super) matrix: Option<[i32; 9]>,
}

/// Finishes a file that the muxer wrote, whose `moov` is its last box: sets every track's edit
/// list to when it is really shown (tracks in order), and its rotation, and pins the times of making, so that the same input
/// gives the same bytes.
pub(super) fn finish(path: &Path, tracks: &[Track]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let damaged = || io::Error::other("the muxer wrote no index");
    let (at, moov) = read_moov(&mut file)?.ok_or_else(damaged)?;
    let new = rewrite(&moov, tracks).ok_or_else(damaged)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&boxed(b"moov", &new))?;
    let end = file.stream_position()?;
    file.set_len(end)
}

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 8);
    out.extend_from_slice(&(content.len() as u32 + 8).to_be_bytes());
    out.extend_from_slice(kind);
    out.extend_from_slice(content);
    out
}

/// `content` of an `mvhd`, `tkhd` or `mdhd` with its creation and modification times set to none,
/// and if given a new duration, which lies `after` bytes behind the times.
fn header(content: &[u8], duration: Option<(usize, u64)>) -> Option<Vec<u8>> {
    let mut out = content.to_vec();
    let wide = *out.first()? == 1;
    let times = if wide { 16 } else { 8 };
    out.get_mut(4..4 + times)?.fill(0);
    if let Some((after, duration)) = duration {
        let at = 4 + times + after;
        match wide {
            true => out.get_mut(at..at + 8)?.copy_from_slice(&duration.to_be_bytes()),
            false => {
                let short = u32::try_from(duration).unwrap_or(u32::MAX);
                out.get_mut(at..at + 4)?.copy_from_slice(&short.to_be_bytes());
            }
        }
    }
    Some(out)
}

fn rewrite(moov: &[u8], tracks: &[Track]) -> Option<Vec<u8>> {
    let mvhd = find(moov, 0..moov.len(), &[b"mvhd"])?;
    let scale = be32(&moov[mvhd.clone()], if moov[mvhd.start] == 1 { 20 } else { 12 });
    let mut longest = 0;
    let mut tracks = tracks.iter();
    let mut parts = Vec::new();
    for (kind, content) in boxes(moov, 0..moov.len()) {
        let bytes = match &kind {
            b"trak" => {
                let known = tracks.next().cloned().unwrap_or_default();
                let (bytes, duration) = track(moov, content, scale, &known)?;
                longest = longest.max(duration);
                bytes
            }
            _ => moov[content].to_vec(),
        };
        parts.push((kind, bytes));
    }
    let mut out = Vec::with_capacity(moov.len() + 256);
    for (kind, bytes) in parts {
        let bytes = match &kind {
            b"mvhd" => header(&bytes, Some((4, longest)))?,
            _ => bytes,
        };
        out.extend(boxed(&kind, &bytes));
    }
    Some(out)
}

/// A track with its edit list set, and its duration in ticks of the movie.
fn track(
    moov: &[u8],
    trak: std::ops::Range<usize>,
    movie_scale: u32,
    known: &Track,
) -> Option<(Vec<u8>, u64)> {
    let mdhd = find(moov, trak.clone(), &[b"mdia", b"mdhd"])?;
    let wide = moov[mdhd.start] == 1;
    let media_scale = be32(&moov[mdhd.clone()], if wide { 20 } else { 12 });
    let media_duration = match wide {
        true => be64(&moov[mdhd], 24),
        false => u64::from(be32(&moov[mdhd], 16)),
    };
    let old = find(moov, trak.clone(), &[b"edts", b"elst"]);
    // Where the first frame to show lies in the track: the last edit that is not empty knows.
    let media_start = old.and_then(|elst| last_media_time(&moov[elst])).unwrap_or(0);
    let ticks = |ns: u64, scale: u32| {
        ((u128::from(ns) * u128::from(scale) + 500_000_000) / 1_000_000_000) as u64
    };
    let start = known.span.map_or(0, |span| span.start);
    let skipped = if start < 0 { ticks(start.unsigned_abs(), media_scale) } else { 0 };
    let empty = if start > 0 { ticks(start.unsigned_abs(), movie_scale) } else { 0 };
    let media = media_duration.saturating_sub(skipped);
    let media =
        (u128::from(media) * u128::from(movie_scale) / u128::from(media_scale.max(1))) as u64;
    // The media's length is counted from the first packet decoded to the last; frames that are
    // shown out of that order can end later.
    let shown = known.span.map_or(media, |span| {
        let shown = ticks(span.end.saturating_sub(start.max(0)).max(0) as u64, movie_scale);
        if span.trimmed { shown } else { shown.max(media) }
    });
    let mut edits = vec![(shown, (media_start + skipped) as i64)];
    if empty > 0 {
        edits.insert(0, (empty, -1));
    }
    let mut elst = vec![1, 0, 0, 0];
    elst.extend((edits.len() as u32).to_be_bytes());
    for (duration, media_time) in edits {
        elst.extend(duration.to_be_bytes());
        elst.extend(media_time.to_be_bytes());
        elst.extend([0, 1, 0, 0]);
    }
    let edts = boxed(b"edts", &boxed(b"elst", &elst));
    let duration = empty + shown;

    let mut out = Vec::new();
    for (kind, content) in boxes(moov, trak) {
        match &kind {
            b"edts" => {}
            b"tkhd" => {
                let mut tkhd = header(&moov[content], Some((8, duration)))?;
                if let Some(matrix) = known.matrix {
                    let at = if tkhd[0] == 1 { 52 } else { 40 };
                    let bytes: Vec<u8> = matrix.iter().flat_map(|n| n.to_be_bytes()).collect();
                    tkhd.get_mut(at..at + 36)?.copy_from_slice(&bytes);
                }
                out.extend(boxed(&kind, &tkhd));
                out.extend(&edts);
            }
            b"mdia" => {
                let mut mdia = Vec::new();
                for (kind, content) in boxes(moov, content) {
                    let bytes = &moov[content];
                    match &kind {
                        b"mdhd" => mdia.extend(boxed(&kind, &header(bytes, None)?)),
                        _ => mdia.extend(boxed(&kind, bytes)),
                    }
                }
                out.extend(boxed(&kind, &mdia));
            }
            _ => out.extend(boxed(&kind, &moov[content])),
        }
    }
    Some((out, duration))
}

fn last_media_time(elst: &[u8]) -> Option<u64> {
    let wide = *elst.first()? == 1;
    let size = if wide { 20 } else { 12 };
    (0..be32(elst, 4) as usize).rev().find_map(|i| {
        let at = 8 + i * size;
        let time = match wide {
            true => be64(elst, at + 8) as i64,
            false => i64::from(be32(elst, at + 4) as i32),
        };
        u64::try_from(time).ok()
    })
}
