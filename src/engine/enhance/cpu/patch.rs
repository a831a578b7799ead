//! One face, made into the samples that are laid over a frame.

use super::Area;
use super::color_match::ColorMatch;
use crate::enhance::generator::HR_SIZE;
use crate::frame::{ComponentMut, FrameInfo, FrameMut, subsampled};
use crate::geometry::CropSquare;
use crate::imgproc::color::Color;
use crate::imgproc::feather;
use crate::imgproc::resample::{Coefficients, transpose};
use crate::imgproc::simd::with_avx2;

/// Numbers in one channel of a generated face.
const PLANE: usize = HR_SIZE * HR_SIZE;

/// A face to be blended into a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PatchInput<'a> {
    /// The square it was cut from.
    pub(crate) square: CropSquare,
    /// Weight in the middle of the feather, 0..=1.
    pub(crate) strength: f32,
    /// The cut, `[3, 16, 16]` RGB in -1..=1.
    pub(crate) lr: &'a [f32],
    /// What was generated from it or from an earlier one, `[3, 64, 64]` RGB in -1..=1.
    pub(crate) hr: &'a [f32],
    /// The same [shrunk](super::ColorMatch::shrink), `[3, 16, 16]`.
    pub(crate) shrunk: &'a [f32],
}

/// What is laid over one component of a frame.
#[derive(Debug, Default)]
struct PlanePatch {
    /// Where the square lies in the component.
    area: Area,
    /// The first sample in it, and how many there are.
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    /// New samples, `[height, width]` codes.
    samples: Vec<f32>,
    /// Their weights, 0..=1.
    weights: Vec<f32>,
}

/// What is laid over a frame: a piece for each component.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    pieces: [PlanePatch; 3],
    count: usize,
}

impl Patch {
    /// Makes it one that changes nothing.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// Lays it over the samples of the frame that it was made for.
    pub(super) fn lay(&self, frame: &mut FrameMut<'_>) {
        for (i, piece) in self.pieces[..self.count].iter().enumerate() {
            lay_piece(piece, frame.component_mut(i));
        }
    }
}

with_avx2! {
    /// Lays a piece over the samples of its component.
    fn lay_piece(piece: &PlanePatch, c: ComponentMut<'_>) {
        // A sample under another of this weight.
        let laid = |old: u8, new: f32, weight: f32| {
            let value = f32::from(old);
            // Adding a half rounds, since the value is never far below zero.
            (value + weight * (new - value) + 0.5).clamp(0.0, 255.0) as i32 as u8
        };
        let width = piece.width.max(1);
        let rows = piece.samples.chunks_exact(width).zip(piece.weights.chunks_exact(width));
        for ((new, weights), y) in rows.zip(piece.y..) {
            let old = &mut c.data[y * c.stride + piece.x * c.step..];
            let news = new.iter().zip(weights);
            if c.step == 1 {
                // The same, but many at a time.
                for (old, (new, weight)) in old[..width].iter_mut().zip(news) {
                    *old = laid(*old, *new, *weight);
                }
            } else {
                for (old, (new, weight)) in old.iter_mut().step_by(c.step).zip(news) {
                    *old = laid(*old, *new, *weight);
                }
            }
        }
    }
}

/// Makes patches one by one; keeps its scratch space from face to face.
#[derive(Debug, Default)]
pub(crate) struct PatchRenderer {
    truth: ColorMatch,
    rows: Coefficients,
    columns: Coefficients,
    components: [Vec<f32>; 3],
    a: Vec<f32>,
    b: Vec<f32>,
}

impl PatchRenderer {
    /// Shrinks a face, `[3, 64, 64]`, to `[3, 16, 16]` for [`PatchInput::shrunk`].
    pub(crate) fn shrink(&mut self, hr: &[f32], shrunk: &mut [f32]) {
        self.truth.shrink(hr, shrunk);
    }

