//! All tracks of a stream: association with detections, birth and death.

use super::assignment::{Candidate, assign};
use super::optical_flow::TemplateTracker;
use super::track::{Track, TrackState, is_plain};
use crate::face::{Detection, Face};
use crate::frame::Frame;
use crate::geometry::{CropSquare, Rect};
use crate::search::{SearchResult, is_same, is_small};

/// A detection with this score is believed at once: more than 95 of 100 such
/// detections are faces, whichever the detector (docs/performance.md).
const CONFIRM_SCORE: f32 = 0.7;

/// The same, if only an enlarged frame shows it.
const CONFIRM_TINY: f32 = 0.75;

/// Where a face was is uncertain after so many seconds in which nothing has told: then its
/// appearance helps to find it among others.
const UNCERTAIN: f64 = 0.06;
/// Share of the appearance in the cost of a match, if it is known.
const APPEARANCE: f32 = 0.5;
/// A detection that differs so much from a track that is far off is another face: correlation ...
const MIN_CORRELATION: f32 = 0.3;
/// ... and distance over the greatest possible.
const FAR: f32 = 0.3;
/// Detections of a low score keep a face that lies this near, over the greatest possible distance.
const LOW_SCORE_DISTANCE: f32 = 0.6;
/// Two tracks that overlap by more are one face.
const DUPLICATE_IOU: f32 = 0.45;

/// The tracks of one stream.
#[derive(Debug, Clone)]
pub struct Tracker {
    tracks: Vec<Track>,
    matcher: TemplateTracker,
    next_id: u64,
    confirmed: u64,
    smoothing: f32,
    /// Detections of a lower score make no new face.
    min_score: f32,
    /// Nothing was searched yet since the start, a reset or a cut.
    fresh: bool,
}

impl Tracker {
    /// A tracker that steadies boxes by `smoothing`, 0 (boxes as detected) to 1.
    pub fn new(smoothing: f32) -> Self {
        let smoothing = smoothing.clamp(0.0, 1.0);
        Self {
            tracks: Vec::new(),
            matcher: TemplateTracker::default(),
            next_id: 1,
            confirmed: 0,
            smoothing,
            min_score: 0.0,
            fresh: true,
        }
    }

    /// The same, for a detector that returns detections of less than `min_score` too: those keep
    /// known faces, but make no new ones (ByteTrack's second pass).
    #[must_use]
    pub fn with_min_score(self, min_score: f32) -> Self {
        Self { min_score, ..self }
    }

    /// Changes the least score of a detection that makes a new face.
    pub fn set_min_score(&mut self, min_score: f32) {
        self.min_score = min_score;
    }

    /// Changes the smoothing, 0 to 1.
    pub fn set_smoothing(&mut self, smoothing: f32) {
        self.smoothing = smoothing.clamp(0.0, 1.0);
    }

    /// Forgets all tracks; their ids are not used again.
    pub fn reset(&mut self) {
        self.tracks.clear();
        self.fresh = true;
    }

