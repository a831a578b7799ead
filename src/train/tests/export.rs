//! What is exported computes what was trained. Needs libonnxruntime.so, named by ORT_DYLIB_PATH.

mod common;

use facesr_train::config::Config;
use facesr_train::export::model::{About, build, write};
use facesr_train::export::verify::{Runner, largest_difference};
use facesr_train::models::low_to_high::{LowToHigh, LowToHighConfig};
use facesr_train::rng::{Rng, Stream};
use facesr_train::training::state::State;
use tch::{Device, Kind, Tensor, no_grad};

#[test]
fn onnx_runtime_and_libtorch_agree_on_64_faces() {
    facesr::inference::Runtime::get().expect("make train-setup tells what to export");
    let dir = tempfile::tempdir().unwrap();
    let about = About { data: "drawn".into(), terms: "none".into() };
    let values = Rng::new(5, Stream::Noise, 0).normals(64 * 3 * 256);
    let faces = (Tensor::from_slice(&values).view([64, 3, 16, 16]) * 0.5).clamp(-1.0, 1.0);
    let small = LowToHighConfig::Paper { widths: [24, 16, 12], blocks: [2, 1] };
    for (config, half, limit) in [
        (LowToHighConfig::compact(), false, 1e-4),
        (LowToHighConfig::compact(), true, 2e-2),
        (small, false, 1e-4),
    ] {
        let net = LowToHigh::new(&config, &mut Rng::new(1, Stream::Init, 0), Device::Cpu);
        // Running statistics that are not those of a fresh network.
        no_grad(|| {
            (0..3).for_each(|_| drop(net.forward(&(&faces * 1.5 + 0.2), Kind::Float, true)))
        });
        let path = dir.path().join(format!("{}-{half}.onnx", config.arch()));
        write(&build(&net, &about, half), &path).unwrap();
        let ours = no_grad(|| net.forward(&faces, Kind::Float, false).clamp(-1.0, 1.0));
        let mut runner = Runner::new(&path).unwrap();
        let gap = largest_difference(&ours, &runner.run(&faces).unwrap());
        assert!(gap < limit, "{}: {gap}", path.display());
        // The batch is dynamic and the faces of a batch do not touch each other.
        let one = runner.run(&faces.narrow(0, 7, 1)).unwrap();
        assert!(largest_difference(&one, &ours.narrow(0, 7, 1)) < limit);
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

    config.low_to_high = LowToHighConfig::Compact { width: 20, blocks: 2, slack: 0.055 };
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
