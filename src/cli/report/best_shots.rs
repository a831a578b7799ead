//! What is kept of a video while it goes by: the best look at each face, the best moments, and
//! when which face was there.

use std::collections::BTreeMap;

use facesr::internals::cpu::Compositor;
use facesr::{CropSquare, Frame, Rect, Shape};

use crate::media::{FrameObserver, ObservedFrame};

/// Moments that are shown at most.
const MAX_HIGHLIGHTS: usize = 4;
/// Largest part of a frame that is shown for a moment.
const WINDOW: (u32, u32) = (1280, 720);
/// A look must be so much better than the best so far to take its place.
const BETTER: f32 = 1.03;
/// Side of what is shown of a frame around a face, in sides of its square.
const AROUND: f32 = 1.8;
/// Tracks whose best look is kept: whoever looks at a crowd for a day has memory left.
pub(super) const MAX_SHOTS: usize = 500;

/// Generators that a look is kept for: which of them it gets is known in the end.
pub(super) const SHAPES: [Shape; 2] = [Shape::SMALL, Shape::LARGE];

/// Everything kept of a video.
pub(crate) struct BestShots {
    /// The size of face squares that are sharpened, pixels of the frame.
    sizes: (f32, f32),
    canvas: Compositor,
    pub(super) tracks: BTreeMap<u64, Track>,
    /// How many of them have a look.
    looks: usize,
    moments: Vec<Highlight>,
    /// Seconds that one moment stands for.
    span: f64,
    /// Time of the last frame, seconds.
    pub(super) end: f64,
}

/// A face over its time.
pub(super) struct Track {
    /// First and last time it was there, seconds.
    pub(super) first: f64,
    pub(super) last: f64,
    /// Frames it was in.
    pub(super) frames: u64,
    /// Whether it was ever of a size that is sharpened.
    pub(super) sharpened: bool,
    /// The best look at it, if it was, and is among the best [`MAX_SHOTS`].
    pub(super) best: Option<BestShot>,
}

/// A face at one time.
pub(super) struct BestShot {
    quality: f32,
    pub(super) time: f64,
    pub(super) rect: Rect,
    pub(super) score: f32,
    /// Side of its square in the frame, pixels.
    pub(super) side: f32,
    /// Crops for generators of [`SHAPES`], `[3, lr, lr]` in -1..=1.
    pub(super) crops: [Vec<f32>; 2],
    /// The frame around it as it came, and as it left.
    pub(super) before: Part,
    pub(super) after: Part,
}

impl BestShot {
    /// How good a look it is.
    pub(super) fn quality(&self) -> f32 {
        self.quality
    }
}

/// A part of a frame before and after.
pub(super) struct Highlight {
    quality: f32,
    pub(super) time: f64,
    /// Faces in it that were sharpened.
    pub(super) faces: usize,
    pub(super) before: Part,
    pub(super) after: Part,
}

/// Part of a frame, I420 with rows as GStreamer lays them out.
pub(super) struct Part {
    pub(super) caps: gst::Caps,
    pub(super) data: Vec<u8>,
}

impl BestShots {
    /// An album for frames in which face squares of these sizes are sharpened.
    pub(crate) fn new(sizes: (f32, f32)) -> Self {
        Self {
            sizes,
            canvas: Compositor::default(),
            tracks: BTreeMap::new(),
            looks: 0,
            moments: Vec::new(),
            span: 1.0,
            end: 0.0,
        }
    }

    /// The best moments, in order of time.
    pub(super) fn best_highlights(&mut self) -> Vec<Highlight> {
        let mut moments = std::mem::take(&mut self.moments);
        moments.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        moments.truncate(MAX_HIGHLIGHTS);
        moments.sort_by(|a, b| a.time.total_cmp(&b.time));
        moments
    }

