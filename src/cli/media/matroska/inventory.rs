//! What a Matroska file says it holds, read without GStreamer's demuxer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::media::container::Kind;

pub(in crate::media) const EBML: u32 = 0x1A45_DFA3;
pub(in crate::media) const SEGMENT: u32 = 0x1853_8067;
pub(super) const INFO: u32 = 0x1549_A966;
pub(super) const TRACKS: u32 = 0x1654_AE6B;
pub(super) const TAGS: u32 = 0x1254_C367;
pub(super) const ATTACHMENTS: u32 = 0x1941_A469;
/// Elements of a track that an output has as they are: languages, and the flags by which players
/// choose (default, forced, for whom it is).
const COPIED: [u32; 9] =
    [0x88, 0x55AA, 0x55AB, 0x55AC, 0x55AD, 0x55AE, 0x55AF, 0x22_B59C, 0x22_B59D];
/// Largest element that is read whole.
const MAX_READ: u64 = 16 << 20;
/// Elements at the top that are looked at: a day has some ten thousand clusters.
const MAX_TOP: usize = 1 << 20;
/// Elements within one that are looked at.
const MAX_INNER: usize = 1 << 16;

/// One track of an input.
#[derive(Debug, Clone, Default)]
pub(in crate::media) struct Entry {
    kind: Option<Kind>,
    /// What it is called.
    pub(in crate::media) name: Option<String>,
    /// Whether players choose it unasked.
    pub(in crate::media) is_default: bool,
    /// Elements that an output's track has as they are: languages and flags.
    pub(in crate::media) copied: Vec<(u32, Vec<u8>)>,
}

/// What a file says.
#[derive(Debug, Clone, Default)]
pub(in crate::media) struct Movie {
    /// How long it is, nanoseconds.
    pub(in crate::media) duration: Option<u64>,
    /// When it was recorded, nanoseconds since 2001.
    pub(in crate::media) date: Option<i64>,
    /// What it is called.
    pub(in crate::media) title: Option<String>,
    /// Texts that belong to the whole file, name and value.
    pub(in crate::media) tags: Vec<(String, String)>,
    tracks: Vec<Entry>,
    /// Files that are attached.
    pub(in crate::media) attachments: usize,
    /// Where they lie: begin and size of the elements' contents.
    attachments_at: Vec<(u64, u64)>,
    /// Whether the file ends before what it announces.
    pub(in crate::media) is_cut: bool,
}

/// An element: its number, where its content begins, and its size; `None` for unknown.
pub(in crate::media) type Element = (u32, usize, Option<u64>);

/// The element that `bytes` begin with.
pub(in crate::media) fn element(bytes: &[u8]) -> Option<Element> {
    let (id_length, _) = vint_length(*bytes.first()?)?;
    if id_length > 4 {
        return None;
    }
    let id = bytes.get(..id_length)?.iter().fold(0u32, |id, b| id << 8 | u32::from(*b));
    let (length, first) = vint_length(*bytes.get(id_length)?)?;
    let rest = bytes.get(id_length + 1..id_length + length)?;
    let size = rest.iter().fold(u64::from(first), |size, b| size << 8 | u64::from(*b));
    let unknown = (1u64 << (7 * length)) - 1;
    Some((id, id_length + length, (size != unknown).then_some(size)))
}

/// Length of a number by its first byte, and the bits of the number in that.
fn vint_length(first: u8) -> Option<(usize, u8)> {
    let length = first.leading_zeros() as usize + 1;
    (length <= 8).then(|| (length, if length == 8 { 0 } else { first & (0xff >> length) }))
}

/// The elements in `bytes`: number and content, and where that begins.
pub(super) fn children(bytes: &[u8]) -> Vec<(u32, usize, &[u8])> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < MAX_INNER
        && let Some((id, header, Some(size))) = bytes.get(at..).and_then(element)
    {
        let begin = at + header;
        let Some(end) = usize::try_from(size).ok().and_then(|size| begin.checked_add(size)) else {
            break;
        };
        let Some(content) = bytes.get(begin..end) else { break };
        found.push((id, begin, content));
        at = end;
    }
    found
}

pub(super) fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string()
}

