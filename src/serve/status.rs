//! What is known of a camera, for people and for programs that watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::faces::{FaceEvent, Faces};
use crate::record::RecordFigures;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A camera's picture is there, or there again.
    CameraUp {
        /// Its name.
        camera: String,
        /// Width and height of its picture.
        size: (u32, u32),
        /// How long it was away; `None` the first time.
        outage: Option<Duration>,
    },
    /// A camera's picture is not there, or not there any more; it is tried again by itself.
    CameraDown {
        /// Its name.
        camera: String,
        /// Why, in plain words.
        reason: String,
    },
    /// Something that whoever runs this should know.
    Note {
        /// The camera's name.
        camera: String,
        /// A sentence.
        text: String,
    },
    /// A face came, or has gone.
    Face {
        /// Which.
        face: FaceEvent,
        /// Faces that the camera shows now.
        count: usize,
    },
    /// A face was seen better than before.
    BestShot {
        /// The camera's name.
        camera: String,
        /// The face, as JPEG.
        jpeg: Arc<Vec<u8>>,
    },
}

/// Who is told of events. Called from any thread; must not wait.
pub type EventSink = Arc<dyn Fn(&Event) + Send + Sync>;

/// How a camera is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Never seen since the start.
    Waiting,
    /// Its pictures come.
    Live,
    /// They came once.
    Lost,
}

impl State {
    /// A word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Lost => "lost",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) state: State,
    /// Since when it is so.
    pub(crate) since: Instant,
    pub(crate) reason: Option<String>,
    pub(crate) size: Option<(u32, u32)>,
    /// When the last picture came.
    pub(crate) last: Option<Instant>,
}

/// Upper limits of the delay's histogram, milliseconds.
pub(crate) const DELAYS: [u64; 9] = [10, 20, 40, 60, 100, 200, 400, 1000, 2000];

/// Condition and figures of one camera.
pub(crate) struct Status {
    pub(crate) camera: String,
    condition: Mutex<Condition>,
    sink: EventSink,
    /// Pictures that came from the camera, and pictures that went on to the outputs.
    pub(crate) frames_in: AtomicU64,
    pub(crate) frames_done: AtomicU64,
    /// Pictures that passed untouched because the machine is too slow.
    pub(crate) frames_bypassed: AtomicU64,
    /// Time between pictures and on their way lately, microseconds.
    interval_us: AtomicU64,
    delay_us: AtomicU64,
    pub(crate) attempts: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    /// How many pictures took up to [`DELAYS`], those that took longer, and milliseconds in all.
    pub(crate) delays: [AtomicU64; DELAYS.len() + 1],
    pub(crate) delay_ms: AtomicU64,
    /// The faces that are there.
    pub(crate) present: Faces,
    /// What recording has come to, if it is recorded.
    pub(crate) recorded: Arc<RecordFigures>,
    /// Figures of the element `facesr` in pipelines that have ended, and in the one that runs.
    pub(crate) faces: Mutex<FaceFigures>,
    /// Whether pictures pass untouched: the machine is much too slow.
    pub(crate) bypass: AtomicBool,
    /// Whether there is too little time to find and enhance faces, lately.
    is_behind: AtomicBool,
    /// The figures when that was decided.
    window: Mutex<Option<Window>>,
}

/// Figures at a moment.
struct Window {
    at: Instant,
    frames: u64,
    faces: FaceFigures,
}

/// Fewer searches a second find few faces: the detector is meant to run three times as often.
const RARE_SEARCHES: f64 = 1.5;
/// For so long figures are gathered before they say anything.
const WINDOW: Duration = Duration::from_secs(5);

/// Counts of the element `facesr`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FaceFigures {
    pub(crate) late: u64,
    pub(crate) enhanced: u64,
    pub(crate) errors: u64,
    /// Searches for faces, and pictures that should have been searched when the detector was still busy.
    pub(crate) searches: u64,
    pub(crate) skipped: u64,
    pub(crate) detect_ns: u64,
    pub(crate) track_ns: u64,
    pub(crate) generate_ns: u64,
    pub(crate) blend_ns: u64,
}