    /// Leaves a look to the [`MAX_SHOTS`] tracks that have the best.
    pub(super) fn keep_best(&mut self) {
        let looks = self.tracks.values().filter_map(|track| track.best.as_ref());
        let mut qualities: Vec<_> = looks.map(|look| look.quality).collect();
        qualities.sort_by(|a, b| b.total_cmp(a));
        let Some(&least) = qualities.get(MAX_SHOTS - 1) else { return };
        self.looks = 0;
        for track in self.tracks.values_mut() {
            track.best =
                track.best.take().filter(|look| look.quality >= least && self.looks < MAX_SHOTS);
            self.looks += usize::from(track.best.is_some());
        }
    }

    /// How good a look at a face this is; 0 if it is not sharpened. A face gains from each pixel
    /// up to the size from which on the effect fades.
    fn quality(&self, score: f32, side: f32) -> f32 {
        let (least, most) = self.sizes;
        if side < least || side > most {
            return 0.0;
        }
        let full = most / 2.0;
        score * (side / full).min(1.0) * if side > full { (most - side) / full } else { 1.0 }
    }

    /// Takes the moment if it is better than others of its time.
    fn moment(&mut self, observed: &ObservedFrame<'_>, faces: &[(Rect, f32)]) {
        let quality: f32 = faces.iter().map(|(_, quality)| quality).sum();
        if quality <= 0.0 {
            return;
        }
        let slot = |span: f64, time: f64| (time / span) as u64;
        let last = self.moments.last();
        let rival = last.filter(|m| slot(self.span, m.time) == slot(self.span, observed.time));
        if rival.is_some_and(|rival| quality < BETTER * rival.quality) {
            return;
        }
        let replaces = rival.is_some();
        let Some(moment) = moment(observed, faces, quality) else { return };
        if replaces {
            self.moments.pop();
        }
        self.moments.push(moment);
        while self.moments.len() > 2 * MAX_HIGHLIGHTS {
            self.span *= 2.0;
            let mut kept: Vec<Highlight> = Vec::new();
            for moment in self.moments.drain(..) {
                match kept.last_mut() {
                    Some(last) if slot(self.span, last.time) == slot(self.span, moment.time) => {
                        if moment.quality > last.quality {
                            *last = moment;
                        }
                    }
                    _ => kept.push(moment),
                }
            }
            self.moments = kept;
        }
    }
}

impl FrameObserver for BestShots {
    fn on_frame(&mut self, observed: &ObservedFrame<'_>) {
        let info = observed.before.info();
        let (width, height) = (info.width, info.height);
        self.end = observed.time;
        let mut sharpened = Vec::new();
        for face in observed.faces {
            let square = CropSquare::around(&face.rect, width, height);
            let quality = square.map_or(0.0, |square| self.quality(face.score, square.side));
            let track = self.tracks.entry(face.id).or_insert_with(|| Track {
                first: observed.time,
                last: observed.time,
                frames: 0,
                sharpened: false,
                best: None,
            });
            track.last = observed.time;
            track.frames += 1;
            let Some(square) = square.filter(|_| quality > 0.0) else { continue };
            track.sharpened = true;
            sharpened.push((square.rect(), quality));
            if track.best.as_ref().is_none_or(|best| quality > BETTER * best.quality) {
                let Some((before, after)) = around(observed, &square) else { continue };
                let crops = SHAPES.map(|shape| {
                    let mut crop = vec![0.0; shape.lr_len()];
                    self.canvas.crop(observed.before, shape, &[square], &mut crop);
                    crop
                });
                let side = square.side;
                let (time, rect, score) = (observed.time, face.rect, face.score);
                self.looks += usize::from(track.best.is_none());
                track.best =
                    Some(BestShot { quality, time, rect, score, side, crops, before, after });
            }
        }
        self.moment(observed, &sharpened);
        if self.looks > 2 * MAX_SHOTS {
            self.keep_best();
        }
    }
}