/// Hands every element below the segment to `look`, until that returns false: number, where the
/// element and its content begin in the file, and its size. Returns whether the file ends before
/// an element does.
pub(super) fn walk(
    file: &mut File,
    mut look: impl FnMut(&mut File, u32, (u64, u64), u64) -> io::Result<bool>,
) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let mut at = 0;
    for _ in 0..MAX_TOP {
        file.seek(SeekFrom::Start(at))?;
        let mut head = Vec::new();
        Read::by_ref(file).take(16).read_to_end(&mut head)?;
        let Some((id, header, size)) = element(&head) else { return Ok(false) };
        let begin = at + header as u64;
        if id == SEGMENT {
            if size.is_some_and(|size| begin.saturating_add(size) > length) {
                return Ok(true);
            }
            at = begin;
            continue;
        }
        // Of unknown size are only clusters of live streams, after which nothing is announced.
        let Some(size) = size else { return Ok(false) };
        let Some(end) = begin.checked_add(size).filter(|end| *end <= length) else {
            return Ok(true);
        };
        if !look(file, id, (at, begin), size)? {
            return Ok(false);
        }
        at = end;
    }
    Ok(false)
}

pub(super) fn content(file: &mut File, begin: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(begin))?;
    file.take(size.min(MAX_READ)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Movie {
    /// Where its attached files lie: begin and size of the elements that hold them.
    pub(in crate::media) fn attachments_at(&self) -> &[(u64, u64)] {
        &self.attachments_at
    }

    /// Reads a file; `None` if it cannot be read.
    pub(in crate::media) fn read(path: &Path) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let mut movie = Self::default();
        let cut_in_segment = {
            // What is known stays known where the file ends too early: the parts lie in front.
            let mut clipped = File::open(path).ok()?;
            let length = clipped.metadata().ok()?.len();
            movie.is_cut = walk(&mut file, |_, _, _, _| Ok(true)).ok()?;
            movie.read_parts(&mut clipped, length).ok()
        };
        cut_in_segment.map(|()| movie)
    }

    fn read_parts(&mut self, file: &mut File, length: u64) -> io::Result<()> {
        let mut at = 0;
        for _ in 0..MAX_TOP {
            let head = content(file, at, 16)?;
            let Some((id, header, size)) = element(&head) else { return Ok(()) };
            let begin = at + header as u64;
            if id == SEGMENT {
                at = begin;
                continue;
            }
            let Some(end) = size.and_then(|size| begin.checked_add(size)) else { return Ok(()) };
            if end > length {
                return Ok(());
            }
            if id == ATTACHMENTS {
                self.attachments_at.push((begin, end - begin));
                self.attachments += count_files(file, begin, end)?;
            }
            if matches!(id, INFO | TRACKS | TAGS) {
                let bytes = content(file, begin, end - begin)?;
                self.read_part(id, &bytes);
            }
            at = end;
        }
        Ok(())
    }

    fn read_part(&mut self, id: u32, bytes: &[u8]) {
        match id {
            INFO => {
                let (mut scale, mut duration) = (1_000_000, None);
                for (id, _, content) in children(bytes) {
                    match id {
                        0x2A_D7B1 => scale = unsigned(content),
                        0x4489 => duration = float(content),
                        0x4461 => {
                            self.date = <[u8; 8]>::try_from(content).ok().map(i64::from_be_bytes)
                        }
                        0x7BA9 => self.title = Some(text(content)),
                        _ => {}
                    }
                }
                self.duration = duration.map(|ticks| (ticks * scale as f64) as u64);
            }
            TRACKS => {
                for (_, _, entry) in children(bytes).into_iter().filter(|(id, ..)| *id == 0xAE) {
                    let mut track = Entry { is_default: true, ..Entry::default() };
                    for (id, _, content) in children(entry) {
                        match id {
                            0x83 => {
                                track.kind = match unsigned(content) {
                                    1 => Some(Kind::Video),
                                    2 => Some(Kind::Audio),
                                    0x11 => Some(Kind::Subtitle),
                                    _ => None,
                                };
                            }
                            0x88 => track.is_default = unsigned(content) != 0,
                            0x536E => track.name = Some(text(content)),
                            _ => {}
                        }
                        if COPIED.contains(&id) && content.len() < 256 {
                            track.copied.push((id, content.to_vec()));
                        }
                    }
                    self.tracks.push(track);
                }
            }
            _ => {
                for (_, _, tag) in children(bytes) {
                    let parts = children(tag);
                    // Those with a target belong to a track or a chapter.
                    let is_global =
                        parts.iter().filter(|(id, ..)| *id == 0x63C0).all(|(_, _, t)| {
                            !children(t).iter().any(|(id, _, uid)| {
                                matches!(id, 0x63C5 | 0x63C4 | 0x63C9 | 0x63C6)
                                    && unsigned(uid) != 0
                            })
                        });
                    for (_, _, simple) in parts.iter().filter(|(id, ..)| is_global && *id == 0x67C8)
                    {
                        let of = |wanted: u32| {
                            let found = children(simple).into_iter().find(|(id, ..)| *id == wanted);
                            found.map(|(_, _, content)| text(content))
                        };
                        self.tags.extend(of(0x45A3).zip(of(0x4487)));
                    }
                }
            }
        }
    }

    /// All its tracks.
    pub(in crate::media) fn tracks(&self) -> &[Entry] {
        &self.tracks
    }

    /// The `number`-th track of a kind.
    pub(in crate::media) fn track(&self, kind: Kind, number: usize) -> Option<&Entry> {
        self.tracks.iter().filter(|track| track.kind == Some(kind)).nth(number)
    }
}

