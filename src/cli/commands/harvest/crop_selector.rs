//! Which faces of a clip are seen: spread over each track, and no two alike.

use std::collections::{BTreeMap, VecDeque};

use facesr::internals::cpu::Compositor;
use facesr::{CropSquare, Face, Rect, Shape};

use crate::media::{FrameObserver, ObservedFrame};

/// A track is dropped after three detections that miss it; until then its box is a guess.
const TENTATIVE_DETECTIONS: usize = 3;

/// So many times the faces wanted of a track are kept while it lasts, for those that turn out to
/// be near-duplicates.
const SPARE: usize = 4;

/// A face as the networks see it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Crop {
    /// `[side, side]` RGB.
    pub(super) pixels: Vec<u8>,
    /// Pixels.
    pub(super) side: u32,
    /// Number of its track in the clip.
    pub(super) track: u64,
    /// Running time, seconds.
    pub(super) time: f64,
    /// Its box in the frame, luma pixels.
    pub(super) rect: Rect,
    /// Confidence of the detector.
    pub(super) score: f32,
}

/// How many faces were left out, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct RejectCounts {
    /// Narrower than wanted, seen on so many frames.
    pub(super) narrow: u64,
    /// Wider than wanted, seen on so many frames.
    pub(super) wide: u64,
    /// Cut off by the frame's edge, seen on so many frames.
    pub(super) edge: u64,
    /// Nearly the same picture as one that was seen.
    pub(super) same: u64,
    /// Beyond the number wanted of one track.
    pub(super) beyond: u64,
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Criteria {
    /// What the generator to be trained takes.
    pub(super) shape: Shape,
    /// Least and greatest width of the face box, pixels.
    pub(super) widths: (f32, f32),
    /// Most faces of one track.
    pub(super) per_track: usize,
    /// The detector runs on every n-th frame.
    pub(super) detect_every: u32,
}

#[derive(Debug)]
struct Track {
    /// Not yet confirmed by what came later.
    tentative: VecDeque<Crop>,
    kept: Vec<Crop>,
    /// Of the frames on which it could be seen, every n-th was.
    stride: u64,
    seen: u64,
    last_frame: u64,
}

/// Takes faces while a clip goes by.
#[derive(Debug)]
pub(super) struct CropSelector {
    criteria: Criteria,
    tracks: BTreeMap<u64, Track>,
    canvas: Compositor,
    frames: u64,
    rejected: RejectCounts,
}

impl CropSelector {
    pub(super) fn new(criteria: Criteria) -> Self {
        Self {
            criteria,
            tracks: BTreeMap::new(),
            canvas: Compositor::default(),
            frames: 0,
            rejected: RejectCounts::default(),
        }
    }

    /// What it was told to take.
    pub(super) fn criteria(&self) -> Criteria {
        self.criteria
    }

    /// Number of tracks that gave at least one face.
    pub(super) fn tracks(&self) -> usize {
        self.tracks.len()
    }

    /// The square to crop, if the face is one of those that are wanted.
    fn square(&mut self, face: &Face, width: u32, height: u32) -> Option<CropSquare> {
        let (narrowest, widest) = self.criteria.widths;
        let r = face.rect;
        let inside =
            r.x >= 0.0 && r.y >= 0.0 && r.x + r.w <= width as f32 && r.y + r.h <= height as f32;
        let why = match () {
            () if r.w < narrowest => &mut self.rejected.narrow,
            () if r.w > widest => &mut self.rejected.wide,
            // Its square would be shifted, its eyes not where those of other faces are.
            () if !inside => &mut self.rejected.edge,
            () => return CropSquare::around(&r, width, height),
        };
        *why += 1;
        None
    }

