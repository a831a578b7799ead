//! What an MP4 says it holds.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use super::boxes::{Top, be32, be64, boxes, find, read_top, time_fields};
use super::texts;

/// Largest `meta` that is read.
const MAX_META: usize = 1 << 20;
/// Entries of a table that are looked at.
const MAX_ENTRIES: usize = 1 << 24;

/// One entry of an edit list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    /// How long it lasts, in ticks of the movie.
    pub(crate) duration: u64,
    /// What of the track it shows, in ticks of the track; below 0 for nothing.
    pub(crate) media_time: i64,
    /// Whether it plays at another speed than normal.
    pub(crate) is_odd: bool,
}

/// Colors of a video track, in the numbers of ISO/IEC 23001-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colors {
    /// Primaries.
    pub(crate) primaries: u16,
    /// Transfer function.
    pub(crate) transfer: u16,
    /// Matrix.
    pub(crate) matrix: u16,
    /// Whether samples use the full range; QuickTime does not say.
    pub(crate) is_full_range: Option<bool>,
}

/// One track.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrackInfo {
    /// Its number.
    pub(crate) id: u32,
    /// What it is: `vide`, `soun`, `text`, `sbtl`, `tmcd` and so on.
    pub(crate) handler: [u8; 4],
    /// Its codec, or how its samples are packed.
    pub(crate) codec: [u8; 4],
    /// Ticks a second.
    pub(crate) timescale: u32,
    /// Samples.
    pub(crate) samples: u64,
    /// Whether all samples have one size, as those of PCM: a packet then holds many.
    pub(crate) is_uniform: bool,
    /// How long its samples last, in ticks.
    pub(crate) duration: u64,
    /// What of it is shown, and when.
    pub(crate) edits: Vec<Edit>,
    /// What it says of its colors.
    pub(crate) colors: Option<Colors>,
    /// Where the type of the box that says so lies in the file.
    pub(crate) colors_at: Option<u64>,
    /// Whether players show it unasked.
    pub(crate) is_enabled: bool,
    /// What it is called.
    pub(crate) name: Option<String>,
    /// Where the types of its edit lists lie in the file.
    pub(crate) edit_lists_at: Vec<u64>,
    /// Tracks that hold its chapters.
    pub(crate) chapter_tracks: Vec<u32>,
}

/// All that a file says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Movie {
    /// Ticks a second that edits are counted in.
    pub(crate) timescale: u32,
    /// Seconds since 1904 at which it was recorded; 0 for unknown.
    pub(crate) creation_time: u64,
    /// How long it is, in ticks of the movie.
    pub(crate) duration: u64,
    /// Where that stands in the file, and in how many bytes.
    pub(crate) duration_at: (u64, usize),
    /// Its tracks.
    pub(crate) tracks: Vec<TrackInfo>,
    /// Whether the file ends before what it announces.
    pub(crate) is_cut: bool,
    /// Whether another file is joined to it.
    pub(crate) is_joined: bool,
    /// Whether the samples lie in fragments, so that nothing says how many there are.
    pub(crate) has_fragments: bool,
    /// Boxes of `udta` that players read: where it was recorded, chapters, texts.
    pub(crate) user_data: Vec<([u8; 4], Vec<u8>)>,
    /// Chapters: begin in nanoseconds, and title.
    pub(crate) chapters: Vec<(u64, String)>,
    /// Texts about the film: Matroska's name, and text.
    pub(crate) texts: Vec<(String, String)>,
    /// The content of the `meta` in which phones keep theirs by QuickTime's keys.
    pub(crate) keys: Option<Vec<u8>>,
}

