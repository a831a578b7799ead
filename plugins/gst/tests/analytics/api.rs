//! GstAnalytics as another element uses it: its library, found at run time and called by itself, so
//! that nothing here depends on what the plugin makes of it.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::LazyLock;

use gst::glib;

#[repr(C)]
#[derive(Clone, Copy)]
struct Mtd {
    id: u32,
    meta: *mut c_void,
}

/// A detection with its track.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detection {
    pub(crate) entry: u32,
    pub(crate) kind: String,
    pub(crate) rect: (i32, i32, i32, i32),
    pub(crate) score: f32,
    /// Number, and nanoseconds at which it was seen first and last.
    pub(crate) track: Option<(u64, u64, u64)>,
}

static LIBRARY: LazyLock<Option<libloading::Library>> = LazyLock::new(|| {
    // SAFETY: the library's initialisers have no preconditions.
    unsafe { libloading::Library::new("libgstanalytics-1.0.so.0") }.ok()
});

/// Whether GStreamer has none, in which case the calling test is left out, aloud.
pub(crate) fn missing() -> bool {
    crate::common::init();
    let missing = LIBRARY.is_none();
    // What a new GStreamer must have is not left out.
    assert!(!missing || gst::version() < (1, 24, 0, 0), "libgstanalytics-1.0.so.0 is missing");
    if missing {
        facesr_testkit::skip::unsupported("GstAnalytics: GStreamer is older than 1.24");
    }
    missing
}

/// Calls a function of the library: `call!(NAME(ARGUMENT: TYPE, ...) -> TYPE)`.
macro_rules! call {
    ($name:literal ($($value:expr => $kind:ty),*) -> $result:ty) => {{
        let library = LIBRARY.as_ref().unwrap();
        // SAFETY: as the header of GStreamer 1.24 declares it, on a buffer that is borrowed.
        unsafe {
            let function: libloading::Symbol<'_, unsafe extern "C" fn($($kind),*) -> $result> =
                library.get(concat!("gst_", $name, "\0").as_bytes()).unwrap();
            function($($value),*)
        }
    }};
}

fn quark(name: &str) -> u32 {
    let name = CString::new(name).unwrap();
    // SAFETY: the name is copied.
    unsafe { glib::ffi::g_quark_from_string(name.as_ptr()) }
}

/// Adds a detection of type `kind`, and of `track` if there is one.
pub(crate) fn add(
    buffer: &mut gst::BufferRef,
    kind: &str,
    (x, y, w, h): (i32, i32, i32, i32),
    track: Option<u64>,
) -> u32 {
    let meta = call!("buffer_add_analytics_relation_meta"(
        buffer.as_mut_ptr() => *mut gst::ffi::GstBuffer) -> *mut c_void);
    assert!(!meta.is_null());
    let mut detection = Mtd { id: 0, meta: std::ptr::null_mut() };
    let done = call!("analytics_relation_meta_add_od_mtd"(
        meta => *mut c_void, quark(kind) => u32, x => c_int, y => c_int, w => c_int, h => c_int,
        0.5 => f32, &mut detection => *mut Mtd) -> c_int);
    assert!(done != 0);
    if let Some(number) = track {
        let mut track = detection;
        let done = call!("analytics_relation_meta_add_tracking_mtd"(
            meta => *mut c_void, number => u64, 0 => u64, &mut track => *mut Mtd) -> c_int);
        assert!(done != 0);
        let related = call!("analytics_relation_meta_set_relation"(
            meta => *mut c_void, 8 => c_int, detection.id => u32, track.id => u32) -> c_int);
        assert!(related != 0);
    }
    detection.id
}

/// All detections of a buffer.
pub(crate) fn read(buffer: &gst::BufferRef) -> Vec<Detection> {
    let meta = call!("buffer_get_analytics_relation_meta"(
        buffer.as_ptr().cast_mut() => *mut gst::ffi::GstBuffer) -> *mut c_void);
    let mut found = Vec::new();
    if meta.is_null() {
        return found;
    }
    let kind = call!("analytics_od_mtd_get_mtd_type"() -> usize);
    let track_kind = call!("analytics_tracking_mtd_get_mtd_type"() -> usize);
    let mut state: *mut c_void = std::ptr::null_mut();
    let mut entry = Mtd { id: 0, meta };
    while call!("analytics_relation_meta_iterate"(
        meta => *mut c_void, &mut state => *mut *mut c_void, kind => usize,
        &mut entry => *mut Mtd) -> c_int)
        != 0
    {
        let ([mut x, mut y, mut w, mut h], mut score) = ([0; 4], 0.0);
        let known = call!("analytics_od_mtd_get_location"(
            &mut entry => *mut Mtd, &mut x => *mut c_int, &mut y => *mut c_int,
            &mut w => *mut c_int, &mut h => *mut c_int, &mut score => *mut f32) -> c_int);
        assert!(known != 0);
        let quark = call!("analytics_od_mtd_get_obj_type"(&mut entry => *mut Mtd) -> u32);
        // SAFETY: the name of a quark lives for ever.
        let name: *const c_char = unsafe { glib::ffi::g_quark_to_string(quark) };
        // SAFETY: it ends with NUL.
        let kind = unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned();
        let mut track = entry;
        // A relation of the kind that GStreamer's own tracker sets.
        let mut related: *mut c_void = std::ptr::null_mut();
        let has_track = call!("analytics_relation_meta_get_direct_related"(
            meta => *mut c_void, entry.id => u32, 8 => c_int, track_kind => usize,
            &mut related => *mut *mut c_void, &mut track => *mut Mtd) -> c_int);
        let track = (has_track != 0).then(|| {
            let (mut number, mut first, mut last, mut lost) = (0, 0, 0, 0);
            let known = call!("analytics_tracking_mtd_get_info"(
                &mut track => *mut Mtd, &mut number => *mut u64, &mut first => *mut u64,
                &mut last => *mut u64, &mut lost => *mut c_int) -> c_int);
            assert!(known != 0 && lost == 0);
            (number, first, last)
        });
        found.push(Detection { entry: entry.id, kind, rect: (x, y, w, h), score, track });
    }
    found
}
