//! The loop: a resumed run equals an uninterrupted one, and a minute of training learns something.

mod common;

use std::path::Path;

use facesr_train::config::PixelLoss;
use facesr_train::config::{Config, PhaseSteps};
use facesr_train::console::nearest;
use facesr_train::dataset::batch::{Variation, camera_pairs};
use facesr_train::dataset::faces::Faces;
use facesr_train::dataset::pairs::{Header, NewPair, Row, encode, flag};
use facesr_train::dataset::pictures::halve;
use facesr_train::metrics::quality::mean_psnr as psnr;
use facesr_train::models::consistency::Slack;
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
        config.pixel_loss.identity = 0.0;
        config.pairs.encoded = 0.75;
        config.pairs.overlaid = 0.5;
        config.rates.pixel = 2e-3;
        config.steps = PhaseSteps { high_to_low: 2, pixel: 60, gan: 2, joint: 1 };
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
        assert!(mean(&losses[45..]) < 0.95 * mean(&losses[..15]), "{scale}: {losses:?}");
        assert!(of("gan", "gradients").iter().all(|v| *v > 0.0));
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
