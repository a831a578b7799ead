//! Cropping: what is uploaded of a frame, the kernels, and the crops that come back.

use super::{FLOAT, GpuBackend, Part, longest};
use crate::enhance::backend::{Crop, Crops, MAX_LAYERS};
use crate::enhance::cuda::kernels::{Arguments, DevicePtr, Grid, Kernel, Layer};
use crate::enhance::cuda::patches::What;
use crate::enhance::cuda::tables::Tables;
use crate::error::GpuError;
use crate::frame::Picture;

impl GpuBackend {
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

    pub(super) fn crop_faces(
        &mut self,
        picture: &Picture<'_, '_>,
        crops: &mut Crops,
    ) -> Result<(), GpuError> {
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
        m.lr.reserve(len)?;
        self.staged_lr.reserve(len)?;
        let m = &self.memory;
        let input = m.input.at();
        // SAFETY: both buffers hold that much; the staging is not written before `synchronize`.
        unsafe { self.driver.upload(input, self.staged_in.bytes().as_ptr(), pixels.end()) }?;

        if matches!(picture, Picture::Host(_)) && !self.patches_in.list.is_empty() {
            let list = input + into.start as DevicePtr;
            let packed = input + pixels.start as DevicePtr;
            self.move_patches(&self.patches_in, list, packed, 0)?;
        }
        let tables = m.tables();
        let [axes, taps, weights] = &tables;
        let count = self.tables.axes.len() as i32;
        self.launch(
            Kernel::Taps,
            Grid::taps(self.tables.axes.len(), self.tables.most_outputs),
            Arguments::new().with(axes).with(&count).with(taps).with(weights),
        )?;
        let (n_layers, lr_faces) = (n as i32, m.lr.at());
        let layers = input + layers.start as DevicePtr;
        self.launch(
            Kernel::Crop,
            Grid::layers(n, longest(crops.list(), |shape| shape.lr_plane())),
            Arguments::new()
                .with(&frame)
                .with_each(&tables)
                .with(&layers)
                .with(&n_layers)
                .with(&lr_faces),
        )?;
        let staged = self.staged_lr.bytes_mut().as_mut_ptr();
        // SAFETY: both buffers hold that much; the staging is not touched before `synchronize`.
        unsafe { self.driver.download(staged, lr_faces, len) }?;
        self.driver.synchronize()?;
        bytemuck::cast_slice_mut(crops.values_mut())
            .copy_from_slice(&self.staged_lr.bytes()[..len]);
        self.cropped = n;
        Ok(())
    }
}
