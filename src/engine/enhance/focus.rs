//! Whether there is anything in a face to go on.
//!
//! Of a face out of focus a generator makes a frontal pair of eyes where none can be seen. Such a face
//! is known by its spectrum: the finest differences of 16 pixels across the face, against those of 8.
//! A camera that draws sharply shows as much of the one as of the other; blur takes the finer first.

use std::sync::LazyLock;
use std::time::Duration;

use super::fade::smoothstep;
use super::reuse::Signature;
use crate::shape::Shape;

const SIDE: usize = Shape::COMMON;

/// Root mean square differences of 16 pixels over those of 8 at which nothing, and all, is shown of
/// what was generated. Measured on held-back faces that went through encoders, of 20 to 28 camera
/// pixels: 0.52 and more in 95 of 100, of 40 to 100 pixels 0.65; the same faces blurred by a
/// twelfth of their width (standard deviation): 0.39 in the middle, 0.46 and less in 95 of 100.
const RATIO: (f32, f32) = (0.42, 0.52);
/// Smaller squares, in camera pixels, hold no such differences even if they are sharp: the measure
/// counts fully from the second on.
const SMALLEST: (f32, f32) = (15.0, 18.0);
/// What it was in the past fades with this time: a face must not come and go with its noise.
const MEMORY: f32 = 0.4;
/// Differences below this are noise.
const NOISE: f32 = 1e-3;

/// Weights of a grid of `SIDE` pixels: an ellipse with a soft edge, which leaves out the background.
static ELLIPSE: LazyLock<[f32; SIDE * SIDE]> = LazyLock::new(|| {
    let at = |i: usize| (i as f32 + 0.5) / SIDE as f32 * 2.0 - 1.0;
    std::array::from_fn(|i| {
        let distance = (at(i % SIDE) / 0.95).hypot(at(i / SIDE));
        ((1.05 - distance) / 0.25).clamp(0.0, 1.0)
    })
});

/// Half of the sides, by averages of two by two.
fn halve(values: &[f32], side: usize) -> Vec<f32> {
    let half = side / 2;
    let at = |x: usize, y: usize| values[y * side + x];
    let average = |i: usize| {
        let (x, y) = (2 * (i % half), 2 * (i / half));
        (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0
    };
    (0..half * half).map(average).collect()
}

/// What `values` have and `halves`, enlarged linearly, have not: root mean square under `weights`.
fn difference(values: &[f32], halves: &[f32], weights: &[f32], side: usize) -> f32 {
    let half = side / 2;
    // Two neighbors and their shares, a quarter of a pixel off the nearer.
    let nearest = |i: usize| {
        let near = i / 2;
        let far =
            if i.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(half - 1) };
        (near, far)
    };
    let mut sum = 0.0;
    for (i, (value, weight)) in values.iter().zip(weights).enumerate() {
        let ((x, x2), (y, y2)) = (nearest(i % side), nearest(i / side));
        let row = |y: usize| 0.75 * halves[y * half + x] + 0.25 * halves[y * half + x2];
        let rest = value - (0.75 * row(y) + 0.25 * row(y2));
        sum += weight * rest * rest;
    }
    (sum / weights.iter().sum::<f32>()).sqrt()
}

/// How far the face of `signature`, whose square has `side` camera pixels, is in focus, 0..=1.
pub(super) fn focus(signature: &Signature, side: f32) -> f32 {
    let fine = signature.luma();
    let (middle, weights) = (halve(&fine, SIDE), halve(&*ELLIPSE, SIDE));
    let coarse = halve(&middle, SIDE / 2);
    let ratio = difference(&fine, &middle, &*ELLIPSE, SIDE)
        / (difference(&middle, &coarse, &weights, SIDE / 2) + NOISE);
    let counts = smoothstep(side, SMALLEST.0, SMALLEST.1);
    1.0 + counts * (smoothstep(ratio, RATIO.0, RATIO.1) - 1.0)
}

/// The focus of a face over time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SteadyFocus(Option<(f32, Duration)>);

impl SteadyFocus {
    /// Takes in what it is `at` this time, and returns what it counts as.
    pub(super) fn follow(&mut self, focus: f32, at: Duration) -> f32 {
        let steady = match self.0 {
            None => focus,
            Some((past, when)) => {
                let age = at.saturating_sub(when).as_secs_f32();
                focus + (past - focus) * (-age / MEMORY).exp()
            }
        };
        self.0 = Some((steady, at));
        steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test face on 32x32 pixels, out of focus by a blur of this standard deviation in its own
    /// 128 pixels.
    fn face(blur: f32) -> Signature {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/face.png");
        let face = image::open(path).unwrap().to_rgb8();
        let mut face =
            image::imageops::resize(&face, 128, 128, image::imageops::FilterType::CatmullRom);
        if blur > 0.0 {
            face = image::imageops::blur(&face, blur);
        }
        let face = image::imageops::resize(&face, 32, 32, image::imageops::FilterType::Triangle);
        let lr: Vec<f32> = (0..3)
            .flat_map(|c| face.pixels().map(move |p| f32::from(p[c]) / 127.5 - 1.0))
            .collect();
        Signature::new(&lr, Shape::LARGE)
    }

    #[test]
    fn focus_is_lost_with_blur() {
        let [sharp, soft, gone] = [0.0, 3.0, 12.0].map(|blur| focus(&face(blur), 60.0));
        assert_eq!(sharp, 1.0);
        assert!(soft > 0.5, "{soft}");
        assert_eq!(gone, 0.0);
    }

    #[test]
    fn focus_of_small_faces_is_not_judged() {
        assert_eq!(focus(&face(12.0), 14.0), 1.0);
        assert!((0.2..0.8).contains(&focus(&face(12.0), 16.5)));
    }

    #[test]
    fn focus_follows_in_time_whatever_the_rate() {
        for frames in [2u32, 25] {
            let mut focus = SteadyFocus::default();
            assert_eq!(focus.follow(1.0, Duration::ZERO), 1.0);
            let mut last = 1.0;
            for n in 1..=frames {
                last = focus.follow(0.0, Duration::from_secs(1) * n / frames);
            }
            assert!((last - (-1.0f32 / MEMORY).exp()).abs() < 1e-3, "{last}");
        }
    }
}
