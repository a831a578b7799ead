//! `facesr harvest`.

use std::collections::BTreeMap;
use std::path::Path;

use facesr_testkit::media::launch;
use serde_json::Value;

use crate::{facesr, names, said, scratch, small_carphone};

/// Runs it; answers exit code and what it said.
fn harvest(inputs: &[&Path], output: &Path, options: &[&str]) -> (Option<i32>, String) {
    let ended = facesr()
        .arg("harvest")
        .args(inputs)
        .args([Path::new("-o"), output])
        .args(options)
        .output()
        .unwrap();
    (ended.status.code(), said(&ended))
}

/// The rows of a manifest by column.
fn manifest(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = text.lines().map(|line| line.split(',').map(String::from));
    let header: Vec<_> = lines.next().unwrap().collect();
    lines.map(|cells| header.iter().cloned().zip(cells).collect()).collect()
}

#[test]
fn faces_of_a_clip_become_a_set() {
    let (_dir, file) = scratch();
    small_carphone(&file("gate 1.mp4"), 88, 60);
    let (clip, folder, report) = (file("gate 1.mp4"), file("faces"), file("r.json"));
    let options = ["--json", report.to_str().unwrap(), "--per-track=5"];
    let (code, said) = harvest(&[&clip], &folder, &options);
    assert_eq!(code, Some(0), "{said}");
    let text = std::fs::read_to_string(folder.join("manifest.csv")).unwrap();
    let rows = manifest(&text);
    assert!((2..=10).contains(&rows.len()), "{text}");
    let mut by_track: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in &rows {
        let picture = image::open(folder.join(&row["file"])).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (16, 16));
        let number = |key: &str| row[key].parse::<f64>().unwrap();
        assert!((8.0..=30.0).contains(&number("box_w_px")), "{row:?}");
        assert!(number("box_x") >= 0.0 && number("box_x") + number("box_w_px") <= 88.0);
        assert!(number("detector_score") > 0.2 && number("detector_score") <= 1.0);
        assert_eq!(row["source"], "gate_1");
        assert_eq!(row["identity"], format!("gate_1:{}", row["track"]));
        by_track.entry(&row["track"]).or_default().push(number("time_s"));
    }
    for times in by_track.values() {
        assert!(times.len() <= 5 && times.is_sorted(), "{times:?}");
    }
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["clips"][0]["faces"], rows.len());

    // The same again gives the same, as a tar too.
    for output in ["a.tar", "b.tar"] {
        assert_eq!(harvest(&[&clip], &file(output), &["--per-track=5"]).0, Some(0));
    }
    assert_eq!(std::fs::read(file("a.tar")).unwrap(), std::fs::read(file("b.tar")).unwrap());
    let mut tar = tar::Archive::new(std::fs::File::open(file("a.tar")).unwrap());
    let mut entries: Vec<_> = tar
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(entries.pop().as_deref(), Some("manifest.csv"));
    assert_eq!(entries, rows.iter().map(|row| row["file"].clone()).collect::<Vec<_>>());
}

#[test]
fn faces_for_the_large_generator_are_larger() {
    let (_dir, file) = scratch();
    small_carphone(&file("in.mp4"), 132, 40);
    let (code, said) = harvest(&[&file("in.mp4")], &file("faces"), &["--lr-size=32"]);
    assert_eq!(code, Some(0), "{said}");
    let rows = manifest(&std::fs::read_to_string(file("faces/manifest.csv")).unwrap());
    assert!(!rows.is_empty());
    for row in &rows {
        let picture = image::open(file("faces").join(&row["file"])).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (32, 32));
        let width = row["box_w_px"].parse::<f64>().unwrap();
        assert!((18.0..=60.0).contains(&width), "{row:?}");
    }
    let (code, said) = harvest(&[&file("in.mp4")], &file("none"), &["--min-width=40"]);
    assert!(code == Some(2) && said.contains("--max-width"), "{said}");
}

#[test]
fn harvests_are_replaced_by_force_and_nothing_else_is() {
    let (dir, file) = scratch();
    small_carphone(&file("in.mp4"), 88, 20);
    let clip = file("in.mp4");
    assert_eq!(harvest(&[&clip], &file("faces"), &[]).0, Some(0));
    let (code, said) = harvest(&[&clip], &file("faces"), &[]);
    assert!(code == Some(2) && said.contains("--force"), "{said}");
    assert_eq!(harvest(&[&clip], &file("faces"), &["--force"]).0, Some(0));
    std::fs::create_dir(file("mine")).unwrap();
    std::fs::write(file("mine/letter.txt"), b"dear").unwrap();
    let (code, said) = harvest(&[&clip], &file("mine"), &["--force"]);
    assert!(code == Some(2) && said.contains("something else"), "{said}");
    assert_eq!(names(dir.path()), ["faces", "in.mp4", "mine"]);
    assert_eq!(names(&file("mine")), ["letter.txt"]);
}

#[test]
fn broken_clips_do_not_stop_the_others_and_no_face_is_no_set() {
    let (dir, file) = scratch();
    small_carphone(&file("good.mp4"), 88, 20);
    std::fs::write(file("bad.mp4"), b"no video").unwrap();
    launch(&format!(
        "videotestsrc num-buffers=5 ! video/x-raw,width=160,height=120 ! x264enc ! mp4mux ! \
         filesink location={}",
        file("none.mp4").display()
    ));
    let (good, bad, none) = (file("good.mp4"), file("bad.mp4"), file("none.mp4"));
    let (code, said) = harvest(&[&bad, &good, &good], &file("faces"), &["--per-track=71"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("bad.mp4") && said.contains("1 of 3"), "{said}");
    // The second time, every face of the clip is a near-duplicate.
    assert!(said.contains("good.mp4: 0 faces"), "{said}");
    let (code, said) = harvest(&[&none], &file("empty"), &[]);
    assert!(code == Some(1) && said.contains("no face"), "{said}");
    assert_eq!(harvest(&[&bad], &file("empty"), &[]).0, Some(1));
    assert_eq!(names(dir.path()), ["bad.mp4", "faces", "good.mp4", "none.mp4"]);
}
