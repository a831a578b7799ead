//! Real detectors on real clips, from the folder that developers have beside the checkout.
//! Where that folder is missing, leave these tests out by their names.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::{Arc, Mutex};

use common::*;
use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;

/// Faces of every frame: identifier, whole-pixel box, sub-pixel left edge and confidence.
type Faces = Vec<Vec<(i32, (u32, u32, u32, u32), f64, f64)>>;

struct Run {
    faces: Faces,
    messages: Vec<gst::Message>,
    stats: gst::Structure,
}

/// Runs `clip` through `middle`, whose element `f` is asked for its statistics, up to `frames`.
fn run(clip: &str, middle: &str, frames: usize) -> Run {
    init();
    let path = shared(&format!("data/clips/{clip}"));
    let line = format!(
        "filesrc location={} ! decodebin ! {middle} ! fakesink name=s sync=false",
        path.display()
    );
    let pipeline: gst::Pipeline = gst::parse::launch(&line).unwrap().downcast().unwrap();
    let faces = Arc::new(Mutex::new(Faces::new()));
    let list = faces.clone();
    let pad = pipeline.by_name("s").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let mut list = list.lock().unwrap();
        if list.len() == frames {
            // `Drop` makes GStreamer 1.22 complain that the buffer, freed by the binding, is gone.
            return gst::PadProbeReturn::Handled;
        }
        let buffer = info.buffer().unwrap();
        let found = buffer.iter_meta::<VideoRegionOfInterestMeta>().map(|m| {
            let detection = m.param("detection").unwrap();
            assert_eq!(m.roi_type(), "face");
            (
                m.param("object_id").unwrap().get::<i32>("id").unwrap(),
                m.rect(),
                detection.get::<f64>("x_min").unwrap(),
                detection.get::<f64>("confidence").unwrap(),
            )
        });
        list.push(found.collect());
        if list.len() == frames {
            let pad = pad.clone();
            // Not from the thread that streams.
            std::thread::spawn(move || pad.send_event(gst::event::Eos::new()));
        }
        gst::PadProbeReturn::Ok
    });
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut messages = Vec::new();
    for message in bus.iter_timed(gst::ClockTime::from_seconds(120)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(e) => panic!("{} {:?}", e.error(), e.debug()),
            gst::MessageView::Element(e) if e.has_name("facesr-faces") => messages.push(message),
            _ => {}
        }
    }
    let stats = pipeline.by_name("f").unwrap().property("stats");
    pipeline.set_state(gst::State::Null).unwrap();
    let faces = std::mem::take(&mut *faces.lock().unwrap());
    Run { faces, messages, stats }
}

fn yunet() -> String {
    format!("detector=yunet detector-model={}", shared("models/yunet_n_dynamic.onnx").display())
}

#[test]
fn shared_faces_are_found_tracked_and_told() {
    let line = format!("facesrdetect name=f {}", yunet());
    let run = run("corridor-walking.mp4", &line, 30);
    assert_eq!(run.faces.len(), 30);
    let with = run.faces.iter().filter(|f| !f.is_empty()).count();
    assert!(with >= 20, "faces in {with} of 30 frames only");
    for (id, (x, y, w, h), left, confidence) in run.faces.iter().flatten() {
        assert!(*id > 0 && *w > 0 && *h > 0 && *x < 4096 && *y < 4096);
        assert!((0.0..=1.0).contains(left) && (0.0..=1.0).contains(confidence));
    }
    // One message each time the set of identifiers changes, with that set.
    let mut sets = vec![Vec::new()];
    for faces in &run.faces {
        let mut ids: Vec<_> = faces.iter().map(|f| f.0 as u64).collect();
        ids.sort_unstable();
        if sets.last() != Some(&ids) {
            sets.push(ids);
        }
    }
    let told: Vec<Vec<u64>> = run
        .messages
        .iter()
        .map(|m| {
            let list = m.structure().unwrap().get::<gst::List>("faces").unwrap();
            let mut ids: Vec<u64> = list
                .iter()
                .map(|f| f.get::<gst::Structure>().unwrap().get::<u64>("id").unwrap())
                .collect();
            ids.sort_unstable();
            ids
        })
        .collect();
    assert!(!told.is_empty());
    assert_eq!(told[..sets.len() - 1], sets[1..]);
    let structure = run.messages[0].structure().unwrap();
    for field in ["timestamp", "stream-time", "running-time"] {
        assert!(structure.get::<gst::ClockTime>(field).is_ok(), "{field}: {structure}");
    }
    for field in ["faces-detected", "tracks", "detect-ns", "track-ns"] {
        assert!(run.stats.get::<u64>(field).unwrap() > 0, "{field}");
    }
}

