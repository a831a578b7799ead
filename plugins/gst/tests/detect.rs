//! `facesrdetect`: pixels, metadata and messages. Real faces are in `shared.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::{Arc, Mutex};

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
fn regions_of_others_are_left_alone() {
    let info = info("NV12", 96, 64);
    let mut bench = Bench::with_caps(detect("seetaface"), &info);
    let mut buffer = frame(&info, 1);
    add_face(&mut buffer, 1, (1, 2, 30, 40));
    VideoRegionOfInterestMeta::add(buffer.make_mut(), "car", (5, 6, 7, 8));
    let before = regions(&buffer);
    assert_eq!(regions(&bench.run(buffer)), before);
}

/// What is left of two faces, in the left and in the right half, with these properties.
fn left_of_two(detector: &str, properties: &[(&str, &str)]) -> Vec<u32> {
    let info = info("NV12", 200, 100);
    let element = detect(detector);
    for (name, value) in properties {
        element.set_property(name, value);
    }
    let mut bench = Bench::with_caps(element, &info);
    let mut buffer = frame(&info, 1);
    add_face(&mut buffer, 1, (20, 30, 30, 40));
    add_named_face(&mut buffer, 2, (140, 30, 30, 40));
    VideoRegionOfInterestMeta::add(buffer.make_mut(), "car", (1, 1, 9, 9));
    let out = regions(&bench.run(buffer));
    assert_eq!(out.iter().filter(|(kind, _)| kind == "car").count(), 1);
    out.iter().filter(|(kind, _)| kind == "face").map(|(_, rect)| rect.0).collect()
}

#[test]
fn excluded_faces_leave_the_metadata_whoever_found_them() {
    for detector in ["none", "seetaface"] {
        let left = |exclude: &str| left_of_two(detector, &[("exclude", exclude)]);
        assert_eq!(left(""), [20, 140], "{detector}");
        assert_eq!(left("0,0,100,100"), [140], "{detector}");
        // Relative to the picture.
        assert_eq!(left("0.5,0,0.5,1"), [20], "{detector}");
        assert!(left("0,0,10000,10000").is_empty(), "{detector}");
    }
}

#[test]
fn regions_of_interest_hold_for_the_faces_this_element_answers_for() {
    assert_eq!(left_of_two("none", &[("roi", "100,0,100,100")]), [140]);
    assert_eq!(left_of_two("none", &[("roi", "0,0,0.5,1"), ("exclude", "0,0,9,9")]), [20]);
    // With a detector they say where it searches; another one found these.
    assert_eq!(left_of_two("seetaface", &[("roi", "100,0,100,100")]), [20, 140]);
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
fn names_of_0_1_0_set_what_they_are_called_now() {
    let element = detect("seetaface");
    let old = |name: &str| element.property::<u32>(name);
    assert_eq!((old("detect-every"), old("tile-every")), (8, 8));
    for (frames, interval) in [(1u32, 0u32), (2, 80), (8, 320)] {
        element.set_property("detect-every", frames);
        assert_eq!(old("detect-interval"), interval);
        assert_eq!(old("detect-every"), frames);
    }
    for (frames, budget) in [(0u32, 0u32), (1, 4000), (8, 500)] {
        element.set_property("tile-every", frames);
        assert_eq!(old("detect-budget"), budget);
        assert_eq!(old("tile-every"), frames);
    }
    let spec = element.find_property("detect-every").unwrap();
    assert!(spec.flags().contains(gst::glib::ParamFlags::DEPRECATED));
}

/// What is no rectangle, as people write it.
const WRONG: [&str; 7] =
    ["10,10,100", "a,b", "0 0 480 270", "0;0;480;270", "all", "0,0,0,0", "0,0,nan,1"];

#[test]
fn region_that_cannot_be_read_keeps_every_element_from_starting() {
    init();
    for (factory, names) in [
        ("facesrdetect", ["roi", "exclude"].as_slice()),
        ("facesrenhance", &["exclude"]),
        ("facesr", &["roi", "exclude"]),
    ] {
        for (name, text) in names.iter().flat_map(|name| WRONG.map(|text| (*name, text))) {
            let element = gst::ElementFactory::make(factory).build().unwrap();
            if element.find_property("detector").is_some() {
                element.set_property_from_str("detector", "none");
            }
            element.set_property(name, text);
            // It is kept as it was written: whoever asks sees what is wrong.
            assert_eq!(element.property::<Option<String>>(name).as_deref(), Some(text));
            let (error, said) = start_error(element);
            assert!(error.matches(gst::LibraryError::Settings), "{factory} {name}={text}");
            assert!(said.contains(name) && said.contains("x,y,width,height"), "{said}");
        }
    }
}

#[test]
fn region_that_cannot_be_read_ends_the_stream_while_playing() {
    let info = info("NV12", 96, 64);
    for element in [detect("none"), enhance()] {
        let mut bench = Bench::with_caps(element, &info);
        bench.run(stamped(frame(&info, 1), 0));
        bench.element.set_property("exclude", "10,10,100");
        let flow = bench.harness.push(stamped(frame(&info, 1), 1));
        assert_eq!(flow, Err(gst::FlowError::Error));
        assert_eq!(bench.messages(gst::MessageType::Error).len(), 1);
        bench.element.set_property("exclude", "10,10,100,5");
        bench.run(stamped(frame(&info, 1), 2));
    }
}

#[test]
fn region_beside_the_picture_is_warned_of_once_for_each_size() {
    let info = info("NV12", 96, 64);
    for (element, name) in
        [(detect("none"), "roi"), (detect("none"), "exclude"), (enhance(), "exclude")]
    {
        element.set_property(name, "0,0,10,10;90,60,10,10;9000,9000,10,10");
        let mut bench = Bench::with_caps(element, &info);
        (0..3).for_each(|n| drop(bench.run(stamped(frame(&info, 1), n))));
        let warnings = bench.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("9000,9000,10,10") && warnings[0].contains("96x64"));
        // The camera changes its size: now another one lies outside too.
        let smaller = common::info("NV12", 64, 48);
        bench.harness.set_src_caps(smaller.to_caps().unwrap());
        (3..6).for_each(|n| drop(bench.run(stamped(frame(&smaller, 1), n))));
        let warnings = bench.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("90,60,10,10;9000,9000,10,10"), "{warnings:?}");
    }
}

