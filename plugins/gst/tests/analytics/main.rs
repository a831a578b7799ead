//! Faces in GStreamer's own analytics metadata, which it has since 1.24: what the elements write and
//! read. With an older one the tests are left out, aloud. `make debian-check SUITE=trixie` runs them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;

mod api;

use std::sync::{Arc, Mutex};

use common::*;
use gst::prelude::*;
use gst_video::{VideoInfo, VideoRegionOfInterestMeta as Region};

const FACE: (i32, i32, i32, i32) = (31, 17, 26, 33);

/// Runs a pipeline to its end; `look` sees each buffer that passes the source pad of element `f`.
fn play(line: &str, look: impl Fn(&mut gst::Buffer) + Send + Sync + 'static) -> gst::Pipeline {
    init();
    let pipeline: gst::Pipeline = gst::parse::launch(line).unwrap().downcast().unwrap();
    let pad = pipeline.by_name("f").unwrap().static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        look(info.buffer_mut().unwrap());
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(300), &kinds);
    assert_eq!(end.as_ref().map(|m| m.type_()), Some(gst::MessageType::Eos), "{line}: {end:?}");
    pipeline
}

/// The clip's first frames, decoded.
fn source() -> String {
    format!("filesrc location={} ! decodebin ! identity eos-after=40", clip().display())
}

fn stat(pipeline: &gst::Pipeline, element: &str, name: &str) -> u64 {
    let element = pipeline.by_name(element).unwrap();
    element.property::<gst::Structure>("stats").get(name).unwrap()
}

#[test]
fn detector_writes_each_face_as_region_and_as_detection_with_its_track() {
    if api::missing() {
        return;
    }
    let faces = Arc::new(Mutex::new(Vec::new()));
    let (list, start) = (faces.clone(), Mutex::new(None));
    let line = format!("{} ! facesrdetect name=f detector=seetaface ! fakesink", source());
    let pipeline = play(&line, move |buffer| {
        let detections = api::read(buffer);
        let regions: Vec<_> = buffer.iter_meta::<Region>().collect();
        assert_eq!(detections.len(), regions.len());
        // The clip's times do not begin at 0, running times do.
        let pts = buffer.pts().unwrap();
        let running = pts - *start.lock().unwrap().get_or_insert(pts);
        for (detection, region) in detections.iter().zip(&regions) {
            let (x, y, w, h) = region.rect();
            assert_eq!(detection.kind, "face");
            assert_eq!(detection.rect, (x as i32, y as i32, w as i32, h as i32));
            // DL Streamer finds one from the other by this.
            assert_eq!(region.id(), detection.entry as i32);
            let score: f64 = region.param("detection").unwrap().get("confidence").unwrap();
            assert!((score - f64::from(detection.score)).abs() < 1e-6);
            let id: i32 = region.param("object_id").unwrap().get("id").unwrap();
            let (number, first, last) = detection.track.expect("a track");
            assert_eq!(number, id as u64);
            assert_eq!(last, running.nseconds());
            list.lock().unwrap().push((number, first, last));
        }
    });
    pipeline.set_state(gst::State::Null).unwrap();
    let faces = faces.lock().unwrap();
    assert!(faces.len() > 20, "{faces:?}");
    let (number, first, _) = faces[0];
    let of_the_first: Vec<_> = faces.iter().filter(|face| face.0 == number).collect();
    assert!(of_the_first.len() > 20, "{faces:?}");
    assert!(of_the_first.iter().all(|face| face.1 == first), "{faces:?}");
}

#[test]
fn enhancer_counts_a_face_described_twice_once_also_when_it_was_scaled() {
    if api::missing() {
        return;
    }
    for between in ["identity", "videoscale ! video/x-raw,width=160,height=130", "videoconvert"] {
        let count = Arc::new(Mutex::new((0, 0)));
        let counts = count.clone();
        let line = format!(
            "{} ! facesrdetect name=d detector=seetaface ! {between} ! identity name=f \
             ! facesrenhance name=e ! fakesink",
            source()
        );
        let pipeline = play(&line, move |buffer| {
            let mut counts = counts.lock().unwrap();
            counts.0 += buffer.iter_meta::<Region>().count() as u64;
            counts.1 += api::read(buffer).len() as u64;
        });
        let seen = stat(&pipeline, "e", "faces-seen");
        pipeline.set_state(gst::State::Null).unwrap();
        let (regions, detections) = *count.lock().unwrap();
        assert!(regions > 20 && regions == detections, "{between}: {regions} {detections}");
        assert_eq!(seen, regions, "{between}");
    }
}

