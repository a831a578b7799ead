//! CenterFace: faces as points of a heat map (Xu, Yan, Yang and Li, "CenterFace: Joint Face
//! Detection and Alignment Using Face as Point", 2019), as an ONNX file.
//!
//! Takes RGB of 0 to 255 and answers four maps of cells of 4 x 4 pixels: the probability that a
//! face is centered there, the logarithm of its height and width (units of 4 pixels), the offset
//! of the center within the cell (down, right), and five landmarks (down, right, from the box's
//! top left corner in units of its sides, the eyes first).

use super::network::{Kind, Network, looks_this_way};
use super::preprocess::{Channels, Layout};
use super::{BoxFit, DetectorOptions, Precision};
use crate::error::ModelError;
use crate::face::Detection;
use crate::geometry::Rect;
use crate::inference::model_source::{self, ModelSource};
use crate::inference::session_pool;
use facesr_onnx::{self as onnx, Ranges, Signature, Value};

/// From CenterFace's box to the WIDER-style box. `examples/measure_box_factor.rs` on 789 CelebA
/// crops of 26 to 128 pixels gives a median of 1.145; three real clips, by the distance of eyes
/// and mouth and of the eyes in frontal faces against the same in CelebA crops, 1.05 to 1.18. The
/// shift is -0.03 (up) in both.
const FIT: BoxFit = BoxFit { side: 1.12, down: -0.03 };

/// Detections of a lower score are dropped unless the user says otherwise. At 0.45 there is no
/// face in 95 frames of cars and in 91 of an office with a person seen from behind, both faces of
/// 12 to 23 pixels in each of 35 frames of a corridor and nothing else, and 167 faces a frame in a
/// crowd.
const MIN_SCORE: f32 = 0.45;

/// Boxes that overlap by more are one face.
const MAX_IOU: f32 = 0.3;

/// Side of a cell, pixels.
const CELL: usize = 4;

/// SHA-256 of the file that `make setup` fetches, for which [`model_source::CENTERFACE_RANGES`] hold.
const KNOWN: [u8; 32] = [
    0x09, 0x18, 0x9d, 0xea, 0xaf, 0x86, 0x46, 0xc5, 0xc5, 0x1a, 0x68, 0x44, 0x7e, 0x3c, 0x74, 0x4e,
    0xa1, 0xe2, 0x11, 0x79, 0x81, 0x55, 0xd4, 0x72, 0x8c, 0x20, 0x50, 0x7b, 0x9f, 0x5a, 0xef, 0xbc,
];

const WANTED: &str = "CenterFace: input [N,3,H,W], outputs [N,1,h,w], [N,2,h,w], [N,2,h,w], [N,10,h,w] in this order";

/// What is CenterFace's own.
static KIND: Kind = Kind {
    name: "centerface",
    channels: Channels::Rgb,
    min_score: MIN_SCORE,
    max_iou: MAX_IOU,
    fit: FIT,
    output_sizes,
    decode,
    ms_per_megapixel: 48.0,
    wanted: WANTED,
};

/// Whether a file declares what CenterFace files do. Their outputs have numbers for names, which
/// differ from export to export; the channels tell.
pub(super) fn is_centerface(declared: &Signature) -> bool {
    let channels = |v: &Value| match v.dims.as_deref() {
        Some(&[_, n, _, _]) if v.is_f32() => n,
        _ => -1,
    };
    declared.inputs.len() == 1
        && channels(&declared.inputs[0]) == 3
        && declared.outputs.iter().map(channels).eq([1, 2, 2, 10])
}

/// Values of the heat map, the sizes, the offsets and the landmarks.
fn output_sizes(layout: Layout) -> Vec<usize> {
    let cells = (layout.padded_width / CELL) * (layout.padded_height / CELL);
    vec![cells, 2 * cells, 2 * cells, 10 * cells]
}

