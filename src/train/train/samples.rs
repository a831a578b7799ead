//! Sample grids: the same faces through the networks as they stand.

use std::path::Path;

use tch::{Tensor, no_grad};

use super::source::{Source, noise};
use super::stage2::degrade;
use super::state::State;
use crate::data::batch::{Variation, camera_pairs, fixed_batch};
use crate::error::Result;
use crate::net::high_to_low::shrink4;
use crate::rng::{Rng, Stream};
use crate::show::{bicubic64, grid, nearest64};

/// Faces in a row.
const COLUMNS: usize = 14;

fn spread(from: &[usize], n: usize) -> Vec<usize> {
    (0..n.min(from.len())).map(|i| from[i * from.len() / n.min(from.len())]).collect()
}

/// Rows, from the top: held-back face; shrunk; two draws of z; Low-to-High of the first; synthetic
/// camera; Low-to-High of it; real low faces; bicubic; Low-to-High.
pub fn write(state: &State, source: &Source, path: &Path) -> Result<()> {
    let device = source.device();
    let kind = state.config.kind();
    let mut rng = Rng::new(7, Stream::Validation, 1);
    let indices = spread(&source.high_split.held, COLUMNS);
    let high = fixed_batch(&source.high, &indices, device);
    let low = fixed_batch(&source.low, &spread(&source.low_split.held, COLUMNS), device);
    let still = Variation::NONE;
    let (shot, _) =
        camera_pairs(&source.high, &indices, still, &state.config.camera, &mut rng, device);
    let rows: Vec<Tensor> = no_grad(|| {
        let n = indices.len();
        let spoilt: Vec<Tensor> =
            (0..2).map(|_| degrade(state, &high, &noise(n, &mut rng, device))).collect();
        let enhance = |x: &Tensor| state.nets.l2h_ema.forward(x, kind, false);
        vec![
            high.shallow_clone(),
            nearest64(&shrink4(&high)),
            nearest64(&spoilt[0]),
            nearest64(&spoilt[1]),
            enhance(&spoilt[0]),
            nearest64(&shot),
            enhance(&shot),
            nearest64(&low),
            bicubic64(&low),
            enhance(&low),
        ]
    });
    grid(&rows, path)
}
