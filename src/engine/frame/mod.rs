//! Borrowed video frames: planes, strides, colorimetry.
//!
//! A [`Frame`] is a checked view of pixels that somebody else owns: a mapped GStreamer buffer, a
//! decoded picture. A format is described by its *components* (R, G, B or Y, U, V or gray), each of
//! which says where its samples are. The rest of the engine works on components and treats all
//! formats alike.

mod clock;
mod format;
mod owned;

use std::marker::PhantomData;

pub use clock::Timestamp;
pub(crate) use clock::{FrameClock, Tick};
pub(crate) use format::subsampled;
pub use format::{
    ChromaSite, ColorModel, ComponentLayout, FrameInfo, MAX_DIMENSION, Matrix, PixelFormat, Range,
};
pub(crate) use owned::OwnedFrame;
use thiserror::Error;

impl FrameInfo {
    /// Smallest length in bytes that `plane` may have at `stride`.
    fn min_len(&self, plane: usize, stride: usize) -> Result<usize, FrameError> {
        let (row, rows) = self.format.plane_size(plane, self.width, self.height);
        if stride < row {
            return Err(FrameError::Stride { plane, stride, row });
        }
        stride
            .checked_mul(rows - 1)
            .and_then(|n| n.checked_add(row))
            .ok_or(FrameError::Overflow { plane, stride })
    }

    fn check<P: AsRef<[u8]>>(&self, planes: &[P], strides: &[usize]) -> Result<(), FrameError> {
        self.check_lengths(planes.iter().map(|plane| plane.as_ref().len()), strides)
    }

    fn check_lengths(
        &self,
        planes: impl ExactSizeIterator<Item = usize>,
        strides: &[usize],
    ) -> Result<(), FrameError> {
        for n in [self.width, self.height] {
            if n == 0 || n > MAX_DIMENSION {
                return Err(FrameError::Dimension { width: self.width, height: self.height });
            }
        }
        let wanted = self.format.plane_count();
        if planes.len() < wanted || strides.len() < wanted {
            return Err(FrameError::PlaneCount { wanted, got: planes.len().min(strides.len()) });
        }
        for (plane, (got, &stride)) in planes.zip(strides).take(wanted).enumerate() {
            let wanted = self.min_len(plane, stride)?;
            if got < wanted {
                return Err(FrameError::Short { plane, wanted, got });
            }
        }
        Ok(())
    }
}

/// Why pixels are refused as a frame.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Width or height is zero or absurd.
    #[error("a frame of {width}x{height} pixels is not supported (1 to {MAX_DIMENSION} each way)")]
    Dimension {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Fewer planes or strides than the format has.
    #[error("the format has {wanted} planes, {got} given")]
    PlaneCount {
        /// Planes of the format.
        wanted: usize,
        /// Planes given.
        got: usize,
    },
    /// A stride that is shorter than a row.
    #[error("plane {plane}: stride {stride} is shorter than a row of {row} bytes")]
    Stride {
        /// Plane index.
        plane: usize,
        /// Stride given, in bytes.
        stride: usize,
        /// Bytes of pixels in a row.
        row: usize,
    },
    /// Stride times height does not fit the address space.
    #[error("plane {plane}: stride {stride} overflows")]
    Overflow {
        /// Plane index.
        plane: usize,
        /// Stride given, in bytes.
        stride: usize,
    },
    /// A plane with less data than its size and stride need.
    #[error("plane {plane} needs {wanted} bytes, {got} given")]
    Short {
        /// Plane index.
        plane: usize,
        /// Bytes needed.
        wanted: usize,
        /// Bytes given.
        got: usize,
    },
}

/// One component of a frame: sample (x, y) is
/// `data[y * stride + x * step]`, valid for x < width, y < height.
#[derive(Debug, Clone, Copy)]
pub struct Component<'a> {
    /// Bytes from the first sample on.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes from one sample to the next.
    pub step: usize,
    /// Samples in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// log2 of the horizontal subsampling.
    pub hsub: u32,
    /// log2 of the vertical subsampling.
    pub vsub: u32,
}

/// Like [`Component`], but writable.
#[derive(Debug)]
pub struct ComponentMut<'a> {
    /// Bytes from the first sample on.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes from one sample to the next.
    pub step: usize,
    /// Samples in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// log2 of the horizontal subsampling.
    pub hsub: u32,
    /// log2 of the vertical subsampling.
    pub vsub: u32,
}

/// A frame in the memory of a CUDA device, to be read and written there.
#[derive(Debug)]
pub struct CudaFrame<'a> {
    info: FrameInfo,
    planes: [u64; 3],
    strides: [usize; 3],
    /// The memory belongs to the frame alone for so long.
    memory: PhantomData<&'a mut [u8]>,
}

