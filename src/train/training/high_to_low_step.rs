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
    /// Pixel loss: how far beyond the damage that is allowed the output lies from the shrunk face.
    pub lr_pixel: f64,
}

/// What the discriminator of LR faces sees: no light, moved a little.
fn lr_view(view: &DiffAugment, x: &Tensor, kind: tch::Kind) -> Tensor {
    crate::models::layers::channels_last(&view.apply(&loss::normalize_color(&view.dither(x))))
        .to_kind(kind)
}

/// Trains both networks of stage 1 by one batch.
pub fn step(state: &mut State, data: &TrainingData) -> Result<HighToLowFigures> {
    let (config, at) = (&state.config, state.progress.step);
    let (n, kind, device) = (config.batch, config.kind(), data.device());
    let mut rng = state.stage1_rng(Stream::Batch);
    let mut views = state.stage1_rng(Stream::Augment);
    let z = noise(n, &mut state.stage1_rng(Stream::Noise), device);
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

    let mut figures = HighToLowFigures { lr_d: d_loss.double_value(&[]), ..Default::default() };
    let adversarial = config.weights.beta_lr > 0.0;
    // Until the discriminator knows what real damage is, the generator stays as it came: the pixel
    // loss alone would take its damage away again.
    if adversarial && at < config.discriminator_first {
        return Ok(figures);
    }
    let shrunk = shrink4(&hr);
    let pixel = loss::pixel_beyond(&fake, &shrunk, config.damage);
    figures.lr_pixel = pixel.double_value(&[]);
    let mut total = pixel * config.weights.alpha;
    if adversarial {
        let gan = loss::hinge_generator(&nets.lr_d.forward(&lr_view(&view(), &fake, kind)));
        figures.lr_gan = gan.double_value(&[]);
        total += gan * config.weights.beta_lr;
    }
    state.optimizers.h2l.minimize(&total, config.rates.generator * 2.0 * factor, false);
    let share = ema_decay(state.progress.averaged.h2l, config.ema.min(0.998));
    nets.h2l_ema.params().lerp(nets.h2l.params(), share);
    state.progress.averaged.h2l += 1;
    Ok(figures)
}
