//! Flushes, gaps, the end of a stream, segments.
use crate::common::*;
use crate::{ELEMENTS, element, face_frame, is_enhancer};

/// Events that came out since the last call, without those that only set a stream up.
fn events(bench: &mut Bench) -> Vec<gst::EventType> {
    use gst::EventType::{Caps, Reconfigure, Segment, StreamStart};
    std::iter::from_fn(|| bench.harness.try_pull_event())
        .map(|event| event.type_())
        .filter(|kind| ![Caps, Segment, StreamStart, Reconfigure].contains(kind))
        .collect()
}

fn wait_for(bench: &mut Bench, wanted: gst::EventType) {
    // The bin's queue hands events on in a thread of its own.
    for _ in 0..500 {
        if events(bench).contains(&wanted) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{wanted:?} does not come out");
}

#[test]
fn the_end_comes_with_and_without_frames_before_it() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        for frames in [0, 1, 5] {
            let mut bench = Bench::with_caps(element(line), &info);
            for n in 0..frames {
                bench.run(face_frame(&info, n));
            }
            assert!(bench.harness.push_event(gst::event::Eos::new()));
            wait_for(&mut bench, gst::EventType::Eos);
            // What comes after the end is refused, and after a flush it is not.
            let flow = bench.harness.push(face_frame(&info, frames));
            assert_eq!(flow, Err(gst::FlowError::Eos), "{line}");
            flush(&mut bench);
            bench.run(face_frame(&info, 0));
        }
        // Not even caps.
        let mut bench = Bench::new(element(line));
        bench.harness.push_event(gst::event::StreamStart::new("empty"));
        assert!(bench.harness.push_event(gst::event::Eos::new()), "{line}");
        wait_for(&mut bench, gst::EventType::Eos);
    }
}

fn segment(rate: f64) -> gst::Event {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(rate);
    segment.set_start(gst::ClockTime::ZERO);
    segment.set_stop(gst::ClockTime::from_seconds(1000));
    gst::event::Segment::new(&segment)
}

fn flush(bench: &mut Bench) {
    bench.harness.push_event(gst::event::FlushStart::new());
    bench.harness.push_event(gst::event::FlushStop::new(true));
    bench.harness.push_event(segment(1.0));
}

#[test]
fn flushes_in_any_number() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        for i in 0..20 {
            flush(&mut bench);
            for n in 0..i % 4 {
                bench.run(face_frame(&info, n));
            }
        }
        // A flush that only stops, or starts twice, is somebody else's mistake.
        bench.harness.push_event(gst::event::FlushStart::new());
        bench.harness.push_event(gst::event::FlushStart::new());
        let flow = bench.harness.push(face_frame(&info, 0));
        assert_eq!(flow, Err(gst::FlowError::Flushing), "{line}");
        flush(&mut bench);
        bench.harness.push_event(gst::event::FlushStop::new(true));
        bench.harness.push_event(segment(1.0));
        bench.run(face_frame(&info, 1));
    }
}

#[test]
fn gaps_pass() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        // Before the first frame, between frames, and longer than any track lives.
        for n in 0..4 {
            let at = 40 * n * gst::ClockTime::MSECOND;
            let gap = gst::event::Gap::builder(at).duration(5 * gst::ClockTime::SECOND).build();
            assert!(bench.harness.push_event(gap), "{line}");
            wait_for(&mut bench, gst::EventType::Gap);
            let mut buffer = face_frame(&info, n);
            // A buffer may be a gap as well.
            buffer.make_mut().set_flags(gst::BufferFlags::GAP);
            let out = bench.run(buffer);
            assert!(out.flags().contains(gst::BufferFlags::GAP), "{line}");
        }
        assert_eq!(bench.stat("frames"), 4, "{line}");
    }
}

#[test]
fn segments_of_other_rates_and_formats() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        for rate in [2.0, 0.5, -1.0, 16.0, 1.0] {
            bench.harness.push_event(segment(rate));
            for n in 0..3 {
                let buffer = face_frame(&info, if rate < 0.0 { 10 - n } else { n });
                let (pts, before) = (buffer.pts(), bytes(&buffer));
                let out = bench.run(buffer);
                assert_eq!(out.pts(), pts, "{line}");
                assert_eq!(bytes(&out) != before, is_enhancer(line), "{line} at rate {rate}");
            }
        }
        // Bytes, as a file source says it: no time can be told.
        bench.harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<
            gst::format::Bytes,
        >::new()));
        bench.run(face_frame(&info, 0));
        assert_eq!(bench.stat("frames"), 16, "{line}");
    }
}

/// Events that elements know nothing of go their way, in both directions.
#[test]
fn unknown_events_pass() {
    let info = info("NV12", 96, 64);
    for line in ELEMENTS {
        let mut bench = Bench::with_caps(element(line), &info);
        bench.run(face_frame(&info, 0));
        let tags = gst::TagList::new();
        let structure = gst::Structure::new_empty("something-else");
        for event in [
            gst::event::Tag::new(tags),
            gst::event::CustomDownstream::new(structure.clone()),
            gst::event::CustomDownstreamOob::new(structure.clone()),
            gst::event::StreamGroupDone::new(gst::GroupId::next()),
        ] {
            let kind = event.type_();
            assert!(bench.harness.push_event(event), "{line}: {kind:?}");
            wait_for(&mut bench, kind);
        }
        bench.harness.push_upstream_event(gst::event::CustomUpstream::new(structure));
        let came = std::iter::from_fn(|| bench.harness.try_pull_upstream_event())
            .any(|event| event.type_() == gst::EventType::CustomUpstream);
        assert!(came, "{line}");
        // Quality of service of all kinds, sane or not.
        for (kind, proportion, diff, timestamp) in [
            (gst::QOSType::Underflow, 2.0, i64::MAX, gst::ClockTime::ZERO),
            (gst::QOSType::Overflow, f64::NAN, -5_000_000_000, 5 * gst::ClockTime::SECOND),
            (gst::QOSType::Throttle, 0.0, 0, gst::ClockTime::from_seconds(1 << 30)),
        ] {
            bench
                .harness
                .push_upstream_event(gst::event::Qos::new(kind, proportion, diff, timestamp));
            bench.run(face_frame(&info, 1));
        }
        bench.harness.push_upstream_event(gst::event::Latency::new(gst::ClockTime::SECOND));
        bench.run(face_frame(&info, 2));
    }
}
