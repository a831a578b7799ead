//! The fixed network is the one it claims to be, and its distance and heads do their work. Needs the
//! file that `make train-setup` leaves in target/train.

mod common;

use common::{fetched, waves};
use facesr_train::models::perceptual::{CHANNELS, Perceptual, distance};
use facesr_train::models::projected::Projected;
use facesr_train::rng::{Rng, Stream};
use tch::{Device, Kind, Tensor, no_grad};

fn network() -> Perceptual {
    Perceptual::load(&fetched("perceptual.safetensors"), Device::Cpu)
        .expect("make train-setup fetches it")
}

#[test]
fn features_equal_those_of_the_published_network() {
    // Mean, deviation and one number of each layer, by the package efficientnet-lite-pytorch 0.1.0 on
    // PyTorch 2.11 (padding as TensorFlow's for 96x96).
    let known = [
        (0.453_704, 10.843_858, 4.221_247),
        (0.063_638, 10.106_220, -18.769_013),
        (0.136_581, 6.492_600, 0.161_839),
        (0.013_282, 3.334_437, -5.568_083),
    ];
    let features = no_grad(|| network().features(&waves()));
    assert_eq!(features.len(), known.len());
    for ((f, (mean, deviation, one)), side) in features.iter().zip(known).zip([24, 12, 6, 3]) {
        assert_eq!(f.size()[2..], [side, side]);
        let found = [
            f.mean(Kind::Float).double_value(&[]),
            f.std(true).double_value(&[]),
            f.double_value(&[0, 3, 1, 2]),
        ];
        for (a, b) in found.iter().zip([mean, deviation, one]) {
            assert!((a - b).abs() < 2e-3, "{found:?} against {mean}, {deviation}, {one}");
        }
    }
    assert_eq!(features.iter().map(|f| f.size()[1]).collect::<Vec<_>>(), CHANNELS);
}

#[test]
fn distance_grows_with_blur_and_its_gradient_reaches_the_face() {
    let net = network();
    let face = waves().set_requires_grad(true);
    let truth = no_grad(|| net.features(&waves()));
    let apart = |x: &Tensor| distance(&net.features(x), &truth);
    assert!(apart(&face).double_value(&[]).abs() < 1e-6);
    let blurred = |k: i64| face.avg_pool2d([k, k], [1, 1], [k / 2, k / 2], false, false, None);
    let (little, much) = (apart(&blurred(3)), apart(&blurred(9)));
    assert!(0.0 < little.double_value(&[]) && little.double_value(&[]) < much.double_value(&[]));
    let gradient = Tensor::run_backward(&[&much], &[&face], false, false);
    assert!(gradient[0].abs().sum(Kind::Float).double_value(&[]) > 1e-4);
}

#[test]
fn heads_score_every_place_of_every_layer() {
    let heads = Projected::new(&mut Rng::new(1, Stream::Init, 0), Device::Cpu);
    let scores = no_grad(|| heads.forward(&network().features(&waves())));
    let sizes: Vec<_> = scores.iter().map(Tensor::size).collect();
    assert_eq!(sizes, [24, 12, 6, 3].map(|side| vec![1, 1, side, side]));
}

#[test]
fn a_file_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fixed.safetensors");
    std::fs::write(&path, b"nothing of the kind").unwrap();
    let error = Perceptual::load(&path, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("fixed.safetensors"), "{error}");
}
