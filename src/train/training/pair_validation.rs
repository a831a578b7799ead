//! Figures on pairs of real encoders that are held back: other scenes, other people. Measured within
//! an ellipse around the face, by classes of the size that the face had in the camera's picture.

use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use super::state::State;
use super::training_data::TrainingData;
use crate::console::bicubic;
use crate::dataset::batch::{pair_tensors, to_8bit};
use crate::dataset::pairs::flag;
use crate::error::Result;
use crate::loss;
use crate::models::high_to_low::shrink4;
use crate::scale::Scale;

/// Held-back pairs that are looked at.
const PAIRS: usize = 512;
/// How much more a class below its input costs than it would gain above.
const LOSS_WEIGHT: f64 = 2.0;

/// Upper bounds of the classes of native sizes, pixels.
fn class_bounds(scale: Scale) -> [f32; 5] {
    if scale == Scale::SMALL {
        [11.0, 14.0, 18.0, 22.0, f32::INFINITY]
    } else {
        [20.0, 28.0, 40.0, 60.0, f32::INFINITY]
    }
}

/// Figures of the pairs of one class, or of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Pairs.
    pub n: usize,
    /// PSNR of the output over that of bicubic enlargement, dB.
    pub gain: f64,
    /// Distance of the embeddings of output and original, where the run has their network.
    pub identity: Option<f64>,
    /// The same of bicubic enlargement.
    pub identity_bicubic: Option<f64>,
    /// Gradient energy of outputs against that of originals (1: as sharp).
    pub sharp: f64,
    /// The same of bicubic enlargement.
    pub sharp_bicubic: f64,
}

/// Figures of all held-back pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairFigures {
    /// All of them, hopeless ones left out.
    pub pairs: ClassFigures,
    /// By native size, from the smallest.
    pub pairs_by_size: Vec<ClassFigures>,
    /// Covered faces.
    pub pairs_covered: ClassFigures,
    /// Turned faces.
    pub pairs_turned: ClassFigures,
    /// Faces that hold nothing: their original is the blur.
    pub pairs_hopeless: ClassFigures,
    /// PSNR of the input to the output shrunk back, dB.
    pub pairs_kept: f64,
    /// Score of each pair, lower is better; see [`Self::score`].
    #[serde(skip)]
    pub scores: Vec<f32>,
}

impl PairFigures {
    /// What the best checkpoint is chosen by, lower is better: gain over bicubic enlargement, where losses
    /// count more. Identity has no say in it: a run that lowered its distance most was recognized least by
    /// another network.
    pub fn score(&self) -> f64 {
        self.scores.iter().map(|s| f64::from(*s)).sum::<f64>() / self.scores.len().max(1) as f64
    }
}

/// Numbers of the pairs, one each.
#[derive(Debug, Default)]
struct Columns {
    gain: Vec<f64>,
    identity: Vec<f64>,
    identity_bicubic: Vec<f64>,
    energy: [Vec<f64>; 3],
}

fn numbers(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.to_kind(Kind::Double).contiguous().view(-1)).unwrap_or_default()
}

/// PSNR of each picture within the ellipse.
fn psnr(a: &Tensor, b: &Tensor, places: &Tensor) -> Tensor {
    let cost = ((to_8bit(a) - b) / 2.0).square() * places;
    let mse = cost.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
    mse.clamp_min(1e-9).log10() * -10.0
}

/// Gradient energy of each picture within the ellipse.
fn energy(x: &Tensor, places: &Tensor) -> Tensor {
    let side = x.size()[3] - 1;
    let along = |axis: i64| {
        let step = x.narrow(axis, 1, side) - x.narrow(axis, 0, side);
        let places = places.narrow(axis, 1, side);
        (step.square() * places).mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float)
    };
    along(3) + along(2)
}

impl Columns {
    fn figures(&self, chosen: &[usize]) -> ClassFigures {
        let mean = |v: &[f64]| {
            (!v.is_empty() && !chosen.is_empty())
                .then(|| chosen.iter().map(|&i| v[i]).sum::<f64>() / chosen.len() as f64)
        };
        let [output, bicubic, truth] = [0, 1, 2].map(|i| mean(&self.energy[i]).unwrap_or(0.0));
        ClassFigures {
            n: chosen.len(),
            gain: mean(&self.gain).unwrap_or(0.0),
            identity: mean(&self.identity),
            identity_bicubic: mean(&self.identity_bicubic),
            sharp: output / truth.max(1e-9),
            sharp_bicubic: bicubic / truth.max(1e-9),
        }
    }

