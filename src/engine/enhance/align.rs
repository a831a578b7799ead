//! Aligns a face's square to where the face was in the crops before: boxes jitter, and what is kept
//! of a face must lie on it.
//!
//! The new crop is moved and scaled until it fits the mean of the last ones (Baker and Matthews,
//! "Lucas-Kanade 20 years on", 2004, the inverse compositional algorithm), on a grid of 16x16. Boxes
//! jitter by a known amount, so that large moves are believed only if the pixels say so clearly.

use super::reuse::luma;
use crate::geometry::CropSquare;
use crate::imgproc::blur::blur;
use crate::imgproc::feather;
use crate::imgproc::resample::{Coefficients, transpose};
use crate::shape::Shape;

const SIDE: usize = Shape::COMMON;
const PLANE: usize = SIDE * SIDE;

/// How far boxes usually are from where the face is, shares of the square (standard deviation).
const JITTER: f32 = 0.03;
/// A move, or a change of size, by more than this share of the square is none: it is another place.
const MAX_MOVE: f32 = 0.2;
/// Steps, and the last move, in pixels of the grid, that is worth another.
const STEPS: usize = 3;
const SMALL_STEP: f32 = 0.02;
/// Noise that is always there, root mean square of values of -1..=1: 1.5 levels of 255.
pub(super) const LEAST_NOISE: f32 = 0.012;

/// How a square is moved, in shares of its side, and scaled, as a power of e.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Alignment {
    x: f32,
    y: f32,
    log_scale: f32,
}

impl Alignment {
    /// Whether the two are of one place.
    fn is_small(self) -> bool {
        [self.x, self.y, self.log_scale].iter().all(|moved| moved.abs() < MAX_MOVE)
    }

    /// A share of it.
    pub(super) fn scaled(self, share: f32) -> Self {
        let Self { x, y, log_scale } = self;
        Self { x: share * x, y: share * y, log_scale: share * log_scale }
    }

    /// `square`, moved and scaled.
    pub(super) fn apply(self, square: &CropSquare) -> CropSquare {
        let side = square.side * self.log_scale.exp();
        let start = |start: f32, moved: f32| start + (0.5 + moved) * square.side - side / 2.0;
        CropSquare { x: start(square.x, self.x), y: start(square.y, self.y), side }
    }
}

/// How the mean changes with a move across, down, and with the scale, in shares of the side.
#[derive(Debug, Default)]
struct Slopes {
    /// Of each pixel, weighed; 0 at the edge.
    weighed: [Vec<f32>; 3],
    /// Upper half of the normal matrix.
    matrix: [[f32; 3]; 3],
}

