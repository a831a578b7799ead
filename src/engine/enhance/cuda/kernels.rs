//! What `kernels/face.cu` is given: its structures, its kernels' parameters, its launch grids.

use std::ffi::c_void;

use bytemuck::{Pod, Zeroable};

use crate::frame::{ColorModel, FrameInfo};
use crate::imgproc::color::Color;

/// The kernels as a pinned NVRTC compiled them (`scripts/ptx.sh`): for every NVIDIA GPU since
/// Turing.
pub const PTX: &str = include_str!("../../kernels/face.ptx");

/// An address in the device's memory.
pub type DevicePtr = u64;

/// `Component` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Component {
    pub(super) data: DevicePtr,
    pub(super) stride: i32,
    pub(super) step: i32,
    pub(super) hsub: i32,
    pub(super) vsub: i32,
}

/// `Frame` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    components: [Component; 3],
    count: i32,
    model: i32,
    kr: f32,
    kg: f32,
    kb: f32,
    luma_zero: f32,
    luma_gain: f32,
    chroma_gain: f32,
}

impl Frame {
    /// A frame of `info`, whose planes begin at these addresses with these strides.
    pub(super) fn new(info: &FrameInfo, planes: [DevicePtr; 3], strides: [usize; 3]) -> Self {
        let components = info.format.components().map(|c| Component {
            data: planes[c.plane] + c.offset as DevicePtr,
            stride: strides[c.plane] as i32,
            step: c.step as i32,
            hsub: c.hsub as i32,
            vsub: c.vsub as i32,
        });
        let Color { model, kr, kg, kb, luma_zero, luma_gain, chroma_gain } = Color::of(info);
        Self {
            components,
            count: info.format.component_count() as i32,
            model: match model {
                ColorModel::Rgb => 0,
                ColorModel::Yuv => 1,
                ColorModel::Gray => 2,
            },
            kr,
            kg,
            kb,
            luma_zero,
            luma_gain,
            chroma_gain,
        }
    }
}

/// `Axis` of the kernels: one direction of one resampling.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
pub(super) struct Axis {
    pub(super) outputs: i32,
    pub(super) inputs: i32,
    pub(super) origin: f32,
    pub(super) scale: f32,
    pub(super) tap: i32,
    pub(super) weight: i32,
    pub(super) span: i32,
    pub(super) first: i32,
    pub(super) start: f32,
    pub(super) length: f32,
}

/// `Layer` of the kernels: a face on one rung.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
pub(super) struct Layer {
    pub(super) kept: i64,
    pub(super) lr_at: i64,
    pub(super) hr_at: i64,
    pub(super) lr: i32,
    pub(super) hr: i32,
    pub(super) axes: i32,
    pub(super) shape: i32,
    pub(super) generated: i32,
    pub(super) keep: f32,
    pub(super) share: f32,
    pub(super) detail: f32,
}

/// `Face` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
pub(super) struct Face {
    pub(super) strength: f32,
    pub(super) mix: f32,
    pub(super) layer: i32,
    pub(super) layers: i32,
}

/// `Patch` of the kernels: a piece of rows of a plane.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub(super) struct Patch {
    pub(super) offset: u32,
    pub(super) stride: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) packed: u32,
}

/// A kernel of `face.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Makes the tables of taps and weights.
    Taps,
    /// Moves patches between a frame and a packed buffer.
    Patches,
    /// Crops all faces.
    Crop,
    /// Gathers the crops that are to be generated.
    Gather,
    /// Mixes generated faces with kept ones, and keeps the result.
    Steady,
    /// The crop less the face, both shrunk.
    Difference,
    /// Smooths that.
    Smooth,
    /// What of that exceeds the tolerance.
    Excess,
    /// Turns faces into components of a frame.
    Convert,
    /// Turns what is known at the resolution of the crops into components of a frame.
    Base,
    /// Lays all faces over the frame.
    Blend,
}

