//! One face from frame to frame: where it is, how it moves, how much is known of it.

use super::history::History;
use super::optical_flow::{MIN_NCC, Template, TemplateTracker};
use crate::face::{Detection, Face};
use crate::frame::Frame;
use crate::geometry::{CropSquare, Point, Rect};
use crate::search::{Miss, SearchResult};

/// A detection further from a track than this, in face sizes, is another face ...
const MAX_DISTANCE: f32 = 0.7;
/// ... plus this for each second in which nothing has told where the face is. Who runs past a
/// camera moves 10 to 25 face sizes a second.
const MAX_SPEED: f32 = 12.0;
/// ... but no more than this.
const FARTHEST: f32 = 5.0;
/// A detection larger or smaller than the track by more than this factor is another face ...
const MAX_GROWTH: f32 = 1.8;
/// ... plus this for each second.
const GROWTH_SPEED: f32 = 0.5;

/// A face is confirmed once so many searches have found it.
const CONFIRM_HITS: u32 = 2;
/// One that this many have found, and nothing has confirmed, is in no haste.
const MANY_HITS: u32 = 5;
/// One that is found only where the frame is shown larger than the detector's own choice needs a
/// second sign: scales of searches that differ by this factor, ...
const OTHER_SCALE: f32 = 1.2;
/// ... or that it has moved by so much of its size, ...
const MOVED: f32 = 0.5;
/// ... or a score of a search.
const CLEAR_SCORE: f32 = 0.65;
/// Faces that would have so many pixels at the detector's own scale need none.
const PLAIN_SIDE: f32 = 13.0;
/// A track is dropped when the searches that have missed it since the last hit come to this: ...
pub(super) const MAX_MISS_COST: u32 = 12;
/// ... by one search three times, ...
const MISS: u32 = 4;
/// ... sooner if its pixels are lost, too, ...
pub(super) const MISS_UNFOLLOWED: u32 = 8;
/// ... and much later if it looks too small for the search.
const MISS_TOO_SMALL: u32 = 1;
/// A confirmed face is not dropped before so many seconds without a hit.
const MIN_UNCONFIRMED: f64 = 0.9;
/// A face that neither pixels nor a detection have shown for so many seconds is dropped ...
const MAX_UNSEEN: f64 = 1.0;
/// ... or for so many frames, if frames are far apart.
const MAX_UNSEEN_STEPS: f64 = 2.2;
/// Pixels alone carry a face for so many seconds.
const MAX_UNCONFIRMED: f64 = 4.0;

/// A face whose pixels have been lost for more than so many seconds is hidden until it is found
/// again: it is probably occluded.
const HIDE_AFTER: f64 = 0.081;
/// A face that has too little contrast for optical flow is shown by its velocity for so long.
const SHOW_UNFOLLOWED: f64 = 0.45;

/// Velocity of a face that is out of sight shrinks by e in so many seconds.
const COAST: f64 = 0.25;
/// Measured motion becomes velocity with this time constant, seconds: a half at 25 frames/s.
const MOTION_TIME: f64 = 0.058;
/// Measured growth is believed with the same: what is left shows again in the next frame.
const GROWTH_TIME: f64 = 0.058;
/// Share of a position residual, over the time since the last detection, that becomes velocity.
const VELOCITY_GAIN: f32 = 0.5;
/// Two detections of a new face tell its velocity if they are not further apart, seconds.
const MAX_BASELINE: f64 = 1.5;

/// Frames further apart leave it to searches to find a face that has moved, seconds.
const MAX_FLOW_STEP: f64 = 0.11;
/// How far optical flow looks at most, in face sizes, ...
const MAX_REACH: f32 = 1.0;
/// ... and for a face that a search has found some time ago.
const MAX_REACH_OF_NEW: f32 = 3.0;
/// Least correlation where frames are far apart: much may have come to the place of a face.
const SPARSE_CORRELATION: f32 = 0.85;

/// What is known of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackState {
    /// Seen once; it may be a false detection.
    Tentative,
    /// A face that is in sight.
    Confirmed,
    /// A face that is out of sight, and may be found again.
    Lost,
    /// To be removed.
    Deleted,
}

