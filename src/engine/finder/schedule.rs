//! What is searched of each frame: a plan under a budget of CPU time.
//!
//! The full frame is searched at an interval. What the budget leaves goes to searches that show
//! faces larger: the full frame enlarged, if it is small, else tiles of it. Each tile has a period:
//! short where a small face awaits confirmation, longer where one is known or something moves, long
//! where nothing does. What is overdue by most of its period comes first.
//!
//! A camera cannot wait: in the background a known face whose pixels are lost is searched for around
//! the place where it is expected, for a twentieth of what the full frame costs.
//!
//! The plan depends on nothing but what it is told, so that the same frames are searched in the
//! same way on every machine.

use crate::detect::Sizing;
use crate::frame::FrameInfo;
use crate::geometry::Rect;
use crate::search::{RoiFilter, SearchLayout, SearchRegion, Tile, Window, region_around};

/// Every so many-th search of a full frame is not enlarged: large faces are found best so.
const PLAIN_TURN: u32 = 8;

/// Frames further apart than this are all searched, seconds: faces go too far in between.
const SPARSE: f64 = 0.11;
/// A face whose pixels are lost is searched for after so many seconds.
const LEAST_INTERVAL: f64 = 0.08;
/// So many faces are searched for at a time.
const MOST_AROUND: usize = 4;
/// Share of the frame that has to change for a search before its time, ...
const NEW_MOTION: f64 = 0.002;
/// ... at most so often, seconds, ...
const NEWS_INTERVAL: f64 = 0.16;
/// ... if tiles have left so much of all savings.
const RICH: f64 = 0.5;
/// The budget of so many seconds can be saved up, and is there at the start.
const SAVINGS: f64 = 1.0;

/// Tiles of one frame cost at most the budget of so many seconds: a round is spread over some frames.
const BURST: f64 = 0.25;

/// Periods of tiles, over the interval of searches of the full frame: with a small face that awaits
/// confirmation or is out of sight, ...
const URGENT: f64 = 0.25;
/// ... and with nothing that moves. Others, with a known small face or with motion, have the
/// interval itself.
const STILL: f64 = 9.0;
/// The interval for that where no full frame is searched, seconds.
const USUAL_INTERVAL: f64 = 0.32;

/// The state of the stream at a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    /// Time of the frame, seconds.
    pub(super) now: f64,
    /// Time since the frame before, seconds.
    pub(super) step: f64,
    /// Longest time between two searches of the full frame, seconds; infinite for none at all.
    pub(super) interval: f64,
    /// CPU time for searches, milliseconds per second.
    pub(super) budget: f64,
    /// Whether a face awaits confirmation by a search of the full frame.
    pub(super) is_tentative: bool,
    /// Where known faces are expected whose pixels are lost.
    pub(super) lost_faces: &'a [Rect],
    /// Boxes of small faces, and whether each is urgent: it awaits confirmation or is out of sight.
    pub(super) small_faces: &'a [(Rect, bool)],
    /// Searches in this frame at most.
    pub(super) most: usize,
    /// Whether frames go on while one is searched: then the first answer should come soon.
    pub(super) is_background: bool,
}

/// A tile, and when it was searched.
#[derive(Debug, Clone)]
struct TileTurn {
    tile: Tile,
    /// Whether its second scale is next.
    is_second: bool,
    cost: f64,
    /// When it was searched last.
    searched: f64,
    /// Share of it that has changed since.
    motion: f64,
}

/// Plans the searches of one stream.
#[derive(Debug, Default)]
pub(super) struct SearchScheduler {
    made_for: Option<(FrameInfo, Sizing, RoiFilter, f32)>,
    full: Option<(SearchRegion, f64)>,
    /// Two scales, or none.
    enlarged: Vec<(SearchRegion, f64)>,
    tiles: Vec<TileTurn>,
    /// What a detector pixel counts, milliseconds.
    rate: f64,
    /// CPU time that may be spent, milliseconds.
    savings: Option<f64>,
    /// When the full frame was searched last.
    searched: Option<f64>,
    /// When lost faces were searched for last.
    searched_around: f64,
    turn: u32,
    /// Share of the frame that has changed since it was searched.
    motion: f64,
    /// Whether a search of the full frame was due at the latest frame.
    is_due: bool,
}

impl SearchScheduler {
    /// Forgets what was searched: another scene begins, and is searched at once.
    pub(super) fn restart(&mut self) {
        self.searched = None;
        self.turn = 0;
        for tile in &mut self.tiles {
            tile.searched = f64::NEG_INFINITY;
        }
    }