/// The detector in `file`, which declares `declared`.
///
/// # Errors
/// [`ModelError`] if it is no CenterFace, or ONNX Runtime cannot run it.
pub(super) fn open(
    source: ModelSource,
    file: Vec<u8>,
    declared: &Signature,
    options: &DetectorOptions,
) -> Result<Network, ModelError> {
    if !is_centerface(declared) {
        return Err(super::contract(&source, declared, WANTED));
    }
    let input = declared.inputs[0].name.clone();
    let file = in_best_precision(file, options.precision)
        .map_err(|e| ModelError::invalid(&source, e.into()))?;
    Network::open(
        &KIND,
        (source, file),
        (input, declared.outputs.iter().map(|o| o.name.clone()).collect()),
        options,
    )
}

/// `file`, or the same model in 8 bits.
///
/// # Errors
/// [`OnnxError`](onnx::OnnxError) if the table of ranges is not the file's.
fn in_best_precision(file: Vec<u8>, precision: Precision) -> Result<Vec<u8>, onnx::OnnxError> {
    let gains = precision == Precision::Auto && model_source::has_byte_products();
    if !gains || session_pool::fingerprint(&file) != KNOWN {
        return Ok(file);
    }
    onnx::quantized(&file, &Ranges::parse(model_source::CENTERFACE_RANGES)?)
}

/// The boxes of all cells that reach `min_score` and look this way, picture pixels.
fn decode(outputs: &[&[f32]], layout: Layout, min_score: f32) -> Vec<Detection> {
    let &[heat, size, offset, points] = outputs else { return Vec::new() };
    let columns = layout.padded_width / CELL;
    let cells = heat.len();
    let (height, width) = size.split_at(cells);
    let (down, right) = offset.split_at(cells);
    let cell = CELL as f32;
    let mut found = Vec::new();
    for (i, &score) in heat.iter().enumerate() {
        if score < min_score || score.is_nan() {
            continue;
        }
        let (w, h) = (width[i].exp() * cell, height[i].exp() * cell);
        let point = |p: usize| (points[(2 * p + 1) * cells + i] * w, points[2 * p * cells + i] * h);
        if !looks_this_way(point(0), point(1), w, h) {
            continue;
        }
        let x = ((i % columns) as f32 + right[i] + 0.5) * cell;
        let y = ((i / columns) as f32 + down[i] + 0.5) * cell;
        found.push(Detection {
            rect: Rect::new(x - w / 2.0, y - h / 2.0, w, h),
            score: score.min(1.0),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_known_is_the_one_that_is_fetched() {
        let pins = include_str!("../../../scripts/pins.sh");
        let known: String = KNOWN.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(pins.lines().any(|line| line == format!("centerface_onnx={known}")));
    }

    #[test]
    fn a_made_up_cell() {
        let layout = Layout::padded(64, 32, 32);
        let outputs: Vec<Vec<f32>> =
            output_sizes(layout).into_iter().map(|n| vec![0.0; n]).collect();
        let [mut heat, mut size, mut offset, mut points] =
            <[Vec<f32>; 4]>::try_from(outputs).unwrap();
        // Row 3, column 5 of 16 columns and 8 rows.
        let cell = 3 * 16 + 5;
        heat[cell] = 0.8;
        (size[cell], size[128 + cell]) = (5f32.ln(), 3f32.ln());
        (offset[cell], offset[128 + cell]) = (0.25, -0.25);
        // Eyes at one place: seen from the side.
        assert!(decode(&[&heat, &size, &offset, &points], layout, 0.5).is_empty());
        // The second eye's right: 0.4 of 12 pixels is 0.24 of 20.
        points[3 * 128 + cell] = 0.4;
        let found = decode(&[&heat, &size, &offset, &points], layout, 0.5);
        assert_eq!(found.len(), 1);
        let Detection { rect, score } = found[0];
        assert_eq!(score, 0.8);
        assert!((rect.w - 12.0).abs() < 1e-3 && (rect.h - 20.0).abs() < 1e-3);
        assert!((rect.center().x - 5.25 * 4.0).abs() < 1e-3);
        assert!((rect.center().y - 3.75 * 4.0).abs() < 1e-3);
        heat[cell] = f32::NAN;
        assert!(decode(&[&heat, &size, &offset, &points], layout, 0.5).is_empty());
    }
}