#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) id: u64,
    pub(super) center: Point,
    /// Luma pixels a second.
    pub(super) velocity: Point,
    pub(super) w: f32,
    pub(super) h: f32,
    pub(super) score: f32,
    /// Searches that have found it.
    pub(super) hits: u32,
    pub(super) confirmed: bool,
    /// Cost of the misses since the last hit.
    pub(super) miss_cost: u32,
    /// Scale of the search that found it last: detector pixels per frame pixel.
    pub(super) scale: f32,
    /// Smallest and largest scale of the searches that have found it.
    scales: (f32, f32),
    /// Whether a search that did not enlarge has found it, or could.
    is_plain: bool,
    best_score: f32,
    born: Point,
    /// Whether a tile found it last.
    pub(super) from_tile: bool,
    /// Time that `center` is for, seconds.
    pub(super) time: f64,
    /// When a detection was last matched.
    pub(super) hit_at: f64,
    /// When a detection or its pixels last told where it is.
    pub(super) seen_at: f64,
    /// When it was first detected.
    pub(super) born_at: f64,
    /// Seconds between the latest two frames.
    step: f64,
    history: History,
    /// Its appearance when a detection was last matched.
    pub(super) template: Option<Template>,
    /// Whether optical flow found it in the latest frame.
    pub(super) followed: bool,
    /// Set aside: a cut or a flash may have hidden it.
    pub(super) suspended: bool,
}

impl Track {
    /// One that begins with a detection at a time, made by a search at a scale.
    pub(super) fn begin(
        id: u64,
        detection: &Detection,
        at: f64,
        confirmed: bool,
        result: &SearchResult<'_>,
    ) -> Self {
        let mut history = History::default();
        history.push(at, detection.rect.center());
        Self {
            id,
            center: detection.rect.center(),
            velocity: Point::default(),
            w: detection.rect.w,
            h: detection.rect.h,
            score: detection.score,
            hits: 1,
            confirmed,
            miss_cost: 0,
            scale: result.scale(),
            scales: (result.scale(), result.scale()),
            is_plain: is_plain(&detection.rect, result),
            best_score: detection.score,
            born: detection.rect.center(),
            from_tile: result.is_tile(),
            time: at,
            hit_at: at,
            seen_at: at,
            born_at: at,
            step: 0.0,
            history,
            template: None,
            followed: false,
            suspended: false,
        }
    }

    pub(super) fn face(&self) -> Face {
        Face { id: self.id, rect: self.rect(), score: self.score }
    }

    fn side(&self) -> f32 {
        self.w.max(self.h)
    }

    /// The square whose pixels are followed, if the face is centered there.
    fn square_at(&self, center: Point) -> CropSquare {
        let side = self.side();
        CropSquare { x: center.x - side / 2.0, y: center.y - side / 2.0, side }
    }

    pub(super) fn rect(&self) -> Rect {
        self.rect_at(self.center)
    }

    fn rect_at(&self, center: Point) -> Rect {
        Rect::new(center.x - self.w / 2.0, center.y - self.h / 2.0, self.w, self.h)
    }

    /// Where it was at an earlier time.
    pub(super) fn position(&self, at: f64) -> Point {
        self.history.at(at).unwrap_or(self.center)
    }

    /// Seconds before `at` in which nothing has told where it was.
    pub(super) fn unseen(&self, at: f64) -> f64 {
        (at - self.seen_at).max(0.0)
    }

    /// Distance of a detection at a time over the greatest distance at which it may belong to this
    /// track: below 1. `None` beyond the gates, which widen with the time in which the face may have moved.
    pub(super) fn distance(&self, rect: &Rect, at: f64) -> Option<f32> {
        let unseen = self.unseen(at) as f32;
        let (own, other) = (self.side(), rect.w.max(rect.h));
        let (c, p) = (rect.center(), self.position(at));
        let distance = (c.x - p.x).hypot(c.y - p.y) / own.max(other);
        let gate = (MAX_DISTANCE + MAX_SPEED * unseen).min(FARTHEST);
        let growth = (other / own).max(own / other);
        let max_growth = MAX_GROWTH + GROWTH_SPEED * unseen.min(1.0);
        (distance < gate && growth < max_growth).then_some(distance / gate)
    }

