//! One step of stage 2: Low-to-High on degraded faces, by the pixel loss alone or with its
//! discriminator.

use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use super::schedule::rate_schedule;
use super::state::{State, ema_decay};
use super::training_data::TrainingData;
use crate::config::Penalty;
use crate::dataset::batch::{self, Variation};
use crate::error::Result;
use crate::loss::{self, DiffAugment};
use crate::models::high_to_low::{noise, shrink4};
use crate::models::layers::channels_last;
use crate::models::{identity, perceptual};
use crate::rng::{Rng, Stream};

/// Figures of a step of stage 2.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct LowToHighFigures {
    /// Hinge loss of the discriminator; 2 means that it tells nothing apart.
    pub hr_d: f64,
    /// GAN loss of the generator.
    pub hr_gan: f64,
    /// Pixel loss against the original.
    pub hr_pixel: f64,
    /// Difference of gradients from the original's.
    pub gradients: f64,
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

/// LR pictures [n, 3, s, s] and the originals [n, 3, 4s, 4s] they were made of: some went through
/// real encoders, some are of the learnt degradation (light given back, see [`loss::match_color`]),
/// some of the synthetic camera.
fn pairs(state: &State, data: &TrainingData, n: usize, rng: &mut Rng) -> Result<(Tensor, Tensor)> {
    let (config, device) = (&state.config, data.device());
    let share = |n: usize, share: f64| (n as f64 * share).round() as usize;
    let shift = config.shift * config.scale.fold();
    let how = Variation { flip: true, shift, light: config.light };
    let encoded = share(n, config.pairs.encoded);
    let from_camera = share(n - encoded, config.pairs.camera);
    let learnt = n - encoded - from_camera;
    let mut lrs = Vec::new();
    let mut hrs = Vec::new();
    if encoded > 0 {
        let set = &data.pairs()?.train;
        let (lr, hr) = batch::encoded_pairs(set, encoded, true, rng, device)?;
        let overlaid = share(encoded, config.pairs.overlaid);
        lrs.push(if overlaid > 0 { overlay(state, &lr, &hr, overlaid as i64) } else { lr });
        hrs.push(hr);
    }
    if from_camera > 0 {
        let indices = data.hr_indices(from_camera, rng);
        let (lr, hr) = batch::camera_pairs(&data.hr, &indices, how, &config.camera, rng, device);
        lrs.push(lr);
        hrs.push(hr);
    }
    if learnt > 0 && !config.pairs.high_to_low {
        let indices = data.hr_indices(learnt, rng);
        let (lr, hr) = batch::bicubic_pairs(&data.hr, &indices, how, rng, device);
        lrs.push(lr);
        hrs.push(hr);
    } else if learnt > 0 {
        let hr = data.hr(learnt, how, rng);
        let z = noise(learnt, &mut state.rng(Stream::Noise), device);
        let lr = no_grad(|| degrade(state, &hr, &z));
        lrs.push(lr);
        hrs.push(hr);
    }
    Ok((Tensor::cat(&lrs, 0), Tensor::cat(&hrs, 0)))
}

/// Lays what the learnt degradation does to the originals over the first `n` encoded faces.
fn overlay(state: &State, lr: &Tensor, hr: &Tensor, n: i64) -> Tensor {
    let z = noise(n as usize, &mut state.rng(Stream::Overlay), lr.device());
    no_grad(|| {
        let (first, rest) = (lr.narrow(0, 0, n), lr.narrow(0, n, lr.size()[0] - n));
        let original = hr.narrow(0, 0, n);
        let damage = degrade(state, &original, &z) - shrink4(&original);
        Tensor::cat(&[batch::to_8bit(&(first + damage)), rest], 0)
    })
}

/// The learnt degradation of a batch: High-to-Low, its light put right, rounded to 8 bit.
pub fn degrade(state: &State, hr: &Tensor, z: &Tensor) -> Tensor {
    let lr = state.nets.h2l_ema.forward(hr, z, state.config.kind());
    batch::to_8bit(&loss::match_color(&lr, &shrink4(hr)))
}

fn phase_factor(state: &State) -> f64 {
    let phase = state.progress.phase;
    rate_schedule(phase, state.progress.step, phase.steps(&state.config.steps))
}

