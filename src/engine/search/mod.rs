//! What is searched of a frame, and what was found there.
//!
//! Detection and tracking meet here and do not import each other.

mod layout;
mod roi;

use crate::face::Detection;
use crate::frame::Frame;
use crate::geometry::{Point, Rect};

pub(crate) use layout::{SearchLayout, Tile, region_around};
pub use roi::{Rects, RoiFilter};

/// A part of a frame, luma pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Window {
    /// All of a frame of `size` pixels.
    pub(crate) fn full((width, height): (u32, u32)) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// This part of `frame`; `None` if it does not lie in it.
    pub(crate) fn of<'a>(&self, frame: &Frame<'a>) -> Option<Frame<'a>> {
        frame.part(self.x, self.y, self.width, self.height)
    }

    /// The same area as a rectangle.
    pub(crate) fn rect(&self) -> Rect {
        Rect::new(self.x as f32, self.y as f32, self.width as f32, self.height as f32)
    }
}

/// A box this near to an inner edge of a region, pixels, may be cut off there.
const EDGE: f32 = 2.0;

/// A part of a frame that is searched, and how large the detector sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SearchRegion {
    pub(crate) window: Window,
    /// Size of the frame, pixels.
    pub(crate) frame: (u32, u32),
    /// Detector pixels per frame pixel, of the height.
    pub(crate) scale: f32,
    /// Width over height of the frame's pixels.
    pub(crate) aspect: f32,
    /// Whether it is one of many: large faces may lie in several of them.
    pub(crate) is_tile: bool,
    /// Whether it is shown larger than it is.
    pub(crate) is_enlarged: bool,
}

impl SearchRegion {
    /// Whether the region contains all of a face's box.
    pub(crate) fn contains(&self, rect: &Rect) -> bool {
        let fits = |(from, to): (f32, f32), (start, length): (u32, u32), limit: u32| {
            let (start, end) = (start, start + length);
            // Tiles are even, frames may be odd.
            let at_end = end + 1 >= limit;
            (start == 0 || from >= start as f32 + EDGE) && (at_end || to <= end as f32 - EDGE)
        };
        let w = &self.window;
        w.rect().contains(rect.center())
            && fits((rect.x, rect.x + rect.w), (w.x, w.width), self.frame.0)
            && fits((rect.y, rect.y + rect.h), (w.y, w.height), self.frame.1)
    }

    /// Pixels that a network computes, which takes sides in multiples of 32.
    pub(crate) fn input_pixels(&self) -> f64 {
        let side = |n: u32, scale: f32| {
            ((f64::from(n) * f64::from(scale)).round() / 32.0).ceil().max(1.0) * 32.0
        };
        let w = &self.window;
        side(w.width, self.scale * self.aspect) * side(w.height, self.scale)
    }

    /// Longer side of a face in detector pixels.
    pub(crate) fn apparent_side(&self, rect: &Rect) -> f32 {
        (rect.w * self.aspect).max(rect.h) * self.scale
    }
}

/// The faces found by one search.
#[derive(Debug, Clone, Copy)]
pub struct SearchResult<'a> {
    /// The faces.
    pub found: &'a [Detection],
    /// What was searched; `None` for a full frame in which nothing is too small.
    pub(crate) region: Option<SearchRegion>,
    /// Detector pixels per frame pixel in a search of the full frame.
    pub(crate) full_scale: f32,
}

/// How much it says that a search has not found a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The face lies elsewhere, or the detector sees nothing so small.
    Nothing,
    /// The detector sees few faces so small.
    Little,
    /// It should have been found.
    Much,
}

/// Faces with a longer side of so many detector pixels are found reliably.
const RELIABLE_SIDE: f32 = 22.0;
/// Smaller ones are not found at all.
const LEAST_SIDE: f32 = 9.0;

impl<'a> SearchResult<'a> {
    /// The result of a search of the full frame at full resolution.
    pub fn full_frame(found: &'a [Detection]) -> Self {
        Self { found, region: None, full_scale: 1.0 }
    }

    /// Scale of the search: detector pixels per frame pixel.
    pub(crate) fn scale(&self) -> f32 {
        self.region.map_or(1.0, |region| region.scale)
    }

    /// Whether the frame was shown larger than it is.
    pub(crate) fn is_enlarged(&self) -> bool {
        self.region.is_some_and(|region| region.is_enlarged)
    }

    /// Whether one of several parts of the frame was searched.
    pub(crate) fn is_tile(&self) -> bool {
        self.region.is_some_and(|region| region.is_tile)
    }

    /// What it says that the search has not found a face at `rect`, which was found at `found_scale`.
    pub(crate) fn miss(&self, rect: &Rect, found_scale: f32) -> Miss {
        let Some(region) = &self.region else { return Miss::Much };
        let side = region.apparent_side(rect);
        if !region.contains(rect) || side < LEAST_SIDE {
            return Miss::Nothing;
        }
        // A tile that cuts large faces does not judge them.
        if region.is_tile && !is_small(rect, self.full_scale) {
            return Miss::Nothing;
        }
        if side >= RELIABLE_SIDE || region.scale > 0.8 * found_scale {
            Miss::Much
        } else {
            Miss::Little
        }
    }
}

/// Faces with a longer side of so many detector pixels are left to searches of the full frame: a
/// tile may mistake a part of one for a face.
const LARGE_SIDE: f32 = 24.0;

/// Whether a face may be missed in a full frame of which the detector sees `full_scale` pixels per
/// pixel.
pub(crate) fn is_small(rect: &Rect, full_scale: f32) -> bool {
    rect.w.max(rect.h) * full_scale < LARGE_SIDE
}

/// Whether two boxes belong to the same face, or one to a part of the other's.
pub(crate) fn is_same(a: &Rect, b: &Rect) -> bool {
    let contains = |r: &Rect, p: Point| r.contains(p);
    contains(a, b.center()) || contains(b, a.center())
}