/// Where a second file begins that was joined to the one at `path`.
pub(in crate::media) fn second_file(path: &Path) -> Option<u64> {
    let mut second = None;
    walk(&mut File::open(path).ok()?, |_, id, (at, _), _| {
        second = (id == EBML && at > 0).then_some(at);
        Ok(second.is_none())
    })
    .ok()?;
    second
}

/// How many files are attached between two places of a file.
fn count_files(file: &mut File, mut at: u64, end: u64) -> io::Result<usize> {
    let mut files = 0;
    while files < MAX_INNER && at < end {
        let head = content(file, at, 16)?;
        let Some((id, header, Some(size))) = element(&head) else { break };
        files += usize::from(id == 0x61A7);
        at = at.saturating_add(header as u64).saturating_add(size);
    }
    Ok(files)
}

fn float(bytes: &[u8]) -> Option<f64> {
    let value = match bytes.len() {
        4 => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
        8 => f64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// The chapters of a table of contents: begin in nanoseconds, and title.
pub(in crate::media) fn chapters(toc: &gst::Toc) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut entries = toc.entries();
    // An edition holds the chapters.
    if let [edition] = entries.as_slice()
        && edition.entry_type() == gst::TocEntryType::Edition
    {
        entries = edition.sub_entries();
    }
    for entry in entries {
        let title = entry
            .tags()
            .and_then(|tags| tags.get::<gst::tags::Title>().map(|title| title.get().to_string()));
        if let Some((begin, _)) = entry.start_stop_times() {
            found.push((u64::try_from(begin).unwrap_or(0), title.unwrap_or_default()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::finish::wrapped;
    use super::*;

    #[test]
    fn hostile_files_are_read_without_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mkv");
        let info = wrapped(
            INFO,
            &[wrapped(0x4489, &1000f32.to_be_bytes()), wrapped(0x7BA9, b"x")].concat(),
        );
        let track = wrapped(
            0xAE,
            &[wrapped(0x83, &[2]), wrapped(0x88, &[0]), wrapped(0x536E, b"y")].concat(),
        );
        let body = [info, wrapped(TRACKS, &track), wrapped(TAGS, b"\x73\x73\x80")].concat();
        let whole = [wrapped(0x1A45_DFA3, b""), wrapped(SEGMENT, &body)].concat();
        std::fs::write(&path, &whole).unwrap();
        let movie = Movie::read(&path).unwrap();
        assert_eq!((movie.duration, movie.is_cut), (Some(1_000_000_000), false));
        let audio = movie.track(Kind::Audio, 0).unwrap();
        assert_eq!((audio.name.as_deref(), audio.is_default), (Some("y"), false));
        assert_eq!(second_file(&path), None);
        std::fs::write(&path, [whole.clone(), whole.clone()].concat()).unwrap();
        assert_eq!(second_file(&path), Some(whole.len() as u64));
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        assert!(Movie::read(&path).unwrap().is_cut);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            for value in [0, 1, 8, 255] {
                damaged[at] = value;
                std::fs::write(&path, &damaged).unwrap();
                let _ = Movie::read(&path);
            }
        }
    }
}