    /// Makes `patch` of `layer` for a frame that is as `info` says; an empty one if the square
    /// does not lie in the frame.
    pub(crate) fn fill(&mut self, patch: &mut Patch, layer: &PatchInput<'_>, info: &FrameInfo) {
        patch.clear();
        if !layer.square.lies_in(info.width, info.height) {
            return;
        }
        patch.count = info.format.component_count();
        let correction = self.truth.correction(layer.lr, layer.shrunk);
        convert(layer.hr, correction, Color::of(info), &mut self.components[..patch.count]);
        for (i, layout) in info.format.components()[..patch.count].iter().enumerate() {
            let area = Area::of(&layer.square, info, layout.hsub, layout.vsub);
            let limits =
                (subsampled(info.width, layout.hsub), subsampled(info.height, layout.vsub));
            let (before, rest) = patch.pieces.split_at_mut(i);
            let piece = &mut rest[0];
            piece.area = area;
            (piece.x, piece.width) = inside(area.x, area.w, limits.0);
            (piece.y, piece.height) = inside(area.y, area.h, limits.1);
            piece.samples.clear();
            piece.weights.clear();
            if piece.width == 0 || piece.height == 0 {
                continue;
            }
            self.resample(i, piece);
            match before.last() {
                Some(last) if last.area == area => piece.weights.clone_from(&last.weights),
                _ => self.weigh(piece, layer.strength),
            }
        }
    }

    /// Resamples component `i` of the face to the samples of `piece`.
    fn resample(&mut self, i: usize, piece: &mut PlanePatch) {
        /// Sums are made for so many columns at a time.
        const BLOCK: usize = 8;
        let PlanePatch { area, x, y, width, height, .. } = *piece;
        let (sx, sy) = (HR_SIZE as f32 / area.w, HR_SIZE as f32 / area.h);
        self.columns.set(width, HR_SIZE, (x as f32 - area.x) * sx, sx);
        self.rows.set(height, HR_SIZE, (y as f32 - area.y) * sy, sy);
        self.rows.apply(&self.components[i], 0, HR_SIZE, &mut self.a);
        let padded = height.next_multiple_of(BLOCK);
        self.a.resize(padded * HR_SIZE, 0.0);
        transpose(&self.a, HR_SIZE, &mut self.b);
        self.columns.apply(&self.b, 0, padded, &mut self.a);
        transpose(&self.a, padded, &mut piece.samples);
        piece.samples.truncate(width * height);
    }

    /// Sets the weights of `piece` under a feather of this strength.
    fn weigh(&mut self, piece: &mut PlanePatch, strength: f32) {
        let PlanePatch { area, x, y, width, height, .. } = *piece;
        let across = |k: usize, start: f32, len: f32| (k as f32 + 0.5 - start) / len * 2.0 - 1.0;
        self.a.clear();
        self.a.extend((x..x + width).map(|x| across(x, area.x, area.w)));
        for y in y..y + height {
            let v = across(y, area.y, area.h);
            piece.weights.extend(self.a.iter().map(|u| strength * feather::weight(*u, v)));
        }
    }
}

/// First of the samples 0..`limit` whose middle lies in `start..start + len`, and their number.
fn inside(start: f32, len: f32, limit: usize) -> (usize, usize) {
    let first = ((start - 0.5).ceil().max(0.0) as usize).min(limit);
    let end = (((start + len - 0.5).floor() + 1.0).max(0.0) as usize).min(limit);
    (first, end.saturating_sub(first))
}

with_avx2! {
    /// Turns a face (`[3, 64, 64]` RGB in -1..=1) into components of a frame, its colours corrected.
    fn convert(
        face: &[f32],
        correction: &[Vec<f32>; 3],
        color: Color,
        components: &mut [Vec<f32>],
    ) {
        for component in &mut *components {
            component.resize(PLANE, 0.0);
        }
        for start in (0..PLANE).step_by(HR_SIZE) {
            let mut rgb = [[0.0; HR_SIZE]; 3];
            for (c, row) in rgb.iter_mut().enumerate() {
                let face = &face[c * PLANE + start..][..HR_SIZE];
                let correction = &correction[c][start..][..HR_SIZE];
                for ((v, face), correction) in row.iter_mut().zip(face).zip(correction) {
                    *v = ((face + correction).clamp(-1.0, 1.0) + 1.0) * 127.5;
                }
            }
            for (i, component) in components.iter_mut().enumerate() {
                color.row(i, &rgb, &mut component[start..][..HR_SIZE]);
            }
        }
    }
}
