//! The times of a buffer.

/// A buffer's times in the segment it came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BufferTimes {
    pub(crate) timestamp: Option<gst::ClockTime>,
    pub(crate) duration: Option<gst::ClockTime>,
    pub(crate) running: Option<gst::ClockTime>,
    pub(crate) stream: Option<gst::ClockTime>,
}

impl BufferTimes {
    /// Times of `buffer` in `segment`.
    pub(crate) fn new(buffer: &gst::BufferRef, segment: &gst::Segment) -> Self {
        let timestamp = buffer.pts();
        let segment = segment.downcast_ref::<gst::ClockTime>();
        Self {
            timestamp,
            duration: buffer.duration(),
            running: segment.and_then(|s| s.to_running_time(timestamp)),
            stream: segment.and_then(|s| s.to_stream_time(timestamp)),
        }
    }
}
