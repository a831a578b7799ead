//! The GPU as a backend: one stream on which a frame's faces are cut, generated, steadied and
//! blended, and in whose memory they stay.
//!
//! Only the cuts come back to the enhancer in between, 3 KiB a face, since it decides by them. Of a
//! frame in system memory only the [patches](super::patches) around faces are copied; a frame in
//! device memory is worked on in place. Buffers grow to what a stream needs and then stay.

use std::sync::Arc;
use std::time::Duration;

use super::driver::{Buffer, Driver, Staging};
use super::generator::{MOST_FACES, RunFaces};
use super::kernels::{Arguments, DevicePtr, Face, Frame, Grid, Kernel};
use super::patches::{Layout, Patches, What};
use super::tables::Tables;
use crate::enhance::backend::{Backend, FacePlan, RenderTimes};
use crate::enhance::generator::{HR_LEN, HR_SIZE, LR_LEN, LR_SIZE, NOT_FINITE};
use crate::error::{Error, GpuError};
use crate::frame::{FrameInfo, Picture};
use crate::geometry::CropSquare;
use crate::util::cpu_time::CpuTimer;

const FLOAT: usize = size_of::<f32>();
const LR_PLANE: usize = LR_SIZE * LR_SIZE;
const HR_PLANE: usize = HR_SIZE * HR_SIZE;

/// Faces of a frame that can be numbered by the kernels' 32-bit integers with room to spare.
const MOST_OF_A_FRAME: usize = 65_536;

/// Works on a GPU. Frames in system memory are copied there and back as far as faces reach.
pub struct GpuBackend {
    // Dropped first: it may still use the memory below.
    generator: Box<dyn RunFaces>,
    driver: Arc<dyn Driver>,
    tables: Tables,
    patches_in: Patches,
    patches_out: Patches,
    faces: Vec<Face>,
    /// Squares of the last cut.
    cropped: usize,
    /// Layout of `frame`, for frames of that kind.
    layout: Option<(FrameInfo, Layout)>,
    /// To the device before a cut: axes, patches, packed pixels; before painting: faces.
    staged_in: Staging,
    staged_faces: Staging,
    /// From the device: cuts; packed pixels.
    staged_low: Staging,
    staged_out: Staging,
    memory: Memory,
}

/// The device's side.
struct Memory {
    input: Buffer,
    frame: Buffer,
    packed: Buffer,
    taps: Buffer,
    weights: Buffer,
    lr: Buffer,
    faces: Buffer,
    kept: Buffer,
    shown: Buffer,
    difference: Buffer,
    smooth: Buffer,
    components: Buffer,
}

/// Where a part of a buffer begins, and how long it is.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: usize,
    len: usize,
}

impl Part {
    /// The part of `len` bytes behind this one.
    fn then(self, len: usize) -> Self {
        Self { start: (self.start + self.len).next_multiple_of(16), len }
    }

    fn end(self) -> usize {
        self.start + self.len
    }
}

