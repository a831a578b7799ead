//! Microseconds for crop, blend and the generator, by the card's own clock.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use facesr::frame::Picture;
use facesr::inference::ModelSource;
use facesr::internals::backend::{Backend, BlendWeights, Crops, FaceLayer, FacePlan};
use facesr::internals::cuda::{
    Arguments, BATCHES, BoundGenerator, Cuda, DevicePtr, Driver, GpuBackend, GpuError, Grid,
    Kernel, MAX_FACES, Mark, RunFaces,
};
use facesr::{CropSquare, FrameInfo, PixelFormat, Shape};

use crate::card::{COPY, matrix, seconds};
use crate::check::Foretold;
use crate::frames::{CardFrame, Noise, Owned};
use crate::results::{figure, work};
use crate::{Result, is_rehearsal};

/// Side of the faces' squares, pixels.
pub(crate) const SIDE: f32 = 40.0;

/// Multiplications and additions of the generator for one face.
const OPERATIONS: f64 = 2.0 * 236e6;

/// Bytes of the samples of one square of an NV12 frame.
const SQUARE_BYTES: f64 = 1.5 * (SIDE * SIDE) as f64;
/// Bytes of one crop, and of one generated face.
const LOW_BYTES: f64 = (Shape::SMALL.lr_len() * size_of::<f32>()) as f64;
const HIGH_BYTES: f64 = (Shape::SMALL.hr_len() * size_of::<f32>()) as f64;

/// Squares of `count` faces that do not overlap, at 1080p.
pub(crate) fn squares(count: usize) -> Vec<CropSquare> {
    (0..count)
        .map(|i| {
            let (x, y) = (30.3 + 116.0 * (i % 16) as f32, 40.6 + 125.0 * (i / 16) as f32);
            CropSquare { x, y, side: SIDE }
        })
        .collect()
}

/// What work of a frame no card can do without: reading the squares and writing the crops; reading the
/// generated faces, crops and squares, and writing the squares.
pub(crate) fn canvas_work(row: &str, faces: usize, crop: bool, blend: bool) {
    let bytes = f64::from(u8::from(crop)) * (SQUARE_BYTES + LOW_BYTES)
        + f64::from(u8::from(blend)) * (HIGH_BYTES + LOW_BYTES + 2.0 * SQUARE_BYTES);
    work(row, faces, COPY, faces as f64 * bytes);
}

pub(crate) fn generator_work(row: &str, faces: usize, name: &str) {
    work(row, faces, &matrix(name), faces as f64 * OPERATIONS);
}

/// How a stage is timed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// From before its first kernel until after its last one, as it runs in a frame: where the card
    /// has nothing to do until the CPU has launched the next kernel, that counts.
    InFrame,
    /// Each kernel many times in a row, so that launching is no matter.
    Repeated,
}

/// Times a kernel is repeated.
const REPEATS: u32 = 20;

/// Hands everything on to the card, and takes the time of stages. One frame is under way at a time.
struct Timed {
    cuda: Arc<Cuda>,
    way: Way,
    spans: Mutex<Spans>,
}

#[derive(Default)]
struct Spans {
    /// Where the stage under way began.
    began: Option<Mark>,
    /// Stage, beginning, end, and how often that was done in between.
    done: Vec<(usize, Mark, Mark, u32)>,
}

/// Which stage a kernel belongs to (0 crop, 1 blend), and whether it begins or ends it.
fn stage(kernel: Kernel) -> Option<(usize, bool, bool)> {
    Some(match kernel {
        Kernel::Taps => (0, true, false),
        Kernel::Crop => (0, false, true),
        Kernel::Steady => (1, true, false),
        Kernel::Difference | Kernel::Smooth | Kernel::Excess | Kernel::Convert | Kernel::Base => {
            (1, false, false)
        }
        Kernel::Blend => (1, false, true),
        _ => return None,
    })
}

impl Timed {
    /// Seconds of crop and blend since it was asked last.
    fn take(&self) -> std::result::Result<[f64; 2], GpuError> {
        let spans = std::mem::take(&mut *self.lock());
        let mut seconds = [0.0; 2];
        for (stage, began, ended, times) in spans.done {
            seconds[stage] += self.cuda.between(&began, &ended)?.as_secs_f64() / f64::from(times);
        }
        Ok(seconds)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(|e| e.into_inner())
    }
}

// SAFETY: every call goes to a driver that keeps the promise.
unsafe impl Driver for Timed {
    fn name(&self) -> &str {
        self.cuda.name()
    }

    fn allocate(&self, len: usize) -> std::result::Result<DevicePtr, GpuError> {
        self.cuda.allocate(len)
    }

    unsafe fn free(&self, at: DevicePtr) {
        // SAFETY: as the caller promises.
        unsafe { self.cuda.free(at) }
    }

    fn allocate_host(&self, len: usize) -> std::result::Result<NonNull<u8>, GpuError> {
        self.cuda.allocate_host(len)
    }

    unsafe fn free_host(&self, at: NonNull<u8>, len: usize) {
        // SAFETY: as the caller promises.
        unsafe { self.cuda.free_host(at, len) }
    }