impl FaceFigures {
    /// What the element says now.
    pub(crate) fn of(element: &gst::Element) -> Self {
        use gst::prelude::*;
        let stats = element.property::<gst::Structure>("stats");
        let get = |name: &str| stats.get::<u64>(name).unwrap_or(0);
        Self {
            late: get("frames-untouched-late"),
            enhanced: get("faces-enhanced"),
            errors: get("enhancement-errors") + get("detection-errors"),
            searches: get("detections-run"),
            skipped: get("detections-skipped"),
            detect_ns: get("detect-ns"),
            track_ns: get("track-ns"),
            generate_ns: get("generate-ns"),
            blend_ns: get("crop-ns") + get("blend-ns"),
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            late: self.late + other.late,
            enhanced: self.enhanced + other.enhanced,
            errors: self.errors + other.errors,
            searches: self.searches + other.searches,
            skipped: self.skipped + other.skipped,
            detect_ns: self.detect_ns + other.detect_ns,
            track_ns: self.track_ns + other.track_ns,
            generate_ns: self.generate_ns + other.generate_ns,
            blend_ns: self.blend_ns + other.blend_ns,
        }
    }
}

impl Status {
    pub(crate) fn new(camera: &str, sink: EventSink) -> Self {
        let condition = Condition {
            state: State::Waiting,
            since: Instant::now(),
            reason: None,
            size: None,
            last: None,
        };
        Self {
            camera: camera.into(),
            condition: Mutex::new(condition),
            sink,
            frames_in: AtomicU64::new(0),
            frames_done: AtomicU64::new(0),
            frames_bypassed: AtomicU64::new(0),
            interval_us: AtomicU64::new(0),
            delay_us: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            delays: Default::default(),
            delay_ms: AtomicU64::new(0),
            present: Faces::default(),
            recorded: Arc::default(),
            faces: Mutex::default(),
            bypass: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            window: Mutex::new(None),
        }
    }

    pub(crate) fn condition(&self) -> Condition {
        self.condition.lock().clone()
    }

    /// Takes down that a picture of this size came.
    pub(crate) fn came(&self, size: (u32, u32)) {
        self.frames_in.fetch_add(1, Ordering::Relaxed);
        let mut it = self.condition.lock();
        if let Some(last) = it.last.replace(Instant::now()) {
            smooth(&self.interval_us, last.elapsed());
        }
        let changed = it.size.replace(size) != Some(size);
        if it.state == State::Live {
            drop(it);
            if changed {
                self.note(format!("the picture is {}x{} now", size.0, size.1));
            }
            return;
        }
        let outage = (it.state == State::Lost).then(|| it.since.elapsed());
        if outage.is_some() {
            self.reconnects.fetch_add(1, Ordering::Relaxed);
        }
        (it.state, it.since, it.reason) = (State::Live, Instant::now(), None);
        drop(it);
        self.tell(&Event::CameraUp { camera: self.camera.clone(), size, outage });
    }

    /// Takes down that there is no picture, and answers for how long.
    pub(crate) fn down(&self, reason: &str) -> Duration {
        let mut it = self.condition.lock();
        let was = (it.state, it.reason.replace(reason.into()));
        if it.state == State::Live {
            (it.state, it.since) = (State::Lost, Instant::now());
        }
        let outage = it.since.elapsed();
        let is_news = was.0 == State::Live || was.1.as_deref() != Some(reason);
        drop(it);
        if is_news {
            let (camera, reason) = (self.camera.clone(), reason.into());
            self.tell(&Event::CameraDown { camera, reason });
        }
        outage
    }

    /// Takes down what the element `facesr` has done so far.
    pub(crate) fn note_figures(&self, faces: FaceFigures) {
        *self.faces.lock() = faces;
        let now =
            Window { at: Instant::now(), frames: self.frames_in.load(Ordering::Relaxed), faces };
        let mut window = self.window.lock();
        match &*window {
            Some(before) if now.at.duration_since(before.at) < WINDOW => {}
            Some(before) => {
                self.is_behind.store(is_behind(before, &now), Ordering::Relaxed);
                *window = Some(now);
            }
            None => *window = Some(now),
        }
    }

