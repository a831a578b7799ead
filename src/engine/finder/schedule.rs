//! What is searched of each frame: a plan under a budget of CPU time.
//!
//! The full frame is searched at an interval. What the budget leaves goes to searches that show
//! faces larger: the full frame enlarged, if it is small, else tiles of it. Each tile has a period:
//! short where a small face awaits confirmation, longer where one is known or something moves, long
//! where nothing does. What is overdue by most of its period comes first.
//!
//! The plan depends on nothing but what it is told, so that the same frames are searched in the
//! same way on every machine.

use crate::detect::Sizing;
use crate::frame::FrameInfo;
use crate::geometry::Rect;
use crate::search::{RoiFilter, SearchLayout, SearchRegion, Tile, Window};

/// Every so many-th search of a full frame is not enlarged: large faces are found best so.
const PLAIN_TURN: u32 = 8;

/// Frames further apart than this are all searched, seconds: faces go too far in between.
const SPARSE: f64 = 0.11;
/// A face whose pixels are lost is searched for after so many seconds.
const LEAST_INTERVAL: f64 = 0.08;
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
    /// Whether the pixels of a known face are lost.
    pub(super) is_lost: bool,
    /// Boxes of small faces, and whether each is urgent: it awaits confirmation or is out of sight.
    pub(super) small_faces: &'a [(Rect, bool)],
    /// Searches in this frame at most.
    pub(super) most: usize,
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
    made_for: Option<(FrameInfo, Sizing, RoiFilter)>,
    full: Option<(SearchRegion, f64)>,
    /// Two scales, or none.
    enlarged: Vec<(SearchRegion, f64)>,
    tiles: Vec<TileTurn>,
    /// CPU time that may be spent, milliseconds.
    savings: Option<f64>,
    /// When the full frame was searched last.
    searched: Option<f64>,
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
    /// that sees frames as `sizing` says; the same again changes nothing.
    pub(super) fn cover(&mut self, info: &FrameInfo, sizing: &Sizing, roi: &RoiFilter) {
        let known = self.made_for.as_ref();
        if known.is_some_and(|(i, s, r)| (i, s, r) == (info, sizing, roi)) {
            return;
        }
        self.made_for = Some((*info, *sizing, roi.clone()));
        let layout = SearchLayout::new(info, roi, |w, h| sizing.full_scale(w, h));
        let rate = f64::from(sizing.ms_per_megapixel.unwrap_or(0.0));
        let with_cost = |region: SearchRegion| (region, rate * region.input_pixels() * 1e-6);
        self.full = Some(with_cost(layout.full));
        self.searched = None;
        // Others can only be had at another scale.
        let other = sizing.ms_per_megapixel.map(|_| layout);
        let (enlarged, tiles) = other.map(|l| (l.enlarged, l.tiles)).unwrap_or_default();
        self.enlarged = enlarged.into_iter().map(with_cost).collect();
        let turn = |tile: Tile| TileTurn {
            cost: with_cost(tile.region).1,
            tile,
            is_second: false,
            searched: f64::NEG_INFINITY,
            motion: 0.0,
        };
        self.tiles = tiles.into_iter().map(turn).collect();
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
        self.is_due = self.is_full_due(s, savings);
        if s.most > 0 && (self.is_due || self.has_news(s, savings)) {
            regions.extend(self.plan_full(s, &mut savings));
        }
        let before = savings;
        while regions.len() < s.most {
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
        let interval = if s.is_tentative { s.interval / 2.0 } else { s.interval };
        // The frame that is nearest to the time.
        since + s.step / 2.0 >= interval
            || s.step >= SPARSE
            || s.is_lost && can_pay && since + s.step / 2.0 >= LEAST_INTERVAL
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
        let plain = self.turn % PLAIN_TURN == PLAIN_TURN - 1;
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
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    const NETWORK: Sizing =
        Sizing { long_side: 960, small_frame: 640, width: 0, ms_per_megapixel: Some(48.0) };

    fn situation(now: f64, step: f64) -> Situation<'static> {
        Situation {
            now,
            step,
            interval: 0.32,
            budget: 500.0,
            is_tentative: false,
            is_lost: false,
            small_faces: &[],
            most: 100,
        }
    }

    fn scheduler(size: (u32, u32)) -> SearchScheduler {
        let mut scheduler = SearchScheduler::default();
        let info = FrameInfo::new(PixelFormat::I420, size.0, size.1);
        scheduler.cover(&info, &NETWORK, &RoiFilter::default());
        scheduler
    }

    /// Times at which the full frame is searched in 3 seconds at a rate.
    fn full_searches(rate: u32, change: impl Fn(&mut Situation<'_>)) -> Vec<f64> {
        let mut scheduler = scheduler((1280, 720));
        let step = 1.0 / f64::from(rate);
        let mut times = Vec::new();
        for i in 0..3 * rate {
            let mut s = situation(f64::from(i) * step, step);
            change(&mut s);
            let full = scheduler.plan(&s).iter().filter(|region| !region.is_tile).count();
            times.extend((full > 0).then_some(s.now));
        }
        times
    }

    #[test]
    fn full_frame_is_searched_at_the_interval_whatever_the_rate() {
        for rate in [12, 25, 50, 120] {
            let times = full_searches(rate, |_| {});
            let step = 1.0 / f64::from(rate);
            for pair in times.windows(2) {
                let interval = pair[1] - pair[0];
                assert!((interval - 0.32).abs() <= step / 2.0 + 1e-9, "{rate}: {interval}");
            }
        }
    }

    #[test]
    fn every_frame_is_searched_below_nine_frames_a_second() {
        for rate in [1, 2, 4, 8] {
            assert_eq!(full_searches(rate, |_| {}).len(), 3 * rate as usize, "{rate}");
        }
    }

    #[test]
    fn interval_of_zero_searches_every_frame_and_infinity_none() {
        assert_eq!(full_searches(25, |s| s.interval = 0.0).len(), 75);
        let mut scheduler = scheduler((1920, 1080));
        let s = Situation { interval: f64::INFINITY, budget: 0.0, ..situation(0.0, 0.04) };
        assert_eq!(scheduler.plan(&s), []);
    }

    #[test]
    fn tentative_and_lost_faces_are_searched_for_sooner() {
        let usual = full_searches(25, |_| {}).len();
        let tentative = full_searches(25, |s| s.is_tentative = true).len();
        let lost = full_searches(25, |s| s.is_lost = true).len();
        assert!(tentative >= 2 * usual - 1, "{tentative}");
        assert!(lost > tentative, "{lost}");
        let poor = full_searches(25, |s| (s.is_lost, s.budget) = (true, 0.0)).len();
        assert_eq!(poor, usual);
    }

    #[test]
    fn no_setting_searches_less_than_a_poorer_one() {
        let count = |interval: f64, budget: f64| {
            let mut scheduler = scheduler((1920, 1080));
            let plan = |i: u32| {
                scheduler.note_motion(|_| 0.001);
                let step = 0.04;
                let s = situation(f64::from(i) * step, step);
                scheduler.plan(&Situation { interval, budget, ..s })
            };
            let regions: Vec<_> = (0..100).flat_map(plan).collect();
            let tiles = regions.iter().filter(|region| region.is_tile).count();
            (regions.len() - tiles, tiles)
        };
        let (few, tiles) = count(0.32, 250.0);
        let (more, still) = count(0.32, 1000.0);
        assert!(more == few && still > 2 * tiles, "{few} {tiles} {more} {still}");
        assert!(count(0.0, 250.0).0 > few);
        // With every frame searched, tiles are searched too, if they can be paid for.
        assert!(count(0.0, 1000.0).1 > 0);
        assert_eq!(count(0.32, 0.0).1, 0);
    }

    #[test]
    fn budget_is_kept_over_time() {
        for size in [(1920, 1080), (1280, 720), (640, 360), (3840, 2160)] {
            let mut scheduler = scheduler(size);
            let cost = |region: &SearchRegion| region.input_pixels() * 48e-6;
            let (mut spent, rate) = (0.0, 25);
            for i in 0..10 * rate {
                let s = situation(f64::from(i) / 25.0, 0.04);
                spent += scheduler.plan(&s).iter().map(cost).sum::<f64>();
            }
            // The savings of a second are spent at the start.
            assert!(spent < 11.2 * 500.0, "{size:?}: {spent}");
            assert!(spent > 1000.0, "{size:?}: {spent}");
        }
    }

    #[test]
    fn large_faces_have_their_turn_in_small_frames() {
        let mut scheduler = scheduler((640, 360));
        let plan = |i: u32| {
            let s = situation(f64::from(i) * 0.32, 0.32);
            scheduler.plan(&Situation { budget: 1e6, ..s })[0].scale
        };
        let scales: Vec<f32> = (0..32).map(plan).collect();
        assert_eq!(scales.iter().filter(|scale| **scale == 1.0).count(), 4);
    }

    #[test]
    fn tiles_with_small_faces_or_motion_come_more_often_and_none_starves() {
        let count = |faces: &[(Rect, bool)], motion: bool| {
            let mut scheduler = scheduler((1920, 1080));
            let busy = Rect::new(960.0, 540.0, 12.0, 12.0);
            let (mut inside, mut all) = (0, std::collections::HashMap::new());
            for i in 0..1500 {
                if motion {
                    let holds = |w: &Window| f32::from(u8::from(w.rect().contains(busy.center())));
                    scheduler.note_motion(holds);
                }
                let s = situation(f64::from(i) * 0.04, 0.04);
                let plan = scheduler.plan(&Situation { small_faces: faces, ..s });
                for region in plan.iter().filter(|region| region.is_tile) {
                    inside += usize::from(region.contains(&busy));
                    let w = &region.window;
                    let key = (w.x, w.y, (10.0 * region.scale) as u32);
                    *all.entry(key).or_insert(0) += 1;
                }
            }
            (inside, all.len(), all.values().copied().min().unwrap_or(0))
        };
        let face = |tentative| [(Rect::new(960.0, 540.0, 12.0, 12.0), tentative)];
        let (idle, tiles, least) = count(&[], false);
        assert!(least > 0);
        for (inside, seen, least) in
            [count(&face(false), false), count(&face(true), false), count(&[], true)]
        {
            assert!(inside as f64 > 1.4 * idle as f64, "{inside} and {idle}");
            assert!(seen == tiles && least > 0);
        }
    }

    #[test]
    fn all_tiles_are_searched_within_a_second() {
        let mut scheduler = scheduler((1920, 1080));
        let mut seen = std::collections::HashSet::new();
        for i in 0..25 {
            for r in scheduler.plan(&situation(f64::from(i) * 0.04, 0.04)) {
                if r.is_tile {
                    seen.insert((r.window.x, r.window.y, r.is_enlarged));
                }
            }
        }
        assert_eq!(seen.len(), scheduler.tiles.len());
    }

    #[test]
    fn small_face_that_awaits_confirmation_is_seen_at_another_scale_within_a_fifth_of_a_second() {
        let mut scheduler = scheduler((1920, 1080));
        let face = Rect::new(960.0, 540.0, 12.0, 12.0);
        let mut scales = Vec::new();
        for i in 0..100 {
            let s = situation(f64::from(i) * 0.04, 0.04);
            let faces = [(face, true)];
            let small_faces = if i < 50 { &[][..] } else { &faces[..] };
            for r in scheduler.plan(&Situation { small_faces, ..s }) {
                if (50..55).contains(&i) && r.is_enlarged && r.contains(&face) {
                    scales.push(r.scale);
                }
            }
        }
        assert!(scales.contains(&2.0) && scales.contains(&1.6), "{scales:?}");
    }

    #[test]
    fn tiles_in_which_nothing_moves_leave_most_of_the_budget() {
        let spent = |motion: f32| {
            let mut scheduler = scheduler((1920, 1080));
            let mut spent = 0.0;
            for i in 0..500 {
                scheduler.note_motion(|_| motion);
                for r in scheduler.plan(&situation(f64::from(i) * 0.04, 0.04)) {
                    spent += r.input_pixels() * 48e-6;
                }
            }
            spent / 20.0
        };
        assert!(spent(0.0) < 350.0, "{}", spent(0.0));
        assert!(spent(0.001) > 480.0, "{}", spent(0.001));
    }

    #[test]
    fn motion_is_searched_sooner_while_there_are_savings() {
        let searches = |budget: f64| {
            let mut scheduler = scheduler((1280, 720));
            let mut plan = |i: u32, moves: bool| {
                scheduler.note_motion(|_| if moves { 0.01 } else { 0.0 });
                let s = situation(f64::from(i) * 0.04, 0.04);
                let plan = scheduler.plan(&Situation { budget, most: 1, ..s });
                plan.iter().any(|region| !region.is_tile)
            };
            (0..8).map(|i| plan(i, i == 5)).collect::<Vec<_>>()
        };
        let wanted = [true, false, false, false, false, true, false, false];
        assert_eq!(searches(1000.0), wanted);
        assert_eq!(searches(0.0).iter().filter(|full| **full).count(), 1);
    }

    #[test]
    fn detector_without_scales_searches_the_full_frame_only() {
        let mut scheduler = SearchScheduler::default();
        let info = FrameInfo::new(PixelFormat::I420, 640, 360);
        scheduler.cover(&info, &Sizing::AS_IT_IS, &RoiFilter::default());
        let regions = scheduler.plan(&situation(0.0, 0.04));
        assert_eq!(regions.len(), 1);
        assert!(!regions[0].is_tile && regions[0].scale == 1.0);
    }
}
