//! Finds a face again in the next frame by its pixels.
//!
//! A detector's boxes jitter by a few hundredths of the face, and come only every few frames. How a
//! face has moved since shows in the pixels themselves: its luma, 16 by 16 samples, is laid over
//! the next frame where it fits best, to a small part of a pixel (Lucas and Kanade, "An iterative
//! image registration technique", 1981, with the gradients of the face that is looked for, after
//! Baker and Matthews, "Lucas-Kanade 20 years on", 2004). Brightness may change meanwhile.

use crate::frame::{ColorModel, Frame};
use crate::geometry::{CropSquare, Point};
use crate::imgproc::feather;
use crate::imgproc::resample::{Coefficients, transpose};

/// Samples across and down a face.
const SIDE: usize = 16;
/// Samples around it in which it is looked for.
const MARGIN: usize = 6;
/// Samples across and down the part of a frame in which it is looked for.
const FIELD: usize = SIDE + 2 * MARGIN;
/// Number of samples of a face.
const AREA: usize = SIDE * SIDE;

/// Least standard deviation of the samples, codes: on less there is nothing to hold on to.
const MIN_CONTRAST: f32 = 2.0;
/// Least correlation between a face and what is taken for it.
pub(super) const MIN_NCC: f32 = 0.7;
/// Most that the contrast may differ from a face's, as a factor: a wall is not taken for it.
const MAX_CONTRAST_CHANGE: f32 = 2.5;
/// Rounds of refinement, at most.
const ROUNDS: usize = 8;
/// A step smaller than this, in samples, ends the refinement.
const CONVERGED: f32 = 0.02;
/// Samples across and down a face where it is looked for farther off, ...
const HALF: usize = SIDE / 2;
/// ... at most so many beyond its square: three of its sizes ...
const MAX_MARGIN: usize = 3 * HALF;
/// ... and the least correlation there: what is found is looked at more closely then.
const MIN_FAR_CORRELATION: f32 = 0.55;
/// Least correlation of what was found farther off: among many places one may look alike.
const FAR_CORRELATION: f32 = 0.8;
/// Largest growth from frame to frame that is believed.
const MAX_GROWTH: f32 = 0.03;

/// What a face looks like.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Luma, its weighted mean taken off.
    pixels: [f32; AREA],
    /// Change of the pixels per sample of motion to the right, down, and per unit of growth, each
    /// times its weight.
    slopes: [[f32; AREA]; 3],
    /// Inverse of the matrix of the slopes' products.
    inverse: [[f32; 3]; 3],
    /// Weighted root mean square of the pixels.
    contrast: f32,
}

/// How a face has moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Motion {
    /// Luma pixels.
    pub(crate) translation: Point,
    /// Factor of its size.
    pub(crate) growth: f32,
}