/// The loss of an output against its original, and the two parts of it.
fn reconstruction(state: &State, output: &Tensor, hr: &Tensor) -> (Tensor, LowToHighFigures) {
    let how = &state.config.pixel_loss;
    let places = how.ellipse.then(|| loss::ellipse(hr.size()[3], hr.device()));
    let mut total = match how.penalty {
        Penalty::Squared => loss::pixel(output, hr, places.as_ref()),
        Penalty::Charbonnier => loss::charbonnier(output, hr, places.as_ref()),
    };
    let mut figures =
        LowToHighFigures { hr_pixel: total.double_value(&[]), ..LowToHighFigures::default() };
    if how.gradients > 0.0 {
        let gradients = loss::gradient_difference(output, hr, places.as_ref());
        figures.gradients = gradients.double_value(&[]);
        total += gradients * how.gradients;
    }
    (total, figures)
}

/// Pixel warm-up. Two losses on fixed networks may join in, each on half of every second batch: they
/// are the dearest part of a step.
pub fn pixel_step(state: &mut State, data: &TrainingData) -> Result<LowToHighFigures> {
    let (config, at) = (&state.config, state.progress.step);
    let (n, kind, how) = (config.batch, config.kind(), config.pixel_loss);
    let mut rng = state.rng(Stream::Batch);
    let (lr, hr) = pairs(state, data, n, &mut rng)?;
    let output = state.nets.l2h.forward(&lr, kind, true);
    let (mut total, mut figures) = reconstruction(state, &output, &hr);
    let half = |x: &Tensor| x.slice(0, (at / 2) as i64 % 2, None, 2);
    let joins = |weight: f64, turn: u64| weight > 0.0 && at >= how.from_step && at % 2 == turn;
    if joins(how.identity, 0) {
        let net = data.identity()?;
        let truth = no_grad(|| net.embed(&half(&hr)));
        let apart = identity::distance(&net.embed(&half(&output).clamp(-1.0, 1.0)), &truth);
        figures.identity = apart.double_value(&[]);
        total += apart * how.identity;
    }
    if joins(how.perceptual, 1) {
        let net = data.perceptual()?;
        let truth = no_grad(|| net.features(&half(&hr)));
        let apart = perceptual::distance(&net.features(&half(&output).clamp(-1.0, 1.0)), &truth);
        figures.perceptual = apart.double_value(&[]);
        total += apart * how.perceptual;
    }
    let rate = state.config.rates.pixel * phase_factor(state);
    state.optimizers.l2h.minimize(&total, rate, false);
    let share = ema_decay(state.progress.averaged.l2h, state.config.ema);
    state.nets.l2h_ema.params().lerp(state.nets.l2h.params(), share);
    state.progress.averaged.l2h += 1;
    Ok(figures)
}

/// A batch of the GAN phase.
struct Batch {
    /// LR pictures [n, 3, s, s]: first those made of an original, then real ones.
    lr: Tensor,
    /// How many have an original.
    paired: i64,
    /// Sharp faces [n, 3, 4s, 4s]: the originals, then others in the places of the real LR pictures.
    hr: Tensor,
}

fn gan_batch(state: &State, data: &TrainingData, rng: &mut Rng) -> Result<Batch> {
    let config = &state.config;
    let n = config.batch;
    let real = ((n as f64 * config.pairs.real).round() as usize).min(n - 1);
    let (lr, hr) = pairs(state, data, n - real, rng)?;
    let paired = lr.size()[0];
    if real == 0 {
        return Ok(Batch { lr, paired, hr });
    }
    let shift = config.shift * config.scale.fold();
    let how = Variation { flip: true, shift, light: config.light };
    Ok(Batch {
        lr: Tensor::cat(&[lr, data.lr(real, rng)], 0),
        paired,
        hr: Tensor::cat(&[hr, data.hr(real, how, rng)], 0),
    })
}

/// Mean over layers of a loss of the heads.
fn over_layers(losses: impl Iterator<Item = Tensor>) -> Tensor {
    let losses: Vec<Tensor> = losses.collect();
    Tensor::stack(&losses, 0).mean(Kind::Float)
}

