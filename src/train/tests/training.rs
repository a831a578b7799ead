//! The loop: a resumed run equals an uninterrupted one, and a minute of training learns something.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use facesr_train::commands::Cli;
use facesr_train::config::PixelLoss;
use facesr_train::config::{Config, PhaseSteps};
use facesr_train::console::nearest;
use facesr_train::dataset::batch::{Variation, camera_pairs, fixed_batch};
use facesr_train::dataset::faces::Faces;
use facesr_train::dataset::pairs::{Header, NewPair, Row, encode, flag};
use facesr_train::dataset::pictures::{Size, halve};
use facesr_train::metrics::quality::mean_psnr as psnr;
use facesr_train::models::consistency::Slack;
use facesr_train::models::high_to_low::{HighToLow, noise, shrink4};
use facesr_train::models::low_to_high::LowToHighConfig;
use facesr_train::rng::{Rng, Stream};
use facesr_train::scale::Scale;
use facesr_train::training::schedule::Phase;
use facesr_train::training::state::State;
use facesr_train::training::trainer::{Budget, Folder, train};
use facesr_train::training::training_data::{Archives, TrainingData};
use tch::{Device, Kind, Tensor, no_grad};

fn weights(state: &State) -> Vec<Tensor> {
    let nets = &state.nets;
    [nets.h2l.params(), nets.l2h_ema.params(), nets.hr_d.params(), nets.lr_d.params()]
        .iter()
        .flat_map(|p| p.iter().map(|p| p.tensor.copy()))
        .collect()
}