const POINTER: usize = size_of::<DevicePtr>();
const INT: usize = size_of::<i32>();
const FRAME: usize = size_of::<Frame>();

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Taps,
        Self::Patches,
        Self::Crop,
        Self::Gather,
        Self::Steady,
        Self::Difference,
        Self::Smooth,
        Self::Excess,
        Self::Convert,
        Self::Base,
        Self::Blend,
    ];

    /// Its name in the PTX.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Taps => "facesr_taps",
            Self::Patches => "facesr_patches",
            Self::Crop => "facesr_crop",
            Self::Gather => "facesr_gather",
            Self::Steady => "facesr_steady",
            Self::Difference => "facesr_difference",
            Self::Smooth => "facesr_smooth",
            Self::Excess => "facesr_excess",
            Self::Convert => "facesr_convert",
            Self::Base => "facesr_base",
            Self::Blend => "facesr_blend",
        }
    }

    /// Sizes of its parameters in bytes, in order.
    pub const fn parameters(self) -> &'static [usize] {
        match self {
            Self::Taps => &[POINTER, INT, POINTER, POINTER],
            Self::Patches => &[POINTER, INT, POINTER, POINTER, INT],
            Self::Crop => &[FRAME, POINTER, POINTER, POINTER, POINTER, INT, POINTER],
            Self::Gather => &[POINTER, INT, INT, POINTER, POINTER],
            Self::Steady => &[POINTER, INT, INT, POINTER, POINTER, POINTER, POINTER],
            Self::Difference => {
                &[POINTER, POINTER, POINTER, POINTER, POINTER, POINTER, POINTER, INT, POINTER]
            }
            Self::Smooth => &[POINTER, INT, POINTER],
            Self::Excess => &[POINTER, POINTER, INT, POINTER],
            Self::Convert => &[FRAME, POINTER, POINTER, INT, POINTER],
            Self::Base => {
                &[FRAME, POINTER, POINTER, POINTER, POINTER, POINTER, POINTER, INT, POINTER]
            }
            Self::Blend => &[
                FRAME, POINTER, POINTER, POINTER, POINTER, INT, POINTER, POINTER, POINTER, POINTER,
            ],
        }
    }
}

/// Blocks of a launch, and threads of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Blocks along x, y, z.
    pub blocks: [u32; 3],
    /// Threads of a block along x, y, z.
    pub threads: [u32; 3],
}

/// Threads of a block where they stand in one line.
const LINE: u32 = 128;
/// Side of the blocks of a blend.
const TILE: u32 = 16;
/// Most blocks along y or z that CUDA allows.
const MOST_BLOCKS: u32 = 65_535;

impl Grid {
    /// A line of at least `threads` threads.
    pub fn line(threads: usize) -> Self {
        let blocks = threads.div_ceil(LINE as usize).max(1) as u32;
        Self { blocks: [blocks, 1, 1], threads: [LINE, 1, 1] }
    }

    /// For each of `layers` a line of at least `threads` threads.
    pub fn layers(layers: usize, threads: usize) -> Self {
        let line = Self::line(threads);
        Self { blocks: [line.blocks[0], layers.max(1) as u32, 1], ..line }
    }

    /// For [`Kernel::Taps`]: a column of blocks for each axis.
    pub fn taps(axes: usize, most_outputs: usize) -> Self {
        const COLUMN: u32 = 64;
        let blocks = (most_outputs as u32).div_ceil(COLUMN).max(1);
        Self { blocks: [axes as u32, blocks, 1], threads: [1, COLUMN, 1] }
    }

    /// For [`Kernel::Patches`]: a column of blocks for each patch, a block for each row.
    pub fn patches(count: usize, most_rows: u32) -> Self {
        let rows = most_rows.clamp(1, MOST_BLOCKS);
        Self { blocks: [count as u32, rows, 1], threads: [64, 1, 1] }
    }

    /// For [`Kernel::Blend`]: `count` faces on each of `components`, squares of up to `most`
    /// samples each way.
    pub fn blend(count: usize, components: usize, most: [usize; 2]) -> Self {
        let tiles = |n: usize| (n as u32).div_ceil(TILE).max(1);
        Self {
            blocks: [(count * components) as u32, tiles(most[1]), tiles(most[0])],
            threads: [TILE, TILE, 1],
        }
    }
}

/// Arguments of a launch: addresses of values that outlive it.
#[derive(Debug, Clone)]
pub struct Arguments<'a> {
    addresses: Vec<*mut c_void>,
    sizes: Vec<usize>,
    borrowed: std::marker::PhantomData<&'a ()>,
}

