//! A face: found by a detector, then tracked from frame to frame.

use crate::geometry::Rect;

/// One face that was found.
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
    /// The same number for the same face in each frame, from 1; unique within a [`Finder`].
    pub id: u64,
    /// WIDER-style box (forehead to chin), luma pixels, with sub-pixel precision.
    pub rect: Rect,
    /// Score of the last detection that confirmed it, 0 to 1.
    pub score: f32,
}
