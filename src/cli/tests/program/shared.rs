//! Real clips that the project may test with but not carry. All names begin with `shared_`, so
//! that a runner can leave them out where the folder is missing.

use std::path::PathBuf;

use facesr_testkit::media::{Stream, frames, packets, shared_clips};
use serde_json::Value;

use crate::{enhance, scratch};

fn clip(name: &str) -> PathBuf {
    let path = shared_clips().join(name);
    assert!(path.exists(), "{} is missing: leave tests named shared_ out", path.display());
    path
}

/// Enhances a clip; everything but the pixels must be kept. Answers the report.
fn keeps(name: &str, extension: &str, options: &[&str]) -> Value {
    let (_dir, file) = scratch();
    let (input, output, report) = (clip(name), file(&format!("out.{extension}")), file("r.json"));
    let mut all = vec!["--json", report.to_str().unwrap()];
    let yunet = shared_clips().join("../../models/yunet_n_dynamic.onnx");
    all.extend(["--detector=yunet", "--detector-model", yunet.to_str().unwrap()]);
    all.extend(options);
    enhance(&input, &output, &all);
    let (before, after) = (frames(&input), frames(&output));
    assert_eq!(before.packets.len(), after.packets.len(), "{name}: frames");
    // Matroska counts in milliseconds; MP4 gets the ticks of the input.
    let tolerance = if extension == "mkv" { 500_000 } else { 1 };
    let times = |s: &Stream| s.times().into_iter().map(Option::unwrap).collect::<Vec<_>>();
    let (was, is) = (times(&before), times(&after));
    for i in 0..was.len() {
        if i == 0 || was[i] != was[i - 1] {
            assert!((was[i] - is[i]).abs() <= tolerance, "{name}: {} became {}", was[i], is[i]);
        } else {
            // A frame with the time of the one before it gets a time of its own, before the next's.
            let next = was[i..].iter().find(|time| **time > was[i]);
            let limit = next.map_or(i64::MAX, |next| next + tolerance);
            assert!(is[i - 1] < is[i] && is[i] < limit, "{name}: {} became {}", was[i], is[i]);
        }
    }
    // What the caps leave open is filled in by size, as every element does.
    let info = |caps: &gst::Caps| gst_video::VideoInfo::from_caps(caps).unwrap();
    let (a, b) = (info(&before.caps), info(&after.caps));
    assert_eq!(
        (a.width(), a.height(), a.par(), a.fps()),
        (b.width(), b.height(), b.par(), b.fps())
    );
    assert_eq!(a.colorimetry(), b.colorimetry(), "{name}");
    let sound = |path| -> Vec<_> {
        packets(path).into_iter().filter(|s| s.media().starts_with("audio")).collect()
    };
    let (before, after) = (sound(&input), sound(&output));
    assert_eq!(before.len(), after.len(), "{name}: sound tracks");
    for (a, b) in before.iter().zip(&after) {
        let data = |s: &Stream| -> Vec<_> { s.packets.iter().map(|p| p.data.clone()).collect() };
        assert!(data(a) == data(b), "{name}: sound packets");
    }
    serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap()
}

#[test]
fn shared_faces_are_sharpened() {
    for name in ["corridor-walking.mp4", "carphone-qcif.mp4"] {
        let report = keeps(name, "mp4", &[]);
        assert!(report["faces_enhanced"].as_u64() > Some(10), "{name}: {report:#}");
    }
}

#[test]
fn shared_street_and_stadium_run_through() {
    for name in ["street-oxford-cctv.mp4", "stadium-crowd.mp4"] {
        let report = keeps(name, "mp4", &["--detect-interval=400"]);
        assert!(report["faces_enhanced"].as_u64() > Some(0), "{name}: {report:#}");
    }
}

#[test]
fn shared_clips_become_matroska() {
    keeps("office-one-person.mp4", "mkv", &["--detect-interval=400"]);
}

#[test]
fn shared_odd_timing_and_priming_are_kept() {
    keeps("office-one-person.mp4", "mp4", &["--detect-interval=400"]);
    keeps("carpark-no-faces.mp4", "mp4", &["--detect-interval=400"]);
}
