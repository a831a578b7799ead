//! Which tile is searched next.
//!
//! Between two searches of the full frame one tile is searched at full resolution. Tiles with
//! small faces come round more often, but every tile has its turn.

use crate::geometry::Rect;
use crate::search::{Tile, Window, layout_tiles};

/// Weight of a tile with a tracked small face, relative to an empty one.
const TRACKED: u64 = 2;
/// Weight of a tile with a small face that awaits confirmation.
const TENTATIVE: u64 = 4;

/// The tiles of a stream, and when each was searched.
#[derive(Debug, Default)]
pub(super) struct TileSchedule {
    made_for: Option<(Window, (u32, u32))>,
    /// Each with the turn at which it was searched last.
    tiles: Vec<(Tile, u64)>,
    turn: u64,
}

impl TileSchedule {
    /// Covers `window` of a `frame` with tiles, as [`layout_tiles`] does. An unchanged layout keeps
    /// its turns.
    pub(super) fn cover(&mut self, window: Window, frame: (u32, u32), downscale: f32) {
        let tiles = layout_tiles(window, frame, downscale);
        if tiles.is_empty() {
            *self = Self::default();
        } else if self.made_for != Some((window, frame)) {
            self.made_for = Some((window, frame));
            self.tiles = tiles.into_iter().map(|tile| (tile, 0)).collect();
        }
    }

    /// The tile to search now; `None` where there are none. `small_faces` are the boxes of the
    /// tracks that a tile found, and whether each awaits confirmation.
    pub(super) fn next(&mut self, small_faces: &[(Rect, bool)]) -> Option<Tile> {
        self.turn += 1;
        let turn = self.turn;
        let priority = |(tile, searched): &(Tile, u64)| {
            let weight = if small_faces.iter().any(|(r, tentative)| *tentative && tile.contains(r))
            {
                TENTATIVE
            } else if small_faces.iter().any(|(r, _)| tile.contains(r)) {
                TRACKED
            } else {
                1
            };
            weight * (turn - searched)
        };
        // The first of equals: the rotation is the same in every run.
        let most = self.tiles.iter().map(priority).max()?;
        let next = self.tiles.iter_mut().find(|tile| priority(tile) == most)?;
        next.1 = turn;
        Some(next.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Window = Window { x: 0, y: 0, width: 1920, height: 1080 };

    fn schedule() -> TileSchedule {
        let mut tiles = TileSchedule::default();
        tiles.cover(FULL, (1920, 1080), 2.0);
        tiles
    }

    #[test]
    fn schedule_without_tiles_returns_none() {
        let mut tiles = TileSchedule::default();
        tiles.cover(Window { x: 0, y: 0, width: 1280, height: 720 }, (1280, 720), 1.2);
        assert_eq!(tiles.next(&[]), None);
    }

    #[test]
    fn schedule_returns_every_tile_in_turn_without_faces() {
        let mut tiles = schedule();
        let round: Vec<Tile> = (0..9).map(|_| tiles.next(&[]).unwrap()).collect();
        assert_eq!(round, layout_tiles(FULL, (1920, 1080), 2.0));
    }

    #[test]
    fn schedule_prefers_tiles_with_small_faces_but_starves_none() {
        let mut tiles = schedule();
        let all: Vec<Tile> = (0..9).map(|_| tiles.next(&[]).unwrap()).collect();
        let counted = |tiles: &mut TileSchedule, tentative: bool| {
            let face = [(Rect::new(960.0, 540.0, 12.0, 12.0), tentative)];
            let mut count = [0; 9];
            for _ in 0..60 {
                let next = tiles.next(&face).unwrap();
                count[all.iter().position(|tile| *tile == next).unwrap()] += 1;
            }
            count
        };
        let tentative = counted(&mut tiles, true);
        let tracked = counted(&mut tiles, false);
        for (i, (tentative, tracked)) in tentative.into_iter().zip(tracked).enumerate() {
            if i == 4 {
                assert!(
                    tentative > 15 && tracked > 8 && tentative > tracked,
                    "{tentative} {tracked}"
                );
            } else {
                assert!(tentative >= 4 && tracked >= 5, "{i}: {tentative} {tracked}");
            }
        }
    }
}
