//! `facesr batch`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use facesr_testkit::media::{frames, launch};
use serde_json::Value;

use crate::{facesr, said, scratch};

fn clip(path: &Path, frames: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mux = if path.extension().is_some_and(|e| e == "mkv") { "matroskamux" } else { "mp4mux" };
    launch(&format!(
        "videotestsrc num-buffers={frames} ! video/x-raw,width=160,height=120,framerate=25/1 ! \
         x264enc speed-preset=ultrafast ! {mux} ! filesink location={}",
        path.display()
    ));
}

/// What was said of each output, by its name in OUT_DIR, and the exit code.
fn batch(input: &Path, output: &Path, options: &[&str]) -> (BTreeMap<String, Value>, i32) {
    let finds = options.iter().any(|option| option.starts_with("--detector"));
    let ended = facesr()
        .args(["batch", "--preset=ultrafast", "--jobs=2"])
        .args((!finds).then_some("--detector=none"))
        .args([input, Path::new("-o"), output])
        .args(options)
        .output()
        .unwrap();
    let lines = String::from_utf8(ended.stdout.clone()).unwrap();
    let lines = lines
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let path = PathBuf::from(line["output"].as_str().unwrap());
            (path.strip_prefix(output).unwrap().display().to_string(), line)
        })
        .collect();
    (lines, ended.status.code().unwrap_or_else(|| panic!("{}", said(&ended))))
}

fn statuses(lines: &BTreeMap<String, Value>) -> Vec<(&str, &str)> {
    lines.iter().map(|(name, line)| (name.as_str(), line["status"].as_str().unwrap())).collect()
}