/// Aligns crops; keeps its scratch space from face to face.
#[derive(Debug, Default)]
pub(super) struct Aligner {
    rows: Coefficients,
    columns: Coefficients,
    weights: Vec<f32>,
    mean: Vec<f32>,
    crop: Vec<f32>,
    moved: Vec<f32>,
    slopes: Slopes,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Aligner {
    /// How the square of `crop` is to be moved so that its crop fits `mean`, both
    /// `[3, lr, lr]` RGB in -1..=1; `None` if they do not seem to be of the same place.
    pub(super) fn align(&mut self, mean: &[f32], crop: &[f32], shape: Shape) -> Option<Alignment> {
        if self.weights.is_empty() {
            self.weights = feather::grid(SIDE);
        }
        luma(mean, shape, SIDE, &mut self.mean);
        luma(crop, shape, SIDE, &mut self.crop);
        blur(&mut self.mean, &mut self.a, SIDE);
        blur(&mut self.crop, &mut self.a, SIDE);
        self.set_slopes();
        let mut alignment = Alignment::default();
        self.moved.clone_from(&self.crop);
        for step in 0..STEPS {
            if step > 0 {
                self.resample(alignment);
            }
            let step = self.step(alignment);
            let scale = step.log_scale.exp();
            let own = alignment.log_scale.exp();
            alignment.x -= own * step.x / scale;
            alignment.y -= own * step.y / scale;
            alignment.log_scale -= step.log_scale;
            if !alignment.is_small() {
                return None;
            }
            if SIDE as f32 * step.x.abs().max(step.y.abs()) < SMALL_STEP {
                break;
            }
        }
        Some(alignment)
    }

    /// Sets the slopes of the mean.
    fn set_slopes(&mut self) {
        let middle = (SIDE as f32 - 1.0) / 2.0;
        let Slopes { weighed, matrix } = &mut self.slopes;
        *matrix = Default::default();
        weighed.iter_mut().for_each(|slopes| {
            slopes.clear();
            slopes.resize(PLANE, 0.0);
        });
        for y in 1..SIDE - 1 {
            for x in 1..SIDE - 1 {
                let i = y * SIDE + x;
                let dx = 0.5 * (self.mean[i + 1] - self.mean[i - 1]);
                let dy = 0.5 * (self.mean[i + SIDE] - self.mean[i - SIDE]);
                let scale = dx * (x as f32 - middle) + dy * (y as f32 - middle);
                let slopes = [dx * SIDE as f32, dy * SIDE as f32, scale];
                for k in 0..3 {
                    weighed[k][i] = self.weights[i] * slopes[k];
                    for (sum, other) in matrix[k][k..].iter_mut().zip(&slopes[k..]) {
                        *sum += weighed[k][i] * other;
                    }
                }
            }
        }
    }

    /// Moves the crop as `alignment` says, into `moved`.
    fn resample(&mut self, alignment: Alignment) {
        let scale = alignment.log_scale.exp();
        let origin = |moved: f32| SIDE as f32 * ((1.0 - scale) / 2.0 + moved);
        self.rows.set(SIDE, SIDE, origin(alignment.y), scale);
        self.columns.set(SIDE, SIDE, origin(alignment.x), scale);
        self.rows.apply(&self.crop, 0, SIDE, &mut self.a);
        transpose(&self.a, SIDE, &mut self.b);
        self.columns.apply(&self.b, 0, SIDE, &mut self.a);
        transpose(&self.a, SIDE, &mut self.moved);
    }

    /// The move of the mean that makes it fit the moved crop.
    fn step(&mut self, alignment: Alignment) -> Alignment {
        let total: f32 = self.weights.iter().sum();
        self.a.clear();
        self.a.extend(self.moved.iter().zip(&self.mean).map(|(crop, mean)| crop - mean));
        let weighed = || self.a.iter().zip(&self.weights);
        // A change of brightness is no move.
        let offset = weighed().map(|(rest, weight)| weight * rest).sum::<f32>() / total;
        let squares: f32 = weighed().map(|(rest, weight)| weight * rest * rest).sum();
        let variance = squares / total - offset * offset + LEAST_NOISE * LEAST_NOISE;
        let mut matrix = self.slopes.matrix;
        let mut right = [0, 1, 2].map(|k: usize| -> f32 {
            self.a
                .iter()
                .zip(&self.slopes.weighed[k])
                .map(|(rest, slope)| slope * (rest - offset))
                .sum()
        });
        let usual = variance.max(0.0) / (JITTER * JITTER);
        let so_far = [alignment.x, alignment.y, alignment.log_scale];
        for (k, moved) in so_far.into_iter().enumerate() {
            matrix[k][k] += usual;
            right[k] += usual * moved;
        }
        let [x, y, log_scale] = solve(matrix, right);
        Alignment { x, y, log_scale }
    }
}

/// Solves three equations with a symmetric, positive definite matrix, of which the upper half is
/// given (Cholesky).
fn solve(matrix: [[f32; 3]; 3], right: [f32; 3]) -> [f32; 3] {
    let a = matrix[0][0].sqrt();
    let (b, c) = (matrix[0][1] / a, matrix[0][2] / a);
    let d = (matrix[1][1] - b * b).max(1e-12).sqrt();
    let e = (matrix[1][2] - b * c) / d;
    let f = (matrix[2][2] - c * c - e * e).max(1e-12).sqrt();
    let y0 = right[0] / a;
    let y1 = (right[1] - b * y0) / d;
    let y2 = (right[2] - c * y0 - e * y1) / f;
    let x2 = y2 / f;
    let x1 = (y1 - e * x2) / d;
    [(y0 - b * x1 - c * x2) / a, x1, x2]
}

/// Crops to try it with.
#[cfg(test)]
pub(super) mod testing {
    use crate::imgproc::feather;
    use crate::shape::Shape;

    pub(crate) const SHAPES: [Shape; 2] = [Shape::SMALL, Shape::LARGE];

