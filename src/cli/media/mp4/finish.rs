//! Finishing an MP4 that GStreamer's muxer wrote: edit lists, turns, times and texts.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use super::boxes::{be32, be64, boxed, boxes, find, read_top, time_fields};
use crate::media::timing::Span;

/// What is known of a track of the output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    /// When it is shown; `None` for a track that stayed empty.
    pub(crate) span: Option<Span>,
    /// How players are to turn its picture: the nine numbers of `tkhd`.
    pub(crate) matrix: Option<[i32; 9]>,
    /// What it is called.
    pub(crate) name: Option<String>,
    /// Whether players show it unasked; `None` for as the muxer has it.
    pub(crate) is_enabled: Option<bool>,
}

/// What is known of the file beside its tracks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extra {
    /// Seconds since 1904 at which it was recorded; 0 for unknown.
    pub(crate) creation_time: u64,
    /// What is said of how it was made.
    pub(crate) mark: &'static str,
    /// Boxes for `udta`.
    pub(crate) user_data: Vec<([u8; 4], Vec<u8>)>,
    /// Chapters: begin in nanoseconds, and title.
    pub(crate) chapters: Vec<(u64, String)>,
    /// The content of a `meta` with QuickTime's keys.
    pub(crate) keys: Option<Vec<u8>>,
}

/// Finishes a file that the muxer wrote, whose `moov` is its last box: sets every track's edit
/// list to when it is really shown (tracks in order), its rotation and its name, leaves out tracks
/// without a sample, and sets the times of making to those of the input, so that the same input
/// gives the same bytes.
///
/// # Errors
/// What the system answers, or that the muxer wrote no index.
pub(crate) fn finish(path: &Path, tracks: &[Track], extra: &Extra) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let damaged = || io::Error::other("the muxer wrote no index");
    let (at, _, moov) = read_top(&mut file)?.and_then(|top| top.moov).ok_or_else(damaged)?;
    let new = rewrite(&moov, tracks, extra).ok_or_else(damaged)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&boxed(b"moov", &new))?;
    let end = file.stream_position()?;
    file.set_len(end)
}

/// `content` of an `mvhd`, `tkhd` or `mdhd` with its creation and modification times set, and if
/// given a new duration, which lies `after` bytes behind the times.
fn header(content: &[u8], created: u64, duration: Option<(usize, u64)>) -> Option<Vec<u8>> {
    let mut out = content.to_vec();
    let wide = *out.first()? == 1;
    let times = if wide { 16 } else { 8 };
    let field = |value: u64| match wide {
        true => value.to_be_bytes().to_vec(),
        false => u32::try_from(value).unwrap_or(0).to_be_bytes().to_vec(),
    };
    out.get_mut(4..4 + times)?.copy_from_slice(&[field(created), field(created)].concat());
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

/// Samples of a track.
fn samples(moov: &[u8], trak: Range<usize>) -> u32 {
    let stsz = find(moov, trak, &[b"mdia", b"minf", b"stbl", b"stsz"]);
    stsz.map_or(1, |stsz| be32(&moov[stsz], 8))
}

fn rewrite(moov: &[u8], tracks: &[Track], extra: &Extra) -> Option<Vec<u8>> {
    let mvhd = find(moov, 0..moov.len(), &[b"mvhd"])?;
    let scale = time_fields(&moov[mvhd]).1;
    let mut longest = 0;
    let mut tracks = tracks.iter();
    let mut parts = Vec::new();
    let mut texts = texts(&[], extra.mark);
    let mut user_data = user_data(extra);
    for (kind, content) in boxes(moov, 0..moov.len()) {
        let bytes = match &kind {
            b"trak" => {
                let known = tracks.next().cloned().unwrap_or_default();
                if samples(moov, content.clone()) == 0 {
                    // No player opens a file with such a track.
                    continue;
                }
                let (bytes, duration) = track(moov, content, scale, &known, extra)?;
                longest = longest.max(duration);
                bytes
            }
            b"udta" => {
                for (kind, content) in boxes(moov, content) {
                    match &kind {
                        b"meta" => texts = self::texts(&moov[content], extra.mark),
                        _ => user_data.extend(boxed(&kind, &moov[content])),
                    }
                }
                continue;
            }
            _ => moov[content].to_vec(),
        };
        parts.push((kind, bytes));
    }
    user_data.extend(boxed(b"meta", &texts));
    parts.push((*b"udta", user_data));
    parts.extend(extra.keys.clone().map(|keys| (*b"meta", keys)));
    let mut out = Vec::with_capacity(moov.len() + 256);
    for (kind, bytes) in parts {
        let bytes = match &kind {
            b"mvhd" => header(&bytes, extra.creation_time, Some((4, longest)))?,
            _ => bytes,
        };
        out.extend(boxed(&kind, &bytes));
    }
    Some(out)
}

/// The boxes that are added to `udta`.
fn user_data(extra: &Extra) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, bytes) in &extra.user_data {
        out.extend(boxed(kind, bytes));
    }
    // One byte counts them.
    let chapters = &extra.chapters[..extra.chapters.len().min(255)];
    if !chapters.is_empty() {
        let mut chpl = vec![1, 0, 0, 0, 0];
        chpl.extend((chapters.len() as u32).to_be_bytes());
        for (begin, title) in chapters {
            let mut title = title.clone();
            while title.len() > 255 {
                title.pop();
            }
            chpl.extend((begin / 100).to_be_bytes());
            chpl.push(title.len() as u8);
            chpl.extend(title.as_bytes());
        }
        out.extend(boxed(b"chpl", &chpl));
    }
    out
}

