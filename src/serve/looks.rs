//! The best looks at the latest faces: small pictures, for whoever asks for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo, VideoRegionOfInterestMeta};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::picture::Picture;
use crate::record::iso;

/// Looks that are kept.
const MOST: usize = 24;
/// A camera's pictures are looked at as often.
const EVERY: Duration = Duration::from_millis(500);
/// A look must be so much better to take another's place.
const BETTER: f64 = 1.2;
/// Looks that are made of one picture at most.
const MOST_AT_ONCE: usize = 4;

/// A face in a picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FaceBox {
    /// Number of its track.
    pub(crate) id: u64,
    /// Left, top, width and height, in pixels.
    pub(crate) rect: (u32, u32, u32, u32),
    pub(crate) score: f64,
}

/// The faces that are marked in a buffer.
pub(crate) fn faces(buffer: &gst::BufferRef) -> Vec<FaceBox> {
    let regions = buffer.iter_meta::<VideoRegionOfInterestMeta>();
    regions
        .filter(|region| region.roi_type() == "face")
        .map(|region| {
            let (mut id, mut score) = (0, 0.0);
            for param in region.params() {
                match param.name().as_str() {
                    "detection" => score = param.get("confidence").unwrap_or(0.0),
                    "object_id" => {
                        let number =
                            param.get::<i32>("id").ok().and_then(|n| u64::try_from(n).ok());
                        id = number.or(param.get::<u64>("id").ok()).unwrap_or(0);
                    }
                    _ => {}
                }
            }
            FaceBox { id, rect: region.rect(), score }
        })
        .collect()
}

/// A small picture of a face.
#[derive(Clone)]
struct Look {
    face: FaceBox,
    at: SystemTime,
    quality: f64,
    jpeg: Arc<Vec<u8>>,
}

/// The looks of one camera.
#[derive(Default)]
pub(crate) struct Looks {
    looked: Mutex<Option<Instant>>,
    /// A picture with faces that are better seen than before.
    waiting: Mutex<Option<(Picture, Vec<FaceBox>)>>,
    kept: Mutex<VecDeque<Look>>,
}

/// Large and sure is good.
fn quality(face: &FaceBox) -> f64 {
    f64::from(face.rect.2) * f64::from(face.rect.3) * face.score
}

impl Looks {
    /// An enhanced picture. Quick: what it takes to make a look is done by [`Looks::make`].
    pub(crate) fn offer(&self, picture: &Picture) {
        let mut looked = self.looked.lock();
        if looked.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        *looked = Some(Instant::now());
        let mut faces = faces(&picture.buffer);
        let kept = self.kept.lock();
        faces.retain(|face| {
            let known = kept.iter().find(|look| look.face.id == face.id);
            known.is_none_or(|look| quality(face) > look.quality * BETTER)
        });
        drop(kept);
        if !faces.is_empty() {
            *self.waiting.lock() = Some((picture.clone(), faces));
        }
    }

    /// Makes the looks that wait, and returns the best of them, if any; to be called some times a second.
    pub(crate) fn make(&self) -> Option<Arc<Vec<u8>>> {
        let (picture, mut faces) = self.waiting.lock().take()?;
        let mut best = None;
        faces.sort_by(|a, b| quality(b).total_cmp(&quality(a)));
        for face in faces.into_iter().take(MOST_AT_ONCE) {
            let Some(jpeg) = crop(&picture, face.rect).and_then(|p| p.to_jpeg()) else { continue };
            let quality = quality(&face);
            let jpeg = Arc::new(jpeg);
            best.get_or_insert_with(|| jpeg.clone());
            let look = Look { face, at: SystemTime::now(), quality, jpeg };
            let mut kept = self.kept.lock();
            kept.retain(|other| other.face.id != look.face.id);
            kept.push_front(look);
            kept.truncate(MOST);
        }
        best
    }

    /// All of them, latest first, of a camera's name.
    pub(crate) fn to_json(&self, camera: &str) -> Value {
        let kept = self.kept.lock();
        let looks = kept.iter().map(|look| {
            let (x, y, w, h) = look.face.rect;
            json!({
                "id": look.face.id,
                "time": iso(look.at),
                "score": (look.face.score * 1000.0).round() / 1000.0,
                "box": [x, y, x + w, y + h],
                "jpeg": format!("/faces/{camera}/{}.jpg", look.face.id),
            })
        });
        let looks: Vec<_> = looks.collect();
        json!({ "camera": camera, "faces": looks })
    }

