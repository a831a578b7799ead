//! Implementation of `facesrenhance`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

use facesr::{Enhancer, EnhancerOptions, Error, Face};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::Device;
use super::pace::Pace;
use super::settings::{Settings, properties};
use crate::lock::lock;
use crate::settings::{self, LiveUse};
use crate::stream::{Latency, Lateness, Liveness, Timeline, Times, waiting};
use crate::video::{self, MapError, Video};
use crate::{cuda, errors, faces};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("facesrenhance", gst::DebugColorFlags::empty(), Some("Face enhancer"))
});

/// In live use a frame passes untouched if so many wait behind it. One waits now and then even if
/// all is well.
const MOST_WAITING: u32 = 2;

/// Lateness is taken for this element's own until so many frames have passed untouched.
const OWN_LATENESS: u32 = 25;

/// The element.
#[derive(Default)]
pub struct FacesrEnhance {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    stats: Mutex<Stats>,
    lateness: Lateness,
    /// Between start and stop: whether the CPU does the work, so that frames in CUDA memory would
    /// only be copied.
    on_cpu: AtomicBool,
    liveness: Liveness,
    latency: Latency,
    /// Frames that have passed untouched since the last one that was worked on.
    idle: AtomicU32,
}

/// What there is between start and stop.
struct State {
    enhancer: Enhancer,
    options: EnhancerOptions,
    video: Option<Video>,
    timeline: Timeline,
    pace: Pace,
    reader: faces::Reader,
    faces: Vec<Face>,
    warned: bool,
}

/// What the property `stats` says.
#[derive(Debug, Clone, Copy, Default)]
struct Stats {
    frames: u64,
    untouched: u64,
    late: u64,
    errors: u64,
    faces_seen: u64,
    faces_enhanced: u64,
    faces_generated: u64,
    cut_ns: u64,
    generate_ns: u64,
    blend_ns: u64,
}

impl Stats {
    fn follow(&mut self, enhancer: &Enhancer) {
        let now = enhancer.stats();
        self.faces_enhanced = now.faces_enhanced;
        self.faces_generated = now.faces_generated;
        self.cut_ns = now.crop.as_nanos() as u64;
        self.generate_ns = now.generate.as_nanos() as u64;
        self.blend_ns = now.blend.as_nanos() as u64;
    }

    fn to_structure(self) -> gst::Structure {
        gst::Structure::builder("facesrenhance-stats")
            .field("frames", self.frames)
            .field("frames-untouched", self.untouched)
            .field("frames-untouched-late", self.late)
            .field("enhancement-errors", self.errors)
            .field("faces-seen", self.faces_seen)
            .field("faces-enhanced", self.faces_enhanced)
            .field("faces-generated", self.faces_generated)
            .field("cut-ns", self.cut_ns)
            .field("generate-ns", self.generate_ns)
            .field("blend-ns", self.blend_ns)
            .build()
    }
}

impl FacesrEnhance {
    /// Forgets the faces of what came before.
    fn forget(&self, state: &mut State) {
        gst::debug!(CAT, imp = self, "the stream starts anew, forgetting its faces");
        state.enhancer.reset();
    }

    /// The context that CUDA elements around this one are to share, if it may use a GPU.
    fn cuda(&self) -> Option<cuda::Shared> {
        let (device, id) = {
            let settings = lock(&self.settings);
            (settings.device, settings.cuda_device_id)
        };
        if device == Device::Cpu { None } else { cuda::shared(id) }
    }

    /// Sharpens the faces of `buffer`: in CUDA memory if it lies there and can be reached, else in
    /// system memory, where GStreamer brings it.
    fn enhance(
        &self,
        state: &mut State,
        video: &Video,
        buffer: &mut gst::BufferRef,
    ) -> Result<Result<usize, Error>, MapError> {
        let State { enhancer, faces, .. } = state;
        if video.is_cuda()
            && enhancer.is_on_gpu()
            && let Some(shared) = self.cuda()
        {
            match video.write_cuda(buffer, &shared, |frame| enhancer.enhance_cuda(frame, faces)) {
                Ok(Ok(count)) => return Ok(Ok(count)),
                // The CPU has taken over, and works on the frame below.
                Ok(Err(error)) => gst::debug!(CAT, imp = self, "{error}"),
                Err(MapError::Elsewhere) => {
                    gst::log!(CAT, imp = self, "frame is copied: it is another CUDA context's");
                }
                Err(error) => return Err(error),
            }
        }
        video.write(buffer, |frame| enhancer.enhance(frame, faces))
    }