/// Takes templates and finds them again; keeps its scratch space from face to face.
#[derive(Debug, Clone)]
pub(crate) struct TemplateTracker {
    /// Weight of each sample; they sum to 1.
    weights: [f32; AREA],
    columns: Coefficients,
    rows: Coefficients,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Default for TemplateTracker {
    fn default() -> Self {
        let mut weights = [0.0; AREA];
        let at = |i: usize| (i as f32 + 0.5) / SIDE as f32 * 2.0 - 1.0;
        for (i, w) in weights.iter_mut().enumerate() {
            *w = feather::weight(at(i % SIDE), at(i / SIDE));
        }
        let sum: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        let (columns, rows) = (Coefficients::default(), Coefficients::default());
        Self { weights, columns, rows, a: Vec::new(), b: Vec::new() }
    }
}

impl TemplateTracker {
    /// What the face in `square` looks like; `None` if there is too little to see.
    pub(crate) fn extract(&mut self, frame: &Frame<'_>, square: &CropSquare) -> Option<Template> {
        self.sample(frame, square, SIDE, MARGIN)?;
        let field = |x: usize, y: usize| self.a[(y + MARGIN) * FIELD + x + MARGIN];
        let mut template = Template {
            pixels: [0.0; AREA],
            slopes: [[0.0; AREA]; 3],
            inverse: [[0.0; 3]; 3],
            contrast: 0.0,
        };
        for i in 0..AREA {
            let (x, y) = (i % SIDE, i / SIDE);
            template.pixels[i] = field(x, y);
            let right = (field(x + 1, y) - self.a[(y + MARGIN) * FIELD + x + MARGIN - 1]) / 2.0;
            let down = (field(x, y + 1) - self.a[(y + MARGIN - 1) * FIELD + x + MARGIN]) / 2.0;
            let from_middle = |k: usize| k as f32 + 0.5 - SIDE as f32 / 2.0;
            let growth = right * from_middle(x) + down * from_middle(y);
            for (slope, v) in template.slopes.iter_mut().zip([right, down, growth]) {
                slope[i] = v;
            }
        }
        let mean = dot(&template.pixels, &self.weights);
        template.pixels.iter_mut().for_each(|v| *v -= mean);
        let square: f32 = template.pixels.iter().zip(&self.weights).map(|(v, w)| v * v * w).sum();
        template.contrast = square.sqrt();
        if template.contrast < MIN_CONTRAST {
            return None;
        }
        let mut products = [[0.0; 3]; 3];
        // A slope's mean is a change of brightness, which counts for nothing.
        for slope in &mut template.slopes {
            let mean = dot(slope, &self.weights);
            slope.iter_mut().for_each(|v| *v -= mean);
        }
        for (row, a) in products.iter_mut().zip(&template.slopes) {
            for (out, b) in row.iter_mut().zip(&template.slopes) {
                *out = a.iter().zip(b).zip(&self.weights).map(|((a, b), w)| a * b * w).sum();
            }
        }
        for slope in &mut template.slopes {
            slope.iter_mut().zip(&self.weights).for_each(|(v, w)| *v *= w);
        }
        template.inverse = inverse(&products)?;
        Some(template)
    }

    /// How the face of a template has moved from `square`, where it is expected, if it is found
    /// again within `reach` face sizes, with a correlation of at least `min_correlation`.
    pub(crate) fn find(
        &mut self,
        frame: &Frame<'_>,
        template: &Template,
        square: &CropSquare,
        reach: f32,
        min_correlation: f32,
    ) -> Option<Motion> {
        if let Some(motion) = self.find_near(frame, template, square, min_correlation) {
            return Some(motion);
        }
        if reach * SIDE as f32 <= MARGIN as f32 - 1.0 {
            return None;
        }
        let translation = self.find_far(frame, template, square, reach)?;
        let there =
            CropSquare { x: square.x + translation.x, y: square.y + translation.y, ..*square };
        let motion =
            self.find_near(frame, template, &there, FAR_CORRELATION.max(min_correlation))?;
        let translation = Point {
            x: translation.x + motion.translation.x,
            y: translation.y + motion.translation.y,
        };
        Some(Motion { translation, growth: motion.growth })
    }

    /// The same, within a third of the face's size.
    fn find_near(
        &mut self,
        frame: &Frame<'_>,
        template: &Template,
        square: &CropSquare,
        min_correlation: f32,
    ) -> Option<Motion> {
        self.sample(frame, square, SIDE, MARGIN)?;
        let refined = self.refine(template, [0.0; 2], min_correlation);
        let (at, growth) = match refined {
            Some(found) => found,
            None => self.refine(template, self.grid_search(template)?, min_correlation)?,
        };
        let pixels = square.side / SIDE as f32;
        Some(Motion {
            translation: Point { x: at[0] * pixels, y: at[1] * pixels },
            growth: 1.0 + growth.clamp(-MAX_GROWTH, MAX_GROWTH),
        })
    }

