//! One face, cropped out of a frame.

use super::Area;
use crate::frame::{Component, Frame};
use crate::geometry::CropSquare;
use crate::imgproc::color::Color;
use crate::imgproc::resample::{Coefficients, transpose};

/// Crops faces one by one; keeps its scratch space from face to face.
#[derive(Debug, Default)]
pub(super) struct Cropper {
    rows: Coefficients,
    columns: Coefficients,
    a: Vec<f32>,
    b: Vec<f32>,
    components: [Vec<f32>; 3],
}

impl Cropper {
    /// Crops `square` into `out`, `[3, side, side]` RGB in -1..=1; gray if it does not lie in the
    /// frame.
    pub(super) fn crop(
        &mut self,
        frame: &Frame<'_>,
        square: &CropSquare,
        side: usize,
        out: &mut [f32],
    ) {
        debug_assert_eq!(out.len(), 3 * side * side);
        let info = frame.info();
        if !square.lies_in(info.width, info.height) {
            out.fill(0.0);
            return;
        }
        let count = info.format.component_count();
        for i in 0..count {
            let c = frame.component(i);
            self.component(&c, Area::of(square, info, c.hsub, c.vsub), side);
            std::mem::swap(&mut self.components[i], &mut self.b);
        }
        let color = Color::of(info);
        let [c0, c1, c2] = [0, 1, 2].map(|i: usize| &self.components[i.min(count - 1)]);
        let (r, rest) = out.split_at_mut(side * side);
        let (g, b) = rest.split_at_mut(side * side);
        let codes = c0.iter().zip(c1).zip(c2);
        for (((c0, c1), c2), ((r, g), b)) in codes.zip(r.iter_mut().zip(g).zip(b)) {
            let value = |v: f32| v.clamp(0.0, 255.0) / 127.5 - 1.0;
            [*r, *g, *b] = color.rgb([*c0, *c1, *c2]).map(value);
        }
    }

    /// Resamples `area` of one component to `[side, side]` in `self.b`.
    fn component(&mut self, c: &Component<'_>, area: Area, side: usize) {
        self.columns.set(side, c.width, area.x, area.w / side as f32);
        self.rows.set(side, c.height, area.y, area.h / side as f32);
        let ((x0, x1), (y0, y1)) = (self.columns.input_range(), self.rows.input_range());
        let (width, height) = (x1 - x0, y1 - y0);
        c.samples(y0..y1, x0..x1, &mut self.b);
        transpose(&self.b, width, &mut self.a);
        self.columns.apply(&self.a, x0, height, &mut self.b);
        // Pillow clips between its two passes too; beside hard edges that shows.
        for v in &mut self.b {
            *v = v.clamp(0.0, 255.0);
        }
        transpose(&self.b, height, &mut self.a);
        self.rows.apply(&self.a, y0, side, &mut self.b);
    }
}
