//! Puts batches together: faces drawn, moved, flipped and lit, as float tensors in [-1, 1].

use tch::{Device, Kind, Tensor};

use super::camera::{Camera, Light};
use super::faces::{Faces, Sampler};
use super::pairs::{Pair, PairSet};
use super::resample::{Filter, resize};
use crate::error::Result;
use crate::rng::Rng;

/// How faces are varied when drawn.
#[derive(Debug, Clone, Copy)]
pub struct Variation {
    /// Mirror half of them.
    pub flip: bool,
    /// Move by up to so many pixels (edges repeat).
    pub shift: i64,
    /// How strongly the light varies, 0..1.
    pub light: f32,
}

impl Variation {
    /// Nothing varied: for validation.
    pub const NONE: Self = Self { flip: false, shift: 0, light: 0.0 };
}

/// One face out of the set: RGB in 0..1.
pub fn draw_face(faces: &Faces, i: usize, how: Variation, rng: &mut Rng) -> Vec<f32> {
    let side = faces.side() as i64;
    let (dx, dy) = (rng.whole(-how.shift, how.shift), rng.whole(-how.shift, how.shift));
    let flip = how.flip && rng.chance(0.5);
    let rgb = faces.rgb(i);
    let mut out = Vec::with_capacity(rgb.len());
    for y in 0..side {
        let sy = (y + dy).clamp(0, side - 1);
        for x in 0..side {
            let sx = (x + dx).clamp(0, side - 1);
            let sx = if flip { side - 1 - sx } else { sx };
            let at = ((sy * side + sx) * 3) as usize;
            out.extend(rgb[at..at + 3].iter().map(|&v| f32::from(v) / 255.0));
        }
    }
    if how.light > 0.0 {
        Light::draw(rng, how.light).apply(&mut out);
    }
    out
}

/// Pictures (each side x side x RGB, 0..1) as a tensor [n, 3, side, side] in [-1, 1]; its memory
/// stays channels-last, which libtorch's CPU convolutions like best.
pub fn to_tensor(pictures: &[Vec<f32>], side: usize, device: Device) -> Tensor {
    let flat: Vec<f32> = pictures.iter().flatten().map(|v| v * 2.0 - 1.0).collect();
    Tensor::from_slice(&flat)
        .view([pictures.len() as i64, side as i64, side as i64, 3])
        .permute([0, 3, 1, 2])
        .to_device(device)
}

/// A tensor [n, 3, h, w] in [-1, 1] as interleaved 8-bit RGB.
pub fn to_bytes(pictures: &Tensor) -> Vec<u8> {
    let bytes = ((pictures.to_kind(Kind::Float) + 1.0) * 127.5)
        .round()
        .clamp(0.0, 255.0)
        .to_kind(Kind::Uint8)
        .permute([0, 2, 3, 1])
        .contiguous()
        .to_device(Device::Cpu);
    let mut out = vec![0u8; bytes.numel()];
    bytes.copy_data(&mut out, bytes.numel());
    out
}

/// Rounds to the 256 values that a stored picture can have.
pub fn to_8bit(x: &Tensor) -> Tensor {
    ((x.clamp(-1.0, 1.0) + 1.0) * 127.5).round() / 127.5 - 1.0
}

/// Faces drawn by `sampler`: [n, 3, side, side].
pub fn draw_batch(
    faces: &Faces,
    sampler: &Sampler,
    n: usize,
    how: Variation,
    rng: &mut Rng,
    device: Device,
) -> Tensor {
    let pictures: Vec<_> = (0..n).map(|_| draw_face(faces, sampler.draw(rng), how, rng)).collect();
    to_tensor(&pictures, faces.side(), device)
}

/// The faces of `indices` as they are: [n, 3, side, side].
pub fn fixed_batch(faces: &Faces, indices: &[usize], device: Device) -> Tensor {
    let mut unused = Rng::new(0, crate::rng::Stream::Validation, 0);
    let pictures: Vec<_> =
        indices.iter().map(|&i| draw_face(faces, i, Variation::NONE, &mut unused)).collect();
    to_tensor(&pictures, faces.side(), device)
}

