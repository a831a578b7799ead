//! Temporal noise reduction: a generator is given the running mean of a face's crops instead of the
//! latest alone.
//!
//! Noise and what an encoder leaves differ from frame to frame; a face hardly does. The mean of a few
//! crops shows the generator more of it, and nearly the same in each frame, so that it does not make
//! other details each time. For that the crops must lie alike on the face, which boxes do not: they
//! jitter. So each square is [aligned](super::align) to the mean first, and cropped again there. Where a crop
//! then differs from the mean by more than its noise, something moves within the face (a mouth, a hand),
//! and the new crop is taken as it is.

use std::time::Duration;

use super::align::LEAST_NOISE;
use super::reuse::LUMA;
use crate::imgproc::blur::blur;
use crate::imgproc::feather;
use crate::shape::Shape;
use crate::util::smoothstep::smoothstep;

/// Time over which crops are averaged at a temporal smoothing of 1, seconds.
const TIME: f32 = 0.12;
/// Share of a crop in the mean from which on the mean is of no use.
const MOST: f32 = 0.95;
/// A crop that is brighter or darker by this much is seen in another light: the mean begins again.
const OTHER_LIGHT: f32 = 0.1;
/// Differences of so many times the noise, and twice as many, are where a change begins to pass, and
/// passes in full.
const CHANGE: f32 = 2.5;

/// The running mean of one face's crops.
#[derive(Debug, Default)]
pub(super) struct CropMean {
    /// `[3, lr, lr]` RGB in -1..=1; empty before the first.
    values: Vec<f32>,
    /// How many crops are in it.
    count: f32,
    /// Root mean square difference of a crop to the mean where nothing moves.
    noise: f32,
    /// When the latest was added.
    at: Duration,
}

/// Share of a crop in the mean that the last was added to `elapsed` ago; all of it without smoothing
/// and after a pause.
fn share_of_crop(elapsed: Duration, smoothing: f32) -> f32 {
    match smoothing > 0.0 {
        true => 1.0 - (-elapsed.as_secs_f32() / (TIME * smoothing)).exp(),
        false => 1.0,
    }
}

impl CropMean {
    /// Forgets all crops but this one.
    fn begin(&mut self, crop: &[f32], at: Duration) {
        self.values.clear();
        self.values.extend_from_slice(crop);
        (self.count, self.noise, self.at) = (1.0, 0.0, at);
    }

    /// The mean, for a crop of `shape` that is shown `at` this time to be aligned to; `None` if
    /// there is none, or none that would count.
    pub(super) fn values(&self, shape: Shape, at: Duration, smoothing: f32) -> Option<&[f32]> {
        let counts = share_of_crop(at.saturating_sub(self.at), smoothing) < MOST;
        (self.values.len() == shape.lr_len() && counts).then_some(&self.values)
    }
}

/// Adds crops to means; keeps its scratch space from face to face.
#[derive(Debug, Default)]
pub(super) struct TemporalDenoiser {
    /// Weights of the pixels of a crop, and the side that they are for.
    weights: (usize, Vec<f32>),
    /// Difference of the crop to the mean, and what share of it goes into the mean.
    shares: Vec<f32>,
    scratch: Vec<f32>,
}

impl TemporalDenoiser {
    /// Adds `crop` (`[3, lr, lr]` RGB in -1..=1), of a frame shown `at` this time, to `mean`, and
    /// writes what comes out into `denoised`. If the crop is not `aligned` to the mean, that is the
    /// crop, as it is at a `smoothing`, of 0..=1, of 0.
    pub(super) fn denoise(
        &mut self,
        mean: &mut CropMean,
        (crop, shape): (&[f32], Shape),
        at: Duration,
        (aligned, smoothing): (bool, f32),
        denoised: &mut [f32],
    ) {
        debug_assert_eq!((crop.len(), denoised.len()), (shape.lr_len(), shape.lr_len()));
        if !aligned || mean.values(shape, at, smoothing).is_none() {
            mean.begin(crop, at);
            denoised.copy_from_slice(crop);
            return;
        }
        let least = share_of_crop(at.saturating_sub(mean.at), smoothing);
        mean.at = at;
        mean.count += 1.0;
        self.add(mean, crop, shape.lr(), least.max(1.0 / mean.count));
        denoised.copy_from_slice(&mean.values);
    }