    /// The faces that were seen, those that are nearly one of `seen` left out.
    pub(super) fn finish(mut self, seen: &mut SeenCrops) -> (Vec<Crop>, RejectCounts) {
        let mut crops = Vec::new();
        for track in self.tracks.values_mut() {
            // Still there when the clip ended: nothing has cast doubt on it.
            if track.last_frame == self.frames {
                track.kept.extend(track.tentative.drain(..));
            }
            let before = track.kept.len();
            let mut different: Vec<Crop> = Vec::new();
            let mut own = seen.clone_empty();
            for crop in track.kept.drain(..) {
                let signature = signature(&crop);
                if !seen.holds(&signature) && own.add(signature) {
                    different.push(crop);
                }
            }
            self.rejected.same += (before - different.len()) as u64;
            let wanted = self.criteria.per_track.min(different.len());
            self.rejected.beyond += (different.len() - wanted) as u64;
            let count = different.len();
            for i in 0..wanted {
                let crop = &different[i * count / wanted];
                seen.add(signature(crop));
                crops.push(crop.clone());
            }
        }
        (crops, self.rejected)
    }
}

impl FrameObserver for CropSelector {
    fn on_frame(&mut self, frame: &ObservedFrame<'_>) {
        self.frames += 1;
        let (width, height) = (frame.before.info().width, frame.before.info().height);
        for face in frame.faces {
            let Some(square) = self.square(face, width, height) else { continue };
            let track = self.tracks.entry(face.id).or_insert_with(|| Track {
                tentative: VecDeque::new(),
                kept: Vec::new(),
                stride: 1,
                seen: 0,
                last_frame: 0,
            });
            track.seen += 1;
            track.last_frame = self.frames;
            let tentative = TENTATIVE_DETECTIONS * self.criteria.detect_every as usize;
            if (track.seen - 1).is_multiple_of(track.stride) {
                let shape = self.criteria.shape;
                let mut lr = vec![0.0; shape.lr_len()];
                self.canvas.crop(frame.before, shape, &[square], &mut lr);
                track.tentative.push_back(Crop {
                    pixels: interleaved(&lr),
                    side: shape.lr() as u32,
                    track: face.id,
                    time: frame.time,
                    rect: face.rect,
                    score: face.score,
                });
            }
            let confirmed =
                track.tentative.len().saturating_sub(tentative.div_ceil(track.stride as usize));
            track.kept.extend(track.tentative.drain(..confirmed));
            if track.kept.len() >= SPARE * self.criteria.per_track.max(2) {
                let mut odd = false;
                track.kept.retain(|_| {
                    odd = !odd;
                    odd
                });
                track.stride *= 2;
            }
        }
    }
}

/// `[3, lr, lr]` in -1..=1 as RGB bytes.
fn interleaved(lr: &[f32]) -> Vec<u8> {
    let level = |v: f32| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    let plane = lr.len() / 3;
    (0..plane).flat_map(|i| [0, 1, 2].map(|c| level(lr[c * plane + i]))).collect()
}

/// Luma of a crop, shrunk to 16x16, as 256 numbers of mean 0 and length 1.
fn signature(crop: &Crop) -> Vec<f32> {
    const SIDE: usize = Shape::COMMON;
    let side = crop.side as usize;
    let mut luma = vec![0.0; SIDE * SIDE];
    for (i, p) in crop.pixels.chunks_exact(3).enumerate() {
        let (x, y) = (i % side * SIDE / side, i / side * SIDE / side);
        luma[y * SIDE + x] +=
            0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
    }
    let mean = luma.iter().sum::<f32>() / luma.len().max(1) as f32;
    luma.iter_mut().for_each(|v| *v -= mean);
    let length = luma.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
    luma.iter_mut().for_each(|v| *v /= length);
    luma
}

/// What has been seen, of all clips.
#[derive(Debug)]
pub(super) struct SeenCrops {
    same: f32,
    signatures: Vec<Vec<f32>>,
}

impl SeenCrops {
    /// Nothing yet; crops that correlate by more than `same` are one.
    pub(super) fn new(same: f32) -> Self {
        Self { same, signatures: Vec::new() }
    }

    fn clone_empty(&self) -> Self {
        Self::new(self.same)
    }