/// Names of all files in the output folder, but for records and locks.
fn outputs(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with(".facesr") => {}
                true => folders.push(path),
                false => found.push(path.strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn an_archive_is_done_once_and_broken_files_stop_nothing() {
    let (_dir, file) = scratch();
    let (input, output) = (file("in"), file("out"));
    clip(&input.join("gate/1.mp4"), 10);
    clip(&input.join("2.mkv"), 10);
    std::fs::write(input.join("bad.mp4"), b"no video").unwrap();
    let all = |a, b, c| vec![("2.mkv", a), ("bad.mp4", b), ("gate/1.mp4", c)];

    let (lines, code) = batch(&input, &output, &[]);
    assert_eq!((statuses(&lines), code), (all("done", "failed", "done"), 3));
    assert_eq!(outputs(&output), ["2.mkv", "gate/1.mp4"]);
    assert_eq!(frames(&output.join("gate/1.mp4")).packets.len(), 10);
    assert_eq!(lines["2.mkv"]["frames"], 10);
    let why = lines["bad.mp4"]["error"].as_str().unwrap();
    assert!(why.contains("bad.mp4") && why.contains("no video file"), "{why}");

    let (lines, code) = batch(&input, &output, &[]);
    assert_eq!((statuses(&lines), code), (all("skipped", "failed", "skipped"), 3));

    // Another option, another content, an output gone: each is done again, and nothing else.
    let (lines, _) = batch(&input, &output, &["--crf=30"]);
    assert_eq!(statuses(&lines), all("done", "failed", "done"));
    clip(&input.join("2.mkv"), 12);
    std::fs::remove_file(input.join("bad.mp4")).unwrap();
    let (lines, code) = batch(&input, &output, &["--crf=30", "--dry-run"]);
    let expected = [("2.mkv", "to do"), ("gate/1.mp4", "skipped")];
    assert_eq!((statuses(&lines), code), (expected.to_vec(), 0));
    let (lines, code) = batch(&input, &output, &["--crf=30"]);
    let expected = [("2.mkv", "done"), ("gate/1.mp4", "skipped")];
    assert_eq!((statuses(&lines), code), (expected.to_vec(), 0));
    std::fs::remove_file(output.join("gate/1.mp4")).unwrap();
    let (lines, _) = batch(&input, &output, &["--crf=30", "--quiet"]);
    assert_eq!(statuses(&lines), [("2.mkv", "skipped"), ("gate/1.mp4", "done")]);
}

#[test]
fn every_video_has_a_page_and_the_archive_one_over_them() {
    let (_dir, file) = scratch();
    let (input, output) = (file("in"), file("out"));
    std::fs::create_dir_all(input.join("gate 1")).unwrap();
    crate::small_carphone(&input.join("gate 1/a&b.mp4"), 88, 12);
    clip(&input.join("2.mkv"), 10);
    std::fs::write(input.join("bad.mp4"), b"no video").unwrap();
    let batch = |options: &[&str]| {
        let (lines, code) = batch(&input, &output, &[&["--detector=auto"], options].concat());
        let lines: Vec<_> = lines
            .into_iter()
            .map(|(name, line)| (name, line["status"].as_str().unwrap().to_string()))
            .collect();
        let all: Vec<_> = lines.iter().map(|(a, b)| format!("{a} {b}")).collect();
        (all.join(", "), code)
    };
    assert_eq!(batch(&[]), ("2.mkv done, bad.mp4 failed, gate 1/a&b.mp4 done".into(), 3));
    // Pages that were not wanted before make the work again; those that are there do not.
    let again = ("2.mkv done, bad.mp4 failed, gate 1/a&b.mp4 done".into(), 3);
    assert_eq!(batch(&["--report", "--gallery"]), again);
    let skipped = ("2.mkv skipped, bad.mp4 failed, gate 1/a&b.mp4 skipped".into(), 3);
    assert_eq!(batch(&["--report"]), skipped);
    assert_eq!(batch(&[]), skipped);
    let index = std::fs::read_to_string(output.join("index.html")).unwrap();
    assert!(index.contains("./gate%201/a%26b.mp4.html") && index.contains("./2.mkv.html"));
    let bad = "<th scope=\"row\">bad.mp4</th><td colspan=\"4\">failed: ";
    assert!(index.contains(bad) && index.contains("never evidence"), "{index}");
    let page = std::fs::read_to_string(output.join("gate 1/a&b.mp4.html")).unwrap();
    assert!(page.contains("<title>a&amp;b.mp4"));
    assert!(output.join("gate 1/a&b.mp4.faces/track-0001-after.png").is_file());
    assert!(output.join("2.mkv.faces").is_dir());
}

#[test]
fn shards_share_the_work_of_a_list() {
    let (_dir, file) = scratch();
    let mut list = String::from("# twelve clips\n");
    clip(&file("clip.mp4"), 3);
    for i in 0..12 {
        std::fs::copy(file("clip.mp4"), file(&format!("{i}.mp4"))).unwrap();
        list += &format!("{i}.mp4\n");
    }
    std::fs::write(file("list.txt"), list).unwrap();
    let mut counts = Vec::new();
    for shard in 0..3 {
        let shard = format!("--shard={shard}/3");
        let (lines, code) = batch(&file("list.txt"), &file("out"), &[&shard]);
        assert_eq!(code, 0);
        assert!(lines.values().all(|line| line["status"] == "done"), "{lines:?}");
        counts.push(lines.len());
    }
    assert_eq!(counts.iter().sum::<usize>(), 12);
    assert!(counts.iter().all(|n| *n < 12), "{counts:?}");
    assert_eq!(outputs(&file("out")).len(), 12);
}

/// Waits until the program has begun to write an output and has finished another.
fn until_busy(output: &Path) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is written");
        let names = if output.is_dir() { outputs(output) } else { Vec::new() };
        let locked = |name: &&String| name.ends_with(".lock");
        if names.iter().filter(locked).count() > 0 && names.iter().any(|n| !locked(&n)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ended_by(signal: i32) {
    let (_dir, file) = scratch();
    let (input, output) = (file("in"), file("out"));
    clip(&input.join("a.mp4"), 3);
    for name in ["b", "c", "d"] {
        clip(&input.join(format!("{name}.mp4")), 700);
    }
    let options = ["batch", "--detector=none", "--preset=medium", "--jobs=1", "--scale=2"];
    let mut child = facesr()
        .args(options)
        .args([&input, Path::new("-o"), &output])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until_busy(&output);
    // SAFETY: sends a signal to the child that was just started and is still running.
    unsafe { libc::kill(child.id() as i32, signal) };
    let status = child.wait().unwrap();
    assert!(!status.success());
    if signal == libc::SIGINT {
        assert_eq!(status.code(), Some(130));
    }
    // The process that did the file is told by the system if nobody else can.
    let begun = Instant::now();
    while outputs(&output).iter().any(|name| name.ends_with(".lock")) {
        assert!(begun.elapsed() < Duration::from_secs(20), "half a file stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    let time = |name: &str| -> SystemTime {
        std::fs::metadata(output.join(name)).unwrap().modified().unwrap()
    };
    let first = time("a.mp4");
    let ended = facesr().args(options).args([&input, Path::new("-o"), &output]).output().unwrap();
    assert!(ended.status.success(), "{}", said(&ended));
    assert_eq!(outputs(&output), ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]);
    assert_eq!(time("a.mp4"), first, "what was finished is not done again");
    assert_eq!(frames(&output.join("d.mp4")).packets.len(), 700);
}

#[test]
fn killed_in_the_middle_it_goes_on() {
    ended_by(libc::SIGKILL);
}

#[test]
fn ctrl_c_stops_it_and_it_goes_on() {
    ended_by(libc::SIGINT);
}

#[test]
fn what_cannot_be_begun_is_said() {
    let (_dir, file) = scratch();
    std::fs::create_dir(file("empty")).unwrap();
    let out = file("out");
    for (input, options, code, words) in [
        ("empty", &[][..], 1, "no video in"),
        ("none", &[], 1, "no such file"),
        ("empty", &["--shard=2/2"], 2, "I from 0"),
        ("empty", &["--generator=/no/such.onnx"], 1, "/no/such.onnx"),
    ] {
        let ended = facesr()
            .args([Path::new("batch"), &file(input), Path::new("-o"), &out])
            .args(options)
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(code), "{}", said(&ended));
        assert!(said(&ended).contains(words), "{}", said(&ended));
    }
    assert!(!out.exists());
}