    /// Takes down which faces there are now, as the element says.
    pub(crate) fn note_faces(&self, message: &gst::StructureRef) {
        self.tell_faces(self.present.record(&self.camera, message));
    }

    /// Takes down that no faces are known any more.
    pub(crate) fn no_faces(&self) {
        self.tell_faces(self.present.all_gone(&self.camera));
    }

    fn tell_faces(&self, events: Vec<FaceEvent>) {
        let count = self.present.count();
        events.into_iter().for_each(|face| self.tell(&Event::Face { face, count }));
    }

    /// Whether there is too little time to find and enhance faces.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// Takes down how long a picture was on its way.
    pub(crate) fn done(&self, delay: gst::ClockTime) {
        let ms = delay.mseconds();
        smooth(&self.delay_us, Duration::from_micros(delay.useconds()));
        let place = DELAYS.iter().position(|limit| ms <= *limit).unwrap_or(DELAYS.len());
        self.delays[place].fetch_add(1, Ordering::Relaxed);
        self.delay_ms.fetch_add(ms, Ordering::Relaxed);
        self.frames_done.fetch_add(1, Ordering::Relaxed);
    }

    /// Pictures a second and time on their way, lately.
    pub(crate) fn pace(&self) -> (f64, Duration) {
        let interval = self.interval_us.load(Ordering::Relaxed);
        let rate = if interval == 0 { 0.0 } else { 1e6 / interval as f64 };
        (rate, Duration::from_micros(self.delay_us.load(Ordering::Relaxed)))
    }

    /// Tells of a face that was seen better than before.
    pub(crate) fn tell_best_shot(&self, jpeg: Arc<Vec<u8>>) {
        self.tell(&Event::BestShot { camera: self.camera.clone(), jpeg });
    }

    /// Tells a sentence.
    pub(crate) fn note(&self, text: String) {
        self.tell(&Event::Note { camera: self.camera.clone(), text });
    }

    fn tell(&self, event: &Event) {
        (self.sink)(event);
    }
}

/// Whether searches came too rarely between two moments, or pictures passed because they were late.
fn is_behind(before: &Window, now: &Window) -> bool {
    let frames = now.frames.saturating_sub(before.frames);
    let late = now.faces.late.saturating_sub(before.faces.late);
    let searches = now.faces.searches.saturating_sub(before.faces.searches);
    let skipped = now.faces.skipped.saturating_sub(before.faces.skipped);
    let is_rare =
        (searches as f64) < RARE_SEARCHES * now.at.duration_since(before.at).as_secs_f64();
    frames > 0 && (late * 2 > frames || is_rare && skipped * 2 > frames)
}

/// Moves a mean by a sixteenth towards a new value. An outage is none.
fn smooth(mean: &AtomicU64, value: Duration) {
    let value = value.as_micros().min(5_000_000) as u64;
    let old = mean.load(Ordering::Relaxed);
    let new = if old == 0 { value } else { (old * 15 + value) / 16 };
    mean.store(new, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camera_is_behind_when_pictures_are_late_or_searches_rare() {
        let start = Instant::now();
        let moment = |seconds, frames, late, searches, skipped| Window {
            at: start + Duration::from_secs(seconds),
            frames,
            faces: FaceFigures { late, searches, skipped, ..FaceFigures::default() },
        };
        let zero = moment(0, 0, 0, 0, 0);
        assert!(!is_behind(&zero, &moment(5, 125, 10, 15, 30)));
        assert!(is_behind(&zero, &moment(5, 125, 80, 15, 30)));
        assert!(is_behind(&zero, &moment(5, 125, 0, 4, 100)));
        // A camera of one picture a second cannot be searched more often.
        assert!(!is_behind(&zero, &moment(5, 5, 0, 5, 0)));
        assert!(!is_behind(&zero, &moment(5, 0, 0, 0, 0)));
    }
}
