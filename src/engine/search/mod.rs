//! What is searched of a frame, and what was found there.
//!
//! Detection and tracking meet here and do not import each other.

mod roi;
mod tiles;

use crate::face::Detection;
use crate::frame::Frame;
use crate::geometry::{Point, Rect};

pub use roi::{Rects, RoiFilter};
pub(crate) use tiles::{Tile, layout_tiles};

/// A part of a frame, luma pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Window {
    /// This part of `frame`; `None` if it does not lie in it.
    pub(crate) fn of<'a>(&self, frame: &Frame<'a>) -> Option<Frame<'a>> {
        frame.part(self.x, self.y, self.width, self.height)
    }
}

/// What is searched of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchRegion {
    /// All of it, reduced to the detector's input size.
    FullFrame,
    /// A part, reduced to the detector's input size.
    Window(Window),
    /// A part at full resolution.
    Tile(Tile),
}

impl SearchRegion {
    /// Size of what is reduced to the detector's input size; `None` for a tile.
    pub(crate) fn reduced_size(&self, frame: &Frame<'_>) -> Option<(u32, u32)> {
        match self {
            Self::FullFrame => Some((frame.info().width, frame.info().height)),
            Self::Window(window) => Some((window.width, window.height)),
            Self::Tile(_) => None,
        }
    }

    /// The result of a search of this region that returned `found`.
    pub(crate) fn result<'a>(
        &self,
        found: &'a [Detection],
        downscale: Option<f32>,
    ) -> SearchResult<'a> {
        let tile = match *self {
            Self::FullFrame | Self::Window(_) => None,
            Self::Tile(tile) => Some(tile),
        };
        SearchResult { found, tile, downscale: downscale.unwrap_or(1.0) }
    }
}

/// The faces found by one search.
#[derive(Debug, Clone, Copy)]
pub struct SearchResult<'a> {
    /// The faces.
    pub found: &'a [Detection],
    /// The tile that was searched at full resolution; `None` if the full frame was searched.
    pub(crate) tile: Option<Tile>,
    /// Frame pixels per detector pixel in a search of the full frame.
    pub(crate) downscale: f32,
}

impl<'a> SearchResult<'a> {
    /// The result of a search of the full frame at full resolution.
    pub fn full_frame(found: &'a [Detection]) -> Self {
        Self { found, tile: None, downscale: 1.0 }
    }
}

/// Faces with a longer side of so many detector pixels are found reliably in the reduced frame. A
/// tile need not find them, and may mistake a part of one for a face.
const RELIABLE_SIDE: f32 = 24.0;

/// Whether a face may be missed in a frame that is reduced by `downscale`.
pub(crate) fn is_small(rect: &Rect, downscale: f32) -> bool {
    rect.w.max(rect.h) < RELIABLE_SIDE * downscale
}

/// Whether two boxes belong to the same face, or one to a part of the other's.
pub(crate) fn is_same(a: &Rect, b: &Rect) -> bool {
    let contains =
        |r: &Rect, p: Point| (r.x..r.x + r.w).contains(&p.x) && (r.y..r.y + r.h).contains(&p.y);
    contains(a, b.center()) || contains(b, a.center())
}
