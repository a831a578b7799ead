//! One face, made into the samples that are blended into a frame.

use super::Area;
use super::color_match::ColorMatch;
use crate::enhance::backend::BlendWeights;
use crate::frame::{ComponentMut, FrameInfo, FrameMut, subsampled};
use crate::geometry::CropSquare;
use crate::imgproc::color::Color;
use crate::imgproc::feather;
use crate::imgproc::resample::{Coefficients, transpose};
use crate::imgproc::simd::with_avx2;
use crate::shape::Shape;

/// A face to be blended into a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PatchInput<'a> {
    /// The square it was cropped from.
    pub(crate) square: CropSquare,
    /// Sides of what follows.
    pub(crate) shape: Shape,
    /// Weight in the middle of the feather, 0..=1.
    pub(crate) strength: f32,
    /// What is shown of it.
    pub(crate) weights: BlendWeights,
    /// The crop, `[3, lr, lr]` RGB in -1..=1.
    pub(crate) lr: &'a [f32],
    /// The same without its noise.
    pub(crate) denoised: &'a [f32],
    /// What is in that and was not in what the face was generated from, `[3, 16, 16]`.
    pub(crate) change: &'a [f32],
    /// What was generated from that or from an earlier one, `[3, hr, hr]` RGB in -1..=1.
    pub(crate) hr: &'a [f32],
    /// The same [shrunk](super::ColorMatch::shrink), `[3, 16, 16]`.
    pub(crate) shrunk: &'a [f32],
}

/// What is blended into one component of a frame.
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

/// What is blended into a frame: a piece for each component.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    planes: [PlanePatch; 3],
    count: usize,
    /// Share of the frame's own sample in each new one, see [`BlendWeights::detail`].
    detail: f32,
}

impl Patch {
    /// Makes it one that changes nothing.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// Mixes a share `weight` of `other`, made for the same square of the same frame, into it.
    pub(super) fn mix(&mut self, other: &Self, weight: f32) {
        debug_assert!(self.count == other.count || self.count == 0 || other.count == 0);
        for (plane, other) in self.planes[..self.count].iter_mut().zip(&other.planes) {
            for (value, other) in plane.samples.iter_mut().zip(&other.samples) {
                *value += weight * (*other - *value);
            }
        }
        self.detail += weight * (other.detail - self.detail);
    }

    /// Blends it into the frame that it was made for.
    pub(super) fn blend(&self, frame: &mut FrameMut<'_>) {
        for (i, plane) in self.planes[..self.count].iter().enumerate() {
            blend_plane(plane, self.detail, frame.component_mut(i));
        }
    }
}

with_avx2! {
    /// Blends a patch into the samples of its component.
    fn blend_plane(piece: &PlanePatch, detail: f32, c: ComponentMut<'_>) {
        // A sample under another of this weight.
        let blended = |old: u8, new: f32, weight: f32| {
            let value = f32::from(old);
            let new = new + detail * value;
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
                    *old = blended(*old, *new, *weight);
                }
            } else {
                for (old, (new, weight)) in old.iter_mut().step_by(c.step).zip(news) {
                    *old = blended(*old, *new, *weight);
                }
            }
        }
    }
}

/// Makes patches one by one; keeps its scratch space from face to face.
///
/// A new sample is the sum of two pictures, each resampled to the frame: the generated face, and its *base*, all
/// that is known of it at the resolution of the crop: the correction of its colors and the crop's own share.
#[derive(Debug, Default)]
pub(crate) struct PatchRenderer {
    /// One for each shape that came by.
    colors: Vec<ColorMatch>,
    face: Resampler,
    base: Resampler,
    a: Vec<f32>,
}

/// A picture in the frame's color model on its way to the samples of a frame.
#[derive(Debug, Default)]
struct Resampler {
    rows: Coefficients,
    columns: Coefficients,
    components: [Vec<f32>; 3],
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Resampler {
    /// Sums are made for so many columns at a time.
    const BLOCK: usize = 8;

    /// Resamples component `i`, `[side, side]`, to the samples of `piece`: column by column, each of them filled
    /// up to a multiple of [`BLOCK`](Self::BLOCK).
    fn resample(&mut self, i: usize, side: usize, piece: &PlanePatch) -> &mut [f32] {
        let PlanePatch { area, x, y, width, height, .. } = *piece;
        let (sx, sy) = (side as f32 / area.w, side as f32 / area.h);
        self.columns.set(width, side, (x as f32 - area.x) * sx, sx);
        self.rows.set(height, side, (y as f32 - area.y) * sy, sy);
        self.rows.apply(&self.components[i], 0, side, &mut self.a);
        let padded = height.next_multiple_of(Self::BLOCK);
        self.a.resize(padded * side, 0.0);
        transpose(&self.a, side, &mut self.b);
        self.columns.apply(&self.b, 0, padded, &mut self.a);
        &mut self.a
    }
}

/// The corrector for `shape`, made if there is none yet.
fn colors_for(colors: &mut Vec<ColorMatch>, shape: Shape) -> &mut ColorMatch {
    let known = colors.iter().position(|colors| colors.shape() == shape);
    let at = known.unwrap_or_else(|| {
        colors.push(ColorMatch::new(shape));
        colors.len() - 1
    });
    &mut colors[at]
}

impl PatchRenderer {
    /// Shrinks a face of `shape` for [`PatchInput::shrunk`].
    pub(crate) fn shrink(&mut self, shape: Shape, hr: &[f32], shrunk: &mut [f32]) {
        colors_for(&mut self.colors, shape).shrink(hr, shrunk);
    }

