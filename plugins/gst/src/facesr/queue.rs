//! The queue between finding and sharpening.

use std::sync::Arc;

use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;

/// Frames that may lie between finding and sharpening: while one frame is searched, which takes as
/// long as sharpening several, there is something to do. More than that takes would only add delay.
const FRAMES: u32 = 4;

/// In live use the queue is bounded by time. While a single frame takes long, so much can wait; it
/// then passes untouched, frame by frame. If that takes still longer the oldest are dropped: the
/// source would drop compressed ones, and damage the picture for long.
const LIVE_TIME: gst::ClockTime = gst::ClockTime::from_mseconds(640);

/// The same until so many frames have left: sinks show nothing before the slowest branch of the
/// pipeline has brought its first frame, and only then is the pipeline's latency known.
const START_TIME: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// Frames that leave the queue before a stream is taken to flow.
const START_FRAMES: u32 = 8;

/// In live use, bytes that may wait: frames without time stamps must not fill the memory. A second
/// of 2160p has 300 MB.
const LIVE_BYTES: u32 = 1 << 30;

/// An element `queue`, and what its limits depend on.
#[derive(Debug)]
pub(super) struct FrameQueue {
    element: gst::Element,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: bool,
    /// For how long the sink keeps frames back: that of the slowest branch of the pipeline.
    latency: gst::ClockTime,
    /// Frames that have left, up to [`START_FRAMES`].
    left: u32,
}

impl FrameQueue {
    /// A queue for a source that is not live.
    ///
    /// # Errors
    /// If GStreamer's own element is missing.
    pub(super) fn new() -> Result<Arc<Self>, glib::BoolError> {
        let element = gst::ElementFactory::make("queue").name("queue").build()?;
        let src = element.static_pad("src").ok_or_else(|| glib::bool_error!("no pad src"))?;
        let queue = Arc::new(Self { element, state: Mutex::default() });
        queue.apply();
        let weak = Arc::downgrade(&queue);
        src.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if let Some(queue) = weak.upgrade() {
                queue.count();
            }
            gst::PadProbeReturn::Ok
        });
        let weak = Arc::downgrade(&queue);
        src.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            if let Some(event) = info.event()
                && let gst::EventView::Latency(latency) = event.view()
                && let Some(queue) = weak.upgrade()
            {
                queue.state.lock().latency = latency.latency();
                queue.apply();
            }
            gst::PadProbeReturn::Ok
        });
        // The limit follows the latency, whatever it is: none is too long for this queue. Without
        // this a pipeline would be told that it cannot wait for its slowest branch.
        src.add_probe(gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::PULL, |_, info| {
            if let Some(query) = info.query_mut()
                && let gst::QueryViewMut::Latency(latency) = query.view_mut()
            {
                let (live, min, _) = latency.result();
                latency.set(live, min, None);
            }
            gst::PadProbeReturn::Ok
        });
        Ok(queue)
    }

    /// The element itself.
    pub(super) fn element(&self) -> &gst::Element {
        &self.element
    }

    /// Follows whether frames come from a live source, and are not to wait.
    pub(super) fn set_live(&self, live: bool) {
        {
            let mut state = self.state.lock();
            (state.live, state.left) = (live, 0);
        }
        self.apply();
    }

    /// Counts a frame that leaves.
    fn count(&self) {
        let flows = {
            let mut state = self.state.lock();
            let before = state.left;
            state.left = (before + 1).min(START_FRAMES);
            before + 1 == START_FRAMES
        };
        if flows {
            self.apply();
        }
    }

    /// Sets the limits. What the sink keeps back by its latency comes on top: those frames are not
    /// late.
    fn apply(&self) {
        let (live, wait) = {
            let state = self.state.lock();
            let slack = if state.left < START_FRAMES { START_TIME } else { LIVE_TIME };
            (state.live, state.latency.saturating_add(slack))
        };
        let (leaky, frames, bytes, time) = if live {
            ("downstream", 0, LIVE_BYTES, wait)
        } else {
            ("no", FRAMES, 0, gst::ClockTime::ZERO)
        };
        self.element.set_property_from_str("leaky", leaky);
        self.element.set_property("max-size-buffers", frames);
        self.element.set_property("max-size-bytes", bytes);
        self.element.set_property("max-size-time", time.nseconds());
    }
}
