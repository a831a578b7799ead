//! `facesrdetect`: pixels, metadata and messages. Real faces are in `shared.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use gst::prelude::*;
use gst_video::{VideoFrameFlags, VideoMeta, VideoRegionOfInterestMeta};

fn detect(detector: &str) -> gst::Element {
    init();
    gst::ElementFactory::make("facesrdetect")
        .property_from_str("detector", detector)
        .build()
        .unwrap()
}

fn regions(buffer: &gst::Buffer) -> Vec<(String, (u32, u32, u32, u32))> {
    buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|m| (m.roi_type().to_string(), m.rect()))
        .collect()
}

#[test]
fn pixels_pass_untouched_and_uncopied_in_every_format() {
    for (name, format) in FORMATS {
        let info = info(name, 97, 75);
        let layout = Layout::odd(format, 97, 75);
        let before = noise(layout.size, 7, 0, 255);
        let mut buffer = gst::Buffer::from_mut_slice(before.clone());
        VideoMeta::add_full(
            buffer.make_mut(),
            VideoFrameFlags::empty(),
            info.format(),
            97,
            75,
            &layout.offsets,
            &layout.strides,
        )
        .unwrap();
        let mut bench = Bench::with_caps(detect("seetaface"), &info);
        // Held here too, as behind a tee: only the metadata may be copied.
        let held = buffer.clone();
        let out = bench.run(buffer);
        let (a, b) = (held.map_readable().unwrap(), out.map_readable().unwrap());
        assert_eq!(a.as_ptr(), b.as_ptr(), "{name}");
        assert_eq!(b.as_slice(), before, "{name}");
        assert_eq!((bench.stat("frames"), bench.stat("detections-run")), (1, 1));
    }
}

#[test]
fn faces_of_an_earlier_detector_are_replaced() {
    let info = info("NV12", 96, 64);
    let mut bench = Bench::with_caps(detect("seetaface"), &info);
    let mut buffer = frame(&info, 1);
    add_face(&mut buffer, 1, (1, 2, 30, 40));
    VideoRegionOfInterestMeta::add(buffer.make_mut(), "car", (5, 6, 7, 8));
    let held = buffer.clone();
    let out = bench.run(buffer);
    assert_eq!(regions(&out), [("car".into(), (5, 6, 7, 8))]);
    assert_eq!(regions(&held).len(), 2);
}

#[test]
fn without_a_detector_everything_passes() {
    let info = info("NV12", 96, 64);
    let mut bench = Bench::with_caps(detect("none"), &info);
    let mut buffer = frame(&info, 1);
    add_face(&mut buffer, 1, (1, 2, 30, 40));
    let out = bench.run(buffer);
    assert_eq!(regions(&out), [("face".into(), (1, 2, 30, 40))]);
    assert!(bench.messages(gst::MessageType::Element).is_empty());
    assert_eq!((bench.stat("frames"), bench.stat("detections-run")), (1, 0));
}

#[test]
fn detect_interval_changes_while_playing() {
    let info = info("GRAY8", 96, 64);
    let element = detect("seetaface");
    element.set_property("detect-interval", 120u32);
    let mut bench = Bench::with_caps(element, &info);
    let runs = |bench: &mut Bench, n: u64| {
        let before = bench.stat("detections-run");
        for i in 0..n {
            // One picture, so that no change of scene calls for a search.
            bench.run(stamped(frame(&info, 1), i));
        }
        bench.stat("detections-run") - before
    };
    assert_eq!(runs(&mut bench, 9), 3);
    bench.element.set_property("detect-interval", 0u32);
    assert_eq!(runs(&mut bench, 5), 5);
    bench.element.set_property("min-score", 0.9);
    bench.element.set_property("detect-width", 80u32);
    assert_eq!(runs(&mut bench, 5), 5);
    assert_eq!(bench.stat("detections-run"), 13);
    assert_eq!(bench.stat("frames"), 19);
}

#[test]
fn regions_are_rectangles() {
    let element = detect("none");
    for name in ["roi", "exclude"] {
        let is = || element.property::<Option<String>>(name);
        assert_eq!(is(), None);
        element.set_property(name, "0,0,100,50; 200,10,32.5,40");
        assert_eq!(is().as_deref(), Some("0,0,100,50;200,10,32.5,40"));
        // What is none is told in the log, and changes nothing.
        element.set_property(name, "1,2,3");
        assert_eq!(is().as_deref(), Some("0,0,100,50;200,10,32.5,40"));
        element.set_property(name, None::<&str>);
        assert_eq!(is(), None);
    }
}

#[test]
fn late_frames_are_not_searched() {
    let info = info("GRAY8", 96, 64);
    let element = detect("seetaface");
    element.set_property("detect-interval", 0u32);
    let mut bench = Bench::with_caps(element, &info);
    bench.run(stamped(frame(&info, 1), 0));
    bench.harness.push_upstream_event(gst::event::Qos::new(
        gst::QOSType::Underflow,
        1.5,
        100_000_000,
        gst::ClockTime::ZERO,
    ));
    for n in 1..5 {
        bench.run(stamped(frame(&info, 1), n));
    }
    assert_eq!(bench.stat("frames-not-searched-late"), 2);
    assert_eq!(bench.stat("detections-run"), 3);
}

#[test]
fn flush_and_new_caps_search_again() {
    let info = info("GRAY8", 96, 64);
    let element = detect("seetaface");
    element.set_property("detect-every", 1000u32);
    let mut bench = Bench::with_caps(element, &info);
    for n in 0..3 {
        bench.run(stamped(frame(&info, 1), n));
    }
    assert_eq!(bench.stat("detections-run"), 1);
    bench.harness.push_event(gst::event::FlushStart::new());
    bench.harness.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    bench.harness.push_event(gst::event::Segment::new(&segment));
    bench.run(stamped(frame(&info, 1), 0));
    assert_eq!(bench.stat("detections-run"), 2);
    let larger = common::info("NV12", 200, 100);
    bench.harness.set_src_caps(larger.to_caps().unwrap());
    bench.run(stamped(frame(&larger, 1), 1));
    assert_eq!(bench.stat("detections-run"), 3);
}

#[test]
fn buffers_smaller_than_their_caps_are_errors() {
    let info = info("NV12", 96, 64);
    let mut bench = Bench::with_caps(detect("seetaface"), &info);
    let flow = bench.harness.push(gst::Buffer::with_size(100).unwrap());
    assert_eq!(flow, Err(gst::FlowError::Error));
    assert_eq!(bench.messages(gst::MessageType::Error).len(), 1);
}

#[test]
fn it_starts_and_stops_again_and_again() {
    let info = info("GRAY8", 64, 64);
    let element = detect("seetaface");
    for _ in 0..5 {
        let mut bench = Bench::with_caps(element.clone(), &info);
        bench.run(frame(&info, 1));
        assert_eq!(bench.stat("frames"), 1);
        drop(bench);
        element.set_state(gst::State::Null).unwrap();
    }
}
