//! The detector fails on some frames. (That it panics, or its thread dies, is tested in the engine.)

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;

use crate::common::*;
use crate::{face_frame, model, warnings};

fn element(path: &str) -> gst::Element {
    init();
    gst::ElementFactory::make("facesrdetect")
        .property_from_str("detector", "centerface")
        .property("detector-model", path)
        .property("detect-interval", 0u32)
        .build()
        .unwrap()
}

#[test]
fn detector_that_fails_on_some_frames_warns_once_and_goes_on() {
    let (_folder, path) = model("blinded.onnx", &onnx::blinded_by_light());
    let info = info("GRAY8", 96, 64);
    let mut bench = Bench::with_caps(element(&path), &info);
    let mut failed = 0;
    for n in 0..60 {
        let bright = n % 5 == 2;
        let buffer = face_frame(&info, n, bright);
        let before = bytes(&buffer);
        let out = bench.run(buffer);
        assert_eq!(bytes(&out), before, "frame {n}");
        // It found nothing, and leaves what an earlier detector says of the frame.
        let regions: Vec<_> = out.iter_meta::<VideoRegionOfInterestMeta>().collect();
        assert_eq!(regions.len(), 1, "frame {n}");
        assert_eq!(regions[0].rect(), crate::FACE, "frame {n}");
        failed += u64::from(bright);
    }
    let warnings = warnings(&bench);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("blinded.onnx"), "{}", warnings[0]);
    assert_eq!(bench.messages(gst::MessageType::Error).len(), 0);
    assert_eq!(bench.stat("detection-errors"), failed);
    assert_eq!(bench.stat("detections-run"), 60);
}

/// Beside a live stream the failure is told a little later, and stops nothing.
#[test]
fn it_fails_beside_a_live_stream() {
    let (_folder, path) = model("blinded.onnx", &onnx::blinded_by_light());
    let info = info("GRAY8", 96, 64);
    let mut bench = Bench::with_caps(element(&path), &info);
    bench.element.set_property_from_str("live", "on");
    let mut n = 0;
    // Until enough of the bright ones were looked at: it takes the newest, whichever that is.
    while bench.stat("detection-errors") < 3 {
        n += 1;
        assert!(n < 5_000, "{} failures only", bench.stat("detection-errors"));
        let buffer = face_frame(&info, n, n / 10 % 2 == 1);
        let before = bytes(&buffer);
        assert_eq!(bytes(&bench.run(buffer)), before, "frame {n}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(bench.stat("frames"), n);
    let warnings = warnings(&bench);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(bench.messages(gst::MessageType::Error).len(), 0);
}

/// The model is read at the start; a search at another size later is made of the same bytes.
#[test]
fn its_file_goes_while_frames_pass() {
    let (_folder, path) = model("blinded.onnx", &onnx::blinded_by_light());
    let info = info("GRAY8", 96, 64);
    let mut bench = Bench::with_caps(element(&path), &info);
    bench.run(face_frame(&info, 0, false));
    std::fs::remove_file(&path).unwrap();
    bench.run(face_frame(&info, 1, false));
    let larger = crate::common::info("GRAY8", 200, 120);
    bench.harness.set_src_caps(larger.to_caps().unwrap());
    bench.run(face_frame(&larger, 2, false));
    assert_eq!(warnings(&bench), Vec::<String>::new());
    // Another width is another detector, which cannot be had any more: told, and the old one goes on.
    bench.element.set_property("detect-width", 64u32);
    bench.run(face_frame(&larger, 3, false));
    let warnings = warnings(&bench);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("could not be changed"), "{}", warnings[0]);
    let run = bench.stat("detections-run");
    bench.run(face_frame(&larger, 4, false));
    assert_eq!(bench.stat("detections-run"), run + 1);
}
