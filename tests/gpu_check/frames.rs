//! Frames and faces that look random and are the same everywhere, in system and in device memory.

use std::sync::Arc;

use facesr::frame::{ChromaSite, Matrix, Range};
use facesr::internals::cuda::{Cuda, DevicePtr, Driver, GpuError};
use facesr::{CropSquare, CudaFrame, FrameInfo, FrameMut, PixelFormat};

use crate::Result;

/// A sequence of numbers.
pub(crate) struct Noise(u32);

impl Noise {
    pub(crate) fn new(seed: u32) -> Self {
        Self(seed.wrapping_mul(2_654_435_761).wrapping_add(1) | 1)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number of `low..high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.next() % 4096) as f32 / 4096.0
    }

    /// Faces as a generator takes or answers them.
    pub(crate) fn tensor(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.between(-1.0, 1.0)).collect()
    }

    /// A frame of any kind up to `most` pixels each way.
    pub(crate) fn info(&mut self, most: u32) -> FrameInfo {
        let formats = PixelFormat::ALL;
        let format = formats[self.next() as usize % formats.len()];
        let (width, height) = (9 + self.next() % (most - 8), 9 + self.next() % (most - 8));
        let matrix = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020][self.next() as usize % 3];
        let range = [Range::Limited, Range::Full][self.next() as usize % 2];
        let sites = [ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft];
        let site = sites[self.next() as usize % 3];
        FrameInfo::new(format, width, height).matrix(matrix).range(range).chroma_site(site)
    }

    /// Squares anywhere in a frame, its edges included.
    pub(crate) fn squares(&mut self, info: &FrameInfo, count: usize) -> Vec<CropSquare> {
        let (width, height) = (info.width as f32, info.height as f32);
        let edge = |v: f32| (v * 1.2 - 0.1).clamp(0.0, 1.0);
        (0..count)
            .map(|_| {
                let side = (self.between(0.02, 1.0) * width.min(height)).max(1.0);
                let x = edge(self.between(0.0, 1.0)) * (width - side);
                let y = edge(self.between(0.0, 1.0)) * (height - side);
                CropSquare { x, y, side }
            })
            .collect()
    }
}

/// A frame that owns its pixels.
#[derive(Clone, PartialEq)]
pub(crate) struct Owned {
    pub(crate) info: FrameInfo,
    pub(crate) planes: Vec<Vec<u8>>,
    strides: Vec<usize>,
}

impl Owned {
    pub(crate) fn noise(info: FrameInfo, pad: usize, noise: &mut Noise) -> Self {
        let (mut planes, mut strides) = (Vec::new(), Vec::new());
        for p in 0..info.format.plane_count() {
            let (row, rows) = info.format.plane_size(p, info.width, info.height);
            planes.push((0..(row + pad) * rows).map(|_| (noise.next() >> 8) as u8).collect());
            strides.push(row + pad);
        }
        Self { info, planes, strides }
    }

    pub(crate) fn host<R>(&mut self, work: impl FnOnce(&mut FrameMut<'_>) -> R) -> Result<R> {
        let slices = self.planes.iter_mut().map(Vec::as_mut_slice);
        Ok(work(&mut FrameMut::new(self.info, slices, &self.strides)?))
    }
}

/// Memory of the card.
pub(crate) struct OnCard {
    cuda: Arc<Cuda>,
    pub(crate) at: DevicePtr,
}

impl OnCard {
    pub(crate) fn new(cuda: &Arc<Cuda>, len: usize) -> std::result::Result<Self, GpuError> {
        Ok(Self { cuda: cuda.clone(), at: cuda.allocate(len)? })
    }
}

impl Drop for OnCard {
    fn drop(&mut self) {
        // SAFETY: allocated by the same driver and not used again.
        unsafe { self.cuda.free(self.at) };
    }
}

/// A copy of a frame on the card.
pub(crate) struct CardFrame {
    planes: Vec<OnCard>,
    lens: Vec<usize>,
    strides: Vec<usize>,
    info: FrameInfo,
    cuda: Arc<Cuda>,
}

impl CardFrame {
    pub(crate) fn upload(cuda: &Arc<Cuda>, frame: &Owned) -> Result<Self> {
        let mut planes = Vec::new();
        for plane in &frame.planes {
            let memory = OnCard::new(cuda, plane.len())?;
            // SAFETY: both hold the plane, which stays as it is until the copy is done.
            unsafe { cuda.upload(memory.at, plane.as_ptr(), plane.len()) }?;
            planes.push(memory);
        }
        cuda.synchronize()?;
        let lens: Vec<usize> = frame.planes.iter().map(Vec::len).collect();
        let (info, strides) = (frame.info, frame.strides.to_vec());
        Ok(Self { planes, lens, strides, info, cuda: cuda.clone() })
    }

    pub(crate) fn view(&mut self) -> Result<CudaFrame<'_>> {
        let planes = self.planes.iter().zip(&self.lens);
        let list: Vec<_> = planes.map(|(memory, &len)| (memory.at, len)).collect();
        // SAFETY: memory of the primary context, of those lengths, borrowed for as long as the view.
        Ok(unsafe { CudaFrame::new(self.info, &list, &self.strides) }?)
    }

    pub(crate) fn download(&self, into: &mut Owned) -> Result<()> {
        for ((memory, &len), plane) in self.planes.iter().zip(&self.lens).zip(&mut into.planes) {
            assert_eq!(plane.len(), len, "the frame it was made from");
            // SAFETY: both hold the plane, which nobody touches until the copy is done.
            unsafe { self.cuda.download(plane.as_mut_ptr(), memory.at, len) }?;
        }
        Ok(self.cuda.synchronize()?)
    }
}
