//! Implementation of `facesrdetect`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

use facesr::detect::DetectorOptions;
use facesr::{Face, Finder, FinderOptions, Timestamp};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::settings::{Live, Settings, properties};
use crate::lock::lock;
use crate::settings::{self, LiveUse};
use crate::stream::{Latency, Lateness, Liveness, Timeline, Times};
use crate::video::{self, Video};
use crate::{errors, faces};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "facesrdetect",
        gst::DebugColorFlags::empty(),
        Some("Face detector and tracker"),
    )
});

/// The element.
#[derive(Default)]
pub struct FacesrDetect {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    stats: Mutex<Stats>,
    lateness: Lateness,
    liveness: Liveness,
    latency: Latency,
    is_live: AtomicBool,
}

/// What there is between start and stop.
#[derive(Default)]
struct State {
    search: Option<Search>,
    video: Option<Video>,
    timeline: Timeline,
    faces: Vec<Face>,
    /// Identifiers of the faces in the latest message, sorted.
    posted: Vec<u64>,
    warned: bool,
}

/// A detector at work.
struct Search {
    finder: Finder,
    options: FinderOptions,
    opened: DetectorOptions,
    /// A new finder counts its faces from 1 again: this keeps the numbers apart.
    first_id: u64,
    last_id: u64,
    /// What finders before this one have done.
    before: Stats,
}

/// What the property `stats` says.
#[derive(Debug, Clone, Copy, Default)]
struct Stats {
    frames: u64,
    late: u64,
    errors: u64,
    detections_run: u64,
    tiles_searched: u64,
    detections_skipped: u64,
    faces_detected: u64,
    tracks: u64,
    detect_ns: u64,
    track_ns: u64,
}

impl Stats {
    /// Sets the counts of the finder to those of `finder`, which came after `before`.
    fn follow(&mut self, before: &Stats, finder: &Finder) {
        let now = finder.stats();
        self.detections_run = before.detections_run + now.detections_run;
        self.tiles_searched = before.tiles_searched + now.tiles_searched;
        self.detections_skipped = before.detections_skipped + now.detections_skipped;
        self.faces_detected = before.faces_detected + now.faces_detected;
        self.tracks = before.tracks + now.tracks;
        self.detect_ns = before.detect_ns + now.detect.as_nanos() as u64;
        self.track_ns = before.track_ns + now.track.as_nanos() as u64;
    }

    fn to_structure(self) -> gst::Structure {
        gst::Structure::builder("facesrdetect-stats")
            .field("frames", self.frames)
            .field("frames-not-searched-late", self.late)
            .field("detection-errors", self.errors)
            .field("detections-run", self.detections_run)
            .field("tiles-searched", self.tiles_searched)
            .field("detections-skipped", self.detections_skipped)
            .field("faces-detected", self.faces_detected)
            .field("tracks", self.tracks)
            .field("detect-ns", self.detect_ns)
            .field("track-ns", self.track_ns)
            .build()
    }
}

impl Search {
    fn open(opened: DetectorOptions, options: FinderOptions) -> Result<Self, facesr::ModelError> {
        let finder = Finder::new(facesr::detect::open(&opened)?, options.clone());
        Ok(Self { finder, options, opened, first_id: 0, last_id: 0, before: Stats::default() })
    }

    /// Follows the properties and what `options` say of this frame.
    fn follow(
        &mut self,
        live: &Live,
        options: FinderOptions,
        stats: &Stats,
    ) -> Result<(), facesr::ModelError> {
        if options != self.options {
            self.finder.set_options(options.clone());
            self.options = options;
        }
        if live.alter(&mut self.opened) {
            let detector = facesr::detect::open(&self.opened)?;
            self.finder = Finder::new(detector, self.options.clone());
            self.first_id = self.last_id;
            self.before = *stats;
        }
        Ok(())
    }
}

