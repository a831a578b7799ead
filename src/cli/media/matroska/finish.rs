//! Finishing a Matroska file that GStreamer's muxer wrote: names, flags, delays and shapes of tracks,
//! texts, attached files.
//!
//! The muxer writes index (SeekHead), Info and Tracks in front, and has no room there. So it is given
//! a name of its program that is padded with blanks ([`reserve`]); once the file is whole, the
//! front is written again without them, and what is left over becomes a void.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::inventory::{ATTACHMENTS, INFO, SEGMENT, TAGS, TRACKS};
use super::inventory::{Movie, children, content, element, unsigned, walk};
use crate::media::container::WRITING_APP;

const SEEK_HEAD: u32 = 0x114D_9B74;
const CUES: u32 = 0x1C53_BB6B;
const CHAPTERS: u32 = 0x1043_A770;
/// Bytes that are kept free for each track beside its name.
const ROOM: usize = 512;
/// Bytes that are kept free at most.
const MAX_ROOM: usize = 1 << 20;
/// Largest attachments that are copied.
const MAX_ATTACHED: u64 = 256 << 20;

/// What is said of a track of an output.
#[derive(Debug, Clone, Default)]
pub(in crate::media) struct Track {
    /// What it is called.
    pub(in crate::media) name: Option<String>,
    /// Whether players choose it unasked.
    pub(in crate::media) is_default: Option<bool>,
    /// Elements that it has as they are.
    pub(in crate::media) copied: Vec<(u32, Vec<u8>)>,
    /// How much of it lies before the start, nanoseconds.
    pub(in crate::media) delay: u64,
    /// How wide and high it is shown, in pixels.
    pub(in crate::media) display: Option<(u32, u32)>,
}

/// Attached files of an input.
#[derive(Debug, Clone)]
pub(in crate::media) struct Attached<'a> {
    /// The input.
    pub(in crate::media) file: &'a Path,
    /// Where the elements that hold them lie in it: begin and size.
    pub(in crate::media) at: &'a [(u64, u64)],
}

/// What is said of the file beside its tracks.
#[derive(Debug, Clone, Default)]
pub(in crate::media) struct Extra<'a> {
    /// Texts, name and value.
    pub(in crate::media) texts: Vec<(String, String)>,
    /// What is said of how it was made.
    pub(in crate::media) mark: &'static str,
    /// When it was recorded, nanoseconds since 2001.
    pub(in crate::media) date: Option<i64>,
    /// Files to attach.
    pub(in crate::media) attached: Option<Attached<'a>>,
}

/// The name of the program for the muxer: blanks behind it make room for tracks with names of so
/// many bytes in all.
pub(in crate::media) fn reserve(tracks: usize, names: usize) -> String {
    let room = tracks.saturating_mul(ROOM).saturating_add(names).clamp(4096, MAX_ROOM);
    WRITING_APP.to_string() + &" ".repeat(room)
}

fn id_bytes(id: u32) -> Vec<u8> {
    let bytes = id.to_be_bytes();
    bytes[bytes.iter().take_while(|b| **b == 0).count()..].to_vec()
}

/// An element with this content.
pub(super) fn wrapped(id: u32, content: &[u8]) -> Vec<u8> {
    let mut out = id_bytes(id);
    // A size of eight bytes, which holds any.
    out.extend(((content.len() as u64) | 1 << 56).to_be_bytes());
    out.extend(content);
    out
}

fn number(id: u32, value: u64) -> Vec<u8> {
    wrapped(id, &value.to_be_bytes())
}

/// Nothing, in so many bytes; `None` if that is not possible.
fn void(bytes: usize) -> Option<Vec<u8>> {
    match bytes {
        0 => Some(Vec::new()),
        1 => None,
        2..=100 => {
            let mut out = vec![0xEC, 0x80 | (bytes - 2) as u8];
            out.resize(bytes, 0);
            Some(out)
        }
        _ => Some(wrapped(0xEC, &vec![0; bytes - 9])),
    }
}