/// A frame with detections, made by `describe`, and the same with regions.
fn enhanced(
    info: &VideoInfo,
    frames: u64,
    describe: impl Fn(u64, &mut gst::BufferRef),
) -> (Vec<Vec<u8>>, [u64; 2]) {
    let mut bench = Bench::with_caps(enhance(), info);
    let outs = (0..frames)
        .map(|n| {
            let mut buffer = stamped(frame(info, 1), n);
            describe(n, buffer.make_mut());
            bytes(&bench.run(buffer))
        })
        .collect();
    (outs, [bench.stat("faces-seen"), bench.stat("faces-generated")])
}

fn region(buffer: &mut gst::BufferRef, (x, y, w, h): (i32, i32, i32, i32), id: i32) {
    let mut region = Region::add(buffer, "face", (x as u32, y as u32, w as u32, h as u32));
    region.set_id(id);
}

#[test]
fn detections_are_sharpened_as_regions_are() {
    if api::missing() {
        return;
    }
    for format in ["NV12", "RGB", "GRAY8"] {
        let info = info(format, 97, 75);
        let (regions, counts) = enhanced(&info, 3, |_, b| region(b, FACE, 0));
        assert!(counts[0] == 3 && regions[0] != bytes(&frame(&info, 1)));
        for (kind, track) in [("face", None), ("Face", Some(0)), ("FACE", Some(u64::MAX))] {
            let found = enhanced(&info, 3, |_, b| {
                api::add(b, kind, FACE, track);
            });
            assert!(found == (regions.clone(), counts), "{format} {kind} {track:?} {:?}", found.1);
        }
        let both = enhanced(&info, 3, |_, b| {
            api::add(b, "car", (1, 1, 9, 9), Some(7));
            let entry = api::add(b, "face", FACE, Some(4));
            region(b, FACE, entry as i32);
        });
        assert!(both == (regions.clone(), counts), "{format} {:?}", both.1);
        let (other, counts) = enhanced(&info, 1, |_, b| {
            api::add(b, "car", FACE, None);
        });
        assert!(counts[0] == 0 && other[0] == bytes(&frame(&info, 1)));
    }
}

#[test]
fn detections_come_off_pad_probes_and_appsrc_alike() {
    if api::missing() {
        return;
    }
    let line = "videotestsrc num-buffers=5 ! video/x-raw,format=NV12,width=160,height=120 \
                ! identity name=f ! facesrenhance name=e ! fakesink";
    let pipeline = play(line, |buffer| {
        api::add(buffer.make_mut(), "face", (40, 40, 26, 33), Some(3));
    });
    let counts = ["faces-seen", "faces-enhanced"].map(|name| stat(&pipeline, "e", name));
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(counts, [5, 5]);
}

/// Places in a list, numbers that never come again, and none at all: one picture over and over is
/// generated no more often than with numbers that stay.
#[test]
fn detections_without_a_steady_number_keep_their_memory() {
    if api::missing() {
        return;
    }
    let info = info("GRAY8", 160, 64);
    let (left, right) = ((10, 15, 26, 33), (100, 15, 26, 33));
    let run = |tracks: fn(u64) -> [Option<u64>; 2], swap: bool| {
        enhanced(&info, 24, |n, buffer| {
            let mut faces = [(left, tracks(n)[0]), (right, tracks(n)[1])];
            if swap && n % 2 == 1 {
                faces.reverse();
            }
            faces.iter().for_each(|(rect, track)| {
                api::add(buffer, "face", *rect, *track);
            });
        })
        .1
    };
    let steady = run(|_| [Some(1), Some(2)], false);
    assert_eq!(run(|_| [Some(1), Some(2)], true), steady);
    assert_eq!(run(|_| [None, None], true), steady);
    // Believed until it shows that they mean nothing: for three frames at most.
    let [seen, generated] = run(|n| [Some(2 * n), Some(2 * n + 1)], false);
    assert!(seen == steady[0] && generated <= steady[1] + 2 * 4, "{generated} {steady:?}");
    let [seen, generated] = run(|n| [Some(n % 2), Some(1 - n % 2)], false);
    assert!(seen == steady[0] && generated <= steady[1] + 2 * 4, "{generated} {steady:?}");
}

