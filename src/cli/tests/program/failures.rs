//! Whatever goes wrong: a sentence, an exit code, and nothing half-written.

use std::path::Path;
use std::process::{Command, Stdio};

use facesr_testkit::media::launch;

use crate::{facesr, names, run, said, scratch};

/// Runs `facesr enhance` on `input`; it must end with `code`, say `words`, and leave the folder
/// of the output as it was.
fn fails(input: &Path, output: &Path, options: &[&str], code: i32, words: &[&str]) {
    let folder = output.parent().unwrap();
    let before = folder.is_dir().then(|| names(folder));
    let ended = facesr()
        .arg("enhance")
        .args([input, Path::new("-o"), output])
        .args(options)
        .output()
        .unwrap();
    let said = said(&ended);
    assert_eq!(ended.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
    assert!(
        !said.contains("panicked") && !said.contains(".rs:") && !said.contains(".c("),
        "{said}"
    );
    assert_eq!(before, folder.is_dir().then(|| names(folder)), "{said}");
}

fn clip(path: &Path, frames: u32) {
    launch(&format!(
        "videotestsrc num-buffers={frames} ! video/x-raw,width=160,height=120,framerate=25/1 ! \
         x264enc speed-preset=ultrafast ! mp4mux ! filesink location={}",
        path.display()
    ));
}

#[test]
fn files_that_are_no_video() {
    let (_dir, file) = scratch();
    let output = file("out.mp4");
    fails(&file("none.mp4"), &output, &[], 1, &["none.mp4", "no such file"]);
    std::fs::create_dir(file("folder.mp4")).unwrap();
    fails(&file("folder.mp4"), &output, &[], 1, &["folder.mp4", "is a folder"]);
    std::fs::write(file("empty.mp4"), b"").unwrap();
    fails(&file("empty.mp4"), &output, &[], 1, &["empty.mp4", "empty"]);
    let noise: Vec<u8> =
        (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(file("noise.mp4"), noise).unwrap();
    fails(&file("noise.mp4"), &output, &[], 1, &["noise.mp4", "no video file"]);
    std::fs::write(file("text.mp4"), b"just some words\n".repeat(50)).unwrap();
    fails(&file("text.mp4"), &output, &[], 1, &["text.mp4", "no video file"]);
}

#[test]
fn sound_alone_is_no_video() {
    let (_dir, file) = scratch();
    launch(&format!(
        "audiotestsrc num-buffers=50 ! avenc_aac ! mp4mux ! filesink location={}",
        file("sound.mp4").display()
    ));
    fails(&file("sound.mp4"), &file("out.mp4"), &[], 1, &["sound.mp4", "holds no video"]);
}

#[test]
fn a_file_cut_short() {
    let (_dir, file) = scratch();
    clip(&file("in.mp4"), 50);
    let whole = std::fs::read(file("in.mp4")).unwrap();
    std::fs::write(file("cut.mp4"), &whole[..whole.len() / 2]).unwrap();
    fails(&file("cut.mp4"), &file("out.mp4"), &[], 1, &["cut.mp4"]);
}

#[test]
fn outputs_that_cannot_be() {
    let (_dir, file) = scratch();
    let input = file("in.mp4");
    clip(&input, 5);
    fails(&input, &file("out.avi"), &[], 2, &["out.avi", ".mp4", ".mkv"]);
    fails(&input, &input, &["--force"], 2, &["in.mp4", "the input itself"]);
    std::fs::write(file("there.mp4"), b"keep me").unwrap();
    fails(&input, &file("there.mp4"), &[], 2, &["there.mp4", "--force"]);
    assert_eq!(std::fs::read(file("there.mp4")).unwrap(), b"keep me");
    fails(&input, &file("no/folder/out.mp4"), &[], 1, &["out.mp4", "no such"]);
}

#[test]
fn models_that_cannot_be_used() {
    let (_dir, file) = scratch();
    clip(&file("in.mp4"), 5);
    let (input, output) = (file("in.mp4"), file("out.mp4"));
    fails(&input, &output, &["--generator=/no/such.onnx"], 1, &["/no/such.onnx", "not exist"]);
    std::fs::write(file("bad.onnx"), b"no model").unwrap();
    let bad = format!("--generator={}", file("bad.onnx").display());
    fails(&input, &output, &[&bad], 1, &["bad.onnx"]);
    let options = ["--detector=yunet", "--detector-model=/no/such.onnx"];
    fails(&input, &output, &options, 1, &["/no/such.onnx"]);
}

#[test]
fn a_failed_force_leaves_the_old_file() {
    let (_dir, file) = scratch();
    clip(&file("in.mp4"), 5);
    std::fs::write(file("out.mp4"), b"old").unwrap();
    let options = ["--force", "--generator=/no/such.onnx"];
    fails(&file("in.mp4"), &file("out.mp4"), &options, 1, &["/no/such.onnx"]);
    assert_eq!(std::fs::read(file("out.mp4")).unwrap(), b"old");
}

/// A file may not grow beyond a limit: to the program that is a disk that fills up.
#[test]
fn a_disk_that_fills_up() {
    let (dir, file) = scratch();
    clip(&file("in.mp4"), 100);
    let ended = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""])
        .args([env!("CARGO_BIN_EXE_facesr"), "enhance", "--scale=4", "--crf=0"])
        .args([&file("in.mp4"), Path::new("-o"), &file("out.mp4")])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(said(&ended).contains("cannot write"), "{}", said(&ended));
    assert_eq!(names(dir.path()), ["in.mp4"]);
}

#[test]
fn ctrl_c_leaves_nothing() {
    let (dir, file) = scratch();
    // Long enough to be interrupted on any machine.
    clip(&file("in.mp4"), 3000);
    let mut child = facesr()
        .args(["enhance", "--scale=4", "--preset=slow", "--progress=json"])
        .args([&file("in.mp4"), Path::new("-o"), &file("out.mp4")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::until_frames_pass(&mut child);
    // SAFETY: sends a signal to the child that was just started and is still running.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", said(&ended));
    assert_eq!(names(dir.path()), ["in.mp4"]);
}

#[test]
fn usage_errors_are_told_apart() {
    for wrong in [
        &["enhance"][..],
        &["enhance", "a.mp4"],
        &["enhance", "a.mp4", "-o", "b.mp4", "--scale=3"],
        &["enhance", "a.mp4", "-o", "b.mp4", "--strength=2"],
        &["enhance", "a.mp4", "-o", "b.mp4", "--no-encode"],
        &["dance"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let help = run(&["enhance", "--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("never evidence"));
}
