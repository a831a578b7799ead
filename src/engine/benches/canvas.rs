//! What cropping, generating and blending cost, by number of faces and by size.
//!
//! `cargo bench -p facesr --bench canvas`

use divan::Bencher;
use facesr::inference;
use facesr::internals::backend::BlendWeights;
use facesr::internals::cpu::{Compositor, FaceBatch};
use facesr::{CropSquare, Frame, FrameInfo, FrameMut, Generator, PixelFormat, Shape};

fn main() {
    divan::main();
}

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;

/// Luma and chroma of a 1080p NV12 frame with a pattern in them.
fn planes() -> (Vec<u8>, Vec<u8>) {
    let pattern = |n: usize| (0..n).map(|i| (i * 7 % 211) as u8).collect();
    let pixels = (WIDTH * HEIGHT) as usize;
    (pattern(pixels), pattern(pixels / 2))
}

fn squares(count: usize, side: f32) -> Vec<CropSquare> {
    let at = |i: usize, step: f32, limit: f32| (i as f32 * step + 3.3) % (limit - side);
    (0..count)
        .map(|i| CropSquare { x: at(i, 131.7, WIDTH as f32), y: at(i, 77.1, HEIGHT as f32), side })
        .collect()
}

/// Side in pixels of the squares, and whether they go to the larger generator.
const CASES: [(u32, bool); 6] =
    [(16, false), (24, false), (24, true), (40, true), (80, true), (120, true)];

fn shape(large: bool) -> Shape {
    if large { Shape::LARGE } else { Shape::SMALL }
}

#[divan::bench(args = CASES)]
fn crop_one_face(bencher: Bencher<'_, '_>, (side, large): (u32, bool)) {
    let (y, uv) = planes();
    let info = FrameInfo::new(PixelFormat::Nv12, WIDTH, HEIGHT);
    let frame = Frame::new(info, &[&y, &uv], &[1920, 1920]).expect("a whole frame");
    let (squares, shape) = (squares(1, side as f32), shape(large));
    let (mut canvas, mut lr) = (Compositor::default(), vec![0.0; shape.lr_len()]);
    bencher.bench_local(|| canvas.crop(&frame, shape, &squares, &mut lr));
}

#[divan::bench(args = CASES)]
fn blend_one_face(bencher: Bencher<'_, '_>, (side, large): (u32, bool)) {
    let (mut y, mut uv) = planes();
    let info = FrameInfo::new(PixelFormat::Nv12, WIDTH, HEIGHT);
    let (squares, shape) = (squares(1, side as f32), shape(large));
    let (lr, hr) = (vec![0.1; shape.lr_len()], vec![0.2; shape.hr_len()]);
    let mut canvas = Compositor::default();
    let planes = [y.as_mut_slice(), uv.as_mut_slice()];
    let mut frame = FrameMut::new(info, planes, &[1920, 1920]).expect("a whole frame");
    let faces = FaceBatch {
        shape,
        squares: &squares,
        lr: &lr,
        denoised: &lr,
        changes: &[0.0; Shape::COMMON_LEN],
        hr: &hr,
        strengths: &[1.0],
        weights: BlendWeights::default(),
    };
    bencher.bench_local(|| canvas.blend(&mut frame, &faces));
}

#[divan::bench(args = [(1, false), (8, false), (32, false), (1, true), (8, true), (32, true)])]
fn generate(bencher: Bencher<'_, '_>, (faces, large): (usize, bool)) {
    let source = inference::default_generators().swap_remove(usize::from(large));
    let generator = Generator::open_source(&source, 1).expect("the built-in generator");
    let shape = generator.shape();
    let lr: Vec<f32> =
        (0..faces * shape.lr_len()).map(|i| (i % 255) as f32 / 127.5 - 1.0).collect();
    let mut hr = vec![0.0; faces * shape.hr_len()];
    bencher.bench_local(|| generator.run(&lr, &mut hr).expect("finite numbers"));
}
