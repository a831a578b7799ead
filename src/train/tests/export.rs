//! What is exported computes what was trained. Needs libonnxruntime.so, named by ORT_DYLIB_PATH.

mod common;

use std::path::Path;

use facesr_train::config::Config;
use facesr_train::export::model::{About, build, write};
use facesr_train::export::verify::{Runner, largest_difference};
use facesr_train::export::weights::describe;
use facesr_train::models::consistency::Slack;
use facesr_train::models::low_to_high::{LowToHigh, LowToHighConfig};
use facesr_train::rng::{Rng, Stream};
use facesr_train::scale::Scale;
use facesr_train::training::state::State;
use tch::{Device, Kind, Tensor, no_grad};

#[test]
fn onnx_runtime_and_libtorch_agree_on_64_faces() {
    facesr::inference::Runtime::get().expect("make train-setup tells what to export");
    let dir = tempfile::tempdir().unwrap();
    let about = About { data: "drawn".into(), terms: "none".into() };
    let small = LowToHighConfig::Paper { widths: [24, 16, 12], blocks: [2, 1] };
    let compact = |fine, coarse| {
        let slack = Slack { fine, coarse };
        LowToHighConfig::Compact { width: 64, blocks: 12, slack }
    };
    for (n, (config, scale, half, limit)) in [
        (LowToHighConfig::compact(), Scale::SMALL, false, 1e-4),
        (LowToHighConfig::compact(), Scale::SMALL, true, 2e-2),
        (small, Scale::SMALL, false, 1e-4),
        (compact(Some(0.08), 0.04), Scale::LARGE, false, 1e-4),
        (compact(Some(0.11), 0.0), Scale::LARGE, true, 2e-2),
        (compact(None, 0.0), Scale::LARGE, false, 1e-4),
    ]
    .into_iter()
    .enumerate()
    {
        let side = scale.lr as i64;
        let values = Rng::new(5, Stream::Noise, 0).normals(64 * 3 * scale.lr * scale.lr);
        let faces = Tensor::from_slice(&values).view([64, 3, side, side]) * 0.5;
        let faces = faces.clamp(-1.0, 1.0);
        let net = LowToHigh::new(&config, scale, &mut Rng::new(1, Stream::Init, 0), Device::Cpu);
        // Running statistics that are not those of a fresh network.
        no_grad(|| {
            (0..3).for_each(|_| drop(net.forward(&(&faces * 1.5 + 0.2), Kind::Float, true)))
        });
        let path = dir.path().join(format!("{n}.onnx"));
        write(&build(&net, &about, half), &path).unwrap();
        let ours = no_grad(|| net.forward(&faces, Kind::Float, false).clamp(-1.0, 1.0));
        let mut runner = Runner::new(&path).unwrap();
        assert_eq!(runner.lr_size(), Some(scale.lr));
        let gap = largest_difference(&ours, &runner.run(&faces).unwrap());
        assert!(gap < limit, "{config:?} {half}: {gap}");
        // The batch is dynamic and the faces of a batch do not touch each other.
        let one = runner.run(&faces.narrow(0, 7, 1)).unwrap();
        assert!(largest_difference(&one, &ours.narrow(0, 7, 1)) < limit);
        assert_eq!(describe(&path).unwrap(), (scale, config));
    }
}

#[test]
fn weights_from_elsewhere_are_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ema.safetensors");
    let scale = Scale::LARGE;
    let config = Config { scale, ..common::tiny() };
    let trained = State::new(config.clone(), Device::Cpu);
    for prefix in ["l2h_ema.", ""] {
        let named: Vec<(String, Tensor)> = trained
            .nets
            .l2h
            .params()
            .iter()
            .map(|p| (format!("{prefix}{}", p.name), p.tensor.detach()))
            .collect();
        Tensor::write_safetensors(&named, &path).unwrap();
        let mut next = State::new(Config { seed: 9, ..config.clone() }, Device::Cpu);
        next.adopt_low_to_high(&path).unwrap();
        let pairs = trained.nets.l2h.params().iter().zip(next.nets.l2h_ema.params().iter());
        pairs.for_each(|(a, b)| assert!(a.tensor.equal(&b.tensor), "{}", a.name));
    }
    assert!(State::load(&path, Device::Cpu).is_err(), "there is no run to go on with");
}

