//! What an input says it holds, read without the demuxer that will read it: held against what came
//! out of that in the end.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use gst::glib;

use super::container::{Container, Kind};
use super::damage::Damage;
use super::excerpt::Excerpt;
use super::format::Format;
use super::ledger::Ledger;
use super::status::lock;
use super::{Input, asf, avi, dhav, edits, flv, matroska, mp4, mpeg_ts};
use crate::term::Note;

/// What an input says.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// An MP4's index.
    pub(super) movie: Option<mp4::Movie>,
    /// A Matroska file's.
    pub(super) matroska: Option<matroska::Movie>,
    /// The tables of a transport stream.
    ts: mpeg_ts::Tables,
    /// What an FLV file says.
    flv: flv::Flv,
    /// Whether it holds sound that cannot be read.
    has_lost_sound: bool,
    /// Whether it is a tape's DV.
    is_dv: bool,
    /// Whether a file of another kind ends before what it announces, and how long it should be,
    /// nanoseconds.
    length: Option<(bool, Option<u64>)>,
    /// Ogg files that are one behind the other.
    ogg_files: Option<usize>,
    /// Whether another file is joined to it.
    is_joined: bool,
    /// What of it is wanted.
    excerpt: Excerpt,
    /// The search for damage, which goes on beside the work.
    damage: Mutex<Option<JoinHandle<Option<Damage>>>>,
}

/// Seconds from 1904 to 1970, which MP4 counts from.
const SINCE_1904: i64 = 2_082_844_800;
/// Seconds from 1970 to 2001, which Matroska counts from.
const UNTIL_2001: i64 = 978_307_200;