impl<'a> Arguments<'a> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::with_capacity(10),
            sizes: Vec::with_capacity(10),
            borrowed: std::marker::PhantomData,
        }
    }

    /// One more.
    pub(super) fn with<T: Argument>(mut self, value: &'a T) -> Self {
        self.addresses.push(std::ptr::from_ref(value).cast_mut().cast());
        self.sizes.push(size_of::<T>());
        self
    }

    /// One more for each of `values`.
    pub(super) fn with_each<T: Argument>(self, values: &'a [T]) -> Self {
        values.iter().fold(self, |arguments, value| arguments.with(value))
    }

    /// Whether number and sizes are those that `kernel` declares.
    pub fn fit(&self, kernel: Kernel) -> bool {
        self.sizes == kernel.parameters()
    }

    /// What a driver is given: the address of each argument.
    pub fn addresses(&mut self) -> &mut [*mut c_void] {
        &mut self.addresses
    }
}

/// What may be passed to a kernel by value.
pub(super) trait Argument: Copy {}
impl Argument for DevicePtr {}
impl Argument for i32 {}
impl Argument for Frame {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entry points of the PTX, with the sizes of their parameters.
    fn entries() -> Vec<(String, Vec<usize>)> {
        let size = |kind: &str| match kind {
            ".u64" => 8,
            ".u32" | ".f32" => 4,
            other => panic!("unknown parameter type {other}"),
        };
        PTX.split(".entry ")
            .skip(1)
            .map(|text| {
                let (name, rest) = text.split_once('(').unwrap();
                let (list, _) = rest.split_once(')').unwrap();
                let sizes = list.split(',').map(|line| {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    match line.split_once('[') {
                        // .param .align 8 .b8 name[80]
                        Some((_, bytes)) => bytes.trim_end().trim_end_matches(']').parse().unwrap(),
                        None => size(words[1]),
                    }
                });
                (name.trim().to_string(), sizes.collect())
            })
            .collect()
    }

    #[test]
    fn the_ptx_has_these_kernels_with_these_parameters() {
        let entries = entries();
        assert_eq!(entries.len(), Kernel::ALL.len());
        for kernel in Kernel::ALL {
            let (_, sizes) = entries
                .iter()
                .find(|(name, _)| name == kernel.name())
                .unwrap_or_else(|| panic!("no {} in face.ptx", kernel.name()));
            assert_eq!(sizes, kernel.parameters(), "{}", kernel.name());
        }
        assert!(PTX.contains(".target sm_75"));
        // Without `.rn` the driver may fuse a product and a sum, which rounds otherwise than the
        // CPU does.
        for loose in ["fma.", "mad.f32", "mul.f32", "add.f32", "sub.f32", "div.full", "div.approx"]
        {
            assert!(!PTX.contains(loose), "{loose}");
        }
    }

    #[test]
    fn grids_cover_what_is_asked_and_stay_within_cuda_s_limits() {
        for n in [0, 1, 127, 128, 129, 100_000] {
            let grid = Grid::line(n);
            let threads = (grid.blocks[0] * grid.threads[0]) as usize;
            assert!(threads >= n && threads < n.max(1) + LINE as usize);
        }
        let blend = Grid::blend(3, 3, [17, 33]);
        assert_eq!((blend.blocks, blend.threads), ([9, 3, 2], [16, 16, 1]));
        let taps = Grid::taps(10, 65);
        assert_eq!((taps.blocks, taps.threads), ([10, 2, 1], [1, 64, 1]));
        // The largest frame that is taken, and squares as large as it.
        let most = crate::frame::MAX_DIMENSION;
        for grid in [
            Grid::blend(1, 3, [most as usize; 2]),
            Grid::taps(100_000, most as usize),
            Grid::patches(100_000, most),
            Grid::layers(crate::enhance::backend::MAX_LAYERS, 49_152),
        ] {
            assert!(grid.blocks[1] <= MOST_BLOCKS && grid.blocks[2] <= MOST_BLOCKS);
            assert!(grid.threads.iter().product::<u32>() <= 1024);
        }
    }
}