impl Movie {
    /// Reads a file; `None` if it is no MP4, or holds no index.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let Top { moov, is_cut, has_fragments, is_joined } = read_top(&mut file).ok()??;
        let (_, at, moov) = moov?;
        let mut movie = Self { is_cut, is_joined, ..Self::default() };
        for (kind, content) in boxes(&moov, 0..moov.len()) {
            match &kind {
                b"mvhd" => {
                    let wide = moov.get(content.start) == Some(&1);
                    let (after, size) = if wide { (24, 8) } else { (16, 4) };
                    movie.duration_at = (at + content.start as u64 + after, size);
                    (movie.creation_time, movie.timescale, movie.duration) =
                        time_fields(&moov[content]);
                }
                b"mvex" => movie.has_fragments = true,
                b"trak" => {
                    let (track, end) = track(&moov, content, at);
                    movie.is_cut |= end > length;
                    movie.tracks.push(track);
                }
                b"udta" => movie.read_user_data(&moov, content),
                b"meta" => movie.read_texts(&moov[content]),
                _ => {}
            }
        }
        movie.has_fragments |= has_fragments;
        Some(movie)
    }

    /// The track of this number.
    pub(crate) fn track(&self, id: u32) -> Option<&TrackInfo> {
        self.tracks.iter().find(|track| track.id == id)
    }

    fn read_texts(&mut self, meta: &[u8]) {
        if meta.len() < MAX_META {
            self.texts.extend(texts::texts(meta));
            if texts::has_keys(meta) {
                self.keys = Some(meta.to_vec());
            }
        }
    }

    fn read_user_data(&mut self, moov: &[u8], range: Range<usize>) {
        for (kind, content) in boxes(moov, range) {
            let bytes = &moov[content];
            match &kind {
                b"chpl" => self.chapters = chapters(bytes),
                b"\xa9xyz" | b"loci" if bytes.len() < 1 << 16 => {
                    self.user_data.push((kind, bytes.to_vec()));
                }
                // Phones have it beside this box, others in it.
                b"meta" => self.read_texts(bytes),
                kind => self.texts.extend(texts::text_box(kind, bytes)),
            }
        }
    }
}

/// Nero's chapters: begin in units of 100 ns, then a text with its length.
fn chapters(bytes: &[u8]) -> Vec<(u64, String)> {
    let count = match bytes.first() {
        Some(0) => usize::from(bytes.get(4).copied().unwrap_or(0)),
        _ => be32(bytes, 5) as usize,
    };
    let mut at = if bytes.first() == Some(&0) { 5 } else { 9 };
    let mut found = Vec::new();
    for _ in 0..count.min(MAX_ENTRIES) {
        let Some(length) = bytes.get(at + 8) else { break };
        let text = at + 9..at + 9 + usize::from(*length);
        let Some(title) = bytes.get(text.clone()) else { break };
        let begin = be64(bytes, at).saturating_mul(100);
        found.push((begin, String::from_utf8_lossy(title).into_owned()));
        at = text.end;
    }
    found
}

/// A track, and where its last chunk begins in the file.
fn track(moov: &[u8], trak: Range<usize>, moov_at: u64) -> (TrackInfo, u64) {
    let mut info = TrackInfo::default();
    let content = |path: &[&[u8; 4]]| find(moov, trak.clone(), path).map(|range| &moov[range]);
    if let Some(tkhd) = content(&[b"tkhd"]) {
        info.id = be32(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 });
        info.is_enabled = tkhd.get(3).is_some_and(|flags| flags & 1 != 0);
    }
    if let Some(mdhd) = content(&[b"mdia", b"mdhd"]) {
        (_, info.timescale, info.duration) = time_fields(mdhd);
    }
    if let Some(kind) = content(&[b"mdia", b"hdlr"]).and_then(|hdlr| hdlr.get(8..12)) {
        info.handler.copy_from_slice(kind);
    }
    for (kind, edts) in boxes(moov, trak.clone()) {
        match &kind {
            b"edts" => {
                info.edit_lists_at.push(moov_at + edts.start as u64 - 4);
                if let Some(elst) = find(moov, edts, &[b"elst"]) {
                    info.edits.extend(edits(&moov[elst]));
                }
            }
            b"tref" => {
                if let Some(chap) = find(moov, edts, &[b"chap"]) {
                    let list = &moov[chap];
                    info.chapter_tracks = (0..list.len() / 4).map(|i| be32(list, 4 * i)).collect();
                }
            }
            b"udta" => {
                let name = find(moov, edts, &[b"name"]).map(|name| &moov[name]);
                info.name = name.map(|name| String::from_utf8_lossy(name).into_owned());
            }
            _ => {}
        }
    }
    let Some(stbl) = find(moov, trak.clone(), &[b"mdia", b"minf", b"stbl"]) else {
        return (info, 0);
    };
    let mut last_chunk = 0;
    for (kind, content) in boxes(moov, stbl) {
        let bytes = &moov[content.clone()];
        match &kind {
            b"stsz" => {
                info.samples = be32(bytes, 8).into();
                info.is_uniform = be32(bytes, 4) != 0;
            }
            b"stz2" => info.samples = be32(bytes, 8).into(),
            b"stts" => {
                let entries = (be32(bytes, 4) as usize).min(bytes.len() / 8).min(MAX_ENTRIES);
                let sum = (0..entries).fold(0u64, |sum, i| {
                    let count = u64::from(be32(bytes, 8 + 8 * i));
                    sum.saturating_add(count * u64::from(be32(bytes, 12 + 8 * i)))
                });
                info.duration = info.duration.max(sum);
            }
            b"stco" | b"co64" => {
                let wide = &kind == b"co64";
                let size = if wide { 8 } else { 4 };
                let entries = (be32(bytes, 4) as usize).min(bytes.len() / size).min(MAX_ENTRIES);
                let offset = |i: usize| match wide {
                    true => be64(bytes, 8 + 8 * i),
                    false => be32(bytes, 8 + 4 * i).into(),
                };
                last_chunk = (0..entries).map(offset).max().unwrap_or(0);
            }
            b"stsd" => {
                if let Some((codec, entry)) =
                    boxes(moov, content.start.saturating_add(8)..content.end).into_iter().next()
                {
                    info.codec = codec;
                    // The fixed fields of a video sample entry; colr comes behind them.
                    let inner = entry.start.saturating_add(78)..entry.end;
                    if &info.handler == b"vide"
                        && let Some(colr) = find(moov, inner, &[b"colr"])
                    {
                        info.colors = colors(&moov[colr.clone()]);
                        let at = moov_at + colr.start as u64 - 4;
                        info.colors_at = info.colors.map(|_| at);
                    }
                }
            }
            _ => {}
        }
    }
    (info, last_chunk)
}

