//! Recordings that play from the first to the last frame, whatever happens.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::camera::{CameraServer, h264};
use crate::{Served, carphone, table, until};

/// Segments of a folder, oldest first.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut list: Vec<_> = entries.map(|entry| entry.path()).collect();
    list.retain(|path| path.extension().is_some_and(|end| end == "mkv"));
    list.sort();
    list
}

/// What FFmpeg's reader says of the packets of a kind of stream: how many, and from when to when. All of the file
/// must be readable.
fn packets(path: &Path, kind: &str) -> (usize, f64, f64) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time"])
        .args(["-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", path.display());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let times: Vec<f64> =
        text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    (times.len(), first, times.iter().copied().fold(0.0, f64::max))
}

/// Decodes all of it, and fails if the decoder complains.
fn assert_decodes(path: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-fps_mode", "vfr", "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", path.display());
}

#[test]
fn recording_is_segments_with_sound_that_follow_each_other() {
    let sound = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8";
    let camera = CameraServer::start(0, &format!("{} {sound}", h264("white", 320, 240)));
    let folder = tempfile::tempdir().unwrap();
    let more = format!(
        "record = \"{}\"\nrecord-minutes = 0.1\nrecord-before = true",
        folder.path().display()
    );
    let served = Served::start(&table("front", &camera.address(), &more));
    let (after, before) = (folder.path().join("front"), folder.path().join("front/before"));
    until("segments", || segments(&after).len() >= 4 && segments(&before).len() >= 3);
    let metrics = crate::http::text(served.http(), "/metrics");
    assert!(
        crate::http::value(&metrics, "facesr_recorded_segments_total{camera=\"front\"}") >= 7.0
    );
    assert_eq!(
        crate::http::value(&metrics, "facesr_recording_failures_total{camera=\"front\"}"),
        0.0
    );
    served.stop();
    for folder in [&after, &before] {
        let all = segments(folder);
        let mut with_sound = 0;
        for path in &all {
            let (count, first, last) = packets(path, "v");
            assert!(count > 0 && first < 3.0 && last < 30.0, "{count} {first} {last}");
            with_sound += usize::from(packets(path, "a").0 > 10);
            assert_decodes(path);
            let index = std::fs::read_to_string(path.with_extension("jsonl")).unwrap();
            let head: serde_json::Value =
                serde_json::from_str(index.lines().next().unwrap()).unwrap();
            assert_eq!(head["camera"], "front");
            assert_eq!(head["segment"], path.file_name().unwrap().to_str().unwrap());
        }
        // The first begins before the sound is known, and the last may have no more than begun.
        assert!(with_sound + 2 >= all.len() && with_sound > 0, "{with_sound} of {}", all.len());
    }
}

#[test]
fn recording_names_the_times_of_faces() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[cameras.clip]\nsource = \"{}\"\nrecord = \"{}\"\n",
        carphone().display(),
        folder.path().display()
    );
    let served = Served::start(&text);
    let lines = || -> Vec<serde_json::Value> {
        let all = segments(&folder.path().join("clip"));
        let text = all.iter().map(|path| std::fs::read_to_string(path.with_extension("jsonl")));
        let text: String = text.map(Result::unwrap_or_default).collect();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    until("a face", || lines().iter().any(|line| line["after"]["label"] == "face"));
    let all = lines();
    let face = all.iter().find(|line| line["after"]["label"] == "face").unwrap();
    assert_eq!(face["after"]["camera"], "clip");
    assert!(face["segment_s"].as_f64().is_some_and(|at| (0.0..120.0).contains(&at)), "{face}");
    served.end();
}

/// Records until it is killed; run by the test below.
#[test]
#[ignore = "it is a part of another test"]
fn recording_child() {
    let Some(folder) = std::env::var_os("FACESR_TEST_RECORD") else { return };
    let more = format!("record = \"{}\"", Path::new(&folder).display());
    let _served = Served::start(&table("front", "test", &more));
    std::thread::sleep(Duration::from_secs(120));
}

#[test]
fn killed_recording_plays_to_its_last_frame() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "record::recording_child", "--ignored"])
        .env("FACESR_TEST_RECORD", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let front = folder.path().join("front");
    let size = || segments(&front).first().and_then(|p| p.metadata().ok()).map_or(0, |m| m.len());
    until("something", || size() > 20_000);
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(5));
    child.kill().unwrap();
    child.wait().unwrap();
    let lasted = start.elapsed().as_secs_f64();
    let all = segments(&front);
    assert_eq!(all.len(), 1);
    let (count, first, last) = packets(&all[0], "v");
    // Nothing but a cluster of the file may be lost.
    assert!(count > 20 && last - first >= lasted - 2.5, "{count} {first} {last} {lasted}");
    assert_decodes(&all[0]);
}
