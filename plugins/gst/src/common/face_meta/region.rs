//! A face as a region of interest: what is written, and what is read of those that others wrote.

use facesr::{Face, Rect};
use gst_video::VideoRegionOfInterestMeta as Region;

use super::Size;

/// Type of the regions that are written. Read is any spelling: ONVIF writes `Face`.
pub(super) const ROI_TYPE: &str = "face";

/// Name of DL Streamer's structure.
const DETECTION: &str = "detection";

/// Name of our own structure.
pub(super) const EXACT_BOX: &str = "facesr-face";

/// A box whose double and integer edges are further apart, in pixels, has been changed by an
/// element that did not know the doubles, a cropper perhaps: then the integers count.
const EDGE_TOLERANCE: f64 = 2.0;

/// Whether a region is of a face.
pub(super) fn is_face(region: &Region) -> bool {
    region.roi_type().eq_ignore_ascii_case(ROI_TYPE)
}

/// The pixels that the part of a box in the picture touches: left, top, width and height. Nothing
/// for a box that lies outside, or is none.
pub(super) fn whole_pixels(rect: &Rect, (width, height): Size) -> Option<[u32; 4]> {
    let [left, top, right, bottom] = clip(edges(rect), f64::from(width), f64::from(height));
    if !rect.is_valid() || right <= left || bottom <= top {
        return None;
    }
    let (x, y) = (left.floor() as u32, top.floor() as u32);
    Some([x, y, right.ceil() as u32 - x, bottom.ceil() as u32 - y])
}

/// Adds `face`, which touches the pixels `whole`, as a region numbered `id`.
pub(super) fn add(
    buffer: &mut gst::BufferRef,
    face: &Face,
    whole: [u32; 4],
    id: i32,
    (width, height): Size,
) {
    let (w, h) = (f64::from(width), f64::from(height));
    let edges = edges(&face.rect);
    let [left, top, right, bottom] = clip(edges, w, h);
    let mut region = Region::add(buffer, ROI_TYPE, whole.into());
    region.set_id(id);
    region.add_param(
        gst::Structure::builder(DETECTION)
            .field("confidence", f64::from(face.score))
            .field("x_min", left / w)
            .field("y_min", top / h)
            .field("x_max", right / w)
            .field("y_max", bottom / h)
            .build(),
    );
    // DL Streamer's identifiers are signed: a tracker needs years to get beyond that.
    let number = (face.id & i32::MAX as u64) as i32;
    region.add_param(gst::Structure::builder("object_id").field("id", number).build());
    region.add_param(
        gst::Structure::builder(EXACT_BOX)
            .field("x", edges[0] / w)
            .field("y", edges[1] / h)
            .field("w", f64::from(face.rect.w) / w)
            .field("h", f64::from(face.rect.h) / h)
            .build(),
    );
}

/// Left, top, right and bottom.
fn edges(r: &Rect) -> [f64; 4] {
    let [x, y, w, h] = [r.x, r.y, r.w, r.h].map(f64::from);
    [x, y, x + w, y + h]
}

/// The part in a picture of this size.
fn clip([left, top, right, bottom]: [f64; 4], w: f64, h: f64) -> [f64; 4] {
    [left.max(0.0), top.max(0.0), right.min(w), bottom.min(h)]
}

/// The box of a face: the most exact of those that the region carries.
pub(super) fn face_rect(region: &Region, (width, height): Size) -> Rect {
    let (w, h) = (f64::from(width), f64::from(height));
    let (x, y, rw, rh) = region.rect();
    let whole = [x, y, x.saturating_add(rw), y.saturating_add(rh)].map(f64::from);
    let agrees = |edges: &[f64; 4]| {
        let clipped = clip(*edges, w, h);
        clipped.iter().zip(&whole).all(|(a, b)| (a - b).abs() <= EDGE_TOLERANCE)
    };
    let [left, top, right, bottom] = exact_edges(region, w, h, agrees)
        .or_else(|| detection_edges(region, w, h, agrees))
        .unwrap_or(whole);
    Rect::new(left as f32, top as f32, (right - left) as f32, (bottom - top) as f32)
}

/// The box in our own structure.
fn exact_edges(
    region: &Region,
    w: f64,
    h: f64,
    agrees: impl Fn(&[f64; 4]) -> bool,
) -> Option<[f64; 4]> {
    let exact = region.param(EXACT_BOX)?;
    let [x, y, bw, bh] = ["x", "y", "w", "h"].map(|name| exact.get::<f64>(name).ok());
    let (x, y, bw, bh) = (x? * w, y? * h, bw? * w, bh? * h);
    Some([x, y, x + bw, y + bh]).filter(agrees)
}

/// The box in DL Streamer's structure.
fn detection_edges(
    region: &Region,
    w: f64,
    h: f64,
    agrees: impl Fn(&[f64; 4]) -> bool,
) -> Option<[f64; 4]> {
    let detection = region.param(DETECTION)?;
    let edge = |name: &str, size: f64| detection.get::<f64>(name).ok().map(|v| v * size);
    Some([edge("x_min", w)?, edge("y_min", h)?, edge("x_max", w)?, edge("y_max", h)?])
        .filter(agrees)
}

/// The face's number, where a tracker has given one.
pub(super) fn identity(region: &Region) -> Option<u64> {
    let object = region.param("object_id")?;
    u64::try_from(object.get::<i32>("id").ok()?).ok().filter(|&id| id > 0)
}

pub(super) fn score(region: &Region) -> f32 {
    region
        .param("detection")
        .and_then(|detection| detection.get::<f64>("confidence").ok())
        .map_or(1.0, |v| v as f32)
}

/// Whether the region's number is that of a detection in the analytics metadata: DL Streamer and
/// this plugin number theirs so, and give them the details that plain regions lack.
pub(super) fn is_numbered_by_detection(region: &Region) -> bool {
    region.param(DETECTION).is_some()
}
