//! Matroska beside GStreamer: what a file says it holds, and the parts of an output that its muxer
//! leaves no say in.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::container::Kind;

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
const TAGS: u32 = 0x1254_C367;
const ATTACHMENTS: u32 = 0x1941_A469;
/// Largest element that is read whole.
const MAX_READ: u64 = 16 << 20;
/// Elements at the top that are looked at: a day has some ten thousand clusters.
const MAX_TOP: usize = 1 << 20;
/// Elements within one that are looked at.
const MAX_INNER: usize = 1 << 16;

/// What is said of a track of an output.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    /// Whether players choose it unasked.
    pub(super) is_default: Option<bool>,
}

/// One track of an input.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    kind: Option<Kind>,
    /// What it is called.
    pub(super) name: Option<String>,
    /// Whether players choose it unasked.
    pub(super) is_default: bool,
}

/// What a file says.
#[derive(Debug, Clone, Default)]
pub(super) struct Movie {
    /// How long it is, nanoseconds.
    pub(super) duration: Option<u64>,
    /// When it was recorded, nanoseconds since 2001.
    pub(super) date: Option<i64>,
    /// What it is called.
    pub(super) title: Option<String>,
    /// Texts that belong to the whole file, name and value.
    pub(super) tags: Vec<(String, String)>,
    tracks: Vec<Entry>,
    /// Files that are attached.
    pub(super) attachments: usize,
    /// Whether the file ends before what it announces.
    pub(super) is_cut: bool,
}

/// An element: its number, where its content begins, and its size; `None` for unknown.
type Element = (u32, usize, Option<u64>);

/// The element that `bytes` begin with.
fn element(bytes: &[u8]) -> Option<Element> {
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
fn children(bytes: &[u8]) -> Vec<(u32, usize, &[u8])> {
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

fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string()
}

/// Hands every element below the segment to `look`, until that returns false: number, where the
/// element and its content begin in the file, and its size. Returns whether the file ends before
/// an element does.
fn walk(
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

fn content(file: &mut File, begin: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(begin))?;
    file.take(size.min(MAX_READ)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Movie {
    /// Reads a file; `None` if it cannot be read.
    pub(super) fn read(path: &Path) -> Option<Self> {
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
            if matches!(id, INFO | TRACKS | TAGS | ATTACHMENTS) {
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
                    }
                    self.tracks.push(track);
                }
            }
            ATTACHMENTS => {
                self.attachments +=
                    children(bytes).into_iter().filter(|(id, ..)| *id == 0x61A7).count();
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

    /// The `number`-th track of a kind.
    pub(super) fn track(&self, kind: Kind, number: usize) -> Option<&Entry> {
        self.tracks.iter().filter(|track| track.kind == Some(kind)).nth(number)
    }
}

fn float(bytes: &[u8]) -> Option<f64> {
    let value = match bytes.len() {
        4 => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
        8 => f64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// An element with this content.
fn wrapped(id: u32, content: &[u8]) -> Vec<u8> {
    let bytes = id.to_be_bytes();
    let mut out = bytes[bytes.iter().take_while(|b| **b == 0).count()..].to_vec();
    // A size of eight bytes, which holds any.
    out.extend(((content.len() as u64) | 1 << 56).to_be_bytes());
    out.extend(content);
    out
}

/// The chapters of a table of contents: begin in nanoseconds, and title.
pub(super) fn chapters(toc: &gst::Toc) -> Vec<(u64, String)> {
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

/// Finishes a file that the muxer wrote: which tracks are chosen unasked, and the texts, which the
/// muxer writes as GStreamer serializes them.
///
/// # Errors
/// What the system answers.
pub(super) fn finish(
    path: &Path,
    tracks: &[Track],
    texts: &[(String, String)],
    mark: &str,
) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let (mut entries, mut tags, mut segment) = (None, None, None);
    {
        let head = content(&mut file, 0, 4096)?;
        let mut at = 0;
        while let Some((id, header, size)) = head.get(at..).and_then(element) {
            if id == SEGMENT {
                segment = Some((at as u64, header as u64, size));
                break;
            }
            at += header + size.unwrap_or(0) as usize;
        }
    }
    walk(&mut file, |_, id, (at, begin), size| {
        match id {
            TRACKS => entries = Some((begin, size)),
            TAGS => tags = Some((at, begin + size)),
            CLUSTER => {}
            _ => {}
        }
        Ok(true)
    })?;
    if let Some((begin, size)) = entries {
        let bytes = content(&mut file, begin, size)?;
        let written = children(&bytes).into_iter().filter(|(id, ..)| *id == 0xAE);
        for (track, (_, entry_at, entry)) in tracks.iter().zip(written) {
            let flag = children(entry).into_iter().find(|(id, _, c)| *id == 0x88 && c.len() == 1);
            if let (Some((_, at, _)), Some(is_default)) = (flag, track.is_default) {
                file.seek(SeekFrom::Start(begin + (entry_at + at) as u64))?;
                file.write_all(&[u8::from(is_default)])?;
            }
        }
    }
    // At the end of the file they can take any size.
    let Some((at, _)) = tags.filter(|(_, end)| *end == length) else { return Ok(()) };
    let mut simple = Vec::new();
    let has_comment = texts.iter().any(|(name, _)| name.eq_ignore_ascii_case("comment"));
    let mark = (if has_comment { "DESCRIPTION" } else { "COMMENT" }.to_string(), mark.to_string());
    for (name, value) in texts.iter().chain([&mark]) {
        let both = [wrapped(0x45A3, name.as_bytes()), wrapped(0x4487, value.as_bytes())].concat();
        simple.extend(wrapped(0x67C8, &both));
    }
    let tag = wrapped(0x7373, &[wrapped(0x63C0, b""), simple].concat());
    file.set_len(at)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&wrapped(TAGS, &tag))?;
    let end = file.stream_position()?;
    if let Some((at, header, Some(_))) = segment
        && header == 12
    {
        file.seek(SeekFrom::Start(at + 4))?;
        file.write_all(&((end - at - header) | 1 << 56).to_be_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
