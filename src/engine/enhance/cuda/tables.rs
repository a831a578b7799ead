//! Which samples each resampling of a frame's faces is made of: the axes that the kernel
//! `facesr_taps` turns into tables of weights, so that no thread computes a weight twice.

use super::kernels::Axis;
use crate::enhance::backend::Crop;
use crate::frame::FrameInfo;
use crate::geometry::CropSquare;
use crate::shape::Shape;

/// Side of the grid on which colors are compared.
const GRID: usize = Shape::COMMON;
/// Axes of a shape: from output and input to the grid, from the grid to the input.
const PER_SHAPE: usize = 3;
/// Axes of a layer: to crop, to blend the face and to blend its base, across and down, of whole and of halved
/// components.
const PER_LAYER: usize = 12;
/// Those of them before the ones that blend the face.
const TO_CROP: usize = 4;

/// The axes of all resamplings of a frame.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) axes: Vec<Axis>,
    /// Axes before those of the layers.
    common: usize,
    /// Taps of all axes.
    pub(super) taps: usize,
    /// Weights of all taps.
    pub(super) weights: usize,
    /// Outputs of the longest axis.
    pub(super) most_outputs: usize,
    /// Samples of the widest and of the highest square in the frame.
    pub(super) most_blended: [usize; 2],
}

/// First and one past the last sample whose center lies in `start..start + length`.
fn within(start: f32, length: f32, limit: usize) -> (usize, usize) {
    let first = (start - 0.5).ceil().max(0.0) as usize;
    let end = ((start + length - 0.5).floor() + 1.0).max(0.0) as usize;
    (first.min(limit), end.min(limit))
}

/// First and one past the last of `inputs` samples that any of `outputs` is made of.
fn reach(axis: &Axis) -> (usize, usize) {
    let support = 2.0 * axis.scale.max(1.0);
    let edge = |v: f32| (v + 0.5).max(0.0) as usize;
    let center = |i: i32| axis.origin + (i as f32 + 0.5) * axis.scale;
    let last_first = edge(center(axis.outputs - 1) - support).min(axis.inputs as usize - 1);
    let first = edge(center(0) - support).min(axis.inputs as usize - 1);
    let end = edge(center(axis.outputs - 1) + support).clamp(last_first + 1, axis.inputs as usize);
    (first, end)
}

impl Tables {
    /// Sets the axes for `crops` of a frame of `info`, whose generators have these shapes. The
    /// arithmetic is that of the CPU.
    pub(super) fn set(&mut self, info: &FrameInfo, shapes: &[Shape], crops: &[Crop]) {
        *self = Self { axes: std::mem::take(&mut self.axes), ..Self::default() };
        self.axes.clear();
        for shape in shapes {
            let (lr, hr) = (shape.lr(), shape.hr());
            for (outputs, inputs) in [(GRID, hr), (GRID, lr), (lr, GRID)] {
                self.resample(outputs, inputs, 0.0, inputs as f32 / outputs as f32);
            }
        }
        self.common = self.axes.len();
        let (site_x, site_y) = info.chroma_site.offsets();
        let components = &info.format.components()[..info.format.component_count()];
        let axes_of = |square: &CropSquare| {
            [(square.x, site_x, info.width), (square.y, site_y, info.height)].map(
                |(start, site, size)| {
                    [
                        (start, square.side, size as usize),
                        ((start + site) / 2.0, square.side / 2.0, size.div_ceil(2) as usize),
                    ]
                },
            )
        };
        // Whether any component is whole or halved across and down.
        let used = [0, 1].map(|vertical| {
            [0, 1].map(|sub| components.iter().any(|c| [c.hsub, c.vsub][vertical] == sub))
        });
        for Crop { square, shape, .. } in crops {
            let (lr, hr) = (shape.lr(), shape.hr());
            let lies_in = square.lies_in(info.width, info.height);
            let areas = axes_of(square);
            for (areas, used) in areas.iter().zip(used) {
                for (&(start, length, size), used) in areas.iter().zip(used) {
                    match lies_in && used {
                        true => self.resample(lr, size, start, length / lr as f32),
                        false => self.axes.push(Axis::default()),
                    }
                }
            }
            for side in [hr, lr] {
                for (vertical, (areas, used)) in areas.iter().zip(used).enumerate() {
                    for (&(start, length, size), used) in areas.iter().zip(used) {
                        let (first, end) = within(start, length, size);
                        if !lies_in || !used || first >= end {
                            self.axes.push(Axis::default());
                            continue;
                        }
                        let scale = side as f32 / length;
                        self.resample(end - first, side, (first as f32 - start) * scale, scale);
                        if let Some(axis) = self.axes.last_mut() {
                            (axis.first, axis.start, axis.length) = (first as i32, start, length);
                        }
                        self.most_blended[vertical] = self.most_blended[vertical].max(end - first);
                    }
                }
            }
        }
    }

    fn resample(&mut self, outputs: usize, inputs: usize, origin: f32, scale: f32) {
        // The filter reaches over twice its support; both ends round outwards.
        let span = ((4.0 * scale.max(1.0)) as usize + 2).min(inputs);
        self.axes.push(Axis {
            outputs: outputs as i32,
            inputs: inputs as i32,
            origin,
            scale,
            tap: self.taps as i32,
            weight: self.weights as i32,
            span: span as i32,
            ..Axis::default()
        });
        self.taps += outputs;
        self.weights += outputs * span;
        self.most_outputs = self.most_outputs.max(outputs);
    }

    /// The first axis of shape number `rung`.
    pub(super) fn of_shape(rung: usize) -> usize {
        rung * PER_SHAPE
    }

    /// The first axis of a layer.
    pub(super) fn of_layer(&self, layer: usize) -> usize {
        self.common + layer * PER_LAYER
    }

    /// Samples of a component, first and one past the last, that cropping a layer reads: across
    /// (`vertical` 0) or down (1), of a whole (`sub` 0) or halved (1) component.
    pub(super) fn crop_range(&self, layer: usize, vertical: usize, sub: usize) -> (usize, usize) {
        let axis = &self.axes[self.of_layer(layer) + vertical * 2 + sub];
        if axis.outputs == 0 { (0, 0) } else { reach(axis) }
    }

    /// The same for the samples that blending a layer reads and writes.
    pub(super) fn blend_range(&self, layer: usize, vertical: usize, sub: usize) -> (usize, usize) {
        let axis = &self.axes[self.of_layer(layer) + TO_CROP + vertical * 2 + sub];
        (axis.first as usize, (axis.first + axis.outputs) as usize)
    }
}
