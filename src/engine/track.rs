//! Follows faces from frame to frame: ids, motion between detections, steady boxes.
//!
//! A track is led from frame to frame by the pixels of its face ([`follow`](crate::follow)), which
//! tell motion to a small part of a pixel and without delay, and where they tell nothing by its
//! speed. Detections correct it: strongly if all they can be compared with is a prediction, a
//! little if the pixels have been followed, for then most of the difference is the detector's own
//! jitter. A detection belongs to the track whose centre is nearest, measured in face sizes; small
//! faces that move overlap too little for the usual intersection-over-union.

use crate::detect::{Detection, is_same, is_small};
use crate::finder::Face;
use crate::follow::{Follower, Look};
use crate::frame::Frame;
use crate::geometry::{Point, Rect, Square};
use crate::tiles::Tile;

/// A detection further from a track than this, in face sizes, is another face.
const MAX_DISTANCE: f32 = 0.7;
/// A detection larger or smaller than the track by more than this factor is another face.
const MAX_GROWTH: f32 = 1.8;
/// A track is believed once so many detections have met it.
const CONFIRM_HITS: u32 = 2;
/// One that a search of the whole frame has found with this score is believed at once: more than 95 of 100
/// such detections are faces, whichever the detector (docs/performance.md).
const SURE: f32 = 0.7;
/// A track is dropped when the searches that have missed it since the last hit come to this: ...
const PATIENCE: u32 = 12;
/// ... by one search three times, ...
const MISS: u32 = 4;
/// ... sooner if its pixels are lost, too, ...
const MISS_UNFOLLOWED: u32 = 8;
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
struct Track {
    id: u64,
    center: Point,
    speed: Point,
    w: f32,
    h: f32,
    score: f32,
    hits: u32,
    /// What the misses since the last hit come to.
    misses: u32,
    /// Frames since a search that should have met it.
    since: f32,
    /// Whether it was a tile, at full resolution, that met it last.
    close: bool,
    /// What it looked like when a detection last met it.
    look: Option<Look>,
    /// Whether it was found by its pixels in the latest frame.
    followed: bool,
    /// Frames since it was, if it was looked for.
    lost: u32,
}

impl Track {
    /// The square whose pixels are followed.
    fn square(&self) -> Square {
        let side = self.w.max(self.h);
        Square { x: self.center.x - side / 2.0, y: self.center.y - side / 2.0, side }
    }

    fn rect(&self) -> Rect {
        Rect::new(self.center.x - self.w / 2.0, self.center.y - self.h / 2.0, self.w, self.h)
    }

    /// Distance of a detection in face sizes, `None` beyond the gates.
    fn distance(&self, rect: &Rect) -> Option<f32> {
        let (own, other) = (self.w.max(self.h), rect.w.max(rect.h));
        let c = rect.center();
        let d = (c.x - self.center.x).hypot(c.y - self.center.y) / own.max(other);
        let growth = (other / own).max(own / other);
        (d < MAX_DISTANCE && growth < MAX_GROWTH).then_some(d)
    }

    fn predict(&mut self) {
        if self.misses > 0 && !self.followed {
            self.speed.x *= COAST;
            self.speed.y *= COAST;
        }
        self.center.x += self.speed.x;
        self.center.y += self.speed.y;
    }