impl CudaFrame<'_> {
    /// A frame of `info` whose planes begin at these addresses, each with so many bytes from there
    /// on, with these strides in bytes.
    ///
    /// # Errors
    /// As [`Frame::new`].
    ///
    /// # Safety
    /// The addresses are those of memory that the device can read and write in its primary
    /// context, of at least those lengths, for all of the lifetime that the caller chooses, and
    /// nothing else uses it meanwhile.
    pub unsafe fn new(
        info: FrameInfo,
        planes: &[(u64, usize)],
        strides: &[usize],
    ) -> Result<Self, FrameError> {
        info.check_lengths(planes.iter().map(|plane| plane.1), strides)?;
        let mut frame = Self { info, planes: [0; 3], strides: [0; 3], memory: PhantomData };
        let count = info.format.plane_count();
        for (slot, plane) in frame.planes.iter_mut().zip(&planes[..count]) {
            *slot = plane.0;
        }
        frame.strides[..count].copy_from_slice(&strides[..count]);
        Ok(frame)
    }

    /// Format, size and colorimetry.
    pub fn info(&self) -> &FrameInfo {
        &self.info
    }

    /// Addresses of the planes.
    pub(crate) fn planes(&self) -> [u64; 3] {
        self.planes
    }

    /// Bytes from row to row of the planes.
    pub(crate) fn strides(&self) -> [usize; 3] {
        self.strides
    }
}

/// A frame to work on, in system or device memory: no part of the public API.
#[doc(hidden)]
#[derive(Debug)]
pub enum Picture<'a, 'p> {
    /// In system memory.
    Host(&'a mut FrameMut<'p>),
    /// In the memory of a CUDA device.
    Cuda(CudaFrame<'p>),
}

impl Picture<'_, '_> {
    /// Format, size and colorimetry.
    pub fn info(&self) -> &FrameInfo {
        match self {
            Self::Host(frame) => frame.info(),
            Self::Cuda(frame) => frame.info(),
        }
    }
}

/// A frame that can be read.
///
/// ```
/// use facesr::{Frame, FrameInfo, PixelFormat};
///
/// // NV12: a plane of luma and a plane of chroma, here with rows of 64 bytes for 50 pixels.
/// let info = FrameInfo::new(PixelFormat::Nv12, 50, 20);
/// let (luma, chroma) = (vec![16; 64 * 20], vec![128; 64 * 10]);
/// let frame = Frame::new(info, &[&luma, &chroma], &[64, 64])?;
/// assert_eq!(frame.component(1).width, 25);
///
/// // Planes that are too short are refused.
/// assert!(Frame::new(info, &[&luma, &chroma[..100]], &[64, 64]).is_err());
/// # Ok::<(), facesr::error::FrameError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    info: FrameInfo,
    planes: [&'a [u8]; 3],
    strides: [usize; 3],
}

impl<'a> Frame<'a> {
    /// Checks that `planes` hold a frame of `info` at these `strides` (bytes from row to row;
    /// planes and strides beyond the format's are ignored).
    ///
    /// # Errors
    /// [`FrameError`] says which plane is wrong and how.
    pub fn new(
        info: FrameInfo,
        planes: &[&'a [u8]],
        strides: &[usize],
    ) -> Result<Self, FrameError> {
        info.check(planes, strides)?;
        let mut frame = Self { info, planes: [&[]; 3], strides: [0; 3] };
        let count = info.format.plane_count();
        frame.planes[..count].copy_from_slice(&planes[..count]);
        frame.strides[..count].copy_from_slice(&strides[..count]);
        Ok(frame)
    }

    /// Format, size and colorimetry.
    pub fn info(&self) -> &FrameInfo {
        &self.info
    }

    /// The bytes of plane `i` from its first pixel on, and its stride.
    pub(crate) fn plane(&self, i: usize) -> (&'a [u8], usize) {
        (self.planes[i], self.strides[i])
    }

    /// The `width` x `height` pixels from (x, y) on, without a copy; `None` if they do not lie in
    /// the frame, or begin at an odd pixel, which may have no chroma of its own.
    pub(crate) fn part(&self, x: u32, y: u32, width: u32, height: u32) -> Option<Self> {
        let info = FrameInfo { width, height, ..self.info };
        let lies_in =
            x.checked_add(width)? <= self.info.width && y.checked_add(height)? <= self.info.height;
        if !lies_in || (x | y) & 1 == 1 {
            return None;
        }
        let mut planes = self.planes;
        for (i, plane) in planes.iter_mut().enumerate().take(info.format.plane_count()) {
            let (bytes, rows) = info.format.plane_size(i, x, y);
            *plane = plane.get(rows * self.strides[i] + bytes..)?;
        }
        Self::new(info, &planes, &self.strides).ok()
    }

    /// Component `i` (0..3): R, G, B or Y, U, V; gray returns the same for each.
    ///
    /// # Panics
    /// If `i` is above 2.
    pub fn component(&self, i: usize) -> Component<'a> {
        let c = self.info.format.components()[i];
        Component {
            data: &self.planes[c.plane][c.offset..],
            stride: self.strides[c.plane],
            step: c.step,
            width: subsampled(self.info.width, c.hsub),
            height: subsampled(self.info.height, c.vsub),
            hsub: c.hsub,
            vsub: c.vsub,
        }
    }
}

/// A frame that can be read and written.
#[derive(Debug)]
pub struct FrameMut<'a> {
    info: FrameInfo,
    planes: [&'a mut [u8]; 3],
    strides: [usize; 3],
}

impl<'a> FrameMut<'a> {
    /// Checks that `planes` hold a frame of `info` at these `strides`, as [`Frame::new`] does.
    ///
    /// # Errors
    /// [`FrameError`] says which plane is wrong and how.
    pub fn new<I>(info: FrameInfo, planes: I, strides: &[usize]) -> Result<Self, FrameError>
    where
        I: IntoIterator<Item = &'a mut [u8]>,
    {
        let mut frame = Self { info, planes: [&mut [], &mut [], &mut []], strides: [0; 3] };
        let mut got = 0;
        for (slot, plane) in frame.planes.iter_mut().zip(planes) {
            *slot = plane;
            got += 1;
        }
        info.check(&frame.planes[..got], strides)?;
        for (slot, &stride) in frame.strides.iter_mut().zip(strides).take(info.format.plane_count())
        {
            *slot = stride;
        }
        Ok(frame)
    }

