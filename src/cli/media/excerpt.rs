//! A part of an input: from one moment to another, or a number of frames.
//!
//! Every stream gets a segment that begins and ends where the part does, as if an edit list said so:
//! decoders then show only what lies in it, and muxers keep only that. What lies before is read, but
//! decoded only from the last picture on that can be decoded alone.

use std::sync::Mutex;

use gst::prelude::*;

use super::container::Kind;
use super::status::lock;
use super::timing;

/// What of an input is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// Where it begins, nanoseconds of running time.
    pub(crate) start: u64,
    /// Where it ends.
    pub(crate) end: Option<u64>,
    /// How many frames it has at most.
    pub(crate) frames: Option<u64>,
}

/// Sound before the start that decoders may need to get going.
const PRIMING: u64 = 100_000_000;
/// Bytes of packets that are kept while it is not known whether they are needed.
const MAX_HELD: usize = 256 << 20;

type TimeSegment = gst::FormattedSegment<gst::ClockTime>;

impl Excerpt {
    /// Whether it is all of the input.
    pub(super) fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// How long it is, if the input lasts `duration` nanoseconds.
    pub(super) fn duration(&self, duration: u64) -> u64 {
        self.end.map_or(duration, |end| end.min(duration)).saturating_sub(self.start)
    }

    /// A moment of the input as one of the part; `None` if it lies behind the end.
    pub(super) fn moment(&self, time: u64) -> Option<u64> {
        let is_in = self.end.is_none_or(|end| time < end);
        is_in.then(|| time.saturating_sub(self.start))
    }

    /// Chapters of the input, each a begin in nanoseconds and a title, as those of the part.
    pub(super) fn chapters(&self, chapters: Vec<(u64, String)>) -> Vec<(u64, String)> {
        if self.is_whole() {
            return chapters;
        }
        // One that begins before the part and lasts into it begins with it.
        let first = chapters.iter().rposition(|(begin, _)| *begin <= self.start).unwrap_or(0);
        let rest = chapters.into_iter().skip(first);
        rest.filter_map(|(begin, title)| Some((self.moment(begin)?, title))).collect()
    }

    /// The segment that shows of `segment` what lies in the part.
    fn cut(&self, segment: &TimeSegment) -> TimeSegment {
        let ns = |time: Option<gst::ClockTime>| time.map_or(0, |time| time.nseconds());
        let (start, base) = (ns(segment.start()), ns(segment.base()));
        // Running time is base + (time - start).
        let skipped = self.start.saturating_sub(base);
        let mut cut = segment.clone();
        let at = start.saturating_add(skipped);
        cut.set_start(gst::ClockTime::from_nseconds(at));
        cut.set_position(gst::ClockTime::from_nseconds(at));
        cut.set_base(gst::ClockTime::from_nseconds(base.saturating_sub(self.start)));
        let time = ns(segment.time()).saturating_add(skipped);
        cut.set_time(gst::ClockTime::from_nseconds(time));
        cut.set_offset(gst::ClockTime::ZERO);
        let stop = self.end.map(|end| start.saturating_add(end.saturating_sub(base)));
        let old = segment.stop().map(|stop| stop.nseconds());
        let stop = stop.into_iter().chain(old).min();
        cut.set_stop(stop.map(|stop| gst::ClockTime::from_nseconds(stop.max(at))));
        cut
    }
}

/// A stream on its way through [`cut`].
#[derive(Default)]
struct Cutting {
    segment: Option<TimeSegment>,
    /// Packets since the last that can be decoded alone, while the start is not reached.
    held: Vec<gst::Buffer>,
    held_bytes: usize,
    has_begun: bool,
    has_ended: bool,
    end_is_told: bool,
}

