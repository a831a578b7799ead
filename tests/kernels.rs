//! The GPU backend, its kernels compiled as host code, against the CPU: bit for bit.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use facesr::enhance::ladder::Ladder;
use facesr::frame::{ChromaSite, Matrix, Picture, Range};
use facesr::inference::ModelSource;
use facesr::internals::backend::{Backend, BlendWeights, Crops, FaceLayer, FacePlan};
use facesr::internals::cpu::{Compositor, FaceBatch};
use facesr::internals::cuda::{
    BoundGenerator, DevicePtr, Driver, GpuBackend, GpuError, Place, RunFaces,
};
use facesr::{CropSquare, PixelFormat, Rect, Shape};
use facesr::{CudaFrame, Enhancer, EnhancerOptions, Face, FrameInfo, FrameMut};
use facesr_testkit::kernels::HostDriver;
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

/// A generator that answers what it was given beforehand.
struct Foretold {
    shape: Shape,
    input: Vec<f32>,
    output: Vec<f32>,
    answers: std::vec::IntoIter<Vec<f32>>,
}

impl Foretold {
    fn new(shape: Shape, answers: Vec<Vec<f32>>) -> Self {
        let faces = facesr::internals::cuda::MAX_FACES;
        Self {
            shape,
            input: vec![0.0; faces * shape.lr_len()],
            output: vec![0.0; faces * shape.hr_len()],
            answers: answers.into_iter(),
        }
    }
}

// SAFETY: the buffers hold as many faces as one run takes, and live as long as it.
unsafe impl RunFaces for Foretold {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn buffers(&mut self, _faces: usize) -> Result<(DevicePtr, DevicePtr), GpuError> {
        Ok((self.input.as_ptr() as DevicePtr, self.output.as_ptr() as DevicePtr))
    }

    fn run(&mut self, faces: usize) -> Result<(), GpuError> {
        let answer = self.answers.next().expect("no more runs were foretold");
        assert_eq!(answer.len(), faces * self.shape.hr_len());
        self.output[..answer.len()].copy_from_slice(&answer);
        Ok(())
    }
}

/// Crops of these squares for one generator of `shape`.
fn crops(shape: Shape, squares: &[CropSquare]) -> Crops {
    let mut crops = Crops::default();
    squares.iter().for_each(|square| crops.push(*square, 0, shape));
    crops
}

/// A frame that owns its pixels.
#[derive(Clone, PartialEq)]
struct Owned {
    info: FrameInfo,
    planes: Vec<Vec<u8>>,
    strides: Vec<usize>,
}

impl Owned {
    fn noise(info: FrameInfo, pad: usize, seed: u32) -> Self {
        let mut next = noise(seed);
        let (mut planes, mut strides) = (Vec::new(), Vec::new());
        for p in 0..info.format.plane_count() {
            let (row, rows) = info.format.plane_size(p, info.width, info.height);
            planes.push((0..(row + pad) * rows).map(|_| next() as u8).collect());
            strides.push(row + pad);
        }
        Self { info, planes, strides }
    }

    fn host<R>(&mut self, work: impl FnOnce(&mut FrameMut<'_>) -> R) -> R {
        let slices = self.planes.iter_mut().map(Vec::as_mut_slice);
        work(&mut FrameMut::new(self.info, slices, &self.strides).unwrap())
    }

    /// The same memory as a frame of the device in system memory.
    fn device(&mut self) -> CudaFrame<'_> {
        let planes: Vec<_> =
            self.planes.iter_mut().map(|p| (p.as_mut_ptr() as DevicePtr, p.len())).collect();
        // SAFETY: the device reaches system memory, and the planes are used by nobody else while
        // the frame is worked on.
        unsafe { CudaFrame::new(self.info, &planes, &self.strides) }.unwrap()
    }
}

fn device() -> Arc<dyn Driver> {
    Arc::new(HostDriver::new())
}