impl GpuBackend {
    /// A backend for one stream of frames; `generator` works on the driver's stream.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn new(driver: Arc<dyn Driver>, generator: Box<dyn RunFaces>) -> Result<Self, GpuError> {
        // What thirty-two faces of a frame need; more is allocated when it is needed.
        let faces = 32;
        let buffer = |len: usize| Buffer::new(&driver, len);
        let numbers = |count: usize| Buffer::new(&driver, count * FLOAT);
        let staging = |len: usize| Staging::new(&driver, len);
        Ok(Self {
            generator,
            tables: Tables::default(),
            patches_in: Patches::default(),
            patches_out: Patches::default(),
            faces: Vec::new(),
            cropped: 0,
            layout: None,
            staged_in: staging(1 << 18)?,
            staged_faces: staging(1 << 12)?,
            staged_low: staging(faces * LR_LEN * FLOAT)?,
            staged_out: staging(1 << 18)?,
            memory: Memory {
                input: buffer(1 << 18)?,
                frame: buffer(1 << 12)?,
                packed: buffer(1 << 18)?,
                taps: buffer(1 << 16)?,
                weights: buffer(1 << 20)?,
                lr: numbers(faces * LR_LEN)?,
                faces: buffer(1 << 12)?,
                kept: numbers(faces * HR_LEN)?,
                shown: numbers(faces * HR_LEN)?,
                difference: numbers(faces * LR_LEN)?,
                smooth: numbers(faces * LR_LEN)?,
                components: numbers(faces * HR_LEN)?,
            },
            driver,
        })
    }

    fn unusable(&self, reason: &str) -> GpuError {
        GpuError::Unusable(format!("{}: {reason}", self.driver.name()))
    }

    /// The kernels' view of `picture`: its own memory, or ours for a frame in system memory.
    fn frame(&mut self, picture: &Picture<'_, '_>) -> Result<Frame, GpuError> {
        match picture {
            Picture::Cuda(frame) => {
                if frame.strides().iter().any(|&stride| i32::try_from(stride).is_err()) {
                    return Err(self.unusable("the frame's rows are too long"));
                }
                Ok(Frame::new(frame.info(), frame.planes(), frame.strides()))
            }
            Picture::Host(frame) => {
                let info = *frame.info();
                let layout = match self.layout {
                    Some((known, layout)) if known == info => layout,
                    _ => Layout::of(&info),
                };
                self.memory.frame.reserve(layout.len)?;
                self.layout = Some((info, layout));
                let planes = layout.offsets.map(|o| self.memory.frame.at() + o as DevicePtr);
                Ok(Frame::new(&info, planes, layout.strides))
            }
        }
    }

    fn launch(&self, kernel: Kernel, grid: Grid, arguments: Arguments<'_>) -> Result<(), GpuError> {
        assert!(arguments.fit(kernel), "arguments of {}", kernel.name());
        // SAFETY: number and sizes of the arguments are right; their order and what they point to
        // are seen to by the callers, each beside the buffers it has reserved.
        unsafe { self.driver.launch(kernel, grid, arguments) }
    }

    fn cut_faces(
        &mut self,
        picture: &Picture<'_, '_>,
        squares: &[CropSquare],
        lr: &mut [f32],
    ) -> Result<(), GpuError> {
        let n = squares.len();
        if n > MOST_OF_A_FRAME {
            return Err(self.unusable("there are too many faces in the frame"));
        }
        let info = *picture.info();
        let frame = self.frame(picture)?;
        self.tables.set(&info, squares);
        let too_large = "the frame or its faces are too large";
        if i32::try_from(self.tables.weights).is_err() || i32::try_from(self.tables.taps).is_err() {
            return Err(self.unusable(too_large));
        }

        let axes = Part { start: 0, len: size_of_val(self.tables.axes.as_slice()) };
        let (mut into, mut out, mut pixels) = (axes.then(0), axes.then(0), axes.then(0));
        if let (Picture::Host(_), Some((_, layout))) = (picture, self.layout) {
            let tables = &self.tables;
            self.patches_in
                .set(&info, &layout, tables, n, What::Cut)
                .and_then(|()| self.patches_out.set(&info, &layout, tables, n, What::Blend))
                .ok_or_else(|| self.unusable(too_large))?;
            into = axes.then(size_of_val(self.patches_in.list.as_slice()));
            out = into.then(size_of_val(self.patches_out.list.as_slice()));
            pixels = out.then(self.patches_in.packed);
        }
        self.staged_in.reserve(pixels.end())?;
        let staged = self.staged_in.bytes_mut();
        staged[axes.start..axes.end()].copy_from_slice(bytemuck::cast_slice(&self.tables.axes));
        if let Picture::Host(frame) = picture {
            staged[into.start..into.end()]
                .copy_from_slice(bytemuck::cast_slice(&self.patches_in.list));
            staged[out.start..out.end()]
                .copy_from_slice(bytemuck::cast_slice(&self.patches_out.list));
            self.patches_in.pack(frame, &mut staged[pixels.start..pixels.end()]);
        }

        let m = &mut self.memory;
        m.input.reserve(pixels.end())?;
        m.taps.reserve(self.tables.taps * 2 * size_of::<i32>())?;
        m.weights.reserve(self.tables.weights * FLOAT)?;
        m.lr.reserve(n * LR_LEN * FLOAT)?;
        self.staged_low.reserve(n * LR_LEN * FLOAT)?;
        let m = &self.memory;
        let input = m.input.at();
        // SAFETY: both buffers hold that much; the staging is not written before `synchronize`.
        unsafe { self.driver.upload(input, self.staged_in.bytes().as_ptr(), pixels.end()) }?;

        if matches!(picture, Picture::Host(_)) && !self.patches_in.list.is_empty() {
            let list = input + into.start as DevicePtr;
            let packed = input + pixels.start as DevicePtr;
            self.move_patches(&self.patches_in, list, packed, 0)?;
        }
        let (axes, taps, weights) = (input, m.taps.at(), m.weights.at());
        let count = self.tables.axes.len() as i32;
        self.launch(
            Kernel::Taps,
            Grid::taps(self.tables.axes.len(), self.tables.most_outputs),
            Arguments::new().with(&axes).with(&count).with(&taps).with(&weights),
        )?;
        let (n_faces, cuts) = (n as i32, m.lr.at());
        self.launch(
            Kernel::Cut,
            Grid::line(n * LR_PLANE),
            Arguments::new()
                .with(&frame)
                .with(&axes)
                .with(&taps)
                .with(&weights)
                .with(&n_faces)
                .with(&cuts),
        )?;
        let len = n * LR_LEN * FLOAT;
        let staged = self.staged_low.bytes_mut().as_mut_ptr();
        // SAFETY: both buffers hold that much; the staging is not touched before `synchronize`.
        unsafe { self.driver.download(staged, cuts, len) }?;
        self.driver.synchronize()?;
        bytemuck::cast_slice_mut(lr).copy_from_slice(&self.staged_low.bytes()[..len]);
        self.cropped = n;
        Ok(())
    }

    fn move_patches(
        &self,
        patches: &Patches,
        list: DevicePtr,
        packed: DevicePtr,
        out: i32,
    ) -> Result<(), GpuError> {
        let (count, frame) = (patches.list.len() as i32, self.memory.frame.at());
        self.launch(
            Kernel::Patches,
            Grid::patches(patches.list.len(), patches.most_rows),
            Arguments::new().with(&list).with(&count).with(&frame).with(&packed).with(&out),
        )
    }

    /// Generates faces as planned, in batches, and gathers in `shown` what each is to look like.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the device fails, [`Error::Inference`] if the generator does on a device
    /// that works.
    fn generate(&mut self, plans: &[FacePlan], bad: DevicePtr) -> Result<(), Error> {
        let mut from = 0;
        for batch in batches(plans) {
            let range = from..batch.end;
            from = batch.end;
            let m = &self.memory;
            let n = range.len() as i32;
            let at = |buffer: &Buffer, size: usize| buffer.at() + (range.start * size) as DevicePtr;
            let faces = at(&m.faces, size_of::<Face>());
            let (lr, shown) = (at(&m.lr, LR_LEN * FLOAT), at(&m.shown, HR_LEN * FLOAT));
            // Where nothing is generated, nothing is read there either.
            let mut hr = shown;
            if batch.generated > 0 {
                let (input, output) = self.generator.buffers(batch.generated);
                self.launch(
                    Kernel::Gather,
                    Grid::line(range.len() * LR_LEN),
                    Arguments::new().with(&faces).with(&n).with(&lr).with(&input),
                )?;
                if let Err(error) = self.generator.run(batch.generated) {
                    self.driver.synchronize()?;
                    return Err(Error::Inference {
                        model: format!("the generator on {}", self.driver.name()),
                        reason: error.to_string(),
                    });
                }
                hr = output;
            }
            let kept = self.memory.kept.at();
            self.launch(
                Kernel::Steady,
                Grid::line(range.len() * HR_LEN),
                Arguments::new()
                    .with(&faces)
                    .with(&n)
                    .with(&hr)
                    .with(&kept)
                    .with(&shown)
                    .with(&bad),
            )?;
        }
        Ok(())
    }

    /// Corrects the shown faces to their cuts and lays them over the frame.
    fn blend(
        &self,
        frame: &Frame,
        info: &FrameInfo,
        n: usize,
        bad: DevicePtr,
    ) -> Result<(), GpuError> {
        let m = &self.memory;
        let (axes, taps, weights) = (m.input.at(), m.taps.at(), m.weights.at());
        let (lr, shown, faces) = (m.lr.at(), m.shown.at(), m.faces.at());
        let (difference, smooth) = (m.difference.at(), m.smooth.at());
        let (components, n_faces) = (m.components.at(), n as i32);
        self.launch(
            Kernel::Difference,
            Grid::line(n * LR_LEN),
            Arguments::new()
                .with(&axes)
                .with(&taps)
                .with(&weights)
                .with(&lr)
                .with(&shown)
                .with(&n_faces)
                .with(&difference),
        )?;
        self.launch(
            Kernel::Smooth,
            Grid::line(n * LR_LEN),
            Arguments::new().with(&difference).with(&n_faces).with(&smooth),
        )?;
        self.launch(
            Kernel::Correct,
            Grid::line(n * HR_PLANE),
            Arguments::new()
                .with(frame)
                .with(&axes)
                .with(&taps)
                .with(&weights)
                .with(&shown)
                .with(&smooth)
                .with(&n_faces)
                .with(&components),
        )?;
        self.launch(
            Kernel::Blend,
            Grid::blend(n, info.format.component_count(), self.tables.most_blended),
            Arguments::new()
                .with(frame)
                .with(&axes)
                .with(&taps)
                .with(&weights)
                .with(&faces)
                .with(&n_faces)
                .with(&components)
                .with(&bad),
        )
    }

    fn paint_faces(
        &mut self,
        picture: &mut Picture<'_, '_>,
        plans: &[FacePlan],
    ) -> Result<RenderTimes, Error> {
        let watch = CpuTimer::start();
        let n = plans.len();
        let info = *picture.info();
        let frame = self.frame(picture)?;
        number(plans, &mut self.faces);
        let places = plans.iter().map(|plan| plan.slot + 1).max().unwrap_or(0);

        // The faces, and behind them the flag that some number was not finite.
        let faces = Part { start: 0, len: size_of_val(self.faces.as_slice()) };
        let flag = faces.then(size_of::<i32>());
        self.staged_faces.reserve(flag.end())?;
        let staged = self.staged_faces.bytes_mut();
        staged[faces.start..faces.end()].copy_from_slice(bytemuck::cast_slice(&self.faces));
        staged[flag.start..flag.end()].copy_from_slice(bytemuck::cast_slice(&[0i32]));
        let m = &mut self.memory;
        m.faces.reserve(flag.end())?;
        m.kept.grow(places * HR_LEN * FLOAT)?;
        m.shown.reserve(n * HR_LEN * FLOAT)?;
        m.difference.reserve(n * LR_LEN * FLOAT)?;
        m.smooth.reserve(n * LR_LEN * FLOAT)?;
        m.components.reserve(n * HR_LEN * FLOAT)?;
        let at = m.faces.at();
        // SAFETY: both buffers hold that much; the staging is not written before `synchronize`.
        unsafe { self.driver.upload(at, self.staged_faces.bytes().as_ptr(), flag.end()) }?;
        let bad = at + flag.start as DevicePtr;

        let generating = CpuTimer::start();
        self.generate(plans, bad)?;
        let generate = generating.elapsed();
        self.blend(&frame, &info, n, bad)?;

        // Pixels first, the flag behind them.
        let pixels = match picture {
            Picture::Host(_) => Part { start: 0, len: self.patches_out.packed },
            Picture::Cuda(_) => Part { start: 0, len: 0 },
        };
        let answer = pixels.then(size_of::<i32>());
        self.staged_out.reserve(answer.end())?;
        let to = self.staged_out.bytes_mut().as_mut_ptr();
        if pixels.len > 0 {
            self.memory.packed.reserve(pixels.len)?;
            let packed = self.memory.packed.at();
            let axes = Part { start: 0, len: size_of_val(self.tables.axes.as_slice()) };
            let into = axes.then(size_of_val(self.patches_in.list.as_slice()));
            let list = self.memory.input.at() + into.then(0).start as DevicePtr;
            self.move_patches(&self.patches_out, list, packed, 1)?;
            // SAFETY: both buffers hold that much; the staging is not touched before
            // `synchronize`.
            unsafe { self.driver.download(to, packed, pixels.len) }?;
        }
        // SAFETY: as above, behind the pixels.
        unsafe { self.driver.download(to.add(answer.start), bad, answer.len) }?;
        self.driver.synchronize()?;

        let flag = &self.staged_out.bytes()[answer.start..answer.end()];
        if flag.iter().any(|byte| *byte != 0) {
            return Err(Error::Inference {
                model: format!("the generator on {}", self.driver.name()),
                reason: NOT_FINITE.into(),
            });
        }
        if let Picture::Host(frame) = picture {
            self.patches_out.unpack(self.staged_out.bytes(), frame);
        }
        let blend = watch.elapsed().saturating_sub(generate);
        Ok(RenderTimes { generate, blend, not_finite: Vec::new() })
    }
}

