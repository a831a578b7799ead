//! The GPU as a backend: one stream on which a frame's faces are cropped, generated, steadied and
//! blended, and in whose memory they stay.
//!
//! Only the crops come back to the enhancer in between, 3 or 12 KiB a face, since it decides by them. Of a
//! frame in system memory only the [patches](super::patches) around faces are copied; a frame in
//! device memory is worked on in place. Buffers grow to what a stream needs and then stay.

mod batches;
mod crop;
mod render;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use super::driver::{Buffer, Driver, Staging};
use super::generator::RunFaces;
use super::kernels::{Arguments, DevicePtr, Face, Frame, Grid, Kernel, Layer};
use super::patches::{Layout, Patches};
use super::tables::Tables;
use crate::enhance::backend::{Backend, Crop, Crops, FacePlan, MAX_RUNGS, RenderTimes};
use crate::error::{Error, GpuError};
use crate::frame::{FrameInfo, Picture};
use crate::shape::Shape;
use crate::util::cpu_time::CpuTimer;

const FLOAT: usize = size_of::<f32>();
/// Numbers of a face on the grid on which colors are compared.
const GRID_LEN: usize = Shape::COMMON_LEN;

/// Works on a GPU. Frames in system memory are copied there and back as far as faces reach.
pub struct GpuBackend {
    // Dropped first: they may still use the memory below.
    generators: Vec<Box<dyn RunFaces>>,
    shapes: Vec<Shape>,
    driver: Arc<dyn Driver>,
    tables: Tables,
    patches_in: Patches,
    patches_out: Patches,
    layers: Vec<Layer>,
    faces: Vec<Face>,
    /// What was cropped last.
    cropped: usize,
    /// Where the list of the patches to be copied out lies in `memory.input`, bytes.
    patches_out_at: usize,
    /// Layout of `frame`, for frames of that kind.
    layout: Option<(FrameInfo, Layout)>,
    /// To the device before cropping: axes, layers, patches, packed pixels; before rendering:
    /// layers, faces, denoised crops and their changes.
    staged_in: Staging,
    staged_faces: Staging,
    /// From the device: crops; packed pixels.
    staged_lr: Staging,
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
    /// The crops; those without their noise, and behind them what has changed in each.
    lr: Buffer,
    denoised: Buffer,
    faces: Buffer,
    /// Of each rung.
    kept: Vec<Buffer>,
    shown: Buffer,
    difference: Buffer,
    smooth: Buffer,
    components: Buffer,
    base: Buffer,
}

impl Memory {
    /// What tells kernels where samples lie: the axes, their taps and the weights of those.
    fn tables(&self) -> [DevicePtr; 3] {
        [self.input.at(), self.taps.at(), self.weights.at()]
    }
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
    /// A backend for one stream of frames; `generators`, by increasing input, work on the driver's
    /// stream.
    ///
    /// # Errors
    /// If the device has no memory left, or if there are more generators than
    /// [rungs](MAX_RUNGS) or none.
    pub fn new(
        driver: Arc<dyn Driver>,
        generators: Vec<Box<dyn RunFaces>>,
    ) -> Result<Self, GpuError> {
        let shapes: Vec<Shape> = generators.iter().map(|generator| generator.shape()).collect();
        let ascending = shapes.windows(2).all(|pair| pair[0] < pair[1]);
        let (Some(smallest), true) = (shapes.first(), ascending && shapes.len() <= MAX_RUNGS)
        else {
            return Err(GpuError::Unusable("it needs one or two generators of rising size".into()));
        };
        // What thirty-two small faces of a frame need; more is allocated when it is needed.
        let faces = 32;
        let (lr_len, hr_len) = (smallest.lr_len(), smallest.hr_len());
        let buffer = |len: usize| Buffer::new(&driver, len);
        let numbers = |count: usize| Buffer::new(&driver, count * FLOAT);
        let staging = |len: usize| Staging::new(&driver, len);
        Ok(Self {
            tables: Tables::default(),
            patches_in: Patches::default(),
            patches_out: Patches::default(),
            layers: Vec::new(),
            faces: Vec::new(),
            cropped: 0,
            patches_out_at: 0,
            layout: None,
            staged_in: staging(1 << 18)?,
            staged_faces: staging(1 << 12)?,
            staged_lr: staging(faces * lr_len * FLOAT)?,
            staged_out: staging(1 << 18)?,
            memory: Memory {
                input: buffer(1 << 18)?,
                frame: buffer(1 << 12)?,
                packed: buffer(1 << 18)?,
                taps: buffer(1 << 16)?,
                weights: buffer(1 << 20)?,
                lr: numbers(faces * lr_len)?,
                denoised: numbers(faces * lr_len)?,
                faces: buffer(1 << 12)?,
                kept: shapes
                    .iter()
                    .map(|shape| numbers(shape.hr_len()))
                    .collect::<Result<_, _>>()?,
                shown: numbers(faces * hr_len)?,
                difference: numbers(faces * GRID_LEN)?,
                smooth: numbers(faces * GRID_LEN)?,
                components: numbers(faces * hr_len)?,
                base: numbers(faces * lr_len)?,
            },
            generators,
            shapes,
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
}

impl Backend for GpuBackend {
    fn name(&self) -> &str {
        self.driver.name()
    }

    fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    fn crop(&mut self, picture: &Picture<'_, '_>, crops: &mut Crops) -> Result<Duration, Error> {
        self.cropped = 0;
        let timer = CpuTimer::start();
        self.crop_faces(picture, crops)?;
        Ok(timer.elapsed())
    }

    fn render(
        &mut self,
        picture: &mut Picture<'_, '_>,
        crops: &Crops,
        plans: &[FacePlan],
    ) -> Result<RenderTimes, Error> {
        let layers: usize = plans.iter().map(|plan| plan.mixture().0).sum();
        assert_eq!((layers, crops.len()), (self.cropped, self.cropped), "a layer for each crop");
        self.render_faces(picture, crops, plans)
    }
}

/// The most threads that a layer needs, by what `len` says of its shape.
fn longest(crops: &[Crop], len: impl Fn(Shape) -> usize) -> usize {
    crops.iter().map(|crop| len(crop.shape)).max().unwrap_or(1)
}