impl FacesrDetect {
    /// Whether the stream is live now, and so to be searched in the background. Tells about it if
    /// that has changed.
    fn follow_live(&self, wanted: LiveUse) -> bool {
        let obj = self.obj();
        let live = self.liveness.of(wanted, obj.sink_pad());
        if self.is_live.swap(live, Ordering::Relaxed) != live {
            gst::info!(CAT, imp = self, "the stream is {}live", if live { "" } else { "not " });
            obj.notify("is-live");
        }
        let waits = !live && self.liveness.of_source(obj.sink_pad());
        if self.latency.update(waits) {
            let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
        }
        live
    }

    /// Forgets the faces of what came before.
    fn forget(&self, state: &mut State) {
        gst::debug!(CAT, imp = self, "the stream starts anew, forgetting its faces");
        if let Some(search) = &mut state.search {
            search.finder.reset();
        }
    }

    /// The message for the bus, if other faces are there than at the last one.
    fn message(&self, state: &mut State, times: &Times) -> Option<gst::Message> {
        let mut ids: Vec<u64> = state.faces.iter().map(|face| face.id).collect();
        ids.sort_unstable();
        if ids == state.posted {
            return None;
        }
        state.posted = ids;
        let faces = state.faces.iter().map(|face| {
            gst::Structure::builder("face")
                .field("id", face.id)
                .field("x", f64::from(face.rect.x))
                .field("y", f64::from(face.rect.y))
                .field("w", f64::from(face.rect.w))
                .field("h", f64::from(face.rect.h))
                .field("score", f64::from(face.score))
                .build()
        });
        let structure = gst::Structure::builder("facesr-faces")
            .field_if_some("timestamp", times.timestamp)
            .field_if_some("stream-time", times.stream)
            .field_if_some("running-time", times.running)
            .field_if_some("duration", times.duration)
            .field("faces", gst::List::new(faces))
            .build();
        Some(gst::message::Element::builder(structure).src(&*self.obj()).build())
    }