#[test]
fn what_was_left_out_of_detections_is_not_sharpened() {
    if api::missing() {
        return;
    }
    let info = info("NV12", 160, 64);
    for detector in ["none", "seetaface"] {
        let detect = gst::ElementFactory::make("facesrdetect")
            .property_from_str("detector", detector)
            .property("exclude", "0,0,80,64")
            .build()
            .unwrap();
        let mut first = Bench::with_caps(detect, &info);
        let mut buffer = frame(&info, 1);
        api::add(buffer.make_mut(), "face", (10, 15, 26, 33), Some(1));
        api::add(buffer.make_mut(), "face", (100, 15, 26, 33), Some(2));
        let buffer = first.run(buffer);
        // Nobody's entry is taken away.
        assert_eq!(api::read(&buffer).len(), 2);
        let mut second = Bench::with_caps(enhance(), &info);
        let before = bytes(&buffer);
        let after = bytes(&second.run(buffer));
        assert_eq!(second.stat("faces-seen"), 1, "{detector}");
        let changed = |x: std::ops::Range<usize>| {
            x.clone().any(|x| before[30 * 160 + x] != after[30 * 160 + x])
        };
        assert!(!changed(0..80) && changed(100..126), "{detector}");
    }
}

#[test]
fn detections_on_a_picture_cropped_by_metadata_are_not_believed_before_1_28() {
    if api::missing() {
        return;
    }
    let info = info("GRAY8", 128, 96);
    for ((x, y), follows) in [((0, 0), true), ((20, 24), gst::version() >= (1, 28, 0, 0))] {
        let mut bench = Bench::with_caps(enhance(), &common::info("GRAY8", 96, 64));
        let mut buffer = frame(&info, 1);
        let b = buffer.make_mut();
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add_from_info(b, flags, &info).unwrap();
        gst_video::VideoCropMeta::add(b, (x, y, 96, 64));
        api::add(b, "face", FACE, None);
        bench.run(buffer);
        assert_eq!(bench.stat("faces-seen"), u64::from(follows), "{x} {y}");
        let told = bench.messages(gst::MessageType::Info);
        assert_eq!(told.len(), usize::from(!follows), "{x} {y}");
    }
}

/// Boxes that are absurd, and far more of them than a picture has.
#[test]
fn hostile_detections_do_no_harm() {
    if api::missing() {
        return;
    }
    let info = info("NV12", 97, 75);
    let rects = [
        (0, 0, 0, 0),
        (i32::MIN, i32::MIN, i32::MAX, i32::MAX),
        (i32::MAX, i32::MAX, i32::MAX, i32::MAX),
        (5, 5, -20, -20),
        (90, 70, 1000, 1000),
    ];
    let (_, [seen, _]) = enhanced(&info, 2, |_, buffer| {
        rects.iter().for_each(|rect| {
            api::add(buffer, "face", *rect, Some(1));
        });
    });
    assert!(seen >= 2, "{seen}");
    enhanced(&info, 2, |_, buffer| {
        for n in 0..300 {
            api::add(buffer, "face", (n % 70, n % 50, 16, 20), Some(n as u64 % 3));
            region(buffer, (n % 60, n % 40, 16, 20), n);
        }
    });
}

/// GStreamer's own overlay draws what the detector writes.
#[test]
fn overlay_of_gstreamer_draws_the_boxes() {
    if api::missing() {
        return;
    }
    if gst::ElementFactory::find("objectdetectionoverlay").is_none() {
        facesr_testkit::skip::not_installed("the element objectdetectionoverlay is missing");
        return;
    }
    let drawn = |overlay: &str| {
        let frames = Arc::new(Mutex::new(Vec::new()));
        let list = frames.clone();
        let line = format!(
            "{} ! facesrdetect detector=seetaface ! videoconvert ! video/x-raw,format=BGRA \
             ! {overlay} ! identity name=f ! fakesink",
            source()
        );
        let pipeline = play(&line, move |buffer| {
            list.lock().unwrap().push((bytes(buffer), api::read(buffer)));
        });
        pipeline.set_state(gst::State::Null).unwrap();
        std::mem::take(&mut *frames.lock().unwrap())
    };
    let plain = drawn("identity");
    let boxed = drawn("objectdetectionoverlay draw-labels=false");
    assert!(plain.len() > 30 && plain.len() == boxed.len());
    let mut faces = 0;
    for ((plain, detections), (boxed, _)) in plain.iter().zip(&boxed) {
        // Width and height of the clip.
        assert_eq!(plain.len(), 176 * 144 * 4);
        assert_eq!(plain == boxed, detections.is_empty());
        for detection in detections {
            let (x, y, w, _) = detection.rect;
            let row =
                (y as usize * 176 + x as usize) * 4..(y as usize * 176 + (x + w) as usize) * 4;
            let changed =
                plain[row.clone()].iter().zip(&boxed[row]).filter(|(a, b)| a != b).count();
            assert!(changed > w as usize, "{detection:?}: {changed}");
            faces += 1;
        }
    }
    assert!(faces > 20);
}