/// Parts of a file that the muxer wrote.
#[derive(Debug, Default)]
struct Parts {
    /// Where the content of the segment begins.
    segment: u64,
    /// Header and size of the segment.
    segment_at: Option<(u64, u64, Option<u64>)>,
    /// Elements on the level below the segment: number, begin, begin of the content, end.
    elements: Vec<(u32, u64, u64, u64)>,
}

impl Parts {
    fn of(file: &mut File) -> io::Result<Self> {
        let mut parts = Self::default();
        let head = content(file, 0, 4096)?;
        let mut at = 0;
        while let Some((id, header, size)) = head.get(at..).and_then(element) {
            if id == SEGMENT {
                parts.segment = (at + header) as u64;
                parts.segment_at = Some((at as u64, header as u64, size));
                break;
            }
            at = at.saturating_add(header).saturating_add(size.unwrap_or(0) as usize);
        }
        walk(file, |_, id, (at, begin), size| {
            if at >= parts.segment {
                parts.elements.push((id, at, begin, begin + size));
            }
            Ok(true)
        })?;
        Ok(parts)
    }

    fn find(&self, wanted: u32) -> Option<(u64, u64, u64)> {
        let found = self.elements.iter().find(|(id, ..)| *id == wanted);
        found.map(|(_, at, begin, end)| (*at, *begin, *end))
    }
}

/// Finishes a file that the muxer wrote.
///
/// # Errors
/// What the system answers.
pub(in crate::media) fn finish(path: &Path, tracks: &[Track], extra: &Extra<'_>) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let parts = Parts::of(&mut file)?;
    let has_attached = parts.find(ATTACHMENTS).is_some();
    // What comes last can take any size.
    let tags_at = match parts.find(TAGS) {
        Some((at, _, end)) if end == length => at,
        Some(_) => return Ok(()),
        None => length,
    };
    file.set_len(tags_at)?;
    file.seek(SeekFrom::Start(tags_at))?;
    let mut attached_at = None;
    if let Some(attached) = extra.attached.as_ref().filter(|_| !has_attached) {
        attached_at = Some(tags_at);
        copy_attached(&mut file, attached)?;
    }
    let new_tags_at = file.stream_position()?;
    file.write_all(&tags(extra))?;
    let end = file.stream_position()?;
    if let Some((at, 12, Some(_))) = parts.segment_at {
        file.seek(SeekFrom::Start(at + 4))?;
        file.write_all(&((end - parts.segment) | 1 << 56).to_be_bytes())?;
    }
    front(
        &mut file,
        &parts,
        tracks,
        extra,
        &[(ATTACHMENTS, attached_at), (TAGS, Some(new_tags_at))],
    )
}

/// Writes the front again. `moved` are elements that lie elsewhere than the muxer put them.
fn front(
    file: &mut File,
    parts: &Parts,
    tracks: &[Track],
    extra: &Extra<'_>,
    moved: &[(u32, Option<u64>)],
) -> io::Result<()> {
    let (Some(head), Some(info), Some(entries)) =
        (parts.find(SEEK_HEAD), parts.find(INFO), parts.find(TRACKS))
    else {
        return Ok(());
    };
    // As the muxer has it: one behind the other.
    if head.2 != info.0 || info.2 != entries.0 {
        return Ok(());
    }
    let room = (entries.2 - head.0) as usize;
    let info = new_info(&content(file, info.1, info.2 - info.1)?, extra);
    let entries = new_tracks(&content(file, entries.1, entries.2 - entries.1)?, tracks);
    // Sizes do not depend on the places.
    let mut places = vec![(INFO, 0), (TRACKS, 0)];
    for wanted in [CHAPTERS, CUES] {
        places.extend(parts.find(wanted).map(|(at, ..)| (wanted, at)));
    }
    places.extend(moved.iter().filter_map(|(id, at)| Some((*id, (*at)?))));
    let seek_head = |places: &[(u32, u64)]| {
        let seeks = places.iter().flat_map(|(id, at)| {
            let place = at.saturating_sub(parts.segment);
            wrapped(0x4DBB, &[wrapped(0x53AB, &id_bytes(*id)), number(0x53AC, place)].concat())
        });
        wrapped(SEEK_HEAD, &seeks.collect::<Vec<_>>())
    };
    let info_at = head.0 + seek_head(&places).len() as u64;
    places[0].1 = info_at;
    places[1].1 = info_at + info.len() as u64;
    let mut out = [seek_head(&places), info, entries].concat();
    let Some(rest) = room.checked_sub(out.len()).and_then(void) else {
        return match tracks {
            [] => Err(io::Error::other("there is no room for what is said of the tracks")),
            _ => front(file, parts, &[], extra, moved),
        };
    };
    out.extend(rest);
    file.seek(SeekFrom::Start(head.0))?;
    file.write_all(&out)
}

