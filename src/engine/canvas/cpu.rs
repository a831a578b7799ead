//! Cuts and blends on the CPU, in system memory.

use super::color::Color;
use super::resample::{Taps, transpose};
use super::truth::ColorTruth;
use super::{Canvas, feather};
use crate::frame::{Component, ComponentMut, Frame, FrameInfo, FrameMut};
use crate::generator::{HIGH, HIGH_LEN, LOW, LOW_LEN};
use crate::geometry::Square;

/// The CPU's canvas. It keeps its scratch space from face to face.
#[derive(Debug, Default)]
pub struct CpuCanvas {
    rows: Taps,
    columns: Taps,
    truth: ColorTruth,
    a: Vec<f32>,
    b: Vec<f32>,
    components: [Vec<f32>; 3],
    face: Vec<f32>,
}

/// A crop square in the sample coordinates of one component.
#[derive(Debug, Clone, Copy)]
struct Area {
    x: f32,
    y: f32,
    w: f32,
    h: f32,
}

impl Area {
    fn of(square: &Square, info: &FrameInfo, hsub: u32, vsub: u32) -> Self {
        let (dx, dy) = info.chroma_site.offsets();
        let axis = |start: f32, offset: f32, shift: u32| match shift {
            0 => (start, square.side),
            _ => ((start + offset) / 2.0, square.side / 2.0),
        };
        let (x, w) = axis(square.x, dx, hsub);
        let (y, h) = axis(square.y, dy, vsub);
        Self { x, y, w, h }
    }
}

impl CpuCanvas {
    /// Resamples `area` of one component to `[16, 16]` in `self.a`.
    fn cut_component(&mut self, c: &Component<'_>, area: Area) {
        self.columns.set(LOW, c.width, area.x, area.w / LOW as f32);
        self.rows.set(LOW, c.height, area.y, area.h / LOW as f32);
        let ((x0, x1), (y0, y1)) = (self.columns.input_range(), self.rows.input_range());
        let (width, height) = (x1 - x0, y1 - y0);
        self.b.clear();
        for y in y0..y1 {
            let row = &c.data[y * c.stride + x0 * c.step..];
            self.b.extend(row.iter().step_by(c.step).take(width).map(|v| f32::from(*v)));
        }
        transpose(&self.b, width, &mut self.a);
        self.columns.apply(&self.a, x0, height, &mut self.b);
        // Pillow clips between its two passes too; beside hard edges that shows.
        for v in &mut self.b {
            *v = v.clamp(0.0, 255.0);
        }
        transpose(&self.b, height, &mut self.a);
        self.rows.apply(&self.a, y0, LOW, &mut self.b);
        std::mem::swap(&mut self.a, &mut self.b);
    }

    /// Resamples `self.components[i]` (`[64, 64]`) to `area` of one component and lays it over the
    /// samples there.
    fn blend_component(&mut self, i: usize, c: &mut ComponentMut<'_>, area: Area, strength: f32) {
        let inside = |start: f32, len: f32, limit: usize| {
            let first = (start - 0.5).ceil().max(0.0) as usize;
            let end = ((start + len - 0.5).floor() + 1.0).max(0.0) as usize;
            (first.min(limit), end.min(limit))
        };
        let ((x0, x1), (y0, y1)) =
            (inside(area.x, area.w, c.width), inside(area.y, area.h, c.height));
        if x0 >= x1 || y0 >= y1 {
            return;
        }
        let (sx, sy) = (HIGH as f32 / area.w, HIGH as f32 / area.h);
        self.columns.set(x1 - x0, HIGH, (x0 as f32 - area.x) * sx, sx);
        self.rows.set(y1 - y0, HIGH, (y0 as f32 - area.y) * sy, sy);
        let (width, height) = (x1 - x0, y1 - y0);
        self.rows.apply(&self.components[i], 0, HIGH, &mut self.a);
        transpose(&self.a, HIGH, &mut self.b);
        self.columns.apply(&self.b, 0, height, &mut self.a);
        transpose(&self.a, height, &mut self.b);

        let across = |k: usize, start: f32, len: f32| (k as f32 + 0.5 - start) / len * 2.0 - 1.0;
        for (row, y) in self.b.chunks_exact(width).zip(y0..) {
            let v = across(y, area.y, area.h);
            let samples = &mut c.data[y * c.stride + x0 * c.step..];
            for ((sample, new), x) in samples.iter_mut().step_by(c.step).zip(row).zip(x0..) {
                let alpha = strength * feather::weight(across(x, area.x, area.w), v);
                let old = f32::from(*sample);
                // `as` saturates; adding a half rounds, since the value is never far below zero.
                *sample = (old + alpha * (new - old) + 0.5) as u8;
            }
        }
    }