impl Inventory {
    /// Reads what `input` says.
    pub(super) fn of(input: &Input) -> Self {
        let Some(path) = input.path() else { return Self::default() };
        match input.format() {
            Format::Mp4 => {
                let movie = mp4::Movie::read(path);
                let is_joined = movie.as_ref().is_some_and(|movie| movie.is_joined);
                Self { movie, is_joined, ..Self::default() }
            }
            Format::Matroska { second } => {
                let is_joined = second.is_some();
                Self { matroska: matroska::Movie::read(path), is_joined, ..Self::default() }
            }
            Format::Ts { stride, offset } => {
                let ts = mpeg_ts::read(path, stride, offset);
                Self { length: Some((ts.is_cut, None)), ts, ..Self::default() }
            }
            Format::Flv => {
                let flv = flv::read(path).unwrap_or_default();
                let (length, is_joined) = (Some((flv.is_cut, None)), flv.is_joined);
                Self { length, flv, is_joined, ..Self::default() }
            }
            Format::Avi => {
                let avi = avi::read(path).unwrap_or_default();
                let length = Some((avi.is_cut, avi.duration));
                Self { length, is_joined: avi.is_joined, ..Self::default() }
            }
            Format::Dhav => {
                let (has_lost_sound, is_cut) = dhav::read(path).unwrap_or_default();
                Self { has_lost_sound, length: Some((is_cut, None)), ..Self::default() }
            }
            Format::Dv => Self { is_dv: true, ..Self::default() },
            Format::Asf => {
                let (is_cut, duration, is_joined) = asf::length(path).unwrap_or_default();
                Self { length: Some((is_cut, duration)), is_joined, ..Self::default() }
            }
            Format::Ogg { files, is_cut, .. } => {
                let length = Some((is_cut, None));
                Self { ogg_files: Some(files), length, ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    /// The same for a part of the input: its chapters lie elsewhere, and less is promised.
    pub(super) fn part(mut self, excerpt: Excerpt) -> Self {
        self.excerpt = excerpt;
        if let Some(movie) = &mut self.movie {
            movie.chapters = self.excerpt.chapters(std::mem::take(&mut movie.chapters));
        }
        self
    }

    /// Begins to look for damage in the middle of a file, all of which is wanted.
    pub(super) fn look_for_damage(&self, input: &Input) {
        if let (Input::File(path, format), true) = (input, self.excerpt.is_whole()) {
            let (path, format) = (path.clone(), *format);
            let search = std::thread::spawn(move || Damage::find(&path, format));
            *lock(&self.damage) = Some(search);
        }
    }

    /// What can be said before the work.
    pub(super) fn notes(&self, output: Option<Container>) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut loss = |text: String| notes.push(Note { text, is_loss: true });
        if let Some(files) = self.ogg_files.filter(|files| *files > 1) {
            loss(format!(
                "the file is {files} Ogg files in a row; only the first is in the output"
            ));
        }
        if self.is_joined {
            loss("the file is several in a row; only the first is in the output".into());
        }
        if let Some((from, to)) = self.ts.change {
            loss(format!(
                "the codec of one stream changes on the way (from type {from:#04x} to {to:#04x}); \
                 what follows of it is left out"
            ));
        }
        if self.has_lost_sound {
            loss("left out the sound, which GStreamer cannot read in this container".into());
        }
        if self.ts.programs > 1 {
            loss(format!(
                "the stream holds {} programs; only the first is in the output",
                self.ts.programs
            ));
        }
        let keeps_files = output == Some(Container::Matroska);
        if let Some(matroska) = &self.matroska
            && matroska.attachments > 0
            && !(keeps_files && matroska.can_copy_attached())
        {
            let advice = if keeps_files { "" } else { "; Matroska keeps them" };
            loss(format!("left out {} attached files{advice}", matroska.attachments));
        }
        if let Some(movie) = &self.movie {
            for _ in movie.tracks.iter().filter(|track| &track.handler == b"tmcd") {
                loss("left out the timecode track".into());
            }
        }
        notes
    }

    /// How many streams begin together, and within how many packets, if the demuxer does not tell when
    /// it has found all of them.
    pub(super) fn streams(&self) -> (usize, usize) {
        match self.is_dv {
            // Each frame holds sound, too, if there is any.
            true => (2, 8),
            false => (self.flv.streams, flv::BEGIN),
        }
    }

    /// Ticks a second of the input's video, if it is an MP4.
    pub(super) fn video_timescale(&self) -> Option<u32> {
        let tracks = &self.movie.as_ref()?.tracks;
        let video = tracks.iter().find(|track| &track.handler == b"vide")?;
        Some(video.timescale).filter(|scale| *scale > 0)
    }

    /// Whether a track of an MP4 holds its chapters.
    pub(super) fn holds_chapters(&self, track: u32) -> bool {
        self.movie.as_ref().is_some_and(|movie| {
            !movie.chapters.is_empty()
                && movie.tracks.iter().any(|other| other.chapter_tracks.contains(&track))
        })
    }

    /// When it was recorded, in seconds since 1970.
    fn recorded(&self) -> Option<i64> {
        let mp4 = self.movie.as_ref().map(|movie| movie.creation_time).filter(|time| *time > 0);
        let mp4 = mp4.and_then(|time| i64::try_from(time).ok()?.checked_sub(SINCE_1904));
        let date = self.matroska.as_ref().and_then(|matroska| matroska.date);
        mp4.or(date.and_then(|ns| (ns / 1_000_000_000).checked_add(UNTIL_2001)))
    }

    /// When it was recorded.
    pub(super) fn recorded_at(&self) -> Option<glib::DateTime> {
        glib::DateTime::from_unix_utc(self.recorded()?).ok()
    }

    /// What an MP4 output is told beside its tracks.
    pub(super) fn mp4_extra(&self, mark: &'static str) -> mp4::Extra {
        let created = self.recorded().and_then(|time| time.checked_add(SINCE_1904));
        let movie = self.movie.clone().unwrap_or_default();
        let mut user_data = movie.user_data;
        let has_place = user_data.iter().any(|(kind, _)| kind == b"\xa9xyz" || kind == b"loci");
        let texts = self.matroska.iter().flat_map(|matroska| &matroska.tags);
        let texts = texts.chain(&movie.texts).filter(|_| !has_place);
        let place = texts.filter(|(name, _)| name.eq_ignore_ascii_case("location")).take(1);
        user_data.extend(place.map(|(_, place)| mp4::place_box(place)));
        mp4::Extra {
            creation_time: created.and_then(|time| u64::try_from(time).ok()).unwrap_or(0),
            mark,
            user_data,
            chapters: movie.chapters,
            keys: movie.keys,
        }
    }

    /// The chapters of an MP4 as a table of contents.
    pub(super) fn toc(&self) -> Option<gst::Toc> {
        let movie = self.movie.as_ref().filter(|movie| !movie.chapters.is_empty())?;
        Some(toc_of(&movie.chapters, self.duration()))
    }

    /// How long the output is to be, as far as the input tells, nanoseconds.
    pub(super) fn duration(&self) -> u64 {
        let movie = self
            .movie
            .as_ref()
            .map(|movie| (movie.duration as f64 / f64::from(movie.timescale.max(1)) * 1e9) as u64);
        let matroska = self.matroska.as_ref().and_then(|matroska| matroska.duration);
        self.excerpt.duration(movie.or(matroska).unwrap_or(0))
    }

    /// Tracks of the input, and the bytes of their names.
    pub(super) fn names(&self) -> (usize, usize) {
        let movie = self.movie.iter().flat_map(|movie| &movie.tracks);
        let movie = movie.map(|track| track.name.as_ref().map_or(0, String::len));
        let matroska = self.matroska.iter().flat_map(|matroska| matroska.tracks());
        let matroska = matroska.map(|track| track.name.as_ref().map_or(0, String::len));
        let texts = self.texts();
        let title = texts.iter().find(|(name, _)| name.eq_ignore_ascii_case("title"));
        let title = title.map_or(0, |(_, title)| title.len());
        movie.chain(matroska).fold((0, title), |(n, bytes), name| (n + 1, bytes + name))
    }

    /// What a Matroska output, of the input at `source`, is told beside its tracks.
    pub(super) fn matroska_extra<'a>(
        &'a self,
        source: Option<&'a Path>,
        format: Container,
        mark: &'static str,
    ) -> matroska::Extra<'a> {
        let date = self
            .recorded()
            .and_then(|time| time.checked_sub(UNTIL_2001)?.checked_mul(1_000_000_000));
        let files = self.matroska.as_ref().zip(source);
        let files = files.filter(|(m, _)| format == Container::Matroska && m.can_copy_attached());
        matroska::Extra {
            texts: self.texts(),
            mark,
            date,
            attached: files.map(|(m, file)| matroska::Attached { file, at: m.attachments_at() }),
        }
    }

    /// Texts for a Matroska output, name and value.
    fn texts(&self) -> Vec<(String, String)> {
        let own = ["ENCODER", "DURATION", "TITLE"];
        let mut texts: Vec<_> = self.matroska.iter().flat_map(|m| m.tags.iter().cloned()).collect();
        texts.retain(|(name, _)| !own.iter().any(|own| own.eq_ignore_ascii_case(name)));
        if let Some(title) = self.matroska.as_ref().and_then(|m| m.title.clone()) {
            texts.insert(0, ("TITLE".into(), title));
        }
        let place = self.movie.iter().flat_map(|movie| &movie.user_data);
        texts.extend(place.filter_map(|(k, b)| mp4::place(k, b)).map(|p| ("LOCATION".into(), p)));
        for (name, text) in self.movie.iter().flat_map(|movie| &movie.texts) {
            if !texts.iter().any(|(known, _)| known == name) {
                texts.push((name.clone(), text.clone()));
            }
        }
        texts
    }

    /// What was promised and did not come; `position` is how far the video went, nanoseconds.
    pub(super) fn compare(&self, ledger: &Ledger, position: u64) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut loss = |text: String| notes.push(Note { text, is_loss: true });
        let came = position as f64 / 1e9;
        let cut = |wanted: Option<f64>| match wanted {
            Some(wanted) if wanted > came => {
                // So many digits that the two differ.
                let digits = if wanted - came < 0.1 { 3 } else { 1 };
                format!("the input is cut short: {came:.digits$} of {wanted:.digits$} s are there")
            }
            _ => format!("the input is cut short: {came:.1} s of it are there"),
        };
        let is_whole = self.excerpt.is_whole();
        if let Some(movie) = self.movie.as_ref().filter(|_| is_whole) {
            let wanted = movie.duration as f64 / f64::from(movie.timescale.max(1));
            if movie.is_cut {
                loss(cut((movie.duration > 0).then_some(wanted)));
            } else if !movie.has_fragments {
                compare_tracks(movie, ledger).into_iter().for_each(&mut loss);
            }
        }
        let matroska = self.matroska.as_ref().filter(|matroska| matroska.is_cut && is_whole);
        if let Some(matroska) = matroska {
            loss(cut(matroska.duration.map(|ns| ns as f64 / 1e9)));
        }
        if let Some((true, duration)) = self.length.filter(|_| is_whole) {
            loss(cut(duration.map(|ns| ns as f64 / 1e9)));
        }
        let search = lock(&self.damage).take();
        if let Some(damage) = search.and_then(|search| search.join().ok()).flatten() {
            loss(damage.sentence());
        }
        let sounds = ledger.streams_of(Kind::Audio);
        if sounds < self.ts.sounds.len() {
            // Which of them it was is not known if there are several.
            let (kind, pid) = self.ts.sounds[sounds];
            loss(format!(
                "left out {} of {} audio streams, which cannot be read (type {kind:#04x}, PID \
                 {pid:#06x})",
                self.ts.sounds.len() - sounds,
                self.ts.sounds.len()
            ));
        }
        // Of a part, what lies around it is not waited for.
        if let Some((lost, of)) = ledger.undecoded().filter(|_| is_whole) {
            loss(format!("{lost} of {of} frames are damaged and cannot be decoded"));
        }
        for kind in ledger.empty_streams() {
            let text = format!("one {} stream is announced but empty", kind.name());
            notes.push(Note { text, is_loss: false });
        }
        notes
    }
}

