//! Options of `facesr enhance`.

use std::path::Path;

use facesr_testkit::media::{frames, launch};
use serde_json::Value;

use crate::{enhance, facesr, said, scratch, small_carphone};

fn clip(path: &Path) {
    launch(&format!(
        "mp4mux name=m ! filesink location={} \
         videotestsrc num-buffers=40 pattern=ball ! \
         video/x-raw,format=I420,width=160,height=120,framerate=25/1,pixel-aspect-ratio=12/11 ! \
         x264enc speed-preset=veryfast bframes=2 ! h264parse ! queue ! m. \
         audiotestsrc num-buffers=70 ! audio/x-raw,rate=44100 ! avenc_aac ! queue ! m.",
        path.display()
    ));
}

fn size(path: &Path) -> (i32, i32, gst::Fraction) {
    let video = frames(path);
    let s = video.caps.structure(0).unwrap();
    (s.get("width").unwrap(), s.get("height").unwrap(), s.get("pixel-aspect-ratio").unwrap())
}

#[test]
fn scale_enlarges_and_keeps_the_shape_of_pixels() {
    let (_dir, file) = scratch();
    clip(&file("in.mp4"));
    for (scale, width, height) in [("2", 320, 240), ("4", 640, 480)] {
        let output = file(&format!("{scale}.mp4"));
        enhance(&file("in.mp4"), &output, &["--detector=none", "--scale", scale]);
        assert_eq!(size(&output), (width, height, gst::Fraction::new(12, 11)));
        assert_eq!(frames(&output).times(), frames(&file("in.mp4")).times());
    }
}

#[test]
fn compare_shows_both_with_a_divider() {
    let (_dir, file) = scratch();
    clip(&file("in.mp4"));
    let output = file("out.mp4");
    enhance(&file("in.mp4"), &output, &["--detector=none", "--compare", "--crf=5"]);
    assert_eq!(size(&output), (322, 120, gst::Fraction::new(12, 11)));
    let video = frames(&output);
    assert_eq!(video.times(), frames(&file("in.mp4")).times());
    let last = &video.packets.last().unwrap().data;
    let row = |y: usize| &last[y * 322..(y + 1) * 322];
    for y in [10, 60, 110] {
        assert!(row(y)[160..162].iter().all(|luma| *luma > 200), "divider in row {y}");
        // Without faces, before and after differ by what the encoder makes of them at most.
        let differences = row(y)[..160].iter().zip(&row(y)[162..]);
        let worst = differences.map(|(a, b)| a.abs_diff(*b)).skip(4).take(150).max();
        assert!(worst < Some(24), "row {y}: {worst:?}");
    }
}

#[test]
fn the_same_bytes_twice() {
    let (_dir, file) = scratch();
    clip(&file("in.mp4"));
    for extension in ["mp4", "mkv"] {
        let [a, b] = ["a", "b"].map(|name| file(&format!("{name}.{extension}")));
        enhance(&file("in.mp4"), &a, &[]);
        // A second later, so that a time of day would show.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        enhance(&file("in.mp4"), &b, &[]);
        assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap(), "{extension}");
    }
}

#[test]
fn the_report_has_its_keys() {
    let (_dir, file) = scratch();
    clip(&file("in.mp4"));
    let report = file("report.json");
    let options = ["--json", report.to_str().unwrap(), "--strength=0.5", "--quiet"];
    let said = enhance(&file("in.mp4"), &file("out.mp4"), &options);
    assert_eq!(said, "");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["frames"], 40);
    for key in ["faces_detected", "faces_enhanced", "tracks"] {
        assert!(report[key].is_u64(), "{key}: {report:#}");
    }
    for key in ["wall_s", "fps"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}: {report:#}");
    }
    for stage in ["detect", "track", "crop", "generate", "blend", "rest"] {
        assert!(report["stages"][stage].is_f64(), "{stage}: {report:#}");
    }
    assert!(report["stages"]["detect"].as_f64().unwrap() > 0.0);
    assert_eq!(report["options"]["given"]["strength"], "0.5");
    assert_eq!(report["properties"]["strength"], 0.5);
    assert_eq!(report["kept"]["audio"], 1);
    assert_eq!(report["video"]["output"]["width"], 160);
    assert!(report["versions"]["gstreamer"].is_string());
}

#[test]
fn speed_can_be_measured_without_an_output() {
    let (dir, file) = scratch();
    clip(&file("in.mp4"));
    let input = file("in.mp4");
    let output = facesr()
        .args(["enhance", input.to_str().unwrap(), "--no-encode", "--json", "-", "-q"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["frames"], 40);
    assert_eq!(report["output"], Value::Null);
    assert_eq!(crate::names(dir.path()), ["in.mp4"]);
}

#[test]
fn uris_are_read_too() {
    let (_dir, file) = scratch();
    clip(&file("in.mp4"));
    let uri = format!("file://{}", file("in.mp4").display());
    enhance(Path::new(&uri), &file("out.mp4"), &["--detector=none"]);
    assert_eq!(frames(&file("out.mp4")).times(), frames(&file("in.mp4")).times());
}

/// The scale that the program chose for `input`, and what it said.
fn chosen_scale(input: &Path, options: &[&str]) -> (u64, String) {
    let output = facesr()
        .args([Path::new("enhance"), input, Path::new("--no-encode"), Path::new("--json=-")])
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    (json["options"]["scale"].as_u64().unwrap(), said(&output))
}

#[test]
fn small_pictures_with_small_faces_are_enlarged_unasked() {
    let (_dir, file) = scratch();
    let [small, no_face] = ["small.mp4", "no-face.mp4"].map(file);
    // The face has some 65 of 176 pixels.
    small_carphone(&small, 176, 30);
    let (scale, said) = chosen_scale(&small, &[]);
    assert!(
        scale == 2 && said.contains("enlarged 2 times") && said.contains("--scale 1"),
        "{said}"
    );
    assert_eq!(chosen_scale(&small, &["--scale=1"]).0, 1);
    assert_eq!(chosen_scale(&small, &["--detector=none"]).0, 1, "nobody looked");
    let pattern = "videotestsrc num-buffers=30 pattern=smpte ! video/x-raw,width=320,height=240";
    facesr_testkit::media::launch(&format!(
        "{pattern} ! x264enc speed-preset=ultrafast ! mp4mux ! filesink location=\"{}\"",
        no_face.display()
    ));
    assert_eq!(chosen_scale(&no_face, &[]).0, 1);
}

#[test]
fn only_the_chosen_part_is_looked_at_for_the_scale() {
    let (_dir, file) = scratch();
    let film = file("film.mp4");
    // Two seconds without a face, then two with one.
    let caps = "video/x-raw,format=I420,width=176,height=144,framerate=25/1,pixel-aspect-ratio=1/1";
    facesr_testkit::media::launch(&format!(
        "concat name=c ! x264enc speed-preset=veryfast bframes=0 key-int-max=10 ! mp4mux ! \
         filesink location=\"{}\" videotestsrc num-buffers=50 pattern=smpte ! {caps} ! c. \
         filesrc location={} ! decodebin ! identity eos-after=60 ! videoconvert ! videoscale ! \
         videorate ! {caps} ! c.",
        film.display(),
        crate::carphone().display(),
    ));
    assert_eq!(chosen_scale(&film, &["--end=1.8"]).0, 1);
    assert_eq!(chosen_scale(&film, &["--start=2.2", "--duration=1"]).0, 2);
    assert_eq!(chosen_scale(&film, &[]).0, 2);
}
