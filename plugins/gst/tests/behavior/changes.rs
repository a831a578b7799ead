//! Properties that change while frames pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gst::glib;
use gst::prelude::*;

use crate::common::*;
use crate::{ELEMENTS, Play, element, face_frame};

/// A model file, and the folder that holds it.
fn model(name: &str, file: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap().to_string();
    (folder, path)
}

/// A value for the property, another for each `n`; `None` for types that no property here has.
fn value(pspec: &glib::ParamSpec, n: u64) -> Option<glib::Value> {
    if let Some(p) = pspec.downcast_ref::<glib::ParamSpecUInt>() {
        let edges = [p.minimum(), p.maximum(), p.default_value(), p.minimum().max(1), 40];
        return Some(edges[n as usize % 5].clamp(p.minimum(), p.maximum()).to_value());
    }
    if let Some(p) = pspec.downcast_ref::<glib::ParamSpecInt>() {
        let edges = [p.minimum(), p.maximum(), p.default_value()];
        return Some(edges[n as usize % 3].to_value());
    }
    if let Some(p) = pspec.downcast_ref::<glib::ParamSpecDouble>() {
        let share = (n % 5) as f64 / 4.0;
        return Some((p.minimum() + share * (p.maximum() - p.minimum())).to_value());
    }
    if pspec.is::<glib::ParamSpecBoolean>() {
        return Some(n.is_multiple_of(2).to_value());
    }
    if pspec.is::<glib::ParamSpecString>() {
        let texts = ["", "0,0,50,50", "0,0,0.5,1", "1,2,3,4;5,6,7,8", "-1,-1,5,99999999999"];
        return Some(texts[n as usize % 5].to_value());
    }
    if pspec.is::<glib::ParamSpecEnum>() {
        let class = glib::EnumClass::with_type(pspec.value_type())?;
        let values = class.values();
        return class.to_value(values[n as usize % values.len()].value());
    }
    None
}

/// Properties that the element says may change while playing.
fn tunables(element: &gst::Element) -> Vec<glib::ParamSpec> {
    let playing = gst::PARAM_FLAG_MUTABLE_PLAYING;
    element
        .list_properties()
        .iter()
        .filter(|p| p.flags().contains(playing) && p.flags().contains(glib::ParamFlags::WRITABLE))
        .cloned()
        .collect()
}

#[test]
fn every_tunable_at_every_moment() {
    for live in [false, true] {
        for line in
            ["facesrdetect detector=seetaface", "facesrenhance", "facesr detector=seetaface"]
        {
            let play = Play::new(&format!(
                "videotestsrc is-live={live} pattern=snow \
                 ! video/x-raw,format=RGB,width=96,height=64,framerate=200/1 \
                 ! {line} name=f ! fakesink sync=false"
            ));
            let list = tunables(&play.f);
            assert!(list.len() >= 4, "{line}: {}", list.len());
            play.set(gst::State::Playing);
            play.await_frames(1);
            let changers: Vec<_> = (0..2u64)
                .map(|thread| {
                    let (f, list) = (play.f.clone(), list.clone());
                    std::thread::spawn(move || {
                        for n in 0..60 {
                            for (i, pspec) in list.iter().enumerate() {
                                let Some(value) = value(pspec, n * 7 + i as u64 + thread) else {
                                    continue;
                                };
                                f.set_property_from_value(pspec.name(), &value);
                                let _ = f.property_value(pspec.name());
                            }
                            let _: gst::Structure = f.property("stats");
                            std::thread::sleep(std::time::Duration::from_millis(3));
                        }
                    })
                })
                .collect();
            changers.into_iter().for_each(|thread| thread.join().unwrap());
            play.await_frames(5);
            play.no_errors();
        }
    }
}

/// While playing, what names models only takes effect at the next start.
#[test]
fn other_properties_wait_for_the_next_start() {
    for line in ELEMENTS {
        let play = Play::new(&format!(
            "videotestsrc pattern=snow ! video/x-raw,format=RGB,width=96,height=64 \
             ! {line} name=f ! fakesink sync=false"
        ));
        play.set(gst::State::Playing);
        play.await_frames(2);
        for (name, text) in [
            ("generator", "/nowhere/generator.onnx"),
            ("detector-model", "/nowhere/detector.onnx"),
            ("detector", "yunet"),
            ("threads", "3"),
        ] {
            if play.f.find_property(name).is_some() {
                play.f.set_property_from_str(name, text);
            }
        }
        play.await_frames(10);
        play.no_errors();
        play.set(gst::State::Null);
        assert!(play.pipeline.set_state(gst::State::Paused).is_err(), "{line}");
        let bus = play.pipeline.bus().unwrap();
        let error = bus.pop_filtered(&[gst::MessageType::Error]);
        assert!(error.is_some(), "{line}: no error message");
    }
}

/// A warning about the frame in work, whose handler flushes the element: from the thread that
/// streams, and from another one that it waits for, as a state change does.
#[test]
fn handler_of_a_warning_may_flush_the_element() {
    let (folder, path) = model("goes.onnx", &onnx::blinded_by_light());
    let info = info("GRAY8", 96, 64);
    for beside in [false, true] {
        std::fs::write(&path, onnx::blinded_by_light()).unwrap();
        let element = element(&format!(
            "facesrdetect detector=centerface detector-model={path} detect-interval=0"
        ));
        let mut bench = Bench::with_caps(element, &info);
        bench.run(face_frame(&info, 0));
        std::fs::remove_file(&path).unwrap();
        let pad = bench.element.static_pad("sink").unwrap().downgrade();
        let flushed = Arc::new(AtomicUsize::new(0));
        let count = flushed.clone();
        bench.bus.set_sync_handler(move |_, message| {
            if message.type_() == gst::MessageType::Warning {
                let pad = pad.upgrade().unwrap();
                let flush = move || pad.send_event(gst::event::FlushStart::new());
                let sent = if beside { std::thread::spawn(flush).join().unwrap() } else { flush() };
                count.fetch_add(usize::from(sent), Ordering::Relaxed);
            }
            gst::BusSyncReply::Pass
        });
        // Another width is another detector, and its file is gone.
        bench.element.set_property("detect-width", 64u32);
        let flow = bench.harness.push(face_frame(&info, 1));
        assert_eq!(flow, Err(gst::FlowError::Flushing));
        assert_eq!(flushed.load(Ordering::Relaxed), 1);
        bench.bus.unset_sync_handler();
    }
    drop(folder);
}

/// An application that asks for everything from within a message handler, in the thread that
/// streams.
#[test]
fn a_handler_of_messages_may_ask_and_set_anything() {
    for line in ["facesrdetect detector=seetaface", "facesr detector=seetaface live=on"] {
        let play = Play::new(&format!(
            "videotestsrc num-buffers=60 pattern=snow \
             ! video/x-raw,format=RGB,width=96,height=64 ! {line} name=f ! fakesink sync=false"
        ));
        let f = play.f.downgrade();
        play.pipeline.bus().unwrap().set_sync_handler(move |_, _| {
            if let Some(f) = f.upgrade() {
                for pspec in tunables(&f) {
                    let now = f.property_value(pspec.name());
                    f.set_property_from_value(pspec.name(), &now);
                }
                let _: gst::Structure = f.property("stats");
                let mut query = gst::query::Latency::new();
                let _ = f.query(&mut query);
            }
            gst::BusSyncReply::Pass
        });
        play.set(gst::State::Playing);
        play.await_message(gst::MessageType::Eos);
    }
}
