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
use crate::net::{identity, perceptual};
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
    /// Hinge loss of the heads on the fixed network.
    pub projected_d: f64,
    /// Their GAN loss of the generator.
    pub projected_gan: f64,
    /// Distance to the original in the fixed network.
    pub perceptual: f64,
    /// Distance to the original's embedding.
    pub identity: f64,
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

/// A batch of the GAN phase.
struct Batch {
    /// Low pictures [n, 3, 16, 16]: first those made of an original, then real ones.
    low: Tensor,
    /// How many have an original.
    paired: i64,
    /// Sharp faces [n, 3, 64, 64]: the originals, then others in the places of the real low pictures.
    high: Tensor,
}

fn gan_batch(state: &State, source: &Source, rng: &mut Rng) -> Batch {
    let config = &state.config;
    let n = config.batch;
    let real = ((n as f64 * config.pairs.real).round() as usize).min(n - 1);
    let (low, high) = pairs(state, source, n - real, rng);
    let paired = low.size()[0];
    if real == 0 {
        return Batch { low, paired, high };
    }
    let how = Variation { flip: true, shift: config.shift, light: config.light };
    Batch {
        low: Tensor::cat(&[low, source.low(real, rng)], 0),
        paired,
        high: Tensor::cat(&[high, source.high(real, how, rng)], 0),
    }
}

/// Mean over layers of a loss of the heads.
fn over_layers(losses: impl Iterator<Item = Tensor>) -> Tensor {
    let losses: Vec<Tensor> = losses.collect();
    Tensor::stack(&losses, 0).mean(Kind::Float)
}

/// Training with the discriminators. Part of each batch are real low pictures: they have no
/// original, so only the discriminators speak about them.
pub fn gan_step(state: &mut State, source: &Source) -> Result<Stage2> {
    let (config, at, device) = (&state.config, state.progress.step, source.device());
    let (kind, weights) = (config.kind(), config.weights);
    let mut views = state.rng(Stream::Augment);
    let Batch { low, paired, high } = gan_batch(state, source, &mut state.rng(Stream::Batch));
    let n = low.size()[0];
    let rate = config.rates.discriminator * phase_factor(state);
    let nets = &state.nets;
    let mut view = || View::draw(&mut views, n, 3, 1.0, device);
    let seen = |view: &View, x: &Tensor| channels_last(&view.look(x)).to_kind(kind);
    let pairs_of = |f: &[Tensor]| f.iter().map(|t| t.narrow(0, 0, paired)).collect::<Vec<_>>();

    let output = nets.l2h.forward(&low, kind, true);
    let shown = output.clamp(-1.0, 1.0);
    let mut figures = Stage2::default();
    let mut total = Tensor::zeros([], (Kind::Float, device));
    let generator_learns = at >= config.discriminator_first;

    if weights.beta_high > 0.0 || weights.features > 0.0 {
        nets.high_d.power_iteration();
        let both = [seen(&view(), &high), seen(&view(), &shown.detach())];
        let scores = nets.high_d.forward(&Tensor::cat(&both, 0)).split(n, 0);
        let loss = loss::hinge_discriminator(&scores[0], &scores[1]);
        state.optimisers.high_d.minimise(&loss, rate, false);
        figures.high_d = loss.double_value(&[]);
        if generator_learns {
            let look = view();
            let (score, features) = nets.high_d.features(&seen(&look, &shown));
            let gan = loss::hinge_generator(&score);
            figures.high_gan = gan.double_value(&[]);
            total += gan * weights.beta_high;
            if weights.features > 0.0 {
                let truth = no_grad(|| nets.high_d.features(&seen(&look, &high)).1);
                let matching = loss::feature_matching(&pairs_of(&features), &pairs_of(&truth));
                figures.features = matching.double_value(&[]);
                total += matching * weights.features;
            }
        }
    }

    if config.needs_perceptual() {
        let net = source.perceptual()?;
        let look = view();
        let truth = no_grad(|| net.features(&look.look(&high)));
        let features = net.features(&look.look(&shown));
        nets.heads.power_iteration();
        let real = nets.heads.forward(&truth);
        let fake = nets.heads.forward(&features.iter().map(Tensor::detach).collect::<Vec<_>>());
        let hinges = real.iter().zip(&fake).map(|(r, f)| loss::hinge_discriminator(r, f));
        let loss = over_layers(hinges);
        state.optimisers.heads.minimise(&loss, rate, false);
        figures.projected_d = loss.double_value(&[]);
        if generator_learns {
            let scores = nets.heads.forward(&features);
            let gan = over_layers(scores.iter().map(loss::hinge_generator));
            figures.projected_gan = gan.double_value(&[]);
            let apart = perceptual::distance(&pairs_of(&features), &pairs_of(&truth));
            figures.perceptual = apart.double_value(&[]);
            total += gan * weights.projected + apart * weights.perceptual;
        }
    }

    if !generator_learns {
        return Ok(figures);
    }
    if weights.identity > 0.0 {
        // Every second pair, others in the next step: this network is the dearest of all.
        let some = |x: &Tensor| x.narrow(0, 0, paired).slice(0, at as i64 % 2, None, 2);
        let net = source.identity()?;
        let truth = no_grad(|| net.embed(&some(&high)));
        let apart = identity::distance(&net.embed(&some(&shown)), &truth);
        figures.identity = apart.double_value(&[]);
        total += apart * weights.identity;
    }
    let pixel = loss::pixel(&output.narrow(0, 0, paired), &high.narrow(0, 0, paired));
    figures.high_pixel = pixel.double_value(&[]);
    total += pixel * weights.alpha;
    if weights.grid > 0.0 {
        let grid = loss::grid(&output);
        figures.grid = grid.double_value(&[]);
        total += grid * weights.grid;
    }
    let rate = config.rates.generator * phase_factor(state);
    state.optimisers.l2h.minimise(&total.to_kind(Kind::Float), rate, false);
    let share = ema_share(at - config.discriminator_first, config.ema);
    nets.l2h_ema.params().lerp(nets.l2h.params(), share);
    Ok(figures)
}