fn new_info(old: &[u8], extra: &Extra<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, _, content) in children(old) {
        match id {
            0x5741 => out.extend(wrapped(id, WRITING_APP.as_bytes())),
            0x4461 | 0x7BA9 => {}
            _ => out.extend(wrapped(id, content)),
        }
    }
    if let Some(date) = extra.date {
        out.extend(wrapped(0x4461, &date.to_be_bytes()));
    }
    let title = extra.texts.iter().find(|(name, _)| name.eq_ignore_ascii_case("title"));
    if let Some((_, title)) = title {
        out.extend(wrapped(0x7BA9, title.as_bytes()));
    }
    wrapped(INFO, &out)
}

fn new_tracks(old: &[u8], tracks: &[Track]) -> Vec<u8> {
    let mut tracks = tracks.iter();
    let mut out = Vec::new();
    for (id, _, content) in children(old) {
        let known = if id == 0xAE { tracks.next().cloned() } else { None };
        match known {
            Some(track) => out.extend(wrapped(id, &new_track(content, &track))),
            None => out.extend(wrapped(id, content)),
        }
    }
    wrapped(TRACKS, &out)
}

fn new_track(old: &[u8], track: &Track) -> Vec<u8> {
    let mut added = Vec::new();
    if let Some(name) = &track.name {
        added.push((0x536E, name.as_bytes().to_vec()));
    }
    if let Some(is_default) = track.is_default {
        added.push((0x88, vec![u8::from(is_default)]));
    }
    if track.delay > 0 {
        added.push((0x56AA, track.delay.to_be_bytes().to_vec()));
    }
    let copied = track.copied.iter().filter(|(id, _)| *id != 0x88 || track.is_default.is_none());
    added.extend(copied.cloned());
    let mut out = Vec::new();
    for (id, _, content) in children(old) {
        let is_replaced = added.iter().any(|(new, _)| *new == id);
        match id {
            // The muxer calls every track by its kind.
            0x536E => {}
            0xE0 => out.extend(wrapped(id, &new_video(content, track.display))),
            _ if is_replaced => {}
            _ => out.extend(wrapped(id, content)),
        }
    }
    for (id, content) in added {
        out.extend(wrapped(id, &content));
    }
    out
}

/// The picture of a track with its shape set: the muxer rounds it.
fn new_video(old: &[u8], display: Option<(u32, u32)>) -> Vec<u8> {
    let Some((width, height)) = display else { return old.to_vec() };
    let mut out = Vec::new();
    for (id, _, content) in children(old) {
        // Width, height and unit that it is shown in.
        if !matches!(id, 0x54B0 | 0x54BA | 0x54B2) {
            out.extend(wrapped(id, content));
        }
    }
    let of = |wanted| children(old).iter().find(|(id, ..)| *id == wanted).map(|c| unsigned(c.2));
    if of(0xB0) != Some(width.into()) || of(0xBA) != Some(height.into()) {
        out.extend(number(0x54B0, width.into()));
        out.extend(number(0x54BA, height.into()));
    }
    out
}

fn tags(extra: &Extra<'_>) -> Vec<u8> {
    let has_comment = extra.texts.iter().any(|(name, _)| name.eq_ignore_ascii_case("comment"));
    let kind = if has_comment { "DESCRIPTION" } else { "COMMENT" };
    let mark = (kind.to_string(), extra.mark.to_string());
    let mut simple = Vec::new();
    for (name, value) in extra.texts.iter().chain([&mark]) {
        let both = [wrapped(0x45A3, name.as_bytes()), wrapped(0x4487, value.as_bytes())].concat();
        simple.extend(wrapped(0x67C8, &both));
    }
    wrapped(TAGS, &wrapped(0x7373, &[wrapped(0x63C0, b""), simple].concat()))
}

