//! A face: found by a detector, then tracked from frame to frame.

use crate::geometry::Rect;

/// A face that a detector has found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// WIDER-style box, luma pixels of the frame.
    pub rect: Rect,
    /// Confidence, 0 to 1; comparable within one detector only.
    pub score: f32,
}

/// A face in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// The track's number, the same in each frame, from 1; unique within a [`Finder`].
    pub id: u64,
    /// WIDER-style box (forehead to chin), luma pixels, with sub-pixel precision.
    pub rect: Rect,
    /// Score of the latest detection of it, 0 to 1.
    pub score: f32,
}
