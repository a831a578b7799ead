//! Whether there is anything in a face to go on, and how much of its finest detail is noise.
//!
//! Of a face out of focus a generator makes a frontal pair of eyes where none can be seen. Such a face
//! is known by its spectrum: the finest differences of 16 pixels across the face, against those of 8.
//! A camera that draws sharply shows as much of the one as of the other; blur takes the finer first.
//! Noise, block edges and a camera's own sharpening do the opposite: of them there is most where the
//! differences are finest.

use std::sync::LazyLock;
use std::time::Duration;

use super::reuse::luma;
use crate::shape::Shape;
use crate::util::smoothstep::smoothstep;

const SIDE: usize = Shape::COMMON;

/// Root mean square differences of 16 pixels over those of 8 at which nothing, and all, is shown of
/// what was generated. Measured on held-back faces that went through encoders, of 20 to 28 camera
/// pixels: 0.52 and more in 95 of 100, of 40 to 100 pixels 0.65; the same faces blurred by a
/// twelfth of their width (standard deviation): 0.39 in the middle, 0.46 and less in 95 of 100.
const RATIO: (f32, f32) = (0.42, 0.52);
/// Smaller squares, in camera pixels, hold no such differences even if they are sharp: the measure
/// counts fully from the second on.
const SMALLEST: (f32, f32) = (15.0, 18.0);
/// The finest differences of the crop over those of half as many pixels from which on they are taken for
/// noise: this much, and so much more for each time that the crop goes into the face. (A large face that is
/// shrunk to the crop is drawn sharply to the last pixel, which a small one is not: still faces of 128 pixels
/// have 0.60 to 0.85.) Measured on films made for it (held-back training faces of 34, 46 and 60 pixels, x264):
/// below that line the best share, by least squares, of what the crop cannot hold is 0.5 to 2, by 0.1 above it
/// 0.05 to 0.6.
const NOISY: (f32, f32) = (0.42, 0.17);
/// At so much more only [`LEAST_TRUE`] of it counts as true.
const NOISIEST: f32 = 0.15;
const LEAST_TRUE: f32 = 0.3;
/// What was measured in the past fades with this time: a face must not come and go with its noise.
const MEMORY: f32 = 0.4;
/// Differences below this are noise.
const NOISE: f32 = 1e-3;

/// Weights of grids of 32 pixels, 16 and 8: an ellipse with a soft edge, which leaves out the background.
static ELLIPSES: LazyLock<[Vec<f32>; 3]> = LazyLock::new(|| {
    [2 * SIDE, SIDE, SIDE / 2].map(|side| {
        let at = |i: usize| (i as f32 + 0.5) / side as f32 * 2.0 - 1.0;
        let weight = |i: usize| {
            let distance = (at(i % side) / 0.95).hypot(at(i / side));
            ((1.05 - distance) / 0.25).clamp(0.0, 1.0)
        };
        (0..side * side).map(weight).collect()
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

/// The finest differences of `luma`, `[side, side]`, over those of half as many pixels; 0, as of a face without
/// noise, for a side other than 16 and 32, for which nothing was measured.
fn finest(luma: &[f32], side: usize) -> f32 {
    let ellipse = |side: usize| ELLIPSES.iter().find(|e| e.len() == side * side);
    let (Some(fine), Some(middle)) = (ellipse(side), ellipse(side / 2)) else { return 0.0 };
    let halves = halve(luma, side);
    let quarters = halve(&halves, side / 2);
    difference(luma, &halves, fine, side)
        / (difference(&halves, &quarters, middle, side / 2) + NOISE)
}

/// What the spectrum of a crop says of it, each 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clarity {
    /// How far the face is in focus.
    pub(super) focus: f32,
    /// How much of what the crop cannot hold is true.
    pub(super) detail: f32,
}

/// The clarity of `crop` (`[3, lr, lr]` RGB in -1..=1), whose square has `side` camera pixels.
pub(super) fn clarity(crop: &[f32], shape: Shape, side: f32) -> Clarity {
    let mut grid = Vec::new();
    luma(crop, shape, SIDE, &mut grid);
    let ratio = finest(&grid, SIDE);
    let counts = smoothstep(side, SMALLEST.0, SMALLEST.1);
    let focus = 1.0 + counts * (smoothstep(ratio, RATIO.0, RATIO.1) - 1.0);
    let own = match shape.lr() {
        SIDE => ratio,
        lr => {
            luma(crop, shape, lr, &mut grid);
            finest(&grid, lr)
        }
    };
    let begins = NOISY.0 + NOISY.1 * side / shape.lr() as f32;
    let noisy = smoothstep(own, begins, begins + NOISIEST);
    Clarity { focus, detail: 1.0 - (1.0 - LEAST_TRUE) * noisy }
}

/// The clarity of a face over time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SteadyClarity(Option<(Clarity, Duration)>);

impl SteadyClarity {
    /// Takes in what it is `at` this time, and returns what it counts as.
    pub(super) fn follow(&mut self, now: Clarity, at: Duration) -> Clarity {
        let steady = match self.0 {
            None => now,
            Some((past, when)) => {
                let share = (-at.saturating_sub(when).as_secs_f32() / MEMORY).exp();
                let mix = |now: f32, past: f32| now + (past - now) * share;
                Clarity { focus: mix(now.focus, past.focus), detail: mix(now.detail, past.detail) }
            }
        };
        self.0 = Some((steady, at));
        steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enhance::align::testing::noisy;

    /// The test face on 32x32 pixels, out of focus by a blur of this standard deviation in its own
    /// 128 pixels.
    fn face(blur: f32) -> Vec<f32> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/face.png");
        let face = image::open(path).unwrap().to_rgb8();
        let mut face =
            image::imageops::resize(&face, 128, 128, image::imageops::FilterType::CatmullRom);
        if blur > 0.0 {
            face = image::imageops::blur(&face, blur);
        }
        let face = image::imageops::resize(&face, 32, 32, image::imageops::FilterType::Triangle);
        (0..3).flat_map(|c| face.pixels().map(move |p| f32::from(p[c]) / 127.5 - 1.0)).collect()
    }

    fn focus(crop: &[f32], side: f32) -> f32 {
        clarity(crop, Shape::LARGE, side).focus
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
    fn noise_is_no_detail() {
        let detail = |noise: f32| {
            let crop = noisy(&face(0.0), 1, noise);
            clarity(&crop, Shape::LARGE, 64.0).detail
        };
        assert_eq!(detail(0.0), 1.0);
        assert!(detail(0.15) < 0.8, "{}", detail(0.15));
        assert!((detail(0.5) - LEAST_TRUE).abs() < 0.05, "{}", detail(0.5));
    }

    #[test]
    fn clarity_follows_in_time_whatever_the_rate() {
        let all = |value: f32| Clarity { focus: value, detail: value };
        for frames in [2u32, 25] {
            let mut clarity = SteadyClarity::default();
            assert_eq!(clarity.follow(all(1.0), Duration::ZERO), all(1.0));
            let mut last = all(1.0);
            for n in 1..=frames {
                last = clarity.follow(all(0.0), Duration::from_secs(1) * n / frames);
            }
            assert!((last.focus - (-1.0f32 / MEMORY).exp()).abs() < 1e-3, "{last:?}");
            assert_eq!(last.focus, last.detail);
        }
    }
}