/// The frame around a face, before and after.
fn around(observed: &ObservedFrame<'_>, square: &CropSquare) -> Option<(Part, Part)> {
    let info = observed.before.info();
    let center = square.rect().center();
    let place = |center: f32, limit: u32| {
        let size = ((AROUND * square.side / 2.0).ceil() as u32 * 2).min(limit);
        let start = (center - size as f32 / 2.0).clamp(0.0, (limit - size) as f32);
        // Chroma samples belong to pairs of pixels.
        (start as u32 / 2 * 2, size)
    };
    let ((x, w), (y, h)) = (place(center.x, info.width), place(center.y, info.height));
    let part = |frame| part(frame, observed.caps, (x, y), (w, h));
    Some((part(observed.before)?, part(observed.after)?))
}

/// The part of the frame that shows most of the faces, before and after.
fn moment(observed: &ObservedFrame<'_>, faces: &[(Rect, f32)], quality: f32) -> Option<Highlight> {
    let info = observed.before.info();
    let size = (info.width.min(WINDOW.0), info.height.min(WINDOW.1));
    let place = |center: f32, size: u32, limit: u32| {
        let start = (center - size as f32 / 2.0).clamp(0.0, (limit - size) as f32);
        // Chroma samples belong to pairs of pixels.
        start as u32 / 2 * 2
    };
    let inside = |(x, y): (u32, u32), r: &Rect| {
        let (x, y) = (x as f32, y as f32);
        let (w, h) = (size.0 as f32, size.1 as f32);
        r.x >= x && r.y >= y && r.x + r.w <= x + w && r.y + r.h <= y + h
    };
    let worth = |at: (u32, u32)| -> f32 {
        faces.iter().filter(|(r, _)| inside(at, r)).map(|(_, quality)| quality).sum()
    };
    let at = faces
        .iter()
        .map(|(rect, _)| {
            let c = rect.center();
            (place(c.x, size.0, info.width), place(c.y, size.1, info.height))
        })
        .max_by(|a, b| worth(*a).total_cmp(&worth(*b)))?;
    Some(Highlight {
        quality,
        time: observed.time,
        faces: faces.iter().filter(|(r, _)| inside(at, r)).count(),
        before: part(observed.before, observed.caps, at, size)?,
        after: part(observed.after, observed.caps, at, size)?,
    })
}

/// Copies a part of a frame of three components, the later two of half size.
fn part(frame: &Frame<'_>, caps: &gst::CapsRef, at: (u32, u32), size: (u32, u32)) -> Option<Part> {
    // Even sizes, so that every layout agrees on the number of chroma samples.
    let (width, height) = (size.0 / 2 * 2, size.1 / 2 * 2);
    let mut caps = caps.to_owned();
    let structure = caps.get_mut()?.structure_mut(0)?;
    structure.set("format", "I420");
    structure.set("width", i32::try_from(width).ok()?);
    structure.set("height", i32::try_from(height).ok()?);
    let info = gst_video::VideoInfo::from_caps(&caps).ok()?;
    let mut data = vec![0; info.size()];
    for i in 0..3 {
        let c = frame.component(i);
        let (w, h) = ((width >> c.hsub) as usize, (height >> c.vsub) as usize);
        let (x, y) = ((at.0 >> c.hsub) as usize, (at.1 >> c.vsub) as usize);
        let (offset, stride) = (info.offset()[i], info.stride()[i] as usize);
        for row in 0..h {
            let from = c.data.get((y + row) * c.stride + x * c.step..)?;
            let to = &mut data[offset + row * stride..][..w];
            for (to, from) in to.iter_mut().zip(from.iter().step_by(c.step)) {
                *to = *from;
            }
        }
    }
    Some(Part { caps, data })
}

#[cfg(test)]
mod tests {
    use facesr::Face;
    use facesr::frame::{FrameInfo, PixelFormat};

    use super::*;

