//! Reduces a frame to the small picture that a detector looks at.
//!
//! Each component is reduced straight from its plane, and only the small picture is converted to
//! RGB: a 1920x1080 frame costs about as much as reading it once. Chroma is taken to lie in the
//! middle of its block whatever the caps say; the difference, a quarter of a chroma sample, is
//! nothing to a detector.

use crate::frame::{ColorModel, Component, Frame, FrameInfo, Matrix, Range};
use crate::imgproc::area_average::{self, Axis};

/// Order of the three planes of a detector's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// Size of a detector's picture within the tensor that holds it, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Width of the picture; it lies in the tensor's top left corner.
    pub(super) width: usize,
    /// Height of the picture.
    pub(super) height: usize,
    /// Width of the tensor, at least the picture's.
    pub(super) padded_width: usize,
    /// Height of the tensor, at least the picture's.
    pub(super) padded_height: usize,
}

impl Layout {
    /// The smallest tensor with sides that `multiple` divides.
    pub(super) fn padded(width: usize, height: usize, multiple: usize) -> Self {
        Self {
            width,
            height,
            padded_width: width.next_multiple_of(multiple),
            padded_height: height.next_multiple_of(multiple),
        }
    }

    /// Whether both have tensors of the same size.
    pub(super) fn has_tensor_of(&self, other: &Self) -> bool {
        (self.padded_width, self.padded_height) == (other.padded_width, other.padded_height)
    }

    /// Number of values in a tensor of three planes.
    pub(super) fn len(&self) -> usize {
        3 * self.padded_width * self.padded_height
    }
}

/// The samples of one plane that are reduced together.
#[derive(Debug)]
struct Group {
    /// Component whose first sample comes first in the plane's rows.
    base: usize,
    /// Components, and the byte offset of each from `base`'s first sample.
    members: Vec<(usize, usize)>,
    /// Bytes of a row from the first sample of `base` to the last sample of any.
    row: usize,
    across: Axis,
    down: Axis,
}

/// Reduces the frames of one stream; tables and buffers are kept from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Preprocessor {
    /// What the tables were made for: frame, width and height of the result, luma only.
    made_for: Option<(FrameInfo, usize, usize, bool)>,
    groups: Vec<Group>,
    sums: Vec<u16>,
    blended: Vec<f32>,
    rows: [Vec<f32>; 3],
}

impl Preprocessor {
    /// Writes `frame` as three planes of full-range R'G'B' (0.0 to 255.0) in the order `channels`
    /// into `out`, a tensor of `layout`; values outside the picture are left as they are.
    ///
    /// # Panics
    /// If `out` is not [`Layout::len`] long.
    pub(super) fn planar(
        &mut self,
        frame: &Frame<'_>,
        layout: Layout,
        channels: Channels,
        out: &mut [f32],
    ) {
        assert_eq!(out.len(), layout.len());
        self.prepare(frame.info(), layout.width, layout.height, false);
        let plane = layout.padded_width * layout.padded_height;
        let (first, rest) = out.split_at_mut(plane);
        let (green, third) = rest.split_at_mut(plane);
        let (red, blue) = match channels {
            Channels::Rgb => (first, third),
            Channels::Bgr => (third, first),
        };
        let info = frame.info();
        let yuv = YuvToRgb::new(info.matrix, info.range);
        for y in 0..layout.height {
            self.reduce_row(frame, y);
            let at = y * layout.padded_width;
            let span = at..at + layout.width;
            let out = [&mut red[span.clone()], &mut green[span.clone()], &mut blue[span]];
            let [a, b, c] = &self.rows;
            match info.format.model() {
                ColorModel::Yuv => yuv.convert_row([a, b, c], out),
                ColorModel::Rgb => {
                    for (out, row) in out.into_iter().zip([a, b, c]) {
                        out.copy_from_slice(row);
                    }
                }
                ColorModel::Gray => {
                    for out in out {
                        yuv.expand_luma(a, out);
                    }
                }
            }
        }
    }

