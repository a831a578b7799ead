//! The way of the video from the decoder to the muxer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use facesr::internals::cores;
use gst::prelude::*;

use super::bit_depth::{self, TEN_BITS};
use super::container::Container;
use super::elements::{add_chain, make};
use super::encoder::Encoder;
use super::excerpt;
use super::frame_times::{self, FrameTimes, Pending};
use super::picture_changes::watch_changes;
use super::pipeline::Plan;
use super::rotation::{Rotation, drop_orientation, orientation_of};
use super::side_by_side::{self, SideBySide};
use super::status::PipelineStatus;
use super::{mp4, observer, timing};
use crate::term::Failure;

/// Sizes and rate of the video.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    /// Width and height that the decoder gives.
    pub(crate) input: (u32, u32),
    /// Width and height of the output.
    pub(crate) output: (u32, u32),
    /// Frames a second as a fraction; 0/1 if it varies.
    pub(crate) rate: (i32, i32),
}

/// Where the enhanced video goes.
pub(super) enum Sink {
    /// Nowhere.
    Discard,
    /// Through the encoder into this input of the muxer.
    Mux {
        pad: gst::Pad,
        format: Container,
        /// Where to note when the frames are shown.
        span: timing::SpanRecorder,
    },
}

/// An element of ours with these properties, for work on files.
pub(crate) fn face_element(
    name: &str,
    properties: &[(&'static str, String)],
) -> Result<gst::Element, Failure> {
    let element = make(name)?;
    // Nothing is late when a file is written.
    element.set_property("qos", false);
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    Ok(element)
}

/// Least width and height that the encoder takes.
const LEAST: u32 = 16;

/// Everything between decoder and muxer; built once the decoder has shown its first caps.
pub(super) struct VideoBranch {
    plan: Plan,
    /// How the frames get their times.
    times: FrameTimes,
    /// Times of packets that are in the decoder.
    pending: Pending,
    /// How the picture has to be turned to be upright, if it has to.
    rotation: Option<Rotation>,
    status: Arc<PipelineStatus>,
}

impl VideoBranch {
    pub(super) fn new(plan: Plan, status: Arc<PipelineStatus>, times: FrameTimes) -> Self {
        if let Some(note) = plan.encoder.as_ref().and_then(|encoder| encoder.note) {
            status.note(note);
        }
        Self { plan, times, pending: Pending::default(), rotation: None, status }
    }

    /// Watches the compressed stream that passes `pad`.
    pub(super) fn watch_compressed(&self, pad: &gst::Pad) {
        if self.times == FrameTimes::Sorted {
            self.pending.watch(pad);
        }
    }

    /// Takes note of a rotation that the compressed stream, which has passed `pad`, declares.
    pub(super) fn turned(mut self, pad: &gst::Pad) -> Self {
        self.rotation = orientation_of(pad).and_then(|orientation| Rotation::of(&orientation));
        self
    }

    /// Builds the rest of the pipeline behind the decoder's pad.
    pub(super) fn attach(
        self,
        pipeline: &gst::Pipeline,
        decoded: &gst::Pad,
        sink: Sink,
    ) -> Result<(), Failure> {
        let caps = decoded.current_caps().unwrap_or_else(|| decoded.query_caps(None));
        let info = gst_video::VideoInfo::from_caps(&caps).map_err(|_| {
            Failure::running(format_args!("the decoder gives no pictures but {caps}"))
        })?;
        let out = Picture::of(&info, &self.plan);
        let (width, height) = (info.width(), info.height());
        if self.plan.encoder.is_some() && (out.width < LEAST || out.height < LEAST) {
            return Err(Failure::running(format_args!(
                "{} is {width}x{height}; {LEAST}x{LEAST} is the least that can be encoded",
                self.plan.input
            )));
        }
        self.tell(&info, &out);
        // Containers tell a rate of their own; frames that have no time get this one.
        let told = (info.fps().numer(), info.fps().denom());
        let rate = self.plan.fps.unwrap_or(if told.0 > 0 { told } else { (25, 1) });
        let pending = self.pending.clone();
        frame_times::mend(decoded, self.times, rate, pending, self.status.clone());
        excerpt::cut_frames(decoded, self.plan.excerpt);
        watch_changes(decoded, info.clone(), self.status.clone());

        // Lets the decoder work on the next frames while faces are looked for in this one.
        let ahead = make("queue")?;
        ahead.set_property("max-size-buffers", 4u32);
        ahead.set_property("max-size-bytes", 0u32);
        ahead.set_property("max-size-time", 0u64);
        let mut chain = vec![ahead, make("videoconvert")?, scaler()?, caps_filter(&out.caps)?];
        // Faces lie on their side in a turned picture; detectors want them upright. It is turned
        // back afterwards, so that size and tag stay as they were; side by side, and in containers
        // that have no such tag, it stays upright.
        let bake = self.rotation.filter(|rotation| {
            let untold = matches!(&sink, Sink::Mux { format, .. } if !format.tells_rotation());
            self.plan.compare || untold || rotation.degrees == 0
        });
        if let Some(rotation) = self.rotation {
            chain.push(rotation.element(rotation.upright)?);
        }
        let depth = out.keeps_ten_bits.then(bit_depth::around);
        if let Some((to_eight, _)) = &depth {
            chain.push(to_eight.clone().upcast());
        }
        let element_at = chain.len();
        chain.push(self.plan.element.clone());
        if let Some((_, to_ten)) = depth {
            chain.push(to_ten.upcast());
        }
        if self.plan.compare {
            chain.push(SideBySide::new().upcast());
        }
        if self.plan.mark {
            chain.push(visible_mark()?);
        }
        if let (Some(rotation), None) = (self.rotation, bake) {
            chain.push(rotation.element(rotation.back)?);
            self.status.set_rotation(rotation.matrix(out.width, out.height));
        }
        let Sink::Mux { pad, format, span } = sink else {
            let discard = make("fakesink")?;
            discard.set_property("sync", false);
            chain.push(discard);
            self.add(pipeline, &chain, element_at)?;
            return lead_in(decoded, &chain);
        };
        if out.padded {
            let even = make("videobox")?;
            even.set_property("right", -(out.width as i32 % 2));
            even.set_property("bottom", -(out.height as i32 % 2));
            chain.push(even);
        }
        // Lets the enhancer work on the next frame while the encoder takes this one.
        chain.push(make("queue")?);
        let frames = chain[element_at].static_pad("src");
        chain.extend(self.plan.encoder.iter().flat_map(|encoder| encoder.chain.iter().cloned()));
        let last = chain.last().and_then(|last| last.static_pad("src"));
        let (frames, last) = frames.zip(last).ok_or_else(|| Failure::running("no encoder"))?;
        let turned = bake.is_some_and(|rotation| rotation.degrees % 180 == 90);
        self.status.set_display(out.display(turned));
        if let Some(encoder) = &self.plan.encoder {
            encoder.fit(out.final_width, out.height, out.keeps_ten_bits);
        }
        if format.is_boxes() {
            timing::shift_video(&frames, &pad, span);
        }
        if bake.is_some() {
            drop_orientation(&last);
        }
        self.add(pipeline, &chain, element_at)?;
        last.link(&pad).map_err(|e| Failure::running(format_args!("the muxer refuses: {e}")))?;
        lead_in(decoded, &chain)
    }

    fn add(
        &self,
        pipeline: &gst::Pipeline,
        chain: &[gst::Element],
        element_at: usize,
    ) -> Result<(), Failure> {
        let element = &chain[element_at];
        if let Some(beside) = chain.get(element_at + 1).and_then(|e| e.downcast_ref::<SideBySide>())
            && let Some(before) = element.static_pad("sink")
        {
            side_by_side::keep_originals(&before, beside);
        }
        if let Some(after) = element.static_pad("src") {
            if let Some(observer) = &self.plan.observer {
                observer::attach(element, &after, observer.clone(), self.status.clone());
            }
            count(&after, self.status.clone());
        }
        let all: Vec<_> = chain.iter().collect();
        add_chain(pipeline, &all).map_err(Failure::running)
    }

    fn tell(&self, info: &gst_video::VideoInfo, out: &Picture) {
        let rate = info.fps();
        let even = |n: u32| if out.padded { n.next_multiple_of(2) } else { n };
        self.status.set_sizes(Sizes {
            input: (info.width(), info.height()),
            output: (even(out.final_width), even(out.height)),
            rate: (rate.numer(), rate.denom()),
        });
        if out.padded && self.plan.encoder.is_some() {
            self.status.note(format!(
                "the picture is {}x{}; H.264 needs even sizes, so a black line is added at the \
                 right or bottom",
                out.width, out.height
            ));
        }
        let transfer = info.colorimetry().transfer();
        let is_hdr = matches!(
            transfer,
            gst_video::VideoTransferFunction::Smpte2084
                | gst_video::VideoTransferFunction::AribStdB67
        );
        let depth = info.format_info().depth()[0];
        if self.plan.encoder.is_none() || depth <= 8 && !is_hdr {
            return;
        }
        self.status.note(match (is_hdr, out.keeps_ten_bits) {
            (true, true) if depth > 10 => {
                "the video is HDR and has more than 10 bits a sample; it is converted to 10, and what it says of \
                 the screen it was mastered on is left out"
            }
            (true, true) => {
                "the video is HDR and keeps 10 bits a sample; what it says of the screen it was \
                 mastered on is left out"
            }
            (true, false) => {
                "the video is HDR; it is converted to 8 bits, in which bands may show, and what it \
                 says of the screen it was mastered on is left out"
            }
            (false, true) if depth > 10 => {
                "the video has more than 10 bits a sample; it is converted to 10"
            }
            (false, true) => "the video keeps its 10 bits a sample",
            (false, false) => "the video has more than 8 bits a sample; it is converted to 8",
        });
        if out.keeps_ten_bits && self.plan.encoder.as_ref().is_some_and(Encoder::writes_h264) {
            self.status.note(
                "many players do not show H.264 of 10 bits: --encoder=x265 writes H.265, \
                 --bit-depth=8 converts to 8 bits",
            );
        }
    }
}

/// Writes into a corner of each frame that its faces are generated.
fn visible_mark() -> Result<gst::Element, Failure> {
    let mark = make("textoverlay")?;
    mark.set_property("text", "faces: AI");
    mark.set_property("font-desc", "Sans 10");
    mark.set_property("shaded-background", true);
    for (place, at) in [("halignment", "right"), ("valignment", "bottom")] {
        mark.set_property_from_str(place, at);
    }
    for distance in ["xpad", "ypad"] {
        mark.set_property(distance, 4i32);
    }
    Ok(mark)
}

/// Lets the decoder's frames into the chain: the last step, since they flow at once.
fn lead_in(decoded: &gst::Pad, chain: &[gst::Element]) -> Result<(), Failure> {
    let first = chain[0].static_pad("sink").ok_or(gst::PadLinkError::Refused);
    first
        .and_then(|first| decoded.link(&first))
        .map(drop)
        .map_err(|e| Failure::running(format_args!("the decoder cannot be linked: {e}")))
}

/// Counts the frames that pass `pad`.
fn count(pad: &gst::Pad, status: Arc<PipelineStatus>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            status.first.get_or_init(Instant::now);
            status.frames.fetch_add(1, Ordering::Relaxed);
            if let Some(time) = timing::running_time(pad, buffer) {
                status.position.store(u64::try_from(time).unwrap_or(0), Ordering::Relaxed);
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// Declares the colors of a compressed stream as its container tells them, as far as the stream
/// itself does not.
pub(super) fn declare_colors(pad: &gst::Pad, colors: mp4::Colors) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(old) = event.view()
            && let Some(s) = old.caps().structure(0)
        {
            let told = s.get::<&str>("colorimetry").ok().and_then(|told| told.parse().ok());
            let mut caps = old.caps_owned();
            caps.make_mut().set("colorimetry", colorimetry(colors, told).to_string());
            *event = gst::event::Caps::builder(&caps).seqnum(old.seqnum()).build();
        }
        gst::PadProbeReturn::Ok
    });
}

fn colorimetry(
    colors: mp4::Colors,
    told: Option<gst_video::VideoColorimetry>,
) -> gst_video::VideoColorimetry {
    use gst_video::{VideoColorMatrix, VideoColorPrimaries, VideoColorRange};
    use gst_video::{VideoColorimetry, VideoTransferFunction};
    let range = match colors.is_full_range {
        Some(true) => VideoColorRange::Range0_255,
        _ => VideoColorRange::Range16_235,
    };
    let matrix = VideoColorMatrix::from_iso(colors.matrix.into());
    let transfer = VideoTransferFunction::from_iso(colors.transfer.into());
    let primaries = VideoColorPrimaries::from_iso(colors.primaries.into());
    let told = told.unwrap_or(VideoColorimetry::new(range, matrix, transfer, primaries));
    VideoColorimetry::new(
        if told.range() == VideoColorRange::Unknown { range } else { told.range() },
        if told.matrix() == VideoColorMatrix::Unknown { matrix } else { told.matrix() },
        match told.transfer() {
            VideoTransferFunction::Unknown => transfer,
            told => told,
        },
        match told.primaries() {
            VideoColorPrimaries::Unknown => primaries,
            told => told,
        },
    )
}

fn scaler() -> Result<gst::Element, Failure> {
    let scaler = make("videoscale")?;
    scaler.set_property_from_str("method", "lanczos");
    scaler.set_property("n-threads", cores() as u32);
    Ok(scaler)
}

fn caps_filter(caps: &gst::Caps) -> Result<gst::Element, Failure> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// The picture as the enhancer gets it.
struct Picture {
    caps: gst::Caps,
    width: u32,
    height: u32,
    /// Width after putting before and after side by side.
    final_width: u32,
    /// Shape of a pixel: width and height.
    par: (u64, u64),
    /// Whether a side is odd, which the encoder cannot have.
    padded: bool,
    /// Whether it goes to the encoder with 10 bits a sample.
    keeps_ten_bits: bool,
}

impl Picture {
    fn of(info: &gst_video::VideoInfo, plan: &Plan) -> Self {
        use gst_video::VideoFormat as F;
        let compare = plan.compare;
        let (width, height) = (info.width() * plan.scale, info.height() * plan.scale);
        let final_width = match compare {
            true => side_by_side::right_edge(width as usize) as u32 + width,
            false => width,
        };
        let padded = final_width % 2 == 1 || height % 2 == 1;
        // What puts pictures side by side and what adds lines to them know 8 bits only.
        let takes_ten = |encoder: &Encoder| encoder.takes(TEN_BITS);
        let keeps_ten_bits = info.format_info().depth()[0] > 8
            && plan.keep_bit_depth
            && !compare
            && !padded
            && plan.encoder.as_ref().is_some_and(takes_ten);
        // Formats that the enhancer and the encoder both take go through as they are.
        let format = match info.format() {
            _ if keeps_ten_bits => TEN_BITS,
            format @ (F::I420 | F::Nv12 | F::Yv12) if !compare => format,
            _ => F::I420,
        };
        // The size is fixed for the whole file, so that a stream that changes its size in the
        // middle still fits one track.
        let mut caps = gst::Caps::builder("video/x-raw")
            .field("format", format.to_str())
            .field("width", width as i32)
            .field("height", height as i32)
            .field("pixel-aspect-ratio", info.par());
        if info.is_yuv() {
            let colorimetry = info.colorimetry().to_string();
            caps = caps.field("colorimetry", colorimetry);
        }
        let positive = |n: i32| u64::try_from(n).ok().filter(|n| *n > 0).unwrap_or(1);
        let par = (positive(info.par().numer()), positive(info.par().denom()));
        Self { caps: caps.build(), width, height, final_width, par, padded, keeps_ten_bits }
    }
}

impl Picture {
    /// The smallest size of exactly its shape that is not smaller than the picture, as it is shown.
    /// `turned` says whether it lies on its side.
    fn display(&self, turned: bool) -> (u32, u32) {
        let (n, d) = self.par;
        let even = |n: u32| u64::from(if self.padded { n.next_multiple_of(2) } else { n });
        let (width, height) = (even(self.final_width), even(self.height));
        let (mut a, mut b) = (width * n, height * d);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let (x, y) = (width * n / a.max(1), height * d / a.max(1));
        let times = width.div_ceil(x.max(1)).max(height.div_ceil(y.max(1))).max(1);
        let size = |n: u64| u32::try_from(n * times).ok();
        match size(x).zip(size(y)) {
            Some((x, y)) if turned => (y, x),
            Some(size) => size,
            None => (self.final_width, self.height),
        }
    }
}
