//! Parts of a frame that are searched at full resolution.
//!
//! A detector sees large frames reduced and misses faces that are too small then. Tiles cover the
//! frame with parts that fit the detector's input without reduction.

use super::Window;
use crate::geometry::Rect;

/// Overlap of neighboring tiles, pixels: each small face lies wholly in at least one tile.
const OVERLAP: u32 = 48;
/// Largest sides of a tile, pixels: the longer one along the longer side of the frame. A search of
/// one costs about half of what a search of a reduced frame does.
const SIDES: [u32; 2] = [704, 416];
/// Frames that are reduced by less lose too little for tiles: in a crowd of 190 faces in 1280x720, which
/// is reduced by 1.33, they found one face in a hundred more for a third more work.
const MIN_DOWNSCALE: f32 = 1.5;
/// A box this near to an inner edge of a tile, pixels, may be cut off there.
const EDGE: f32 = 2.0;

/// A part of a frame that is searched at full resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Its place in the frame.
    pub(crate) window: Window,
    /// Size of the frame, pixels.
    pub(crate) frame: (u32, u32),
}

impl Tile {
    /// Whether the tile contains all of a face's box.
    pub(crate) fn contains(&self, rect: &Rect) -> bool {
        let fits = |(from, to): (f32, f32), (start, length): (u32, u32), limit: u32| {
            let (start, end) = (start, start + length);
            // A tile may leave out the last pixel of an odd frame.
            (start == 0 || from >= start as f32 + EDGE)
                && (end + 1 >= limit || to <= end as f32 - EDGE)
        };
        let w = &self.window;
        let c = rect.center();
        let middle =
            |v: f32, start: u32, length: u32| (start as f32..(start + length) as f32).contains(&v);
        middle(c.x, w.x, w.width)
            && middle(c.y, w.y, w.height)
            && fits((rect.x, rect.x + rect.w), (w.x, w.width), self.frame.0)
            && fits((rect.y, rect.y + rect.h), (w.y, w.height), self.frame.1)
    }
}

/// The tiles that cover `window` of a `frame`, row by row; none if a detector that reduces the
/// window by `downscale` loses too little.
pub(crate) fn layout_tiles(window: Window, frame: (u32, u32), downscale: f32) -> Vec<Tile> {
    if downscale < MIN_DOWNSCALE {
        return Vec::new();
    }
    let wide = window.width >= window.height;
    let (across, down) = if wide { (SIDES[0], SIDES[1]) } else { (SIDES[1], SIDES[0]) };
    let columns = split_axis(window.x, window.width, across);
    let rows = split_axis(window.y, window.height, down);
    let row = |(y, height): (u32, u32)| {
        let place = move |(x, width)| Tile { window: Window { x, y, width, height }, frame };
        columns.iter().copied().map(place)
    };
    rows.into_iter().flat_map(row).collect()
}

/// Start and length of pieces of one length, at most `most` pixels, that cover `length` pixels from
/// `start`: sessions are opened for each length. Starts are even, for chroma that is halved; the
/// last pixel of an odd length may therefore be left out.
fn split_axis(start: u32, length: u32, most: u32) -> Vec<(u32, u32)> {
    if length <= most {
        return vec![(start, length)];
    }
    let count = (length - OVERLAP).div_ceil(most - OVERLAP);
    // Even, too, and so long that what rounding takes from a neighbour does not show.
    let piece =
        ((length + (count - 1) * OVERLAP).div_ceil(count) + 2).next_multiple_of(2).min(most);
    let place = |i: u32| {
        let at = u64::from(length - piece) * u64::from(i) / u64::from(count - 1);
        (start + (at as u32 & !1), piece)
    };
    (0..count).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full(width: u32, height: u32) -> Window {
        Window { x: 0, y: 0, width, height }
    }

    #[test]
    fn layout_tiles_returns_known_counts() {
        for (width, height, count) in [
            (1920, 1080, 9),
            (1080, 1920, 9),
            (1280, 720, 4),
            (3840, 2160, 36),
            (704, 416, 1),
            (705, 16, 2),
        ] {
            let tiles = layout_tiles(full(width, height), (width, height), 2.0);
            assert_eq!(tiles.len(), count, "{width}x{height}");
        }
        assert_eq!(layout_tiles(full(1280, 720), (1280, 720), 1.2), []);
    }

    proptest! {
        #[test]
        fn some_tile_contains_each_small_face(
            (width, height) in (64u32..5000, 64u32..5000),
            start in (0u32..50, 0u32..50),
            (u, v, side) in (0f32..1.0, 0f32..1.0, 4f32..40.0),
        ) {
            let window = Window { x: start.0 * 2, y: start.1 * 2, width, height };
            let frame = (window.x + width, window.y + height);
            let tiles = layout_tiles(window, frame, 2.0);
            for Tile { window: t, .. } in &tiles {
                prop_assert!(t.x % 2 == 0 && t.y % 2 == 0);
                prop_assert!(t.x >= window.x && t.x + t.width <= window.x + width);
                prop_assert!(t.y >= window.y && t.y + t.height <= window.y + height);
                prop_assert!(t.width.max(t.height) <= SIDES[0]);
                let first = tiles[0].window;
                prop_assert_eq!((t.width, t.height), (first.width, first.height));
            }
            let inside = |u: f32, start: u32, length: u32| {
                start as f32 + EDGE + u * (length as f32 - 2.0 * EDGE - side)
            };
            let face =
                Rect::new(inside(u, window.x, width), inside(v, window.y, height), side, side);
            prop_assert!(tiles.iter().any(|tile| tile.contains(&face)), "{face:?}");
        }

        /// In a region of interest that ends within the frame, too.
        #[test]
        fn some_tile_contains_each_small_face_of_an_even_window(
            (width, height) in (32u32..2500, 32u32..2500),
            (u, v, side) in (0f32..1.0, 0f32..1.0, 4f32..40.0),
        ) {
            let window = Window { x: 2, y: 6, width: 2 * width, height: 2 * height };
            let frame = (window.x + window.width + 9, window.y + window.height + 9);
            let inside = |u: f32, start: u32, length: u32| {
                start as f32 + EDGE + u * (length as f32 - 2.0 * EDGE - side)
            };
            let (x, y) = (inside(u, window.x, window.width), inside(v, window.y, window.height));
            let face = Rect::new(x, y, side, side);
            let tiles = layout_tiles(window, frame, 2.0);
            prop_assert!(tiles.iter().any(|tile| tile.contains(&face)), "{face:?}");
        }
    }

    #[test]
    fn tile_contains_faces_at_frame_edges_but_not_at_inner_edges() {
        let tile =
            Tile { window: Window { x: 0, y: 100, width: 200, height: 100 }, frame: (400, 200) };
        assert!(tile.contains(&Rect::new(-5.0, 150.0, 20.0, 20.0)));
        assert!(tile.contains(&Rect::new(50.0, 185.0, 20.0, 20.0)));
        assert!(!tile.contains(&Rect::new(179.0, 150.0, 20.0, 20.0)));
        assert!(!tile.contains(&Rect::new(50.0, 101.0, 20.0, 20.0)));
        assert!(!tile.contains(&Rect::new(300.0, 150.0, 20.0, 20.0)));
    }
}
