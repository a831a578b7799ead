//! A face: found by a detector, then tracked from frame to frame.

use crate::geometry::Rect;

/// A face that a detector has found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Detection {
    /// WIDER-style box, luma pixels of the frame.
    pub rect: Rect,
    /// Confidence, 0 to 1; comparable within one detector only.
    pub score: f32,
}

impl Detection {
    /// A face with this box and score.
    pub const fn new(rect: Rect, score: f32) -> Self {
        Self { rect, score }
    }
}

/// A face in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Face {
    /// The track's number, the same in each frame, from 1; unique within a [`Finder`](crate::Finder).
    pub id: u64,
    /// WIDER-style box (forehead to chin), luma pixels, with sub-pixel precision.
    pub rect: Rect,
    /// Score of the latest detection of it, 0 to 1.
    pub score: f32,
}

impl Face {
    /// The face of track `id` with this box and score.
    pub const fn new(id: u64, rect: Rect, score: f32) -> Self {
        Self { id, rect, score }
    }
}
