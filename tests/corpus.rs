//! Replays what fuzzing has kept (`fuzz/corpus`): inputs that reach each part of the code, and
//! those that once broke something. The archive reader's are replayed by the trainer's tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod roi_metadata;

use std::path::Path;

use facesr_testkit::fuzz;

/// Runs `target` on every input that is kept for it, and on all that is left if its end is cut off.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} inputs in {}", files.len(), folder.display());
    for file in files {
        // Printed by the test runner if what follows panics.
        eprintln!("{}", file.display());
        let data = std::fs::read(&file).unwrap();
        target(&data);
        target(&data[..data.len() / 2]);
    }
}

#[test]
fn frame() {
    replay("frame", fuzz::frame);
}

#[test]
fn roi() {
    replay("roi", roi_metadata::roi);
}

#[test]
fn onnx() {
    replay("onnx", fuzz::onnx);
}

#[test]
fn seetaface() {
    replay("seetaface", fuzz::seetaface);
}
