//! One face from frame to frame: where it is, how it moves, how much is known of it.

use super::optical_flow::{Template, TemplateTracker};
use crate::face::{Detection, Face};
use crate::frame::Frame;
use crate::geometry::{CropSquare, Point, Rect};
use crate::search::{SearchResult, is_small};

/// A detection further from a track than this, in face sizes, is another face.
const MAX_DISTANCE: f32 = 0.7;
/// A detection larger or smaller than the track by more than this factor is another face.
const MAX_GROWTH: f32 = 1.8;
/// A track is believed once so many detections have met it.
const CONFIRM_HITS: u32 = 2;
/// A track is dropped when the searches that have missed it since the last hit come to this: ...
pub(super) const PATIENCE: u32 = 12;
/// ... by one search three times, ...
const MISS: u32 = 4;
/// ... sooner if its pixels are lost, too, ...
pub(super) const MISS_UNFOLLOWED: u32 = 8;
/// ... and much later if it was a tile that found it, and the reduced frame does not show it.
const MISS_TOO_SMALL: u32 = 1;
/// A face whose pixels have been lost for more than so many frames is not shown until it is found again: a
/// hand or a head may be before it.
const MAX_LOST: u32 = 2;
/// While detections miss a track, its speed shrinks by this factor a frame.
const COAST: f32 = 0.85;
/// Share of a position residual, per frame since the last detection, that becomes speed.
const SPEED_GAIN: f32 = 0.35;
/// Share of a measured motion that becomes speed.
const MOTION_GAIN: f32 = 0.5;
/// Share of a measured growth that is believed: what is left shows again in the next frame.
const GROWTH_GAIN: f32 = 0.5;

#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) id: u64,
    pub(super) center: Point,
    pub(super) speed: Point,
    pub(super) w: f32,
    pub(super) h: f32,
    pub(super) score: f32,
    pub(super) hits: u32,
    /// What the misses since the last hit come to.
    pub(super) misses: u32,
    /// Frames since a search that should have met it.
    pub(super) since: f32,
    /// Whether it was a tile, at full resolution, that met it last.
    pub(super) close: bool,
    /// What it looked like when a detection last met it.
    pub(super) look: Option<Template>,
    /// Whether it was found by its pixels in the latest frame.
    pub(super) followed: bool,
    /// Frames since it was, if it was looked for.
    pub(super) lost: u32,
}

impl Track {
    /// One that begins with what was `seen`, by a tile if `close`; whether that is `believed` at once.
    pub(super) fn begin(id: u64, seen: &Detection, believed: bool, close: bool) -> Self {
        Self {
            id,
            center: seen.rect.center(),
            speed: Point::default(),
            w: seen.rect.w,
            h: seen.rect.h,
            score: seen.score,
            hits: if believed { CONFIRM_HITS } else { 1 },
            misses: 0,
            since: 0.0,
            close,
            look: None,
            followed: false,
            lost: 0,
        }
    }

    pub(super) fn face(&self) -> Face {
        Face { id: self.id, rect: self.rect(), score: self.score }
    }

    /// The square whose pixels are followed.
    pub(super) fn square(&self) -> CropSquare {
        let side = self.w.max(self.h);
        CropSquare { x: self.center.x - side / 2.0, y: self.center.y - side / 2.0, side }
    }

    pub(super) fn rect(&self) -> Rect {
        Rect::new(self.center.x - self.w / 2.0, self.center.y - self.h / 2.0, self.w, self.h)
    }

    /// Distance of a detection in face sizes, `None` beyond the gates.
    pub(super) fn distance(&self, rect: &Rect) -> Option<f32> {
        let (own, other) = (self.w.max(self.h), rect.w.max(rect.h));
        let c = rect.center();
        let d = (c.x - self.center.x).hypot(c.y - self.center.y) / own.max(other);
        let growth = (other / own).max(own / other);
        (d < MAX_DISTANCE && growth < MAX_GROWTH).then_some(d)
    }