    /// Sets all tracks aside: this frame shows another scene, or is a flash. Those whose pixels are
    /// still found go on.
    pub(crate) fn suspend(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.suspended = true);
        self.fresh = true;
    }

    /// Takes the tracks that were set aside back if it was a flash, else forgets them.
    pub(crate) fn end_suspense(&mut self, was_flash: bool) {
        let (aside, mut others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.tracks).into_iter().partition(|track| track.suspended);
        if was_flash {
            others.retain(|o| !aside.iter().any(|t| o.hits <= 1 && is_same(&t.rect(), &o.rect())));
            self.tracks = aside;
            self.tracks.iter_mut().for_each(|track| track.suspended = false);
            self.fresh = false;
        }
        self.tracks.append(&mut others);
    }

    /// Whether a face awaits confirmation by a search of the full frame.
    pub fn is_tentative(&self) -> bool {
        self.tracks.iter().any(Track::awaits_full_search)
    }

    /// Where faces are expected that are known and out of sight.
    pub(crate) fn lost_faces(&self) -> impl Iterator<Item = Rect> {
        self.tracks.iter().filter(|t| t.is_lost() && !t.suspended).map(Track::rect)
    }

    /// Boxes of the tracks that a tile found, and whether each is to be searched for soon: it awaits
    /// confirmation, or is out of sight.
    pub(crate) fn small_faces(&self) -> impl Iterator<Item = (Rect, bool)> {
        let small = self.tracks.iter().filter(|t| t.from_tile && !t.suspended);
        small.map(|t| (t.rect(), t.awaits_tile() || t.is_lost()))
    }

    /// Number of tracks that were confirmed so far.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Goes on to the frame of the time `now`, in seconds, by optical flow in `frame` and by
    /// velocity where that finds nothing.
    pub fn advance(&mut self, now: f64, frame: Option<&Frame<'_>>) {
        for track in &mut self.tracks {
            track.advance(now, frame, &mut self.matcher);
        }
    }

    /// Takes in what a search has found in `frame`, the frame of the time `at`: the latest or an
    /// earlier one.
    pub fn update(&mut self, result: &SearchResult<'_>, at: f64, frame: Option<&Frame<'_>>) {
        let found = result.found;
        let mut used = vec![false; found.len()];
        let mut matched = vec![false; self.tracks.len()];
        for low_score in [false, true] {
            let candidates = self.candidates(found, at, frame, low_score, (&matched, &used));
            for (t, d) in assign(&candidates) {
                (matched[t], used[d]) = (true, true);
                let track = &mut self.tracks[t];
                track.update(&found[d], at, self.smoothing, result);
                if !track.confirmed && track.has_enough_hits() {
                    track.confirmed = true;
                    self.confirmed += 1;
                }
            }
        }
        for (track, matched) in self.tracks.iter_mut().zip(&matched) {
            if !matched && !track.suspended && track.born_at <= at {
                track.miss(result, at);
            }
        }
        for (detection, used) in found.iter().zip(used) {
            if !used && self.is_new(detection, result, at, &matched) {
                self.begin(detection, result, at);
                matched.push(true);
            }
        }
        self.fresh &= result.is_tile();
        if let Some(frame) = frame {
            for (track, _) in self.tracks.iter_mut().zip(&matched).filter(|(_, matched)| **matched)
            {
                track.remember(frame, at, &mut self.matcher);
            }
        }
        self.drop_duplicates(&matched);
    }

    /// Pairs of tracks and detections that may belong together and are still free.
    fn candidates(
        &mut self,
        found: &[Detection],
        at: f64,
        frame: Option<&Frame<'_>>,
        low_score: bool,
        (matched, used): (&[bool], &[bool]),
    ) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            let is_out = matched[t] || track.suspended || track.born_at > at;
            if is_out || low_score && !track.confirmed {
                continue;
            }
            let uncertain = track.unseen(at) > UNCERTAIN;
            for (d, detection) in found.iter().enumerate() {
                if used[d] || (detection.score < self.min_score) != low_score {
                    continue;
                }
                let Some(distance) = track.distance(&detection.rect, at) else { continue };
                if low_score && distance > LOW_SCORE_DISTANCE {
                    continue;
                }
                let correlation = match (frame, &track.template) {
                    (Some(frame), Some(template)) if uncertain => {
                        self.matcher.correlation(frame, template, &square(&detection.rect))
                    }
                    _ => None,
                };
                let cost = match correlation {
                    Some(c) if c < MIN_CORRELATION && distance > FAR => continue,
                    Some(c) => {
                        let unlike = (1.0 - c).clamp(0.0, 1.0);
                        (1.0 - APPEARANCE) * distance + APPEARANCE * unlike
                    }
                    None => distance,
                };
                candidates.push(Candidate { track: t, detection: d, cost });
            }
        }
        candidates
    }

    /// Whether a detection that belongs to no track is a face that is new. At full resolution a part
    /// of a large face may look like one.
    fn is_new(
        &self,
        detection: &Detection,
        result: &SearchResult<'_>,
        at: f64,
        matched: &[bool],
    ) -> bool {
        let rect = &detection.rect;
        if detection.score < self.min_score || !rect.is_valid() {
            return false;
        }
        let mut known = self.tracks.iter().zip(matched).filter(|(track, _)| !track.suspended);
        if result.is_tile() {
            is_small(rect, result.full_scale) && !known.any(|(t, _)| is_same(&t.rect(), rect))
        } else {
            // Another search of the same frame may have found it already.
            !known.any(|(t, matched)| {
                (*matched || t.hit_at >= at) && t.rect().iou(rect) > DUPLICATE_IOU
            })
        }
    }

    fn begin(&mut self, detection: &Detection, result: &SearchResult<'_>, at: f64) {
        // At the start of a scene there is nothing to compare with, and a viewer would see the
        // faces jump into focus a moment later.
        let plain = is_plain(&detection.rect, result);
        let sure = self.fresh && plain && !result.is_tile()
            || detection.score >= if plain { CONFIRM_SCORE } else { CONFIRM_TINY };
        self.confirmed += u64::from(sure);
        self.tracks.push(Track::begin(self.next_id, detection, at, sure, result));
        self.next_id += 1;
    }

    /// Removes tracks that lie on another which was just matched, while they were not.
    fn drop_duplicates(&mut self, matched: &[bool]) {
        let boxes: Vec<Rect> =
            self.tracks.iter().zip(matched).filter(|(_, m)| **m).map(|(t, _)| t.rect()).collect();
        let mut i = 0;
        self.tracks.retain(|track| {
            let is_matched = matched[i];
            i += 1;
            is_matched
                || track.suspended
                || !boxes.iter().any(|rect| rect.iou(&track.rect()) > DUPLICATE_IOU)
        });
    }

    /// Replaces the content of `faces` by the confirmed faces that are in sight in a frame of
    /// `width` x `height` pixels, and removes tracks that have ended.
    pub fn collect(&mut self, (width, height): (u32, u32), faces: &mut Vec<Face>) {
        let inside = |t: &Track| {
            (0.0..width as f32).contains(&t.center.x) && (0.0..height as f32).contains(&t.center.y)
        };
        self.tracks.retain(|t| t.suspended || t.state() != TrackState::Deleted && inside(t));
        faces.clear();
        let shown = self.tracks.iter().filter(|t| t.state() == TrackState::Confirmed);
        faces.extend(shown.map(Track::face));
    }
}

/// The square about a box.
fn square(rect: &Rect) -> CropSquare {
    let (c, side) = (rect.center(), rect.w.max(rect.h));
    CropSquare { x: c.x - side / 2.0, y: c.y - side / 2.0, side }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