/// Chapters, each a begin in nanoseconds and a title, of a film that lasts `end` nanoseconds.
pub(super) fn toc_of(chapters: &[(u64, String)], end: u64) -> gst::Toc {
    let mut edition = gst::TocEntry::new(gst::TocEntryType::Edition, "edition");
    let ends = chapters.iter().skip(1).map(|(begin, _)| *begin).chain([end]);
    for (number, ((begin, title), stop)) in chapters.iter().zip(ends).enumerate() {
        let mut chapter =
            gst::TocEntry::new(gst::TocEntryType::Chapter, &format!("chapter-{number}"));
        let entry = chapter.make_mut();
        entry.set_start_stop_times(*begin as i64, stop.max(*begin) as i64);
        let mut tags = gst::TagList::new();
        if let Some(tags) = tags.get_mut() {
            tags.add::<gst::tags::Title>(&title.as_str(), gst::TagMergeMode::Replace);
        }
        entry.set_tags(tags);
        edition.make_mut().append_sub_entry(chapter);
    }
    let mut toc = gst::Toc::new(gst::TocScope::Global);
    toc.make_mut().append_entry(edition);
    toc
}

/// Tracks of an MP4 that did not come out of the demuxer whole.
fn compare_tracks(movie: &mp4::Movie, ledger: &Ledger) -> Vec<String> {
    let mut lost = Vec::new();
    for track in movie.tracks.iter().filter(|track| track.samples > 0) {
        let name = match &track.handler {
            b"vide" => "video",
            b"soun" => "audio",
            b"text" | b"sbtl" | b"subt" => "subtitle",
            // Timecodes are told of before; hints and other data are of no use elsewhere.
            _ => continue,
        };
        if movie.tracks.iter().any(|other| other.chapter_tracks.contains(&track.id)) {
            continue;
        }
        let codec = String::from_utf8_lossy(&track.codec).into_owned();
        match ledger.of_track(track.id) {
            None => lost.push(format!("left out one {name} track ({codec}), which cannot be read")),
            Some(stream) if !track.is_uniform && name != "subtitle" => {
                let packets = stream.packets.load(Ordering::Relaxed);
                // Two fields of a picture may come as one packet; GStreamer leaves out a last one now and
                // then.
                let is_exact =
                    name == "audio" || stream.is_one_to_one() && edits::are_simple(movie);
                if packets * 2 < track.samples || is_exact && packets + 2 < track.samples {
                    lost.push(format!(
                        "only {packets} of {} packets of one {name} track came",
                        track.samples
                    ));
                }
            }
            Some(_) => {}
        }
    }
    lost
}
