//! The canvas against outside references: Pillow's resampling, and frames of every format.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use facesr::frame::{ChromaSite, ColorModel, Matrix, Range};
use facesr::internals::backend::BlendWeights;
use facesr::internals::cpu::{Compositor, FaceBatch};
use facesr::{CropSquare, Frame, FrameInfo, FrameMut, PixelFormat, Shape};
use proptest::prelude::*;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/fixtures");

/// A frame that owns its pixels.
struct Picture {
    info: FrameInfo,
    planes: Vec<Vec<u8>>,
    strides: Vec<usize>,
}

impl Picture {
    /// `rgb(x, y)` in every format, each chroma sample the color at its own place.
    fn paint(info: FrameInfo, pad: usize, rgb: &dyn Fn(f32, f32) -> [f32; 3]) -> Self {
        let (mut planes, mut strides) = (Vec::new(), Vec::new());
        for p in 0..info.format.plane_count() {
            let (row, rows) = info.format.plane_size(p, info.width, info.height);
            planes.push(vec![0xA5; (row + pad) * rows]);
            strides.push(row + pad);
        }
        let mut picture = Self { info, planes, strides };
        for i in 0..info.format.component_count() {
            let mut frame = picture.frame_mut();
            let c = frame.component_mut(i);
            let (dx, dy) = info.chroma_site.offsets();
            let place = |k: usize, shift: u32, offset: f32| match shift {
                0 => k as f32 + 0.5,
                _ => (k as f32 + 0.5) * 2.0 - offset,
            };
            for y in 0..c.height {
                for x in 0..c.width {
                    let at = (place(x, c.hsub, dx), place(y, c.vsub, dy));
                    let code = codes(&info, rgb(at.0, at.1))[i];
                    c.data[y * c.stride + x * c.step] = code.round().clamp(0.0, 255.0) as u8;
                }
            }
        }
        picture
    }

    fn frame(&self) -> Frame<'_> {
        let planes: Vec<&[u8]> = self.planes.iter().map(Vec::as_slice).collect();
        Frame::new(self.info, &planes, &self.strides).unwrap()
    }

    fn frame_mut(&mut self) -> FrameMut<'_> {
        let planes = self.planes.iter_mut().map(Vec::as_mut_slice);
        FrameMut::new(self.info, planes, &self.strides).unwrap()
    }

    fn crop_small(&self, squares: &[CropSquare]) -> Vec<f32> {
        self.crop(Shape::SMALL, squares)
    }

    fn crop(&self, shape: Shape, squares: &[CropSquare]) -> Vec<f32> {
        let mut lr = vec![0.0; squares.len() * shape.lr_len()];
        Compositor::default().crop(&self.frame(), shape, squares, &mut lr);
        lr
    }

    fn blend(
        &mut self,
        shape: Shape,
        square: CropSquare,
        (lr, hr): (&[f32], &[f32]),
        strength: f32,
        weights: BlendWeights,
    ) {
        let (squares, strengths) = (&[square], &[strength]);
        let (denoised, changes) = (lr, &[0.0; Shape::COMMON_LEN]);
        let faces = FaceBatch { shape, squares, lr, denoised, changes, hr, strengths, weights };
        Compositor::default().blend(&mut self.frame_mut(), &faces);
    }
}

/// Y'CbCr as the recommendations write it, in other words than the engine's.
fn codes(info: &FrameInfo, [r, g, b]: [f32; 3]) -> [f32; 3] {
    let (kr, kb) = match info.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
        other => panic!("{other:?} is not checked here"),
    };
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (u, v) = ((b - y) / (1.0 - kb) / 2.0, (r - y) / (1.0 - kr) / 2.0);
    let limited = info.range == Range::Limited;
    match (info.format.model(), limited) {
        (ColorModel::Rgb, _) => [r, g, b],
        (_, true) => {
            [16.0 + y * 219.0 / 255.0, 128.0 + u * 224.0 / 255.0, 128.0 + v * 224.0 / 255.0]
        }
        (_, false) => [y, 128.0 + u, 128.0 + v],
    }
}