    /// The cost of a pair: dB lost, where what is lost counts more than what is won.
    fn score(&self, i: usize) -> f32 {
        let lost = -self.gain[i];
        (lost + (LOSS_WEIGHT - 1.0) * lost.max(0.0)) as f32
    }
}

/// Measures the moving average of a run's Low-to-High generator; nothing where the run has no pairs.
///
/// # Errors
/// When a shard cannot be read.
pub fn measure(state: &State, data: &TrainingData) -> Result<Option<PairFigures>> {
    let Ok(sets) = data.pairs() else { return Ok(None) };
    let pairs = sets.held.spread(PAIRS)?;
    let (device, kind, scale) = (data.device(), state.config.kind(), state.config.scale);
    let places = loss::ellipse(scale.hr() as i64, device);
    let net = data.identity().ok();
    let mut columns = Columns::default();
    let mut kept = Vec::new();
    for part in pairs.chunks(32) {
        let (lr, hr) = pair_tensors(part, device);
        no_grad(|| {
            let output = state.nets.l2h_ema.forward(&lr, kind, false).clamp(-1.0, 1.0);
            let plain = bicubic(&lr);
            columns
                .gain
                .extend(numbers(&(psnr(&output, &hr, &places) - psnr(&plain, &hr, &places))));
            for (column, x) in columns.energy.iter_mut().zip([&output, &plain, &hr]) {
                column.extend(numbers(&energy(x, &places)));
            }
            if let Some(net) = net {
                let truth = net.embed(&hr);
                let apart = |x: &Tensor| {
                    let same = net.embed(x) * &truth;
                    1.0 - numbers_sum(&same)
                };
                columns.identity.extend(numbers(&apart(&output)));
                columns.identity_bicubic.extend(numbers(&apart(&plain)));
            }
            let back = ((shrink4(&output) - &lr) / 2.0).square();
            let mse = back.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
            kept.extend(numbers(&(mse.clamp_min(1e-9).log10() * -10.0)));
        });
    }
    let flags = |i: usize| pairs[i].row.flags;
    let (hopeless, clear): (Vec<usize>, Vec<usize>) =
        (0..pairs.len()).partition(|&i| flags(i) & flag::HOPELESS != 0);
    let with = |bit: u8| clear.iter().copied().filter(|&i| flags(i) & bit != 0).collect::<Vec<_>>();
    let mut lower = 0.0;
    let by_size = class_bounds(scale).map(|upper| {
        let range = lower..upper;
        lower = upper;
        let chosen = clear.iter().copied().filter(|&i| range.contains(&pairs[i].row.native));
        columns.figures(&chosen.collect::<Vec<_>>())
    });
    Ok(Some(PairFigures {
        pairs: columns.figures(&clear),
        pairs_by_size: by_size.to_vec(),
        pairs_covered: columns.figures(&with(flag::COVERED)),
        pairs_turned: columns.figures(&with(flag::TURNED)),
        pairs_hopeless: columns.figures(&hopeless),
        pairs_kept: kept.iter().sum::<f64>() / kept.len().max(1) as f64,
        scores: clear.iter().map(|&i| columns.score(i)).collect(),
    }))
}

/// Sum over the numbers of each row of [n, d].
fn numbers_sum(x: &Tensor) -> Tensor {
    x.sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
}

/// True when scores are better than others of the same pairs by more than chance: the mean
/// difference is more than one standard error below 0.
pub fn clearly_better(new: &[f32], old: &[f32]) -> bool {
    if new.len() != old.len() || new.len() < 2 {
        return true;
    }
    let n = new.len() as f64;
    let gaps: Vec<f64> = new.iter().zip(old).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
    let mean = gaps.iter().sum::<f64>() / n;
    let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean < -(variance / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_better_only_beyond_chance() {
        let old: Vec<f32> = (0..100).map(|i| (i % 10) as f32).collect();
        let noisy: Vec<f32> =
            old.iter().enumerate().map(|(i, v)| v + [1.0, -1.05][i % 2]).collect();
        let better: Vec<f32> = old.iter().map(|v| v - 0.2).collect();
        assert!(!clearly_better(&noisy, &old) && !clearly_better(&old, &old));
        assert!(clearly_better(&better, &old) && !clearly_better(&old, &better));
        assert!(clearly_better(&old, &[]), "the first is the best so far");
    }

    #[test]
    fn a_pair_below_its_input_costs_twice_what_it_could_gain() {
        let columns = Columns { gain: vec![1.0, -1.0], ..Columns::default() };
        assert_eq!((columns.score(0), columns.score(1)), (-1.0, 2.0));
    }
}