fn any_info() -> impl Strategy<Value = FrameInfo> {
    (0usize..PixelFormat::ALL.len(), 9u32..90, 9u32..90, 0usize..3, any::<bool>(), 0usize..3)
        .prop_map(|(format, width, height, matrix, full, site)| {
            FrameInfo::new(PixelFormat::ALL[format], width, height)
                .matrix([Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020][matrix])
                .range(if full { Range::Full } else { Range::Limited })
                .chroma_site([ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft][site])
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn kernels_equal_the_cpu_canvas(
        info in any_info(), pad in 0usize..9, seed in any::<u32>(), on_device in any::<bool>(),
        // Places and sizes as shares of what there is room for; 0 and 1 are the picture's edges.
        places in prop::collection::vec((0f32..=1.0, 0f32..=1.0, 0.02f32..=1.0, 0f32..=1.0), 1..5),
        outside in any::<bool>(), large in any::<bool>(),
        (generated, detail) in prop::sample::select(vec![(1.0f32, 0.0f32), (1.0, 0.7), (0.4, 0.6)]),
    ) {
        let (width, height) = (info.width as f32, info.height as f32);
        let mut squares: Vec<CropSquare> = places.iter().map(|&(fx, fy, size, _)| {
            let side = (size * width.min(height)).max(1.0);
            let (x, y) = (fx * (width - side), fy * (height - side));
            CropSquare { x: x.max(0.0), y: y.max(0.0), side }
        }).collect();
        if outside {
            squares[0].x = width - squares[0].side / 2.0;
        }
        let strengths: Vec<f32> = places.iter().map(|p| p.3).collect();
        let shape = if large { Shape::LARGE } else { Shape::SMALL };
        let hr = tensor(squares.len() * shape.hr_len(), seed ^ 1);
        let denoised = tensor(squares.len() * shape.lr_len(), seed ^ 2);
        let count = squares.len() * Shape::COMMON_LEN;
        let changes = if large { tensor(count, seed ^ 3) } else { vec![0.0; count] };
        let weights = BlendWeights { generated, detail };

        let before = Owned::noise(info, pad, seed);
        let (mut cpu, mut gpu) = (before.clone(), before);
        let mut cpu_low = vec![f32::NAN; squares.len() * shape.lr_len()];
        cpu.host(|frame| {
            let mut canvas = Compositor::default();
            canvas.crop(&frame.as_frame(), shape, &squares, &mut cpu_low);
            let (squares, lr, hr, strengths) = (&squares, &cpu_low, &hr, &strengths);
            let (denoised, changes) = (&denoised, &changes);
            canvas.blend(frame, &FaceBatch { shape, squares, lr, denoised, changes, hr, strengths, weights });
        });

        let foretold = Foretold::new(shape, vec![hr]);
        let mut backend = GpuBackend::new(device(), vec![Box::new(foretold)]).unwrap();
        let mut gpu_crops = crops(shape, &squares);
        let plans: Vec<FacePlan> = squares.iter().zip(&strengths).enumerate().map(|(slot, (&square, &strength))| {
            let layer = FaceLayer { rung: 0, slot, generate: true, keep: 0.0, weights };
            FacePlan { square, strength, layer, next: None }
        }).collect();
        let mut work = |picture: &mut Picture<'_, '_>| {
            backend.crop(picture, &mut gpu_crops).unwrap();
            gpu_crops.set_denoised(&denoised);
            gpu_crops.set_changes(&changes);
            backend.render(picture, &gpu_crops, &plans).unwrap();
        };
        if on_device {
            let frame = gpu.device();
            work(&mut Picture::Cuda(frame));
        } else {
            gpu.host(|frame| work(&mut Picture::Host(frame)));
        }
        let bits = |v: &[f32]| v.iter().map(|f| f.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&cpu_low), bits(gpu_crops.values()), "the crops differ");
        prop_assert!(cpu == gpu, "the blends differ");
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/testkit/fixtures/models").join(name)
}

const FILES: [&str; 2] = ["good-nearest.onnx", "good-nearest-32.onnx"];

/// Generators of both sizes.
fn ladder() -> Ladder {
    let sources = FILES.map(|name| ModelSource::File(fixture(name)));
    Ladder::open(&sources, 1).unwrap()
}

/// An enhancer on `driver`, which falls back to the CPU with the same generators.
fn on_gpu(driver: Arc<dyn Driver>, options: EnhancerOptions) -> Result<Enhancer, GpuError> {
    let sources = FILES.map(|name| ModelSource::File(fixture(name)));
    let bound = |source: &ModelSource| -> Box<dyn RunFaces> {
        // SAFETY: there is no stream.
        Box::new(unsafe { BoundGenerator::open(source, Place::Host) }.unwrap())
    };
    let backend = GpuBackend::new(driver, sources.iter().map(bound).collect())?;
    Ok(Enhancer::on(Box::new(backend), sources.to_vec(), ladder(), options))
}

fn options() -> EnhancerOptions {
    EnhancerOptions::default().min_face_size(4.0).temporal_smoothing(0.8)
}

/// Faces that walk, come and go, and lie over each other.
fn faces(step: usize, count: usize, info: &FrameInfo) -> Vec<Face> {
    let (width, height) = (info.width as f32, info.height as f32);
    (0..count)
        .filter(|i| (i + step) % 5 != 4)
        .map(|i| {
            // Some grow through the limit between the generators.
            let size =
                7.0 + (i * 11 % 23) as f32 + if i % 3 == 1 { 2.0 * step as f32 } else { 0.0 };
            let x = (i as f32 * 37.3 + step as f32 * 0.7) % (width - size);
            let y = (i as f32 * 23.9 + step as f32 * 0.3) % (height - size);
            Face::new(i as u64 + 1, Rect::new(x, y, size, size), 1.0)
        })
        .collect()
}

/// A clip of noise that changes little from frame to frame.
fn clip(info: FrameInfo, pad: usize) -> impl Iterator<Item = Owned> {
    let still = Owned::noise(info, pad, 5);
    (0..7u32).map(move |step| {
        let mut frame = still.clone();
        let mut next = noise(step + 99);
        frame.planes.iter_mut().flatten().for_each(|v| *v = v.saturating_add((next() % 9) as u8));
        frame
    })
}

#[test]
fn streams_are_the_same_on_both_in_every_format() {
    for (k, format) in PixelFormat::ALL.into_iter().enumerate() {
        let info = FrameInfo::new(format, 131, 95 + k as u32 % 2);
        let mut cpu = Enhancer::new(ladder(), options());
        let mut gpu = on_gpu(device(), options()).unwrap();
        for (step, before) in clip(info, k % 4).enumerate() {
            let faces = faces(step, 3 + step, &info);
            let (mut a, mut b) = (before.clone(), before);
            let counted = a.host(|frame| cpu.enhance(frame, &faces)).unwrap();
            assert!(counted > 1);
            // Now and then as a frame of the device.
            let on_gpu = match step % 3 {
                1 => gpu.enhance_cuda(b.device(), &faces),
                _ => b.host(|frame| gpu.enhance(frame, &faces)),
            };
            assert_eq!(on_gpu.unwrap(), counted);
            assert!(a == b, "{format:?}: frame {step} differs");
        }
        assert!(gpu.is_on_gpu() && gpu.take_notice().is_none());
        let count = |e: &Enhancer| (e.stats().frames, e.stats().faces_enhanced);
        assert_eq!(count(&cpu), count(&gpu));
    }
}

#[test]
fn more_faces_than_one_run_takes() {
    let info = FrameInfo::new(PixelFormat::Nv12, 640, 360);
    let mut cpu = Enhancer::new(ladder(), options());
    let mut gpu = on_gpu(device(), options()).unwrap();
    for (step, before) in clip(info, 3).take(2).enumerate() {
        let faces = faces(step, 340, &info);
        let (mut a, mut b) = (before.clone(), before);
        let counted = a.host(|frame| cpu.enhance(frame, &faces)).unwrap();
        assert!(counted > 2 * facesr::internals::cuda::MAX_FACES);
        assert_eq!(b.host(|frame| gpu.enhance(frame, &faces)).unwrap(), counted);
        assert!(a == b, "frame {step} differs");
    }
}

#[test]
fn kept_faces_are_shown_again_without_a_run() {
    let info = FrameInfo::new(PixelFormat::I420, 64, 48);
    let squares =
        [CropSquare { x: 3.0, y: 4.0, side: 20.5 }, CropSquare { x: 30.2, y: 9.0, side: 30.0 }];
    let shape = Shape::LARGE;
    let (hr_len, weights) = (shape.hr_len(), BlendWeights::default());
    let first = tensor(2 * hr_len, 1);
    let second = tensor(hr_len, 2);
    let denoised = tensor(2 * shape.lr_len(), 3);
    let changes = tensor(2 * Shape::COMMON_LEN, 4);
    let foretold = Foretold::new(shape, vec![first.clone(), second.clone()]);
    let mut backend = GpuBackend::new(device(), vec![Box::new(foretold)]).unwrap();
    let mut canvas = Compositor::default();
    // All generated; only the second; none.
    for (round, generate) in [[true; 2], [false, true], [false; 2]].into_iter().enumerate() {
        let keep = if round == 1 { 0.25 } else { 0.0 };
        let plans = [0, 1].map(|i| {
            let layer = FaceLayer { rung: 0, slot: 7 - i, generate: generate[i], keep, weights };
            FacePlan { square: squares[i], strength: 0.9, layer, next: None }
        });
        let mut wanted = first.clone();
        if round > 0 {
            let mixed =
                first[hr_len..].iter().zip(&second).map(|(old, new)| new + 0.25 * (old - new));
            wanted.truncate(hr_len);
            wanted.extend(mixed);
        }
        let before = Owned::noise(info, 0, round as u32);
        let (mut a, mut b) = (before.clone(), before);
        let mut lr = vec![0.0; 2 * shape.lr_len()];
        a.host(|frame| {
            canvas.crop(&frame.as_frame(), shape, &squares, &mut lr);
            let (squares, hr, strengths) = (&squares, &wanted, &[0.9; 2]);
            let (lr, denoised, changes) = (&lr, &denoised, &changes);
            canvas.blend(
                frame,
                &FaceBatch { shape, squares, lr, denoised, changes, hr, strengths, weights },
            );
        });
        b.host(|frame| {
            let (mut picture, mut crops) = (Picture::Host(frame), crops(shape, &squares));
            backend.crop(&picture, &mut crops).unwrap();
            crops.set_denoised(&denoised);
            crops.set_changes(&changes);
            backend.render(&mut picture, &crops, &plans).unwrap();
        });
        assert!(a == b, "round {round} differs");
    }
}

/// Frames of a clip as `enhancer` leaves them, and what it has to say.
fn through(enhancer: &mut Enhancer, info: FrameInfo) -> (Vec<Owned>, Vec<String>) {
    let mut notices = Vec::new();
    let frames = clip(info, 0).take(3).enumerate().map(|(step, mut frame)| {
        let faces = faces(step, 4, &info);
        assert!(frame.host(|f| enhancer.enhance(f, &faces)).unwrap() > 0);
        notices.extend(enhancer.take_notice());
        frame
    });
    (frames.collect(), notices)
}

#[test]
fn a_device_that_fails_at_any_call_loses_no_frame() {
    let info = FrameInfo::new(PixelFormat::Nv12, 96, 64);
    // Without memory of earlier frames the answers do not depend on when the CPU took over.
    let options = options().temporal_smoothing(0.0);
    let (wanted, _) = through(&mut Enhancer::new(ladder(), options.clone()), info);
    let whole = Arc::new(HostDriver::new());
    through(&mut on_gpu(whole.clone(), options.clone()).unwrap(), info);
    assert!(whole.calls() > 50);
    let mut opened = 0;
    for call in 0..whole.calls() {
        let device = Arc::new(HostDriver::failing_at(call));
        // Some calls belong to the opening, which the caller is told about.
        let Ok(mut enhancer) = on_gpu(device, options.clone()) else { continue };
        opened += 1;
        let (frames, notices) = through(&mut enhancer, info);
        assert!(frames == wanted, "the device failed at call {call}");
        // Freeing pinned memory waits for the device, too, but nobody need know.
        assert!(notices.len() <= 1, "{notices:?}");
        if enhancer.is_on_gpu() {
            assert!(notices.is_empty());
        } else {
            assert!(notices[0].contains("CPU goes on") && notices[0].contains("fault injected"));
            assert_eq!(enhancer.device(), "the CPU");
        }
        assert_eq!(enhancer.stats().frames, 3);
    }
    assert!(opened > 30, "{opened}");
}

#[test]
fn a_frame_of_the_device_comes_again_after_a_failure() {
    let info = FrameInfo::new(PixelFormat::Nv12, 96, 64);
    let faces = faces(0, 4, &info);
    let calls = {
        let device = Arc::new(HostDriver::new());
        let _enhancer = on_gpu(device.clone(), options()).unwrap();
        device.calls()
    };
    let before = Owned::noise(info, 0, 1);
    let (mut a, mut b) = (before.clone(), before);
    let mut enhancer = on_gpu(Arc::new(HostDriver::failing_at(calls + 1)), options()).unwrap();
    let error = enhancer.enhance_cuda(b.device(), &faces).unwrap_err();
    assert!(matches!(error, facesr::Error::Gpu(_)), "{error}");
    assert!(!enhancer.is_on_gpu());
    assert!(enhancer.take_notice().unwrap().contains("CPU goes on"));
    // In system memory, as the caller is to show it now.
    b.host(|frame| enhancer.enhance(frame, &faces)).unwrap();
    a.host(|frame| Enhancer::new(ladder(), options()).enhance(frame, &faces)).unwrap();
    assert!(a == b);
    assert_eq!(enhancer.stats().frames, 1);
    // And never again on the device.
    assert!(enhancer.enhance_cuda(b.device(), &faces).is_err());
    assert!(enhancer.take_notice().is_none());
}

#[test]
fn face_that_is_not_finite_is_left_alone_and_the_others_are_not() {
    let shape = Shape::SMALL;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let info = FrameInfo::new(PixelFormat::Rgb, 96, 48);
        let faces = [0u64, 1].map(|i| {
            let rect = Rect::new(10.0 + 50.0 * i as f32, 10.0, 12.0, 12.0);
            Face::new(i + 1, rect, 1.0)
        });
        // The larger id comes first among equals.
        let mut answer = tensor(2 * shape.hr_len(), 1);
        answer[9_999] = bad;
        let foretold = Foretold::new(shape, vec![answer.clone()]);
        let backend = GpuBackend::new(device(), vec![Box::new(foretold)]).unwrap();
        let sources = vec![ModelSource::File(fixture(FILES[0]))];
        let mut enhancer = Enhancer::on(Box::new(backend), sources, ladder(), options());
        let before = Owned::noise(info, 0, 1);
        let mut after = before.clone();
        assert_eq!(after.host(|frame| enhancer.enhance(frame, &faces)).unwrap(), 1);
        assert!(enhancer.is_on_gpu());
        let notice = enhancer.take_notice().unwrap();
        assert!(notice.contains("1 of 2 faces") && notice.contains("not finite"), "{notice}");
        let changed = |columns: std::ops::Range<usize>| {
            (0..48usize)
                .flat_map(|y| columns.clone().map(move |x| (y * 96 + x) * 3))
                .any(|at| before.planes[0][at..at + 3] != after.planes[0][at..at + 3])
        };
        assert_ne!(changed(0..40), changed(50..96));
        // If no face is finite, that is an error, and the device goes on all the same.
        answer[shape.hr_len() + 5] = bad;
        let foretold = Foretold::new(shape, vec![answer]);
        let backend = GpuBackend::new(device(), vec![Box::new(foretold)]).unwrap();
        let sources = vec![ModelSource::File(fixture(FILES[0]))];
        let mut enhancer = Enhancer::on(Box::new(backend), sources, ladder(), options());
        let mut after = before.clone();
        let error = after.host(|frame| enhancer.enhance(frame, &faces)).unwrap_err();
        assert!(error.to_string().contains("not finite"), "{error}");
        assert!(after == before && enhancer.is_on_gpu());
    }
}

#[test]
fn enhancer_leaves_only_the_face_untouched_whose_result_is_not_finite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("infinite.onnx");
    std::fs::write(&path, facesr_testkit::onnx::infinite_where_bright()).unwrap();
    let ladder = Ladder::open(&[ModelSource::File(path)], 1).unwrap();
    let mut enhancer = Enhancer::new(ladder, options());
    let info = FrameInfo::new(PixelFormat::Gray8, 96, 48);
    let face = |id, x| Face::new(id, Rect::new(x, 12.0, 20.0, 20.0), 1.0);
    let faces = [face(1, 10.0), face(2, 60.0)];
    let mut before = Owned::noise(info, 0, 1);
    for row in before.planes[0].chunks_exact_mut(96) {
        row[..48].iter_mut().for_each(|v| *v /= 2);
        row[48..].fill(255);
    }
    for round in 1..3 {
        let mut frame = before.clone();
        assert_eq!(frame.host(|frame| enhancer.enhance(frame, &faces)).unwrap(), 1);
        let changed = |columns: std::ops::Range<usize>| {
            let rows = before.planes[0].chunks_exact(96).zip(frame.planes[0].chunks_exact(96));
            rows.filter(|(a, b)| a[columns.clone()] != b[columns.clone()]).count()
        };
        assert!(changed(0..48) > 10 && changed(48..96) == 0, "round {round}");
        // It is said once.
        let notice = enhancer.take_notice();
        assert_eq!(notice.is_some(), round == 1, "{notice:?}");
        assert!(notice.is_none_or(|n| n.contains("1 of 2 faces") && n.contains("not finite")));
        assert_eq!(enhancer.stats().faces_not_finite, round);
    }
}