    /// Tells why a GPU is not, or no longer, used.
    fn tell(&self, notice: Option<String>) {
        if let Some(notice) = notice {
            gst::warning!(CAT, imp = self, "{notice}");
            gst::element_imp_warning!(self, gst::ResourceError::Failed, ("{notice}"));
        }
    }

    /// Whether the stream is live now. Tells if frames have to wait longer or shorter than before.
    fn follow_live(&self, wanted: LiveUse) -> bool {
        let obj = self.obj();
        if self.latency.update(self.liveness.of_source(obj.sink_pad())) {
            let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
        }
        self.liveness.of(wanted, obj.sink_pad())
    }

    /// If a frame must not be worked on any more: how late it is, in nanoseconds, and the load.
    fn lateness(&self, times: &Times, is_live: bool) -> Option<(i64, f64)> {
        if !self.obj().is_qos() {
            return None;
        }
        // Not all sinks tell. A queue before this element says enough if it fills, unless it does
        // so because frames are early and the sink makes them wait.
        self.lateness.of(times).or_else(|| {
            let (running, now) = times.running.zip(self.obj().current_running_time())?;
            let late = self.latency.overdue(running, now).filter(|_| is_live)?;
            let waiting = waiting(self.obj().sink_pad());
            let late = i64::try_from(late.nseconds()).unwrap_or(i64::MAX);
            (waiting >= MOST_WAITING).then_some((late, f64::from(1 + waiting)))
        })
    }

    /// The QoS message for a frame that passes untouched because it is late.
    fn late_message(&self, times: &Times, (jitter, proportion): (i64, f64)) -> gst::Message {
        let stats = *lock(&self.stats);
        let count = |n: u64| gst::GenericFormattedValue::from(gst::format::Buffers::from_u64(n));
        gst::message::Qos::builder(false)
            .running_time(times.running)
            .stream_time(times.stream)
            .timestamp(times.timestamp)
            .duration(times.duration)
            // All or nothing, in millionths, as GstBaseTransform says it.
            .values(jitter, proportion, 1_000_000)
            .stats(count(stats.frames - stats.late), count(stats.late))
            .src(&*self.obj())
            .build()
    }
}

#[glib::object_subclass]
impl ObjectSubclass for FacesrEnhance {
    const NAME: &'static str = "GstFacesrEnhance";
    type Type = super::FacesrEnhance;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for FacesrEnhance {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_qos(true);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut list = properties();
            list.push(settings::stats(
                "What has been done since the start: counts, and CPU time in nanoseconds",
            ));
            list
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if !lock(&self.settings).set(pspec.name(), value) {
            gst::error!(CAT, imp = self, "property {} cannot be set", pspec.name());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            return lock(&self.stats).to_structure().to_value();
        }
        lock(&self.settings)
            .get(pspec.name())
            .unwrap_or_else(|| glib::Value::from_type(pspec.value_type()))
    }
}

impl GstObjectImpl for FacesrEnhance {}

impl ElementImpl for FacesrEnhance {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Face enhancer",
                "Filter/Effect/Video",
                "Sharpens the small faces that buffer metadata names",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(video::pad_templates);
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        // Decoders before this element make a context of their own if they hear of none.
        if transition == gst::StateChange::NullToReady
            && let Some(shared) = self.cuda()
        {
            shared.announce(self.obj().upcast_ref());
        }
        self.parent_change_state(transition)
    }
}

