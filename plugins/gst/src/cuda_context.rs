//! Frames in the memory of an NVIDIA GPU: `video/x-raw(memory:CUDAMemory)`.
//!
//! GStreamer's CUDA library is looked for at run time, so that the plugin loads everywhere; where
//! the library or the GPU's driver is missing, these caps are not offered. All elements of this
//! process work in the device's primary context, and hand it to their neighbours: memory of another
//! context would be out of reach of the kernels.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::LazyLock;

use gst::ffi as gst_ffi;
use gst::glib::translate::{FromGlibPtrFull, ToGlibPtr};
use gst::prelude::*;
use gst_video::VideoFormat;
use parking_lot::Mutex;

/// The caps feature of such frames.
pub(crate) const FEATURE: &str = "memory:CUDAMemory";

/// Type of the context that elements share (`GST_CUDA_CONTEXT_TYPE`).
const CONTEXT_TYPE: &str = "gst.cuda.context";

/// Asks for device addresses on mapping (`GST_MAP_CUDA` of gstcudamemory.h).
pub(crate) const MAP: gst_ffi::GstMapFlags = gst_ffi::GST_MAP_FLAG_LAST << 1;

/// Formats that GStreamer's CUDA memory and the engine have in common.
const FORMATS: [VideoFormat; 11] = [
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Yv12,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
];

/// The entry points of libgstcuda that are used.
struct Library {
    new_wrapped: unsafe extern "C" fn(*mut c_void, c_int) -> *mut gst_ffi::GstObject,
    new_context: unsafe extern "C" fn(*mut gst_ffi::GstObject) -> *mut gst_ffi::GstContext,
    answer: unsafe extern "C" fn(
        *mut gst_ffi::GstElement,
        *mut gst_ffi::GstQuery,
        *mut gst_ffi::GstObject,
    ) -> c_int,
    is_cuda: unsafe extern "C" fn(*mut gst_ffi::GstMemory) -> c_int,
    /// Waits for what upstream still does to a memory; there since GStreamer 1.24, which needs it.
    sync: Option<unsafe extern "C" fn(*mut gst_ffi::GstMemory)>,
}

impl Library {
    /// Loads it; `None` without it or without a driver.
    fn open() -> Option<Self> {
        if !facesr::internals::cuda::driver_present() {
            return None;
        }
        // SAFETY: the library's initialisers have no preconditions. The signatures are those of
        // its headers, unchanged from 1.22 on. It stays loaded for good, as its types do.
        unsafe {
            let library = libloading::Library::new("libgstcuda-1.0.so.0").ok()?;
            let library: &'static libloading::Library = Box::leak(Box::new(library));
            let load: unsafe extern "C" fn() -> c_int =
                *library.get(b"gst_cuda_load_library\0").ok()?;
            let found = Self {
                new_wrapped: *library.get(b"gst_cuda_context_new_wrapped\0").ok()?,
                new_context: *library.get(b"gst_context_new_cuda_context\0").ok()?,
                answer: *library.get(b"gst_cuda_handle_context_query\0").ok()?,
                is_cuda: *library.get(b"gst_is_cuda_memory\0").ok()?,
                sync: library.get(b"gst_cuda_memory_sync\0").ok().map(|symbol| *symbol),
            };
            (load() != 0).then_some(found)
        }
    }
}

fn library() -> Option<&'static Library> {
    static LIBRARY: LazyLock<Option<Library>> = LazyLock::new(Library::open);
    LIBRARY.as_ref()
}

/// Caps of frames in CUDA memory, of any size the engine takes; none where they cannot be had.
pub(crate) fn caps() -> Option<gst::Caps> {
    library()?;
    Some(
        gst_video::VideoCapsBuilder::new()
            .features([FEATURE])
            .format_list(FORMATS)
            .width_range(1..=facesr::frame::MAX_DIMENSION as i32)
            .height_range(1..=facesr::frame::MAX_DIMENSION as i32)
            .build(),
    )
}

/// Whether these caps are of frames in CUDA memory.
pub(crate) fn are_cuda(caps: &gst::CapsRef) -> bool {
    caps.features(0).is_some_and(|features| features.contains(FEATURE))
}

/// `caps` without those of frames in CUDA memory.
pub(crate) fn without_cuda(caps: &gst::Caps) -> gst::Caps {
    let mut rest = gst::Caps::new_empty();
    let list = rest.make_mut();
    for (structure, features) in caps.iter_with_features() {
        if !features.contains(FEATURE) {
            list.append_structure_full(structure.to_owned(), Some(features.to_owned()));
        }
    }
    rest
}