    /// The place where a face fits best within `reach` face sizes, at half the resolution: to about
    /// an eighth of its size.
    fn find_far(
        &mut self,
        frame: &Frame<'_>,
        template: &Template,
        square: &CropSquare,
        reach: f32,
    ) -> Option<Point> {
        let margin = ((reach * HALF as f32).ceil() as usize).clamp(1, MAX_MARGIN);
        self.sample(frame, square, HALF, margin)?;
        let field = HALF + 2 * margin;
        let mut half = [0.0; HALF * HALF];
        for (i, out) in half.iter_mut().enumerate() {
            let at = (i / HALF) * 2 * SIDE + (i % HALF) * 2;
            let four = [at, at + 1, at + SIDE, at + SIDE + 1];
            *out = four.iter().map(|&k| template.pixels[k]).sum::<f32>() / 4.0;
        }
        let mean = half.iter().sum::<f32>() / half.len() as f32;
        half.iter_mut().for_each(|v| *v -= mean);
        let contrast = half.iter().map(|v| v * v).sum::<f32>().sqrt();
        let (mut best, mut place) = (MIN_FAR_CORRELATION, None);
        for y in 0..=2 * margin {
            for x in 0..=2 * margin {
                let (mut sum, mut square, mut both) = (0.0, 0.0, 0.0);
                for (row, pixels) in half.chunks_exact(HALF).enumerate() {
                    let seen = &self.a[(y + row) * field + x..][..HALF];
                    for (v, p) in seen.iter().zip(pixels) {
                        sum += v;
                        square += v * v;
                        both += v * p;
                    }
                }
                let variance: f32 = square - sum * sum / half.len() as f32;
                let correlation = both / (variance.max(0.0).sqrt() * contrast).max(1e-6);
                if correlation > best {
                    (best, place) = (correlation, Some((x, y)));
                }
            }
        }
        let pixels = square.side / HALF as f32;
        let by = |v: usize| (v as f32 - margin as f32) * pixels;
        place.map(|(x, y)| Point { x: by(x), y: by(y) })
    }

    /// How much what is in `square` looks like a face, as a correlation of at most 1; `None` if
    /// there is nothing to compare.
    pub(crate) fn correlation(
        &mut self,
        frame: &Frame<'_>,
        template: &Template,
        square: &CropSquare,
    ) -> Option<f32> {
        self.sample(frame, square, SIDE, MARGIN)?;
        let mut seen = [0.0; AREA];
        let mut best = -1f32;
        // A detection is not exact.
        for (x, y) in [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)] {
            self.sample_bilinear([x as f32, y as f32], &mut seen)?;
            best = best.max(self.ncc(template, &seen));
        }
        Some(best)
    }

    /// Samples `square` with `samples` across, and `margin` more on each side, into `self.a`.
    fn sample(
        &mut self,
        frame: &Frame<'_>,
        square: &CropSquare,
        samples: usize,
        margin: usize,
    ) -> Option<()> {
        // Green carries most of the luma.
        let c = frame.component(usize::from(frame.info().format.model() == ColorModel::Rgb));
        let step = square.side / samples as f32;
        let numbers = [square.x, square.y, step];
        if numbers.iter().any(|v| !v.is_finite()) || step <= 0.0 {
            return None;
        }
        let around = margin as f32 * step;
        let (x, y, side) = (square.x - around, square.y - around, square.side + 2.0 * around);
        // A face of which nothing is in the picture.
        let outside = |start: f32, limit: usize| start + side <= 0.0 || start >= limit as f32;
        if outside(x, c.width) || outside(y, c.height) {
            return None;
        }
        let field = samples + 2 * margin;
        self.columns.set(field, c.width, x, step);
        self.rows.set(field, c.height, y, step);
        let ((x0, x1), (y0, y1)) = (self.columns.input_range(), self.rows.input_range());
        let (width, height) = (x1 - x0, y1 - y0);
        c.samples(y0..y1, x0..x1, &mut self.b);
        self.rows.apply(&self.b, y0, width, &mut self.a);
        transpose(&self.a, width, &mut self.b);
        self.columns.apply(&self.b, x0, field, &mut self.a);
        transpose(&self.a, field, &mut self.b);
        std::mem::swap(&mut self.a, &mut self.b);
        debug_assert!(self.a.len() == field * field && height > 0);
        Some(())
    }

    /// Refines a place (samples from the middle of the field) until it fits; `None` if it leaves
    /// the field or what is there is not alike.
    fn refine(
        &self,
        template: &Template,
        mut at: [f32; 2],
        min_correlation: f32,
    ) -> Option<([f32; 2], f32)> {
        let mut seen = [0.0; AREA];
        let mut step = [0.0; 3];
        for _ in 0..ROUNDS {
            self.sample_bilinear(at, &mut seen)?;
            for (v, p) in seen.iter_mut().zip(&template.pixels) {
                *v -= p;
            }
            // The slopes have no weighted mean, so a change of brightness falls out.
            let fit = template.slopes.each_ref().map(|slope| dot(slope, &seen));
            for (out, row) in step.iter_mut().zip(&template.inverse) {
                *out = -(row[0] * fit[0] + row[1] * fit[1] + row[2] * fit[2]);
            }
            let length = step[0].hypot(step[1]);
            // The first guess may be far off, where the slopes say little.
            let shorter = (1.5 / length.max(1e-6)).min(1.0);
            at[0] += step[0] * shorter;
            at[1] += step[1] * shorter;
            if length < CONVERGED {
                break;
            }
        }
        self.sample_bilinear(at, &mut seen)?;
        (self.ncc(template, &seen) >= min_correlation).then_some((at, step[2]))
    }

