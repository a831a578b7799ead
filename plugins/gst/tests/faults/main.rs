//! Faults in mid-stream: a model that fails or answers nonsense, a file that goes, a clock that
//! jumps. A frame then passes untouched, the application is warned once, and the stream goes on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;

mod clock;
mod detector;
mod generator;

use common::*;

/// Where the face is.
const FACE: (u32, u32, u32, u32) = (35, 22, 18, 20);

/// A model file that fails on what is bright, and the folder that holds it.
fn model(name: &str, file: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap().to_string();
    (folder, path)
}

/// The `n`th frame, with a face: one on which the models here fail if it is bright.
fn face_frame(info: &gst_video::VideoInfo, n: u64, bright: bool) -> gst::Buffer {
    let (low, high) = if bright { (215, 255) } else { (30, 120) };
    let noise = noise(info.size(), n as u32 + 1, low, high);
    let mut buffer = stamped(gst::Buffer::from_mut_slice(noise), n);
    add_face(&mut buffer, 1, FACE);
    buffer
}

/// Texts of the warnings since the last call.
fn warnings(bench: &Bench) -> Vec<String> {
    bench.warnings()
}