    /// A smooth pattern in a square that is moved by shares `x`, `y` of its side, and scaled.
    pub(crate) fn pattern(shape: Shape, x: f32, y: f32, scale: f32) -> Vec<f32> {
        let side = shape.lr();
        let at = |i: usize, moved: f32| ((i as f32 + 0.5) / side as f32 - 0.5) * scale + moved;
        let value = |i: usize| {
            let (u, v) = (at(i % side, x), at(i / side % side, y));
            0.4 * (9.0 * u + 2.0 * v).sin() + 0.3 * (11.0 * v - 3.0 * u).cos()
        };
        (0..shape.lr_len()).map(value).collect()
    }

    /// The crop with the noise, of this standard deviation, of one frame.
    pub(crate) fn noisy(crop: &[f32], frame: u32, sigma: f32) -> Vec<f32> {
        let mut state = 0x9e37_79b9u32.wrapping_mul(frame + 1);
        let mut even = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 - 0.5
        };
        crop.iter().map(|value| value + sigma * 12f32.sqrt() * even()).collect()
    }

    /// Root mean square difference under the feather.
    pub(crate) fn error(a: &[f32], b: &[f32], shape: Shape) -> f32 {
        let weights = feather::grid(shape.lr());
        let (mut sum, mut total) = (0.0, 0.0);
        for ((a, b), weight) in a.iter().zip(b).zip(weights.iter().cycle()) {
            sum += weight * (a - b).powi(2);
            total += weight;
        }
        (sum / total).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{SHAPES, error, noisy, pattern};
    use super::*;

    #[test]
    fn jitter_of_a_square_is_found() {
        for shape in SHAPES {
            let mean = pattern(shape, 0.0, 0.0, 1.0);
            for (x, y, scale) in [(0.03, -0.02, 1.0), (-0.05, 0.04, 1.05), (0.0, 0.0, 0.93)] {
                // The square lies there by mistake: it is to be moved back.
                let crop = noisy(&pattern(shape, x, y, scale), 1, 0.03);
                let found = Aligner::default().align(&mean, &crop, shape).unwrap();
                let square = CropSquare {
                    x: 100.0 * x - 50.0 * scale,
                    y: 100.0 * y - 50.0 * scale,
                    side: 100.0 * scale,
                };
                let moved = found.apply(&square);
                let off = [moved.x + 50.0, moved.y + 50.0, moved.side - 100.0];
                assert!(off.iter().all(|off| off.abs() < 1.5), "{shape} {x} {y} {scale}: {off:?}");
            }
        }
    }

    #[test]
    fn noise_alone_moves_little() {
        for shape in SHAPES {
            let mean = pattern(shape, 0.0, 0.0, 1.0);
            for frame in 0..20 {
                let crop = noisy(&mean, frame, 0.15);
                let found = Aligner::default().align(&mean, &crop, shape).unwrap();
                let moved = [found.x, found.y, found.log_scale];
                assert!(moved.iter().all(|moved| moved.abs() < 0.02), "{shape} {found:?}");
            }
        }
    }

    #[test]
    fn flat_crops_are_not_moved() {
        let shape = Shape::SMALL;
        let flat = |value: f32| vec![value; shape.lr_len()];
        let found = Aligner::default().align(&flat(-0.5), &flat(0.7), shape);
        assert_eq!(found, Some(Alignment::default()));
    }

    #[test]
    fn other_place_is_not_aligned_or_hardly_moved() {
        let shape = Shape::SMALL;
        let (mean, other) = (pattern(shape, 0.0, 0.0, 1.0), pattern(shape, 3.0, 1.0, 0.5));
        let fits = Aligner::default().align(&mean, &other, shape);
        let bound = MAX_MOVE;
        assert!(fits.is_none_or(|a| a.x.abs() < bound && a.y.abs() < bound), "{fits:?}");
        assert!(error(&mean, &other, shape) > 0.3, "it is no other place");
    }

    #[test]
    fn three_equations_are_solved() {
        let matrix = [[4.0, 1.0, 0.5], [0.0, 3.0, -0.2], [0.0, 0.0, 2.0]];
        let x = solve(matrix, [4.0 + 2.0 + 1.5, 1.0 + 6.0 - 0.6, 0.5 - 0.4 + 6.0]);
        for (x, wanted) in x.into_iter().zip([1.0, 2.0, 3.0]) {
            assert!((x - wanted).abs() < 1e-5, "{x} {wanted}");
        }
    }
}
