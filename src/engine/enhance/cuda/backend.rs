//! The GPU as a backend: one stream on which a frame's faces are cropped, generated, steadied and
//! blended, and in whose memory they stay.
//!
//! Only the crops come back to the enhancer in between, 3 or 12 KiB a face, since it decides by them. Of a
//! frame in system memory only the [patches](super::patches) around faces are copied; a frame in
//! device memory is worked on in place. Buffers grow to what a stream needs and then stay.

use std::sync::Arc;
use std::time::Duration;

use super::driver::{Buffer, Driver, Staging};
use super::generator::{MAX_FACES, RunFaces};
use super::kernels::{Arguments, DevicePtr, Face, Frame, Grid, Kernel, Layer};
use super::patches::{Layout, Patches, What};
use super::tables::Tables;
use crate::enhance::backend::{Backend, Crop, Crops, FacePlan, MAX_LAYERS, MAX_RUNGS, RenderTimes};
use crate::enhance::ladder::Ladder;
use crate::error::{Error, GpuError, ModelError};
use crate::frame::{FrameInfo, Picture};
use crate::shape::Shape;
use crate::util::cpu_time::CpuTimer;

const FLOAT: usize = size_of::<f32>();
/// Numbers of a face on the grid on which colors are compared.
const GRID_LEN: usize = 3 * Shape::COMMON * Shape::COMMON;