    /// Lays out the searches of the part of a frame of `info` that `roi` asks for, for a detector
    /// that sees frames as `sizing` says; the frame was enlarged `source_scale` times before. The same
    /// again changes nothing.
    pub(super) fn cover(
        &mut self,
        info: &FrameInfo,
        sizing: &Sizing,
        roi: &RoiFilter,
        source_scale: f32,
    ) {
        let known = self.made_for.as_ref();
        if known.is_some_and(|(i, s, r, f)| (i, s, r, *f) == (info, sizing, roi, source_scale)) {
            return;
        }
        self.made_for = Some((*info, *sizing, roi.clone(), source_scale));
        // Some see frames at their own scale only.
        let factor = sizing.ms_per_megapixel.map_or(1.0, |_| source_scale.max(1.0));
        let layout = SearchLayout::new(info, roi, factor, |w, h| sizing.full_scale(w, h));
        self.rate = f64::from(sizing.ms_per_megapixel.unwrap_or(0.0)) * 1e-6;
        let with_cost = |region: SearchRegion| (region, self.cost_of(&region));
        let full = with_cost(layout.full);
        // Others can only be had at another scale.
        let other = sizing.ms_per_megapixel.map(|_| layout);
        let (enlarged, tiles) = other.map(|l| (l.enlarged, l.tiles)).unwrap_or_default();
        let enlarged = enlarged.into_iter().map(with_cost).collect();
        let turn = |tile: Tile| TileTurn {
            cost: self.cost_of(&tile.region),
            tile,
            is_second: false,
            searched: f64::NEG_INFINITY,
            motion: 0.0,
        };
        let tiles = tiles.into_iter().map(turn).collect();
        (self.full, self.enlarged, self.tiles) = (Some(full), enlarged, tiles);
        self.searched = None;
    }

    /// What a search of `region` counts in the plan, milliseconds of CPU time; 0 if nobody knows.
    pub(super) fn cost_of(&self, region: &SearchRegion) -> f64 {
        self.rate * region.input_pixels()
    }

    /// Whether a search of the full frame was due at the latest frame.
    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Detector pixels per frame pixel in a search of the full frame.
    pub(super) fn full_scale(&self) -> f32 {
        self.full.map_or(1.0, |(region, _)| region.scale)
    }

    /// Notes which part of each tile has changed with this frame, 0 to 1.
    pub(super) fn note_motion(&mut self, changed: impl Fn(&Window) -> f32) {
        if let Some((full, _)) = &self.full {
            self.motion = self.motion.max(f64::from(changed(&full.window)));
        }
        for tile in &mut self.tiles {
            tile.motion = tile.motion.max(f64::from(changed(&tile.tile.region.window)));
        }
    }

    /// The searches of this frame; the full frame comes first.
    pub(super) fn plan(&mut self, s: &Situation<'_>) -> Vec<SearchRegion> {
        let savings = self.savings.unwrap_or(s.budget * SAVINGS) + s.budget * s.step;
        let mut savings = savings.min(s.budget * SAVINGS.max(s.step));
        let mut regions = Vec::new();
        let is_first = self.searched.is_none();
        self.is_due = self.is_full_due(s, savings);
        let around = self.plan_around(s, &mut savings);
        if !around.is_empty() {
            // Alone: their answer is not to wait for another.
            self.savings = Some(savings);
            return around;
        }
        if s.most > 0 && (self.is_due || self.has_news(s, savings)) {
            regions.extend(self.plan_full(s, &mut savings));
        }
        let most = if is_first && s.is_background { regions.len().min(s.most) } else { s.most };
        let before = savings;
        while regions.len() < most {
            let spent = before - savings;
            let Some((region, cost)) = self.next_tile(s, savings, spent) else { break };
            savings -= cost;
            regions.push(region);
        }
        // Searches of the full frame may overdraw it, but not for long.
        self.savings = Some(savings.max(-s.budget * SAVINGS));
        regions
    }

    fn is_full_due(&self, s: &Situation<'_>, savings: f64) -> bool {
        let Some(searched) = self.searched else { return s.interval.is_finite() };
        let since = s.now - searched;
        if s.interval.is_infinite() {
            return false;
        }
        let can_pay = self.full.is_some_and(|(_, cost)| savings >= cost);
        let is_lost = !s.lost_faces.is_empty();
        let is_around = s.is_background && self.can_scale();
        let soon = s.is_tentative || is_lost && is_around;
        let interval = if soon { s.interval / 2.0 } else { s.interval };
        // The frame that is nearest to the time.
        since + s.step / 2.0 >= interval
            || s.step >= SPARSE
            || is_lost && !is_around && can_pay && since + s.step / 2.0 >= LEAST_INTERVAL
    }

