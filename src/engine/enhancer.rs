//! Sharpens the faces of a frame: cut, generate, steady, blend.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::finder::Face;
use crate::frame::FrameMut;
use crate::generator::Generator;

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
}

impl Default for EnhancerOptions {
    fn default() -> Self {
        Self {
            strength: 1.0,
            min_face_size: 8.0,
            max_face_size: 80.0,
            max_faces: 0,
            temporal_smoothing: 0.5,
        }
    }
}

/// What an enhancer has done so far. Times are CPU time of the calling thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EnhancerStats {
    /// Frames seen.
    pub frames: u64,
    /// Faces enhanced, over all frames.
    pub faces_enhanced: u64,
    /// Cutting faces.
    pub cut: Duration,
    /// Running the generator.
    pub generate: Duration,
    /// Steadying and blending.
    pub blend: Duration,
}
