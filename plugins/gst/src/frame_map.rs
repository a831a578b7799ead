//! GStreamer's video buffers as the engine's frames.

use std::fmt;

use facesr::CudaFrame;
use facesr::frame::{ChromaSite, ColorModel, Frame, FrameError, FrameMut, MAX_DIMENSION};
use facesr::frame::{FrameInfo, Matrix, PixelFormat, Range};
use gst::glib;
use gst::glib::translate::{ToGlibPtr, mut_override};
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};

use crate::cuda_context as cuda;

const FORMATS: [(VideoFormat, PixelFormat); 20] = [
    (VideoFormat::Nv12, PixelFormat::Nv12),
    (VideoFormat::I420, PixelFormat::I420),
    (VideoFormat::Yv12, PixelFormat::Yv12),
    (VideoFormat::Nv21, PixelFormat::Nv21),
    (VideoFormat::Nv16, PixelFormat::Nv16),
    (VideoFormat::Y42b, PixelFormat::Y42b),
    (VideoFormat::Y444, PixelFormat::Y444),
    (VideoFormat::Yuy2, PixelFormat::Yuy2),
    (VideoFormat::Uyvy, PixelFormat::Uyvy),
    (VideoFormat::Rgb, PixelFormat::Rgb),
    (VideoFormat::Bgr, PixelFormat::Bgr),
    (VideoFormat::Rgbx, PixelFormat::Rgbx),
    (VideoFormat::Bgrx, PixelFormat::Bgrx),
    (VideoFormat::Xrgb, PixelFormat::Xrgb),
    (VideoFormat::Xbgr, PixelFormat::Xbgr),
    (VideoFormat::Rgba, PixelFormat::Rgba),
    (VideoFormat::Bgra, PixelFormat::Bgra),
    (VideoFormat::Argb, PixelFormat::Argb),
    (VideoFormat::Abgr, PixelFormat::Abgr),
    (VideoFormat::Gray8, PixelFormat::Gray8),
];

/// Caps of every format and size the engine takes, in system memory.
pub(crate) fn caps() -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format_list(FORMATS.map(|(format, _)| format))
        .width_range(1..=MAX_DIMENSION as i32)
        .height_range(1..=MAX_DIMENSION as i32)
        .build()
}

/// Whether frames of the format named `format` are taken.
pub(crate) fn is_known(format: &str) -> bool {
    FORMATS.iter().any(|(known, _)| known.to_str() == format)
}