/// The content of `meta`, as iTunes has it, with the mark as a comment; as a description if there
/// is a comment already.
fn texts(old: &[u8], mark: &str) -> Vec<u8> {
    let old_items = find(old, 4..old.len(), &[b"ilst"]).map_or(&[][..], |ilst| &old[ilst]);
    let has_comment = boxes(old_items, 0..old_items.len()).iter().any(|(k, _)| k == b"\xa9cmt");
    let data = [&[0, 0, 0, 1, 0, 0, 0, 0], mark.as_bytes()].concat();
    let kind = if has_comment { b"desc" } else { b"\xa9cmt" };
    let items = [old_items, &boxed(kind, &boxed(b"data", &data))].concat();
    let handler = [&[0; 8][..], b"mdirappl", &[0; 9]].concat();
    [&[0; 4][..], &boxed(b"hdlr", &handler), &boxed(b"ilst", &items)].concat()
}

/// A track with its edit list set, and its duration in ticks of the movie.
fn track(
    moov: &[u8],
    trak: Range<usize>,
    movie_scale: u32,
    known: &Track,
    extra: &Extra,
) -> Option<(Vec<u8>, u64)> {
    let mdhd = find(moov, trak.clone(), &[b"mdia", b"mdhd"])?;
    let (_, media_scale, media_duration) = time_fields(&moov[mdhd]);
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
    let mut edits = vec![(shown, media_start.saturating_add(skipped) as i64)];
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
    let duration = empty.saturating_add(shown);
    let created = extra.creation_time;

    let mut out = Vec::new();
    for (kind, content) in boxes(moov, trak) {
        match &kind {
            b"edts" => {}
            b"tkhd" => {
                let mut tkhd = header(&moov[content], created, Some((8, duration)))?;
                if let Some(matrix) = known.matrix {
                    let at = if tkhd[0] == 1 { 52 } else { 40 };
                    let bytes: Vec<u8> = matrix.iter().flat_map(|n| n.to_be_bytes()).collect();
                    tkhd.get_mut(at..at + 36)?.copy_from_slice(&bytes);
                }
                if let Some(enabled) = known.is_enabled {
                    let flags = tkhd.get_mut(3)?;
                    *flags = *flags & !1 | u8::from(enabled);
                }
                out.extend(boxed(&kind, &tkhd));
                out.extend(&edts);
            }
            b"mdia" => {
                let mdia = mdia_box(moov, content, created, known.name.as_deref())?;
                out.extend(boxed(&kind, &mdia));
            }
            _ => out.extend(boxed(&kind, &moov[content])),
        }
    }
    if let Some(name) = &known.name {
        out.extend(boxed(b"udta", &boxed(b"name", name.as_bytes())));
    }
    Some((out, duration))
}

/// `mdia` with its time and name set and what the muxer gets wrong set right.
fn mdia_box(moov: &[u8], mdia: Range<usize>, created: u64, name: Option<&str>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for (kind, content) in boxes(moov, mdia) {
        let bytes = &moov[content];
        match &kind {
            b"mdhd" => out.extend(boxed(&kind, &header(bytes, created, None)?)),
            // Readers that know no names of tracks show this one.
            b"hdlr" if name.is_some_and(|name| name.is_ascii()) && bytes.len() >= 24 => {
                let name = name.unwrap_or_default().as_bytes();
                // QuickTime counts the letters, MP4 ends them by 0.
                let is_quicktime = &bytes[4..8] == b"mhlr";
                let length = u8::try_from(name.len()).ok().filter(|_| is_quicktime);
                let length: Vec<u8> = length.into_iter().collect();
                let end: &[u8] = if is_quicktime { &[] } else { &[0] };
                out.extend(boxed(&kind, &[&bytes[..24], &length, name, end].concat()));
            }
            b"minf" => {
                let mut minf = bytes.to_vec();
                mend_opus(&mut minf);
                out.extend(boxed(&kind, &minf));
            }
            _ => out.extend(boxed(&kind, bytes)),
        }
    }
    Some(out)
}

/// GStreamer 1.22 writes the numbers of `dOps` with their bytes in the wrong order: players then
/// skip a third of a second for the 6 ms of pre-skip.
fn mend_opus(minf: &mut [u8]) {
    let Some(stsd) = find(minf, 0..minf.len(), &[b"stbl", b"stsd"]) else { return };
    for (kind, entry) in boxes(minf, stsd.start.saturating_add(8)..stsd.end) {
        if &kind != b"Opus" {
            continue;
        }
        // The fixed fields of a sound's sample entry come first.
        let Some(dops) = find(minf, entry.start.saturating_add(28)..entry.end, &[b"dOps"]) else {
            continue;
        };
        let Some(fields) = minf.get_mut(dops).filter(|fields| fields.len() >= 10) else { continue };
        // No sound has a rate of millions.
        if be32(fields, 4) > 768_000 && be32(fields, 4).swap_bytes() <= 768_000 {
            fields[2..4].reverse();
            fields[4..8].reverse();
            fields[8..10].reverse();
        }
    }
}

fn last_media_time(elst: &[u8]) -> Option<u64> {
    let wide = *elst.first()? == 1;
    let size = if wide { 20 } else { 12 };
    let entries = (be32(elst, 4) as usize).min(elst.len() / size);
    (0..entries).rev().find_map(|i| {
        let at = 8 + i * size;
        let time = match wide {
            true => be64(elst, at + 8) as i64,
            false => i64::from(be32(elst, at + 4) as i32),
        };
        u64::try_from(time).ok()
    })
}