/// Some faces, of which `generated` are to be generated: no more than one run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    /// One past the last.
    end: usize,
    generated: usize,
}

/// Divides the faces of a frame into batches, in their order.
fn batches(plans: &[FacePlan]) -> impl Iterator<Item = Batch> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut batch = Batch { end: at, generated: 0 };
        while let Some(plan) = plans.get(batch.end) {
            if plan.generate && batch.generated == MOST_FACES {
                break;
            }
            batch.generated += usize::from(plan.generate);
            batch.end += 1;
        }
        let some = batch.end > at;
        at = batch.end;
        some.then_some(batch)
    })
}

/// The faces as the kernels want them, those to be generated numbered within their batch.
fn number(plans: &[FacePlan], faces: &mut Vec<Face>) {
    faces.clear();
    for batch in batches(plans) {
        let mut next = 0;
        for plan in &plans[faces.len()..batch.end] {
            let generated = if plan.generate { next } else { -1 };
            next += i32::from(plan.generate);
            faces.push(Face {
                strength: plan.strength,
                keep: plan.keep,
                place: plan.slot as i32,
                generated,
            });
        }
    }
}

impl Backend for GpuBackend {
    fn name(&self) -> &str {
        self.driver.name()
    }

    fn crop(
        &mut self,
        picture: &Picture<'_, '_>,
        squares: &[CropSquare],
        lr: &mut [f32],
    ) -> Result<Duration, Error> {
        assert_eq!(lr.len(), squares.len() * LR_LEN, "one cut for each square");
        self.cropped = 0;
        let watch = CpuTimer::start();
        self.cut_faces(picture, squares, lr)?;
        Ok(watch.elapsed())
    }

