//! What an enhancer is told to do, and what it counts.

use std::time::Duration;

/// How to enhance.
#[derive(Debug, Clone, PartialEq)]
pub struct EnhancerOptions {
    /// How much of the result is shown, 0 (frame untouched) to 1.
    pub strength: f32,
    /// Faces whose crop square has a shorter side are left alone, luma pixels.
    pub min_face_size: f32,
    /// Faces whose crop square has a longer side are left alone, luma pixels: 64 generated pixels
    /// bring nothing to a face that already has more.
    pub max_face_size: f32,
    /// At most so many faces a frame, the largest first; 0 for all.
    pub max_faces: usize,
    /// How much the generated detail is steadied over time, 0 (not at all) to 1.
    pub temporal_smoothing: f32,
    /// A face keeps what was generated for it as long as its cut has changed by no more than
    /// about this much, root mean square of values of -1..=1; a fifth less or more at a temporal
    /// smoothing of 0 or 1. 0 generates every face in every frame.
    pub reuse: f32,
    /// CPU time that generating may take in each frame; what is left out keeps its last result, or
    /// passes untouched until its turn comes. What fits in depends on the machine, so the same
    /// frames need not give the same result. `None` for no limit.
    pub budget: Option<Duration>,
}

impl Default for EnhancerOptions {
    fn default() -> Self {
        Self {
            strength: 1.0,
            min_face_size: 8.0,
            max_face_size: 80.0,
            max_faces: 0,
            temporal_smoothing: 0.5,
            reuse: 0.12,
            budget: None,
        }
    }
}

impl EnhancerOptions {
    /// Weight of the result for a face whose crop square has `side` luma pixels. It fades to
    /// nothing towards both size limits, so that a face which walks past one does not change all
    /// at once, and it falls early towards the upper one: what is generated comes from 16x16
    /// pixels, and a face of forty has true detail that a guess should not replace.
    pub(crate) fn strength_at(&self, side: f32) -> f32 {
        let ramp = |from: f32, to: f32| ((side - from) / (to - from).max(1e-3)).clamp(0.0, 1.0);
        let t = ramp(self.min_face_size, 1.25 * self.min_face_size)
            .min(1.0 - ramp(self.max_face_size / 2.0, self.max_face_size));
        self.strength.clamp(0.0, 1.0) * t * t * (3.0 - 2.0 * t)
    }
}

/// What an enhancer has done so far. Times are CPU time, over all threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EnhancerStats {
    /// Frames seen.
    pub frames: u64,
    /// Faces enhanced, over all frames.
    pub faces_enhanced: u64,
    /// Of these, faces that were generated anew.
    pub faces_generated: u64,
    /// Faces that were left as they are because the generator returned numbers that are not finite.
    pub faces_not_finite: u64,
    /// Cutting faces.
    pub crop: Duration,
    /// Running the generator.
    pub generate: Duration,
    /// Steadying and blending.
    pub blend: Duration,
}