    unsafe fn upload(
        &self,
        to: DevicePtr,
        from: *const u8,
        len: usize,
    ) -> std::result::Result<(), GpuError> {
        // SAFETY: as the caller promises.
        unsafe { self.cuda.upload(to, from, len) }
    }

    unsafe fn download(
        &self,
        to: *mut u8,
        from: DevicePtr,
        len: usize,
    ) -> std::result::Result<(), GpuError> {
        // SAFETY: as the caller promises.
        unsafe { self.cuda.download(to, from, len) }
    }

    unsafe fn copy(
        &self,
        to: DevicePtr,
        from: DevicePtr,
        len: usize,
    ) -> std::result::Result<(), GpuError> {
        // SAFETY: as the caller promises.
        unsafe { self.cuda.copy(to, from, len) }
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments<'_>,
    ) -> std::result::Result<(), GpuError> {
        let Some((stage, begins, ends)) = stage(kernel) else {
            // SAFETY: as the caller promises.
            return unsafe { self.cuda.launch(kernel, grid, arguments) };
        };
        let mut spans = self.lock();
        if begins || self.way == Way::Repeated {
            spans.began = Some(self.cuda.mark()?);
        }
        let times = match self.way {
            Way::InFrame => 1,
            Way::Repeated if is_rehearsal(&self.cuda) => 2,
            Way::Repeated => REPEATS,
        };
        for _ in 0..times {
            // SAFETY: as the caller promises; what comes out of a repetition is not looked at.
            unsafe { self.cuda.launch(kernel, grid, arguments.clone()) }?;
        }
        if (ends || self.way == Way::Repeated)
            && let Some(began) = spans.began.take()
        {
            let ended = self.cuda.mark()?;
            spans.done.push((stage, began, ended, times));
        }
        Ok(())
    }

    fn synchronize(&self) -> std::result::Result<(), GpuError> {
        self.cuda.synchronize()
    }
}

/// Crop and blend, both ways, of frames in the card's memory.
pub(crate) fn run(cuda: Arc<Cuda>) -> Result<()> {
    let rounds = if is_rehearsal(&cuda) { 1 } else { 60 };
    for faces in BATCHES {
        for way in [Way::InFrame, Way::Repeated] {
            let [crop, blend] = both(&cuda, way, faces, rounds)?;
            let note = if way == Way::InFrame { "" } else { ", kernels alone" };
            for (name, seconds) in [("crop", crop), ("blend", blend)] {
                let row = format!("{name}{note}, µs");
                figure(&row, faces, seconds * 1e6);
                canvas_work(&row, faces, name == "crop", name == "blend");
            }
        }
    }
    Ok(())
}

/// Median seconds of crop and blend.
fn both(cuda: &Arc<Cuda>, way: Way, faces: usize, rounds: usize) -> Result<[f64; 2]> {
    let info = FrameInfo::new(PixelFormat::Nv12, 1920, 1080);
    let mut noise = Noise::new(faces as u32);
    let mut frame = CardFrame::upload(cuda, &Owned::noise(info, 0, &mut noise))?;
    let timed = Arc::new(Timed { cuda: cuda.clone(), way, spans: Mutex::default() });
    let shape = Shape::SMALL;
    let generator = Foretold::new(cuda, shape, noise.tensor(MAX_FACES * shape.hr_len()))?;
    let mut backend = GpuBackend::new(timed.clone(), vec![Box::new(generator)])?;
    let squares = squares(faces);
    let weights = BlendWeights::default();
    let plan = |(slot, &square)| {
        let layer = FaceLayer { rung: 0, slot, generate: true, keep: 0.3, weights };
        FacePlan { square, strength: 1.0, layer, next: None }
    };
    let plans: Vec<FacePlan> = squares.iter().enumerate().map(plan).collect();
    let mut crops = Crops::default();
    squares.iter().for_each(|square| crops.push(*square, 0, shape));
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds + rounds.div_ceil(5) {
        let mut picture = Picture::Cuda(frame.view()?);
        backend.crop(&picture, &mut crops)?;
        backend.render(&mut picture, &crops, &plans)?;
        let taken = timed.take()?;
        if round >= rounds.div_ceil(5) {
            times.iter_mut().zip(taken).for_each(|(list, seconds)| list.push(seconds));
        }
    }
    Ok(times.map(|mut list| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    }))
}

/// The generator by itself.
pub(crate) fn batches(cuda: &Arc<Cuda>, name: &str, source: &ModelSource) -> Result<()> {
    // SAFETY: the place is the device's own, and the device outlives the generator.
    let mut generator = unsafe { BoundGenerator::open(source, cuda.place()) }?;
    for faces in BATCHES {
        if is_rehearsal(cuda) && faces > 8 {
            break;
        }
        let rounds = if is_rehearsal(cuda) { 2 } else { 100 };
        let seconds = seconds(cuda, rounds, || generator.run(faces))?;
        let row = format!("generator {name}, µs");
        figure(&row, faces, seconds * 1e6);
        generator_work(&row, faces, name);
    }
    Ok(())
}