    fn render(
        &mut self,
        picture: &mut Picture<'_, '_>,
        _low: &[f32],
        plans: &[FacePlan],
    ) -> Result<RenderTimes, Error> {
        assert_eq!(plans.len(), self.cropped, "a plan for each face that was cut");
        self.paint_faces(picture, plans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(generate: &[bool]) -> Vec<FacePlan> {
        let square = CropSquare { x: 0.0, y: 0.0, side: 16.0 };
        let plan =
            |(slot, &generate)| FacePlan { square, strength: 1.0, slot, generate, keep: 0.0 };
        generate.iter().enumerate().map(plan).collect()
    }

    #[test]
    fn batches_hold_what_one_run_takes_and_leave_nobody_out() {
        assert_eq!(batches(&plans(&[])).count(), 0);
        let mixed: Vec<bool> = (0..400).map(|i| i % 3 != 0).collect();
        let plans = plans(&mixed);
        let list: Vec<Batch> = batches(&plans).collect();
        assert_eq!(list.last().unwrap().end, 400);
        assert!(list.iter().all(|b| b.generated <= MOST_FACES));
        assert_eq!(list.iter().map(|b| b.generated).sum::<usize>(), 266);
        assert_eq!(list[0].generated, MOST_FACES);

        let mut faces = Vec::new();
        number(&plans, &mut faces);
        let mut start = 0;
        for batch in list {
            let numbers: Vec<i32> =
                faces[start..batch.end].iter().map(|f| f.generated).filter(|&g| g >= 0).collect();
            assert_eq!(numbers, (0..batch.generated as i32).collect::<Vec<_>>());
            start = batch.end;
        }
    }
}