/// Cuts the compressed stream that leaves `pad` to the part.
pub(super) fn cut(pad: &gst::Pad, kind: Option<Kind>, excerpt: Excerpt) {
    if excerpt.start == 0 && excerpt.end.is_none() {
        return;
    }
    let cutting: Mutex<Cutting> = Mutex::default();
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(what, move |pad, info| {
        let mut cutting = lock(&cutting);
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Segment(old) => {
                    if let Some(segment) = old.segment().downcast_ref::<gst::ClockTime>() {
                        let new = excerpt.cut(segment);
                        *event = gst::event::Segment::builder(&new).seqnum(old.seqnum()).build();
                        cutting.segment = Some(new);
                    }
                }
                // The end is told once, by whoever is first.
                gst::EventView::Eos(_) if std::mem::replace(&mut cutting.end_is_told, true) => {
                    return timing::SWALLOWED;
                }
                _ => {}
            },
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let step = cutting.packet(buffer, kind);
                // What is sent from here comes by here again.
                drop(cutting);
                match step {
                    Step::Pass => {}
                    Step::Hold => return timing::SWALLOWED,
                    Step::Begin(held) => send(pad, held),
                    Step::End(held) => {
                        if let Some(held) = held {
                            send(pad, held);
                            pad.push_event(gst::event::Eos::new());
                        }
                        info.flow_res = Err(gst::FlowError::Eos);
                        return timing::SWALLOWED;
                    }
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// What is to be done with a packet.
enum Step {
    Pass,
    /// It is kept, or left out.
    Hold,
    /// It follows those that were held.
    Begin(Vec<gst::Buffer>),
    /// The part has ended: those that were held, if it has just ended.
    End(Option<Vec<gst::Buffer>>),
}

fn send(pad: &gst::Pad, held: Vec<gst::Buffer>) {
    let Some(peer) = pad.peer() else { return };
    for buffer in held {
        // The packet that follows tells how it went.
        let _ = peer.chain(buffer);
    }
}

impl Cutting {
    fn packet(&mut self, buffer: &gst::Buffer, kind: Option<Kind>) -> Step {
        let Some(segment) = &self.segment else { return Step::Pass };
        let (start, stop) = (segment.start(), segment.stop());
        // Pictures that follow in order of decoding may be shown before.
        let ends_by = if kind == Some(Kind::Video) { buffer.dts_or_pts() } else { buffer.pts() };
        if self.has_ended || ends_by.zip(stop).is_some_and(|(time, stop)| time >= stop) {
            let has_just = !std::mem::replace(&mut self.has_ended, true);
            return Step::End(has_just.then(|| self.let_go()));
        }
        let Some((time, start)) = buffer.pts().zip(start) else { return Step::Pass };
        if self.has_begun {
            return Step::Pass;
        }
        let end = time + buffer.duration().unwrap_or(gst::ClockTime::ZERO);
        match kind {
            Some(Kind::Video) if time < start => {
                if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
                    self.held.clear();
                    self.held_bytes = 0;
                }
                self.held_bytes += buffer.size();
                self.held.push(buffer.clone());
                match self.held_bytes > MAX_HELD {
                    true => {
                        self.held.pop();
                        Step::Begin(self.let_go())
                    }
                    false => Step::Hold,
                }
            }
            Some(Kind::Video) => {
                self.has_begun = true;
                Step::Begin(self.let_go())
            }
            // One that lasts into the part is shown in it.
            Some(Kind::Subtitle) if end > start => Step::Pass,
            _ if time.nseconds() + PRIMING < start.nseconds() => Step::Hold,
            _ => Step::Pass,
        }
    }

    /// Lets go of what is held.
    fn let_go(&mut self) -> Vec<gst::Buffer> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }
}

/// Cuts decoded frames that leave `pad` to the part: of streams that have no times before, and after
/// the last frame that is wanted.
pub(super) fn cut_frames(pad: &gst::Pad, excerpt: Excerpt) {
    if excerpt.is_whole() {
        return;
    }
    let segment: Mutex<Option<TimeSegment>> = Mutex::default();
    let passed = Mutex::new(0u64);
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(what, move |pad, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Segment(new) = event.view() {
                    *lock(&segment) = new.segment().clone().downcast().ok();
                }
            }
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let segment = lock(&segment).clone();
                let Some((segment, time)) = segment.zip(buffer.pts()) else {
                    return gst::PadProbeReturn::Ok;
                };
                if segment.start().is_some_and(|start| time < start) {
                    return timing::SWALLOWED;
                }
                let mut passed = lock(&passed);
                let is_past = segment.stop().is_some_and(|stop| time >= stop)
                    || excerpt.frames.is_some_and(|frames| *passed >= frames);
                if is_past {
                    info.flow_res = Err(gst::FlowError::Eos);
                    return timing::SWALLOWED;
                }
                *passed += 1;
                let is_last = excerpt.frames == Some(*passed);
                // What is sent from here comes by here again.
                drop(passed);
                if is_last {
                    let last = buffer.clone();
                    return timing::end_behind(pad, last, info);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn excerpt_becomes_a_segment_that_begins_at_zero() {
        let _ = gst::init();
        let time = gst::ClockTime::from_nseconds;
        let excerpt = Excerpt { start: 2 * S, end: Some(5 * S), frames: None };
        let segment = |start, base, stop: Option<u64>| {
            let mut segment = TimeSegment::new();
            segment.set_start(time(start));
            segment.set_base(time(base));
            segment.set_stop(stop.map(time));
            segment
        };
        for (start, base, stop) in [(0, 0, None), (7 * S, 0, Some(60 * S)), (S, S, None)] {
            let cut = excerpt.cut(&segment(start, base, stop));
            let old = segment(start, base, stop);
            for (moment, wanted) in [(2 * S, Some(0)), (4 * S, Some(2 * S)), (6 * S, None)] {
                let stream = start + moment - base;
                assert_eq!(old.to_running_time(time(stream)), Some(time(moment)));
                assert_eq!(cut.to_running_time(time(stream)), wanted.map(time), "{start} {base}");
            }
        }
        // A stream that begins within the part.
        let late = excerpt.cut(&segment(0, 3 * S, None));
        assert_eq!(late.to_running_time(time(0)), Some(time(S)));
        assert_eq!((excerpt.duration(4 * S), excerpt.duration(9 * S)), (2 * S, 3 * S));
        assert_eq!((excerpt.moment(S), excerpt.moment(3 * S)), (Some(0), Some(S)));
        assert_eq!(excerpt.moment(5 * S), None);
    }
}
