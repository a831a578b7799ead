//! What an enhancer is told to do, and what it counts.

use std::time::Duration;

use crate::util::setters;

/// How to enhance.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EnhancerOptions {
    /// How much of the result is shown, 0 (frame untouched) to 1.
    pub strength: f32,
    /// How far the result may leave the frame, 0 to 1. At 0 the generated face is shown as it is;
    /// at 0.5 with the detail that the camera saw above the generator's resolution, as far as it is no
    /// noise, and less of the face the more there is of that; from there to 1 less and less is generated, until at 1 the face is
    /// that of the frame.
    pub fidelity: f32,
    /// Pixels of the frame for each pixel that the camera saw, across: more than 1 where the
    /// picture was enlarged before. It decides which generator a face gets.
    pub source_scale: f32,
    /// Faces whose crop square has a shorter side are left alone, luma pixels.
    pub min_face_size: f32,
    /// Faces whose crop square has a longer side are left alone, luma pixels: a face of a hundred
    /// pixels has more true detail than can be generated.
    pub max_face_size: f32,
    /// At most so many faces a frame, the largest first; 0 for all.
    pub max_faces: usize,
    /// How much faces are steadied over time, 0 (not at all) to 1: their crops are aligned and averaged
    /// over 0.12 s times this before a face is generated, and its detail is mixed with what was shown.
    pub temporal_smoothing: f32,
    /// A face of usual contrast keeps what was generated for it as long as its crop has changed by
    /// no more than about this much, root mean square of values of -1..=1, one of less contrast as
    /// long as it has changed by as much less; a fifth less or more at a temporal smoothing of 0 or
    /// 1. 0 generates every face in every frame.
    pub reuse: f32,
    /// CPU time that generating may take in each frame; what is left out keeps its last result, or
    /// passes untouched until its turn comes. What fits in depends on the machine, so the same
    /// frames need not give the same result. `None` for no limit.
    pub budget: Option<Duration>,
}

setters!(EnhancerOptions {
    strength: f32,
    fidelity: f32,
    source_scale: f32,
    min_face_size: f32,
    max_face_size: f32,
    max_faces: usize,
    temporal_smoothing: f32,
    reuse: f32,
    budget: Option<Duration>,
});

impl Default for EnhancerOptions {
    fn default() -> Self {
        Self {
            strength: 1.0,
            fidelity: 0.5,
            source_scale: 1.0,
            min_face_size: 8.0,
            max_face_size: 100.0,
            max_faces: 0,
            temporal_smoothing: 0.5,
            reuse: 0.05,
            budget: None,
        }
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
    /// Of these, faces that were generated again.
    pub faces_generated: u64,
    /// Faces that were left as they are because the generator returned numbers that are not finite.
    pub faces_not_finite: u64,
    /// Cropping faces.
    pub crop: Duration,
    /// Running the generators.
    pub generate: Duration,
    /// Steadying and blending.
    pub blend: Duration,
}