/// Training with the discriminators. Part of each batch are real LR pictures: they have no
/// original, so only the discriminators speak about them.
pub fn gan_step(state: &mut State, data: &TrainingData) -> Result<LowToHighFigures> {
    let (config, at, device) = (&state.config, state.progress.step, data.device());
    let (kind, weights) = (config.kind(), config.weights);
    let mut views = state.rng(Stream::Augment);
    let Batch { lr, paired, hr } = gan_batch(state, data, &mut state.rng(Stream::Batch))?;
    let n = lr.size()[0];
    let rate = config.rates.discriminator * phase_factor(state);
    let nets = &state.nets;
    let mut view = |n: i64| DiffAugment::draw(&mut views, n, 3 * config.scale.fold(), 1.0, device);
    let seen =
        |view: &DiffAugment, x: &Tensor| channels_last(&view.apply(&view.dither(x))).to_kind(kind);
    let pairs_of = |f: &[Tensor]| f.iter().map(|t| t.narrow(0, 0, paired)).collect::<Vec<_>>();

    let output = nets.l2h.forward(&lr, kind, true);
    let shown = output.clamp(-1.0, 1.0);
    let mut figures = LowToHighFigures::default();
    let mut total = Tensor::zeros([], (Kind::Float, device));
    let generator_learns = at >= config.discriminator_first;

    if weights.beta_hr > 0.0 || weights.features > 0.0 {
        nets.hr_d.power_iteration();
        let part = |x: &Tensor| {
            let step = if config.half_discriminator { 2 } else { 1 };
            x.slice(0, at as i64 % step, None, step)
        };
        let (real, fake) = (part(&hr), part(&shown.detach()));
        let count = real.size()[0];
        let both = [seen(&view(count), &real), seen(&view(count), &fake)];
        let scores = nets.hr_d.forward(&Tensor::cat(&both, 0)).split(count, 0);
        let loss = loss::hinge_discriminator(&scores[0], &scores[1]);
        state.optimizers.hr_d.minimize(&loss, rate, false);
        figures.hr_d = loss.double_value(&[]);
        if generator_learns {
            let augment = view(n);
            let (score, features) = nets.hr_d.features(&seen(&augment, &shown));
            let gan = loss::hinge_generator(&score);
            figures.hr_gan = gan.double_value(&[]);
            total += gan * weights.beta_hr;
            if weights.features > 0.0 {
                let truth = no_grad(|| nets.hr_d.features(&seen(&augment, &hr)).1);
                let matching = loss::feature_matching(&pairs_of(&features), &pairs_of(&truth));
                figures.features = matching.double_value(&[]);
                total += matching * weights.features;
            }
        }
    }

    if config.needs_perceptual() {
        let net = data.perceptual()?;
        let augment = view(n);
        let truth = no_grad(|| net.features(&augment.apply(&augment.dither(&hr))));
        let features = net.features(&augment.apply(&augment.dither(&shown)));
        nets.heads.power_iteration();
        let real = nets.heads.forward(&truth);
        let fake = nets.heads.forward(&features.iter().map(Tensor::detach).collect::<Vec<_>>());
        let hinges = real.iter().zip(&fake).map(|(r, f)| loss::hinge_discriminator(r, f));
        let loss = over_layers(hinges);
        state.optimizers.heads.minimize(&loss, rate, false);
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
        let net = data.identity()?;
        let truth = no_grad(|| net.embed(&some(&hr)));
        let apart = identity::distance(&net.embed(&some(&shown)), &truth);
        figures.identity = apart.double_value(&[]);
        total += apart * weights.identity;
    }
    let (pixel, parts) =
        reconstruction(state, &output.narrow(0, 0, paired), &hr.narrow(0, 0, paired));
    (figures.hr_pixel, figures.gradients) = (parts.hr_pixel, parts.gradients);
    total += pixel * weights.alpha;
    if weights.grid > 0.0 {
        let grid = loss::grid(&output);
        figures.grid = grid.double_value(&[]);
        total += grid * weights.grid;
    }
    let rate = config.rates.generator * phase_factor(state);
    state.optimizers.l2h.minimize(&total.to_kind(Kind::Float), rate, false);
    let share = ema_decay(state.progress.averaged.l2h, config.ema);
    nets.l2h_ema.params().lerp(nets.l2h.params(), share);
    state.progress.averaged.l2h += 1;
    Ok(figures)
}