    /// Goes on to the time `now`, to where its pixels are found again in `frame`.
    pub(super) fn advance(
        &mut self,
        now: f64,
        frame: Option<&Frame<'_>>,
        matcher: &mut TemplateTracker,
    ) {
        let step = now - self.time;
        if step <= 0.0 {
            return;
        }
        if self.suspended {
            // Only if it is still there, the picture has not changed for it.
            let found = self.find(frame, self.center, (0.0, SPARSE_CORRELATION), matcher);
            if found.is_none() {
                return;
            }
            self.suspended = false;
        }
        if !self.followed && self.miss_cost > 0 {
            let coast = (-step / COAST).exp() as f32;
            self.velocity = Point { x: self.velocity.x * coast, y: self.velocity.y * coast };
        }
        let by = step as f32;
        self.center.x += self.velocity.x * by;
        self.center.y += self.velocity.y * by;
        // A search may have answered late: a face that is new has to be found over all that time.
        let is_new = self.time == self.born_at && self.hits == 1;
        let reach = if is_new || step < MAX_FLOW_STEP {
            let most = if is_new { MAX_REACH_OF_NEW } else { MAX_REACH };
            // Of a new face the speed is not known.
            let least = if self.hits == 1 && self.miss_cost == 0 { MAX_REACH } else { 0.0 };
            (MAX_SPEED * self.unseen(now) as f32).clamp(least, most)
        } else {
            0.0
        };
        self.time = now;
        self.step = step;
        let sparse = !is_new && step >= MAX_FLOW_STEP;
        let min = if sparse { SPARSE_CORRELATION } else { MIN_NCC };
        match self.find(frame, self.center, (reach, min), matcher) {
            Some((motion, growth)) => self.take_motion(motion, growth, step),
            None => self.followed = false,
        }
        self.history.push(now, self.center);
    }

    /// How it has moved from where it is expected, and grown, if it is found.
    fn find(
        &self,
        frame: Option<&Frame<'_>>,
        center: Point,
        (reach, min_correlation): (f32, f32),
        matcher: &mut TemplateTracker,
    ) -> Option<(Point, f32)> {
        let (template, frame) = (self.template.as_ref()?, frame?);
        let motion =
            matcher.find(frame, template, &self.square_at(center), reach, min_correlation)?;
        Some((motion.translation, motion.growth))
    }

    fn take_motion(&mut self, translation: Point, growth: f32, step: f64) {
        self.followed = true;
        self.seen_at = self.time;
        self.center = Point { x: self.center.x + translation.x, y: self.center.y + translation.y };
        // The prediction contained the velocity so far already.
        let gain = (1.0 - (-step / MOTION_TIME).exp()) as f32 / step as f32;
        self.velocity.x += gain * translation.x;
        self.velocity.y += gain * translation.y;
        let gain = (1.0 - (-step / GROWTH_TIME).exp()) as f32;
        let growth = 1.0 + gain * (growth - 1.0);
        self.w *= growth;
        self.h *= growth;
    }

    /// Takes in a detection of the time `at`, which may be past: what it shows of the position then
    /// is true of the position now.
    pub(super) fn update(
        &mut self,
        detection: &Detection,
        at: f64,
        smoothing: f32,
        result: &SearchResult<'_>,
    ) {
        let (c, p) = (detection.rect.center(), self.position(at));
        let (dx, dy) = (c.x - p.x, c.y - p.y);
        let since = at - self.hit_at;
        let is_known = self.seen_at >= at && self.followed;
        // The noise of a detector is a few hundredths of the face's size; what is further off is
        // motion, which is followed at once.
        let off = dx.hypot(dy) / self.side();
        let (steady, size_gain) = if is_known {
            let steady = 1.0 - smoothing * (1.9 - smoothing);
            (steady, steady)
        } else {
            (1.0 - 0.8 * smoothing, 1.0 - 0.9 * smoothing)
        };
        let gain = |steady: f32, off: f32| (steady + (1.0 - steady) * (off / 0.2).powi(2)).min(1.0);
        let center_gain = gain(steady, off);
        let by = Point { x: center_gain * dx, y: center_gain * dy };
        self.center = Point { x: self.center.x + by.x, y: self.center.y + by.y };
        self.history.shift(by);
        if !is_known && since > 1e-3 {
            let share = if self.hits > 1 {
                VELOCITY_GAIN * center_gain
            } else if since < MAX_BASELINE {
                1.0
            } else {
                0.0
            };
            let share = share / since as f32;
            self.velocity.x += share * dx;
            self.velocity.y += share * dy;
        }
        let resized = (detection.rect.w.max(detection.rect.h) / self.side()).ln();
        let size_gain = gain(size_gain, resized);
        self.w += size_gain * (detection.rect.w - self.w);
        self.h += size_gain * (detection.rect.h - self.h);
        self.score = detection.score;
        self.hits += 1;
        self.miss_cost = 0;
        self.hit_at = at;
        self.seen_at = self.seen_at.max(at);
        (self.scale, self.from_tile) = (result.scale(), result.is_tile());
        self.scales = (self.scales.0.min(self.scale), self.scales.1.max(self.scale));
        self.is_plain |= is_plain(&detection.rect, result);
        self.best_score = self.best_score.max(detection.score);
    }

