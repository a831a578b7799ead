//! Rendering: faces are generated, mixed with what is kept, and blended into the frame.

use std::time::Duration;

use super::batches::{batches, number};
use super::{FLOAT, GRID_LEN, GpuBackend, Part, longest};
use crate::enhance::backend::{Crop, Crops, FacePlan, MAX_RUNGS, RenderTimes};
use crate::enhance::cuda::kernels::{Arguments, DevicePtr, Face, Frame, Grid, Kernel, Layer};
use crate::error::{Error, GpuError};
use crate::frame::{FrameInfo, Picture};
use crate::util::cpu_time::CpuTimer;

impl GpuBackend {
    /// Generates faces as planned, in batches of each rung, and gathers in `shown` what each is to
    /// look like. Returns the CPU time of each rung.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the device fails, [`Error::Inference`] if the generator does on a device
    /// that works.
    fn generate(&mut self, at: DevicePtr, bad: DevicePtr) -> Result<[Duration; MAX_RUNGS], Error> {
        let mut times = [Duration::ZERO; MAX_RUNGS];
        for (rung, time) in times.iter_mut().enumerate().take(self.shapes.len()) {
            let timer = CpuTimer::start();
            let shape = self.shapes[rung];
            let (lr, hr) = (shape.lr() as i32, shape.hr() as i32);
            let mut from = 0;
            for batch in batches(&self.layers, lr) {
                let range = from..batch.end;
                from = batch.end;
                let n = range.len() as i32;
                let layers = at + (range.start * size_of::<Layer>()) as DevicePtr;
                let bad = bad + (range.start * size_of::<i32>()) as DevicePtr;
                let (lr_faces, shown) = (self.memory.denoised.at(), self.memory.shown.at());
                // Where nothing is generated, nothing is read there either.
                let mut hr_of_batch = shown;
                if batch.generated > 0 {
                    let (input, output) = self.generators[rung].buffers(batch.generated)?;
                    self.launch(
                        Kernel::Gather,
                        Grid::layers(range.len(), shape.lr_len()),
                        Arguments::new()
                            .with(&layers)
                            .with(&n)
                            .with(&lr)
                            .with(&lr_faces)
                            .with(&input),
                    )?;
                    if let Err(error) = self.generators[rung].run(batch.generated) {
                        self.driver.synchronize()?;
                        let model = format!("the generator on {}", self.driver.name());
                        return Err(Error::inference(model, error));
                    }
                    hr_of_batch = output;
                }
                let kept = self.memory.kept[rung].at();
                self.launch(
                    Kernel::Steady,
                    Grid::layers(range.len(), shape.hr_len()),
                    Arguments::new()
                        .with(&layers)
                        .with(&n)
                        .with(&hr)
                        .with(&hr_of_batch)
                        .with(&kept)
                        .with(&shown)
                        .with(&bad),
                )?;
            }
            *time = timer.elapsed();
        }
        Ok(times)
    }

