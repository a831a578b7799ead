//! What finding faces costs: downscaling a frame alone, and each detector on whole frames.
//!
//! ```sh
//! FACESR_MODELS=folder ORT_DYLIB_PATH=libonnxruntime.so.1 cargo bench -p facesr --bench detect
//! ```
//!
//! Detectors whose model is not found in the model folders are left out, aloud. Pictures are
//! noise: the networks cost the same whatever they see; SeetaFace costs more on real pictures
//! with faces (its cascade looks closer where something might be one).

use divan::{Bencher, black_box};
use facesr::detect::{self, DetectorKind, DetectorOptions, Precision};
use facesr::internals::InputBench;
use facesr::{Frame, FrameInfo, PixelFormat};

fn main() {
    divan::main();
}

const SIZES: [(u32, u32); 2] = [(640, 480), (1920, 1080)];

struct Picture {
    info: FrameInfo,
    planes: Vec<Vec<u8>>,
    strides: Vec<usize>,
}

impl Picture {
    fn new(format: PixelFormat, (width, height): (u32, u32)) -> Self {
        let info = FrameInfo::new(format, width, height);
        let (mut planes, mut strides) = (Vec::new(), Vec::new());
        for plane in 0..format.plane_count() {
            let (row, rows) = format.plane_size(plane, width, height);
            let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8 / 4 + 96;
            planes.push((0..row * rows).map(noise).collect());
            strides.push(row);
        }
        Self { info, planes, strides }
    }

    fn frame(&self) -> Frame<'_> {
        let planes: Vec<&[u8]> = self.planes.iter().map(Vec::as_slice).collect();
        Frame::new(self.info, &planes, &self.strides).expect("the picture fits its own format")
    }
}

/// Format and size of a frame, and the size that it is reduced to.
type Downscale = (PixelFormat, (u32, u32), (usize, usize));

const DOWNSCALES: [Downscale; 6] = [
    (PixelFormat::Nv12, (1920, 1080), (960, 540)),
    (PixelFormat::I420, (1920, 1080), (960, 540)),
    (PixelFormat::Bgrx, (1920, 1080), (960, 540)),
    (PixelFormat::Nv12, (1920, 1080), (640, 360)),
    (PixelFormat::I420, (1280, 720), (960, 540)),
    (PixelFormat::I420, (640, 480), (640, 480)),
];

#[divan::bench(args = DOWNSCALES)]
fn downscale(bencher: Bencher, (format, from, to): Downscale) {
    let picture = Picture::new(format, from);
    let frame = picture.frame();
    let mut input = InputBench::new(to.0, to.1);
    bencher.bench_local(|| {
        input.run(black_box(&frame));
    });
}

fn run(bencher: Bencher, kind: DetectorKind, size: (u32, u32)) {
    run_with(bencher, size, &DetectorOptions::default().kind(kind));
}

fn run_with(bencher: Bencher, size: (u32, u32), options: &DetectorOptions) {
    let mut detector = match detect::open(options) {
        Ok(detector) => detector,
        Err(e) => return eprintln!("SKIPPED: {e}"),
    };
    let picture = Picture::new(PixelFormat::I420, size);
    let frame = picture.frame();
    let mut found = Vec::new();
    bencher.bench_local(|| {
        found.clear();
        detector.detect(black_box(&frame), &mut found).expect("a frame that can be searched");
    });
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn seetaface(bencher: Bencher, size: (u32, u32)) {
    run(bencher, DetectorKind::SeetaFace, size);
}

#[divan::bench(args = SIZES, sample_count = 50)]
fn yunet(bencher: Bencher, size: (u32, u32)) {
    run(bencher, DetectorKind::YuNet, size);
}

#[divan::bench(args = SIZES, sample_count = 50)]
fn centerface(bencher: Bencher, size: (u32, u32)) {
    run(bencher, DetectorKind::CenterFace, size);
}

/// In single precision, even where the processor gains from 8 bits.
#[divan::bench(args = SIZES, sample_count = 50)]
fn centerface_as_filed(bencher: Bencher, size: (u32, u32)) {
    let (kind, precision) = (DetectorKind::CenterFace, Precision::AsFiled);
    run_with(bencher, size, &DetectorOptions::default().kind(kind).precision(precision));
}
