//! The generator fails, answers what are no numbers, or loses its file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst::prelude::*;

use crate::common::onnx::Poison;
use crate::common::*;
use crate::{face_frame, model, warnings};

fn broken_ones() -> [(&'static str, Vec<u8>); 3] {
    [
        ("fails", onnx::afraid_of_light()),
        ("not-a-number", onnx::poisoned(Poison::NotANumber)),
        ("infinite", onnx::poisoned(Poison::Infinite)),
    ]
}

fn element(factory: &str, generator: &str) -> gst::Element {
    init();
    let element = gst::ElementFactory::make(factory).build().unwrap();
    if factory == "facesr" {
        element.set_property_from_str("detector", "none");
    }
    element.set_property("generator", generator);
    element
}

#[test]
fn on_the_nth_call_it_fails_or_answers_nonsense() {
    let info = info("GRAY8", 96, 64);
    for factory in ["facesrenhance", "facesr"] {
        for (name, file) in broken_ones() {
            let (_folder, path) = model(&format!("{name}.onnx"), &file);
            let mut bench = Bench::with_caps(element(factory, &path), &info);
            let mut failed = 0;
            for n in 0..100 {
                let bright = n % 7 == 3 || n % 31 > 28;
                let buffer = face_frame(&info, n, bright);
                let before = bytes(&buffer);
                let after = bytes(&bench.run(buffer));
                assert_eq!(after == before, bright, "{factory} {name}: frame {n}");
                failed += u64::from(bright);
            }
            let warnings = warnings(&bench);
            assert_eq!(warnings.len(), 1, "{factory} {name}: {warnings:?}");
            assert!(warnings[0].contains(name), "{}", warnings[0]);
            assert!(warnings[0].contains("passes untouched"), "{}", warnings[0]);
            assert_eq!(bench.messages(gst::MessageType::Error).len(), 0, "{factory} {name}");
            assert_eq!(bench.stat("enhancement-errors"), failed, "{factory} {name}");
            assert_eq!(bench.stat("frames"), 100, "{factory} {name}");
        }
    }
}

/// What a failure leaves behind must not show in the frames that follow.
#[test]
fn after_a_failure_it_is_as_new() {
    let info = info("GRAY8", 96, 64);
    for (name, file) in broken_ones() {
        let (_folder, path) = model(&format!("{name}.onnx"), &file);
        let run = |frames: &[(u64, bool)]| {
            let mut bench = Bench::with_caps(element("facesrenhance", &path), &info);
            bench.element.set_property("temporal-smoothing", 1.0);
            let outs = frames.iter().map(|(n, bright)| {
                let mut buffer = face_frame(&info, *n, *bright);
                buffer.make_mut().set_pts(None);
                bytes(&bench.run(buffer))
            });
            outs.last().unwrap()
        };
        let fresh = run(&[(5, false)]);
        assert_eq!(run(&[(1, false), (2, true), (5, false)]), fresh, "{name}");
    }
}

/// With several threads the failure of one call is the failure of the frame.
#[test]
fn one_thread_of_many_fails() {
    let info = info("GRAY8", 480, 96);
    for (name, file) in broken_ones() {
        let (_folder, path) = model(&format!("{name}.onnx"), &file);
        let element = element("facesrenhance", &path);
        element.set_property("threads", 3u32);
        let mut bench = Bench::with_caps(element, &info);
        for bright in [None, Some(0), Some(7), None] {
            let mut data = noise(info.size(), 3, 30, 120);
            if let Some(face) = bright {
                for row in data.chunks_exact_mut(info.stride()[0] as usize) {
                    row[face * 60..face * 60 + 50].fill(255);
                }
            }
            let mut buffer = gst::Buffer::from_mut_slice(data);
            for face in 0..8 {
                add_face(&mut buffer, face + 1, (60 * face as u32 + 15, 38, 20, 20));
            }
            let before = bytes(&buffer);
            let after = bytes(&bench.run(buffer));
            // A call that fails is the failure of the frame; an answer that is no number is that
            // of one face.
            let fails = bright.is_some() && !["not-a-number", "infinite"].contains(&name);
            assert_eq!(after == before, fails, "{name} {bright:?}");
            if let Some(face) = bright {
                let row = 50 * info.stride()[0] as usize + face * 60;
                assert_eq!(after[row..row + 50], before[row..row + 50], "{name} {face}");
            }
        }
        assert_eq!(warnings(&bench).len(), 1, "{name}");
    }
}

/// The file is read once. What happens to it later matters at the next start.
#[test]
fn the_file_goes_while_frames_pass() {
    init();
    let (folder, path) = model("goes.onnx", &onnx::enlarger(16));
    let line = |name: &str| {
        format!(
            "videotestsrc pattern=snow ! video/x-raw,format=GRAY8,width=96,height=64 \
             ! facesr name={name} detector=none generator={path} ! fakesink sync=false"
        )
    };
    // Several streams at once need sessions that are only opened when they are needed.
    let lines = ["a", "b", "c"].map(line).join(" ");
    let pipeline: gst::Pipeline = gst::parse::launch(&lines).unwrap().downcast().unwrap();
    let gone = Arc::new(AtomicU64::new(0));
    for name in ["a", "b", "c"] {
        let pad = pipeline.by_name(name).unwrap().static_pad("sink").unwrap();
        let gone = gone.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
                for i in 0..gone.load(Ordering::Relaxed) as i32 {
                    add_face(buffer, i + 1, (8 * i as u32, 17, 26, 33));
                }
            }
            gst::PadProbeReturn::Ok
        });
    }
    let enhanced = |name: &str| -> u64 {
        let stats: gst::Structure = pipeline.by_name(name).unwrap().property("stats");
        stats.get("faces-enhanced").unwrap()
    };
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(20)).0.unwrap();
    std::fs::remove_file(&path).unwrap();
    // There was nothing to do until now.
    gone.store(6, Ordering::Relaxed);
    let bus = pipeline.bus().unwrap();
    let begun = std::time::Instant::now();
    while ["a", "b", "c"].iter().any(|name| enhanced(name) < 100) {
        let kinds = [gst::MessageType::Error, gst::MessageType::Warning];
        let trouble = bus.timed_pop_filtered(10 * gst::ClockTime::MSECOND, &kinds);
        assert!(trouble.is_none(), "{trouble:?}");
        assert!(begun.elapsed().as_secs() < 30, "frames do not pass any more");
    }
    // Another file of this name is no trouble either, until it is loaded.
    std::fs::write(&path, b"something else").unwrap();
    let before = enhanced("a");
    while enhanced("a") < before + 50 {
        assert!(begun.elapsed().as_secs() < 60, "frames do not pass any more");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let (error, text) = start_error(element("facesrenhance", &path));
    assert!(error.matches(gst::LibraryError::Settings), "{error:?}");
    assert!(text.contains("goes.onnx") && text.contains("not a usable model"), "{text}");
    std::fs::remove_file(&path).unwrap();
    let (error, text) = start_error(element("facesrenhance", &path));
    assert!(error.matches(gst::ResourceError::NotFound), "{error:?}");
    assert!(text.contains("goes.onnx") && text.contains("does not exist"), "{text}");
    drop(folder);
}
