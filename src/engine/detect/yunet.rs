//! YuNet: a small anchor-free network (Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face
//! Detector", 2023), as an ONNX file.
//!
//! Takes BGR of 0 to 255. For each stride s of 8, 16 and 32 and each cell of s x s pixels it
//! answers `cls_s` and `obj_s` (probabilities, score = sqrt(cls * obj)) and `bbox_s` (center
//! within the cell, logarithm of width and height, all in units of s) and `kps_s` (five points in
//! the same units, the eyes first).

use super::network::{Kind, Network, looks_this_way};
use super::preprocess::{Channels, Layout};
use super::{BoxFit, DetectorOptions};
use crate::error::ModelError;
use crate::face::Detection;
use crate::geometry::Rect;
use crate::inference::model_source::ModelSource;
use facesr_onnx::Signature;

/// From YuNet's box to the WIDER-style box. `examples/measure_box_factor.rs` on 789 CelebA crops
/// of 16 to 128 pixels gives sides of 1.21 (small) to 1.03 (large), 1.12 in the middle; in three
/// real clips, by the distance of eyes and mouth and of the eyes in frontal faces against the same
/// in CelebA crops, 1.08 to 1.13. The shift is -0.02 (up) in both.
const FIT: BoxFit = BoxFit { side: 1.10, down: -0.02 };

/// Detections of a lower score are dropped unless the user says otherwise. At 0.75 YuNet-n finds
/// no face in 95 frames of cars and in 91 of an office with a person seen from behind (YuNet-s 0
/// and 1), both faces of 12 to 23 pixels in each of 35 frames of a corridor and nothing else, and
/// 163 faces a frame in a crowd. At 0.6 the numbers are 0, 3 (12), 77 for 70, and 180.
const MIN_SCORE: f32 = 0.75;

/// Boxes that overlap by more are one face.
const MAX_IOU: f32 = 0.45;

/// Cells to a picture of the network, pixels.
const STRIDES: [usize; 3] = [8, 16, 32];

const WANTED: &str =
    "YuNet: input [1,3,H,W], outputs cls_8, obj_8, bbox_8, kps_8, cls_16 ... kps_32";

/// What is YuNet's own.
static KIND: Kind = Kind {
    name: "yunet",
    channels: Channels::Bgr,
    min_score: MIN_SCORE,
    max_iou: MAX_IOU,
    fit: FIT,
    output_sizes,
    decode,
    ms_per_megapixel: 18.0,
    wanted: WANTED,
};

/// Whether a file declares what YuNet files do.
pub(super) fn is_yunet(declared: &Signature) -> bool {
    let has = |name: &String| declared.outputs.iter().any(|o| o.name == *name && o.is_f32());
    declared.inputs.len() == 1 && declared.inputs[0].is_f32() && output_names().iter().all(has)
}

fn output_names() -> Vec<String> {
    let heads = ["cls", "obj", "bbox", "kps"];
    STRIDES.iter().flat_map(|s| heads.map(|head| format!("{head}_{s}"))).collect()
}

/// Values of each output, in the order of [`output_names`].
fn output_sizes(layout: Layout) -> Vec<usize> {
    let cells = |s: usize| (layout.padded_width / s) * (layout.padded_height / s);
    STRIDES.iter().flat_map(|&s| [1, 1, 4, 10].map(|n| n * cells(s))).collect()
}

/// The detector in `file`, which declares `declared`.
///
/// # Errors
/// [`ModelError`] if it is no YuNet, or ONNX Runtime cannot run it.
pub(super) fn open(
    source: ModelSource,
    file: Vec<u8>,
    declared: &Signature,
    options: &DetectorOptions,
) -> Result<Network, ModelError> {
    if !is_yunet(declared) {
        return Err(super::contract(&source, declared, WANTED));
    }
    let input = declared.inputs[0].name.clone();
    Network::open(&KIND, (source, file), (input, output_names()), options)
}