#[test]
fn shared_two_detectors_do_not_double_the_faces() {
    let one = run("corridor-walking.mp4", &format!("facesrdetect name=f {}", yunet()), 20);
    let line = format!("facesrdetect {0} ! facesrdetect name=f {0}", yunet());
    let two = run("corridor-walking.mp4", &line, 20);
    assert_eq!(one.faces, two.faces);
}

/// Two halves of the picture, searched one after the other, have the faces of the whole.
#[test]
fn shared_two_detectors_add_their_faces() {
    let count = |line: &str| {
        let run = run("corridor-walking.mp4", line, 40);
        for faces in &run.faces {
            let ids: std::collections::HashSet<_> = faces.iter().map(|face| face.0).collect();
            assert_eq!(ids.len(), faces.len(), "two faces of one number");
        }
        run.faces.iter().map(Vec::len).sum::<usize>()
    };
    let detect = format!("facesrdetect {} detect-interval=0", yunet());
    let whole = count(&format!("{detect} name=f roi=\"0,0,300,270;300,0,180,270\""));
    let left = count(&format!("{detect} name=f roi=0,0,300,270"));
    let right = count(&format!("{detect} name=f roi=300,0,180,270"));
    let both = count(&format!("{detect} roi=0,0,300,270 ! {detect} name=f roi=300,0,180,270"));
    assert_eq!(both, left + right);
    assert!(left > 0 && right > 0 && both + 10 >= whole, "{left} and {right} of {whole}");
}

#[test]
fn shared_seetaface_needs_no_file() {
    let line = "facesrdetect name=f detector=seetaface";
    let run = run("carphone-qcif.mp4", line, 12);
    assert!(run.faces.iter().filter(|f| f.len() == 1).count() >= 6, "{:?}", run.faces);
}

#[test]
fn shared_the_bin_enhances_what_it_finds() {
    for format in ["I420", "NV12", "BGRx"] {
        let line = format!(
            "videoconvert ! video/x-raw,format={format} ! facesr name=f max-face-size=200 {}",
            yunet()
        );
        let run = run("carphone-qcif.mp4", &line, 30);
        let enhanced = run.stats.get::<u64>("faces-enhanced").unwrap();
        assert!(enhanced >= 20, "{format}: {enhanced}");
        assert!(!run.messages.is_empty());
    }
}

#[test]
fn shared_tiles_show_faces_that_the_reduced_frame_does_not() {
    let faces = |budget: u32| {
        let line = format!("facesrdetect name=f min-score=0.5 detect-budget={budget} {}", yunet());
        let run = run("street-oxford-cctv.mp4", &line, 90);
        assert_eq!(run.stats.get::<u64>("tiles-searched").unwrap() > 20, budget > 0);
        run.faces
    };
    let small = |faces: &Faces| {
        // Those of the lines `face` of the list of checked faces are 12 to 15 pixels high there.
        faces.iter().flatten().filter(|face| face.1.3 < 17).count()
    };
    let (with, without) = (faces(250), faces(0));
    assert!(small(&with) > small(&without) + 30, "{} and {}", small(&with), small(&without));
}

#[test]
fn shared_detection_is_the_same_every_time() {
    let line = format!("facesrdetect name=f {}", yunet());
    let once = || run("street-oxford-cctv.mp4", &line, 12).faces;
    assert_eq!(once(), once());
}
