//! One step of stage 1: High-to-Low against the discriminator of real low faces.

use serde::Serialize;
use tch::Tensor;

use super::schedule::{Phase, rate_factor};
use super::source::{Source, noise};
use super::state::{State, ema_share};
use crate::data::batch::Variation;
use crate::error::Result;
use crate::loss::{self, View};
use crate::net::high_to_low::shrink4;
use crate::rng::Stream;

/// Figures of a step of stage 1.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Stage1 {
    /// Hinge loss of the discriminator; 2 means that it tells nothing apart.
    pub low_d: f64,
    /// GAN loss of the generator.
    pub low_gan: f64,
    /// Pixel loss against the shrunk face.
    pub low_pixel: f64,
}

/// What the discriminator of low faces sees: no light, moved a little.
fn low_view(view: &View, x: &Tensor, kind: tch::Kind) -> Tensor {
    crate::net::layers::channels_last(&view.look(&loss::without_light(x))).to_kind(kind)
}

/// Trains both networks of stage 1 by one batch.
pub fn step(state: &mut State, source: &Source) -> Result<Stage1> {
    let (config, at) = (&state.config, state.progress.step);
    let (n, kind, device) = (config.batch, config.kind(), source.device());
    let mut rng = state.rng(Stream::Batch);
    let mut views = state.rng(Stream::Augment);
    let z = noise(n, &mut state.rng(Stream::Noise), device);
    let how = Variation { flip: true, shift: config.shift, light: 0.0 };
    let high = source.high(n, how, &mut rng);
    let real = source.low(n, &mut rng);
    let total = Phase::HighToLow.steps(&config.steps).max(config.steps.joint);
    let factor = rate_factor(Phase::HighToLow, at, total);
    let nets = &state.nets;
    let mut view = || View::draw(&mut views, n as i64, 1, 0.3, device);

    let fake = nets.h2l.forward(&high, &z, kind);
    nets.low_d.power_iteration();
    let seen = [low_view(&view(), &real, kind), low_view(&view(), &fake.detach(), kind)];
    let scores = nets.low_d.forward(&Tensor::cat(&seen, 0));
    let scores = scores.split(n as i64, 0);
    let d_loss = loss::hinge_discriminator(&scores[0], &scores[1]);
    state.optimisers.low_d.minimise(&d_loss, config.rates.discriminator * 2.0 * factor, false);

    let pixel = loss::pixel(&fake, &shrink4(&high));
    let mut figures = Stage1 {
        low_d: d_loss.double_value(&[]),
        low_pixel: pixel.double_value(&[]),
        low_gan: 0.0,
    };
    let mut total = pixel * config.weights.alpha;
    if at >= config.discriminator_first && config.weights.beta_low > 0.0 {
        let gan = loss::hinge_generator(&nets.low_d.forward(&low_view(&view(), &fake, kind)));
        figures.low_gan = gan.double_value(&[]);
        total += gan * config.weights.beta_low;
    }
    state.optimisers.h2l.minimise(&total, config.rates.generator * 2.0 * factor, false);
    nets.h2l_ema.params().lerp(nets.h2l.params(), ema_share(at, config.ema.min(0.998)));
    Ok(figures)
}
