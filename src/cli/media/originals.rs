//! Frames as they were before an element worked on them, for filters behind it that need both.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use gst::prelude::*;

/// Frames as they were, in order, until what became of them comes by.
#[derive(Debug, Clone, Default)]
pub(super) struct Originals(Arc<Mutex<VecDeque<gst::Buffer>>>);

impl Originals {
    /// Keeps the frames that pass `pad`.
    pub(super) fn keep(&self, pad: &gst::Pad) {
        let originals = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                // The reference makes whoever writes in place take a copy: that is what keeps this
                // one as it was.
                originals.lock().push_back(buffer.clone());
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// The original of the frame with this time; older ones belong to frames that were dropped on
    /// the way.
    pub(super) fn take(&self, pts: Option<gst::ClockTime>) -> Option<gst::Buffer> {
        let mut originals = self.lock();
        let at = originals.iter().position(|buffer| buffer.pts() == pts)?;
        originals.drain(..=at).next_back()
    }

    /// The same, mapped, for a filter that fails without it.
    ///
    /// # Errors
    /// If it is not there; a message on the bus says so.
    pub(super) fn map(
        &self,
        pts: Option<gst::ClockTime>,
        info: &gst_video::VideoInfo,
        filter: &gst::Element,
    ) -> Result<gst_video::VideoFrame<gst_video::video_frame::Readable>, gst::FlowError> {
        let mapped = self
            .take(pts)
            .and_then(|buffer| gst_video::VideoFrame::from_buffer_readable(buffer, info).ok());
        mapped.ok_or_else(|| {
            gst::element_error!(
                filter,
                gst::StreamError::Failed,
                ["the frame as it was before enhancement got lost"]
            );
            gst::FlowError::Error
        })
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// A panic elsewhere leaves a queue of buffers whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<gst::Buffer>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}
