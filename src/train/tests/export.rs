//! What is exported computes what was trained. Needs libonnxruntime.so, named by ORT_DYLIB_PATH.

mod common;

use facesr_train::export::model::{About, build, write};
use facesr_train::export::verify::{Runner, largest_difference};
use facesr_train::net::low_to_high::{LowToHigh, LowToHighConfig};
use facesr_train::rng::{Rng, Stream};
use tch::{Device, Kind, Tensor, no_grad};

#[test]
fn onnx_runtime_and_libtorch_agree_on_64_faces() {
    if let Err(missing) = facesr::runtime::Runtime::get() {
        eprintln!("skipped: {missing}");
        return;
    }
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