    /// Format, size and colorimetry.
    pub fn info(&self) -> &FrameInfo {
        &self.info
    }

    /// A view of the same frame that can only be read.
    pub fn as_frame(&self) -> Frame<'_> {
        let [a, b, c] = &self.planes;
        Frame { info: self.info, planes: [a, b, c], strides: self.strides }
    }

    /// Plane `i` of the format, from its first pixel on, and its stride in bytes.
    pub(crate) fn plane(&self, i: usize) -> (&[u8], usize) {
        (self.planes[i], self.strides[i])
    }

    /// The same, writable.
    pub(crate) fn plane_mut(&mut self, i: usize) -> (&mut [u8], usize) {
        (self.planes[i], self.strides[i])
    }

    /// Component `i` (0..3), to be written; see [`Frame::component`].
    ///
    /// # Panics
    /// If `i` is above 2.
    pub fn component_mut(&mut self, i: usize) -> ComponentMut<'_> {
        let c = self.info.format.components()[i];
        ComponentMut {
            data: &mut self.planes[c.plane][c.offset..],
            stride: self.strides[c.plane],
            step: c.step,
            width: subsampled(self.info.width, c.hsub),
            height: subsampled(self.info.height, c.vsub),
            hsub: c.hsub,
            vsub: c.vsub,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frame_refuses_short_planes_and_strides() {
        let info = FrameInfo::new(PixelFormat::Nv12, 5, 3);
        let (y, uv) = ([0u8; 15], [0u8; 12]);
        assert!(Frame::new(info, &[&y, &uv], &[5, 6]).is_ok());
        assert_eq!(
            Frame::new(info, &[&y, &uv], &[4, 6]).unwrap_err(),
            FrameError::Stride { plane: 0, stride: 4, row: 5 }
        );
        assert_eq!(
            Frame::new(info, &[&y, &uv[..11]], &[5, 6]).unwrap_err(),
            FrameError::Short { plane: 1, wanted: 12, got: 11 }
        );
        assert_eq!(
            Frame::new(info, &[&y], &[5, 6]).unwrap_err(),
            FrameError::PlaneCount { wanted: 2, got: 1 }
        );
        assert!(matches!(
            Frame::new(FrameInfo { height: 0, ..info }, &[&y, &uv], &[5, 6]),
            Err(FrameError::Dimension { .. })
        ));
        assert!(matches!(
            Frame::new(info, &[&y, &uv], &[usize::MAX, 6]),
            Err(FrameError::Overflow { .. })
        ));
    }

    proptest! {
        /// Whatever the numbers, a frame is refused or all its samples can be read.
        #[test]
        fn every_sample_of_an_accepted_frame_can_be_read(
            format in 0usize..PixelFormat::ALL.len(), width in 0u32..40, height in 0u32..40,
            pads in [0usize..9, 0usize..9, 0usize..9], cut in 0usize..64,
        ) {
            let format = PixelFormat::ALL[format];
            let info = FrameInfo::new(format, width, height);
            let mut strides = [0; 3];
            let mut data: [Vec<u8>; 3] = Default::default();
            for p in 0..format.plane_count() {
                let (row, rows) = format.plane_size(p, width, height);
                strides[p] = row + pads[p];
                data[p] = vec![7; (strides[p] * rows).saturating_sub(cut)];
            }
            let planes: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            if let Ok(frame) = Frame::new(info, &planes, &strides) {
                for i in 0..3 {
                    let c = frame.component(i);
                    prop_assert_eq!(c.data[(c.height - 1) * c.stride + (c.width - 1) * c.step], 7);
                }
            }
        }
    }
}
