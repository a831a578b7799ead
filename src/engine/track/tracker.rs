//! All tracks of a stream: association with detections, birth and death.

use super::optical_flow::TemplateTracker;
use super::track::Track;
use crate::face::{Detection, Face};
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::search::{SearchResult, is_same, is_small};

/// One that a search of the whole frame has found with this score is believed at once: more than 95 of 100
/// such detections are faces, whichever the detector (docs/performance.md).
const SURE: f32 = 0.7;

/// The tracks of one stream.
#[derive(Debug, Clone)]
pub struct Tracker {
    tracks: Vec<Track>,
    follower: TemplateTracker,
    next_id: u64,
    confirmed: u64,
    smoothing: f32,
    /// Detections of a lower score are faint.
    min_score: f32,
    /// Nothing was seen yet since the start or a reset.
    fresh: bool,
}

impl Tracker {
    /// A tracker that steadies boxes by `smoothing`, 0 (boxes as detected) to 1.
    pub fn new(smoothing: f32) -> Self {
        let smoothing = smoothing.clamp(0.0, 1.0);
        Self {
            tracks: Vec::new(),
            follower: TemplateTracker::default(),
            next_id: 1,
            confirmed: 0,
            smoothing,
            min_score: 0.0,
            fresh: true,
        }
    }

    /// The same, for a detector that answers detections of less than `min_score` too, of which none
    /// makes a new face.
    pub fn with_faint(self, min_score: f32) -> Self {
        Self { min_score, ..self }
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

    /// Whether a face has been seen that a second search of the whole frame has yet to confirm.
    pub fn is_unsure(&self) -> bool {
        self.tracks.iter().any(Track::is_unsure)
    }

    /// The faces that a tile met last, and whether that was the first time and they wait for another.
    pub(crate) fn small_faces(&self) -> impl Iterator<Item = (Rect, bool)> {
        let close = self.tracks.iter().filter(|t| t.close);
        close.map(|t| (t.rect(), t.is_unsure_close()))
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
        seen: Option<SearchResult<'_>>,
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
        self.tracks.retain(|t| !t.is_given_up() && inside(t));
        faces.clear();
        faces.extend(self.tracks.iter().filter(|t| t.is_shown()).map(Track::face));
    }

    fn associate(&mut self, seen: &SearchResult<'_>) {
        let found = seen.found;
        let mut pairs = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            for (d, detection) in found.iter().enumerate() {
                let faint = self.is_faint(detection);
                let distance = track.distance(&detection.rect);
                let distance = distance.filter(|_| track.is_confirmed() || !faint);
                pairs.extend(distance.map(|distance| (faint, distance, t, d)));
            }
        }
        pairs.sort_by(|a, b| {
            let distance = a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
            distance.then((a.2, a.3).cmp(&(b.2, b.3)))
        });
        let mut used = vec![false; found.len()];
        let mut met = vec![false; self.tracks.len()];
        for (_, _, t, d) in pairs {
            if !used[d] && !met[t] {
                (used[d], met[t]) = (true, true);
                let track = &mut self.tracks[t];
                track.update(&found[d], self.smoothing);
                track.close = seen.tile.is_some();
                self.confirmed += u64::from(track.was_just_confirmed());
            }
        }
        for (track, met) in self.tracks.iter_mut().zip(met) {
            if !met {
                track.miss(seen);
            }
        }
        for (detection, used) in found.iter().zip(used) {
            if !used && self.is_new(detection, seen) {
                self.begin(detection, seen.tile.is_some());
            }
        }
    }

    fn is_faint(&self, detection: &Detection) -> bool {
        detection.score < self.min_score
    }

    /// Whether a detection that belongs to no track is a face: at full resolution a part of a large
    /// face may look like one.
    fn is_new(&self, detection: &Detection, seen: &SearchResult<'_>) -> bool {
        let rect = &detection.rect;
        if self.is_faint(detection) || !rect.is_valid() {
            return false;
        }
        let known = |track: &Track| is_same(&track.rect(), rect);
        seen.tile.is_none() || is_small(rect, seen.downscale) && !self.tracks.iter().any(known)
    }

    fn begin(&mut self, seen: &Detection, close: bool) {
        // At the start of a scene there is nothing to compare with, and a viewer would see the
        // faces jump into focus a moment later.
        let believed = (self.fresh || seen.score >= SURE) && !close;
        self.confirmed += u64::from(believed);
        self.tracks.push(Track::begin(self.next_id, seen, believed, close));
        self.next_id += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::track::{MISS_UNFOLLOWED, PATIENCE};
    use super::*;
    use crate::search::{Tile, Window};

    fn at(x: f32, y: f32, size: f32) -> Detection {
        Detection { rect: Rect::new(x - size / 2.0, y - size / 2.0, size, size), score: 0.6 }
    }

    fn step(tracker: &mut Tracker, seen: Option<&[Detection]>) -> Vec<Face> {
        let mut faces = Vec::new();
        tracker.step(seen.map(SearchResult::full_frame), None, (1000, 1000), &mut faces);
        faces
    }

    /// A search of one tile, where the whole frame is seen reduced to a half.
    fn step_tile(tracker: &mut Tracker, seen: &[Detection]) -> Vec<Face> {
        let mut faces = Vec::new();
        let window = Window { x: 200, y: 200, width: 300, height: 300 };
        let tile = Some(Tile { window, frame: (1000, 1000) });
        let seen = SearchResult { found: seen, tile, downscale: 2.0 };
        tracker.step(Some(seen), None, (1000, 1000), &mut faces);
        faces
    }

    fn step_reduced(tracker: &mut Tracker, found: &[Detection]) -> Vec<Face> {
        let mut faces = Vec::new();
        let seen = SearchResult { found, tile: None, downscale: 2.0 };
        tracker.step(Some(seen), None, (1000, 1000), &mut faces);
        faces
    }

    #[test]
    fn faint_detections_keep_a_known_face_and_make_no_new_one() {
        let faint = Detection { score: 0.3, ..at(100.0, 100.0, 20.0) };
        let mut tracker = Tracker::new(0.5).with_faint(0.5);
        for _ in 0..5 {
            assert_eq!(step(&mut tracker, Some(&[faint])), []);
        }
        // Known, then seen faintly for longer than it would be missed.
        let known = step(&mut tracker, Some(&[Detection { score: SURE, ..faint }]));
        for _ in 0..5 {
            let faces = step(&mut tracker, Some(&[faint]));
            assert_eq!((faces[0].id, faces[0].score), (known[0].id, 0.3));
        }
        // A strong one has the first choice, even where a faint one is nearer.
        let strong = at(106.0, 100.0, 20.0);
        let faces = step(&mut tracker, Some(&[faint, strong]));
        assert_eq!((faces.len(), faces[0].score), (1, 0.6));
        assert_eq!(tracker.confirmed(), 1);
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
                let seen = SearchResult { found: &[], tile: None, downscale: 2.0 };
                tracker.associate(&seen);
                tracker.tracks.retain(|t| !t.is_given_up());
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
            tracker.step(seen.map(SearchResult::full_frame), Some(&frame), (100, 100), &mut faces);
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