    fn holds(&self, signature: &[f32]) -> bool {
        let product =
            |other: &Vec<f32>| -> f32 { other.iter().zip(signature).map(|(a, b)| a * b).sum() };
        self.signatures.iter().any(|other| product(other) > self.same)
    }

    /// Adds a crop; false if it was there already.
    fn add(&mut self, signature: Vec<f32>) -> bool {
        if self.holds(&signature) {
            return false;
        }
        self.signatures.push(signature);
        true
    }
}

#[cfg(test)]
mod tests {
    use facesr::Frame;
    use facesr::frame::{FrameInfo, PixelFormat};

    use super::*;

    const CRITERIA: Criteria =
        Criteria { shape: Shape::SMALL, widths: (8.0, 30.0), per_track: 4, detect_every: 1 };

    /// A frame of noise of its own, with these faces.
    fn show(selector: &mut CropSelector, seed: u32, faces: &[(u64, f32, f32)]) {
        let data: Vec<u8> = (0..200u32 * 100)
            .map(|i| ((i ^ seed.wrapping_mul(977)).wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let planes = [data.as_slice()];
        let info = FrameInfo::new(PixelFormat::Gray8, 200, 100);
        let frame = Frame::new(info, &planes, &[200]).unwrap();
        let faces: Vec<_> =
            faces.iter().map(|&(id, x, w)| Face::new(id, Rect::new(x, 30.0, w, w), 0.8)).collect();
        let time = f64::from(selector.frames as u32) / 25.0;
        let _ = gst::init();
        let caps = gst::Caps::new_empty();
        selector.on_frame(&ObservedFrame {
            time,
            before: &frame,
            after: &frame,
            faces: &faces,
            caps: &caps,
        });
    }

    #[test]
    fn a_long_track_gives_its_share_spread_over_its_time() {
        let mut selector = CropSelector::new(CRITERIA);
        for i in 0..400 {
            show(&mut selector, i, &[(1, 40.0, 16.0)]);
        }
        let (crops, rejected) = selector.finish(&mut SeenCrops::new(0.985));
        assert_eq!(crops.len(), 4);
        assert!(rejected.beyond > 0);
        assert!(crops[0].time < 1.0 && crops[3].time > 8.0, "{crops:?}");
        assert!(crops.windows(2).all(|pair| pair[1].time - pair[0].time > 1.0));
        assert!(crops.iter().all(|c| c.pixels.len() == 768 && c.track == 1));
    }

    #[test]
    fn what_a_vanishing_track_shows_last_is_not_taken() {
        let mut selector = CropSelector::new(CRITERIA);
        for i in 0..5 {
            show(&mut selector, i, &[(1, 40.0, 16.0)]);
        }
        for i in 5..9 {
            show(&mut selector, i, &[]);
        }
        let (crops, _) = selector.finish(&mut SeenCrops::new(0.985));
        assert_eq!(crops.iter().map(|c| (c.time * 25.0) as u32).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn still_faces_and_those_of_other_clips_are_taken_once() {
        let mut seen = SeenCrops::new(0.985);
        for wanted in [1, 0] {
            let mut selector = CropSelector::new(CRITERIA);
            for _ in 0..20 {
                show(&mut selector, 7, &[(1, 40.0, 16.0)]);
            }
            let (crops, rejected) = selector.finish(&mut seen);
            assert_eq!(crops.len(), wanted);
            assert!(rejected.same > 0);
        }
    }

    #[test]
    fn sizes_and_edges_are_minded() {
        let mut selector = CropSelector::new(CRITERIA);
        for i in 0..6 {
            show(&mut selector, i, &[(1, 40.0, 6.0), (2, 60.0, 40.0), (3, -4.0, 16.0)]);
        }
        let (crops, rejected) = selector.finish(&mut SeenCrops::new(0.985));
        assert!(crops.is_empty());
        assert_eq!((rejected.narrow, rejected.wide, rejected.edge), (6, 6, 6));
    }
}
