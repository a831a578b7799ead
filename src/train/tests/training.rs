//! The loop: a resumed run equals an uninterrupted one, and a minute of training learns something.

mod common;

use facesr_train::config::{Config, PhaseSteps};
use facesr_train::console::nearest64;
use facesr_train::dataset::batch::{Variation, camera_pairs};
use facesr_train::models::low_to_high::LowToHighConfig;
use facesr_train::rng::{Rng, Stream};
use facesr_train::training::schedule::Phase;
use facesr_train::training::state::State;
use facesr_train::training::trainer::{Budget, Folder, train};
use facesr_train::training::validate::psnr;
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
        low_to_high: LowToHighConfig::Compact { width: 20, blocks: 2, slack: 0.055 },
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
    config.low_to_high = LowToHighConfig::Compact { width: 24, blocks: 3, slack: 0.055 };
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
    let (ours, repeated) = (psnr(&output, &hr), psnr(&nearest64(&lr), &hr));
    assert!(ours > repeated + 0.3, "{ours} dB against {repeated} dB of repeated pixels");
    assert!(folder.after(Phase::Gan).is_file());
}