    pub(super) fn predict(&mut self) {
        if self.misses > 0 && !self.followed {
            self.speed.x *= COAST;
            self.speed.y *= COAST;
        }
        self.center.x += self.speed.x;
        self.center.y += self.speed.y;
    }

    /// Goes to where the pixels are found again in `frame`, if they are.
    pub(super) fn follow(&mut self, frame: &Frame<'_>, follower: &mut TemplateTracker) {
        let square = self.square();
        let motion = self.look.as_ref().and_then(|look| follower.find(frame, look, &square));
        self.followed = motion.is_some();
        let Some(motion) = motion else {
            self.lost += u32::from(self.look.is_some());
            return;
        };
        self.lost = 0;
        self.center.x += motion.by.x;
        self.center.y += motion.by.y;
        // The prediction held the speed so far already.
        self.speed.x += MOTION_GAIN * motion.by.x;
        self.speed.y += MOTION_GAIN * motion.by.y;
        let growth = 1.0 + GROWTH_GAIN * (motion.growth - 1.0);
        self.w *= growth;
        self.h *= growth;
    }

    /// Takes in a detection.
    pub(super) fn update(&mut self, seen: &Detection, smoothing: f32) {
        let frames = self.since.max(1.0);
        let c = seen.rect.center();
        let (dx, dy) = (c.x - self.center.x, c.y - self.center.y);
        // The noise of a detector is a few hundredths of the face's size; what is further off is
        // motion, which is followed at once.
        let off = dx.hypot(dy) / self.w.max(self.h);
        let (steady, size_gain) = if self.followed {
            let steady = 1.0 - smoothing * (1.9 - smoothing);
            (steady, steady)
        } else {
            (1.0 - 0.8 * smoothing, 1.0 - 0.9 * smoothing)
        };
        let gain = |steady: f32, off: f32| (steady + (1.0 - steady) * (off / 0.2).powi(2)).min(1.0);
        let center_gain = gain(steady, off);
        self.center.x += center_gain * dx;
        self.center.y += center_gain * dy;
        if !self.followed {
            let speed_gain = SPEED_GAIN * center_gain / frames;
            self.speed.x += speed_gain * dx;
            self.speed.y += speed_gain * dy;
        }
        let resized = (seen.rect.w.max(seen.rect.h) / self.w.max(self.h)).ln();
        let size_gain = gain(size_gain, resized);
        self.w += size_gain * (seen.rect.w - self.w);
        self.h += size_gain * (seen.rect.h - self.h);
        self.score = seen.score;
        self.lost = 0;
        self.hits += 1;
        self.misses = 0;
        self.since = 0.0;
    }

    /// Takes in that a search has not met it.
    pub(super) fn miss(&mut self, seen: &SearchResult<'_>) {
        let rect = self.rect();
        let counts = match &seen.tile {
            Some(tile) => tile.contains(&rect) && is_small(&rect, seen.downscale),
            None => true,
        };
        if !counts {
            return;
        }
        let too_small = self.close && seen.tile.is_none() && is_small(&rect, seen.downscale);
        // Its pixels speak for a face that the detector does not see this time.
        self.misses += match (self.followed, too_small) {
            (true, true) => MISS_TOO_SMALL,
            (true, false) | (false, true) => MISS,
            (false, false) => MISS_UNFOLLOWED,
        };
        self.since = 0.0;
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.hits >= CONFIRM_HITS
    }

    pub(super) fn was_just_confirmed(&self) -> bool {
        self.hits == CONFIRM_HITS
    }

    /// Whether a second search of the whole frame has yet to confirm it.
    pub(super) fn is_unsure(&self) -> bool {
        !self.is_confirmed() && !self.close && self.misses == 0
    }

    /// Whether a tile has yet to confirm it.
    pub(super) fn is_unsure_close(&self) -> bool {
        !self.is_confirmed() && self.close && self.misses < MISS
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.misses >= PATIENCE
    }

    pub(super) fn is_shown(&self) -> bool {
        self.is_confirmed() && self.lost <= MAX_LOST
    }
}
