//! Parts of a frame that are searched at full resolution, one at a time, in turn.
//!
//! A detector sees large frames reduced, and with them faces that are too small to be seen then.
//! Between two searches of the whole frame one tile is searched as it is: sooner where a face waits
//! to be seen again, or small faces are tracked, but every one in its turn.

use crate::geometry::Rect;
use crate::track::Tracker;
use crate::zone::Window;

/// Pixels that neighbours share at least, so that each small face lies whole in one of them.
const OVERLAP: u32 = 48;
/// Largest sides of a tile, pixels: the longer one along the longer side of the frame. A search of
/// one costs about half of what a search of a reduced frame does.
const SIDES: [u32; 2] = [704, 416];
/// Frames that are reduced by less lose too little for tiles: in a crowd of 190 faces in 1280x720, which
/// is reduced by 1.33, they found one face in a hundred more for a third more work.
const MIN_REDUCTION: f32 = 1.5;
/// A face whose box reaches so near to an edge beyond which the frame goes on may be cut off there.
const EDGE: f32 = 2.0;

/// How much sooner than the others it is a tile's turn that holds ...
const TRACKED: u64 = 2;
/// ... and one with a face that was seen only once.
const UNSURE: u64 = 4;

/// A part of a frame that is searched at full resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Where it lies.
    pub(crate) window: Window,
    /// Size of the frame, pixels.
    pub(crate) frame: (u32, u32),
}

