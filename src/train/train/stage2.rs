//! One step of stage 2: Low-to-High on spoilt faces, by the pixel loss alone or with its
//! discriminator.

use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use super::schedule::rate_factor;
use super::source::{Source, noise};
use super::state::{State, ema_share};
use crate::data::batch::{self, Variation};
use crate::error::Result;
use crate::loss::{self, View};
use crate::net::high_to_low::shrink4;
use crate::net::layers::channels_last;
use crate::rng::{Rng, Stream};

/// Figures of a step of stage 2.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Stage2 {
    /// Hinge loss of the discriminator; 2 means that it tells nothing apart.
    pub high_d: f64,
    /// GAN loss of the generator.
    pub high_gan: f64,
    /// Pixel loss against the original.
    pub high_pixel: f64,
    /// Feature matching loss.
    pub features: f64,
    /// Checkerboard loss.
    pub grid: f64,
}

/// Low pictures [n, 3, 16, 16] and the originals [n, 3, 64, 64] they were made of: some by the
/// learnt degradation (light given back, see [`loss::match_light`]), some by the synthetic camera.
pub fn pairs(state: &State, source: &Source, n: usize, rng: &mut Rng) -> (Tensor, Tensor) {
    let (config, device) = (&state.config, source.device());
    let how = Variation { flip: true, shift: config.shift, light: config.light };
    let from_camera = ((n as f64) * config.pairs.camera).round() as usize;
    let learnt = n - from_camera.min(n);
    let mut lows = Vec::new();
    let mut highs = Vec::new();
    if from_camera > 0 {
        let indices = source.high_indices(from_camera, rng);
        let (low, high) =
            batch::camera_pairs(&source.high, &indices, how, &config.camera, rng, device);
        lows.push(low);
        highs.push(high);
    }
    if learnt > 0 && !config.pairs.high_to_low {
        let indices = source.high_indices(learnt, rng);
        let (low, high) = batch::bicubic_pairs(&source.high, &indices, how, rng, device);
        lows.push(low);
        highs.push(high);
    } else if learnt > 0 {
        let high = source.high(learnt, how, rng);
        let z = noise(learnt, &mut state.rng(Stream::Noise), device);
        let low = no_grad(|| degrade(state, &high, &z));
        lows.push(low);
        highs.push(high);
    }
    (Tensor::cat(&lows, 0), Tensor::cat(&highs, 0))
}

/// The learnt degradation of a batch: High-to-Low, its light put right, rounded to 8 bit.
pub fn degrade(state: &State, high: &Tensor, z: &Tensor) -> Tensor {
    let low = state.nets.h2l_ema.forward(high, z, state.config.kind());
    batch::to_8bit(&loss::match_light(&low, &shrink4(high)))
}

fn phase_factor(state: &State) -> f64 {
    let phase = state.progress.phase;
    rate_factor(phase, state.progress.step, phase.steps(&state.config.steps))
}

/// Pixel warm-up.
pub fn pixel_step(state: &mut State, source: &Source) -> Result<Stage2> {
    let (n, kind) = (state.config.batch, state.config.kind());
    let mut rng = state.rng(Stream::Batch);
    let (low, high) = pairs(state, source, n, &mut rng);
    let output = state.nets.l2h.forward(&low, kind, true);
    let loss = loss::pixel(&output, &high);
    let rate = state.config.rates.pixel * phase_factor(state);
    state.optimisers.l2h.minimise(&loss, rate, false);
    let share = ema_share(state.progress.step, state.config.ema);
    state.nets.l2h_ema.params().lerp(state.nets.l2h.params(), share);
    Ok(Stage2 { high_pixel: loss.double_value(&[]), ..Stage2::default() })
}

/// Training with the discriminator. Part of each batch are real low pictures: they have no
/// original, so only the discriminator speaks about them.
pub fn gan_step(state: &mut State, source: &Source) -> Result<Stage2> {
    let (config, at, device) = (&state.config, state.progress.step, source.device());
    let (n, kind) = (config.batch, config.kind());
    let n_real_low = ((n as f64) * config.pairs.real).round() as usize;
    let paired = (n - n_real_low.min(n)).max(1) as i64;
    let mut rng = state.rng(Stream::Batch);
    let mut views = state.rng(Stream::Augment);
    let (low, high) = pairs(state, source, paired as usize, &mut rng);
    let lows =
        if n_real_low > 0 { Tensor::cat(&[low, source.low(n_real_low, &mut rng)], 0) } else { low };
    let fakes = lows.size()[0];
    let how = Variation { flip: true, shift: config.shift, light: config.light };
    let real = source.high(fakes as usize, how, &mut rng);
    let factor = phase_factor(state);
    let nets = &state.nets;
    let mut view = |n: i64| View::draw(&mut views, n, 3, 1.0, device);
    let seen = |view: &View, x: &Tensor| channels_last(&view.look(x)).to_kind(kind);

    let output = nets.l2h.forward(&lows, kind, true);
    let shown = output.clamp(-1.0, 1.0);
    nets.high_d.power_iteration();
    let both = [seen(&view(fakes), &real), seen(&view(fakes), &shown.detach())];
    let scores = nets.high_d.forward(&Tensor::cat(&both, 0)).split(fakes, 0);
    let d_loss = loss::hinge_discriminator(&scores[0], &scores[1]);
    state.optimisers.high_d.minimise(&d_loss, config.rates.discriminator * factor, false);
    let mut figures = Stage2 { high_d: d_loss.double_value(&[]), ..Stage2::default() };
    if at < config.discriminator_first {
        return Ok(figures);
    }

    let pixel = loss::pixel(&output.narrow(0, 0, paired), &high);
    figures.high_pixel = pixel.double_value(&[]);
    let mut total = pixel * config.weights.alpha;
    let look = view(fakes);
    let (score, features) = nets.high_d.features(&seen(&look, &shown));
    let gan = loss::hinge_generator(&score);
    figures.high_gan = gan.double_value(&[]);
    total += gan * config.weights.beta_high;
    if config.weights.grid > 0.0 {
        let grid = loss::grid(&output);
        figures.grid = grid.double_value(&[]);
        total += grid * config.weights.grid;
    }
    if config.weights.features > 0.0 {
        let truth = no_grad(|| {
            // Real low pictures have no original; any picture fills their place and is cut off.
            let filled = Tensor::cat(&[&high, &real.narrow(0, 0, fakes - paired)], 0);
            nets.high_d.features(&seen(&look, &filled)).1
        });
        let part = |f: &[Tensor]| f.iter().map(|t| t.narrow(0, 0, paired)).collect::<Vec<_>>();
        let matching = loss::feature_matching(&part(&features), &part(&truth));
        figures.features = matching.double_value(&[]);
        total += matching * config.weights.features;
    }
    state.optimisers.l2h.minimise(
        &total.to_kind(Kind::Float),
        config.rates.generator * factor,
        false,
    );
    let share = ema_share(at - config.discriminator_first, config.ema);
    nets.l2h_ema.params().lerp(nets.l2h.params(), share);
    Ok(figures)
}