    /// Corrects the shown faces to their crops and blends them into the frame.
    fn blend(
        &self,
        frame: &Frame,
        info: &FrameInfo,
        crops: &[Crop],
        (layers, faces, bad, change): (DevicePtr, DevicePtr, DevicePtr, DevicePtr),
    ) -> Result<(), GpuError> {
        let m = &self.memory;
        let tables = m.tables();
        let shown = m.shown.at();
        let (difference, smooth) = (m.difference.at(), m.smooth.at());
        let (components, base, n) = (m.components.at(), m.base.at(), crops.len());
        let (n_layers, n_faces) = (n as i32, self.faces.len() as i32);
        self.launch(
            Kernel::Difference,
            Grid::layers(n, GRID_LEN),
            Arguments::new()
                .with_each(&tables)
                .with_each(&[layers, m.denoised.at(), shown, change])
                .with(&n_layers)
                .with(&difference),
        )?;
        self.launch(
            Kernel::Smooth,
            Grid::line(n * GRID_LEN),
            Arguments::new().with(&difference).with(&n_layers).with(&smooth),
        )?;
        // The difference is of no more use, and its place is.
        let excess = difference;
        self.launch(
            Kernel::Excess,
            Grid::line(n * GRID_LEN),
            Arguments::new().with(&smooth).with(&change).with(&n_layers).with(&excess),
        )?;
        self.launch(
            Kernel::Convert,
            Grid::layers(n, longest(crops, |shape| shape.hr_plane())),
            Arguments::new()
                .with(frame)
                .with_each(&[layers, shown])
                .with(&n_layers)
                .with(&components),
        )?;
        self.launch(
            Kernel::Base,
            Grid::layers(n, longest(crops, |shape| shape.lr_plane())),
            Arguments::new()
                .with(frame)
                .with_each(&tables)
                .with_each(&[layers, m.lr.at(), excess])
                .with(&n_layers)
                .with(&base),
        )?;
        let count = info.format.component_count();
        self.launch(
            Kernel::Blend,
            Grid::blend(self.faces.len(), count, self.tables.most_blended),
            Arguments::new()
                .with(frame)
                .with_each(&tables)
                .with(&faces)
                .with(&n_faces)
                .with(&layers)
                .with_each(&[components, base, bad]),
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

    pub(super) fn render_faces(
        &mut self,
        picture: &mut Picture<'_, '_>,
        crops: &Crops,
        plans: &[FacePlan],
    ) -> Result<RenderTimes, Error> {
        let timer = CpuTimer::start();
        let n = crops.len();
        let info = *picture.info();
        let frame = self.frame(picture)?;
        self.set_plans(plans);
        let hr_numbers: usize = crops.list().iter().map(|crop| crop.shape.hr_len()).sum();

        // The layers, behind them the faces, behind them a flag for each layer: that some number of it
        // is not finite. The denoised crops, and what has changed in them, go to a place of their own.
        let layers = Part { start: 0, len: size_of_val(self.layers.as_slice()) };
        let faces = layers.then(size_of_val(self.faces.as_slice()));
        let flags = faces.then(n * size_of::<i32>());
        let denoised = flags.then(size_of_val(crops.all_denoised()));
        let changes = denoised.then(size_of_val(crops.changes()));
        self.staged_faces.reserve(changes.end())?;
        let staged = self.staged_faces.bytes_mut();
        staged[layers.start..layers.end()].copy_from_slice(bytemuck::cast_slice(&self.layers));
        staged[faces.start..faces.end()].copy_from_slice(bytemuck::cast_slice(&self.faces));
        staged[flags.start..flags.end()].fill(0);
        staged[denoised.start..denoised.end()]
            .copy_from_slice(bytemuck::cast_slice(crops.all_denoised()));
        staged[changes.start..changes.end()].copy_from_slice(bytemuck::cast_slice(crops.changes()));
        let uploaded = changes.end() - denoised.start;
        let m = &mut self.memory;
        m.faces.reserve(flags.end())?;
        for layer in plans.iter().flat_map(FacePlan::layers) {
            let len = (layer.slot + 1) * self.shapes[layer.rung].hr_len();
            m.kept[layer.rung].grow(len * FLOAT)?;
        }
        m.denoised.reserve(uploaded)?;
        m.shown.reserve(hr_numbers * FLOAT)?;
        m.difference.reserve(n * GRID_LEN * FLOAT)?;
        m.smooth.reserve(n * GRID_LEN * FLOAT)?;
        m.components.reserve(hr_numbers * FLOAT)?;
        m.base.reserve(size_of_val(crops.values()))?;
        let at = m.faces.at();
        // SAFETY: both buffers hold that much; the staging is not written before `synchronize`.
        unsafe { self.driver.upload(at, self.staged_faces.bytes().as_ptr(), flags.end()) }?;
        let from = self.staged_faces.bytes()[denoised.start..].as_ptr();
        // SAFETY: as above.
        unsafe { self.driver.upload(m.denoised.at(), from, uploaded) }?;
        let change = m.denoised.at() + (changes.start - denoised.start) as DevicePtr;
        let bad = at + flags.start as DevicePtr;

        let generate = self.generate(at, bad)?;
        let lists = (at, at + faces.start as DevicePtr, bad, change);
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
        let blend = timer.elapsed().saturating_sub(generating);
        Ok(RenderTimes { generate, blend, not_finite })
    }
}
