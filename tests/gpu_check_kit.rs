//! `scripts/gpu-check.sh` without a card: its checker on the CUDA driver in system memory, and without
//! any driver.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use facesr_testkit::kernels::driver_file;

/// The checker, which cargo builds beside the tests.
fn checker() -> Command {
    let own = std::env::current_exe().unwrap();
    let program = own.ancestors().nth(2).unwrap().join("examples/gpu_check");
    assert!(program.is_file(), "{}: cargo builds it with all tests", program.display());
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH");
    command
}

fn on_test_driver(args: &[&str]) -> Output {
    let folder = driver_file().parent().unwrap();
    checker().env("LD_LIBRARY_PATH", folder).args(args).output().unwrap()
}

/// What it wrote, if it ended well.
fn results(ended: &Output) -> String {
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{:?}: {said}", ended.status);
    String::from_utf8(ended.stdout.clone()).unwrap()
}

fn fp16() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/low-to-high-compact-fp16.onnx")
}

#[test]
fn without_a_driver_it_says_so_and_ends_with_three() {
    if facesr::internals::cuda::driver_present() {
        return;
    }
    for args in [&["driver"][..], &["kernels"], &["frames", "fp32", "built-in"]] {
        let ended = checker().args(args).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(3), "{said}");
        assert!(said.contains("no NVIDIA driver") && said.contains("libcuda.so.1"), "{said}");
    }
}

/// All parts, as scripts/gpu/run.sh calls them, and the table of what they hand over.
#[test]
fn every_part_runs_on_the_test_driver_and_has_its_place_in_the_table() {
    let fp16 = fp16();
    let fp16 = fp16.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for args in [
        &["driver"][..],
        &["kernels"],
        &["generator", "fp32", "built-in"],
        &["generator", "fp16", fp16],
        &["card"],
        &["stages"],
        &["batches", "fp32", "built-in"],
        &["frames", "fp16", fp16],
    ] {
        let text = results(&on_test_driver(args));
        assert!(!text.contains("wrong"), "{args:?}: {text}");
        let file = folder.path().join(format!("{}.jsonl", files.len()));
        std::fs::write(&file, text).unwrap();
        files.push(file.to_str().unwrap().to_string());
    }
    // A part that died in the middle of a line, and one of which nothing came.
    let torn = folder.path().join("torn.jsonl");
    std::fs::write(&torn, "{\"wrong\":\"elements failed: stopped\"}\n{\"row\":\"crop, ").unwrap();
    files.push(torn.to_str().unwrap().to_string());
    files.push(folder.path().join("none.jsonl").to_str().unwrap().to_string());

    let mut args = vec!["table"];
    args.extend(files.iter().map(String::as_str));
    let table = results(&checker().args(&args).output().unwrap());
    for wanted in [
        "facesr test driver",
        "copies on the card",
        "TFLOP/s",
        "0 numbers of the crops and 0 of",
        "generator fp16 on the card: at most",
        "**wrong**: elements failed",
        "| faces | 1 | 2 | 4 | 8 | 16 | 32 | 64 | 128 |",
    ] {
        assert!(table.contains(wanted), "{wanted} is not in\n{table}");
    }
    // Rows that are full, each figure with the card's limit beside it.
    for row in ["crop, µs", "blend, µs", "crop, kernels alone, µs", "blend, kernels alone, µs"]
    {
        let line = table.lines().find(|line| line.starts_with(&format!("| {row} |"))).unwrap();
        assert_eq!(line.matches('(').count(), 8, "{line}");
    }
    for row in ["CUDA memory, fp16, frames/s", "system memory, fp16, frames/s"] {
        let line = table.lines().find(|line| line.starts_with(&format!("| {row} |"))).unwrap();
        assert_eq!(line.matches('(').count(), 2, "{line}");
    }
}
