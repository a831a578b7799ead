//! Sample grids: the same faces through the networks as they stand.

use std::path::Path;

use tch::{Tensor, no_grad};

use super::low_to_high_step::degrade;
use super::state::State;
use super::training_data::TrainingData;
use crate::console::{bicubic, grid, nearest};
use crate::dataset::batch::{Variation, camera_pairs, fixed_batch, pair_tensors};
use crate::error::Result;
use crate::models::high_to_low::{noise, shrink4};
use crate::rng::{Rng, Stream};

/// Faces in a row.
const COLUMNS: usize = 14;

fn spread(from: &[usize], n: usize) -> Vec<usize> {
    (0..n.min(from.len())).map(|i| from[i * from.len() / n.min(from.len())]).collect()
}

/// Rows, from the top: held-back face; shrunk; two draws of z; Low-to-High of the first; synthetic
/// camera; Low-to-High of it; real LR faces; bicubic; Low-to-High; then, of pairs of real encoders, LR
/// face; bicubic; Low-to-High; original.
pub fn write(state: &State, data: &TrainingData, path: &Path) -> Result<()> {
    let device = data.device();
    let kind = state.config.kind();
    let mut rng = Rng::new(7, Stream::Validation, 1);
    let indices = spread(&data.hr_split.held, COLUMNS);
    let hr = fixed_batch(&data.hr, &indices, device);
    let lr = fixed_batch(&data.lr, &spread(&data.lr_split.held, COLUMNS), device);
    let still = Variation::NONE;
    let (shot, _) = camera_pairs(&data.hr, &indices, still, &state.config.camera, &mut rng, device);
    let rows: Vec<Tensor> = no_grad(|| {
        let n = indices.len();
        let degraded: Vec<Tensor> =
            (0..2).map(|_| degrade(state, &hr, &noise(n, &mut rng, device))).collect();
        let enhance = |x: &Tensor| state.nets.l2h_ema.forward(x, kind, false);
        vec![
            hr.shallow_clone(),
            nearest(&shrink4(&hr)),
            nearest(&degraded[0]),
            nearest(&degraded[1]),
            enhance(&degraded[0]),
            nearest(&shot),
            enhance(&shot),
            nearest(&lr),
            bicubic(&lr),
            enhance(&lr),
        ]
    });
    let mut rows = rows;
    if let Ok(pairs) = data.pairs() {
        let (lr, hr) = pair_tensors(&pairs.held.spread(COLUMNS)?, device);
        let output = no_grad(|| state.nets.l2h_ema.forward(&lr, kind, false));
        rows.extend([nearest(&lr), bicubic(&lr), output, hr]);
    }
    grid(&rows, path)
}