/// How far a number may be from the CPU's, of a range of 2, before a generator counts as broken:
/// half precision stays within a twentieth of that.
const MAX_DIFFERENCE: f32 = 0.2;

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
    /// layers and faces.
    staged_in: Staging,
    staged_faces: Staging,
    /// From the device: crops; packed pixels.
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
    low: Buffer,
    faces: Buffer,
    /// Of each rung.
    kept: Vec<Buffer>,
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
            staged_low: staging(faces * lr_len * FLOAT)?,
            staged_out: staging(1 << 18)?,
            memory: Memory {
                input: buffer(1 << 18)?,
                frame: buffer(1 << 12)?,
                packed: buffer(1 << 18)?,
                taps: buffer(1 << 16)?,
                weights: buffer(1 << 20)?,
                low: numbers(faces * lr_len)?,
                faces: buffer(1 << 12)?,
                kept: shapes
                    .iter()
                    .map(|shape| numbers(shape.hr_len()))
                    .collect::<Result<_, _>>()?,
                shown: numbers(faces * hr_len)?,
                difference: numbers(faces * GRID_LEN)?,
                smooth: numbers(faces * GRID_LEN)?,
                components: numbers(faces * hr_len)?,
            },
            generators,
            shapes,
            driver,
        })
    }

    /// Holds each generator against the one of `on_cpu`, with two inputs: a binding that ONNX
    /// Runtime has copied once and for all returns the same for both.
    ///
    /// # Errors
    /// If the device fails, or [`ModelError::Device`] if a generator returns something else than
    /// on the CPU.
    pub fn verify(&mut self, on_cpu: &Ladder) -> Result<(), super::OpenError> {
        for (rung, shape) in self.shapes.clone().into_iter().enumerate() {
            let generator = on_cpu.generators().get(rung).filter(|g| g.shape() == shape);
            for round in 0..2 {
                let value = |i: usize| ((i * (7 + 4 * round)) % 251) as f32 / 125.0 - 1.0;
                let lr: Vec<f32> = (0..shape.lr_len()).map(value).collect();
                let mut got = vec![0f32; shape.hr_len()];
                self.run_once(rung, &lr, &mut got)?;
                let Some(generator) = generator else { continue };
                let mut wanted = vec![0f32; shape.hr_len()];
                let ran = generator.run(&lr, &mut wanted);
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= MAX_DIFFERENCE;
                if ran.is_err() || !got.iter().zip(&wanted).all(close) {
                    let other =
                        format!("it returns something else there than on the CPU ({shape})");
                    return Err(ModelError::on_device(generator.source(), "cuda", other).into());
                }
            }
        }
        Ok(())
    }

    fn run_once(&mut self, rung: usize, lr: &[f32], hr: &mut [f32]) -> Result<(), GpuError> {
        let (input, output) = self.generators[rung].buffers(1)?;
        let (to, from) = (size_of_val(lr), size_of_val(hr));
        self.staged_in.reserve(to)?;
        self.staged_out.reserve(from)?;
        self.staged_in.bytes_mut()[..to].copy_from_slice(bytemuck::cast_slice(lr));
        // SAFETY: the binding holds one face, the staging as many bytes; it is not touched before
        // `synchronize`.
        unsafe { self.driver.upload(input, self.staged_in.bytes().as_ptr(), to) }?;
        self.generators[rung].run(1)?;
        let staged = self.staged_out.bytes_mut().as_mut_ptr();
        // SAFETY: as above.
        unsafe { self.driver.download(staged, output, from) }?;
        self.driver.synchronize()?;
        bytemuck::cast_slice_mut(hr).copy_from_slice(&self.staged_out.bytes()[..from]);
        Ok(())
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

    /// The layers of `crops` as far as they are known before anything is generated, and the longest
    /// input and output.
    fn set_layers(&mut self, crops: &[Crop]) {
        self.layers.clear();
        let (mut lr_at, mut hr_at) = (0, 0);
        for (i, crop) in crops.iter().enumerate() {
            self.layers.push(Layer {
                kept: 0,
                lr_at,
                hr_at,
                lr: crop.shape.lr() as i32,
                hr: crop.shape.hr() as i32,
                axes: self.tables.of_layer(i) as i32,
                shape: Tables::of_shape(crop.rung) as i32,
                generated: -1,
                keep: 0.0,
                share: 1.0,
                detail: 0.0,
            });
            lr_at += crop.shape.lr_len() as i64;
            hr_at += crop.shape.hr_len() as i64;
        }
    }

    fn crop_faces(&mut self, picture: &Picture<'_, '_>, crops: &mut Crops) -> Result<(), GpuError> {
        let n = crops.len();
        if n > MAX_LAYERS {
            return Err(self.unusable("there are too many faces in the frame"));
        }
        let info = *picture.info();
        let frame = self.frame(picture)?;
        self.tables.set(&info, &self.shapes, crops.list());
        self.set_layers(crops.list());
        let too_large = "the frame or its faces are too large";
        if i32::try_from(self.tables.weights).is_err() || i32::try_from(self.tables.taps).is_err() {
            return Err(self.unusable(too_large));
        }

        let axes = Part { start: 0, len: size_of_val(self.tables.axes.as_slice()) };
        let layers = axes.then(size_of_val(self.layers.as_slice()));
        let (mut into, mut out, mut pixels) = (layers.then(0), layers.then(0), layers.then(0));
        if let (Picture::Host(_), Some((_, layout))) = (picture, self.layout) {
            let tables = &self.tables;
            self.patches_in
                .set(&info, &layout, tables, n, What::Crop)
                .and_then(|()| self.patches_out.set(&info, &layout, tables, n, What::Blend))
                .ok_or_else(|| self.unusable(too_large))?;
            into = layers.then(size_of_val(self.patches_in.list.as_slice()));
            out = into.then(size_of_val(self.patches_out.list.as_slice()));
            pixels = out.then(self.patches_in.packed);
        }
        self.patches_out_at = out.start;
        self.staged_in.reserve(pixels.end())?;
        let staged = self.staged_in.bytes_mut();
        staged[axes.start..axes.end()].copy_from_slice(bytemuck::cast_slice(&self.tables.axes));
        staged[layers.start..layers.end()].copy_from_slice(bytemuck::cast_slice(&self.layers));
        if let Picture::Host(frame) = picture {
            staged[into.start..into.end()]
                .copy_from_slice(bytemuck::cast_slice(&self.patches_in.list));
            staged[out.start..out.end()]
                .copy_from_slice(bytemuck::cast_slice(&self.patches_out.list));
            self.patches_in.pack(frame, &mut staged[pixels.start..pixels.end()]);
        }

        let len = size_of_val(crops.values());
        let m = &mut self.memory;
        m.input.reserve(pixels.end())?;
        m.taps.reserve(self.tables.taps * 2 * size_of::<i32>())?;
        m.weights.reserve(self.tables.weights * FLOAT)?;
        m.low.reserve(len)?;
        self.staged_low.reserve(len)?;
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
        let (n_layers, low) = (n as i32, m.low.at());
        let layers = input + layers.start as DevicePtr;
        self.launch(
            Kernel::Crop,
            Grid::layers(n, longest(crops.list(), |shape| shape.lr_plane())),
            Arguments::new()
                .with(&frame)
                .with(&axes)
                .with(&taps)
                .with(&weights)
                .with(&layers)
                .with(&n_layers)
                .with(&low),
        )?;
        let staged = self.staged_low.bytes_mut().as_mut_ptr();
        // SAFETY: both buffers hold that much; the staging is not touched before `synchronize`.
        unsafe { self.driver.download(staged, low, len) }?;
        self.driver.synchronize()?;
        bytemuck::cast_slice_mut(crops.values_mut())
            .copy_from_slice(&self.staged_low.bytes()[..len]);
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

    /// Generates faces as planned, in batches of each rung, and gathers in `shown` what each is to
    /// look like. Returns the CPU time of each rung.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the device fails, [`Error::Inference`] if the generator does on a device
    /// that works.
    fn generate(&mut self, at: DevicePtr, bad: DevicePtr) -> Result<[Duration; MAX_RUNGS], Error> {
        let mut times = [Duration::ZERO; MAX_RUNGS];
        for (rung, time) in times.iter_mut().enumerate().take(self.shapes.len()) {
            let watch = CpuTimer::start();
            let shape = self.shapes[rung];
            let (lr, hr) = (shape.lr() as i32, shape.hr() as i32);
            let mut from = 0;
            for batch in batches(&self.layers, lr) {
                let range = from..batch.end;
                from = batch.end;
                let n = range.len() as i32;
                let layers = at + (range.start * size_of::<Layer>()) as DevicePtr;
                let bad = bad + (range.start * size_of::<i32>()) as DevicePtr;
                let (low, shown) = (self.memory.low.at(), self.memory.shown.at());
                // Where nothing is generated, nothing is read there either.
                let mut high = shown;
                if batch.generated > 0 {
                    let (input, output) = self.generators[rung].buffers(batch.generated)?;
                    self.launch(
                        Kernel::Gather,
                        Grid::layers(range.len(), shape.lr_len()),
                        Arguments::new().with(&layers).with(&n).with(&lr).with(&low).with(&input),
                    )?;
                    if let Err(error) = self.generators[rung].run(batch.generated) {
                        self.driver.synchronize()?;
                        let model = format!("the generator on {}", self.driver.name());
                        return Err(Error::inference(model, error));
                    }
                    high = output;
                }
                let kept = self.memory.kept[rung].at();
                self.launch(
                    Kernel::Steady,
                    Grid::layers(range.len(), shape.hr_len()),
                    Arguments::new()
                        .with(&layers)
                        .with(&n)
                        .with(&hr)
                        .with(&high)
                        .with(&kept)
                        .with(&shown)
                        .with(&bad),
                )?;
            }
            *time = watch.elapsed();
        }
        Ok(times)
    }

    /// Corrects the shown faces to their crops and blends them into the frame.
    fn blend(
        &self,
        frame: &Frame,
        info: &FrameInfo,
        crops: &[Crop],
        (layers, faces, bad): (DevicePtr, DevicePtr, DevicePtr),
    ) -> Result<(), GpuError> {
        let m = &self.memory;
        let (axes, taps, weights) = (m.input.at(), m.taps.at(), m.weights.at());
        let (low, shown) = (m.low.at(), m.shown.at());
        let (difference, smooth) = (m.difference.at(), m.smooth.at());
        let (components, n) = (m.components.at(), crops.len());
        let (n_layers, n_faces) = (n as i32, self.faces.len() as i32);
        self.launch(
            Kernel::Difference,
            Grid::layers(n, GRID_LEN),
            Arguments::new()
                .with(&axes)
                .with(&taps)
                .with(&weights)
                .with(&layers)
                .with(&low)
                .with(&shown)
                .with(&n_layers)
                .with(&difference),
        )?;
        self.launch(
            Kernel::Smooth,
            Grid::line(n * GRID_LEN),
            Arguments::new().with(&difference).with(&n_layers).with(&smooth),
        )?;
        self.launch(
            Kernel::Correct,
            Grid::layers(n, longest(crops, |shape| shape.hr_plane())),
            Arguments::new()
                .with(frame)
                .with(&axes)
                .with(&taps)
                .with(&weights)
                .with(&layers)
                .with(&low)
                .with(&shown)
                .with(&smooth)
                .with(&n_layers)
                .with(&components),
        )?;
        let count = info.format.component_count();
        self.launch(
            Kernel::Blend,
            Grid::blend(self.faces.len(), count, self.tables.most_blended),
            Arguments::new()
                .with(frame)
                .with(&axes)
                .with(&taps)
                .with(&weights)
                .with(&faces)
                .with(&n_faces)
                .with(&layers)
                .with(&components)
                .with(&bad),
        )
    }

    /// Fills `faces`, and what the plans say into `layers`.
    fn set_plans(&mut self, plans: &[FacePlan]) {
        self.faces.clear();
        let mut at = 0;
        for plan in plans {
            let (layers, mix) = plan.mixture();
            self.faces.push(Face {
                strength: plan.strength,
                mix,
                layer: at as i32,
                layers: layers as i32,
            });
            for layer in plan.layers() {
                let own = &mut self.layers[at];
                own.kept = (layer.slot * self.shapes[layer.rung].hr_len()) as i64;
                own.generated = if layer.generate { 0 } else { -1 };
                (own.keep, own.share) = (layer.keep, layer.weights.generated);
                own.detail = layer.weights.detail;
                at += 1;
            }
        }
        for shape in &self.shapes {
            number(&mut self.layers, shape.lr() as i32);
        }
    }

    fn render_faces(
        &mut self,
        picture: &mut Picture<'_, '_>,
        crops: &Crops,
        plans: &[FacePlan],
    ) -> Result<RenderTimes, Error> {
        let watch = CpuTimer::start();
        let n = crops.len();
        let info = *picture.info();
        let frame = self.frame(picture)?;
        self.set_plans(plans);
        let hr_numbers: usize = crops.list().iter().map(|crop| crop.shape.hr_len()).sum();

        // The layers, behind them the faces, and behind them a flag for each layer: that some
        // number of it is not finite.
        let layers = Part { start: 0, len: size_of_val(self.layers.as_slice()) };
        let faces = layers.then(size_of_val(self.faces.as_slice()));
        let flags = faces.then(n * size_of::<i32>());
        self.staged_faces.reserve(flags.end())?;
        let staged = self.staged_faces.bytes_mut();
        staged[layers.start..layers.end()].copy_from_slice(bytemuck::cast_slice(&self.layers));
        staged[faces.start..faces.end()].copy_from_slice(bytemuck::cast_slice(&self.faces));
        staged[flags.start..flags.end()].fill(0);
        let m = &mut self.memory;
        m.faces.reserve(flags.end())?;
        for layer in plans.iter().flat_map(FacePlan::layers) {
            let len = (layer.slot + 1) * self.shapes[layer.rung].hr_len();
            m.kept[layer.rung].grow(len * FLOAT)?;
        }
        m.shown.reserve(hr_numbers * FLOAT)?;
        m.difference.reserve(n * GRID_LEN * FLOAT)?;
        m.smooth.reserve(n * GRID_LEN * FLOAT)?;
        m.components.reserve(hr_numbers * FLOAT)?;
        let at = m.faces.at();
        // SAFETY: both buffers hold that much; the staging is not written before `synchronize`.
        unsafe { self.driver.upload(at, self.staged_faces.bytes().as_ptr(), flags.end()) }?;
        let bad = at + flags.start as DevicePtr;

        let generate = self.generate(at, bad)?;
        let lists = (at, at + faces.start as DevicePtr, bad);
        self.blend(&frame, &info, crops.list(), lists)?;

        // Pixels first, the flags behind them.
        let pixels = match picture {
            Picture::Host(_) => Part { start: 0, len: self.patches_out.packed },
            Picture::Cuda(_) => Part { start: 0, len: 0 },
        };
        let answer = pixels.then(flags.len);
        self.staged_out.reserve(answer.end())?;
        let to = self.staged_out.bytes_mut().as_mut_ptr();
        if pixels.len > 0 {
            self.memory.packed.reserve(pixels.len)?;
            let packed = self.memory.packed.at();
            let list = self.memory.input.at() + self.patches_out_at as DevicePtr;
            self.move_patches(&self.patches_out, list, packed, 1)?;
            // SAFETY: both buffers hold that much; the staging is not touched before
            // `synchronize`.
            unsafe { self.driver.download(to, packed, pixels.len) }?;
        }
        // SAFETY: as above, behind the pixels.
        unsafe { self.driver.download(to.add(answer.start), bad, answer.len) }?;
        self.driver.synchronize()?;

        let flags = &self.staged_out.bytes()[answer.start..answer.end()];
        let not_finite = self.faces.iter().enumerate().filter_map(|(i, face)| {
            let own = face.layer as usize..(face.layer + face.layers) as usize;
            let own = own.start * size_of::<i32>()..own.end * size_of::<i32>();
            flags[own].iter().any(|byte| *byte != 0).then_some(i)
        });
        let not_finite = not_finite.collect();
        if let Picture::Host(frame) = picture {
            self.patches_out.unpack(self.staged_out.bytes(), frame);
        }
        let generating: Duration = generate.iter().sum();
        let blend = watch.elapsed().saturating_sub(generating);
        Ok(RenderTimes { generate, blend, not_finite })
    }
}

/// The most threads that a layer needs, by what `len` says of its shape.
fn longest(crops: &[Crop], len: impl Fn(Shape) -> usize) -> usize {
    crops.iter().map(|crop| len(crop.shape)).max().unwrap_or(1)
}

/// Some layers, of which `generated` are to be generated: no more than one run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    /// One past the last.
    end: usize,
    generated: usize,
}