impl BaseTransformImpl for FacesrEnhance {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let options = settings.live.enhancer_options();
        let mut enhancer = Enhancer::open(&settings.generator_options(), options.clone())
            .map_err(|error| errors::model(&error))?;
        gst::info!(CAT, imp = self, "{} on {}", enhancer.source(), enhancer.device());
        self.tell(enhancer.take_notice());
        self.on_cpu.store(!enhancer.is_on_gpu(), Ordering::Relaxed);
        self.lateness.reset();
        self.liveness.forget();
        self.latency.reset();
        self.idle.store(OWN_LATENESS, Ordering::Relaxed);
        *lock(&self.stats) = Stats::default();
        *lock(&self.state) = Some(State {
            enhancer,
            options,
            video: None,
            timeline: Timeline::default(),
            pace: Pace::default(),
            reader: faces::Reader::default(),
            faces: Vec::new(),
            warned: false,
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        self.on_cpu.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        // Frames that would only be copied back and forth are better had in system memory.
        let on_cpu =
            self.on_cpu.load(Ordering::Relaxed) || lock(&self.settings).device == Device::Cpu;
        let caps = if on_cpu { cuda::without_cuda(caps) } else { caps.clone() };
        self.parent_transform_caps(direction, &caps, filter)
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
        // The parent would note the lateness and drop late frames; here they pass untouched.
        match event.view() {
            gst::EventView::Qos(qos) => {
                self.lateness.update(qos);
                // What is late because of the work done here is cured here. Told of it, a decoder
                // would drop frames, for twice as long as they are late.
                let (_, _, late, _) = qos.get();
                let idle = self.idle.load(Ordering::Relaxed);
                if late > 0 && idle < OWN_LATENESS && self.obj().is_qos() {
                    return true;
                }
                return self.obj().sink_pad().push_event(event);
            }
            gst::EventView::Latency(latency) => {
                self.latency.settle(latency.latency());
                self.liveness.forget();
            }
            _ => {}
        }
        self.parent_src_event(event)
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        if query.type_() == gst::QueryType::Context
            && let Some(shared) = self.cuda()
            && shared.answer(self.obj().upcast_ref(), query)
        {
            return true;
        }
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
        let live = lock(&self.settings).live;
        let times = Times::new(buffer, &self.obj().segment());
        let is_live = self.follow_live(live.live);

        let mut guard = lock(&self.state);
        let state = guard.as_mut().ok_or(gst::FlowError::Flushing)?;
        if state.timeline.breaks_at_buffer(buffer) {
            self.forget(state);
        }
        let video = state.video.clone().ok_or(gst::FlowError::NotNegotiated)?;
        let options = live.enhancer_options();
        if options != state.options {
            state.enhancer.set_options(options.clone());
            state.options = options;
        }
        let (width, height) = (video.frame().width, video.frame().height);
        let idle = self.idle.load(Ordering::Relaxed);
        self.idle.store(idle.saturating_add(1), Ordering::Relaxed);
        state.reader.read(buffer, (width, height), live.box_scale as f32, &mut state.faces);
        {
            let mut stats = lock(&self.stats);
            stats.frames += 1;
            stats.faces_seen += state.faces.len() as u64;
        }
        // Mapping for writing copies pixels that others hold too: not without need.
        if !state.enhancer.wants(width, height, &state.faces) {
            state.enhancer.reset();
            lock(&self.stats).untouched += 1;
            return Ok(gst::FlowSuccess::Ok);
        }
        let late = self.lateness(&times, is_live);
        let frame = i64::try_from(video.frame_duration().nseconds()).unwrap_or(i64::MAX);
        if let Some(late) = state.pace.passes(late, if is_live { frame } else { i64::MAX }) {
            gst::debug!(CAT, imp = self, "frame is {} ns late, passes untouched", late.0);
            {
                let mut stats = lock(&self.stats);
                stats.untouched += 1;
                stats.late += 1;
            }
            drop(guard);
            let _ = self.obj().post_message(self.late_message(&times, late));
            return Ok(gst::FlowSuccess::Ok);
        }

        self.idle.store(0, Ordering::Relaxed);
        let done = self.enhance(state, &video, buffer);
        let notice = state.enhancer.take_notice();
        let mut stats = lock(&self.stats);
        stats.follow(&state.enhancer);
        match done {
            Ok(Ok(count)) => {
                gst::log!(CAT, imp = self, "{count} of {} faces enhanced", state.faces.len());
                drop(stats);
                drop(guard);
            }
            Ok(Err(error)) => {
                stats.untouched += 1;
                stats.errors += 1;
                drop(stats);
                gst::warning!(CAT, imp = self, "frame passes untouched: {error}");
                // One message a run: a generator that fails on each frame would flood the bus.
                let first = !std::mem::replace(&mut state.warned, true);
                drop(guard);
                if first {
                    gst::element_imp_warning!(
                        self,
                        gst::LibraryError::Failed,
                        ("Face enhancement failed, the frame passes untouched: {error}")
                    );
                }
            }
            Err(error) => {
                drop(stats);
                drop(guard);
                gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
                return Err(gst::FlowError::Error);
            }
        }
        self.tell(notice);
        Ok(gst::FlowSuccess::Ok)
    }
}