    /// Whether the detector can be shown pictures at any scale.
    fn can_scale(&self) -> bool {
        self.rate > 0.0
    }

    /// Searches around the places of lost faces, if they are due and can be paid for.
    fn plan_around(&mut self, s: &Situation<'_>, savings: &mut f64) -> Vec<SearchRegion> {
        let since = s.now - self.searched_around;
        if !s.is_background
            || s.most == 0
            || !self.can_scale()
            || s.interval.is_infinite()
            || (0.0..LEAST_INTERVAL).contains(&(since + s.step / 2.0))
        {
            return Vec::new();
        }
        let Some((full, _)) = self.full else { return Vec::new() };
        let mut regions: Vec<_> =
            s.lost_faces.iter().filter_map(|face| region_around(&full, face)).collect();
        regions.truncate(MOST_AROUND);
        let cost = regions.iter().map(|region| self.cost_of(region)).sum::<f64>();
        if regions.is_empty() || cost > *savings {
            return Vec::new();
        }
        *savings -= cost;
        self.searched_around = s.now;
        regions
    }

    /// Whether something moves in the frame that no search has seen, and may be a face.
    fn has_news(&self, s: &Situation<'_>, savings: f64) -> bool {
        let since = self.searched.map_or(0.0, |searched| s.now - searched);
        self.motion >= NEW_MOTION
            && s.interval.is_finite()
            && since + s.step / 2.0 >= NEWS_INTERVAL
            && savings >= RICH * SAVINGS * s.budget
            && self.full.is_some_and(|(_, cost)| cost <= savings)
    }

    fn plan_full(&mut self, s: &Situation<'_>, savings: &mut f64) -> Option<SearchRegion> {
        let is_first = s.is_background && self.turn == 0;
        let plain = is_first || self.turn % PLAIN_TURN == PLAIN_TURN - 1;
        let enlarged = self.enlarged.get(self.turn as usize % 2);
        let enlarged = enlarged.copied().filter(|(_, cost)| !plain && *cost <= *savings);
        let (region, cost) = enlarged.or(self.full)?;
        self.turn += 1;
        self.motion = 0.0;
        self.searched = Some(s.now);
        *savings -= cost;
        Some(region)
    }

    /// Seconds from one search of a tile to the next.
    fn period(tile: &TileTurn, s: &Situation<'_>) -> f64 {
        let interval = if s.interval.is_finite() { s.interval } else { USUAL_INTERVAL };
        let inside = |(rect, _): &&(Rect, bool)| tile.tile.region.contains(rect);
        let mut faces = s.small_faces.iter().filter(inside).peekable();
        let has_face = faces.peek().is_some();
        if faces.any(|(_, is_urgent)| *is_urgent) {
            URGENT * interval
        } else if has_face || tile.motion > 0.0 {
            interval
        } else {
            STILL * interval
        }
    }

    /// The tile that should be searched next, if it can be paid for.
    fn next_tile(
        &mut self,
        s: &Situation<'_>,
        savings: f64,
        spent: f64,
    ) -> Option<(SearchRegion, f64)> {
        let mut next: Option<(f64, usize)> = None;
        for (i, tile) in self.tiles.iter().enumerate().filter(|(_, t)| t.searched < s.now) {
            let since = s.now - tile.searched;
            let period = Self::period(tile, s);
            // What has not been searched yet comes first, in its order.
            let priority = if since.is_finite() { since / period.max(1e-6) } else { f64::INFINITY };
            // The frame that is nearest to the time.
            let is_due = since + s.step / 2.0 >= period;
            if is_due && next.is_none_or(|(most, _)| priority > most) {
                next = Some((priority, i));
            }
        }
        let tile = &mut self.tiles[next?.1];
        // What a search of the full frame may need at any moment is left.
        let reserve = self.full.map_or(0.0, |(_, cost)| cost);
        let is_burst = spent > 0.0 && spent + tile.cost > s.budget * BURST.max(s.step);
        if tile.cost + reserve > savings || is_burst {
            return None;
        }
        tile.searched = s.now;
        tile.motion = 0.0;
        let second = tile.tile.second.filter(|_| tile.is_second);
        tile.is_second = !tile.is_second;
        Some((second.unwrap_or(tile.tile.region), tile.cost))
    }
}

#[cfg(test)]
mod tests;
