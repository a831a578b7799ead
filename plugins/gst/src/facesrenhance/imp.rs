//! Implementation of `facesrenhance`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use facesr::search::RoiFilter;
use facesr::{Enhancer, EnhancerOptions, Error, Face, Timestamp};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use parking_lot::Mutex;

use super::Device;
use super::face_quota::FaceQuota;
use super::late_frame_policy::{LONGEST, LateFramePolicy};
use super::settings::{Settings, TABLE};
use super::stats::Stats;
use crate::common::buffer_times::BufferTimes;
use crate::common::discontinuity::FrameClock;
use crate::common::face_meta::{self, FaceReader};
use crate::common::filter::{FilterStream, end_frame, refuse_crop_meta};
use crate::common::latency::waiting;
use crate::common::qos::LateFrame;
use crate::common::{element_error, properties};
use crate::cuda_context::{self, CudaContext};
use crate::frame_map::{self, FrameMapper, MapError};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("facesrenhance", gst::DebugColorFlags::empty(), Some("Face enhancer"))
});

/// In live use a frame passes untouched if frames of so long wait behind it, and
/// [`LEAST_WAITING`] of them.
const MOST_WAITING: gst::ClockTime = gst::ClockTime::from_mseconds(80);

/// One frame waits now and then even if all is well.
const LEAST_WAITING: u32 = 2;

/// Lateness is taken for this element's own until frames of so long have passed untouched.
const OWN_LATENESS: gst::ClockTime = gst::ClockTime::SECOND;

/// Frames of a stream whose rate is not known are taken to last so long.
const USUAL_DURATION: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// How long each frame lasts.
fn duration(frames: &FrameMapper) -> gst::ClockTime {
    frames.frame_duration().unwrap_or(USUAL_DURATION).max(gst::ClockTime::from_nseconds(1))
}

