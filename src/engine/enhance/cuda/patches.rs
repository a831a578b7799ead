//! Which pieces of a frame in system memory go to the device and come back: for each plane and
//! face the samples that cropping reads, and those that blending writes.

use super::kernels::Patch;
use super::tables::Tables;
use crate::frame::{FrameInfo, FrameMut};

/// Rows on the device begin at multiples of this, bytes.
const ALIGNMENT: usize = 64;

/// Where the planes of a frame lie in one piece of device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) offsets: [usize; 3],
    pub(super) strides: [usize; 3],
    pub(super) len: usize,
}

impl Layout {
    pub(super) fn of(info: &FrameInfo) -> Self {
        let mut layout = Self { offsets: [0; 3], strides: [0; 3], len: 0 };
        for plane in 0..info.format.plane_count() {
            let (row, rows) = info.format.plane_size(plane, info.width, info.height);
            layout.offsets[plane] = layout.len;
            layout.strides[plane] = row.next_multiple_of(ALIGNMENT);
            layout.len += layout.strides[plane] * rows;
        }
        layout
    }
}

/// A patch as the host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PlanePatch {
    plane: usize,
    /// First byte of each row, and the first row.
    x: usize,
    y: usize,
}

/// The patches of one direction, and the buffer they are packed in.
#[derive(Debug, Default)]
pub(super) struct Patches {
    /// For the device.
    pub(super) list: Vec<Patch>,
    pieces: Vec<PlanePatch>,
    /// Bytes of all patches.
    pub(super) packed: usize,
    /// Rows of the highest patch.
    pub(super) most_rows: u32,
}

/// What a patch has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// What cropping and blending read.
    Crop,
    /// What blending writes.
    Blend,
}

impl Patches {
    /// Sets the patches for the faces of `tables`; `None` if they are too large to be numbered.
    pub(super) fn set(
        &mut self,
        info: &FrameInfo,
        layout: &Layout,
        tables: &Tables,
        faces: usize,
        what: What,
    ) -> Option<()> {
        self.list.clear();
        self.pieces.clear();
        (self.packed, self.most_rows) = (0, 0);
        let components = &info.format.components()[..info.format.component_count()];
        for face in 0..faces {
            for plane in 0..info.format.plane_count() {
                let (mut x, mut y) = ((usize::MAX, 0), (usize::MAX, 0));
                for c in components.iter().filter(|c| c.plane == plane) {
                    let range = |vertical: usize, sub: u32| match what {
                        What::Crop => {
                            let crop = tables.crop_range(face, vertical, sub as usize);
                            let blend = tables.blend_range(face, vertical, sub as usize);
                            // An empty blend begins at 0.
                            if blend.0 >= blend.1 {
                                crop
                            } else {
                                (crop.0.min(blend.0), crop.1.max(blend.1))
                            }
                        }
                        What::Blend => tables.blend_range(face, vertical, sub as usize),
                    };
                    let (across, down) = (range(0, c.hsub), range(1, c.vsub));
                    if across.0 >= across.1 || down.0 >= down.1 {
                        continue;
                    }
                    x.0 = x.0.min(c.offset + across.0 * c.step);
                    x.1 = x.1.max(c.offset + (across.1 - 1) * c.step + 1);
                    y = (y.0.min(down.0), y.1.max(down.1));
                }
                if x.0 >= x.1 || y.0 >= y.1 {
                    continue;
                }
                let (width, height) = (x.1 - x.0, y.1 - y.0);
                let stride = layout.strides[plane];
                self.list.push(Patch {
                    offset: u32::try_from(layout.offsets[plane] + y.0 * stride + x.0).ok()?,
                    stride: u32::try_from(stride).ok()?,
                    width: width as u32,
                    height: height as u32,
                    packed: u32::try_from(self.packed).ok()?,
                });
                self.pieces.push(PlanePatch { plane, x: x.0, y: y.0 });
                self.packed += width * height;
                self.most_rows = self.most_rows.max(height as u32);
            }
        }
        u32::try_from(self.packed).ok().map(|_| ())
    }

    /// Gathers the patches out of `frame`.
    pub(super) fn pack(&self, frame: &FrameMut<'_>, packed: &mut [u8]) {
        for (patch, piece) in self.list.iter().zip(&self.pieces) {
            let (plane, stride) = frame.plane(piece.plane);
            let (width, start) = (patch.width as usize, patch.packed as usize);
            let lines = packed[start..].chunks_exact_mut(width).take(patch.height as usize);
            for (line, y) in lines.zip(piece.y..) {
                line.copy_from_slice(&plane[y * stride + piece.x..][..width]);
            }
        }
    }

    /// Lays the patches into `frame`.
    pub(super) fn unpack(&self, packed: &[u8], frame: &mut FrameMut<'_>) {
        for (patch, piece) in self.list.iter().zip(&self.pieces) {
            let (plane, stride) = frame.plane_mut(piece.plane);
            let (width, start) = (patch.width as usize, patch.packed as usize);
            let lines = packed[start..].chunks_exact(width).take(patch.height as usize);
            for (line, y) in lines.zip(piece.y..) {
                plane[y * stride + piece.x..][..width].copy_from_slice(line);
            }
        }
    }
}