    /// Replaces `out` by the full-range luma (0 to 255) of `frame`, reduced or enlarged to
    /// `width` x `height`.
    pub(super) fn luma(
        &mut self,
        frame: &Frame<'_>,
        width: usize,
        height: usize,
        out: &mut Vec<u8>,
    ) {
        self.prepare(frame.info(), width, height, true);
        let info = frame.info();
        let yuv = YuvToRgb::new(info.matrix, info.range);
        out.clear();
        out.resize(width * height, 0);
        let mut full = vec![0.0; width];
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            self.reduce_row(frame, y);
            let [a, b, c] = &self.rows;
            match info.format.model() {
                ColorModel::Rgb => {
                    for (((out, r), g), b) in full.iter_mut().zip(a).zip(b).zip(c) {
                        *out = 0.299 * r + 0.587 * g + 0.114 * b;
                    }
                }
                ColorModel::Yuv | ColorModel::Gray => yuv.expand_luma(a, &mut full),
            }
            for (out, v) in out.iter_mut().zip(&full) {
                // The cast saturates; 0.5 makes it round.
                *out = (v + 0.5) as u8;
            }
        }
    }

    fn prepare(&mut self, info: &FrameInfo, width: usize, height: usize, luma_only: bool) {
        let wanted = Some((*info, width, height, luma_only));
        if self.made_for == wanted {
            return;
        }
        let needed = match (info.format.model(), luma_only) {
            (ColorModel::Gray, _) | (ColorModel::Yuv, true) => 1,
            _ => 3,
        };
        let layouts = info.format.components();
        self.groups.clear();
        for plane in 0..info.format.plane_count() {
            let members: Vec<usize> = (0..needed).filter(|&i| layouts[i].plane == plane).collect();
            // Packed 4:2:2 mixes two samplings in one plane; they are reduced one by one.
            for hsub in 0..2 {
                let some: Vec<usize> =
                    members.iter().copied().filter(|&i| layouts[i].hsub == hsub).collect();
                let Some(&base) = some.iter().min_by_key(|&&i| layouts[i].offset) else { continue };
                let (offset, part) = (layouts[base].offset, layouts[base]);
                let columns = info.width.div_ceil(1 << part.hsub) as usize;
                let rows = info.height.div_ceil(1 << part.vsub) as usize;
                let extent = |n: u32, sub: u32| f64::from(n) / f64::from(1u32 << sub);
                let members: Vec<_> =
                    some.iter().map(|&i| (i, layouts[i].offset - offset)).collect();
                let widest = members.iter().map(|m| m.1).max().unwrap_or(0);
                self.groups.push(Group {
                    base,
                    members,
                    row: (columns - 1) * part.step + widest + 1,
                    across: Axis::new(columns, extent(info.width, part.hsub), width),
                    down: Axis::new(rows, extent(info.height, part.vsub), height),
                });
            }
        }
        for row in &mut self.rows {
            row.resize(width, 0.0);
        }
        self.made_for = wanted;
    }

    /// Fills `rows` with row `y` of the reduced components.
    fn reduce_row(&mut self, frame: &Frame<'_>, y: usize) {
        for group in &self.groups {
            let Component { data, stride, step, .. } = frame.component(group.base);
            let line = |i: usize| &data[i * stride..i * stride + group.row];
            let whole = group.across.whole().zip(group.down.whole());
            let (start, weights) = group.down.at(y);
            match whole {
                Some((k, 1)) => {
                    let src = line(y);
                    for &(i, offset) in &group.members {
                        let scale = 1.0 / k as f32;
                        area_average::mean_row(&mut self.rows[i], src, offset, step, k, scale);
                    }
                }
                Some((k, n)) => {
                    self.sums.resize(group.row, 0);
                    area_average::sum_rows(&mut self.sums, (y * n..(y + 1) * n).map(line));
                    let scale = 1.0 / (k * n) as f32;
                    for &(i, offset) in &group.members {
                        let row = &mut self.rows[i];
                        area_average::mean_row(row, &self.sums, offset, step, k, scale);
                    }
                }
                None => {
                    self.blended.resize(group.row, 0.0);
                    area_average::blend_rows(&mut self.blended, weights, |i| line(start + i));
                    for &(i, offset) in &group.members {
                        let row = &mut self.rows[i];
                        area_average::weighted_sum_row(
                            row,
                            &self.blended,
                            offset,
                            step,
                            &group.across,
                        );
                    }
                }
            }
        }
    }
}

/// Y'CbCr of 8 bit to full-range R'G'B', 0.0 to 255.0.
struct YuvToRgb {
    luma_scale: f32,
    luma_floor: f32,
    red_cr: f32,
    green_cb: f32,
    green_cr: f32,
    blue_cb: f32,
}

impl YuvToRgb {
    fn new(matrix: Matrix, range: Range) -> Self {
        let (kr, kb) = matrix.coefficients();
        let kg = 1.0 - kr - kb;
        let (luma_scale, luma_floor, chroma_scale) = match range {
            Range::Limited => (255.0 / 219.0, 16.0, 255.0 / 224.0),
            Range::Full => (1.0, 0.0, 1.0),
        };
        let (cr, cb) = (2.0 * (1.0 - kr) * chroma_scale, 2.0 * (1.0 - kb) * chroma_scale);
        Self {
            luma_scale,
            luma_floor,
            red_cr: cr,
            green_cb: -cb * kb / kg,
            green_cr: -cr * kr / kg,
            blue_cb: cb,
        }
    }

