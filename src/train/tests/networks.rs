//! Shapes, parameter counts, spectral normalization and gradients of every network.

mod common;

use facesr_train::config::Config;
use facesr_train::models::consistency::{Consistency, Slack};
use facesr_train::models::discriminator::{Discriminator, DiscriminatorConfig};
use facesr_train::models::high_to_low::{HighToLow, HighToLowConfig, shrink4};
use facesr_train::models::low_to_high::{LowToHigh, LowToHighConfig};
use facesr_train::models::params::{Builder, Params};
use facesr_train::models::spectral_norm::SpectralWeight;
use facesr_train::rng::{Rng, Stream};
use facesr_train::scale::Scale;
use tch::{Device, Kind, Tensor, no_grad};

fn rng() -> Rng {
    Rng::new(3, Stream::Init, 0)
}

fn random(shape: &[i64], seed: u64) -> Tensor {
    let n: i64 = shape.iter().product();
    Tensor::from_slice(&Rng::new(seed, Stream::Noise, 1).normals(n as usize)).view(shape) * 0.4
}

#[test]
fn low_to_high_compact_has_its_size() {
    let net = LowToHigh::new(&LowToHighConfig::compact(), Scale::SMALL, &mut rng(), Device::Cpu);
    let count = net.params().count();
    assert_eq!(count, 3 * 64 * 9 + 64 + 12 * 2 * (64 * 64 * 9 + 64) + 64 * 48 * 9 + 48);
    assert!(count <= 1_000_000, "{count}");
    let fixed = 2 * 48 * 3 * 25 + 3 * 3 * 25 + 3 * 48;
    let weights: usize =
        net.params().iter().filter(|p| p.name.ends_with("weight")).map(|p| p.tensor.numel()).sum();
    let multiplications = (weights + fixed) * 16 * 16;
    assert!(multiplications <= 260_000_000, "{multiplications}");
    for kind in [Kind::Float, Kind::BFloat16] {
        let y = no_grad(|| net.forward(&random(&[3, 3, 16, 16], 1), kind, false));
        assert_eq!((y.size(), y.kind()), (vec![3, 3, 64, 64], Kind::Float));
    }
}

#[test]
fn large_scale_keeps_the_trunk_and_its_cost() {
    let (small, large) = [Scale::SMALL, Scale::LARGE]
        .map(|scale| LowToHigh::new(&LowToHighConfig::compact(), scale, &mut rng(), Device::Cpu))
        .into();
    let trunk = |net: &LowToHigh| {
        net.params()
            .iter()
            .filter(|p| p.name.starts_with("blocks."))
            .map(|p| p.tensor.size())
            .collect()
    };
    let (a, b): (Vec<Vec<i64>>, Vec<Vec<i64>>) = (trunk(&small), trunk(&large));
    assert_eq!(a, b);
    let extra = large.params().count() - small.params().count();
    assert_eq!(extra, 3 * (3 * 64 * 9) + 3 * (64 * 48 * 9 + 48));
    for kind in [Kind::Float, Kind::BFloat16] {
        let y = no_grad(|| large.forward(&random(&[3, 3, 32, 32], 1), kind, false));
        assert_eq!((y.size(), y.kind()), (vec![3, 3, 128, 128], Kind::Float));
    }
    let h2l = HighToLow::new(&HighToLowConfig::default(), Scale::LARGE, &mut rng(), Device::Cpu);
    let y =
        no_grad(|| h2l.forward(&random(&[2, 3, 128, 128], 1), &random(&[2, 64], 5), Kind::Float));
    assert_eq!(y.size(), [2, 3, 32, 32]);
}

#[test]
fn large_scale_starts_with_what_the_small_one_learned() {
    let slack = Slack { fine: None, coarse: 0.0 };
    let config = LowToHighConfig::Compact { width: 12, blocks: 2, slack };
    let small = LowToHigh::new(&config, Scale::SMALL, &mut rng(), Device::Cpu);
    let large =
        LowToHigh::new(&config, Scale::LARGE, &mut Rng::new(9, Stream::Init, 0), Device::Cpu);
    assert!(large.adopt_smaller(&small));
    assert!(!small.adopt_smaller(&large), "not the other way round");
    let base = |x: &Tensor| Consistency::new(slack, Device::Cpu).base(x).pixel_shuffle(4);
    let twice = |x: &Tensor| {
        x.repeat_interleave_self_int(2, 2i64, None::<i64>).repeat_interleave_self_int(
            2,
            3i64,
            None::<i64>,
        )
    };
    let lr = random(&[2, 3, 16, 16], 1);
    let lr32 = twice(&lr);
    let (a, b) = no_grad(|| {
        let detail = |net: &LowToHigh, x: &Tensor| net.forward(x, Kind::Float, false) - base(x);
        (twice(&detail(&small, &lr)), detail(&large, &lr32))
    });
    assert!(a.abs().max().double_value(&[]) > 0.01);
    assert!((a - b).abs().max().double_value(&[]) < 1e-4);

    let config = HighToLowConfig { width: 8, blocks: [1, 1, 1, 1] };
    let small = HighToLow::new(&config, Scale::SMALL, &mut rng(), Device::Cpu);
    let large =
        HighToLow::new(&config, Scale::LARGE, &mut Rng::new(9, Stream::Init, 0), Device::Cpu);
    assert!(large.adopt_smaller(&small));
    let (face, z) = (random(&[2, 3, 64, 64], 2), random(&[2, 64], 5));
    // What it does to the shrunk face: shrinking itself keeps more of a larger one.
    let damage =
        |net: &HighToLow, face: &Tensor| net.forward(face, &z, Kind::Float) - shrink4(face);
    let (a, b) = no_grad(|| (twice(&damage(&small, &face)), damage(&large, &twice(&face))));
    assert!(a.abs().max().double_value(&[]) > 0.001);
    assert!((a - b).abs().max().double_value(&[]) < 1e-4);
}

