//! The part of a filter that knows the stream which passes through it.
//!
//! Events and queries come from any thread, also while a frame is in work. Nothing here is locked
//! for longer than it takes to copy a value, so none of them waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;
use parking_lot::Mutex;

use super::discontinuity::DiscontTracker;
use super::latency::LatencyReport;
use super::live::{LiveMode, LiveQuery};
use super::qos::QosState;
use super::refusal;
use crate::frame_map::FrameMapper;

/// Caps, discontinuities, liveness, lateness and latency of a filter's stream.
#[derive(Debug, Default)]
pub(crate) struct FilterStream {
    frames: Mutex<Option<Arc<FrameMapper>>>,
    pub(crate) discont: DiscontTracker,
    pub(crate) qos: QosState,
    pub(crate) live: LiveQuery,
    pub(crate) latency: LatencyReport,
    /// Somebody has been told why caps are refused.
    told_of_refusal: AtomicBool,
}

impl FilterStream {
    /// As before the first frame.
    pub(crate) fn reset(&self) {
        *self.frames.lock() = None;
        self.qos.reset();
        self.live.forget();
        self.latency.reset();
        self.told_of_refusal.store(false, Ordering::Relaxed);
    }

    /// Follows negotiated caps. Faces of another picture are forgotten.
    ///
    /// # Errors
    /// Caps that no frames can be read by; the application is told.
    pub(crate) fn set_caps(
        &self,
        category: gst::DebugCategory,
        element: &gst::Element,
        caps: &gst::Caps,
    ) -> Result<(), gst::LoggableError> {
        let Some(frames) = FrameMapper::from_caps(caps) else {
            self.tell_of_refusal(category, element, caps);
            return Err(gst::loggable_error!(category, "caps {caps} are not supported"));
        };
        self.latency.set_frame(frames.frame_duration());
        *self.frames.lock() = Some(Arc::new(frames));
        self.discont.record();
        Ok(())
    }

    /// How to read the frames that come; `None` before there are caps.
    pub(crate) fn frames(&self) -> Option<Arc<FrameMapper>> {
        self.frames.lock().clone()
    }

    /// Records an event that comes down the stream.
    pub(crate) fn record_sink_event(&self, event: &gst::EventRef) {
        if event.type_() == gst::EventType::FlushStop {
            self.qos.reset();
        }
        self.discont.record_event(event);
    }

    /// Records an event that comes up the stream.
    pub(crate) fn record_src_event(&self, event: &gst::EventRef) {
        match event.view() {
            gst::EventView::Qos(qos) => self.qos.record(qos),
            gst::EventView::Latency(latency) => {
                self.latency.settle(latency.latency());
                self.live.forget();
            }
            _ => {}
        }
    }

    /// Whether caps are accepted, which the parent class says; where they come down the stream and are
    /// not, the application is told.
    pub(crate) fn accept_caps(
        &self,
        category: gst::DebugCategory,
        element: &gst::Element,
        (direction, caps): (gst::PadDirection, &gst::CapsRef),
        accepted: bool,
    ) -> bool {
        if !accepted && direction == gst::PadDirection::Sink {
            self.tell_of_refusal(category, element, caps);
        }
        accepted
    }

    /// Tells the application, once, why caps that come down the stream are refused: GStreamer does
    /// not.
    fn tell_of_refusal(
        &self,
        category: gst::DebugCategory,
        element: &gst::Element,
        caps: &gst::CapsRef,
    ) {
        let Some(text) = refusal::reason(caps) else { return };
        gst::warning!(category, obj = element, "{text}");
        if !self.told_of_refusal.swap(true, Ordering::Relaxed) {
            let message = gst::message::Warning::builder(gst::StreamError::Format, &text);
            let _ = element.post_message(message.src(element).build());
        }
    }

    /// Answers a query if it is one about latency; `None` if the parent class should.
    pub(crate) fn answer(
        &self,
        sink: &gst::Pad,
        direction: gst::PadDirection,
        query: &mut gst::QueryRef,
    ) -> Option<bool> {
        match query.view_mut() {
            gst::QueryViewMut::Latency(query) if direction == gst::PadDirection::Src => {
                Some(self.latency.answer(sink, query))
            }
            _ => None,
        }
    }

    /// Whether the stream is live, as `mode` and the source say. `waits` says, of that and of
    /// whether the source is, whether frames wait for work here; the pipeline is told if that
    /// makes another latency.
    pub(crate) fn follow_live(
        &self,
        element: &gst::Element,
        sink: &gst::Pad,
        mode: LiveMode,
        waits: impl FnOnce(bool, bool) -> bool,
    ) -> bool {
        let (live, source) = (self.live.is_live(mode, sink), self.live.is_source_live(sink));
        if self.latency.set_waits(waits(live, source)) {
            let _ = element.post_message(gst::message::Latency::builder().src(element).build());
        }
        live
    }
}

/// Ends the work on a frame, when nothing is locked any more: posts the messages that came up (the
/// application may answer one at once, and ask for anything), and turns a failure into an element
/// error.
///
/// # Errors
/// When the work failed.
pub(crate) fn end_frame(
    element: &gst::Element,
    messages: Vec<gst::Message>,
    done: Result<(), gst::ErrorMessage>,
) -> Result<gst::FlowSuccess, gst::FlowError> {
    for message in messages {
        let _ = element.post_message(message);
    }
    done.map(|()| gst::FlowSuccess::Ok).map_err(|error| {
        element.post_error_message(error);
        gst::FlowError::Error
    })
}

/// Takes back the offer of crop metadata (`GstVideoCropMeta`) that elements behind have made to
/// those before: pixels are found by the caps, and a decoder that crops by metadata alone hands
/// over another picture.
pub(crate) fn refuse_crop_meta(query: &mut gst::query::Allocation) {
    while let Some(at) = query.find_allocation_meta::<gst_video::VideoCropMeta>() {
        query.remove_nth_allocation_meta(at);
    }
}