    /// Posts at most one warning a run: a detector that fails on each frame would flood the bus.
    fn warn_once(&self, state: &mut State, what: &str, error: &dyn std::fmt::Display) {
        lock(&self.stats).errors += 1;
        gst::warning!(CAT, imp = self, "{what}: {error}");
        if !std::mem::replace(&mut state.warned, true) {
            gst::element_imp_warning!(self, gst::LibraryError::Failed, ("{what}: {error}"));
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for FacesrDetect {
    const NAME: &'static str = "GstFacesrDetect";
    type Type = super::FacesrDetect;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for FacesrDetect {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_qos(true);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut list = properties();
            list.push(settings::is_live());
            list.push(settings::stats(
                "What has been done since the start: counts, and CPU time in nanoseconds",
            ));
            list
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if !lock(&self.settings).set(pspec.name(), value) {
            gst::error!(CAT, imp = self, "property {} cannot be set to {value:?}", pspec.name());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => return lock(&self.stats).to_structure().to_value(),
            "is-live" => return self.is_live.load(Ordering::Relaxed).to_value(),
            _ => {}
        }
        lock(&self.settings)
            .get(pspec.name())
            .unwrap_or_else(|| glib::Value::from_type(pspec.value_type()))
    }
}

impl GstObjectImpl for FacesrDetect {}

impl ElementImpl for FacesrDetect {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Face detector and tracker",
                "Filter/Analyzer/Video",
                "Finds and tracks small faces and describes them in buffer metadata",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(video::pad_templates);
        TEMPLATES.as_ref()
    }
}

impl BaseTransformImpl for FacesrDetect {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let search = match settings.detector_options() {
            None => None,
            Some(options) => {
                let search = Search::open(options, settings.live.finder_options(false, false))
                    .map_err(|error| errors::model(&error))?;
                gst::info!(CAT, imp = self, "detector is {}", search.finder.detector_name());
                Some(search)
            }
        };
        self.lateness.reset();
        self.liveness.forget();
        self.latency.reset();
        *lock(&self.stats) = Stats::default();
        *lock(&self.state) = Some(State { search, ..State::default() });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        if self.is_live.swap(false, Ordering::Relaxed) {
            self.obj().notify("is-live");
        }
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _out: &gst::Caps) -> Result<(), gst::LoggableError> {
        let video = Video::from_caps(incaps)
            .ok_or_else(|| gst::loggable_error!(CAT, "caps {incaps} are not supported"))?;
        let mut guard = lock(&self.state);
        let state = guard.as_mut().ok_or_else(|| gst::loggable_error!(CAT, "not started"))?;
        self.latency.set_frame(video.frame_duration());
        state.video = Some(video);
        self.forget(state);
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::FlushStop {
            self.lateness.reset();
        }
        if let Some(state) = lock(&self.state).as_mut()
            && state.timeline.breaks_at_event(&event)
        {
            self.forget(state);
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        // The parent would note the lateness and drop late frames, and all that is late here is
        // the search.
        match event.view() {
            gst::EventView::Qos(qos) => {
                self.lateness.update(qos);
                return self.obj().sink_pad().push_event(event);
            }
            gst::EventView::Latency(_) => self.liveness.forget(),
            _ => {}
        }
        self.parent_src_event(event)
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(query) if direction == gst::PadDirection::Src => {
                self.latency.answer(self.obj().sink_pad(), query)
            }
            _ => BaseTransformImplExt::parent_query(self, direction, query),
        }
    }

    fn transform_ip(
        &self,
        buffer: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let live = lock(&self.settings).live.clone();
        let times = Times::new(buffer, &self.obj().segment());
        let background = self.follow_live(live.live);
        // In the background a search delays nothing: it may be late.
        let late = !background && self.obj().is_qos() && self.lateness.of(&times).is_some();

        let mut guard = lock(&self.state);
        let state = guard.as_mut().ok_or(gst::FlowError::Flushing)?;
        lock(&self.stats).frames += 1;
        if state.timeline.breaks_at_buffer(buffer) {
            self.forget(state);
        }
        let video = state.video.clone().ok_or(gst::FlowError::NotNegotiated)?;
        let Some(mut search) = state.search.take() else { return Ok(gst::FlowSuccess::Ok) };
        if late {
            lock(&self.stats).late += 1;
        }
        let stats = *lock(&self.stats);
        if let Err(error) = search.follow(&live, live.finder_options(background, late), &stats) {
            self.warn_once(state, "The detector could not be changed", &error);
        }

        let at = times.running.or(times.timestamp);
        let at = at.map(|at| Timestamp::from_nanos(at.nseconds()));
        search.finder.set_frame_duration(video.frame_duration().into());
        let found = video.read(buffer, |frame| {
            let found = search.finder.find(frame, at);
            let renumbered = |face: &Face| Face { id: face.id + search.first_id, ..*face };
            state.faces.clear();
            state.faces.extend(found.faces.iter().map(renumbered));
            found.error
        });
        lock(&self.stats).follow(&search.before, &search.finder);
        search.last_id = state.faces.iter().map(|face| face.id).fold(search.last_id, u64::max);
        state.search = Some(search);
        match found {
            Ok(None) => {}
            Ok(Some(error)) => {
                self.warn_once(state, "Face detection failed, faces are tracked without", &error);
            }
            Err(error) => {
                drop(guard);
                gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
                return Err(gst::FlowError::Error);
            }
        }

        faces::remove(buffer);
        let (width, height) = (video.frame().width, video.frame().height);
        for face in &state.faces {
            faces::write(buffer, face, width, height);
        }
        let message = if live.post_messages { self.message(state, &times) } else { None };
        // The application may answer a message at once, and ask for anything.
        drop(guard);
        if let Some(message) = message {
            let _ = self.obj().post_message(message);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
