//! One step of stage 1: High-to-Low against the discriminator of real LR faces.

use serde::Serialize;
use tch::Tensor;

use super::schedule::{Phase, rate_schedule};
use super::state::{State, ema_decay};
use super::training_data::TrainingData;
use crate::dataset::batch::Variation;
use crate::error::Result;
use crate::loss::{self, DiffAugment};
use crate::models::high_to_low::{noise, shrink4};
use crate::rng::Stream;

/// Figures of a step of stage 1.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct HighToLowFigures {
    /// Hinge loss of the discriminator; 2 means that it tells nothing apart.
    pub lr_d: f64,
    /// GAN loss of the generator.
    pub lr_gan: f64,
    /// Pixel loss against the shrunk face.
    pub lr_pixel: f64,
}

/// What the discriminator of LR faces sees: no light, moved a little.
fn lr_view(view: &DiffAugment, x: &Tensor, kind: tch::Kind) -> Tensor {
    crate::models::layers::channels_last(&view.look(&loss::normalize_color(x))).to_kind(kind)
}

/// Trains both networks of stage 1 by one batch.
pub fn step(state: &mut State, data: &TrainingData) -> Result<HighToLowFigures> {
    let (config, at) = (&state.config, state.progress.step);
    let (n, kind, device) = (config.batch, config.kind(), data.device());
    let mut rng = state.rng(Stream::Batch);
    let mut views = state.rng(Stream::Augment);
    let z = noise(n, &mut state.rng(Stream::Noise), device);
    let how = Variation { flip: true, shift: config.shift * config.scale.fold(), light: 0.0 };
    let hr = data.hr(n, how, &mut rng);
    let real = data.lr(n, &mut rng);
    let total = Phase::HighToLow.steps(&config.steps).max(config.steps.joint);
    let factor = rate_schedule(Phase::HighToLow, at, total);
    let nets = &state.nets;
    let mut view = || DiffAugment::draw(&mut views, n as i64, config.scale.fold(), 0.3, device);

    let fake = nets.h2l.forward(&hr, &z, kind);
    nets.lr_d.power_iteration();
    let seen = [lr_view(&view(), &real, kind), lr_view(&view(), &fake.detach(), kind)];
    let scores = nets.lr_d.forward(&Tensor::cat(&seen, 0));
    let scores = scores.split(n as i64, 0);
    let d_loss = loss::hinge_discriminator(&scores[0], &scores[1]);
    state.optimizers.lr_d.minimize(&d_loss, config.rates.discriminator * 2.0 * factor, false);

    let pixel = loss::pixel(&fake, &shrink4(&hr), None);
    let mut figures = HighToLowFigures {
        lr_d: d_loss.double_value(&[]),
        lr_pixel: pixel.double_value(&[]),
        lr_gan: 0.0,
    };
    let mut total = pixel * config.weights.alpha;
    if at >= config.discriminator_first && config.weights.beta_lr > 0.0 {
        let gan = loss::hinge_generator(&nets.lr_d.forward(&lr_view(&view(), &fake, kind)));
        figures.lr_gan = gan.double_value(&[]);
        total += gan * config.weights.beta_lr;
    }
    state.optimizers.h2l.minimize(&total, config.rates.generator * 2.0 * factor, false);
    nets.h2l_ema.params().lerp(nets.h2l.params(), ema_decay(at, config.ema.min(0.998)));
    Ok(figures)
}