#[test]
fn low_to_high_paper_has_its_size() {
    let net = LowToHigh::new(&LowToHighConfig::paper(), Scale::SMALL, &mut rng(), Device::Cpu);
    let count = net.params().count() as f64 / 1e6;
    assert!((15.0..16.0).contains(&count), "{count} M, the paper's code has 15.5 M");
    let y = no_grad(|| net.forward(&random(&[2, 3, 16, 16], 1), Kind::Float, true));
    assert_eq!(y.size(), [2, 3, 64, 64]);
    assert!(y.abs().max().double_value(&[]) <= 1.0);
}

#[test]
fn high_to_low_output_depends_on_noise() {
    for config in [HighToLowConfig::default(), HighToLowConfig::paper()] {
        let net = HighToLow::new(&config, Scale::SMALL, &mut rng(), Device::Cpu);
        assert!(config != HighToLowConfig::paper() || config.blocks.iter().sum::<usize>() == 12);
        let face = random(&[2, 3, 64, 64], 1);
        let lr = |seed| no_grad(|| net.forward(&face, &random(&[2, 64], seed), Kind::Float));
        let (a, b) = (lr(5), lr(6));
        assert_eq!(a.size(), [2, 3, 16, 16]);
        assert!(a.equal(&lr(5)));
        let change = (&a - &b).abs().mean(Kind::Float).double_value(&[]);
        assert!(change > 1e-4, "two draws of z differ by {change}");
    }
}

#[test]
fn discriminators_score_each_face() {
    for (config, side, blocks) in [
        (DiscriminatorConfig::hr_compact(), 64, 4),
        (DiscriminatorConfig::hr_paper(), 64, 6),
        (DiscriminatorConfig::lr_compact(), 16, 3),
        (DiscriminatorConfig::lr_paper(), 16, 4),
    ] {
        let large = Discriminator::new(&config, Scale::LARGE, &mut rng(), Device::Cpu);
        let scores = no_grad(|| large.forward(&random(&[3, 3, 2 * side, 2 * side], 2)));
        assert_eq!(scores.size(), [3, 1]);
        let net = Discriminator::new(&config, Scale::SMALL, &mut rng(), Device::Cpu);
        let faces = random(&[3, 3, side, side], 2);
        let (scores, features) = no_grad(|| net.features(&faces));
        assert_eq!((scores.size(), features.len()), (vec![3, 1], blocks));
        let alone = no_grad(|| net.forward(&faces.narrow(0, 1, 1)));
        assert!((alone - scores.narrow(0, 1, 1)).abs().max().double_value(&[]) < 1e-4);
    }
}

#[test]
fn power_iteration_finds_the_largest_singular_value() {
    let mut params = Params::default();
    let mut rng = rng();
    let mut b = Builder::new(&mut params, &mut rng, Device::Cpu);
    for (i, shape) in [vec![24, 16, 3, 3], vec![32, 8, 1, 1], vec![1, 64]].iter().enumerate() {
        let weight = SpectralWeight::new(&mut b.sub(i), shape, 1.0);
        (0..300).for_each(|_| weight.power_iteration());
        let largest = weight.raw().flatten(1, -1).svd(true, true).1.double_value(&[0]);
        let sigma = weight.sigma().double_value(&[]);
        assert!((sigma - largest).abs() < 1e-3 * largest, "{shape:?}: {sigma} against {largest}");
        let left = weight.normalized().flatten(1, -1).svd(true, true).1.double_value(&[0]);
        assert!((left - 1.0).abs() < 1e-3, "{left}");
    }
}

