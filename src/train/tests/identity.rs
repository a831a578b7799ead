//! The network that tells people apart is the one it claims to be, and its distance does its work.
//! Needs the file that `make train-setup` leaves in target/train where npm is installed.

mod common;

use common::{fetched, waves};
use facesr_train::models::identity::{Identity, distance};
use tch::{Device, Kind, Tensor, no_grad};

fn network() -> Identity {
    Identity::load(&fetched("identity.safetensors"), Device::Cpu)
        .expect("make train-setup fetches it")
}

#[test]
fn embedding_equals_that_of_the_published_network() {
    // The largest numbers of the embedding and their places, by the published graph, operation by
    // operation, on PyTorch 2.11.
    let known = [(160, 0.487_561), (584, 0.411_553), (198, 0.369_965), (818, 0.290_107)];
    let embedding = no_grad(|| network().embed(&waves()));
    assert_eq!(embedding.size(), [1, 1024]);
    for (place, value) in known {
        let found = embedding.double_value(&[0, place]);
        assert!((found - value).abs() < 1e-3, "{found} at {place}, {value} expected");
    }
    let length = embedding.square().sum(Kind::Float).double_value(&[]);
    assert!((length - 1.0).abs() < 1e-4, "{length}");
}

#[test]
fn distance_grows_with_blur_and_its_gradient_reaches_the_face() {
    let net = network();
    let face = waves().set_requires_grad(true);
    let truth = no_grad(|| net.embed(&waves()));
    assert!(distance(&net.embed(&face), &truth).double_value(&[]).abs() < 1e-5);
    let blurred = |k: i64| face.avg_pool2d([k, k], [1, 1], [k / 2, k / 2], false, false, None);
    let (little, much) = (net.embed(&blurred(3)), net.embed(&blurred(13)));
    let (little, much) = (distance(&little, &truth), distance(&much, &truth));
    assert!(0.0 < little.double_value(&[]) && little.double_value(&[]) < much.double_value(&[]));
    let gradient = Tensor::run_backward(&[&much], &[&face], false, false);
    assert!(gradient[0].abs().sum(Kind::Float).double_value(&[]) > 1e-4);
}