/// The boxes of all cells that reach `min_score` and look this way, picture pixels.
fn decode(outputs: &[&[f32]], layout: Layout, min_score: f32) -> Vec<Detection> {
    let mut found = Vec::new();
    // Nearly all cells fail, so the test comes before the root.
    let least = min_score * min_score;
    for (heads, stride) in outputs.chunks_exact(4).zip(STRIDES) {
        let &[cls, obj, bbox, points] = heads else { continue };
        let columns = layout.padded_width / stride;
        let s = stride as f32;
        for (i, ((cls, obj), bbox)) in cls.iter().zip(obj).zip(bbox.chunks_exact(4)).enumerate() {
            let square = cls * obj;
            if square < least || square.is_nan() {
                continue;
            }
            let (row, column) = (i / columns, i % columns);
            let (w, h) = (bbox[2].exp() * s, bbox[3].exp() * s);
            let eyes = &points[10 * i..10 * i + 4];
            let (a, b) = ((eyes[0] * s, eyes[1] * s), (eyes[2] * s, eyes[3] * s));
            if !looks_this_way(a, b, w, h) {
                continue;
            }
            let (x, y) = ((column as f32 + bbox[0]) * s, (row as f32 + bbox[1]) * s);
            found.push(Detection {
                rect: Rect::new(x - w / 2.0, y - h / 2.0, w, h),
                score: square.sqrt().min(1.0),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::nms;
    use super::*;

    fn empty(layout: Layout) -> Vec<Vec<f32>> {
        output_sizes(layout).into_iter().map(|n| vec![0.0; n]).collect()
    }

    fn decoded(outputs: &[Vec<f32>], layout: Layout, min_score: f32) -> Vec<Detection> {
        let outputs: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
        decode(&outputs, layout, min_score)
    }

    #[test]
    fn a_made_up_cell_of_each_stride() {
        let layout = Layout::padded(96, 64, 32);
        for (k, s) in STRIDES.into_iter().enumerate() {
            let mut outputs = empty(layout);
            // Row 1, column 2.
            let cell = 96 / s + 2;
            outputs[4 * k][cell] = 0.9;
            outputs[4 * k + 1][cell] = 0.4;
            outputs[4 * k + 2][4 * cell..][..4].copy_from_slice(&[0.25, 0.5, 2f32.ln(), 3f32.ln()]);
            // Eyes at one place: seen from the side.
            assert!(decoded(&outputs, layout, 0.5).is_empty());
            outputs[4 * k + 3][10 * cell + 2] = 0.9;
            let found = decoded(&outputs, layout, 0.5);
            assert_eq!(found.len(), 1);
            let s = s as f32;
            let c = found[0].rect.center();
            assert!((c.x - 2.25 * s).abs() < 1e-3 && (c.y - 1.5 * s).abs() < 1e-3);
            assert!((found[0].rect.w - 2.0 * s).abs() < 1e-3);
            assert!((found[0].rect.h - 3.0 * s).abs() < 1e-3);
            assert!((found[0].score - 0.6).abs() < 1e-6);
            assert!(decoded(&outputs, layout, 0.61).is_empty());
        }
    }

    #[test]
    fn nonsense_does_not_get_through() {
        let layout = Layout::padded(32, 32, 32);
        let mut outputs = empty(layout);
        outputs[0][0] = f32::NAN;
        outputs[1][0] = 1.0;
        outputs[0][1] = 1.0;
        outputs[1][1] = 1.0;
        outputs[2][4..8].copy_from_slice(&[0.0, f32::NAN, 0.0, 0.0]);
        outputs[3][12] = 1.0;
        outputs[0][2] = 1.0;
        outputs[1][2] = 1.0;
        outputs[2][8..12].copy_from_slice(&[0.0, 0.0, 200.0, f32::NAN]);
        let mut found = decoded(&outputs, layout, 0.5);
        assert_eq!(found.len(), 1);
        nms::suppress(&mut found, MAX_IOU);
        assert!(found.is_empty());
    }
}
