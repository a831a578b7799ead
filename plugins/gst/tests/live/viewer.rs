//! The other end of the line: a pipeline that receives, enhances and shows, and all that can be
//! said of how it fares.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::camera::{Camera, number};
use crate::guard::{Guarded, launch};

/// How long the generator takes for a frame while it is slowed down: five frames' time.
const SLOW: Duration = Duration::from_millis(200);

/// A frame as it was shown.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) at: Instant,
    /// Since the camera sent it.
    pub(crate) delay: Duration,
}

/// What is looked at once a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// Resident memory of the process, bytes.
    pub(crate) memory: u64,
    pub(crate) threads: usize,
    pub(crate) enhanced: u64,
    pub(crate) late: u64,
}

pub(crate) struct Viewer {
    pipeline: Guarded,
    shown: Arc<Mutex<Vec<Shown>>>,
    slow: Arc<AtomicBool>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) troubles: Vec<String>,
    pub(crate) latencies: usize,
}

pub(crate) fn stat(element: &gst::Element, name: &str) -> u64 {
    element.property::<gst::Structure>("stats").get(name).unwrap()
}

/// Resident memory in bytes, and threads, of this process.
pub(crate) fn footprint() -> (u64, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("VmRSS:") * 1024, field("Threads:") as usize)
}

/// Makes the enhancer in the bin `f` slow while `slow` is set: whatever frame it has worked on
/// takes this much longer, and one that it lets pass takes no time.
pub(crate) fn brake(f: &gst::Element, slow: &Arc<AtomicBool>) {
    let enhance = f.downcast_ref::<gst::Bin>().unwrap().by_name("enhance").unwrap();
    let (slow, before) = (slow.clone(), AtomicU64::new(0));
    let pad = enhance.static_pad("src").unwrap();
    let weak = enhance.downgrade();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let enhance = weak.upgrade().unwrap();
        let now = stat(&enhance, "faces-enhanced");
        if before.swap(now, Ordering::Relaxed) != now && slow.load(Ordering::Relaxed) {
            std::thread::sleep(SLOW);
        }
        gst::PadProbeReturn::Ok
    });
}

impl Viewer {
    /// Plays `source`, which ends in decoded video, through `facesr` to a sink that keeps to time.
    pub(crate) fn new(camera: &Arc<Camera>, source: &str) -> Self {
        let line = format!(
            "{source} ! facesr name=f ! fakesink name=s sync=true qos=true signal-handoffs=true"
        );
        let pipeline = launch(&line);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (list, camera) = (shown.clone(), camera.clone());
        pipeline.by_name("s").unwrap().connect("handoff", false, move |values| {
            let buffer = values[1].get::<gst::Buffer>().unwrap();
            let pad = values[2].get::<gst::Pad>().unwrap();
            let info = gst_video::VideoInfo::from_caps(&pad.current_caps().unwrap()).unwrap();
            let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).unwrap();
            // Damaged pictures carry any number; what was never sent is none.
            if let Some(delay) = camera.age(number(&frame)) {
                list.lock().unwrap().push(Shown { at: Instant::now(), delay });
            }
            None
        });
        let slow = Arc::new(AtomicBool::new(false));
        brake(&pipeline.by_name("f").unwrap(), &slow);
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, shown, slow, samples: Vec::new(), troubles: Vec::new(), latencies: 0 }
    }

    pub(crate) fn element(&self) -> gst::Element {
        self.pipeline.by_name("f").unwrap()
    }

    pub(crate) fn slow_down(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }

    /// Lets `time` pass, and does what any application does with its messages.
    pub(crate) fn watch(&mut self, time: Duration) {
        let (bus, f, end) = (self.pipeline.bus().unwrap(), self.element(), Instant::now() + time);
        let mut next = Instant::now();
        while Instant::now() < end {
            if Instant::now() >= next {
                next += Duration::from_secs(1);
                let (memory, threads) = footprint();
                let (enhanced, late) =
                    (stat(&f, "faces-enhanced"), stat(&f, "frames-untouched-late"));
                self.samples.push(Sample { at: Instant::now(), memory, threads, enhanced, late });
            }
            let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(20)) else { continue };
            match message.view() {
                gst::MessageView::Error(e) => {
                    self.troubles.push(format!("{} {:?}", e.error(), e.debug()));
                }
                gst::MessageView::Warning(w) => {
                    self.troubles.push(format!("{} {:?}", w.error(), w.debug()));
                }
                gst::MessageView::Latency(_) => {
                    self.latencies += 1;
                    self.pipeline.recalculate_latency().unwrap();
                }
                gst::MessageView::Eos(_) => self.troubles.push("the stream ended".into()),
                _ => {}
            }
        }
    }

    /// Frames that were shown from one moment to another.
    pub(crate) fn shown(&self, from: Instant, to: Instant) -> Vec<Shown> {
        let list = self.shown.lock().unwrap();
        list.iter().filter(|shown| shown.at >= from && shown.at < to).copied().collect()
    }
}

/// The delay that a share of the frames do not exceed.
pub(crate) fn quantile(shown: &[Shown], share: f64) -> Duration {
    let mut delays: Vec<_> = shown.iter().map(|s| s.delay).collect();
    delays.sort_unstable();
    delays
        .get(((delays.len() as f64 * share) as usize).min(delays.len().max(1) - 1))
        .copied()
        .unwrap()
}