/// The context that elements share for device `id`: its primary one.
#[derive(Debug, Clone)]
pub(crate) struct CudaContext {
    object: gst::Object,
    /// The driver's own handle.
    handle: usize,
}

/// The shared context of device `id`, made at the first call and kept for good, as frames may
/// outlive every element; `None` where there is no library, driver or device.
pub(crate) fn shared(id: u32) -> Option<CudaContext> {
    static CONTEXTS: LazyLock<Mutex<HashMap<u32, CudaContext>>> = LazyLock::new(Mutex::default);
    let library = library()?;
    let mut contexts = CONTEXTS.lock();
    if let Some(shared) = contexts.get(&id) {
        return Some(shared.clone());
    }
    let handle = facesr::internals::cuda::primary_context(id).ok()?;
    // SAFETY: a context of that device which is never released.
    let object = unsafe { (library.new_wrapped)(handle as *mut c_void, id as c_int) };
    if object.is_null() {
        return None;
    }
    // SAFETY: a new object, and the reference is ours.
    let object = unsafe { gst::Object::from_glib_full(object) };
    let shared = CudaContext { object, handle };
    contexts.insert(id, shared.clone());
    Some(shared)
}

impl CudaContext {
    /// Tells the pipeline of it, so that elements that come later use it too.
    pub(crate) fn announce(&self, element: &gst::Element) {
        let Some(library) = library() else { return };
        // SAFETY: the object is a GstCudaContext.
        let context = unsafe { (library.new_context)(self.object.to_glib_none().0) };
        if context.is_null() {
            return;
        }
        // SAFETY: a new context, and the reference is ours.
        let context = unsafe { gst::Context::from_glib_full(context) };
        let message = gst::message::HaveContext::builder(context).src(element).build();
        let _ = element.post_message(message);
    }

    /// Answers a neighbour's question for a context; false if it asks for something else.
    pub(crate) fn answer(&self, element: &gst::Element, query: &mut gst::QueryRef) -> bool {
        let asked = match query.view() {
            gst::QueryView::Context(asked) => asked.context_type() == CONTEXT_TYPE,
            _ => false,
        };
        let Some(library) = library().filter(|_| asked) else { return false };
        // SAFETY: element and query are borrowed, the object is a GstCudaContext.
        unsafe {
            (library.answer)(
                element.to_glib_none().0,
                query.as_mut_ptr(),
                self.object.to_glib_none().0,
            ) != 0
        }
    }

    /// Whether all of `buffer` lies in CUDA memory, which then is ready to be mapped.
    pub(crate) fn holds(&self, buffer: &gst::BufferRef) -> bool {
        let Some(library) = library() else { return false };
        buffer.n_memory() > 0
            && buffer.iter_memories().all(|memory| {
                let memory = memory.as_mut_ptr_of_ref();
                // SAFETY: a memory of the buffer's, borrowed.
                let ours = unsafe { (library.is_cuda)(memory) != 0 };
                if ours && let Some(sync) = library.sync {
                    // SAFETY: as above, and it is CUDA memory.
                    unsafe { sync(memory) };
                }
                ours
            })
    }

    /// Whether a device address is one of this context's.
    pub(crate) fn reaches(&self, at: u64) -> bool {
        facesr::internals::cuda::context_of(at) == Some(self.handle)
    }
}

/// The pointer that C functions take, though they do not change what they are asked about.
trait Borrowed {
    fn as_mut_ptr_of_ref(&self) -> *mut gst_ffi::GstMemory;
}

impl Borrowed for gst::MemoryRef {
    fn as_mut_ptr_of_ref(&self) -> *mut gst_ffi::GstMemory {
        self.as_ptr().cast_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_caps_are_told_from_others() {
        gst::init().unwrap();
        let caps: gst::Caps =
            "video/x-raw(memory:CUDAMemory),format=NV12; video/x-raw,format=NV12".parse().unwrap();
        assert!(are_cuda(&caps));
        let rest = without_cuda(&caps);
        assert_eq!(rest.to_string(), "video/x-raw, format=(string)NV12");
        assert!(!are_cuda(&rest));
        assert!(without_cuda(&"video/x-raw(memory:CUDAMemory)".parse().unwrap()).is_empty());
    }

    #[test]
    fn nothing_is_offered_without_a_driver() {
        gst::init().unwrap();
        if facesr::internals::cuda::driver_present() {
            return;
        }
        assert!(caps().is_none() && shared(0).is_none());
        assert!(!crate::frame_map::pad_templates()[0].caps().to_string().contains(FEATURE));
    }
}
