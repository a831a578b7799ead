//! How much of a face is shown, by its size: it fades towards the size limits, and where the camera saw
//! more than its generator makes.

use super::backend::BlendWeights;
use super::focus::Clarity;
use super::options::EnhancerOptions;
use crate::shape::Shape;
use crate::util::smoothstep::smoothstep;

/// A generated face is shown in full up to so many times the crop's side in the camera's pixels, and
/// not at all from the second on.
///
/// Measured on faces of held-back people made into pictures of 26 to 110 pixels (blur, noise, JPEG),
/// a network of 32x32 that was trained for half an hour: the best share by least squares is 1.0 up to
/// 46 pixels, 0.8 at 52, 0.5 at 64, 0.2 at 80, 0.1 at 110; on films through x264, with the one that ships,
/// 0.8 at 26 and 34 pixels, 0.6 at 46 and 0.3 at 60.
const GENERATED: (f32, f32) = (1.3, 2.4);

/// Of what the frame has above the crop's resolution nothing is shown beside a generated face whose square has
/// the first of these shares of the crop's side in the camera's pixels, and all from the second on, as far as
/// it is [no noise](super::focus): a crop of a face that it holds loses little else. Measured as said there; with all of it
/// shown, faces of 16 pixels lose 0.4 dB, those of 34 pixels 0.1 and of 46 pixels 0.09.
const DETAIL: (f32, f32) = (0.8, 1.6);

/// Share of the upper size limit from which on faces fade.
const FADE: f32 = 0.8;

impl EnhancerOptions {
    /// Side in pixels of the camera of a square with `side` luma pixels of the frame.
    pub(crate) fn source_side(&self, side: f32) -> f32 {
        side / self.source_scale.max(1e-3)
    }

    /// Weight of the result for a face whose crop square has `side` luma pixels. It fades to
    /// nothing towards both size limits, so that a face which walks past one does not change all
    /// at once.
    pub(crate) fn strength_at(&self, side: f32) -> f32 {
        let grows = smoothstep(side, self.min_face_size, 1.25 * self.min_face_size);
        let falls = 1.0 - smoothstep(side, FADE * self.max_face_size, self.max_face_size);
        self.strength.clamp(0.0, 1.0) * grows.min(falls)
    }

    /// What is shown of a face whose crop square has `side` luma pixels and which is as clear as
    /// `clarity` says, by a generator of `shape`.
    pub(super) fn weights_at(&self, side: f32, shape: Shape, clarity: Clarity) -> BlendWeights {
        let fidelity = self.fidelity.clamp(0.0, 1.0);
        let ratio = self.source_side(side) / shape.lr() as f32;
        let fit = clarity.focus * (1.0 - smoothstep(ratio, GENERATED.0, GENERATED.1));
        let detail = clarity.detail * smoothstep(ratio, DETAIL.0, DETAIL.1);
        // Below the middle what the camera saw comes in, above it what is generated goes.
        let (lower, upper) = ((2.0 * fidelity).min(1.0), (2.0 * fidelity - 1.0).max(0.0));
        let generated = (1.0 + lower * (fit - 1.0)) * (1.0 - upper);
        BlendWeights { generated, detail: lower * (1.0 - generated * (1.0 - detail)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strength_fades_towards_the_size_limits() {
        let options = EnhancerOptions { strength: 0.8, ..Default::default() };
        for (side, wanted) in [(8.0, 0.0), (10.0, 0.8), (80.0, 0.8), (90.0, 0.4), (100.0, 0.0)] {
            assert!((options.strength_at(side) - wanted).abs() < 1e-5, "{side}");
        }
        let all = EnhancerOptions { min_face_size: 0.0, max_face_size: 1e6, ..Default::default() };
        assert_eq!(all.strength_at(300.0), 1.0);
    }

    const CLEAR: Clarity = Clarity { focus: 1.0, detail: 1.0 };

    #[test]
    fn generated_share_falls_where_the_camera_saw_more_than_the_crop_holds() {
        let options = EnhancerOptions::default();
        let weights = |side: f32, shape: Shape| options.weights_at(side, shape, CLEAR);
        assert_eq!(weights(25.0, Shape::LARGE), BlendWeights { generated: 1.0, detail: 0.0 });
        assert_eq!(weights(12.0, Shape::SMALL), BlendWeights { generated: 1.0, detail: 0.0 });
        assert!((0.8..1.0).contains(&weights(46.0, Shape::LARGE).detail));
        assert!((0.2..0.6).contains(&weights(62.0, Shape::LARGE).generated));
        assert_eq!(weights(80.0, Shape::LARGE), BlendWeights { generated: 0.0, detail: 1.0 });
        // An enlarged picture holds no more than the camera saw.
        let enlarged = EnhancerOptions { source_scale: 4.0, ..options.clone() };
        assert_eq!(enlarged.weights_at(100.0, Shape::LARGE, CLEAR), weights(25.0, Shape::LARGE));
    }

    #[test]
    fn what_is_out_of_focus_stays_and_noise_goes() {
        let options = EnhancerOptions::default();
        let weights = |focus: f32, detail: f32| {
            options.weights_at(40.0, Shape::LARGE, Clarity { focus, detail })
        };
        assert_eq!(weights(0.0, 0.5), BlendWeights { generated: 0.0, detail: 1.0 });
        assert_eq!(weights(0.25, 1.0).generated, 0.25);
        assert!(weights(1.0, 0.4).detail < 0.5 * weights(1.0, 1.0).detail);
    }

    #[test]
    fn fidelity_leads_from_the_generated_face_to_the_frame() {
        let at = |fidelity: f32| {
            let options = EnhancerOptions { fidelity, ..Default::default() };
            let weights = options.weights_at(60.0, Shape::LARGE, CLEAR);
            (weights.generated, weights.detail)
        };
        assert_eq!(at(0.0), (1.0, 0.0));
        assert!(at(0.25).0 > at(0.5).0 && at(0.25).1 < at(0.5).1);
        assert!(at(0.75).0 < at(0.5).0 && at(0.75).1 >= at(0.5).1);
        assert_eq!(at(1.0), (0.0, 1.0));
    }
}
