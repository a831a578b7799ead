//! What is kept of a video while it goes by: the best look at each face, the highlights, and
//! when which face was there.

use std::collections::BTreeMap;

use facesr::internals::cpu::Compositor;
use facesr::{CropSquare, Frame, FrameInfo, PixelFormat, Rect, Shape};

use crate::media::{FrameObserver, ObservedFrame};

/// Moments that are shown at most.
const MAX_HIGHLIGHTS: usize = 4;
/// Largest part of a frame that is shown of a highlight.
const WINDOW: (u32, u32) = (1280, 720);
/// A look must be so much better than the best so far to take its place.
const BETTER: f32 = 1.03;
/// Side of what is shown of a frame around a face, in sides of its square.
const AROUND: f32 = 1.8;
/// Tracks whose best look is kept: whoever looks at a crowd for a day has memory left.
pub(super) const MAX_SHOTS: usize = 500;

/// Everything kept of a video.
pub(crate) struct BestShots {
    /// The size of face squares that are sharpened, pixels of the frame.
    sizes: (f32, f32),
    pub(super) tracks: BTreeMap<u64, Track>,
    /// How many of them have a look.
    looks: usize,
    highlights: Vec<Highlight>,
    /// Seconds that one highlight stands for.
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
    /// Its square in `before`, pixels of the frame.
    pub(super) square: CropSquare,
    /// The frame around it as it came, and as it left.
    pub(super) before: Part,
    pub(super) after: Part,
}

impl BestShot {
    /// How good a look it is.
    pub(super) fn quality(&self) -> f32 {
        self.quality
    }

    /// What a generator of `shape` gets of it: `[3, lr, lr]`, RGB in -1..=1.
    pub(super) fn crop(&self, shape: Shape) -> Option<Vec<f32>> {
        let Part { info, caps, data } = &self.before;
        let layout = gst_video::VideoInfo::from_caps(caps).ok()?;
        let planes: Vec<&[u8]> =
            layout.offset().iter().map(|&at| data.get(at..)).collect::<Option<_>>()?;
        let strides: Vec<usize> = layout.stride().iter().map(|&stride| stride as usize).collect();
        let frame = Frame::new(*info, &planes, &strides).ok()?;
        let mut lr = vec![0.0; shape.lr_len()];
        Compositor::default().crop(&frame, shape, &[self.square], &mut lr);
        Some(lr)
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
    info: FrameInfo,
    pub(super) caps: gst::Caps,
    pub(super) data: Vec<u8>,
}

impl BestShots {
    /// For frames in which face squares of these sizes are sharpened.
    pub(crate) fn new(sizes: (f32, f32)) -> Self {
        Self {
            sizes,
            tracks: BTreeMap::new(),
            looks: 0,
            highlights: Vec::new(),
            span: 1.0,
            end: 0.0,
        }
    }

    /// The best highlights, in order of time.
    pub(super) fn best_highlights(&mut self) -> Vec<Highlight> {
        let mut best = std::mem::take(&mut self.highlights);
        best.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        best.truncate(MAX_HIGHLIGHTS);
        best.sort_by(|a, b| a.time.total_cmp(&b.time));
        best
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

    /// Keeps the frame as a highlight if it is better than others of its time.
    fn keep_highlight(&mut self, observed: &ObservedFrame<'_>, faces: &[(Rect, f32)]) {
        let quality: f32 = faces.iter().map(|(_, quality)| quality).sum();
        if quality <= 0.0 {
            return;
        }
        let slot = |span: f64, time: f64| (time / span) as u64;
        let last = self.highlights.last();
        let rival = last.filter(|m| slot(self.span, m.time) == slot(self.span, observed.time));
        if rival.is_some_and(|rival| quality < BETTER * rival.quality) {
            return;
        }
        let replaces = rival.is_some();
        let Some(next) = highlight(observed, faces, quality) else { return };
        if replaces {
            self.highlights.pop();
        }
        self.highlights.push(next);
        while self.highlights.len() > 2 * MAX_HIGHLIGHTS {
            self.span *= 2.0;
            let mut kept: Vec<Highlight> = Vec::new();
            for next in self.highlights.drain(..) {
                match kept.last_mut() {
                    Some(last) if slot(self.span, last.time) == slot(self.span, next.time) => {
                        if next.quality > last.quality {
                            *last = next;
                        }
                    }
                    _ => kept.push(next),
                }
            }
            self.highlights = kept;
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
                let Some((square, before, after)) = around(observed, &square) else { continue };
                let (time, rect, score) = (observed.time, face.rect, face.score);
                self.looks += usize::from(track.best.is_none());
                track.best = Some(BestShot { quality, time, rect, score, square, before, after });
            }
        }
        self.keep_highlight(observed, &sharpened);
        if self.looks > 2 * MAX_SHOTS {
            self.keep_best();
        }
    }
}

/// The frame around a face, before and after, and the face's square in it.
fn around(observed: &ObservedFrame<'_>, square: &CropSquare) -> Option<(CropSquare, Part, Part)> {
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
    let (before, after) = (part(observed.before)?, part(observed.after)?);
    // A picture of odd size has lost its last line.
    let within = |at: f32, start: u32, size: u32| {
        (at - start as f32).min(size as f32 - square.side).max(0.0)
    };
    let square = CropSquare {
        x: within(square.x, x, before.info.width),
        y: within(square.y, y, before.info.height),
        side: square.side.min(before.info.width.min(before.info.height) as f32),
    };
    Some((square, before, after))
}

/// The part of the frame that shows most of the faces, before and after.
fn highlight(
    observed: &ObservedFrame<'_>,
    faces: &[(Rect, f32)],
    quality: f32,
) -> Option<Highlight> {
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
    let mut own = *frame.info();
    (own.format, own.width, own.height) = (PixelFormat::I420, width, height);
    Some(Part { info: own, caps, data })
}

#[cfg(test)]
mod tests {
    use facesr::Face;
    use facesr::frame::{FrameInfo, PixelFormat};