/// Compares the gradient of `loss` by the weights with a difference quotient along one direction.
fn check_gradient(params: &Params, loss: impl Fn() -> Tensor) {
    let weights = params.trainable();
    let gradients = Tensor::run_backward(&[loss()], &weights, false, false);
    let step = 1e-3;
    let directions: Vec<Tensor> =
        weights.iter().enumerate().map(|(i, w)| random(&w.size(), 40 + i as u64)).collect();
    let along: f64 = gradients
        .iter()
        .zip(&directions)
        .map(|(g, d)| (g * d).sum(Kind::Double).double_value(&[]))
        .sum();
    let shifted = |by: f64| {
        no_grad(|| {
            weights.iter().zip(&directions).for_each(|(w, d)| {
                let _ = w.shallow_clone().subtract_(&(d * -by));
            });
            let value = loss().double_value(&[]);
            weights.iter().zip(&directions).for_each(|(w, d)| {
                let _ = w.shallow_clone().subtract_(&(d * by));
            });
            value
        })
    };
    let quotient = (shifted(step) - shifted(-step)) / (2.0 * step);
    let size = along.abs().max(quotient.abs()).max(1e-2);
    assert!((along - quotient).abs() < 0.03 * size, "{along} against {quotient}");
}

#[test]
fn gradients_agree_with_difference_quotients() {
    let Config { high_to_low, low_to_high, hr_discriminator, .. } = common::tiny();
    let h2l = HighToLow::new(&high_to_low, Scale::SMALL, &mut rng(), Device::Cpu);
    let (face, z) = (random(&[2, 3, 64, 64], 1), random(&[2, 64], 2));
    check_gradient(h2l.params(), || {
        h2l.forward(&face, &z, Kind::Float).square().mean(Kind::Double)
    });
    let l2h = LowToHigh::new(&low_to_high, Scale::SMALL, &mut rng(), Device::Cpu);
    let lr = random(&[2, 3, 16, 16], 3);
    check_gradient(l2h.params(), || {
        l2h.forward(&lr, Kind::Float, true).square().mean(Kind::Double)
    });
    let d = Discriminator::new(&hr_discriminator, Scale::SMALL, &mut rng(), Device::Cpu);
    check_gradient(d.params(), || d.forward(&face).square().mean(Kind::Double));
}

#[test]
fn coarse_slack_gives_broad_shapes_their_own_ball() {
    let lr = random(&[4, 3, 32, 32], 1).clamp(-1.0, 1.0);
    let cast = Tensor::full([4, 48, 32, 32], 0.3, (Kind::Float, Device::Cpu));
    let gap = |fine, coarse| {
        let fixed = Consistency::new(Slack { fine, coarse }, Device::Cpu);
        let nothing = &cast * 0.0;
        let moved = shrink4(&fixed.apply(&lr, &cast)) - shrink4(&fixed.apply(&lr, &nothing));
        moved.square().mean(Kind::Float).sqrt().double_value(&[])
    };
    let (held, free, off) = (gap(Some(0.055), 0.0), gap(Some(0.055), 0.1), gap(None, 0.0));
    assert!(held < 0.01, "{held}");
    assert!((0.08..0.12).contains(&free), "{free}");
    assert!((off - 0.3).abs() < 1e-4, "{off}");
}

#[test]
fn the_output_is_held_to_the_input() {
    let slack = 0.055;
    let fixed = Consistency::new(Slack { fine: Some(slack), coarse: 0.0 }, Device::Cpu);
    let lr = random(&[4, 3, 16, 16], 1).clamp(-1.0, 1.0);
    // Nothing added: shrunk back, it is the input.
    let nothing = Tensor::zeros([4, 48, 16, 16], (Kind::Float, Device::Cpu));
    let plain = fixed.apply(&lr, &nothing);
    let gap = (shrink4(&plain) - &lr).square().mean(Kind::Float).sqrt().double_value(&[]);
    assert!(gap < slack, "{gap}");
    // A color cast and a contrast change are taken back whole, noise up to the slack.
    let smooth = random(&[4, 3, 4, 4], 2).upsample_bicubic2d([16, 16], false, None, None);
    let cast = (&smooth + 0.4).repeat_interleave_self_int(16, 1, None);
    let cast_gap = shrink4(&fixed.apply(&lr, &cast)) - shrink4(&plain);
    let mean = cast_gap.mean_dim([2i64, 3].as_slice(), false, Kind::Float).abs().max();
    assert!(mean.double_value(&[]) < 0.02, "{mean}");
    let noise = random(&[4, 48, 16, 16], 3).repeat([1, 1, 1, 1]) * 3.0;
    let out = fixed.apply(&lr, &noise);
    let gap = (shrink4(&out) - &lr).square().mean(Kind::Float).sqrt().double_value(&[]);
    assert!(gap < 1.6 * slack, "{gap}");
}