#[test]
fn relative_region_follows_the_size_of_the_picture() {
    let element = detect("none");
    element.set_property("exclude", "0.5,0,0.5,1");
    let mut bench = Bench::new(element);
    for width in [200, 400, 100] {
        let info = info("NV12", width, 60);
        bench.harness.set_src_caps(info.to_caps().unwrap());
        let mut buffer = frame(&info, 1);
        add_face(&mut buffer, 1, (width / 2 - 20, 10, 24, 30));
        add_face(&mut buffer, 2, (width / 2 + 4, 10, 24, 30));
        assert_eq!(regions(&bench.run(buffer)).len(), 1, "{width}");
    }
    assert!(bench.warnings().is_empty());
}

/// A jump in time, marked or not, begins with a search (a file that stalls, a recorder that only
/// keeps what moves).
#[test]
fn jump_in_time_begins_with_a_search() {
    let info = info("GRAY8", 96, 64);
    let element = detect("seetaface");
    element.set_property("detect-interval", 60_000u32);
    element.set_property("detect-budget", 0u32);
    let mut bench = Bench::with_caps(element, &info);
    let mut run = |ms: u64, flags: gst::BufferFlags| {
        let mut buffer = frame(&info, 1);
        buffer.make_mut().set_pts(ms * gst::ClockTime::MSECOND);
        buffer.make_mut().set_flags(flags);
        bench.run(buffer);
        bench.stat("detections-run")
    };
    let (none, marked) = (gst::BufferFlags::empty(), gst::BufferFlags::DISCONT);
    assert_eq!([run(0, none), run(40, none), run(80, none)], [1, 1, 1]);
    // A lost packet is marked too, and is no jump.
    assert_eq!(run(180, marked), 1);
    assert_eq!([run(10_240, none), run(10_280, none)], [2, 2]);
    assert_eq!([run(20_000, marked), run(20_040, none)], [3, 3]);
    assert_eq!(run(40, none), 4);
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
    element.set_property("detect-interval", 60_000u32);
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

/// A score that changes while frames pass: faces that are known stay, with their numbers.
#[test]
fn scores_change_without_losing_known_faces() {
    init();
    let line = format!(
        "filesrc location={} ! decodebin ! facesrdetect name=f detector=seetaface \
         ! fakesink name=s sync=false",
        clip().display()
    );
    let pipeline: gst::Pipeline = gst::parse::launch(&line).unwrap().downcast().unwrap();
    let f = pipeline.by_name("f").unwrap();
    let ids = Arc::new(Mutex::new(Vec::new()));
    let list = ids.clone();
    let pad = f.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let regions = info.buffer().unwrap().iter_meta::<VideoRegionOfInterestMeta>();
        let id = |m: gst::MetaRef<'_, VideoRegionOfInterestMeta>| {
            m.param("object_id").unwrap().get::<i32>("id").unwrap()
        };
        let mut list = list.lock().unwrap();
        list.push(regions.map(id).collect::<Vec<_>>());
        // Once a face is there, another score at each of ten frames.
        if (21..31).contains(&list.len()) {
            let score = 0.2 + 0.001 * list.len() as f64;
            pad.parent_element().unwrap().set_property("track-min-score", score);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &kinds).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    let ids = ids.lock().unwrap();
    let before = &ids[20];
    assert!(!before.is_empty(), "{ids:?}");
    for (n, frame) in ids[21..26].iter().enumerate() {
        assert!(
            before.iter().all(|id| frame.contains(id)),
            "frame {n} after: {before:?} {frame:?}"
        );
    }
}