/// Pairs of still faces: LR faces [n, 3, s, s], which `degrade` makes of each original, and those
/// originals [n, 3, 4s, 4s].
fn still_pairs(
    faces: &Faces,
    indices: &[usize],
    how: Variation,
    rng: &mut Rng,
    device: Device,
    degrade: impl Fn(&[f32], &mut Rng) -> Vec<f32>,
) -> (Tensor, Tensor) {
    let side = faces.side();
    let (lrs, hrs): (Vec<_>, Vec<_>) = indices
        .iter()
        .map(|&i| {
            let hr = draw_face(faces, i, how, rng);
            (degrade(&hr, rng), hr)
        })
        .unzip();
    (to_tensor(&lrs, side / 4, device), to_tensor(&hrs, side, device))
}

/// Pairs of the synthetic camera: LR faces [n, 3, s, s] and their originals [n, 3, 4s, 4s].
pub fn camera_pairs(
    faces: &Faces,
    indices: &[usize],
    how: Variation,
    camera: &Camera,
    rng: &mut Rng,
    device: Device,
) -> (Tensor, Tensor) {
    let side = faces.side();
    still_pairs(faces, indices, how, rng, device, |hr, rng| camera.degrade(hr, side, rng))
}

/// Pairs of real encoders, half of them mirrored where `flip` is set: LR faces [n, 3, s, s] and their
/// originals [n, 3, 4s, 4s].
///
/// # Errors
/// When a shard cannot be read.
pub fn encoded_pairs(
    set: &PairSet,
    n: usize,
    flip: bool,
    rng: &mut Rng,
    device: Device,
) -> Result<(Tensor, Tensor)> {
    let mut pairs = Vec::with_capacity(n);
    for _ in 0..n {
        let mut pair = set.draw(rng)?;
        if flip && rng.chance(0.5) {
            mirror(&mut pair.lr);
            mirror(&mut pair.hr);
        }
        pairs.push(pair);
    }
    Ok(pair_tensors(&pairs, device))
}

/// Mirrors a square RGB picture.
fn mirror(rgb: &mut [u8]) {
    let side = ((rgb.len() / 3) as f64).sqrt().round() as usize;
    for row in rgb.chunks_exact_mut(side * 3) {
        for x in 0..side / 2 {
            for c in 0..3 {
                row.swap(x * 3 + c, (side - 1 - x) * 3 + c);
            }
        }
    }
}

/// Pairs as tensors: LR faces [n, 3, s, s] and their originals [n, 3, 4s, 4s] in [-1, 1].
pub fn pair_tensors(pairs: &[Pair], device: Device) -> (Tensor, Tensor) {
    let lr: Vec<&[u8]> = pairs.iter().map(|p| p.lr.as_slice()).collect();
    let hr: Vec<&[u8]> = pairs.iter().map(|p| p.hr.as_slice()).collect();
    (bytes_to_tensor(&lr, device), bytes_to_tensor(&hr, device))
}

/// Square RGB pictures of one size, 8 bit, as a tensor [n, 3, side, side] in [-1, 1], laid out
/// channels-last.
fn bytes_to_tensor(pictures: &[&[u8]], device: Device) -> Tensor {
    let side = pictures.first().map_or(0, |p| ((p.len() / 3) as f64).sqrt().round() as i64);
    Tensor::from_slice(&pictures.concat())
        .view([pictures.len() as i64, side, side, 3])
        .permute([0, 3, 1, 2])
        .to_device(device)
        .to_kind(Kind::Float)
        / 127.5
        - 1.0
}

/// Pairs that are only shrunk by antialiased bicubic, the ablation without learnt degradation.
pub fn bicubic_pairs(
    faces: &Faces,
    indices: &[usize],
    how: Variation,
    rng: &mut Rng,
    device: Device,
) -> (Tensor, Tensor) {
    let side = faces.side();
    still_pairs(faces, indices, how, rng, device, |hr, _| {
        let mut lr = resize(hr, side, side, side / 4, side / 4, Filter::Bicubic);
        lr.iter_mut().for_each(|v| *v = (*v * 255.0).round().clamp(0.0, 255.0) / 255.0);
        lr
    })
}
