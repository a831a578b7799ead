//! Adapting to a camera: from the folder that a harvest is to a file that the engine runs.

#![allow(clippy::unwrap_used)] // A test that cannot be set up has failed.

mod common;

use std::path::Path;

use clap::Parser;
use facesr_train::adaptation;
use facesr_train::commands::{Cli, run};
use facesr_train::config::Config;
use facesr_train::dataset::faces::Faces;
use facesr_train::dataset::pictures::Size;
use facesr_train::export::model::{About, build, write};
use facesr_train::training::state::State;
use tch::Device;

/// Writes faces as `facesr harvest` does, `per_track` of each track.
fn write_set(folder: &Path, faces: &Faces, per_track: usize) {
    let mut manifest = String::from("file,source,original,identity\n");
    std::fs::create_dir_all(folder.join("gate")).unwrap();
    for i in 0..faces.len() {
        let side = faces.side() as u32;
        let picture = image::RgbImage::from_raw(side, side, faces.rgb(i).to_vec()).unwrap();
        picture.save(folder.join(format!("gate/{i:05}.png"))).unwrap();
        manifest += &format!("gate/{i:05}.png,gate,gate.mp4,gate:{}\n", i / per_track);
    }
    std::fs::write(folder.join("manifest.csv"), manifest).unwrap();
}

#[test]
fn a_harvest_becomes_a_generator_with_scores() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let config = common::tiny();
    let drawn = common::training_data(&config, 120);
    write_set(&file("lr"), &drawn.lr, 5);
    write_set(&file("hr"), &drawn.hr, 1);
    let start = State::new(config.clone(), Device::Cpu);
    start.save_high_to_low(&file("high-to-low.safetensors")).unwrap();
    let about = About { data: "drawn".into(), terms: "none".into() };
    write(&build(&start.nets.l2h_ema, &about, false), &file("base.onnx")).unwrap();
    std::fs::write(file("config.json"), serde_json::to_string(&config).unwrap()).unwrap();

    let path = |name: &str| file(name).display().to_string();
    let cli = Cli::try_parse_from([
        "facesr-train",
        "adapt",
        "--base",
        &path("base.onnx"),
        "--lr",
        &path("lr"),
        "--hr",
        &path("hr"),
        "-o",
        &path("camera.onnx"),
        "--steps",
        "8",
        "--threads",
        "1",
        "--config",
        &path("config.json"),
        "--json",
        &path("scores.json"),
    ]);
    run(cli.unwrap()).unwrap();
    assert!(file("camera.onnx").is_file() && file("camera.run/last.safetensors").is_file());
    let scores = std::fs::read(file("scores.json")).unwrap();
    let scores: serde_json::Value = serde_json::from_slice(&scores).unwrap();
    let (train, held) =
        (scores["faces"][0].as_u64().unwrap(), scores["faces"][1].as_u64().unwrap());
    assert_eq!(train + held, 120);
    assert_eq!((train, held), (90, 30), "a quarter, and whole tracks");
    // It has learnt: the network that was written is another.
    assert_ne!(scores["before"]["psnr"], scores["after"]["psnr"]);
    for side in ["before", "after"] {
        assert!(scores[side]["camera"].is_f64() && scores[side]["validation"]["kept"].is_f64());
    }
}

#[test]
fn adapt_without_time_for_a_step_fails() {
    let config = Config { batch: 8, ..common::tiny() };
    let drawn = common::training_data(&config, 120);
    let data = adaptation::training_data(drawn.hr, drawn.lr, &config, Device::Cpu).unwrap();
    let mut state = State::new(config, Device::Cpu);
    state.config.steps = adaptation::split_steps(8);
    let dir = tempfile::tempdir().unwrap();
    let folder = facesr_train::training::trainer::Folder::open(dir.path()).unwrap();
    let error = adaptation::train(&mut state, &data, &folder, Some(0.0)).unwrap_err().to_string();
    assert!(error.contains("--minutes"), "{error}");
}

#[test]
fn too_few_faces_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = common::tiny();
    let drawn = common::training_data(&config, 120);
    write_set(&dir.path().join("hr"), &drawn.hr, 1);
    // All of one track: nobody is left to judge by.
    for (name, per_track) in [("few", 1), ("one", 120)] {
        let folder = dir.path().join(name);
        write_set(&folder, &drawn.lr, per_track);
        if name == "few" {
            // What has been thrown out by hand stays in the manifest.
            for i in 6..120 {
                std::fs::remove_file(folder.join(format!("gate/{i:05}.png"))).unwrap();
            }
        }
        let open = |folder: &Path, side| Faces::open(folder, Size::Exactly(side)).unwrap();
        let (hr, lr) = (open(&dir.path().join("hr"), 64), open(&folder, 16));
        let error =
            adaptation::training_data(hr, lr, &config, Device::Cpu).unwrap_err().to_string();
        let n = if name == "few" { "6 faces" } else { "120 faces" };
        assert!(error.contains(n) && error.contains("harvest more"), "{error}");
    }
}

#[test]
fn degraded_faces_come_nearer_to_a_camera_that_is_learned() {
    tch::set_num_threads(1);
    let mut config = Config { batch: 8, ..common::tiny() };
    config.steps.high_to_low = 40;
    config.steps.pixel = 0;
    config.steps.gan = 2;
    config.discriminator_first = 5;
    let drawn = common::training_data(&config, 120);
    let data = adaptation::training_data(drawn.hr, drawn.lr, &config, Device::Cpu).unwrap();
    let start = || State::new(config.clone(), Device::Cpu);
    let (before, mut state) = (start(), start());
    let dir = tempfile::tempdir().unwrap();
    let folder = facesr_train::training::trainer::Folder::open(dir.path()).unwrap();
    assert!(adaptation::train(&mut state, &data, &folder, None).unwrap(), "stopped before its end");
    let scores = adaptation::judge(&before, &state, &data).unwrap();
    assert!(scores.after.camera < 0.9 * scores.before.camera, "{}", scores.table());
    assert!(scores.of_itself < scores.after.camera, "{}", scores.table());
    assert!(!scores.table().contains("noise"));
}
