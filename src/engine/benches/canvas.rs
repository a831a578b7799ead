//! What cutting, generating and blending cost, by number of faces and by size.
//!
//! `cargo bench -p facesr --bench canvas`

use divan::Bencher;
use facesr::enhance::cpu::Compositor;
use facesr::enhance::generator::{HR_LEN, LR_LEN};
use facesr::{CropSquare, Frame, FrameInfo, FrameMut, Generator, GeneratorOptions, PixelFormat};

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

/// Side in pixels of the squares.
const SIDES: [u32; 4] = [16, 24, 40, 80];

#[divan::bench(args = SIDES)]
fn cut_one_face(bencher: Bencher<'_, '_>, side: u32) {
    let (y, uv) = planes();
    let info = FrameInfo::new(PixelFormat::Nv12, WIDTH, HEIGHT);
    let frame = Frame::new(info, &[&y, &uv], &[1920, 1920]).expect("a whole frame");
    let squares = squares(1, side as f32);
    let (mut canvas, mut low) = (Compositor::default(), vec![0.0; LR_LEN]);
    bencher.bench_local(|| canvas.crop(&frame, &squares, &mut low));
}

#[divan::bench(args = SIDES)]
fn blend_one_face(bencher: Bencher<'_, '_>, side: u32) {
    let (mut y, mut uv) = planes();
    let info = FrameInfo::new(PixelFormat::Nv12, WIDTH, HEIGHT);
    let squares = squares(1, side as f32);
    let (low, high) = (vec![0.1; LR_LEN], vec![0.2; HR_LEN]);
    let mut canvas = Compositor::default();
    let planes = [y.as_mut_slice(), uv.as_mut_slice()];
    let mut frame = FrameMut::new(info, planes, &[1920, 1920]).expect("a whole frame");
    bencher.bench_local(|| canvas.blend(&mut frame, &squares, &low, &high, &[1.0]));
}

#[divan::bench(args = [1, 8, 32])]
fn generate(bencher: Bencher<'_, '_>, faces: usize) {
    let generator = Generator::open(&GeneratorOptions::default()).expect("the built-in generator");
    let low: Vec<f32> = (0..faces * LR_LEN).map(|i| (i % 255) as f32 / 127.5 - 1.0).collect();
    let mut high = vec![0.0; faces * HR_LEN];
    bencher.bench_local(|| generator.run(&low, &mut high).expect("finite numbers"));
}