#[test]
fn a_large_run_starts_from_small_generators() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.safetensors");
    let small = State::new(common::tiny(), Device::Cpu);
    small.save(&path).unwrap();
    let mut large = State::new(Config { scale: Scale::LARGE, ..common::tiny() }, Device::Cpu);
    large.adopt_low_to_high(&path).unwrap();
    large.adopt_high_to_low(&path).unwrap();
    let weight = |state: &State| state.nets.l2h_ema.params().iter().nth(2).unwrap().tensor.copy();
    assert!(weight(&small).equal(&weight(&large)), "the trunk is that of the small one");
}

#[test]
fn shipped_generators_survive_the_way_through_a_training() {
    for name in ["low-to-high-compact.onnx", "low-to-high-32-compact.onnx"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("again.onnx");
        let (scale, low_to_high) = describe(&shipped).unwrap();
        let config = Config { scale, low_to_high, ..Config::default() };
        let mut state = State::new(config, Device::Cpu);
        state.adopt_low_to_high(&shipped).unwrap();
        let about = About { data: "drawn".into(), terms: "none".into() };
        write(&build(&state.nets.l2h_ema, &about, false), &path).unwrap();
        let side = scale.lr as i64;
        let values = Rng::new(5, Stream::Noise, 0).normals((16 * 3 * side * side) as usize);
        let faces = (Tensor::from_slice(&values).view([16, 3, side, side]) * 0.5).clamp(-1.0, 1.0);
        let run = |path: &Path| Runner::new(path).unwrap().run(&faces).unwrap();
        assert!(run(&shipped).equal(&run(&path)), "{name}: the same numbers, bit for bit");
        let ours =
            no_grad(|| state.nets.l2h_ema.forward(&faces, Kind::Float, false).clamp(-1.0, 1.0));
        assert!(largest_difference(&ours, &run(&path)) < 1e-4, "{name}");
    }
}

#[test]
fn an_exported_generator_is_the_start_of_another_training() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = common::tiny();
    let trained = State::new(config.clone(), Device::Cpu);
    let about = About { data: "drawn".into(), terms: "none".into() };
    let path = dir.path().join("l2h.onnx");
    write(&build(&trained.nets.l2h, &about, false), &path).unwrap();
    config.seed += 1;
    let mut next = State::new(config.clone(), Device::Cpu);
    let same = |a: &State, b: &State| {
        let of = |s: &State| s.nets.l2h_ema.params().trainable();
        of(a).iter().zip(&of(b)).all(|(x, y)| x.equal(y))
    };
    assert!(!same(&trained, &next));
    next.adopt_low_to_high(&path).unwrap();
    assert!(same(&trained, &next));

    config.low_to_high = LowToHighConfig::Compact { width: 20, blocks: 2, slack: Slack::TIGHT };
    let error = State::new(config, Device::Cpu).adopt_low_to_high(&path).unwrap_err();
    assert!(error.to_string().contains("l2h.onnx"), "{error}");
    write(&build(&trained.nets.l2h, &about, true), &path).unwrap();
    assert!(next.adopt_low_to_high(&path).unwrap_err().to_string().contains("fp32"));
    std::fs::write(&path, b"\xff\xff\xff").unwrap();
    assert!(next.adopt_low_to_high(&path).is_err());
}

#[test]
fn high_to_low_travels_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h2l.safetensors");
    let trained = State::new(common::tiny(), Device::Cpu);
    trained.save_high_to_low(&path).unwrap();
    let mut next = State::new(Config { seed: 9, ..common::tiny() }, Device::Cpu);
    next.adopt_high_to_low(&path).unwrap();
    for (a, b) in trained.nets.h2l.params().iter().zip(next.nets.h2l.params().iter()) {
        assert!(a.tensor.equal(&b.tensor), "{}", a.name);
    }
}
