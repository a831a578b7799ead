//! The best looks at the latest faces: small pictures, for whoever asks for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gst_video::{VideoCropMeta, VideoRegionOfInterestMeta};
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

    /// Makes the looks that wait; to be called some times a second.
    pub(crate) fn make(&self) {
        let Some((picture, mut faces)) = self.waiting.lock().take() else { return };
        faces.sort_by(|a, b| quality(b).total_cmp(&quality(a)));
        for face in faces.into_iter().take(MOST_AT_ONCE) {
            let Some(jpeg) = crop(&picture, face.rect).and_then(|p| p.to_jpeg()) else { continue };
            let quality = quality(&face);
            let look = Look { face, at: SystemTime::now(), quality, jpeg: Arc::new(jpeg) };
            let mut kept = self.kept.lock();
            kept.retain(|other| other.face.id != look.face.id);
            kept.push_front(look);
            kept.truncate(MOST);
        }
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
    let mut cut = picture.clone();
    VideoCropMeta::add(cut.buffer.make_mut(), (left, top, w, h));
    Some(cut)
}