#[test]
fn a_killed_run_resumes_on_the_same_curve() {
    let mut config = common::tiny();
    config.steps = PhaseSteps { high_to_low: 3, pixel: 3, gan: 4, joint: 2 };
    let data = common::training_data(&config, 300);
    let budget = |steps| Budget { steps, validate: 100, log: 1, ..Budget::default() };
    let whole = tempfile::tempdir().unwrap();
    let mut uninterrupted = State::new(config.clone(), Device::Cpu);
    let folder = Folder::open(whole.path()).unwrap();
    train(&mut uninterrupted, &data, &folder, &budget(None)).unwrap();

    let parts = tempfile::tempdir().unwrap();
    let folder = Folder::open(parts.path()).unwrap();
    let mut state = State::new(config, Device::Cpu);
    // Stops inside stage 1, inside the warm-up, inside the GAN phase and inside the joint phase.
    for steps in [Some(2), Some(3), Some(4), Some(2), None] {
        train(&mut state, &data, &folder, &budget(steps)).unwrap();
        state = State::load(&folder.last(), Device::Cpu).unwrap();
    }
    for (a, b) in weights(&uninterrupted).iter().zip(&weights(&state)) {
        assert!(a.equal(b), "weights differ by {}", (a - b).abs().max().double_value(&[]));
    }
    let metrics = std::fs::read_to_string(folder.metrics()).unwrap();
    assert_eq!(metrics.lines().filter(|l| l.contains("\"gan\"")).count(), 4);
    assert!(metrics.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
}

/// A shard of pairs of drawn faces.
fn write_shard(folder: &Path, held: bool, n: usize) {
    let drawn = common::set(n, 128, 0.0, if held { 8 } else { 7 });
    let jpeg = |rgb: &[u8]| {
        let mut out = std::io::Cursor::new(Vec::new());
        let picture = image::RgbImage::from_raw(128, 128, rgb.to_vec()).unwrap();
        picture.write_to(&mut out, image::ImageFormat::Jpeg).unwrap();
        out.into_inner()
    };
    let pairs: Vec<NewPair> = (0..n)
        .map(|i| {
            let at64 = halve(drawn.rgb(i), 64);
            let lr32 = halve(&at64, 32);
            let row = Row {
                offset: 0,
                jpeg: 0,
                native: 16.0 + (i % 9) as f32,
                original: i as u32,
                frame: 1,
                flags: if i % 5 == 0 { flag::COVERED } else { 0 },
            };
            NewPair { lr16: halve(&lr32, 16), lr32, jpeg: jpeg(drawn.rgb(i)), row }
        })
        .collect();
    let header = Header { count: n, seed: 1, index: 0, held, recipe: "drawn".into() };
    let name = if held { "held-0000.pairs" } else { "train-0000.pairs" };
    std::fs::write(folder.join(name), encode(header, &pairs).unwrap()).unwrap();
}

/// Archives of drawn faces, as `prepare` leaves them.
fn write_archives(folder: &Path, scale: Scale, n: usize) -> Archives {
    let write = |name: &str, faces: &Faces| {
        let path = folder.join(name);
        let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
        for i in 0..faces.len() {
            let mut png = std::io::Cursor::new(Vec::new());
            let side = faces.side() as u32;
            let picture = image::RgbImage::from_raw(side, side, faces.rgb(i).to_vec()).unwrap();
            picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
            let mut header = tar::Header::new_ustar();
            header.set_size(png.get_ref().len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, format!("drawn/{i:05}.png"), png.get_ref().as_slice())
                .unwrap();
        }
        tar.finish().unwrap();
        path
    };
    Archives {
        hr: vec![write("hr.tar", &common::set(n, 128, 0.0, 1))],
        lr: vec![write("lr.tar", &common::set(n, scale.lr, 1.0, 2))],
        pairs: vec![folder.to_owned()],
    }
}

#[test]
fn both_scales_learn_from_encoded_pairs() {
    tch::set_num_threads(1);
    for scale in [Scale::SMALL, Scale::LARGE] {
        let dir = tempfile::tempdir().unwrap();
        write_shard(dir.path(), false, 40);
        write_shard(dir.path(), true, 20);
        let mut config = Config { scale, batch: 8, ..common::tiny() };
        config.pixel_loss = PixelLoss::robust();
        config.pairs.encoded = 0.75;
        config.pairs.overlaid = 0.5;
        config.rates.pixel = 2e-3;
        config.steps = PhaseSteps { high_to_low: 2, pixel: 90, gan: 2, joint: 1 };
        let archives = write_archives(dir.path(), scale, 130);
        let data = TrainingData::load(&archives, None, &config, Device::Cpu).unwrap();
        let folder = Folder::open(&dir.path().join("run")).unwrap();
        let mut state = State::new(config, Device::Cpu);
        let budget = Budget { log: 1, validate: 30, ..Budget::default() };
        train(&mut state, &data, &folder, &budget).unwrap();
        let metrics = std::fs::read_to_string(folder.metrics()).unwrap();
        let lines: Vec<serde_json::Value> =
            metrics.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let of = |phase: &str, key: &str| -> Vec<f64> {
            lines.iter().filter(|l| l["phase"] == phase).filter_map(|l| l[key].as_f64()).collect()
        };
        let losses = of("pixel", "hr_pixel");
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        assert!(mean(&losses[60..]) < mean(&losses[..30]), "{scale}: {losses:?}");
        assert!(of("gan", "gradients").iter().any(|v| *v > 0.0));
        let judged: Vec<_> = lines.iter().filter(|l| l["pairs"].is_object()).collect();
        assert!(judged.len() >= 5, "{}", judged.len());
        assert_eq!(judged[0]["pairs"]["n"], 20);
        assert_eq!(judged[0]["pairs_covered"]["n"], 4);
        assert_eq!(judged[0]["pairs_by_size"].as_array().unwrap().len(), 5);
        assert!(folder.best(Phase::Pixel).is_file() && folder.best(Phase::Gan).is_file());
    }
}

#[test]
fn a_run_on_pairs_without_shards_says_what_to_do() {
    let mut config = common::tiny();
    config.pairs.encoded = 0.5;
    let data = common::training_data(&config, 130);
    let error = data.pairs().unwrap_err().to_string();
    assert!(error.contains("--pairs"), "{error}");
}

#[test]
fn damaged_and_foreign_checkpoints_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let state = State::new(common::tiny(), Device::Cpu);
    state.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = State::load(&path, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("x.safetensors"), "{error}");
    std::fs::write(&path, b"hello").unwrap();
    assert!(State::load(&path, Device::Cpu).is_err());
    // A network of another size.
    state.save(&path).unwrap();
    let config = Config {
        low_to_high: LowToHighConfig::Compact { width: 20, blocks: 2, slack: Slack::TIGHT },
        ..common::tiny()
    };
    let mut other = State::new(config, Device::Cpu);
    let error = other.adopt_low_to_high(&path).unwrap_err().to_string();
    assert!(error.contains("shape"), "{error}");
}

