//! Implementation of `facesrdetect`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use facesr::detect::DetectorKind;
use facesr::search::{Rects, RoiFilter};
use facesr::{Face, Timestamp};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use parking_lot::Mutex;

use super::Detector;
use super::search::Search;
use super::settings::{Settings, TABLE};
use super::stats::Stats;
use crate::common::buffer_times::BufferTimes;
use crate::common::discontinuity::FrameClock;
use crate::common::face_meta::{self, FaceWriter};
use crate::common::filter::{FilterStream, end_frame, refuse_crop_meta};
use crate::common::{element_error, properties};
use crate::frame_map::{self, FrameMapper};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "facesrdetect",
        gst::DebugColorFlags::empty(),
        Some("Face detector and tracker"),
    )
});

/// Frames of a stream whose rate is not known, and that have no time stamps, are taken to last so
/// long.
const USUAL_DURATION: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// The element.
#[derive(Default)]
pub struct FacesrDetect {
    settings: Mutex<Arc<Settings>>,
    /// Taken out while a frame is in work: nothing is locked meanwhile, and nothing when messages
    /// are posted.
    state: Mutex<Option<Box<State>>>,
    stats: Mutex<Stats>,
    stream: FilterStream,
    is_live: AtomicBool,
}

/// What there is between start and stop.
#[derive(Default)]
struct State {
    search: Option<Search>,
    clock: FrameClock,
    /// What `regions` was made from.
    followed: Option<(Arc<Settings>, Arc<FrameMapper>)>,
    regions: RoiFilter,
    writer: FaceWriter,
    faces: Vec<Face>,
    /// Identifiers of the faces in the latest message, sorted.
    posted: Vec<u64>,
    warned: bool,
}

/// A frame on its way through the element.
struct Job {
    settings: Arc<Settings>,
    frames: Arc<FrameMapper>,
    times: BufferTimes,
    background: bool,
    late: bool,
    /// Posted when the frame is done.
    messages: Vec<gst::Message>,
}

impl FacesrDetect {
    /// Whether the stream is live now, and so to be searched in the background. Reports it if that
    /// has changed.
    fn follow_live(&self, settings: &Settings) -> bool {
        let obj = self.obj();
        let waits = |live: bool, source: bool| source && !live;
        let live = self.stream.follow_live(obj.upcast_ref(), obj.sink_pad(), settings.live, waits);
        if self.is_live.swap(live, Ordering::Relaxed) != live {
            gst::info!(CAT, imp = self, "the stream is {}live", if live { "" } else { "not " });
            obj.notify("is-live");
        }
        live
    }