impl Tile {
    /// Whether a face's box lies in it as a whole.
    pub(crate) fn holds(&self, rect: &Rect) -> bool {
        let fits = |(from, to): (f32, f32), (start, length): (u32, u32), limit: u32| {
            let (start, end) = (start, start + length);
            (start == 0 || from >= start as f32 + EDGE) && (end == limit || to <= end as f32 - EDGE)
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

/// The tiles of a stream, and when each was searched.
#[derive(Debug, Default)]
pub(crate) struct Tiles {
    laid: Option<(Window, (u32, u32))>,
    /// Each with the turn at which it was searched last.
    tiles: Vec<(Tile, u64)>,
    turn: u64,
}

impl Tiles {
    /// Lays `window` of a `frame` out with tiles; none if a detector that reduces it by `reduction`
    /// sees enough.
    pub(crate) fn lay(&mut self, window: Window, frame: (u32, u32), reduction: f32) {
        if reduction < MIN_REDUCTION {
            *self = Self::default();
        } else if self.laid != Some((window, frame)) {
            self.laid = Some((window, frame));
            self.tiles = lay(window).map(|window| (Tile { window, frame }, 0)).collect();
        }
    }

    /// The tile whose turn it is, which is searched now; none where none are needed.
    pub(crate) fn next(&mut self, tracker: &Tracker) -> Option<Tile> {
        self.turn += 1;
        let turn = self.turn;
        let urgency = |(tile, searched): &(Tile, u64)| {
            let weight = if tracker.small_faces().any(|(r, unsure)| unsure && tile.holds(&r)) {
                UNSURE
            } else if tracker.small_faces().any(|(r, _)| tile.holds(&r)) {
                TRACKED
            } else {
                1
            };
            weight * (turn - searched)
        };
        // The first of equals, for a rotation that looks the same every time.
        let most = self.tiles.iter().map(urgency).max()?;
        let next = self.tiles.iter_mut().find(|tile| urgency(tile) == most)?;
        next.1 = turn;
        Some(next.0)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = Tile> {
        self.tiles.iter().map(|(tile, _)| *tile)
    }
}

/// Tiles of one size that cover `window`, row by row.
fn lay(window: Window) -> impl Iterator<Item = Window> {
    let wide = window.width >= window.height;
    let (across, down) = if wide { (SIDES[0], SIDES[1]) } else { (SIDES[1], SIDES[0]) };
    let columns = spread(window.x, window.width, across);
    let rows = spread(window.y, window.height, down);
    let row = move |(y, height): (u32, u32)| {
        columns.clone().into_iter().map(move |(x, width)| Window { x, y, width, height })
    };
    rows.into_iter().flat_map(row)
}

/// Start and length of equal pieces, of at most `most` pixels, that cover `length` pixels from
/// `start`. Starts are even, for chroma that is halved.
fn spread(start: u32, length: u32, most: u32) -> Vec<(u32, u32)> {
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
    let mut pieces: Vec<_> = (0..count).map(place).collect();
    // Of an odd length the last piece ends a pixel before.
    if let Some(last) = pieces.last_mut() {
        last.1 = start + length - last.0;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detection;
    use crate::track::Seen;
    use proptest::prelude::*;

    fn whole(width: u32, height: u32) -> Window {
        Window { x: 0, y: 0, width, height }
    }

    fn tiles(width: u32, height: u32) -> Tiles {
        let mut tiles = Tiles::default();
        tiles.lay(whole(width, height), (width, height), 2.0);
        tiles
    }

    #[test]
    fn numbers_of_tiles() {
        for (width, height, count) in [
            (1920, 1080, 9),
            (1080, 1920, 9),
            (1280, 720, 4),
            (3840, 2160, 36),
            (704, 416, 1),
            (705, 16, 2),
        ] {
            assert_eq!(tiles(width, height).all().count(), count, "{width}x{height}");
        }
        let mut tiles = tiles(1280, 720);
        tiles.lay(whole(1280, 720), (1280, 720), 1.2);
        assert_eq!(tiles.all().count(), 0);
        assert_eq!(tiles.next(&Tracker::new(0.5)), None);
    }

    proptest! {
        /// Wherever a small face is, one of the tiles holds it.
        #[test]
        fn each_small_face_lies_in_a_tile(
            (width, height) in (64u32..5000, 64u32..5000),
            (start, margin) in ((0u32..50, 0u32..50), 0u32..2),
            (u, v, side) in (0f32..1.0, 0f32..1.0, 4f32..40.0),
        ) {
            let window = Window { x: start.0 * 2, y: start.1 * 2, width, height };
            let frame = (window.x + width + margin, window.y + height + margin);
            let mut tiles = Tiles::default();
            tiles.lay(window, frame, 2.0);
            for Tile { window: t, .. } in tiles.all() {
                prop_assert!(t.x % 2 == 0 && t.y % 2 == 0);
                prop_assert!(t.x >= window.x && t.x + t.width <= window.x + width);
                prop_assert!(t.y >= window.y && t.y + t.height <= window.y + height);
                prop_assert!(t.width.max(t.height) <= SIDES[0] + 1);
            }
            let inside = |u: f32, start: u32, length: u32| {
                start as f32 + EDGE + u * (length as f32 - 2.0 * EDGE - side)
            };
            let face =
                Rect::new(inside(u, window.x, width), inside(v, window.y, height), side, side);
            prop_assert!(tiles.all().any(|tile| tile.holds(&face)), "{face:?}");
        }
    }

    #[test]
    fn faces_at_a_cut_belong_to_the_neighbour_and_at_the_frames_edge_to_the_tile() {
        let tile =
            Tile { window: Window { x: 0, y: 100, width: 200, height: 100 }, frame: (400, 200) };
        assert!(tile.holds(&Rect::new(-5.0, 150.0, 20.0, 20.0)));
        assert!(tile.holds(&Rect::new(50.0, 185.0, 20.0, 20.0)));
        assert!(!tile.holds(&Rect::new(179.0, 150.0, 20.0, 20.0)));
        assert!(!tile.holds(&Rect::new(50.0, 101.0, 20.0, 20.0)));
        assert!(!tile.holds(&Rect::new(300.0, 150.0, 20.0, 20.0)));
    }

    #[test]
    fn each_has_its_turn_and_those_with_small_faces_more_often() {
        let mut tiles = tiles(1920, 1080);
        let all: Vec<Tile> = tiles.all().collect();
        let mut tracker = Tracker::new(0.5);
        let round: Vec<Tile> = (0..9).map(|_| tiles.next(&tracker).unwrap()).collect();
        assert_eq!(round, all);

        // A face is seen in the fifth tile, for the first time.
        let c = Rect::new(960.0, 540.0, 12.0, 12.0);
        let seen = [Detection { rect: c, score: 0.9 }];
        tracker.step(Some(Seen::whole(&[])), None, (1920, 1080), &mut Vec::new());
        let in_tile = Seen { found: &seen, tile: Some(all[4]), reduction: 2.0 };
        tracker.step(Some(in_tile), None, (1920, 1080), &mut Vec::new());
        let counted = |tiles: &mut Tiles, tracker: &Tracker| {
            let mut count = [0; 9];
            for _ in 0..60 {
                let next = tiles.next(tracker).unwrap();
                count[all.iter().position(|tile| *tile == next).unwrap()] += 1;
            }
            count
        };
        let unsure = counted(&mut tiles, &tracker);
        tracker.step(Some(in_tile), None, (1920, 1080), &mut Vec::new());
        let sure = counted(&mut tiles, &tracker);
        for (i, (unsure, sure)) in unsure.into_iter().zip(sure).enumerate() {
            if i == 4 {
                assert!(unsure > 15 && sure > 8 && unsure > sure, "{unsure} and {sure}");
            } else {
                assert!(unsure >= 4 && sure >= 5, "{i}: {unsure} and {sure}");
            }
        }
    }
}