#[test]
fn adopted_high_to_low_keeps_its_damage() {
    let mut config = Config { batch: 8, discriminator_first: 20, ..common::tiny() };
    config.steps = PhaseSteps { high_to_low: 60, pixel: 0, gan: 0, joint: 0 };
    let data = common::training_data(&config, 130);
    let dir = tempfile::tempdir().unwrap();
    let trained = State::new(config.clone(), Device::Cpu);
    // Damage of a size that training leaves: fresh weights do four times as much.
    for param in
        trained.nets.h2l_ema.params().iter().filter(|param| param.name.starts_with("last."))
    {
        let _ = no_grad(|| param.tensor.shallow_clone().g_mul_scalar_(0.25));
    }
    let file = dir.path().join("h2l.safetensors");
    trained.save_high_to_low(&file).unwrap();
    let mut state = State::new(Config { seed: 5, ..config }, Device::Cpu);
    state.adopt_high_to_low(&file).unwrap();

    let hr = fixed_batch(&data.hr, &(0..32).collect::<Vec<_>>(), Device::Cpu);
    let z = noise(32, &mut Rng::new(1, Stream::Noise, 0), Device::Cpu);
    let damage = |net: &HighToLow| {
        let gap = no_grad(|| net.forward(&hr, &z, Kind::Float)) - shrink4(&hr);
        gap.square().mean(Kind::Float).sqrt().double_value(&[])
    };
    let before = damage(&state.nets.h2l_ema);
    assert!(before > 0.05, "{before}");
    let folder = Folder::open(dir.path()).unwrap();
    let steps = |n| Budget { steps: Some(n), validate: 1000, ..Budget::default() };
    train(&mut state, &data, &folder, &steps(20)).unwrap();
    assert_eq!(damage(&state.nets.h2l), before, "only the discriminator learns at first");
    train(&mut state, &data, &folder, &steps(30)).unwrap();
    let (now, average) = (damage(&state.nets.h2l), damage(&state.nets.h2l_ema));
    assert!(now > 0.7 * before, "{before} -> {now}: back to plain shrinking");
    // An average that was taken over is old: 30 steps move it little.
    assert!((average - before).abs() < 0.1 * before, "{before} -> {average}");
}

/// Runs a command line.
fn command(words: &[&str]) -> facesr_train::error::Result<()> {
    let words = ["facesr-train"].iter().chain(words);
    facesr_train::commands::run(Cli::try_parse_from(words).unwrap())
}

#[test]
fn resumed_run_takes_new_rates_and_refuses_another_seed() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let archives = write_archives(dir.path(), Scale::SMALL, 130);
    let config = serde_json::to_string(&common::tiny()).unwrap();
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (hr, lr) = (archives.hr[0].display().to_string(), archives.lr[0].display().to_string());
    let (run, last) = (path("run"), path("run/last.safetensors"));
    let start = ["train", "--hr", &hr, "--lr", &lr, "--out", &run, "--device", "cpu"];
    let with = |more: &[&str]| command(&[&start[..], more].concat());
    let settings = path("config.json");
    let new = ["--config", &settings, "--steps", "2"];
    with(&new).unwrap();

    let error = with(&new).unwrap_err().to_string();
    assert!(error.contains("--resume") && error.contains("--force"), "{error}");
    let first = std::fs::read_to_string(path("run/metrics.jsonl")).unwrap_or_default();
    let resume = ["--resume", &last, "--steps", "1"];
    for other in [&["--seed", "77"][..], &["--batch", "8"], &["--lr-size", "32"]] {
        let error = with(&[&resume[..], other].concat()).unwrap_err().to_string();
        assert!(error.contains("--l2h-from"), "{other:?}: {error}");
    }
    with(&[&resume[..], &["--rate-generator", "1e-9", "--alpha", "3"]].concat()).unwrap();
    let state = State::load(Path::new(&last), Device::Cpu).unwrap();
    assert_eq!((state.config.rates.generator, state.config.weights.alpha), (1e-9, 3.0));
    assert_eq!(state.progress.step, 3);
    let metrics = std::fs::read_to_string(path("run/metrics.jsonl")).unwrap();
    assert!(metrics.starts_with(&first), "what was there stays");
    assert!(metrics.contains("\"event\":\"resumed\"") && metrics.contains("1e-9"), "{metrics}");
    with(&[&new[..], &["--force"]].concat()).unwrap();
    assert!(!std::fs::read_to_string(path("run/metrics.jsonl")).unwrap().contains("resumed"));
}

#[test]
fn weights_that_are_no_numbers_do_not_replace_a_checkpoint() {
    let config = common::tiny();
    let data = common::training_data(&config, 130);
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let mut state = State::new(config, Device::Cpu);
    let budget = Budget { steps: Some(1), ..Budget::default() };
    train(&mut state, &data, &folder, &budget).unwrap();
    let good = std::fs::read(folder.last()).unwrap();
    no_grad(|| {
        let weight = &state.nets.h2l.params().iter().next().unwrap().tensor;
        let _ = weight.shallow_clone().fill_(f64::NAN);
    });
    let none = Budget { steps: Some(0), ..Budget::default() };
    let error = train(&mut state, &data, &folder, &none).unwrap_err().to_string();
    assert!(error.contains("lower learning rate"), "{error}");
    assert_eq!(std::fs::read(folder.last()).unwrap(), good);
}