fn level(v: f32) -> f32 {
    (v + 1.0) * 127.5
}

#[test]
fn cuts_equal_pillow_within_one_level() {
    let picture = image::open(format!("{FIXTURES}/pillow_cut.png")).unwrap().to_rgb8();
    let (w, h) = picture.dimensions();
    let pixel = |x: f32, y: f32| picture.get_pixel(x as u32, y as u32).0.map(f32::from);
    let text = std::fs::read_to_string(format!("{FIXTURES}/pillow_cut.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    let packed = PixelFormat::ALL.into_iter().filter(|f| f.model() == ColorModel::Rgb);
    for format in packed {
        let ours = Picture::paint(FrameInfo::new(format, w, h), 5, &pixel);
        for case in cases {
            let b: Vec<f32> = case["box"]
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v.as_f64().unwrap() as f32)
                .collect();
            let lr = ours.crop_small(&[CropSquare { x: b[0], y: b[1], side: b[2] }]);
            let hex = case["rgb"].as_str().unwrap();
            for i in 0..256 {
                for c in 0..3 {
                    let at = 2 * (3 * i + c);
                    let wanted = f32::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
                    let got = level(lr[c * 256 + i]);
                    assert!(
                        (got.round() - wanted).abs() <= 1.0,
                        "{format:?} box {b:?} pixel {i} channel {c}: {got}, Pillow has {wanted}"
                    );
                }
            }
        }
    }
}

/// Smooth enough that chroma subsampling loses nothing that a crop could see.
fn smooth(x: f32, y: f32) -> [f32; 3] {
    [
        128.0 + 60.0 * (x / 9.0).sin(),
        120.0 + 50.0 * (y / 11.0).cos(),
        110.0 + 40.0 * ((x + y) / 13.0).sin(),
    ]
}

#[test]
fn every_format_and_colorimetry_gives_the_same_cut() {
    let squares = [
        CropSquare { x: 3.25, y: 4.5, side: 30.0 },
        CropSquare { x: 31.0, y: 20.0, side: 12.5 },
        CropSquare { x: 0.0, y: 0.0, side: 47.0 },
    ];
    let wanted =
        Picture::paint(FrameInfo::new(PixelFormat::Rgb, 81, 47), 0, &smooth).crop_small(&squares);
    let sites = [ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft];
    for format in PixelFormat::ALL.into_iter().filter(|f| f.model() != ColorModel::Gray) {
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            for range in [Range::Limited, Range::Full] {
                for chroma_site in sites {
                    // 4:2:2 has no vertical subsampling for a top-left site to differ in.
                    let info = FrameInfo::new(format, 81, 47);
                    let info = info.matrix(matrix).range(range).chroma_site(chroma_site);
                    let got = Picture::paint(info, 3, &smooth).crop_small(&squares);
                    let worst = got.iter().zip(&wanted).map(|(a, b)| level(*a) - level(*b));
                    let worst = worst.fold(0f32, |m, d| m.max(d.abs()));
                    assert!(worst < 3.5, "{info:?}: off by {worst} levels");
                }
            }
        }
    }
}

#[test]
fn gray_crops_are_gray_and_right() {
    let gray = |x: f32, y: f32| [smooth(x, y)[1]; 3];
    let squares = [CropSquare { x: 10.5, y: 3.0, side: 33.0 }];
    let rgb =
        Picture::paint(FrameInfo::new(PixelFormat::Rgb, 64, 48), 0, &gray).crop_small(&squares);
    for range in [Range::Full, Range::Limited] {
        let info = FrameInfo::new(PixelFormat::Gray8, 64, 48).range(range);
        let got = Picture::paint(info, 1, &gray).crop_small(&squares);
        assert_eq!(got[..256], got[256..512]);
        assert!(got.iter().zip(&rgb).all(|(a, b)| (level(*a) - level(*b)).abs() < 1.5));
    }
}