    fn convert_row(&self, [y, u, v]: [&[f32]; 3], [r, g, b]: [&mut [f32]; 3]) {
        let out = r.iter_mut().zip(g).zip(b);
        for (((y, u), v), ((r, g), b)) in y.iter().zip(u).zip(v).zip(out) {
            let luma = (y - self.luma_floor) * self.luma_scale;
            let (cb, cr) = (u - 128.0, v - 128.0);
            *r = (luma + self.red_cr * cr).clamp(0.0, 255.0);
            *g = (luma + self.green_cb * cb + self.green_cr * cr).clamp(0.0, 255.0);
            *b = (luma + self.blue_cb * cb).clamp(0.0, 255.0);
        }
    }

    fn expand_luma(&self, y: &[f32], out: &mut [f32]) {
        for (out, y) in out.iter_mut().zip(y) {
            *out = ((y - self.luma_floor) * self.luma_scale).clamp(0.0, 255.0);
        }
    }
}

/// The downscaling of frames by itself, for benches only.
pub struct InputBench {
    preprocessor: Preprocessor,
    layout: Layout,
    tensor: Vec<f32>,
}

impl InputBench {
    /// Reduces to a picture of `width` x `height` pixels.
    pub fn new(width: usize, height: usize) -> Self {
        let layout = Layout::padded(width, height, super::network::MULTIPLE);
        Self { preprocessor: Preprocessor::default(), layout, tensor: vec![0.0; layout.len()] }
    }