    /// Turns `self.face` (`[3, 64, 64]` RGB in -1..=1) into the frame's components.
    fn face_to_components(&mut self, color: Color) {
        const PLANE: usize = HIGH * HIGH;
        let [c0, c1, c2] = &mut self.components;
        for c in [&mut *c0, &mut *c1, &mut *c2] {
            c.resize(PLANE, 0.0);
        }
        let (r, rest) = self.face.split_at(PLANE);
        let (g, b) = rest.split_at(PLANE);
        let rgb = r.iter().zip(g).zip(b);
        let out = c0.iter_mut().zip(c1.iter_mut()).zip(c2.iter_mut());
        for (((r, g), b), ((c0, c1), c2)) in rgb.zip(out) {
            let code = |v: &f32| (v.clamp(-1.0, 1.0) + 1.0) * 127.5;
            [*c0, *c1, *c2] = color.codes([code(r), code(g), code(b)]);
        }
    }
}

impl Canvas for CpuCanvas {
    fn cut(&mut self, frame: &Frame<'_>, squares: &[Square], low: &mut [f32]) {
        assert_eq!(low.len(), squares.len() * LOW_LEN, "one cut for each square");
        const PLANE: usize = LOW * LOW;
        let info = frame.info();
        let color = Color::of(info);
        for (square, out) in squares.iter().zip(low.chunks_exact_mut(LOW_LEN)) {
            if !square.lies_in(info.width, info.height) {
                out.fill(0.0);
                continue;
            }
            let count = info.format.component_count();
            for i in 0..count {
                let c = frame.component(i);
                self.cut_component(&c, Area::of(square, info, c.hsub, c.vsub));
                std::mem::swap(&mut self.components[i], &mut self.a);
            }
            for k in 0..PLANE {
                let of = |i: usize| self.components[i.min(count - 1)][k];
                let rgb = color.rgb([of(0), of(1), of(2)]);
                for (c, v) in rgb.iter().enumerate() {
                    out[c * PLANE + k] = v.clamp(0.0, 255.0) / 127.5 - 1.0;
                }
            }
        }
    }

    fn blend(
        &mut self,
        frame: &mut FrameMut<'_>,
        squares: &[Square],
        low: &[f32],
        high: &[f32],
        strengths: &[f32],
    ) {
        assert_eq!(low.len(), squares.len() * LOW_LEN, "one cut for each square");
        assert_eq!(high.len(), squares.len() * HIGH_LEN, "one face for each square");
        assert_eq!(strengths.len(), squares.len(), "one strength for each square");
        let info = *frame.info();
        let color = Color::of(&info);
        let faces = low.chunks_exact(LOW_LEN).zip(high.chunks_exact(HIGH_LEN));
        for ((square, strength), (low, high)) in squares.iter().zip(strengths).zip(faces) {
            if !square.lies_in(info.width, info.height) {
                continue;
            }
            self.face.clear();
            self.face.extend_from_slice(high);
            self.truth.apply(low, &mut self.face);
            self.face_to_components(color);
            for i in 0..info.format.component_count() {
                let mut c = frame.component_mut(i);
                let area = Area::of(square, &info, c.hsub, c.vsub);
                self.blend_component(i, &mut c, area, *strength);
            }
        }
    }
}
