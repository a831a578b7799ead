//! The CUDA kernels, compiled as host code, against the engine's CPU canvas: bit for bit.

use facesr::canvas::{Canvas, CpuCanvas};
use facesr::frame::{ChromaSite, Matrix, Range};
use facesr::generator::{HIGH_LEN, LOW_LEN};
use facesr::{FrameInfo, FrameMut, PixelFormat, Square};
use facesr_tests::kernels;
use proptest::prelude::*;

/// Numbers that look random and are the same everywhere.
fn noise(seed: u32) -> impl FnMut() -> u32 {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    }
}

fn tensor(len: usize, seed: u32) -> Vec<f32> {
    let mut next = noise(seed);
    // A little beyond -1..1, as a generator may answer.
    (0..len).map(|_| (next() % 2_000) as f32 / 950.0 - 1.05).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn kernels_equal_the_cpu_canvas(
        format in 0usize..PixelFormat::ALL.len(),
        width in 9u32..90, height in 9u32..90, pad in 0usize..9,
        matrix in 0usize..3, range in any::<bool>(), site in 0usize..3, seed in any::<u32>(),
        // Places and sizes as shares of what there is room for; 0 and 1 are the picture's edges.
        places in prop::collection::vec((0f32..=1.0, 0f32..=1.0, 0.02f32..=1.0, 0f32..=1.0), 0..5),
    ) {
        let info = FrameInfo {
            matrix: [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020][matrix],
            range: if range { Range::Full } else { Range::Limited },
            chroma_site: [ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft][site],
            ..FrameInfo::new(PixelFormat::ALL[format], width, height)
        };
        let mut next = noise(seed);
        let mut planes: Vec<Vec<u8>> = Vec::new();
        let mut strides = Vec::new();
        for p in 0..info.format.plane_count() {
            let (row, rows) = info.format.plane_size(p, width, height);
            planes.push((0..(row + pad) * rows).map(|_| next() as u8).collect());
            strides.push(row + pad);
        }
        let squares: Vec<Square> = places.iter().map(|&(fx, fy, size, _)| {
            let side = (size * width.min(height) as f32).max(1.0);
            let (x, y) = (fx * (width as f32 - side), fy * (height as f32 - side));
            Square { x: x.max(0.0), y: y.max(0.0), side }
        }).collect();
        let strengths: Vec<f32> = places.iter().map(|p| p.3).collect();
        let high = tensor(squares.len() * HIGH_LEN, seed ^ 1);

        let run = |on_kernels: bool| {
            let mut planes = planes.clone();
            let mut low = vec![f32::NAN; squares.len() * LOW_LEN];
            let slices = planes.iter_mut().map(Vec::as_mut_slice);
            let mut frame = FrameMut::new(info, slices, &strides).unwrap();
            if on_kernels {
                kernels::cut(&mut frame, &squares, &mut low);
                kernels::blend(&mut frame, &squares, &low, &high, &strengths);
            } else {
                let mut canvas = CpuCanvas::default();
                canvas.cut(&frame.as_frame(), &squares, &mut low);
                canvas.blend(&mut frame, &squares, &low, &high, &strengths);
            }
            (low.into_iter().map(f32::to_bits).collect::<Vec<_>>(), planes)
        };
        let (cpu, gpu) = (run(false), run(true));
        prop_assert_eq!(cpu.0, gpu.0, "the cuts differ");
        prop_assert!(cpu.1 == gpu.1, "the blends differ");
    }
}