    /// The numbers of the faces, latest first.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.kept.lock().iter().map(|look| look.face.id).collect()
    }

    /// The look at a face.
    pub(crate) fn jpeg(&self, id: u64) -> Option<Arc<Vec<u8>>> {
        self.kept.lock().iter().find(|look| look.face.id == id).map(|look| look.jpeg.clone())
    }
}

/// The part of a picture around a face, with half as much again on each side.
fn crop(picture: &Picture, (x, y, w, h): (u32, u32, u32, u32)) -> Option<Picture> {
    let (width, height) = (picture.info.width(), picture.info.height());
    // Even numbers, as formats with fewer color samples want it.
    let (left, top) = (x.saturating_sub(w / 2) & !1, y.saturating_sub(h / 2) & !1);
    let right = x.saturating_add(w).saturating_add(w / 2).min(width) & !1;
    let bottom = y.saturating_add(h).saturating_add(h / 2).min(height) & !1;
    let (w, h) = (right.checked_sub(left)?, bottom.checked_sub(top)?);
    if w < 8 || h < 8 {
        return None;
    }
    copy(picture, (left, top, w, h))
}

/// A rectangle of a picture, all of whose numbers are even. By hand: GStreamer's conversion of single pictures crops
/// them, but complains of their segment each time.
fn copy(picture: &Picture, (x, y, w, h): (u32, u32, u32, u32)) -> Option<Picture> {
    let format = picture.info.format();
    // Bytes of a sample in planes with fewer of them.
    let wide = match format {
        VideoFormat::I420 => 1,
        VideoFormat::Nv12 => 2,
        _ => return None,
    };
    let info = VideoInfo::builder(format, w, h).build().ok()?;
    let frame = VideoFrameRef::from_buffer_ref_readable(&picture.buffer, &picture.info).ok()?;
    let mut data = vec![0; info.size()];
    for plane in 0..frame.n_planes() {
        let (shift, bytes) = if plane == 0 { (0, 1) } else { (1, wide) };
        let [x, y, w, h] = [x, y, w, h].map(|n| n as usize >> shift);
        let from = frame.plane_data(plane).ok()?;
        let from_stride = usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?;
        let to_stride = usize::try_from(*info.stride().get(plane as usize)?).ok()?;
        let to = data.get_mut(*info.offset().get(plane as usize)?..)?;
        for row in 0..h {
            let start = (y + row) * from_stride + x * bytes;
            let pixels = from.get(start..start + w * bytes)?;
            to.get_mut(row * to_stride..)?.get_mut(..w * bytes)?.copy_from_slice(pixels);
        }
    }
    Some(Picture { buffer: gst::Buffer::from_mut_slice(data), info, at: picture.at })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot be set up has failed.

    use super::*;

    #[test]
    fn part_of_a_picture_is_copied_from_its_place() {
        gst::init().unwrap();
        for format in [VideoFormat::I420, VideoFormat::Nv12] {
            let info = VideoInfo::builder(format, 64, 48).build().unwrap();
            let mut data = vec![16u8; info.size()];
            // A white square of 16x8 from (20, 10) on.
            for row in 10..18 {
                data[row * info.stride()[0] as usize + 20..][..16].fill(235);
            }
            let buffer = gst::Buffer::from_mut_slice(data);
            let picture = Picture { buffer, info, at: gst::ClockTime::ZERO };
            let part = copy(&picture, (20, 10, 16, 8)).unwrap();
            let frame = VideoFrameRef::from_buffer_ref_readable(&part.buffer, &part.info).unwrap();
            let luma = frame.plane_data(0).unwrap();
            let stride = frame.plane_stride()[0] as usize;
            assert!(luma.chunks(stride).take(8).all(|row| row[..16].iter().all(|p| *p == 235)));
            assert!(copy(&picture, (56, 40, 16, 16)).is_none());
            assert!(crop(&picture, (60, 44, 8, 8)).is_some());
        }
    }
}
