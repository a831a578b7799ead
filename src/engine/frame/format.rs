//! What a frame's pixels mean: layouts of samples, colorimetry, sizes.

use crate::util::setters;

/// Largest width or height that is accepted, in pixels.
pub const MAX_DIMENSION: u32 = 32_768;

/// Memory layout of a frame's pixels. Names are those of GStreamer's `video/x-raw` formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// 4:2:0, Y plane, then one plane of interleaved U and V.
    Nv12,
    /// 4:2:0, planes Y, U, V.
    I420,
    /// 4:2:0, planes Y, V, U.
    Yv12,
    /// 4:2:0, Y plane, then one plane of interleaved V and U.
    Nv21,
    /// 4:2:2, Y plane, then one plane of interleaved U and V.
    Nv16,
    /// 4:2:2, planes Y, U, V.
    Y42b,
    /// 4:4:4, planes Y, U, V.
    Y444,
    /// 4:2:2 packed, Y0 U Y1 V.
    Yuy2,
    /// 4:2:2 packed, U Y0 V Y1.
    Uyvy,
    /// Packed 24 bit.
    Rgb,
    /// Packed 24 bit, blue first.
    Bgr,
    /// Packed 32 bit, the last byte unused.
    Rgbx,
    /// Packed 32 bit, blue first, the last byte unused.
    Bgrx,
    /// Packed 32 bit, the first byte unused.
    Xrgb,
    /// Packed 32 bit, the first byte unused, then blue.
    Xbgr,
    /// Packed 32 bit with alpha, which is never touched.
    Rgba,
    /// Packed 32 bit with alpha, blue first; alpha is never touched.
    Bgra,
    /// Packed 32 bit, alpha first; alpha is never touched.
    Argb,
    /// Packed 32 bit, alpha first, then blue; alpha is never touched.
    Abgr,
    /// One gray plane.
    Gray8,
}

/// What a format's components mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorModel {
    /// Components are R, G, B.
    Rgb,
    /// Components are Y', Cb, Cr.
    Yuv,
    /// One component, luma.
    Gray,
}

/// Where the samples of one component lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentLayout {
    /// Plane that holds the samples.
    pub plane: usize,
    /// Byte offset of the first sample within a row.
    pub offset: usize,
    /// Bytes from one sample to the next in a row.
    pub step: usize,
    /// log2 of the horizontal subsampling.
    pub hsub: u32,
    /// log2 of the vertical subsampling.
    pub vsub: u32,
}

const fn comp(plane: usize, offset: usize, step: usize, hsub: u32, vsub: u32) -> ComponentLayout {
    ComponentLayout { plane, offset, step, hsub, vsub }
}

const fn packed(step: usize, r: usize, g: usize, b: usize) -> [ComponentLayout; 3] {
    [comp(0, r, step, 0, 0), comp(0, g, step, 0, 0), comp(0, b, step, 0, 0)]
}

impl PixelFormat {
    /// Every format the engine reads and writes.
    pub const ALL: [PixelFormat; 20] = [
        PixelFormat::Nv12,
        PixelFormat::I420,
        PixelFormat::Yv12,
        PixelFormat::Nv21,
        PixelFormat::Nv16,
        PixelFormat::Y42b,
        PixelFormat::Y444,
        PixelFormat::Yuy2,
        PixelFormat::Uyvy,
        PixelFormat::Rgb,
        PixelFormat::Bgr,
        PixelFormat::Rgbx,
        PixelFormat::Bgrx,
        PixelFormat::Xrgb,
        PixelFormat::Xbgr,
        PixelFormat::Rgba,
        PixelFormat::Bgra,
        PixelFormat::Argb,
        PixelFormat::Abgr,
        PixelFormat::Gray8,
    ];

    /// What the components mean.
    pub const fn model(self) -> ColorModel {
        match self {
            Self::Nv12 | Self::I420 | Self::Yv12 | Self::Nv21 | Self::Nv16 => ColorModel::Yuv,
            Self::Y42b | Self::Y444 | Self::Yuy2 | Self::Uyvy => ColorModel::Yuv,
            Self::Gray8 => ColorModel::Gray,
            _ => ColorModel::Rgb,
        }
    }

    /// Number of planes, 1 to 3.
    pub const fn plane_count(self) -> usize {
        match self {
            Self::Nv12 | Self::Nv21 | Self::Nv16 => 2,
            Self::I420 | Self::Yv12 | Self::Y42b | Self::Y444 => 3,
            _ => 1,
        }
    }

    /// Components in the order of [`ColorModel`]: R, G, B or Y, U, V; gray repeats its only one.
    pub const fn components(self) -> [ComponentLayout; 3] {
        match self {
            Self::Nv12 => [comp(0, 0, 1, 0, 0), comp(1, 0, 2, 1, 1), comp(1, 1, 2, 1, 1)],
            Self::I420 => [comp(0, 0, 1, 0, 0), comp(1, 0, 1, 1, 1), comp(2, 0, 1, 1, 1)],
            Self::Yv12 => [comp(0, 0, 1, 0, 0), comp(2, 0, 1, 1, 1), comp(1, 0, 1, 1, 1)],
            Self::Nv21 => [comp(0, 0, 1, 0, 0), comp(1, 1, 2, 1, 1), comp(1, 0, 2, 1, 1)],
            Self::Nv16 => [comp(0, 0, 1, 0, 0), comp(1, 0, 2, 1, 0), comp(1, 1, 2, 1, 0)],
            Self::Y42b => [comp(0, 0, 1, 0, 0), comp(1, 0, 1, 1, 0), comp(2, 0, 1, 1, 0)],
            Self::Y444 => [comp(0, 0, 1, 0, 0), comp(1, 0, 1, 0, 0), comp(2, 0, 1, 0, 0)],
            Self::Yuy2 => [comp(0, 0, 2, 0, 0), comp(0, 1, 4, 1, 0), comp(0, 3, 4, 1, 0)],
            Self::Uyvy => [comp(0, 1, 2, 0, 0), comp(0, 0, 4, 1, 0), comp(0, 2, 4, 1, 0)],
            Self::Rgb => packed(3, 0, 1, 2),
            Self::Bgr => packed(3, 2, 1, 0),
            Self::Rgbx | Self::Rgba => packed(4, 0, 1, 2),
            Self::Bgrx | Self::Bgra => packed(4, 2, 1, 0),
            Self::Xrgb | Self::Argb => packed(4, 1, 2, 3),
            Self::Xbgr | Self::Abgr => packed(4, 3, 2, 1),
            Self::Gray8 => packed(1, 0, 0, 0),
        }
    }