    /// The message for the bus, if other faces are there than at the last one.
    fn faces_message(&self, state: &mut State, times: &BufferTimes) -> Option<gst::Message> {
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

    /// A warning for the bus.
    fn warning(&self, text: &str) -> gst::Message {
        gst::warning!(CAT, imp = self, "{text}");
        gst::message::Warning::builder(gst::LibraryError::Failed, text).src(&*self.obj()).build()
    }

    /// Counts an error, and warns of the first of a run: a detector that fails on each frame would
    /// flood the bus.
    fn warn_once(&self, state: &mut State, job: &mut Job, text: &str) {
        self.stats.lock().errors += 1;
        if std::mem::replace(&mut state.warned, true) {
            gst::warning!(CAT, imp = self, "{text}");
        } else {
            job.messages.push(self.warning(text));
        }
    }

    /// Follows settings and caps: the regions, in pixels of this picture, and what the finder is
    /// asked for.
    fn follow_settings(&self, state: &mut State, job: &mut Job) -> Result<(), gst::ErrorMessage> {
        let followed = state.followed.as_ref().is_some_and(|(settings, frames)| {
            Arc::ptr_eq(settings, &job.settings) && Arc::ptr_eq(frames, &job.frames)
        });
        if !followed {
            let texts = job.settings.regions()?;
            if let Some(text) = texts.complaint(&job.frames) {
                job.messages.push(self.warning(&text));
            }
            state.regions = texts.filter(&job.frames);
            state.followed = Some((job.settings.clone(), job.frames.clone()));
        }
        if let Some(search) = &mut state.search {
            let duration = job.frames.frame_duration().unwrap_or(USUAL_DURATION);
            search.finder.set_frame_duration(duration.into());
            let options = job.settings.finder_options(job.background, job.late, &state.regions);
            let requested = job.settings.apply_to(search.requested());
            if let Err(error) = search.follow(options, requested) {
                self.warn_once(state, job, &format!("The detector could not be changed: {error}"));
            }
        }
        Ok(())
    }

    /// Finds the faces of the frame in `buffer`.
    fn find(
        &self,
        state: &mut State,
        job: &mut Job,
        buffer: &gst::BufferRef,
    ) -> Result<(), gst::ErrorMessage> {
        let State { search: Some(search), faces, .. } = state else { return Ok(()) };
        faces.clear();
        let at = job.times.running.or(job.times.timestamp);
        let at = at.map(|at| Timestamp::from_nanos(at.nseconds()));
        let found = job.frames.read(buffer, |frame| {
            let found = search.finder.find(frame, at);
            faces.extend_from_slice(found.faces);
            found.error
        });
        self.stats.lock().update(&search.finder);
        match found {
            Ok(None) => Ok(()),
            Ok(Some(error)) => {
                let text = format!("Face detection failed, faces are tracked without: {error}");
                self.warn_once(state, job, &text);
                Ok(())
            }
            Err(error) => Err(gst::error_msg!(gst::StreamError::Format, ("{error}"))),
        }
    }

    /// Describes the faces in the metadata of `buffer`, and applies the regions to all that are
    /// there: what was to be left out is not left to anyone.
    fn describe(&self, state: &mut State, job: &mut Job, buffer: &mut gst::BufferRef) {
        let State { search, regions, writer, faces, .. } = state;
        let size = job.frames.size();
        // Where this element searches, `roi` says nothing of the faces of others.
        let everywhere = RoiFilter::new(Rects::default(), regions.exclude.clone());
        let others = if search.is_some() { &everywhere } else { &*regions };
        face_meta::retain(buffer, size, |rect| others.contains(rect.center()));
        if search.is_none() {
            return;
        }
        faces.retain(|face| regions.contains(face.rect.center()));
        writer.write(buffer, faces, size, job.times.running);
        if job.settings.post_messages {
            let message = self.faces_message(state, &job.times);
            job.messages.extend(message);
        }
    }

    /// All that is done with a frame.
    fn process(
        &self,
        state: &mut State,
        job: &mut Job,
        buffer: &mut gst::BufferRef,
    ) -> Result<(), gst::ErrorMessage> {
        {
            let mut stats = self.stats.lock();
            stats.frames += 1;
            stats.late += u64::from(job.late && state.search.is_some());
        }
        let duration = job.frames.frame_duration();
        if state.clock.starts_again(&self.stream.discont, job.times.timestamp, duration) {
            gst::debug!(CAT, imp = self, "the stream starts again, forgetting its faces");
            if let Some(search) = &mut state.search {
                search.finder.reset();
            }
        }
        self.follow_settings(state, job)?;
        self.find(state, job, buffer)?;
        self.describe(state, job, buffer);
        Ok(())
    }

    /// What should be known of a detector that was chosen here and not by the user.
    fn complain_of_detector(&self, settings: &Settings, search: &Search) {
        let name = search.finder.detector_name();
        let best = DetectorKind::CenterFace.name();
        let chosen = settings.detector == Detector::Auto && search.requested().model.is_none();
        if chosen && name != best {
            let text = format!(
                "The model of the detector {best} (centerface.onnx) is in none of the model \
                 folders, so {name} is used, which misses most faces below 20 pixels and some \
                 larger ones. `make setup` fetches the model; detector={name} accepts this without \
                 a warning"
            );
            let _ = self.obj().post_message(self.warning(&text));
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
            TABLE.specs().chain([properties::is_live(), properties::stats()]).collect()
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock();
        if !TABLE.set(Arc::make_mut(&mut settings), pspec.name(), value) {
            gst::error!(CAT, imp = self, "property {} cannot be set to {value:?}", pspec.name());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.stats.lock().to_structure().to_value(),
            "is-live" => self.is_live.load(Ordering::Relaxed).to_value(),
            name => TABLE
                .value(&self.settings.lock(), name)
                .unwrap_or_else(|| glib::Value::from_type(pspec.value_type())),
        }
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
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(frame_map::pad_templates);
        TEMPLATES.as_ref()
    }
}

impl BaseTransformImpl for FacesrDetect {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().clone();
        settings.regions()?;
        let search = match settings.detector_options() {
            None => None,
            Some(options) => {
                let finder = settings.finder_options(false, false, &RoiFilter::default());
                let search =
                    Search::open(options, finder).map_err(|error| element_error::model(&error))?;
                gst::info!(CAT, imp = self, "detector is {}", search.finder.detector_name());
                self.complain_of_detector(&settings, &search);
                Some(search)
            }
        };
        self.stream.reset();
        *self.stats.lock() = Stats::default();
        *self.state.lock() = Some(Box::new(State { search, ..State::default() }));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let state = self.state.lock().take();
        // Waits for a search that is under way.
        drop(state);
        if self.is_live.swap(false, Ordering::Relaxed) {
            self.obj().notify("is-live");
        }
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps, _out: &gst::Caps) -> Result<(), gst::LoggableError> {
        self.stream.set_caps(*CAT, self.obj().upcast_ref(), caps)
    }

    fn accept_caps(&self, direction: gst::PadDirection, caps: &gst::Caps) -> bool {
        let accepted = self.parent_accept_caps(direction, caps);
        self.stream.accept_caps(*CAT, self.obj().upcast_ref(), (direction, caps), accepted)
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        self.stream.record_sink_event(&event);
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        self.stream.record_src_event(&event);
        // The parent would note the lateness and drop late frames, and all that is late here is
        // the search.
        if event.type_() == gst::EventType::Qos {
            return self.obj().sink_pad().push_event(event);
        }
        self.parent_src_event(event)
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        let answer = self.stream.answer(self.obj().sink_pad(), direction, query);
        answer.unwrap_or_else(|| BaseTransformImplExt::parent_query(self, direction, query))
    }

    fn propose_allocation(
        &self,
        decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        self.parent_propose_allocation(decide_query, query)?;
        refuse_crop_meta(query);
        Ok(())
    }

    fn transform_ip(
        &self,
        buffer: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = self.settings.lock().clone();
        let frames = self.stream.frames().ok_or(gst::FlowError::NotNegotiated)?;
        let times = BufferTimes::new(buffer, &self.obj().segment());
        let background = self.follow_live(&settings);
        // In the background a search delays nothing: it may be late.
        let late = !background && self.obj().is_qos() && self.stream.qos.lateness(&times).is_some();
        let messages = Vec::new();
        let mut job = Job { settings, frames, times, background, late, messages };

        let mut state = self.state.lock().take().ok_or(gst::FlowError::Flushing)?;
        let begun = Instant::now();
        let done = self.process(&mut state, &mut job, buffer);
        self.stream.latency.record(begun.elapsed());
        *self.state.lock() = Some(state);
        end_frame(self.obj().upcast_ref(), job.messages, done)
    }
}