    /// Makes `patch` of `input` for a frame that is as `info` says; an empty one if the square
    /// does not lie in the frame.
    pub(crate) fn render(&mut self, patch: &mut Patch, input: &PatchInput<'_>, info: &FrameInfo) {
        patch.clear();
        if !input.square.lies_in(info.width, info.height) {
            return;
        }
        patch.count = info.format.component_count();
        let BlendWeights { generated, detail } = input.weights;
        patch.detail = detail;
        let colors = colors_for(&mut self.colors, input.shape);
        let correction = colors.correction(input.denoised, input.shrunk, input.change);
        let color = Color::of(info);
        let shares = (generated, 1.0 - generated - detail);
        convert(input.hr, color, &mut self.face.components[..patch.count]);
        convert_base(input.lr, correction, color, shares, &mut self.base.components[..patch.count]);
        for (i, layout) in info.format.components()[..patch.count].iter().enumerate() {
            let area = Area::of(&input.square, info, layout.hsub, layout.vsub);
            let limits =
                (subsampled(info.width, layout.hsub), subsampled(info.height, layout.vsub));
            let (before, rest) = patch.planes.split_at_mut(i);
            let plane = &mut rest[0];
            plane.area = area;
            (plane.x, plane.width) = inside(area.x, area.w, limits.0);
            (plane.y, plane.height) = inside(area.y, area.h, limits.1);
            plane.samples.clear();
            plane.weights.clear();
            if plane.width == 0 || plane.height == 0 {
                continue;
            }
            self.resample(i, input.shape, generated, plane);
            match before.last() {
                Some(last) if last.area == area => plane.weights.clone_from(&last.weights),
                _ => self.compute_weights(plane, input.strength),
            }
        }
    }

    /// Makes the samples of `piece`, of component `i`: `share` of the face, and the base.
    fn resample(&mut self, i: usize, shape: Shape, share: f32, piece: &mut PlanePatch) {
        let face = self.face.resample(i, shape.hr(), piece);
        let base = self.base.resample(i, shape.lr(), piece);
        face.iter_mut().zip(base).for_each(|(face, base)| *face = share * *face + *base);
        transpose(face, piece.height.next_multiple_of(Resampler::BLOCK), &mut piece.samples);
        piece.samples.truncate(piece.width * piece.height);
    }

    /// Computes the weights of `piece` under a feather of this strength.
    fn compute_weights(&mut self, piece: &mut PlanePatch, strength: f32) {
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

/// Numbers that are converted at a time: divides the plane of every shape.
const BLOCK: usize = 64;

with_avx2! {
    /// Turns a face (`[3, hr, hr]` RGB in -1..=1) into components of a frame.
    fn convert(face: &[f32], color: Color, components: &mut [Vec<f32>]) {
        let plane = face.len() / 3;
        for component in &mut *components {
            component.resize(plane, 0.0);
        }
        for start in (0..plane).step_by(BLOCK) {
            let mut rgb = [[0.0; BLOCK]; 3];
            for (c, row) in rgb.iter_mut().enumerate() {
                let face = &face[c * plane + start..][..BLOCK];
                for (v, face) in row.iter_mut().zip(face) {
                    *v = (face.clamp(-1.0, 1.0) + 1.0) * 127.5;
                }
            }
            for (i, component) in components.iter_mut().enumerate() {
                color.row(i, &rgb, &mut component[start..][..BLOCK]);
            }
        }
    }
}

with_avx2! {
    /// The base of a face in components of a frame: the correction of its colors (three times `[lr, lr]`) as far
    /// as the face is shown, and a share of the crop (`[3, lr, lr]` RGB in -1..=1): `shares` of the one and of the
    /// other.
    fn convert_base(
        crop: &[f32],
        correction: &[Vec<f32>; 3],
        color: Color,
        shares: (f32, f32),
        components: &mut [Vec<f32>],
    ) {
        let plane = crop.len() / 3;
        for component in &mut *components {
            component.resize(plane, 0.0);
        }
        for start in (0..plane).step_by(BLOCK) {
            let mut rgb = [[0.0; BLOCK]; 3];
            for (c, row) in rgb.iter_mut().enumerate() {
                let crop = &crop[c * plane + start..][..BLOCK];
                let correction = &correction[c][start..][..BLOCK];
                for ((v, crop), correction) in row.iter_mut().zip(crop).zip(correction) {
                    *v = 127.5 * (shares.0 * correction + shares.1 * (crop + 1.0));
                }
            }
            for (i, component) in components.iter_mut().enumerate() {
                let out = &mut component[start..][..BLOCK];
                color.row(i, &rgb, out);
                // Black comes once for each share of a picture, and a correction is none.
                let black = (shares.1 - 1.0) * color.black(i);
                out.iter_mut().for_each(|v| *v += black);
            }
        }
    }
}