#[test]
fn run_that_is_asked_to_stop_saves_and_stops() {
    let config = common::tiny();
    let data = common::training_data(&config, 130);
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let mut state = State::new(config, Device::Cpu);
    let stop = Some(Arc::new(AtomicBool::new(true)));
    train(&mut state, &data, &folder, &Budget { stop, ..Budget::default() }).unwrap();
    assert_eq!(State::load(&folder.last(), Device::Cpu).unwrap().progress.step, 0);
}

#[test]
fn joint_phase_gives_each_stage_its_own_faces() {
    let mut state = State::new(common::tiny(), Device::Cpu);
    state.progress.phase = Phase::Joint;
    for stream in [Stream::Batch, Stream::Noise, Stream::Augment] {
        assert_ne!(state.rng(stream).bits(), state.stage1_rng(stream).bits());
    }
}

#[test]
fn archives_of_one_name_do_not_share_a_cache() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let pixels = |name: &str, seed: u64| {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let mut tar = tar::Builder::new(std::fs::File::create(folder.join("lr.tar")).unwrap());
        let drawn = common::set(3, 16, 1.0, seed);
        for i in 0..3 {
            let picture = image::RgbImage::from_raw(16, 16, drawn.rgb(i).to_vec()).unwrap();
            let mut bytes = std::io::Cursor::new(Vec::new());
            picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
            // All archives are of one size.
            let mut bytes = bytes.into_inner();
            bytes.resize(2048, 0);
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append_data(&mut header, format!("a/{i}.png"), bytes.as_slice()).unwrap();
        }
        tar.finish().unwrap();
        let file = std::fs::File::open(folder.join("lr.tar")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000)).unwrap();
        let load = || Faces::load(&folder.join("lr.tar"), Size::Exactly(16), Some(&cache)).unwrap();
        assert_eq!(load().rgb(1), drawn.rgb(1));
        assert_eq!(load().rgb(1), drawn.rgb(1), "out of the cache");
    };
    pixels("one", 1);
    pixels("two", 2);
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 2);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let wrong = |change: fn(&mut Config)| {
        let mut config = common::tiny();
        change(&mut config);
        config.check().is_err()
    };
    assert!(!wrong(|_| {}));
    assert!(wrong(|c| c.batch = 0));
    assert!(wrong(|c| c.pairs.camera = 1.5));
    assert!(wrong(|c| c.rates.generator = f64::NAN));
    assert!(wrong(|c| c.hr_discriminator.widths.clear()));
    assert!(wrong(|c| c.shift = 99));
}

/// At most a minute on one core: both stages on drawn faces.
#[test]
fn a_minute_of_training_beats_repeating_pixels() {
    let mut config = common::tiny();
    config.batch = 8;
    config.low_to_high = LowToHighConfig::Compact { width: 24, blocks: 3, slack: Slack::TIGHT };
    config.rates.pixel = 2e-3;
    config.steps = PhaseSteps { high_to_low: 20, pixel: 160, gan: 20, joint: 0 };
    let data = common::training_data(&config, 400);
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let mut state = State::new(config, Device::Cpu);
    let budget = Budget { log: 1, validate: 1000, ..Budget::default() };
    train(&mut state, &data, &folder, &budget).unwrap();

    let metrics = std::fs::read_to_string(folder.metrics()).unwrap();
    let losses: Vec<f64> = metrics
        .lines()
        .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok())
        .filter(|v| v["phase"] == "pixel")
        .filter_map(|v| v["hr_pixel"].as_f64())
        .collect();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (first, last) = (mean(&losses[..20]), mean(&losses[losses.len() - 20..]));
    assert!(last < 0.85 * first, "pixel loss {first} -> {last}");

    let mut rng = Rng::new(9, Stream::Validation, 9);
    let held: Vec<usize> = data.hr_split.held.clone();
    let camera = &state.config.camera;
    let (lr, hr) = camera_pairs(&data.hr, &held, Variation::NONE, camera, &mut rng, Device::Cpu);
    let output = no_grad(|| state.nets.l2h_ema.forward(&lr, Kind::Float, false));
    let (ours, repeated) = (psnr(&output, &hr), psnr(&nearest(&lr), &hr));
    assert!(ours > repeated + 0.3, "{ours} dB against {repeated} dB of repeated pixels");
    assert!(folder.after(Phase::Gan).is_file());
}
