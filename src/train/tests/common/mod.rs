//! Drawn faces and tiny settings for the tests.

#![allow(dead_code, unreachable_pub)]

use std::path::PathBuf;

use facesr_train::config::Config;
use facesr_train::dataset::faces::Faces;
use facesr_train::dataset::pictures::Picture;
use facesr_train::models::consistency::Slack;
use facesr_train::models::discriminator::DiscriminatorConfig;
use facesr_train::models::high_to_low::HighToLowConfig;
use facesr_train::models::low_to_high::LowToHighConfig;
use facesr_train::rng::{Rng, Stream};
use facesr_train::training::training_data::TrainingData;
use tch::{Device, Kind, Tensor};

/// A drawn face: skin, hair, eyes and a mouth on a shaded ground; blurred by `soft` pixels.
fn draw(side: usize, soft: f32, rng: &mut Rng) -> Vec<u8> {
    let mut between = |a: f32, b: f32| rng.range(a, b);
    let skin = [between(0.5, 0.9), between(0.35, 0.7), between(0.3, 0.6)];
    let hair = [between(0.05, 0.5), between(0.05, 0.4), between(0.05, 0.3)];
    let ground = [between(0.1, 0.9), between(0.1, 0.9), between(0.1, 0.9)];
    let (cx, cy, turn) = (between(0.46, 0.54), between(0.5, 0.56), between(-0.1, 0.1));
    let (smile, eye) = (between(-0.3, 0.5), between(0.035, 0.06));
    let edge = (1.0 + soft) / side as f32;
    // 1 inside, 0 outside, an edge of one pixel and the blur.
    let inside = |d: f32| (0.5 - d / edge).clamp(0.0, 1.0);
    let mut out = Vec::with_capacity(side * side * 3);
    for y in 0..side {
        for x in 0..side {
            let u = (x as f32 + 0.5) / side as f32 - cx;
            let v = (y as f32 + 0.5) / side as f32 - cy;
            let u = u + turn * v;
            let ellipse = |a: f32, b: f32, x0: f32, y0: f32| {
                let r = (((u - x0) / a).powi(2) + ((v - y0) / b).powi(2)).sqrt();
                inside((r - 1.0) * a.min(b))
            };
            let mut rgb = ground.map(|g| g * (0.8 + 0.4 * (u + 0.5)));
            let mut over = |color: [f32; 3], share: f32| {
                rgb.iter_mut().zip(color).for_each(|(p, c)| *p += share * (c - *p));
            };
            over(hair, ellipse(0.38, 0.5, 0.0, -0.06));
            over(skin.map(|s| s * (1.0 - 0.5 * u)), ellipse(0.3, 0.4, 0.0, 0.03));
            for side in [-0.15, 0.15] {
                over([0.95; 3], ellipse(eye * 1.6, eye, side, -0.09));
                over([0.1; 3], ellipse(eye * 0.8, eye * 0.8, side, -0.09));
                over(hair, ellipse(0.08, 0.015, side, -0.17));
            }
            let bend = smile * (u * u - 0.01) * 4.0;
            over([0.6, 0.2, 0.2], ellipse(0.12, 0.03, 0.0, 0.22 - bend));
            out.extend(rgb.map(|p| (p.clamp(0.0, 1.0) * 255.0).round() as u8));
        }
    }
    out
}

/// `n` drawn faces.
pub fn set(n: usize, side: usize, soft: f32, seed: u64) -> Faces {
    let mut rng = Rng::new(seed, Stream::Batch, 0);
    let pictures = (0..n)
        .map(|i| Picture {
            name: format!("drawn/{i:05}.png"),
            source: "drawn".into(),
            identity: None,
            original: None,
            rgb: draw(side, soft, &mut rng),
        })
        .collect();
    Faces::from_pictures(pictures, side, "drawn".into())
}

/// `n` drawn faces, sharp and large, and as many others, soft and small.
pub fn training_data(config: &Config, n: usize) -> TrainingData {
    let scale = config.scale;
    let (hr, lr) = (set(n, scale.hr(), 0.0, 1), set(n, scale.lr, 1.5, 2));
    TrainingData::new(hr, lr, config, Device::Cpu).expect("drawn faces are enough")
}

/// Networks small enough for a test.
pub fn tiny() -> Config {
    let small = |unshuffle| DiscriminatorConfig { unshuffle, widths: vec![8, 12], plain: 1 };
    Config {
        batch: 4,
        bf16: false,
        high_to_low: HighToLowConfig { width: 8, blocks: [1, 1, 1, 1] },
        low_to_high: LowToHighConfig::Compact { width: 12, blocks: 2, slack: Slack::TIGHT },
        lr_discriminator: small(1),
        hr_discriminator: small(2),
        discriminator_first: 1,
        ..Config::default()
    }
}

/// A file that `make train-setup` leaves in target/train.
pub fn fetched(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    target.join("train").join(name)
}

/// Waves, different in each color.
pub fn waves() -> Tensor {
    let i = Tensor::arange(64, (Kind::Float, Device::Cpu));
    let color = |c: f64| (i.view([64, 1]) * (0.1 * (c + 1.0)) + i.view([1, 64]) * 0.07).sin();
    Tensor::stack(&[color(0.0), color(1.0), color(2.0)], 0).unsqueeze(0)
}