    use super::*;

    /// Shows a frame of 1600x900 at a time, with faces of these ids, left edges and widths.
    fn show(shots: &mut BestShots, time: f64, faces: &[(u64, f32, f32)]) {
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
        shots.on_frame(&ObservedFrame {
            time,
            before: &frame,
            after: &frame,
            faces: &faces,
            caps: &caps,
        });
    }

    #[test]
    fn the_best_look_at_each_face_is_kept() {
        let mut shots = BestShots::new((8.0, 80.0));
        for i in 0..20u32 {
            // The first grows to 35 pixels and shrinks again; the second is too large throughout.
            let w = 15.0 + 2.0 * (10 - i.abs_diff(10)) as f32;
            show(&mut shots, f64::from(i), &[(1, 100.0, w), (2, 700.0, 90.0)]);
        }
        let best = shots.tracks[&1].best.as_ref().unwrap();
        assert_eq!((best.time, best.rect.w), (10.0, 35.0));
        assert!(shots.tracks[&2].best.is_none() && !shots.tracks[&2].sharpened);
        // 35 pixels wide makes a square of 38.5, and 1.8 times that is 70, in whole pairs.
        let info = gst_video::VideoInfo::from_caps(&best.before.caps).unwrap();
        assert_eq!((info.width(), info.height()), (70, 70));
        // A ramp, seven pixels a code: the crop in the middle of the part is that of the frame.
        let square = CropSquare::around(&best.rect, 1600, 900).unwrap();
        for shape in [Shape::SMALL, Shape::LARGE] {
            let crop = best.crop(shape).unwrap();
            assert_eq!(crop.len(), shape.lr_len());
            let code = |x: f32| ((x / 7.0 - 16.0) / 219.0 * 2.0 - 1.0).max(-1.0);
            let step = square.side / shape.lr() as f32;
            for (i, value) in crop[..shape.lr_plane()].iter().enumerate() {
                let x = square.x + ((i % shape.lr()) as f32 + 0.5) * step;
                assert!((value - code(x)).abs() < 0.02, "{shape} {i}: {value} {}", code(x));
            }
        }
        assert_eq!((shots.tracks[&2].first, shots.tracks[&2].last), (0.0, 19.0));
        assert_eq!(shots.tracks[&1].frames, 20);
    }

    #[test]
    fn a_crowd_has_its_best_looks_kept() {
        let mut shots = BestShots::new((8.0, 80.0));
        for i in 0..=2 * MAX_SHOTS as u64 {
            let w = 10.0 + (i % 20) as f32;
            show(&mut shots, i as f64, &[(i, 100.0, w)]);
        }
        let with = shots.tracks.values().filter(|track| track.best.is_some());
        assert_eq!(with.count(), MAX_SHOTS);
        assert!(shots.tracks.values().all(|track| track.sharpened));
        let least = shots.tracks.values().filter_map(|t| Some(t.best.as_ref()?.rect.w));
        assert!(least.fold(100.0, f32::min) >= 19.0);
    }

    #[test]
    fn highlights_are_few_apart_and_show_the_faces() {
        let mut shots = BestShots::new((8.0, 80.0));
        for i in 0..200u32 {
            let x = 40.0 + 7.0 * i as f32;
            show(&mut shots, f64::from(i) / 2.0, &[(1, x, 30.0), (2, 1500.0, 20.0)]);
        }
        let highlights = shots.best_highlights();
        assert!((2..=MAX_HIGHLIGHTS).contains(&highlights.len()));
        assert!(highlights.windows(2).all(|pair| pair[1].time - pair[0].time > 2.0));
        for highlight in &highlights {
            assert!(highlight.faces >= 1);
            let info = gst_video::VideoInfo::from_caps(&highlight.before.caps).unwrap();
            assert_eq!((info.width(), info.height()), WINDOW);
            // A ramp across the frame: its part begins where the window does.
            let start = highlight.before.data[0];
            assert!(start <= (320 / 7) as u8, "{start}");
        }
        assert!(shots.best_highlights().is_empty());
    }
}