/// The enlarged crop plus detail, as a good generator would answer.
fn detailed(shape: Shape, lr: &[f32]) -> Vec<f32> {
    let side = shape.hr();
    (0..shape.hr_len())
        .map(|i| {
            let (c, y, x) = (i / shape.hr_plane(), i / side % side, i % side);
            let detail = if (x / 3 + y / 3) % 2 == 0 { 0.2 } else { -0.2 };
            lr[c * shape.lr_plane() + y / 4 * shape.lr() + x / 4] + detail
        })
        .collect()
}

#[test]
fn a_blend_adds_detail_and_keeps_the_colours() {
    for shape in [Shape::SMALL, Shape::LARGE] {
        for format in PixelFormat::ALL {
            let mut picture = Picture::paint(FrameInfo::new(format, 220, 190), 0, &smooth);
            let square = CropSquare { x: 20.3, y: 10.8, side: shape.hr() as f32 };
            let (lr, before) = (picture.crop(shape, &[square]), picture.crop_small(&[square]));
            let sharp_before = edges(&picture);
            let hr = detailed(shape, &lr);
            picture.blend(shape, square, (&lr, &hr), 1.0, BlendWeights::default());
            let after = picture.crop_small(&[square]);
            for c in 0..3 {
                let mean = |v: &[f32]| v[c * 256..(c + 1) * 256].iter().sum::<f32>() / 256.0;
                let drift = (mean(&before) - mean(&after)) * 127.5;
                assert!(drift.abs() < 1.0, "{format:?} channel {c} drifts by {drift} levels");
            }
            assert!(edges(&picture) > 2.0 * sharp_before, "{shape} {format:?} gained no detail");
        }
    }
}

/// Whoever asks for the frame's own detail alone gets the frame, whatever was generated.
#[test]
fn full_fidelity_leaves_the_frame_as_it_is() {
    for format in PixelFormat::ALL {
        let mut picture = Picture::paint(FrameInfo::new(format, 90, 80), 0, &smooth);
        let before = picture.planes.clone();
        let square = CropSquare { x: 10.3, y: 8.8, side: 60.0 };
        let lr = picture.crop(Shape::LARGE, &[square]);
        let hr = detailed(Shape::LARGE, &lr);
        let weights = BlendWeights { generated: 0.0, detail: 1.0 };
        picture.blend(Shape::LARGE, square, (&lr, &hr), 1.0, weights);
        let changed = picture.planes.iter().flatten().zip(before.iter().flatten());
        assert!(changed.clone().all(|(a, b)| a.abs_diff(*b) <= 1), "{format:?}");
    }
}

/// What a crop of 16x16 cannot hold of a face of sixty pixels comes back from the frame.
#[test]
fn detail_of_the_frame_is_added_to_the_generated_face() {
    let fine = |x: f32, y: f32| {
        let checks = if (x as i32 / 2 + y as i32 / 2) % 2 == 0 { 25.0 } else { -25.0 };
        smooth(x, y).map(|v| v * 0.7 + 30.0 + checks)
    };
    let square = CropSquare { x: 15.0, y: 12.0, side: 64.0 };
    let shown = |detail: f32| {
        let mut picture = Picture::paint(FrameInfo::new(PixelFormat::I420, 120, 90), 0, &fine);
        let before = edges(&picture);
        let lr = picture.crop_small(&[square]);
        // A generator that only enlarges.
        let hr: Vec<f32> = (0..Shape::SMALL.hr_len())
            .map(|i| lr[i / 4096 * 256 + i / 64 % 64 / 4 * 16 + i % 64 / 4])
            .collect();
        let weights = BlendWeights { generated: 1.0, detail };
        picture.blend(Shape::SMALL, square, (&lr, &hr), 1.0, weights);
        edges(&picture) / before
    };
    assert!(shown(0.0) < 0.6, "{}", shown(0.0));
    assert!(shown(1.0) > 0.95, "{}", shown(1.0));
}

