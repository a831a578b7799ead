//! The bin `facesr`: its shape, its properties, and whole pipelines.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::{Arc, Mutex};

use common::*;
use gst::prelude::*;

fn make(properties: &[(&str, &str)]) -> gst::Bin {
    init();
    let mut builder = gst::ElementFactory::make("facesr");
    for (name, value) in properties {
        builder = builder.property_from_str(name, value);
    }
    builder.build().unwrap().downcast().unwrap()
}

#[test]
fn it_is_what_it_says() {
    let bin = make(&[]);
    let names: Vec<_> =
        ["detect", "queue", "enhance"].map(|n| bin.by_name(n).unwrap().name().to_string()).into();
    assert_eq!(names, ["detect", "queue", "enhance"]);
    for name in ["sink", "src"] {
        assert!(bin.static_pad(name).unwrap().pad_template().is_some());
    }
    let klass = bin.factory().unwrap().metadata("klass").map(str::to_string);
    assert_eq!(klass.as_deref(), Some("Filter/Effect/Video/Bin"));
}

/// Whatever the children can do, the bin can; and values arrive in both directions.
#[test]
fn every_property_is_passed_on() {
    let bin = make(&[]);
    for child in ["detect", "enhance"] {
        let child = bin.by_name(child).unwrap();
        for pspec in child.list_properties() {
            let name = pspec.name();
            let own = pspec.owner_type() == child.type_() || name == "qos";
            if !own || name == "stats" {
                continue;
            }
            let outer = bin.find_property(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(outer.value_type(), pspec.value_type(), "{name}");
            let default = |v: &gst::glib::Value| format!("{v:?}");
            assert_eq!(
                default(outer.default_value()),
                default(&bin.property_value(name)),
                "{name}"
            );
            assert_eq!(
                default(&bin.property_value(name)),
                default(&child.property_value(name)),
                "{name}"
            );
        }
    }
    bin.set_property("temporal-smoothing", 0.75);
    bin.set_property("threads", 2u32);
    bin.set_property("strength", 0.5);
    bin.set_property_from_str("detector", "none");
    for child in ["detect", "enhance"] {
        let child = bin.by_name(child).unwrap();
        assert_eq!(child.property::<f64>("temporal-smoothing"), 0.75);
        assert_eq!(child.property::<u32>("threads"), 2);
    }
    let proxy = bin.upcast_ref::<gst::Element>();
    let proxy = proxy.dynamic_cast_ref::<gst::ChildProxy>().unwrap();
    assert_eq!(proxy.child_property::<f64>("enhance::strength"), 0.5);
    proxy.set_child_property("detect::detect-interval", 70u32);
    assert_eq!(bin.property::<u32>("detect-interval"), 70);
}

/// Runs a pipeline to its end and answers its messages.
fn run(pipeline: &gst::Pipeline) -> Vec<gst::Message> {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut messages = Vec::new();
    for message in bus.iter_timed(gst::ClockTime::from_seconds(60)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(e) => panic!("{} {:?}", e.error(), e.debug()),
            _ => messages.push(message),
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    messages
}

fn launch(line: &str) -> gst::Pipeline {
    init();
    gst::parse::launch(line).unwrap().downcast().unwrap()
}

const FACE: (u32, u32, u32, u32) = (40, 30, 24, 30);

/// Puts a face on every frame that enters the bin.
fn with_faces(pipeline: &gst::Pipeline) {
    let pad = pipeline.by_name("f").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            add_face(buffer, 1, FACE);
        }
        gst::PadProbeReturn::Ok
    });
}

#[test]
fn a_pipeline_enhances_faces_from_metadata() {
    let pipeline = launch(
        "videotestsrc num-buffers=20 pattern=snow ! video/x-raw,format=NV12,width=160,height=120 \
         ! facesr name=f detector=none ! fakesink sync=false",
    );
    with_faces(&pipeline);
    run(&pipeline);
    let stats = pipeline.by_name("f").unwrap().property::<gst::Structure>("stats");
    for (name, value) in [("frames", 20u64), ("faces-enhanced", 20), ("frames-untouched", 0)] {
        assert_eq!(stats.get::<u64>(name), Ok(value), "{name}");
    }
    assert_eq!(stats.get::<u64>("detections-run"), Ok(0));
}