    /// The place where a face fits best, of all whole samples in the field.
    fn grid_search(&self, template: &Template) -> Option<[f32; 2]> {
        let mut best = (0.0, [0.0; 2]);
        let mut seen = [0.0; AREA];
        for y in 1..2 * MARGIN {
            for x in 1..2 * MARGIN {
                for (out, row) in seen.chunks_exact_mut(SIDE).zip(y..) {
                    out.copy_from_slice(&self.a[row * FIELD + x..][..SIDE]);
                }
                let ncc = self.ncc(template, &seen);
                if ncc > best.0 {
                    best = (ncc, [x as f32 - MARGIN as f32, y as f32 - MARGIN as f32]);
                }
            }
        }
        (best.0 >= MIN_NCC / 2.0).then_some(best.1)
    }

    /// Reads the samples at a place, between which it interpolates.
    fn sample_bilinear(&self, at: [f32; 2], out: &mut [f32; AREA]) -> Option<()> {
        let limit = MARGIN as f32 - 1.0;
        // Not a number is beyond the limit too.
        if !(at[0].abs() <= limit && at[1].abs() <= limit) {
            return None;
        }
        let start = at.map(|v| (v + MARGIN as f32).floor());
        let (x, y) = (start[0] as usize, start[1] as usize);
        let (u, v) = (at[0] + MARGIN as f32 - start[0], at[1] + MARGIN as f32 - start[1]);
        let weights = [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v];
        for (out, row) in out.chunks_exact_mut(SIDE).zip(y..) {
            let above = &self.a[row * FIELD + x..][..SIDE + 1];
            let below = &self.a[(row + 1) * FIELD + x..][..SIDE + 1];
            for (k, out) in out.iter_mut().enumerate() {
                *out = weights[0] * above[k]
                    + weights[1] * above[k + 1]
                    + weights[2] * below[k]
                    + weights[3] * below[k + 1];
            }
        }
        Some(())
    }

    /// Correlation of what is seen with a template, at most 1.
    fn ncc(&self, template: &Template, seen: &[f32; AREA]) -> f32 {
        let (mut mean, mut square, mut both) = (0.0, 0.0, 0.0);
        for ((v, p), w) in seen.iter().zip(&template.pixels).zip(&self.weights) {
            mean += w * v;
            square += w * v * v;
            both += w * v * p;
        }
        let deviation = (square - mean * mean).max(0.0).sqrt();
        let change = deviation / template.contrast;
        if !(1.0 / MAX_CONTRAST_CHANGE..=MAX_CONTRAST_CHANGE).contains(&change) {
            return 0.0;
        }
        both / (deviation * template.contrast).max(1e-6)
    }
}

fn dot(a: &[f32; AREA], b: &[f32; AREA]) -> f32 {
    // Sixteen sums side by side become vector code, one does not.
    let mut sums = [0.0; SIDE];
    for (a, b) in a.chunks_exact(SIDE).zip(b.chunks_exact(SIDE)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// Inverse of a symmetric matrix; `None` if it has none to speak of.
fn inverse(m: &[[f32; 3]; 3]) -> Option<[[f32; 3]; 3]> {
    let m = m.map(|row| row.map(f64::from));
    let minor = |r: usize, c: usize| {
        let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
    let scale = m[0][0] * m[1][1] * m[2][2];
    // Edges of one direction only: motion along them cannot be seen.
    if determinant <= 1e-3 * scale || !determinant.is_normal() {
        return None;
    }
    Some(std::array::from_fn(|r| std::array::from_fn(|c| (minor(c, r) / determinant) as f32)))
}

#[cfg(test)]
mod tests;