fn edges(picture: &Picture) -> f32 {
    let frame = picture.frame();
    let c = frame.component(0);
    let at = |x: usize, y: usize| f32::from(c.data[y * c.stride + x * c.step]);
    let mut sum = 0.0;
    for y in 25..60 {
        for x in 35..70 {
            sum += (at(x + 1, y) - at(x, y)).abs();
        }
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    /// Whatever the format, stride, size and place, only samples inside the square change:
    /// no pixel beside it, no padding, no alpha.
    #[test]
    fn nothing_outside_the_squares_changes(
        format in 0usize..PixelFormat::ALL.len(), width in 12u32..70, height in 12u32..70,
        pad in 0usize..7, fx in 0f32..1.0, fy in 0f32..1.0, size in 0.05f32..1.0,
        strength in 0f32..=1.0, site in 0usize..3, large in any::<bool>(),
        detail in prop::sample::select(vec![0.0f32, 0.5, 1.0]),
    ) {
        let format = PixelFormat::ALL[format];
        let chroma_site = [ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft][site];
        let info = FrameInfo::new(format, width, height).chroma_site(chroma_site);
        let mut picture = Picture::paint(info, pad, &smooth);
        let side = (width.min(height) as f32 * size).max(1.0);
        let square = CropSquare {
            x: fx * (width as f32 - side),
            y: fy * (height as f32 - side),
            side,
        };
        let shape = if large { Shape::LARGE } else { Shape::SMALL };
        let lr = picture.crop(shape, &[square]);
        let hr: Vec<f32> =
            (0..shape.hr_len()).map(|i| ((i * 31 % 101) as f32 / 50.0) - 1.0).collect();
        let weights = BlendWeights { generated: 1.0 - detail / 2.0, detail };
        let before = picture.planes.clone();
        picture.blend(shape, square, (&lr, &hr), strength, weights);

        // Which bytes may have changed, said in the other direction: byte by byte.
        let mut may_change: Vec<Vec<bool>> = before.iter().map(|p| vec![false; p.len()]).collect();
        let frame = picture.frame();
        for (i, layout) in format.components().into_iter().enumerate() {
            let c = frame.component(i);
            let (dx, dy) = chroma_site.offsets();
            let place = |k: usize, shift: u32, offset: f32| match shift {
                0 => k as f32 + 0.5,
                _ => (k as f32 + 0.5) * 2.0 - offset,
            };
            for y in 0..c.height {
                for x in 0..c.width {
                    let at = (place(x, c.hsub, dx), place(y, c.vsub, dy));
                    let inside = |v: f32, from: f32| v > from - 1e-3 && v < from + side + 1e-3;
                    if inside(at.0, square.x) && inside(at.1, square.y) {
                        let byte = layout.offset + y * c.stride + x * c.step;
                        may_change[layout.plane][byte] = true;
                    }
                }
            }
        }
        for (p, plane) in picture.planes.iter().enumerate() {
            for (i, byte) in plane.iter().enumerate() {
                prop_assert!(may_change[p][i] || *byte == before[p][i], "plane {} byte {}", p, i);
            }
        }
    }

    /// Squares that no caller should send are harmless all the same.
    #[test]
    fn absurd_squares_do_no_harm(
        x in prop::num::f32::ANY, y in prop::num::f32::ANY, side in prop::num::f32::ANY,
    ) {
        let mut picture = Picture::paint(FrameInfo::new(PixelFormat::I420, 31, 17), 2, &smooth);
        let before = picture.planes.clone();
        let square = CropSquare { x, y, side };
        let lr = picture.crop_small(&[square]);
        let hr = vec![0.5; Shape::SMALL.hr_len()];
        picture.blend(Shape::SMALL, square, (&lr, &hr), 1.0, BlendWeights::default());
        prop_assert!(square.lies_in(31, 17) || picture.planes == before);
    }
}