/// How many frames last for `time`, rounded up.
fn frames_in(time: gst::ClockTime, frames: &FrameMapper) -> u32 {
    let count = time.nseconds().div_ceil(duration(frames).nseconds());
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The element.
#[derive(Default)]
pub struct FacesrEnhance {
    settings: Mutex<Arc<Settings>>,
    /// Taken out while a frame is in work: nothing is locked meanwhile, and nothing when messages
    /// are posted.
    state: Mutex<Option<Box<State>>>,
    stats: Mutex<Stats>,
    stream: FilterStream,
    /// Between start and stop: whether the CPU does the work, so that frames in CUDA memory would
    /// only be copied.
    on_cpu: AtomicBool,
    /// Frames that have passed untouched since the last one that was worked on.
    idle: AtomicU32,
}

/// What there is between start and stop.
struct State {
    enhancer: Enhancer,
    options: EnhancerOptions,
    clock: FrameClock,
    /// What `regions` and `options` were made from.
    followed: Option<(Arc<Settings>, Arc<FrameMapper>)>,
    regions: RoiFilter,
    policy: LateFramePolicy,
    quota: FaceQuota,
    reader: FaceReader,
    faces: Vec<Face>,
    warned: bool,
    /// Somebody has been told, or need not be, that regions are there but no faces.
    told_of_types: bool,
}

impl State {
    /// Lets no more faces be sharpened than there is time for.
    fn limit_faces(&mut self, settings: &Settings) {
        let asked = settings.enhancer_options().max_faces;
        let most = match self.quota.limit() {
            Some(limit) if asked == 0 => limit,
            Some(limit) => limit.min(asked),
            None => asked,
        };
        if self.options.max_faces != most {
            self.options.max_faces = most;
            self.enhancer.set_options(self.options.clone());
        }
    }
}

/// A frame on its way through the element.
struct Job {
    settings: Arc<Settings>,
    frames: Arc<FrameMapper>,
    times: BufferTimes,
    is_live: bool,
    /// Posted when the frame is done.
    messages: Vec<gst::Message>,
}

impl FacesrEnhance {
    /// The context that CUDA elements around this one are to share, if it may use a GPU.
    fn cuda(&self) -> Option<CudaContext> {
        let settings = self.settings.lock().clone();
        if settings.device == Device::Cpu {
            return None;
        }
        cuda_context::shared(settings.cuda_device_id)
    }

    /// Sharpens the faces of `buffer`: in CUDA memory if it lies there and can be reached, else in
    /// system memory, where GStreamer brings it.
    fn enhance(
        &self,
        state: &mut State,
        frames: &FrameMapper,
        buffer: &mut gst::BufferRef,
        at: Option<Timestamp>,
    ) -> Result<Result<usize, Error>, MapError> {
        let State { enhancer, faces, .. } = state;
        if frames.is_cuda()
            && enhancer.is_on_gpu()
            && let Some(context) = self.cuda()
        {
            match frames
                .write_cuda(buffer, &context, |frame| enhancer.enhance_cuda_at(frame, faces, at))
            {
                Ok(Ok(count)) => return Ok(Ok(count)),
                // The CPU has taken over, and works on the frame below.
                Ok(Err(error)) => gst::debug!(CAT, imp = self, "{error}"),
                Err(MapError::Elsewhere) => {
                    gst::log!(CAT, imp = self, "frame is copied: it is another CUDA context's");
                }
                Err(error) => return Err(error),
            }
        }
        frames.write(buffer, |frame| enhancer.enhance_at(frame, faces, at))
    }

    /// A warning for the bus.
    fn warning(&self, code: impl gst::MessageErrorDomain, text: &str) -> gst::Message {
        gst::warning!(CAT, imp = self, "{text}");
        gst::message::Warning::builder(code, text).src(&*self.obj()).build()
    }

    /// Whether the stream is live now. A frame of a live source always waits for the work here.
    fn follow_live(&self, settings: &Settings) -> bool {
        let obj = self.obj();
        let waits = |_, source: bool| source;
        self.stream.follow_live(obj.upcast_ref(), obj.sink_pad(), settings.live, waits)
    }

    /// If a frame must not be worked on any more: how late it is, and the load.
    fn lateness(&self, job: &Job) -> Option<LateFrame> {
        if !self.obj().is_qos() {
            return None;
        }
        // Not all sinks tell. A queue before this element says enough if it fills, unless it does
        // so because frames are early and the sink makes them wait.
        self.stream.qos.lateness(&job.times).or_else(|| {
            let (running, now) = job.times.running.zip(self.obj().current_running_time())?;
            let late = self.stream.latency.overdue(running, now).filter(|_| job.is_live)?;
            let waiting = waiting(self.obj().sink_pad());
            let jitter = i64::try_from(late.nseconds()).unwrap_or(i64::MAX);
            let proportion = f64::from(1 + waiting);
            let most = frames_in(MOST_WAITING, &job.frames).max(LEAST_WAITING);
            (waiting >= most).then_some(LateFrame { jitter, proportion })
        })
    }

    /// The QoS message for a frame that passes untouched because it is late.
    fn late_message(&self, times: &BufferTimes, late: LateFrame) -> gst::Message {
        let stats = *self.stats.lock();
        let count = |n: u64| gst::GenericFormattedValue::from(gst::format::Buffers::from_u64(n));
        gst::message::Qos::builder(false)
            .running_time(times.running)
            .stream_time(times.stream)
            .timestamp(times.timestamp)
            .duration(times.duration)
            // All or nothing, in millionths, as GstBaseTransform says it.
            .values(late.jitter, late.proportion, 1_000_000)
            .stats(count(stats.frames - stats.late), count(stats.late))
            .src(&*self.obj())
            .build()
    }

    /// Follows settings and caps: options, and the regions in pixels of this picture.
    fn follow_settings(&self, state: &mut State, job: &mut Job) -> Result<(), gst::ErrorMessage> {
        let followed = state.followed.as_ref().is_some_and(|(settings, frames)| {
            Arc::ptr_eq(settings, &job.settings) && Arc::ptr_eq(frames, &job.frames)
        });
        if followed {
            return Ok(());
        }
        let texts = job.settings.regions()?;
        if let Some(text) = texts.complaint(&job.frames) {
            job.messages.push(self.warning(gst::LibraryError::Settings, &text));
        }
        state.regions = texts.filter(&job.frames);
        let options = job.settings.enhancer_options();
        if options != state.options {
            state.enhancer.set_options(options.clone());
            state.options = options;
        }
        state.followed = Some((job.settings.clone(), job.frames.clone()));
        Ok(())
    }

    /// Reads the faces that are to be sharpened.
    fn read_faces(&self, state: &mut State, job: &mut Job, buffer: &gst::BufferRef) {
        let scale = job.settings.box_scale as f32;
        state.reader.read(buffer, job.frames.size(), scale, &mut state.faces);
        state.told_of_types |= !state.faces.is_empty();
        if !state.told_of_types
            && let Some(text) = face_meta::why_no_face(buffer)
        {
            state.told_of_types = true;
            gst::info!(CAT, imp = self, "{text}");
            let message = gst::message::Info::builder(gst::LibraryError::Settings, &text);
            job.messages.push(message.src(&*self.obj()).build());
        }
        let State { faces, regions, .. } = state;
        faces.retain(|face| regions.contains(face.rect.center()));
        let mut stats = self.stats.lock();
        stats.frames += 1;
        stats.faces_seen += faces.len() as u64;
    }

    /// Whether this frame is to be worked on: there is something to do, and time for it.
    fn decide(&self, state: &mut State, job: &mut Job) -> bool {
        let idle = self.idle.load(Ordering::Relaxed);
        self.idle.store(idle.saturating_add(1), Ordering::Relaxed);
        let (width, height) = job.frames.size();
        // Mapping for writing copies pixels that others hold too: not without need.
        if !state.enhancer.wants(width, height, &state.faces) {
            self.stats.lock().untouched += 1;
            return false;
        }
        let frame = i64::try_from(duration(&job.frames).nseconds()).unwrap_or(i64::MAX);
        let bearable = if job.is_live { frame } else { i64::MAX };
        let longest = frames_in(LONGEST, &job.frames);
        let late = self.lateness(job);
        state.quota.judge(late.is_some(), duration(&job.frames).into());
        let late = state.policy.passes(late, bearable, longest);
        let Some(late) = late else { return true };
        gst::debug!(CAT, imp = self, "frame is {} ns late, passes untouched", late.jitter);
        {
            let mut stats = self.stats.lock();
            stats.untouched += 1;
            stats.late += 1;
        }
        job.messages.push(self.late_message(&job.times, late));
        false
    }

    /// Sharpens the faces of the frame, and takes down what came of it.
    fn work(
        &self,
        state: &mut State,
        job: &mut Job,
        buffer: &mut gst::BufferRef,
    ) -> Result<(), gst::ErrorMessage> {
        self.idle.store(0, Ordering::Relaxed);
        state.limit_faces(&job.settings);
        let begun = Instant::now();
        let at = job.times.running.map(|time| Timestamp::from_nanos(time.nseconds()));
        let done = self.enhance(state, &job.frames, buffer, at);
        self.stream.latency.record(begun.elapsed());
        self.stats.lock().update(&state.enhancer);
        self.follow_device(&mut state.enhancer, &mut job.messages);
        match done {
            Ok(Ok(count)) => {
                state.quota.record(count, begun.elapsed());
                gst::log!(CAT, imp = self, "{count} of {} faces enhanced", state.faces.len());
            }
            Ok(Err(error)) => {
                {
                    let mut stats = self.stats.lock();
                    stats.untouched += 1;
                    stats.errors += 1;
                }
                let text = format!("Face enhancement failed, the frame passes untouched: {error}");
                // One message a run: a generator that fails on each frame would flood the bus.
                if std::mem::replace(&mut state.warned, true) {
                    gst::warning!(CAT, imp = self, "{text}");
                } else {
                    job.messages.push(self.warning(gst::LibraryError::Failed, &text));
                }
            }
            Err(error) => return Err(gst::error_msg!(gst::StreamError::Format, ("{error}"))),
        }
        Ok(())
    }

    /// Says why a GPU is not, or no longer, used; frames then are better had in system memory.
    fn follow_device(&self, enhancer: &mut Enhancer, messages: &mut Vec<gst::Message>) {
        if let Some(notice) = enhancer.take_notice() {
            messages.push(self.warning(gst::ResourceError::Failed, &notice));
        }
        let on_cpu = !enhancer.is_on_gpu();
        if self.on_cpu.swap(on_cpu, Ordering::Relaxed) != on_cpu {
            self.obj().reconfigure_sink();
        }
    }

    /// All that is done with a frame.
    fn process(
        &self,
        state: &mut State,
        job: &mut Job,
        buffer: &mut gst::BufferRef,
    ) -> Result<(), gst::ErrorMessage> {
        let duration = job.frames.frame_duration();
        if state.clock.starts_again(&self.stream.discont, job.times.timestamp, duration) {
            gst::debug!(CAT, imp = self, "the stream starts again, forgetting its faces");
            state.enhancer.reset();
        }
        self.follow_settings(state, job)?;
        self.read_faces(state, job, buffer);
        if self.decide(state, job) {
            self.work(state, job, buffer)?;
        }
        Ok(())
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
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> =
            LazyLock::new(|| TABLE.specs().chain([properties::stats()]).collect());
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
            name => TABLE
                .value(&self.settings.lock(), name)
                .unwrap_or_else(|| glib::Value::from_type(pspec.value_type())),
        }
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
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(frame_map::pad_templates);
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        // Decoders before this element make a context of their own if they hear of none.
        if transition == gst::StateChange::NullToReady
            && let Some(context) = self.cuda()
        {
            context.announce(self.obj().upcast_ref());
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
        let settings = self.settings.lock().clone();
        settings.regions()?;
        let options = settings.enhancer_options();
        let mut enhancer = Enhancer::open(&settings.generator_options(), options.clone())
            .map_err(|error| element_error::model(&error))?;
        gst::info!(CAT, imp = self, "{} on {}", enhancer.generators(), enhancer.device());
        if let Some(notice) = enhancer.take_notice() {
            let _ = self.obj().post_message(self.warning(gst::ResourceError::Failed, &notice));
        }
        self.on_cpu.store(!enhancer.is_on_gpu(), Ordering::Relaxed);
        self.stream.reset();
        self.idle.store(u32::MAX, Ordering::Relaxed);
        *self.stats.lock() = Stats::default();
        *self.state.lock() = Some(Box::new(State {
            enhancer,
            options,
            clock: FrameClock::default(),
            followed: None,
            regions: RoiFilter::default(),
            policy: LateFramePolicy::default(),
            quota: FaceQuota::default(),
            reader: FaceReader::default(),
            faces: Vec::new(),
            warned: false,
            told_of_types: false,
        }));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state.lock() = None;
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
            self.on_cpu.load(Ordering::Relaxed) || self.settings.lock().device == Device::Cpu;
        let caps = if on_cpu { cuda_context::without_cuda(caps) } else { caps.clone() };
        self.parent_transform_caps(direction, &caps, filter)
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
        // The parent would note the lateness and drop late frames; here they pass untouched.
        if let gst::EventView::Qos(qos) = event.view() {
            // What is late because of the work done here is cured here. Told of it, a decoder
            // would drop frames, for twice as long as they are late.
            let (_, _, late, _) = qos.get();
            let own = self.stream.frames().is_some_and(|frames| {
                self.idle.load(Ordering::Relaxed) < frames_in(OWN_LATENESS, &frames)
            });
            if late > 0 && own && self.obj().is_qos() {
                return true;
            }
            return self.obj().sink_pad().push_event(event);
        }
        self.parent_src_event(event)
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        if query.type_() == gst::QueryType::Context
            && let Some(context) = self.cuda()
            && context.answer(self.obj().upcast_ref(), query)
        {
            return true;
        }
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
        let is_live = self.follow_live(&settings);
        let mut job = Job { settings, frames, times, is_live, messages: Vec::new() };

        let mut state = self.state.lock().take().ok_or(gst::FlowError::Flushing)?;
        let done = self.process(&mut state, &mut job, buffer);
        *self.state.lock() = Some(state);
        end_frame(self.obj().upcast_ref(), job.messages, done)
    }
}