/// Always pads of these caps, and of those in CUDA memory where that is to be had, the same on both
/// sides.
pub(crate) fn pad_templates() -> Vec<gst::PadTemplate> {
    let mut caps = caps();
    if let Some(mut cuda) = cuda::caps() {
        cuda.merge(caps);
        caps = cuda;
    }
    [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
        .into_iter()
        .filter_map(|(name, direction)| {
            gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
        })
        .collect()
}

/// Maps buffers as the caps say, for the engine.
#[derive(Debug, Clone)]
pub struct FrameMapper {
    info: VideoInfo,
    frame: FrameInfo,
    cuda: bool,
}

impl FrameMapper {
    /// Reads negotiated caps.
    pub fn from_caps(caps: &gst::CapsRef) -> Option<Self> {
        let info = VideoInfo::from_caps(caps).ok()?;
        // A buffer of a single field: half a face to any detector.
        if info.interlace_mode() == gst_video::VideoInterlaceMode::Alternate {
            return None;
        }
        let mut frame = frame_info(&info)?;
        // GStreamer 1.22 overwrites what the caps say if they have no colorimetry.
        if let Some(site) = caps.structure(0).and_then(|s| s.get::<&str>("chroma-site").ok()) {
            frame.chroma_site = chroma_site(gst_video::VideoChromaSite::from_string(site));
        }
        Some(Self { info, frame, cuda: cuda::are_cuda(caps) })
    }

    /// Format, size and colorimetry.
    pub fn frame(&self) -> &FrameInfo {
        &self.frame
    }

    /// Whether the frames lie in CUDA memory. They can be read and written here all the same:
    /// GStreamer copies them there and back on mapping.
    pub(crate) fn is_cuda(&self) -> bool {
        self.cuda
    }

    /// Width and height, pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.frame.width, self.frame.height)
    }

    /// How long a frame lasts; `None` where the caps do not say: many a decoder says that the rate
    /// varies.
    pub(crate) fn frame_duration(&self) -> Option<gst::ClockTime> {
        let fps = self.info.fps();
        let (frames, seconds) = (fps.numer().max(0) as u64, fps.denom().max(0) as u64);
        let known = frames > 0 && seconds > 0;
        known.then(|| gst::ClockTime::SECOND.mul_div_floor(seconds, frames)).flatten()
    }

    /// Shows the pixels of `buffer` to `look`.
    ///
    /// # Errors
    /// [`MapError`], if they cannot be had.
    pub fn read<R>(
        &self,
        buffer: &gst::BufferRef,
        look: impl FnOnce(&Frame<'_>) -> R,
    ) -> Result<R, MapError> {
        self.check_meta(buffer)?;
        let mapped = VideoFrameRef::from_buffer_ref_readable(buffer, &self.info)
            .map_err(|_| MapError::Map)?;
        // SAFETY: the frame is mapped as long as `mapped` lives, beyond the last use of `raw`.
        let raw = unsafe { &*mapped.as_ptr() };
        let mut planes: [&[u8]; 3] = [&[]; 3];
        let mut strides = [0; 3];
        let crop = Crop::of(buffer, &self.frame);
        for i in 0..self.frame.format.plane_count() {
            let span = self.span(raw, i, crop)?;
            // SAFETY: `span` lies within the memory that is mapped for reading, and `mapped`,
            // which is dropped after the planes, keeps it mapped.
            planes[i] = unsafe { std::slice::from_raw_parts(span.start, span.len) };
            strides[i] = span.stride;
        }
        Ok(look(&Frame::new(self.frame, &planes, &strides)?))
    }

    /// Lends the pixels of `buffer` to `change`. Memory that others hold too is copied first, as
    /// GStreamer does on mapping.
    ///
    /// # Errors
    /// [`MapError`], if they cannot be had.
    pub fn write<R>(
        &self,
        buffer: &mut gst::BufferRef,
        change: impl FnOnce(&mut FrameMut<'_>) -> R,
    ) -> Result<R, MapError> {
        self.check_meta(buffer)?;
        let crop = Crop::of(buffer, &self.frame);
        let mapped = VideoFrameRef::from_buffer_ref_writable(buffer, &self.info)
            .map_err(|_| MapError::Map)?;
        // SAFETY: the frame is mapped as long as `mapped` lives, beyond the last use of `raw`.
        let raw = unsafe { &*mapped.as_ptr() };
        let count = self.frame.format.plane_count();
        let mut spans = [PlaneRange::EMPTY; 3];
        for (i, span) in spans.iter_mut().enumerate().take(count) {
            *span = self.span(raw, i, crop)?;
        }
        let spans = &spans[..count];
        for (i, a) in spans.iter().enumerate() {
            if spans[i + 1..].iter().any(|b| a.overlaps(b)) {
                return Err(MapError::Overlap);
            }
        }
        let planes = spans.iter().map(|span| {
            // SAFETY: `span` lies within the memory that is mapped for writing, `mapped`, which is
            // dropped after the planes, keeps it mapped, and no two spans share a byte.
            unsafe { std::slice::from_raw_parts_mut(span.start, span.len) }
        });
        let strides = [
            spans[0].stride,
            spans.get(1).map_or(0, |s| s.stride),
            spans.get(2).map_or(0, |s| s.stride),
        ];
        Ok(change(&mut FrameMut::new(self.frame, planes, &strides)?))
    }

    /// Lends the pixels of `buffer`, which lies in CUDA memory, to `change` without a copy.
    pub(crate) fn write_cuda<R>(
        &self,
        buffer: &mut gst::BufferRef,
        context: &cuda::CudaContext,
        change: impl FnOnce(CudaFrame<'_>) -> R,
    ) -> Result<R, MapError> {
        self.check_meta(buffer)?;
        if !context.holds(buffer) {
            return Err(MapError::Elsewhere);
        }
        let crop = Crop::of(buffer, &self.frame);
        let mapped = Mapped::cuda(buffer, &self.info).ok_or(MapError::Map)?;
        let count = self.frame.format.plane_count();
        let (mut planes, mut strides) = ([(0, 0); 3], [0; 3]);
        for i in 0..count {
            let span = self.span(&mapped.0, i, crop)?;
            planes[i] = (span.start as u64, span.len);
            strides[i] = span.stride;
            if !context.reaches(planes[i].0) {
                return Err(MapError::Elsewhere);
            }
        }
        // SAFETY: each span lies within memory of the shared context, which is the device's primary
        // one, and stays mapped until `change` has come back.
        let frame = unsafe { CudaFrame::new(self.frame, &planes[..count], &strides[..count]) }?;
        Ok(change(frame))
    }

    /// Refuses a GstVideoMeta that contradicts the caps, for which `gst_video_frame_map` would
    /// print a critical warning.
    fn check_meta(&self, buffer: &gst::BufferRef) -> Result<(), MapError> {
        let Some(meta) = buffer.meta::<gst_video::VideoMeta>() else { return Ok(()) };
        let fits = meta.format() == self.info.format()
            && meta.width() >= self.info.width()
            && meta.height() >= self.info.height()
            && meta.n_planes() == self.info.n_planes();
        if fits { Ok(()) } else { Err(MapError::Meta) }
    }

    /// Where the pixels of plane `i` lie. A GstVideoMeta may claim any stride and offset, and
    /// GStreamer does not hold them against the size of the memory: this does.
    fn span(
        &self,
        raw: &gst_video::ffi::GstVideoFrame,
        i: usize,
        crop: Crop,
    ) -> Result<PlaneRange, MapError> {
        // With a GstVideoMeta each plane is mapped by itself, else the buffer as a whole.
        let map = if raw.meta.is_null() { &raw.map[0] } else { &raw.map[i] };
        let stride = usize::try_from(raw.info.stride[i]).map_err(|_| MapError::Stride)?;
        let (row, rows) = self.frame.format.plane_size(i, self.frame.width, self.frame.height);
        let len = stride
            .checked_mul(rows - 1)
            .and_then(|n| n.checked_add(row))
            .ok_or(MapError::Stride)?;
        let plane = raw.data[i].cast::<u8>();
        let skip = crop.bytes(self.frame.format, i, stride).ok_or(MapError::Stride)?;
        // Only an address until it is known to lie in the memory.
        let start = plane.wrapping_add(skip);
        let available = (plane as usize)
            .checked_add(skip)
            .and_then(|start| start.checked_sub(map.data as usize))
            .and_then(|skip| map.size.checked_sub(skip))
            .unwrap_or(0);
        if plane.is_null() || len > available {
            return Err(MapError::Short { plane: i, wanted: len, got: available });
        }
        Ok(PlaneRange { start, len, stride })
    }
}

/// Where in its memory the picture begins, as `GstVideoCropMeta` says. Elements before ours are
/// told not to crop so (see `refuse_crop_meta`), but not all ask.
#[derive(Debug, Clone, Copy, Default)]
struct Crop {
    x: usize,
    y: usize,
}

impl Crop {
    /// Of `buffer`. A picture that begins within a block of chroma samples is taken to begin with
    /// the block: half a pixel off at worst.
    fn of(buffer: &gst::BufferRef, frame: &FrameInfo) -> Self {
        let Some(meta) = buffer.meta::<gst_video::VideoCropMeta>() else { return Self::default() };
        let (x, y, _, _) = meta.rect();
        let components = &frame.format.components()[..frame.format.component_count()];
        let block = |shift: u32, at: u32| (at >> shift << shift) as usize;
        Self {
            x: block(components.iter().map(|c| c.hsub).max().unwrap_or(0), x),
            y: block(components.iter().map(|c| c.vsub).max().unwrap_or(0), y),
        }
    }

    /// How many bytes of plane `i` lie before the picture; `None` for absurd numbers.
    fn bytes(self, format: PixelFormat, i: usize, stride: usize) -> Option<usize> {
        let components = &format.components()[..format.component_count()];
        let c = components.iter().find(|c| c.plane == i)?;
        let column = (self.x >> c.hsub).checked_mul(c.step)?;
        (self.y >> c.vsub).checked_mul(stride)?.checked_add(column)
    }
}

/// A frame mapped for its device addresses, which gst-video's own types know nothing of.
struct Mapped(Box<gst_video::ffi::GstVideoFrame>);

impl Mapped {
    fn cuda(buffer: &mut gst::BufferRef, info: &VideoInfo) -> Option<Self> {
        let flags = gst::ffi::GST_MAP_READ | gst::ffi::GST_MAP_WRITE | cuda::MAP;
        // SAFETY: the structure is plain C data, which the call fills.
        let mut frame: Box<gst_video::ffi::GstVideoFrame> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: frame and buffer are borrowed mutably, and the info is one that was read from
        // caps. The frame must not outlive the buffer: callers hold both.
        let done = unsafe {
            gst_video::ffi::gst_video_frame_map(
                &mut *frame,
                mut_override(info.to_glib_none().0),
                buffer.as_mut_ptr(),
                flags,
            )
        };
        (done != glib::ffi::GFALSE).then_some(Self(frame))
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it was mapped, and is unmapped once.
        unsafe { gst_video::ffi::gst_video_frame_unmap(&mut *self.0) };
    }
}

/// The bytes from a plane's first pixel to its last.
#[derive(Clone, Copy)]
struct PlaneRange {
    start: *mut u8,
    len: usize,
    stride: usize,
}

impl PlaneRange {
    const EMPTY: Self = Self { start: std::ptr::null_mut(), len: 0, stride: 0 };

    fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.start as usize, other.start as usize);
        a < b + other.len && b < a + self.len
    }
}

/// Why a buffer's pixels cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub enum MapError {
    /// GStreamer could not map it.
    Map,
    /// GstVideoMeta and caps contradict each other.
    Meta,
    /// A negative or absurd stride.
    Stride,
    /// Less memory than the layout needs.
    Short {
        /// Number of the plane.
        plane: usize,
        /// Bytes that its layout needs.
        wanted: usize,
        /// Bytes that there are.
        got: usize,
    },
    /// Two planes share memory.
    Overlap,
    /// In memory that the GPU in use cannot reach.
    Elsewhere,
    /// The engine refuses it.
    Frame(FrameError),
}

