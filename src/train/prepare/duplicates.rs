//! Leaves out faces that are nearly the same picture as an earlier one.

use super::crop::Crop;

/// Above this correlation of their 16x16 luma two crops are one.
const SAME: f32 = 0.985;

/// 256 numbers of mean 0 and length 1.
fn signature(crop: &Crop) -> Vec<f32> {
    let side = crop.side;
    let step = side / 16;
    let mut cells = vec![0.0f32; 256];
    for y in 0..side {
        for x in 0..side {
            let p = &crop.pixels[(y * side + x) * 3..][..3];
            let luma = 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
            cells[(y / step) * 16 + x / step] += luma;
        }
    }
    let mean = cells.iter().sum::<f32>() / 256.0;
    cells.iter_mut().for_each(|v| *v -= mean);
    let length = cells.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
    cells.iter_mut().for_each(|v| *v /= length);
    cells
}

/// The crops without the later ones of each pair of near-duplicates.
pub fn without(crops: Vec<Crop>) -> Vec<Crop> {
    let mut kept: Vec<(Vec<f32>, Crop)> = Vec::with_capacity(crops.len());
    for crop in crops {
        let mine = signature(&crop);
        let same = |(other, earlier): &(Vec<f32>, Crop)| {
            earlier.kind == crop.kind
                && other.iter().zip(&mine).map(|(a, b)| a * b).sum::<f32>() > SAME
        };
        if !kept.iter().any(same) {
            kept.push((mine, crop));
        }
    }
    kept.into_iter().map(|(_, crop)| crop).collect()
}