    /// Goes to where the pixels are found again in `frame`, if they are.
    fn follow(&mut self, frame: &Frame<'_>, follower: &mut Follower) {
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
    fn update(&mut self, seen: &Detection, smoothing: f32) {
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
    fn miss(&mut self, seen: &Seen<'_>) {
        let rect = self.rect();
        let counts = match &seen.tile {
            Some(tile) => tile.holds(&rect) && is_small(&rect, seen.reduction),
            None => true,
        };
        if !counts {
            return;
        }
        let too_small = self.close && seen.tile.is_none() && is_small(&rect, seen.reduction);
        // Its pixels speak for a face that the detector does not see this time.
        self.misses += match (self.followed, too_small) {
            (true, true) => MISS_TOO_SMALL,
            (true, false) | (false, true) => MISS,
            (false, false) => MISS_UNFOLLOWED,
        };
        self.since = 0.0;
    }

    fn is_confirmed(&self) -> bool {
        self.hits >= CONFIRM_HITS
    }
}

/// What a search of a frame has found.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The faces.
    pub found: &'a [Detection],
    /// The part that was searched at full resolution, if it was not all of the frame.
    pub(crate) tile: Option<Tile>,
    /// By how much a search of the whole frame reduces it.
    pub(crate) reduction: f32,
}

impl<'a> Seen<'a> {
    /// What was found in the whole frame, not reduced.
    pub fn whole(found: &'a [Detection]) -> Self {
        Self { found, tile: None, reduction: 1.0 }
    }
}

/// The tracks of one stream.
#[derive(Debug, Clone)]
pub struct Tracker {
    tracks: Vec<Track>,
    follower: Follower,
    next_id: u64,
    confirmed: u64,
    smoothing: f32,
    /// Nothing was seen yet since the start or a reset.
    fresh: bool,
}

impl Tracker {
    /// A tracker that steadies boxes by `smoothing`, 0 (boxes as detected) to 1.
    pub fn new(smoothing: f32) -> Self {
        let smoothing = smoothing.clamp(0.0, 1.0);
        Self {
            tracks: Vec::new(),
            follower: Follower::default(),
            next_id: 1,
            confirmed: 0,
            smoothing,
            fresh: true,
        }
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

    /// Whether a detection has been seen that a second search of the whole frame has yet to confirm.
    pub fn is_unsure(&self) -> bool {
        self.tracks.iter().any(|t| !t.is_confirmed() && !t.close && t.misses == 0)
    }

    /// The faces that a tile met last, and whether that was the first time and they wait for another.
    pub(crate) fn small_faces(&self) -> impl Iterator<Item = (Rect, bool)> {
        let close = self.tracks.iter().filter(|t| t.close);
        close.map(|t| (t.rect(), !t.is_confirmed() && t.misses < MISS))
    }

    /// Number of tracks that were confirmed so far.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Goes on by one frame of `width` x `height` pixels. `seen` is what a search of it has found, `None` if
    /// there was none; `frame` are its pixels, `None` if they are not at hand. The confirmed
    /// faces of this frame that are in sight replace the content of `faces`.
    pub fn step(
        &mut self,
        seen: Option<Seen<'_>>,
        frame: Option<&Frame<'_>>,
        (width, height): (u32, u32),
        faces: &mut Vec<Face>,
    ) {
        for track in &mut self.tracks {
            track.since += 1.0;
            track.predict();
            match frame {
                Some(frame) => track.follow(frame, &mut self.follower),
                None => track.followed = false,
            }
        }
        if let Some(seen) = seen {
            self.associate(&seen);
            self.fresh &= seen.tile.is_some();
            for track in self.tracks.iter_mut().filter(|t| t.misses == 0 && t.since == 0.0) {
                track.look = frame.and_then(|frame| self.follower.look(frame, &track.square()));
                track.followed = track.look.is_some();
            }
        }
        let inside = |t: &Track| {
            (0.0..width as f32).contains(&t.center.x) && (0.0..height as f32).contains(&t.center.y)
        };
        self.tracks.retain(|t| t.misses < PATIENCE && inside(t));
        faces.clear();
        let confirmed = self.tracks.iter().filter(|t| t.is_confirmed() && t.lost <= MAX_LOST);
        faces.extend(confirmed.map(|t| Face { id: t.id, rect: t.rect(), score: t.score }));
    }

    fn associate(&mut self, seen: &Seen<'_>) {
        let found = seen.found;
        let mut pairs = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            for (d, detection) in found.iter().enumerate() {
                pairs.extend(track.distance(&detection.rect).map(|distance| (distance, t, d)));
            }
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut used = vec![false; found.len()];
        let mut met = vec![false; self.tracks.len()];
        for (_, t, d) in pairs {
            if !used[d] && !met[t] {
                (used[d], met[t]) = (true, true);
                let track = &mut self.tracks[t];
                track.update(&found[d], self.smoothing);
                track.close = seen.tile.is_some();
                self.confirmed += u64::from(track.hits == CONFIRM_HITS);
            }
        }
        for (track, met) in self.tracks.iter_mut().zip(met) {
            if !met {
                track.miss(seen);
            }
        }
        for (detection, used) in found.iter().zip(used) {
            if !used && detection.rect.is_valid() && self.is_new(detection, seen) {
                self.begin(detection, seen.tile.is_some());
            }
        }
    }

    /// Whether a detection that belongs to no track is a face: at full resolution a part of a large
    /// face may look like one.
    fn is_new(&self, detection: &Detection, seen: &Seen<'_>) -> bool {
        let rect = &detection.rect;
        let known = |track: &Track| is_same(&track.rect(), rect);
        seen.tile.is_none() || is_small(rect, seen.reduction) && !self.tracks.iter().any(known)
    }

    fn begin(&mut self, seen: &Detection, close: bool) {
        // At the start of a scene there is nothing to compare with, and a viewer would see the
        // faces jump into focus a moment later.
        let believed = (self.fresh || seen.score >= SURE) && !close;
        let hits = if believed { CONFIRM_HITS } else { 1 };
        self.confirmed += u64::from(believed);
        self.tracks.push(Track {
            id: self.next_id,
            center: seen.rect.center(),
            speed: Point::default(),
            w: seen.rect.w,
            h: seen.rect.h,
            score: seen.score,
            hits,
            misses: 0,
            since: 0.0,
            close,
            look: None,
            followed: false,
            lost: 0,
        });
        self.next_id += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::Window;

    fn at(x: f32, y: f32, size: f32) -> Detection {
        Detection { rect: Rect::new(x - size / 2.0, y - size / 2.0, size, size), score: 0.6 }
    }

    fn step(tracker: &mut Tracker, seen: Option<&[Detection]>) -> Vec<Face> {
        let mut faces = Vec::new();
        tracker.step(seen.map(Seen::whole), None, (1000, 1000), &mut faces);
        faces
    }

    /// A search of one tile, where the whole frame is seen reduced to a half.
    fn step_tile(tracker: &mut Tracker, seen: &[Detection]) -> Vec<Face> {
        let mut faces = Vec::new();
        let window = Window { x: 200, y: 200, width: 300, height: 300 };
        let tile = Some(Tile { window, frame: (1000, 1000) });
        let seen = Seen { found: seen, tile, reduction: 2.0 };
        tracker.step(Some(seen), None, (1000, 1000), &mut faces);
        faces
    }

    fn step_reduced(tracker: &mut Tracker, found: &[Detection]) -> Vec<Face> {
        let mut faces = Vec::new();
        let seen = Seen { found, tile: None, reduction: 2.0 };
        tracker.step(Some(seen), None, (1000, 1000), &mut faces);
        faces
    }

    #[test]
    fn a_tile_confirms_what_the_whole_frame_has_shown_and_the_other_way_round() {
        for tile_first in [false, true] {
            let mut tracker = Tracker::new(0.5);
            step_reduced(&mut tracker, &[]);
            let face = [at(300.0, 300.0, 20.0)];
            let one = |tracker: &mut Tracker, tile: bool| {
                if tile { step_tile(tracker, &face) } else { step_reduced(tracker, &face) }
            };
            assert_eq!(one(&mut tracker, tile_first), []);
            assert_eq!(one(&mut tracker, !tile_first).len(), 1);
            assert_eq!(tracker.confirmed(), 1);
        }
    }

    #[test]
    fn a_tile_misses_only_small_faces_that_lie_in_it() {
        // Inside; across its edge; elsewhere; too large to be told from its parts.
        let faces = [
            at(300.0, 300.0, 20.0),
            at(200.0, 300.0, 20.0),
            at(700.0, 700.0, 20.0),
            at(350.0, 400.0, 60.0),
        ];
        let mut tracker = Tracker::new(0.5);
        assert_eq!(step_reduced(&mut tracker, &faces).len(), 4);
        for _ in 0..4 {
            step_tile(&mut tracker, &[]);
        }
        let ids: Vec<u64> = step(&mut tracker, None).iter().map(|face| face.id).collect();
        assert_eq!(ids, [2, 3, 4]);
    }

    #[test]
    fn a_face_that_only_tiles_show_outlives_searches_of_the_whole_frame() {
        let mut tracker = Tracker::new(0.5);
        step_reduced(&mut tracker, &[]);
        let face = [at(300.0, 300.0, 12.0)];
        step_tile(&mut tracker, &face);
        assert!(!tracker.is_unsure(), "the whole frame cannot help it");
        assert_eq!(tracker.small_faces().map(|(_, unsure)| unsure).collect::<Vec<_>>(), [true]);
        assert_eq!(step_tile(&mut tracker, &face).len(), 1);
        let long = |tracker: &mut Tracker, followed: bool| {
            let mut searches = 0;
            while tracker.tracks.iter().any(|t| t.hits > 0) {
                tracker.tracks.iter_mut().for_each(|t| t.followed = followed);
                let seen = Seen { found: &[], tile: None, reduction: 2.0 };
                tracker.associate(&seen);
                tracker.tracks.retain(|t| t.misses < PATIENCE);
                searches += 1;
            }
            searches
        };
        assert_eq!(long(&mut tracker.clone(), true), 12);
        assert_eq!(long(&mut tracker.clone(), false), 3);
        // One that the whole frame has shown is not given that long.
        step_reduced(&mut tracker, &face);
        assert_eq!(long(&mut tracker.clone(), true), 3);
        assert_eq!(long(&mut tracker, false), 2);
    }

    #[test]
    fn a_tile_takes_no_part_of_a_large_face_for_another() {
        let mut tracker = Tracker::new(0.5);
        step_reduced(&mut tracker, &[at(350.0, 350.0, 120.0)]);
        for _ in 0..3 {
            // An eye, and a head that the whole frame would show.
            let found = [at(330.0, 330.0, 14.0), at(250.0, 250.0, 50.0)];
            assert_eq!(step_tile(&mut tracker, &found).len(), 1);
        }
        assert_eq!(tracker.tracks.len(), 1);
    }

    #[test]
    fn a_walking_face_keeps_its_id_and_is_predicted() {
        let mut tracker = Tracker::new(0.5);
        let mut worst = 0f32;
        for i in 0..60 {
            let x = 100.0 + 2.5 * i as f32;
            let seen = [at(x, 200.0, 20.0)];
            let faces = step(&mut tracker, (i % 3 == 0).then_some(&seen[..]));
            assert_eq!(faces.len(), 1, "frame {i}");
            assert_eq!(faces[0].id, 1);
            if i > 20 {
                worst = worst.max((faces[0].rect.center().x - x).abs());
            }
        }
        assert!(worst < 2.0, "lags by {worst} pixels");
    }

    #[test]
    fn a_still_face_is_steadier_than_its_detections() {
        let mut tracker = Tracker::new(0.5);
        let (mut moved, mut jitter, mut last) = (0f32, 0f32, (0f32, 0f32));
        for i in 0..100 {
            // A fixed pattern of +-0.8 pixels, as a detector jitters on a 20-pixel face.
            let x = 300.0 + 0.8 * ((i * 7 % 5) as f32 / 2.0 - 1.0);
            let face = step(&mut tracker, Some(&[at(x, 300.0, 20.0)]))[0];
            if i > 10 {
                moved += (face.rect.center().x - last.0).abs();
                jitter += (x - last.1).abs();
            }
            last = (face.rect.center().x, x);
        }
        assert!(moved < 0.6 * jitter, "moves {moved}, detections {jitter}");
    }

    #[test]
    fn single_false_detections_are_never_shown() {
        let mut tracker = Tracker::new(0.5);
        step(&mut tracker, Some(&[]));
        for i in 0..20 {
            let flash = [at(50.0 + 300.0 * (i % 3) as f32, 500.0, 30.0)];
            let seen: &[Detection] = if i % 4 == 0 { &flash } else { &[] };
            assert!(step(&mut tracker, Some(seen)).is_empty(), "frame {i}");
        }
    }

    #[test]
    fn a_sure_detection_is_shown_at_once() {
        let mut tracker = Tracker::new(0.5);
        step(&mut tracker, Some(&[]));
        let sure = Detection { score: SURE, ..at(200.0, 200.0, 30.0) };
        assert_eq!(step(&mut tracker, Some(&[sure, at(500.0, 500.0, 30.0)])).len(), 1);
        assert_eq!(tracker.confirmed(), 1);
    }

    #[test]
    fn a_face_that_something_hides_is_not_shown_until_it_is_found_again() {
        use crate::frame::{FrameInfo, PixelFormat};
        let info = FrameInfo::new(PixelFormat::Gray8, 100, 100);
        // Rings in the middle, or noise.
        let picture = |hidden: bool| -> Vec<u8> {
            (0..100 * 100u32)
                .map(|i| {
                    let (x, y) = ((i % 100) as f32 - 50.0, (i / 100) as f32 - 50.0);
                    let ring = (x * x + 1.4 * y * y).sqrt() * 0.5;
                    let noise = (i.wrapping_mul(2_654_435_761) >> 24) as u8;
                    if hidden { noise } else { (128.0 + 90.0 * ring.cos()) as u8 }
                })
                .collect()
        };
        let mut tracker = Tracker::new(0.5);
        let mut shown = |seen: Option<&[Detection]>, hidden: bool| {
            let data = picture(hidden);
            let frame = Frame::new(info, &[&data], &[100]).unwrap();
            let mut faces = Vec::new();
            tracker.step(seen.map(Seen::whole), Some(&frame), (100, 100), &mut faces);
            faces.len()
        };
        let face = [at(50.0, 50.0, 30.0)];
        assert_eq!(shown(Some(&face), false), 1);
        assert_eq!(shown(None, false), 1);
        // A frame or two may be torn or blurred.
        let hidden: Vec<_> = (0..4).map(|_| shown(None, true)).collect();
        assert_eq!(hidden, [1, 1, 0, 0]);
        assert_eq!(shown(None, false), 1);
        assert_eq!([shown(None, true), shown(None, true), shown(None, true)], [1, 1, 0]);
        assert_eq!(shown(Some(&face), false), 1);
    }

    #[test]
    fn a_lost_face_is_dropped_and_its_id_not_reused() {
        let mut tracker = Tracker::new(0.5);
        step(&mut tracker, Some(&[at(100.0, 100.0, 20.0)]));
        for _ in 0..PATIENCE / MISS_UNFOLLOWED + 1 {
            step(&mut tracker, Some(&[]));
        }
        assert!(step(&mut tracker, Some(&[])).is_empty());
        tracker.reset();
        let faces = step(&mut tracker, Some(&[at(100.0, 100.0, 20.0)]));
        assert_eq!(faces[0].id, 2);
        assert_eq!(tracker.confirmed(), 2);
    }

    #[test]
    fn faces_that_pass_each_other_are_not_swapped_for_one_of_another_size() {
        let mut tracker = Tracker::new(0.3);
        let mut last = Vec::new();
        for i in 0..40 {
            let x = i as f32 * 5.0;
            last =
                step(&mut tracker, Some(&[at(100.0 + x, 200.0, 20.0), at(300.0 - x, 204.0, 48.0)]));
        }
        assert_eq!(last.len(), 2);
        assert_eq!((last[0].id, last[1].id), (1, 2));
        assert!(last[0].rect.w < 25.0 && last[1].rect.w > 40.0);
    }

    #[test]
    fn a_face_that_leaves_the_picture_is_gone() {
        let mut tracker = Tracker::new(0.5);
        for i in 0..8 {
            step(&mut tracker, Some(&[at(950.0 + 8.0 * i as f32, 100.0, 30.0)]));
        }
        let left: Vec<_> = (0..4).map(|_| step(&mut tracker, None).len()).collect();
        assert_eq!(left.last(), Some(&0));
    }
}
