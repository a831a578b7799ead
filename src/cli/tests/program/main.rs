//! The command as its users run it: arguments in, files and exit codes out.

#![allow(clippy::unwrap_used)] // A test that cannot be set up has failed.

mod batch;
mod containers;
mod doctor;
mod enhance;
mod failures;
mod faults;
mod gpu;
mod harvest;
mod manual;
mod pages;
mod pictures;
mod serve;
mod shared;
mod view;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A command line that starts with the built program.
fn facesr() -> Command {
    Command::new(env!("CARGO_BIN_EXE_facesr"))
}

/// Runs the program with these arguments.
fn run<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Output {
    facesr().args(args).output().expect("the program starts")
}

/// What it said.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `facesr enhance` from file to file; must succeed. Answers what it said.
fn enhance(input: &Path, output: &Path, options: &[&str]) -> String {
    // What the program would choose by itself is tested by itself.
    let scale =
        (!options.iter().any(|option| option.starts_with("--scale"))).then_some("--scale=1");
    let output = facesr()
        .args(["enhance", "--preset=superfast"])
        .args(scale)
        .args([input, Path::new("-o"), output])
        .args(options)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{options:?}: {}", said(&output));
    said(&output)
}

/// Waits until a child that was started with `--progress=json` and a piped standard output has
/// done a frame.
fn until_frames_pass(child: &mut std::process::Child) {
    use std::io::BufRead;
    let stdout = child.stdout.as_mut().expect("its standard output is piped");
    for line in std::io::BufReader::new(stdout).lines() {
        let line: serde_json::Value = serde_json::from_str(&line.expect("it can be read")).unwrap();
        if line["frames"].as_u64() > Some(0) {
            return;
        }
    }
    panic!("it ended by itself");
}

/// A folder of its own, and a file name in it.
fn scratch() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
    let dir = tempfile::tempdir().expect("there is a folder for temporary files");
    let path = dir.path().to_path_buf();
    (dir, move |name: &str| path.join(name))
}

/// The clip with a face that set-up has fetched.
fn carphone() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_facesr")).parent().unwrap().parent().unwrap();
    let clip = target.join("setup/clips/carphone_pristine.mp4");
    assert!(clip.exists(), "{} is missing: run `make setup`", clip.display());
    clip
}

/// The first frames of that clip, `width` pixels wide instead of 176.
fn small_carphone(path: &Path, width: u32, frames: u32) {
    facesr_testkit::media::launch(&format!(
        "filesrc location={} ! decodebin ! identity eos-after={frames} ! videoconvert ! \
         videoscale method=lanczos add-borders=false ! \
         video/x-raw,width={width},height={},pixel-aspect-ratio=1/1 ! \
         x264enc pass=quant quantizer=18 speed-preset=veryfast ! mp4mux ! filesink location=\"{}\"",
        carphone().display(),
        width * 144 / 176 / 2 * 2,
        path.display()
    ));
}

/// Names in a folder.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