#[test]
fn the_other_branch_of_a_tee_sees_the_input() {
    let pipeline = launch(
        "videotestsrc num-buffers=10 pattern=snow ! video/x-raw,format=I420,width=160,height=120 \
         ! tee name=t ! queue ! identity name=plain ! fakesink sync=false async=false \
         t. ! queue ! facesr name=f detector=none ! identity name=done ! fakesink sync=false \
         async=false videotestsrc num-buffers=10 pattern=snow \
         ! video/x-raw,format=I420,width=160,height=120 ! identity name=again \
         ! fakesink sync=false async=false",
    );
    with_faces(&pipeline);
    let [plain, done, again] = ["plain", "done", "again"].map(|n| record(&pipeline, n));
    run(&pipeline);
    let [plain, done, again] = [plain, done, again].map(|l| l.lock().unwrap().clone());
    assert_eq!(plain.len(), 10);
    assert_eq!(plain, again);
    assert!(plain.iter().zip(&done).all(|(a, b)| a != b));
}

/// What arrives at the source pad of the element `name`, from now on.
fn record(pipeline: &gst::Pipeline, name: &str) -> Arc<Mutex<Vec<Vec<u8>>>> {
    let list = Arc::new(Mutex::new(Vec::new()));
    let sink = list.clone();
    let pad = pipeline.by_name(name).unwrap().static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().unwrap();
        sink.lock().unwrap().push(buffer.map_readable().unwrap().to_vec());
        gst::PadProbeReturn::Ok
    });
    list
}

#[test]
fn only_the_square_changes_in_a_pipeline_of_every_format() {
    for (name, format) in FORMATS {
        let (width, height) = (161, 99);
        let pipeline = launch(&format!(
            "videotestsrc num-buffers=3 pattern=snow \
             ! video/x-raw,format={name},width={width},height={height} ! identity name=before \
             ! facesr name=f detector=none ! identity name=after ! fakesink sync=false"
        ));
        with_faces(&pipeline);
        let [before, after] = ["before", "after"].map(|n| record(&pipeline, n));
        run(&pipeline);
        let layout = Layout::of(&info(name, width, height));
        let mask = layout.mask(format, width, height, &square(FACE, width, height));
        let (before, after) = (before.lock().unwrap(), after.lock().unwrap());
        assert_eq!((before.len(), after.len()), (3, 3), "{name}");
        for (before, after) in before.iter().zip(after.iter()) {
            assert_ne!(before, after, "{name}");
            for (i, (a, b)) in before.iter().zip(after).enumerate() {
                assert!(mask[i] || a == b, "{name}: byte {i} outside of the square changed");
            }
        }
    }
}

#[test]
fn the_smallest_frames_pass() {
    for (name, _) in FORMATS {
        for (width, height) in [(1, 1), (2, 1), (1, 9), (3, 3), (17, 2)] {
            let info = info(name, width, height);
            for factory in ["facesrdetect detector=seetaface", "facesrenhance min-face-size=0"] {
                let element = gst::parse::launch(factory).unwrap();
                let mut bench = Bench::with_caps(element, &info);
                let mut buffer = frame(&info, 1);
                add_face(&mut buffer, 1, (0, 0, width, height));
                assert_eq!(bench.run(buffer).size(), info.size(), "{name} {width}x{height}");
            }
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let once = || {
        let pipeline = launch(
            "videotestsrc num-buffers=12 pattern=snow \
             ! video/x-raw,format=NV12,width=160,height=120 \
             ! facesr name=f detector=none ! identity name=done ! fakesink sync=false",
        );
        with_faces(&pipeline);
        let frames = record(&pipeline, "done");
        run(&pipeline);
        std::mem::take(&mut *frames.lock().unwrap())
    };
    assert!(once() == once());
}

#[test]
fn properties_change_from_another_thread_while_playing() {
    let pipeline = launch(
        "videotestsrc num-buffers=150 pattern=snow ! video/x-raw,format=RGB,width=160,height=120 \
         ! facesr name=f detector=none ! fakesink sync=false",
    );
    with_faces(&pipeline);
    let element = pipeline.by_name("f").unwrap();
    let changer = std::thread::spawn(move || {
        for i in 0..300u32 {
            element.set_property("strength", f64::from(i % 5) / 4.0);
            element.set_property("max-faces", i % 3);
            element.set_property("temporal-smoothing", f64::from(i % 2));
            element.set_property("detect-interval", 40 * (i % 4));
            let _: gst::Structure = element.property("stats");
        }
    });
    run(&pipeline);
    changer.join().unwrap();
}

#[test]
fn every_state_and_back() {
    let bin = make(&[("detector", "none")]);
    for _ in 0..10 {
        for state in
            [gst::State::Ready, gst::State::Paused, gst::State::Playing, gst::State::Paused]
        {
            bin.set_state(state).unwrap();
        }
        bin.set_state(gst::State::Null).unwrap();
    }
}
