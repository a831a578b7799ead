//! One encoded stream, given to everyone who takes it. Nobody who takes it slowly holds up another.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use parking_lot::Mutex;

/// Key frames are asked for no more often.
const KEY_EVERY: Duration = Duration::from_millis(200);

/// And no more often for viewers who have lost something: key frames cost all viewers bits.
const KEY_FOR_LOSSES_EVERY: Duration = Duration::from_millis(500);

/// Where the frames go.
struct Taker {
    id: u64,
    source: gst_app::AppSrc,
    /// Frames that it may have waiting. With more it gets none until it has caught up, and then goes on with a key
    /// frame.
    most_waiting: u64,
    /// Whether it gets nothing before the next key frame.
    skips: bool,
    last: Option<gst::ClockTime>,
}

/// Everyone who takes the stream.
#[derive(Default)]
pub(crate) struct Fanout {
    takers: Mutex<Vec<Taker>>,
    next: AtomicU64,
    asked: Mutex<Option<Instant>>,
    /// Whether a viewer who has lost something asks for a key frame.
    wants_key: AtomicBool,
    /// Frames that went out, and bytes.
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Fanout {
    /// From now on `source` gets the stream, from a key frame on, with `most_waiting` frames that may wait there.
    /// Answers what to take it out by.
    pub(crate) fn add(&self, source: gst_app::AppSrc, most_waiting: u64) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.takers.lock().push(Taker { id, source, most_waiting, skips: true, last: None });
        id
    }

    /// It gets nothing any more.
    pub(crate) fn remove(&self, id: u64) {
        self.takers.lock().retain(|taker| taker.id != id);
    }

    /// Nobody gets anything any more, nor is told.
    pub(crate) fn forget_all(&self) {
        self.takers.lock().clear();
    }

    /// Tells all that nothing more will come.
    pub(crate) fn end(&self) {
        for taker in self.takers.lock().drain(..) {
            let _ = taker.source.end_of_stream();
        }
    }

    /// A viewer has lost something, and cannot go on without a key frame.
    pub(crate) fn ask_for_key(&self) {
        self.wants_key.store(true, Ordering::Relaxed);
    }

    /// How many take it.
    pub(crate) fn len(&self) -> usize {
        self.takers.lock().len()
    }

    /// Hands a frame, encoded `age` after it came from the camera, to all. Answers whether a key frame is needed.
    pub(crate) fn deliver(&self, sample: &gst::Sample, age: gst::ClockTime) -> bool {
        let Some((buffer, caps)) = sample.buffer_owned().zip(sample.caps_owned()) else {
            return false;
        };
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(buffer.size() as u64, Ordering::Relaxed);
        let mut wants_key = false;
        self.takers.lock().retain_mut(|taker| {
            let outcome = taker.take(&buffer, &caps, age);
            wants_key |= outcome == Some(true);
            outcome.is_some()
        });
        // This is one, for whoever has asked.
        if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            self.wants_key.store(false, Ordering::Relaxed);
        }
        let mut asked = self.asked.lock();
        let is_time = |every| asked.is_none_or(|at: Instant| at.elapsed() >= every);
        let for_losses = self.wants_key.load(Ordering::Relaxed) && is_time(KEY_FOR_LOSSES_EVERY);
        if for_losses || wants_key && is_time(KEY_EVERY) {
            *asked = Some(Instant::now());
            return true;
        }
        false
    }
}

impl Taker {
    /// Answers whether it needs a key frame; `None` if it has gone.
    fn take(
        &mut self,
        buffer: &gst::Buffer,
        caps: &gst::Caps,
        age: gst::ClockTime,
    ) -> Option<bool> {
        let waiting = self.source.current_level_buffers();
        let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if self.skips && (waiting > 0 || !is_key) {
            return Some(waiting == 0);
        }
        self.skips = waiting >= self.most_waiting;
        // It is not playing yet.
        let Some(now) = self.source.current_running_time() else {
            self.skips = true;
            return Some(false);
        };
        if self.skips {
            return Some(false);
        }
        // The time at which the picture came, by the taker's own clock; later than the last one.
        let after = self.last.map_or(gst::ClockTime::ZERO, |last| last + gst::ClockTime::MSECOND);
        let time = now.saturating_sub(age).max(after);
        self.last = Some(time);
        let mut copy = buffer.copy();
        let it = copy.make_mut();
        it.set_pts(time);
        it.set_dts(None);
        self.source.set_caps(Some(caps));
        match self.source.push_buffer(copy) {
            Ok(_) => Some(false),
            // Between two states: it may come back.
            Err(gst::FlowError::Flushing) => {
                self.skips = true;
                Some(false)
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frame_is_asked_for_when_a_viewer_has_lost_something_until_one_comes() {
        gst::init().unwrap();
        let sample = |is_key: bool| {
            let mut buffer = gst::Buffer::with_size(1).unwrap();
            if !is_key {
                buffer.get_mut().unwrap().set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            let caps = gst::Caps::new_empty_simple("video/x-h264");
            gst::Sample::builder().buffer(&buffer).caps(&caps).build()
        };
        let fanout = Fanout::default();
        let deliver = |is_key| fanout.deliver(&sample(is_key), gst::ClockTime::ZERO);
        assert!(!deliver(false));
        fanout.ask_for_key();
        assert!(deliver(false));
        // What has come meanwhile serves whoever has asked meanwhile.
        fanout.ask_for_key();
        assert!(!deliver(true));
        assert!(!deliver(false));
    }
}