    /// Adds a crop to the mean: `least` of it, more where it differs.
    fn add(&mut self, mean: &mut CropMean, crop: &[f32], side: usize, least: f32) {
        self.set_weights(side);
        let (plane, values) = (side * side, &mean.values);
        self.shares.clear();
        self.shares.extend((0..plane).map(|i| {
            let [red, green, blue] = [0, 1, 2].map(|c| crop[c * plane + i] - values[c * plane + i]);
            LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
        }));
        blur(&mut self.shares, &mut self.scratch, side);
        blur(&mut self.shares, &mut self.scratch, side);
        let weights = &self.weights.1;
        let total: f32 = weights.iter().sum();
        let offset = self.shares.iter().zip(weights).map(|(d, w)| w * d).sum::<f32>() / total;
        if offset.abs() > OTHER_LIGHT {
            mean.begin(crop, mean.at);
            return;
        }
        let squares: f32 = self.shares.iter().zip(weights).map(|(d, w)| w * d * d).sum();
        let rms = (squares / total).sqrt();
        mean.noise = match mean.count {
            // The first two crops.
            count if count < 2.5 => rms,
            // What moves is no noise: it rises slowly.
            _ if rms > mean.noise => mean.noise + 0.1 * (rms - mean.noise),
            _ => mean.noise + 0.3 * (rms - mean.noise),
        };
        let begins = CHANGE * mean.noise.max(LEAST_NOISE);
        for share in &mut self.shares {
            *share = least + (1.0 - least) * smoothstep(share.abs(), begins, 2.0 * begins);
        }
        let planes = mean.values.chunks_exact_mut(side * side).zip(crop.chunks_exact(side * side));
        for (mean, crop) in planes {
            for ((mean, crop), share) in mean.iter_mut().zip(crop).zip(&self.shares) {
                *mean += share * (crop - *mean);
            }
        }
    }

    fn set_weights(&mut self, side: usize) {
        if self.weights.0 != side {
            self.weights = (side, feather::grid(side));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enhance::align::testing::{SHAPES, error, noisy, pattern};

    const FRAME: Duration = Duration::from_millis(40);

    /// What comes out after these crops, a usual frame apart.
    fn denoised(crops: &[Vec<f32>], shape: Shape, smoothing: f32) -> Vec<f32> {
        let (mut denoiser, mut mean) = (TemporalDenoiser::default(), CropMean::default());
        let mut out = vec![0.0; shape.lr_len()];
        for (n, crop) in crops.iter().enumerate() {
            let at = FRAME * n as u32;
            denoiser.denoise(&mut mean, (crop, shape), at, (true, smoothing), &mut out);
        }
        out
    }

    #[test]
    fn noise_falls_with_every_crop() {
        for shape in SHAPES {
            let truth = pattern(shape, 0.0, 0.0, 1.0);
            let crops: Vec<_> = (0..9).map(|frame| noisy(&truth, frame, 0.1)).collect();
            let left = |count: usize| error(&denoised(&crops[..count], shape, 1.0), &truth, shape);
            assert!(left(2) < 0.8 * left(1), "{shape}: {} {}", left(1), left(2));
            assert!(left(9) < 0.5 * left(1), "{shape}: {} {}", left(1), left(9));
        }
    }

    #[test]
    fn what_moves_within_the_face_passes_at_once() {
        let shape = Shape::LARGE;
        let still = pattern(shape, 0.0, 0.0, 1.0);
        let mut crops: Vec<_> = (0..10).map(|frame| noisy(&still, frame, 0.02)).collect();
        // A mouth opens.
        let mut open = still.clone();
        for (i, value) in open.iter_mut().enumerate() {
            let (x, y) = (i % 32, i / 32 % 32);
            if (12..20).contains(&x) && (20..25).contains(&y) {
                *value = -0.9;
            }
        }
        let at = 22 * 32 + 16;
        let before = denoised(&crops, shape, 0.5)[at];
        assert!((before - open[at]).abs() > 0.2, "a change that is none proves nothing");
        crops.push(open.clone());
        let after = denoised(&crops, shape, 0.5)[at];
        assert!((after - open[at]).abs() < 0.05, "{after} {}", open[at]);
    }

    #[test]
    fn other_light_shows_at_once() {
        let shape = Shape::LARGE;
        let dark = pattern(shape, 0.0, 0.0, 0.5);
        let light: Vec<f32> = dark.iter().map(|value| value + 0.3).collect();
        assert_eq!(denoised(&[dark.clone(), dark, light.clone()], shape, 1.0), light);
    }

    #[test]
    fn nothing_is_kept_without_smoothing_after_a_pause_or_of_another_place() {
        let shape = Shape::SMALL;
        let truth = pattern(shape, 0.0, 0.0, 1.0);
        let (first, second) = (noisy(&truth, 1, 0.1), noisy(&truth, 2, 0.1));
        let is_second_alone = |pause: Duration, aligned: bool, smoothing: f32| {
            let (mut denoiser, mut mean) = (TemporalDenoiser::default(), CropMean::default());
            let mut out = vec![0.0; shape.lr_len()];
            let mut add = |crop: &[f32], at: Duration| {
                denoiser.denoise(&mut mean, (crop, shape), at, (aligned, smoothing), &mut out);
            };
            add(&first, FRAME);
            add(&second, FRAME + pause);
            out == second
        };
        assert!(!is_second_alone(FRAME, true, 0.5));
        assert!(is_second_alone(FRAME, true, 0.0));
        assert!(is_second_alone(FRAME, false, 0.5));
        assert!(is_second_alone(Duration::from_secs(1), true, 0.5));
    }
}