/// The content of `colr`; `None` for a color profile.
fn colors(colr: &[u8]) -> Option<Colors> {
    let number = |at: usize| Some(u16::from_be_bytes([*colr.get(at)?, *colr.get(at + 1)?]));
    let is_full_range = match colr.get(..4)? {
        b"nclx" => Some(colr.get(10)? & 0x80 != 0),
        b"nclc" => None,
        _ => return None,
    };
    let (primaries, transfer, matrix) = (number(4)?, number(6)?, number(8)?);
    Some(Colors { primaries, transfer, matrix, is_full_range })
}

fn edits(elst: &[u8]) -> Vec<Edit> {
    let wide = elst.first() == Some(&1);
    let size = if wide { 20 } else { 12 };
    let entries = (be32(elst, 4) as usize).min(elst.len() / size).min(MAX_ENTRIES);
    (0..entries)
        .map(|i| {
            let at = 8 + i * size;
            let (duration, media_time, rate) = match wide {
                true => (be64(elst, at), be64(elst, at + 8) as i64, be32(elst, at + 16)),
                false => (
                    be32(elst, at).into(),
                    i64::from(be32(elst, at + 4) as i32),
                    be32(elst, at + 8),
                ),
            };
            Edit { duration, media_time, is_odd: rate != 1 << 16 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::boxes::boxed;
    use super::*;

    #[test]
    fn hostile_files_are_read_without_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        let hdlr = boxed(b"hdlr", &[&[0; 8][..], b"vide", &[0; 13]].concat());
        let table = |kind| boxed(kind, &[0, 0, 0, 0, 255, 255, 255, 255]);
        let stbl = [table(b"stts"), table(b"stco"), table(b"co64"), table(b"stsz"), table(b"stsd")];
        let mdia = [hdlr, boxed(b"mdhd", b""), boxed(b"minf", &boxed(b"stbl", &stbl.concat()))];
        let edts = boxed(b"edts", &table(b"elst"));
        let trak = [boxed(b"tkhd", b""), edts, boxed(b"mdia", &mdia.concat())].concat();
        let udta = boxed(b"udta", &boxed(b"chpl", &[1, 0, 0, 0, 0, 255, 255, 255, 255, 1]));
        let moov = boxed(b"moov", &[boxed(b"trak", &trak), udta].concat());
        std::fs::write(&path, [boxed(b"ftyp", b"isom"), moov.clone()].concat()).unwrap();
        let movie = Movie::read(&path).unwrap();
        assert_eq!((movie.tracks.len(), movie.tracks[0].handler), (1, *b"vide"));
        // Any byte changed: nothing panics, nothing hangs.
        for at in 0..moov.len() {
            let mut damaged = moov.clone();
            for value in [0, 1, 255] {
                damaged[at] = value;
                std::fs::write(&path, &damaged).unwrap();
                let _ = Movie::read(&path);
            }
        }
    }
}
