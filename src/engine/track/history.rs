//! Where a track was, by time.

use std::collections::VecDeque;

use crate::geometry::Point;

/// Positions older than this are forgotten, seconds: no detection takes longer.
const SPAN: f64 = 2.0;
/// Positions kept at most: 2 seconds of 120 frames/s.
const MOST: usize = 240;

/// A track's positions in the latest frames, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    positions: VecDeque<(f64, Point)>,
}

impl History {
    /// Appends the position at `time`, which is later than all before.
    pub(super) fn push(&mut self, time: f64, position: Point) {
        self.positions.push_back((time, position));
        while self.positions.len() > MOST
            || self.positions.front().is_some_and(|(oldest, _)| time - oldest > SPAN)
        {
            self.positions.pop_front();
        }
    }

    /// The position at `time`, interpolated; the oldest or latest beyond the ends. `None` if
    /// nothing is known.
    pub(super) fn at(&self, time: f64) -> Option<Point> {
        let after = self.positions.partition_point(|(t, _)| *t < time);
        let Some(&(t1, p1)) = self.positions.get(after) else {
            return self.positions.back().map(|(_, p)| *p);
        };
        let Some(&(t0, p0)) = after.checked_sub(1).and_then(|i| self.positions.get(i)) else {
            return Some(p1);
        };
        let part = ((time - t0) / (t1 - t0)) as f32;
        Some(Point { x: p0.x + part * (p1.x - p0.x), y: p0.y + part * (p1.y - p0.y) })
    }

    /// Moves all positions: a detection has shown that they were off by as much.
    pub(super) fn shift(&mut self, by: Point) {
        for (_, p) in &mut self.positions {
            *p = Point { x: p.x + by.x, y: p.y + by.y };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f32) -> Point {
        Point { x, y: -x }
    }

    #[test]
    fn history_interpolates_between_frames_and_holds_its_ends() {
        let mut history = History::default();
        assert_eq!(history.at(1.0), None);
        for i in 0..5 {
            history.push(f64::from(i), point(10.0 * i as f32));
        }
        assert_eq!(history.at(-3.0).unwrap(), point(20.0), "2 seconds are kept");
        assert_eq!(history.at(2.0).unwrap(), point(20.0));
        assert_eq!(history.at(3.25).unwrap(), point(32.5));
        assert_eq!(history.at(9.0).unwrap(), point(40.0));
        history.shift(point(1.0));
        assert_eq!(history.at(4.0).unwrap(), point(41.0));
    }

    #[test]
    fn history_forgets_what_is_old_or_too_much() {
        let mut history = History::default();
        for i in 0..10_000 {
            history.push(f64::from(i) * 1e-4, point(i as f32));
        }
        assert_eq!(history.positions.len(), MOST);
    }
}
