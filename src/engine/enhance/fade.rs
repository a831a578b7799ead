//! How much of a face is shown, by its size: it fades towards the size limits, and where the camera saw
//! more than its generator makes.

use super::backend::BlendWeights;
use super::options::EnhancerOptions;
use crate::shape::Shape;

/// A generated face is shown in full up to so many times the crop's side in the camera's pixels, and
/// not at all from the second on.
///
/// Measured on faces of held-back people made into pictures of 26 to 110 pixels (blur, noise, JPEG),
/// a network of 32x32 that was trained for half an hour: the best share by least squares is 1.0 up to
/// 46 pixels, 0.8 at 52, 0.5 at 64, 0.2 at 80, 0.1 at 110; that of the frame's own detail 0.7 to 1.1
/// everywhere. Without that detail faces lose 0.2 dB at 46 and 1.4 dB at 64 pixels and become softer
/// than they came; with all of it they gain 0.25 and 0.1 dB, and not one of 96 becomes softer.
const GENERATED: (f32, f32) = (1.4, 2.8);

/// Share of the upper size limit from which on faces fade.
const FADE: f32 = 0.8;

/// Where `value` lies between `from` and `to`, 0..=1, without a corner at either.
pub(super) fn smoothstep(value: f32, from: f32, to: f32) -> f32 {
    let t = ((value - from) / (to - from).max(1e-3)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

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

    /// What is shown of a face whose crop square has `side` luma pixels and which is so far in
    /// `focus`, 0..=1, by a generator of `shape`.
    pub(crate) fn weights_at(&self, side: f32, shape: Shape, focus: f32) -> BlendWeights {
        let fidelity = self.fidelity.clamp(0.0, 1.0);
        let ratio = self.source_side(side) / shape.lr() as f32;
        let fit = focus * (1.0 - smoothstep(ratio, GENERATED.0, GENERATED.1));
        // Below the middle what the camera saw comes in, above it what is generated goes.
        let (lower, upper) = ((2.0 * fidelity).min(1.0), (2.0 * fidelity - 1.0).max(0.0));
        BlendWeights { generated: (1.0 + lower * (fit - 1.0)) * (1.0 - upper), detail: lower }
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

    #[test]
    fn generated_share_falls_where_the_camera_saw_more_than_the_crop_holds() {
        let options = EnhancerOptions::default();
        let weights = |side: f32, shape: Shape| options.weights_at(side, shape, 1.0);
        assert_eq!(weights(44.0, Shape::LARGE), BlendWeights { generated: 1.0, detail: 1.0 });
        assert_eq!(weights(16.0, Shape::SMALL), BlendWeights { generated: 1.0, detail: 1.0 });
        assert!((0.4..0.8).contains(&weights(64.0, Shape::LARGE).generated));
        assert_eq!(weights(90.0, Shape::LARGE), BlendWeights { generated: 0.0, detail: 1.0 });
        // An enlarged picture holds no more than the camera saw.
        let enlarged = EnhancerOptions { source_scale: 4.0, ..options.clone() };
        assert_eq!(enlarged.weights_at(160.0, Shape::LARGE, 1.0).generated, 1.0);
        let unfocused = options.weights_at(44.0, Shape::LARGE, 0.25);
        assert_eq!(unfocused, BlendWeights { generated: 0.25, detail: 1.0 });
    }

    #[test]
    fn fidelity_leads_from_the_generated_face_to_the_frame() {
        let at = |fidelity: f32| {
            let options = EnhancerOptions { fidelity, ..Default::default() };
            let weights = options.weights_at(64.0, Shape::LARGE, 1.0);
            (weights.generated, weights.detail)
        };
        assert_eq!(at(0.0), (1.0, 0.0));
        assert!(at(0.25).0 > at(0.5).0 && at(0.25).1 < at(0.5).1);
        assert!(at(0.75).0 < at(0.5).0 && at(0.75).1 == 1.0);
        assert_eq!(at(1.0), (0.0, 1.0));
    }
}