    /// How many of [`components`](Self::components) are distinct: 1 for gray, else 3.
    pub const fn component_count(self) -> usize {
        match self.model() {
            ColorModel::Gray => 1,
            _ => 3,
        }
    }

    /// Bytes that carry pixels in one row of `plane`, and that plane's number of rows.
    pub const fn plane_size(self, plane: usize, width: u32, height: u32) -> (usize, usize) {
        let (w, h) = (width as usize, height as usize);
        match (self, plane) {
            (Self::Nv12 | Self::Nv21, 1) => (2 * w.div_ceil(2), h.div_ceil(2)),
            (Self::Nv16, 1) => (2 * w.div_ceil(2), h),
            (Self::I420 | Self::Yv12, 1 | 2) => (w.div_ceil(2), h.div_ceil(2)),
            (Self::Y42b, 1 | 2) => (w.div_ceil(2), h),
            (Self::Nv12 | Self::I420 | Self::Yv12 | Self::Nv21 | Self::Nv16, _) => (w, h),
            (Self::Y42b | Self::Y444 | Self::Gray8, _) => (w, h),
            (Self::Yuy2 | Self::Uyvy, _) => (4 * w.div_ceil(2), h),
            (Self::Rgb | Self::Bgr, _) => (3 * w, h),
            _ => (4 * w, h),
        }
    }
}

/// Luma coefficients that turn R'G'B' into Y'CbCr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Matrix {
    /// ITU-R BT.601 (standard definition).
    #[default]
    Bt601,
    /// ITU-R BT.709 (high definition).
    Bt709,
    /// ITU-R BT.2020, non-constant luminance.
    Bt2020,
}

impl Matrix {
    /// (Kr, Kb) of the recommendation.
    pub const fn coefficients(self) -> (f32, f32) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

/// Quantization range of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Range {
    /// 16..=235 for luma, 16..=240 for chroma.
    #[default]
    Limited,
    /// 0..=255.
    Full,
}

/// Where chroma samples sit relative to luma samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ChromaSite {
    /// On the left luma column, between rows (MPEG-2, H.264's default).
    #[default]
    Left,
    /// In the middle of the block (JPEG, MPEG-1).
    Center,
    /// On the top left luma sample (BT.2020 broadcast, DV).
    TopLeft,
}

impl ChromaSite {
    /// Offsets (x, y), in luma pixels, to add to a luma edge coordinate before halving it.
    pub const fn offsets(self) -> (f32, f32) {
        match self {
            Self::Left => (0.5, 0.0),
            Self::Center => (0.0, 0.0),
            Self::TopLeft => (0.5, 0.5),
        }
    }
}

/// Everything about a frame but its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Memory layout.
    pub format: PixelFormat,
    /// Width in luma pixels, 1..=[`MAX_DIMENSION`].
    pub width: u32,
    /// Height in luma pixels, 1..=[`MAX_DIMENSION`].
    pub height: u32,
    /// Luma coefficients; ignored for RGB.
    pub matrix: Matrix,
    /// Sample range of luma and chroma; RGB is always full range.
    pub range: Range,
    /// Chroma position; ignored where nothing is subsampled.
    pub chroma_site: ChromaSite,
    /// Width over height of a pixel as it is shown, as a fraction; 1/1 for square pixels.
    pub pixel_aspect: (u32, u32),
}

impl FrameInfo {
    /// A frame of BT.601 limited range (full range for RGB and gray), chroma sited left.
    pub fn new(format: PixelFormat, width: u32, height: u32) -> Self {
        let range = match format.model() {
            ColorModel::Yuv => Range::Limited,
            _ => Range::Full,
        };
        Self {
            format,
            width,
            height,
            matrix: Matrix::default(),
            range,
            chroma_site: ChromaSite::default(),
            pixel_aspect: (1, 1),
        }
    }
}

setters!(FrameInfo {
    matrix: Matrix,
    range: Range,
    chroma_site: ChromaSite,
    pixel_aspect: (u32, u32),
});

impl FrameInfo {
    /// Width over height of a pixel; 1 if the fraction is none.
    pub fn pixel_aspect_ratio(&self) -> f32 {
        let (n, d) = self.pixel_aspect;
        if n == 0 || d == 0 { 1.0 } else { n as f32 / d as f32 }
    }
}

/// Samples of a component along an axis of `n` pixels, `shift` being the log2 of its subsampling.
pub(crate) fn subsampled(n: u32, shift: u32) -> usize {
    n.div_ceil(1 << shift) as usize
}