impl From<FrameError> for MapError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map => f.write_str("the buffer cannot be mapped or is smaller than its caps say"),
            Self::Meta => f.write_str("the buffer's GstVideoMeta contradicts the caps"),
            Self::Stride => f.write_str("the buffer's stride is negative or absurd"),
            Self::Short { plane, wanted, got } => {
                write!(f, "plane {plane} needs {wanted} bytes, the buffer has {got}")
            }
            Self::Elsewhere => f.write_str("the buffer lies in memory of another CUDA context"),
            Self::Overlap => f.write_str("two planes of the buffer share memory"),
            Self::Frame(error) => error.fmt(f),
        }
    }
}

fn frame_info(info: &VideoInfo) -> Option<FrameInfo> {
    let format = FORMATS.iter().find(|(f, _)| *f == info.format())?.1;
    let mut frame = FrameInfo::new(format, info.width(), info.height());
    let aspect = info.par();
    if let (Ok(width), Ok(height)) = (aspect.numer().try_into(), aspect.denom().try_into()) {
        frame.pixel_aspect = (width, height);
    }
    let colorimetry = info.colorimetry();
    frame.matrix = match colorimetry.matrix() {
        gst_video::VideoColorMatrix::Bt709 => Matrix::Bt709,
        gst_video::VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        // The nearest of those the engine knows: SMPTE 240M came before BT.709 for the same
        // screens, the FCC's before BT.601.
        gst_video::VideoColorMatrix::Smpte240m => Matrix::Bt709,
        gst_video::VideoColorMatrix::Bt601 | gst_video::VideoColorMatrix::Fcc => Matrix::Bt601,
        _ if info.height() < 720 => Matrix::Bt601,
        _ => Matrix::Bt709,
    };
    frame.range = match (format.model(), colorimetry.range()) {
        (ColorModel::Rgb, _) | (_, gst_video::VideoColorRange::Range0_255) => Range::Full,
        (_, gst_video::VideoColorRange::Range16_235) => Range::Limited,
        // `FrameInfo::new` knows what is usual for the format.
        _ => frame.range,
    };
    frame.chroma_site = chroma_site(info.chroma_site());
    Some(frame)
}

