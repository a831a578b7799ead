//! What users hear of a GPU that is not to be had.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{facesr, said, scratch, small_carphone};

/// A CUDA driver on a machine that has no GPU: it loads, and answers so.
fn driver_without_gpu(folder: &Path) {
    const SOURCE: &str = r#"
        int cuInit(unsigned flags) { return 100; }
        int cuGetErrorName(int e, const char **s) { *s = "CUDA_ERROR_NO_DEVICE"; return 0; }
        int cuGetErrorString(int e, const char **s) {
            *s = "no CUDA-capable device is detected";
            return 0;
        }
    "#;
    let source = folder.join("driver.c");
    std::fs::write(&source, SOURCE).unwrap();
    for name in ["libcuda.so", "libcuda.so.1"] {
        let done = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&folder.join(name), &source])
            .status();
        assert!(done.expect("there is a C compiler").success());
    }
}

/// Runs the program with that driver.
fn with_driver(folder: &Path, args: &[&str]) -> Output {
    facesr().env("LD_LIBRARY_PATH", folder).args(args).output().expect("the program starts")
}

fn clip(file: impl Fn(&str) -> PathBuf) -> String {
    let clip = file("in.mp4");
    small_carphone(&clip, 96, 5);
    clip.display().to_string()
}

#[test]
fn the_cpu_does_the_work_and_one_note_says_why() {
    let (dir, file) = scratch();
    driver_without_gpu(dir.path());
    let clip = clip(file);
    let ended = with_driver(dir.path(), &["enhance", &clip, "--no-encode"]);
    let text = said(&ended);
    assert!(ended.status.success(), "{text}");
    let notes: Vec<_> = text.lines().filter(|line| line.contains("GPU")).collect();
    assert_eq!(notes.len(), 1, "{text}");
    assert!(notes[0].contains("the CPU does the work"), "{text}");
    assert!(notes[0].contains("no CUDA-capable device is detected"), "{text}");

    let ended = with_driver(dir.path(), &["enhance", &clip, "--no-encode", "--device=cpu"]);
    assert!(ended.status.success() && !said(&ended).contains("GPU"), "{}", said(&ended));
}

#[test]
fn cuda_that_was_asked_for_is_an_error() {
    let (dir, file) = scratch();
    driver_without_gpu(dir.path());
    let clip = clip(&file);
    for id in ["0", "3"] {
        let device = format!("--cuda-device-id={id}");
        let args = ["enhance", &clip, "--no-encode", "--device=cuda", &device];
        let ended = with_driver(dir.path(), &args);
        let text = said(&ended);
        assert_eq!(ended.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("CUDA device {id}")), "{text}");
        assert!(text.contains("no CUDA-capable device"), "{text}");
        assert!(text.contains("device=cpu"), "{text}");
    }
    let picture = file("in.png");
    image::RgbImage::new(40, 40).save(&picture).unwrap();
    let out = file("out.png").display().to_string();
    let args = ["image", &picture.display().to_string(), "-o", &out, "--device=cuda"];
    let ended = with_driver(dir.path(), &args);
    assert_eq!(ended.status.code(), Some(1));
    assert!(said(&ended).contains("no CUDA-capable device"), "{}", said(&ended));
}

#[test]
fn doctor_tells_why_there_is_no_gpu() {
    let (dir, _) = scratch();
    driver_without_gpu(dir.path());
    let ended = with_driver(dir.path(), &["doctor"]);
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{text}");
    let line = text.lines().find(|line| line.contains("NVIDIA GPU")).unwrap();
    assert!(line.contains("no CUDA-capable device") && line.contains("runs on the CPU"), "{line}");
}