    /// Shows a frame of 1600x900 at a time, with faces of these ids, left edges and widths.
    fn show(album: &mut BestShots, time: f64, faces: &[(u64, f32, f32)]) {
        let _ = gst::init();
        let (w, h) = (1600usize, 900usize);
        let luma: Vec<u8> = (0..w * h).map(|i| (i % w / 7) as u8).collect();
        let chroma = vec![128; w * h / 4];
        let planes = [luma.as_slice(), &chroma, &chroma];
        let info = FrameInfo::new(PixelFormat::I420, w as u32, h as u32);
        let frame = Frame::new(info, &planes, &[w, w / 2, w / 2]).unwrap();
        let caps = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 1600, 900)
            .build()
            .unwrap()
            .to_caps()
            .unwrap();
        let faces: Vec<_> =
            faces.iter().map(|&(id, x, w)| Face::new(id, Rect::new(x, 400.0, w, w), 0.9)).collect();
        album.on_frame(&ObservedFrame {
            time,
            before: &frame,
            after: &frame,
            faces: &faces,
            caps: &caps,
        });
    }

    #[test]
    fn the_best_look_at_each_face_is_kept() {
        let mut album = BestShots::new((8.0, 80.0));
        for i in 0..20u32 {
            // The first grows to 35 pixels and shrinks again; the second is too large throughout.
            let w = 15.0 + 2.0 * (10 - i.abs_diff(10)) as f32;
            show(&mut album, f64::from(i), &[(1, 100.0, w), (2, 700.0, 90.0)]);
        }
        let best = album.tracks[&1].best.as_ref().unwrap();
        assert_eq!((best.time, best.rect.w), (10.0, 35.0));
        assert!(album.tracks[&2].best.is_none() && !album.tracks[&2].sharpened);
        // 35 pixels wide makes a square of 38.5, and 1.8 times that is 70, in whole pairs.
        let info = gst_video::VideoInfo::from_caps(&best.before.caps).unwrap();
        assert_eq!((info.width(), info.height()), (70, 70));
        assert_eq!((album.tracks[&2].first, album.tracks[&2].last), (0.0, 19.0));
        assert_eq!(album.tracks[&1].frames, 20);
    }

    #[test]
    fn a_crowd_has_its_best_looks_kept() {
        let mut album = BestShots::new((8.0, 80.0));
        for i in 0..=2 * MAX_SHOTS as u64 {
            let w = 10.0 + (i % 20) as f32;
            show(&mut album, i as f64, &[(i, 100.0, w)]);
        }
        let with = album.tracks.values().filter(|track| track.best.is_some());
        assert_eq!(with.count(), MAX_SHOTS);
        assert!(album.tracks.values().all(|track| track.sharpened));
        let least = album.tracks.values().filter_map(|t| Some(t.best.as_ref()?.rect.w));
        assert!(least.fold(100.0, f32::min) >= 19.0);
    }

    #[test]
    fn moments_are_few_spread_and_show_the_faces() {
        let mut album = BestShots::new((8.0, 80.0));
        for i in 0..200u32 {
            let x = 40.0 + 7.0 * i as f32;
            show(&mut album, f64::from(i) / 2.0, &[(1, x, 30.0), (2, 1500.0, 20.0)]);
        }
        let moments = album.best_highlights();
        assert!((2..=MAX_HIGHLIGHTS).contains(&moments.len()));
        assert!(moments.windows(2).all(|pair| pair[1].time - pair[0].time > 2.0));
        for moment in &moments {
            assert!(moment.faces >= 1);
            let info = gst_video::VideoInfo::from_caps(&moment.before.caps).unwrap();
            assert_eq!((info.width(), info.height()), WINDOW);
            // A ramp across the frame: its part begins where the window does.
            let start = moment.before.data[0];
            assert!(start <= (320 / 7) as u8, "{start}");
        }
        assert!(album.best_highlights().is_empty());
    }
}