fn chroma_site(site: gst_video::VideoChromaSite) -> ChromaSite {
    use gst_video::VideoChromaSite as Site;
    let (h, v) = (site.contains(Site::H_COSITED), site.contains(Site::V_COSITED));
    match (h, v) {
        (true, true) => ChromaSite::TopLeft,
        (true, false) => ChromaSite::Left,
        // Nobody writes vertically cosited only; the middle is half a pixel off at worst.
        (false, true) => ChromaSite::Center,
        (false, false) if site.contains(Site::NONE) => ChromaSite::Center,
        // Unknown: what H.264 and H.265 mean when they say nothing.
        (false, false) => ChromaSite::Left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Option<FrameInfo> {
        gst::init().unwrap();
        let caps: gst::Caps = text.parse().unwrap();
        FrameMapper::from_caps(&caps).map(|v| v.frame)
    }

    #[test]
    fn colorimetry_comes_from_the_caps() {
        let nv12 = |rest: &str| from(&format!("video/x-raw,format=NV12,{rest}")).unwrap();
        assert_eq!(nv12("width=640,height=480").matrix, Matrix::Bt601);
        assert_eq!(nv12("width=1920,height=1080").matrix, Matrix::Bt709);
        assert_eq!(nv12("width=640,height=480,colorimetry=bt709").matrix, Matrix::Bt709);
        assert_eq!(nv12("width=640,height=480,colorimetry=bt2020").matrix, Matrix::Bt2020);
        // range, matrix, transfer, primaries as numbers: unknown matrix
        assert_eq!(nv12("width=640,height=480,colorimetry=2:0:0:0").matrix, Matrix::Bt601);
        assert_eq!(nv12("width=1280,height=720,colorimetry=2:0:0:0").matrix, Matrix::Bt709);
        assert_eq!(nv12("width=640,height=480").range, Range::Limited);
        assert_eq!(nv12("width=640,height=480,colorimetry=1:4:0:1").range, Range::Full);
        assert_eq!(from("video/x-raw,format=RGB,width=8,height=8").unwrap().range, Range::Full);
        assert_eq!(from("video/x-raw,format=GRAY8,width=8,height=8").unwrap().range, Range::Full);
    }

    #[test]
    fn chroma_sites_come_from_the_caps() {
        let i420 = |site: &str| {
            from(&format!("video/x-raw,format=I420,width=640,height=480,chroma-site={site}"))
                .unwrap()
                .chroma_site
        };
        assert_eq!(i420("mpeg2"), ChromaSite::Left);
        assert_eq!(i420("jpeg"), ChromaSite::Center);
        assert_eq!(i420("cosited"), ChromaSite::TopLeft);
    }

    #[test]
    fn unknown_formats_are_refused() {
        for format in ["P010_10LE", "I420_10LE", "GRAY16_LE", "NV12_4L4", "NV61", "Y41B", "DMA_DRM"]
        {
            assert!(from(&format!("video/x-raw,format={format},width=8,height=8")).is_none());
        }
    }
}