/// Divides the layers of a frame into batches for the generator with inputs of side `lr`, in their
/// order; those of other sides lie among them.
fn batches(layers: &[Layer], lr: i32) -> impl Iterator<Item = Batch> + use<> {
    let wanted = |layer: &Layer| layer.lr == lr && layer.generated >= 0;
    let mut list = Vec::new();
    let mut batch = Batch { end: 0, generated: 0 };
    for layer in layers {
        if wanted(layer) && batch.generated == MAX_FACES {
            list.push(batch);
            batch.generated = 0;
        }
        batch.generated += usize::from(wanted(layer));
        batch.end += 1;
    }
    if layers.iter().any(|layer| layer.lr == lr) {
        list.push(batch);
    }
    list.into_iter()
}

/// Numbers the layers of side `lr` that are to be generated within their batch.
fn number(layers: &mut [Layer], lr: i32) {
    let mut from = 0;
    for batch in batches(layers, lr) {
        let own = layers[from..batch.end].iter_mut();
        let wanted = own.filter(|layer| layer.lr == lr && layer.generated >= 0);
        wanted.zip(0..).for_each(|(layer, next)| layer.generated = next);
        from = batch.end;
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
        let watch = CpuTimer::start();
        self.crop_faces(picture, crops)?;
        Ok(watch.elapsed())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer for each of `sides`, negative where nothing is generated.
    fn layers(sides: &[i32]) -> Vec<Layer> {
        let layer = |side: &i32| Layer {
            lr: side.abs(),
            generated: if *side > 0 { 0 } else { -1 },
            ..Layer::default()
        };
        sides.iter().map(layer).collect()
    }

    #[test]
    fn batches_hold_what_one_run_takes_and_leave_nobody_out() {
        assert_eq!(batches(&[], 16).count(), 0);
        let sides: Vec<i32> = (0..600)
            .map(|i| {
                if i % 3 == 0 {
                    -16
                } else if i % 4 == 1 {
                    32
                } else {
                    16
                }
            })
            .collect();
        let mut layers = layers(&sides);
        for lr in [16, 32] {
            let count = sides.iter().filter(|&&side| side == lr).count();
            let list: Vec<Batch> = batches(&layers, lr).collect();
            assert_eq!(list.last().unwrap().end, 600);
            assert!(list.iter().all(|b| b.generated <= MAX_FACES));
            assert_eq!(list.iter().map(|b| b.generated).sum::<usize>(), count);
            number(&mut layers, lr);
            let mut start = 0;
            for batch in batches(&layers, lr) {
                let numbers: Vec<i32> = layers[start..batch.end]
                    .iter()
                    .filter(|layer| layer.lr == lr && layer.generated >= 0)
                    .map(|layer| layer.generated)
                    .collect();
                assert_eq!(numbers, (0..batch.generated as i32).collect::<Vec<_>>());
                start = batch.end;
            }
        }
        assert_eq!(batches(&layers, 48).count(), 0);
    }
}