    /// Reduces `frame` to planes B, G, R.
    pub fn run(&mut self, frame: &Frame<'_>) {
        self.preprocessor.planar(frame, self.layout, Channels::Bgr, &mut self.tensor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    /// One sample of a component at a place given in that component's samples, edges repeated.
    fn sample(c: &Component<'_>, x: i64, y: i64) -> f64 {
        let x = x.clamp(0, c.width as i64 - 1) as usize;
        let y = y.clamp(0, c.height as i64 - 1) as usize;
        f64::from(c.data[y * c.stride + x * c.step])
    }

    /// Weights of all inputs for output `o`: the definition, written without any cleverness.
    fn naive_weights(inputs: usize, extent: f64, outputs: usize, o: usize) -> Vec<(i64, f64)> {
        let ratio = extent / outputs as f64;
        if ratio >= 1.0 {
            let (from, to) = (o as f64 * ratio, (o as f64 + 1.0) * ratio);
            let overlap = |i: usize| (((i + 1) as f64).min(to) - (i as f64).max(from)).max(0.0);
            let sum: f64 = (0..inputs).map(overlap).sum();
            (0..inputs).map(|i| (i as i64, overlap(i) / sum)).filter(|p| p.1 > 0.0).collect()
        } else {
            let center = (o as f64 + 0.5) * ratio - 0.5;
            let first = center.floor();
            vec![(first as i64, 1.0 - (center - first)), (first as i64 + 1, center - first)]
        }
    }

    fn naive(frame: &Frame<'_>, layout: Layout) -> Vec<[f64; 3]> {
        let info = frame.info();
        let mut out = Vec::new();
        for y in 0..layout.height {
            for x in 0..layout.width {
                let mut v = [0.0; 3];
                for (i, v) in v.iter_mut().enumerate() {
                    let c = frame.component(i);
                    let ex = f64::from(info.width) / f64::from(1 << c.hsub);
                    let ey = f64::from(info.height) / f64::from(1 << c.vsub);
                    for (sy, wy) in naive_weights(c.height, ey, layout.height, y) {
                        for (sx, wx) in naive_weights(c.width, ex, layout.width, x) {
                            *v += wy * wx * sample(&c, sx, sy);
                        }
                    }
                }
                if info.format.model() != ColorModel::Rgb {
                    let (kr, kb) = info.matrix.coefficients();
                    let (kr, kb) = (f64::from(kr), f64::from(kb));
                    let limited = info.range == Range::Limited;
                    let luma = if limited { (v[0] - 16.0) / 219.0 } else { v[0] / 255.0 };
                    let chroma = |c: f64| match (info.format.model(), limited) {
                        (ColorModel::Gray, _) => 0.0,
                        (_, true) => (c - 128.0) / 224.0,
                        (_, false) => (c - 128.0) / 255.0,
                    };
                    let (cb, cr) = (chroma(v[1]), chroma(v[2]));
                    let (r, b) = (luma + 2.0 * (1.0 - kr) * cr, luma + 2.0 * (1.0 - kb) * cb);
                    let g = (luma - kr * r - kb * b) / (1.0 - kr - kb);
                    v = [r, g, b].map(|c| (c * 255.0).clamp(0.0, 255.0));
                }
                out.push(v);
            }
        }
        out
    }

    struct Picture {
        info: FrameInfo,
        planes: Vec<Vec<u8>>,
        strides: Vec<usize>,
    }

    impl Picture {
        /// Noise on a slope, so that both a wrong weight and a wrong place show.
        fn new(info: FrameInfo, pad: usize) -> Self {
            let mut seed = 1u32;
            let (mut planes, mut strides) = (Vec::new(), Vec::new());
            for p in 0..info.format.plane_count() {
                let (row, rows) = info.format.plane_size(p, info.width, info.height);
                let stride = row + pad;
                let mut data = vec![0u8; stride * (rows - 1) + row];
                for (i, v) in data.iter_mut().enumerate() {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *v = ((seed >> 24) / 2 + ((i % stride) * 127 / stride) as u32) as u8;
                }
                planes.push(data);
                strides.push(stride);
            }
            Self { info, planes, strides }
        }

        fn frame(&self) -> Frame<'_> {
            let planes: Vec<&[u8]> = self.planes.iter().map(Vec::as_slice).collect();
            Frame::new(self.info, &planes, &self.strides).unwrap()
        }
    }

    fn check(info: FrameInfo, pad: usize, width: usize, height: usize) {
        let picture = Picture::new(info, pad);
        let frame = picture.frame();
        let layout = Layout::padded(width, height, 8);
        let wanted = naive(&frame, layout);
        let mut preprocessor = Preprocessor::default();
        for channels in [Channels::Rgb, Channels::Bgr] {
            let mut out = vec![-1.0; layout.len()];
            preprocessor.planar(&frame, layout, channels, &mut out);
            let plane = layout.padded_width * layout.padded_height;
            for y in 0..layout.padded_height {
                for x in 0..layout.padded_width {
                    for c in 0..3 {
                        let got = out[c * plane + y * layout.padded_width + x];
                        if x >= width || y >= height {
                            assert_eq!(got, -1.0, "padding written at {x},{y}");
                            continue;
                        }
                        let c = if channels == Channels::Rgb { c } else { 2 - c };
                        let wanted = wanted[y * width + x][c];
                        assert!(
                            (f64::from(got) - wanted).abs() < 0.01,
                            "{info:?} to {width}x{height}: component {c} at {x},{y}: \
                             {got}, wanted {wanted}"
                        );
                    }
                }
            }
        }
        let mut luma = Vec::new();
        preprocessor.luma(&frame, width, height, &mut luma);
        assert_eq!(luma.len(), width * height);
        if info.format.model() == ColorModel::Gray {
            for (got, wanted) in luma.iter().zip(&wanted) {
                assert!((f64::from(*got) - wanted[0]).abs() <= 0.51);
            }
        }
    }

    #[test]
    fn every_format_and_size_equals_the_naive_version() {
        for format in PixelFormat::ALL {
            for (w, h) in [(64, 36), (31, 17), (1, 1), (2, 3), (33, 8)] {
                for (to_w, to_h) in [(32, 18), (16, 9), (13, 7), (64, 36), (70, 41), (1, 1)] {
                    check(FrameInfo::new(format, w, h), (w % 5) as usize, to_w, to_h);
                }
            }
        }
    }

    #[test]
    fn every_matrix_and_range_equals_the_naive_version() {
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            for range in [Range::Limited, Range::Full] {
                for format in [PixelFormat::Nv12, PixelFormat::Yuy2, PixelFormat::Gray8] {
                    let info = FrameInfo { matrix, range, ..FrameInfo::new(format, 48, 30) };
                    check(info, 3, 24, 15);
                    check(info, 0, 32, 20);
                }
            }
        }
    }

    #[test]
    fn a_change_of_size_is_noticed() {
        let mut preprocessor = Preprocessor::default();
        let mut out = Vec::new();
        for (w, h) in [(8, 8), (16, 8), (8, 8)] {
            let mut picture = Picture::new(FrameInfo::new(PixelFormat::Gray8, w, h), 0);
            picture.planes[0].fill(77);
            preprocessor.luma(&picture.frame(), 4, 4, &mut out);
            assert_eq!(out, [77; 16]);
        }
    }
}