fn copy_attached(file: &mut File, attached: &Attached<'_>) -> io::Result<()> {
    let size = attached.at.iter().fold(0u64, |sum, (_, size)| sum.saturating_add(*size));
    let mut input = File::open(attached.file)?;
    file.write_all(&id_bytes(ATTACHMENTS))?;
    file.write_all(&(size | 1 << 56).to_be_bytes())?;
    for (begin, size) in attached.at {
        input.seek(SeekFrom::Start(*begin))?;
        let copied = io::copy(&mut io::Read::take(&mut input, *size), file)?;
        if copied != *size {
            return Err(io::Error::other("the attached files of the input have changed"));
        }
    }
    Ok(())
}

impl Movie {
    /// Whether its attached files are small enough to be copied.
    pub(in crate::media) fn can_copy_attached(&self) -> bool {
        let sizes = self.attachments_at().iter().map(|(_, size)| *size);
        self.attachments > 0 && sizes.fold(0, u64::saturating_add) <= MAX_ATTACHED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as the muxer writes it.
    fn muxed(dir: &Path) -> std::path::PathBuf {
        let info = wrapped(INFO, &wrapped(0x5741, reserve(1, 10).as_bytes()));
        let video = wrapped(0xE0, &[number(0xB0, 160), number(0xBA, 120)].concat());
        let track = [number(0x83, 1), wrapped(0x536E, b"Video"), video].concat();
        let tracks = wrapped(TRACKS, &wrapped(0xAE, &track));
        let cluster = wrapped(0x1F43_B675, &[7; 32]);
        let head = wrapped(SEEK_HEAD, &[0xEC, 0x9E, 0, 0, 0, 0, 0, 0, 0, 0]);
        let tags = wrapped(TAGS, b"");
        let body = [head, info, tracks, cluster, wrapped(CUES, b"x"), tags].concat();
        let path = dir.join("a.mkv");
        std::fs::write(&path, [wrapped(0x1A45_DFA3, b""), wrapped(SEGMENT, &body)].concat())
            .unwrap();
        path
    }

    #[test]
    fn finished_file_has_names_flags_and_attachments() {
        let dir = tempfile::tempdir().unwrap();
        let path = muxed(dir.path());
        let before = std::fs::metadata(&path).unwrap().len();
        std::fs::write(dir.path().join("in"), b"....attached").unwrap();
        let track = Track {
            name: Some("Street".into()),
            is_default: Some(false),
            delay: 23_000_000,
            display: Some((640, 360)),
            ..Track::default()
        };
        let extra = Extra {
            texts: vec![("TITLE".into(), "Gate".into())],
            mark: "made",
            date: Some(5),
            attached: Some(Attached { file: &dir.path().join("in"), at: &[(4, 8)] }),
        };
        finish(&path, &[track], &extra).unwrap();
        let movie = Movie::read(&path).unwrap();
        assert!(!movie.is_cut);
        assert_eq!((movie.title.as_deref(), movie.date), (Some("Gate"), Some(5)));
        let entry = movie.track(crate::media::container::Kind::Video, 0).unwrap();
        assert_eq!((entry.name.as_deref(), entry.is_default), (Some("Street"), false));
        let bytes = std::fs::read(&path).unwrap();
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(holds(b"attached") && holds(&number(0x54B0, 640)) && holds(&[7; 32]));
        assert!(holds(&number(0x56AA, 23_000_000)) && !holds(b"        "));
        assert!(bytes.len() as u64 > before);
    }

    #[test]
    fn voids_have_the_size_that_is_asked_for() {
        for size in [0, 2, 3, 50, 100, 101, 4096] {
            assert_eq!(void(size).unwrap().len(), size);
        }
        assert!(void(1).is_none());
    }
}