    /// Notes its appearance in the frame of the time `at`.
    pub(super) fn remember(&mut self, frame: &Frame<'_>, at: f64, matcher: &mut TemplateTracker) {
        let square = self.square_at(self.position(at));
        self.template = matcher.extract(frame, &square);
        if self.time <= at {
            self.followed = self.template.is_some();
        }
    }

    /// Takes in that a search of the time `at` has not found it.
    pub(super) fn miss(&mut self, result: &SearchResult<'_>, at: f64) {
        let is_followed = self.followed && self.seen_at >= at;
        // Its pixels speak for a face that the detector does not see this time.
        self.miss_cost +=
            match (result.miss(&self.rect_at(self.position(at)), self.scale), is_followed) {
                (Miss::Nothing, _) => 0,
                (Miss::Little, true) => MISS_TOO_SMALL,
                (Miss::Much, true) | (Miss::Little, false) => MISS,
                (Miss::Much, false) => MISS_UNFOLLOWED,
            };
    }

    /// Whether what has been seen of it is enough to be a face.
    pub(super) fn has_enough_hits(&self) -> bool {
        let moved = (self.center.x - self.born.x).hypot(self.center.y - self.born.y);
        let has_sign = self.is_plain
            || self.scales.1 >= OTHER_SCALE * self.scales.0
            || moved >= MOVED * self.side()
            || self.best_score >= CLEAR_SCORE;
        self.hits >= CONFIRM_HITS && has_sign
    }

    /// Whether another search of the full frame may confirm it.
    pub(super) fn awaits_full_search(&self) -> bool {
        !self.confirmed && !self.from_tile && self.miss_cost == 0
    }

    /// Whether another search of the tile it lies in may confirm it. What many searches have found
    /// without a second sign is no face that is worth haste.
    pub(super) fn awaits_tile(&self) -> bool {
        !self.confirmed && self.from_tile && self.miss_cost < MISS && self.hits < MANY_HITS
    }

    /// Whether it is known, but its pixels are not found.
    pub(super) fn is_lost(&self) -> bool {
        self.confirmed && !self.followed && self.template.is_some()
    }

    pub(super) fn state(&self) -> TrackState {
        if self.suspended {
            return TrackState::Lost;
        }
        let (unseen, unconfirmed) = (self.time - self.seen_at, self.time - self.hit_at);
        let min_unconfirmed = if self.confirmed { MIN_UNCONFIRMED } else { 0.0 };
        if self.miss_cost >= MAX_MISS_COST && unconfirmed >= min_unconfirmed
            || unseen > MAX_UNSEEN.max(MAX_UNSEEN_STEPS * self.step)
            || unconfirmed > MAX_UNCONFIRMED.max(MAX_UNSEEN_STEPS * self.step)
        {
            return TrackState::Deleted;
        }
        if !self.confirmed {
            return TrackState::Tentative;
        }
        let limit = if self.template.is_some() || self.miss_cost > 0 {
            HIDE_AFTER
        } else {
            SHOW_UNFOLLOWED
        };
        if unseen <= limit { TrackState::Confirmed } else { TrackState::Lost }
    }
}

/// Whether a search has seen a face as it is, or large enough to be seen so.
pub(super) fn is_plain(rect: &Rect, result: &SearchResult<'_>) -> bool {
    !result.is_enlarged() || rect.w.max(rect.h) * result.full_scale >= PLAIN_SIDE
}
