//! Faces as GstAnalytics metadata: object detections and tracks in a buffer's relation meta.
//!
//! GStreamer has them since 1.24, in a library that is looked for at run time, so that one plugin
//! loads everywhere. Where the library is missing, nothing is read and nothing is written.
//!
//! Conventions of GStreamer's own elements and of DL Streamer: a face is a detection of type
//! `face` (read in any spelling), related to its track by `RELATE_TO`. Times of tracks are running
//! times. Entries can't be taken out of a relation meta: a detection that was left out keeps its
//! entry, and a classification `facesr-excluded` beside it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::LazyLock;

use gst::ffi as gst_ffi;
use gst::glib;

/// Type of the detections that are written.
const FACE: &CStr = c"face";

/// Class of a detection that `exclude` or `roi` leaves out.
const EXCLUDED: &CStr = c"facesr-excluded";

/// `GST_ANALYTICS_REL_TYPE_RELATE_TO`.
const RELATE_TO: c_int = 1 << 3;
/// `GST_ANALYTICS_REL_TYPE_ANY`. Writers differ in how they relate detections and tracks.
const ANY: c_int = c_int::MAX;

/// Bytes of a relation meta that a detection with its track needs.
const BYTES_OF_A_FACE: usize = 128;

/// `GstAnalyticsMtd`: an entry of a relation meta.
#[repr(C)]
#[derive(Clone, Copy)]
struct Mtd {
    id: u32,
    meta: *mut c_void,
}

impl Mtd {
    const NONE: Self = Self { id: 0, meta: std::ptr::null_mut() };
}

/// `GstAnalyticsRelationMetaInitParams`.
#[repr(C)]
struct InitParams {
    initial_relation_order: usize,
    initial_buf_size: usize,
}

/// `GstAnalyticsMtdType`.
type MtdType = usize;
/// `GstAnalyticsRelationMeta *`.
type RelationMeta = *mut c_void;
type GetType = unsafe extern "C" fn() -> MtdType;

/// The entry points of libgstanalytics that are used.
struct Library {
    get: unsafe extern "C" fn(*mut gst_ffi::GstBuffer) -> RelationMeta,
    add: unsafe extern "C" fn(*mut gst_ffi::GstBuffer, *mut InitParams) -> RelationMeta,
    iterate: unsafe extern "C" fn(RelationMeta, *mut *mut c_void, MtdType, *mut Mtd) -> c_int,
    related: unsafe extern "C" fn(
        RelationMeta,
        u32,
        c_int,
        MtdType,
        *mut *mut c_void,
        *mut Mtd,
    ) -> c_int,
    relate: unsafe extern "C" fn(RelationMeta, c_int, u32, u32) -> c_int,
    detection_type: GetType,
    add_detection:
        unsafe extern "C" fn(RelationMeta, u32, c_int, c_int, c_int, c_int, f32, *mut Mtd) -> c_int,
    location: unsafe extern "C" fn(
        *mut Mtd,
        *mut c_int,
        *mut c_int,
        *mut c_int,
        *mut c_int,
        *mut f32,
    ) -> c_int,
    object_type: unsafe extern "C" fn(*mut Mtd) -> u32,
    track_type: GetType,
    add_track: unsafe extern "C" fn(RelationMeta, u64, u64, *mut Mtd) -> c_int,
    track_seen: unsafe extern "C" fn(*mut Mtd, u64) -> c_int,
    track_info: unsafe extern "C" fn(*mut Mtd, *mut u64, *mut u64, *mut u64, *mut c_int) -> c_int,
    class_type: GetType,
    add_class: unsafe extern "C" fn(RelationMeta, f32, u32, *mut Mtd) -> c_int,
    class_index: unsafe extern "C" fn(*mut Mtd, u32) -> c_int,
}

impl Library {
    /// Loads it; `None` where it is missing.
    fn open() -> Option<Self> {
        // SAFETY: the library's initialisers have no preconditions. The signatures are those of its
        // headers, unchanged from 1.24 on. It stays loaded for good, as its types do.
        unsafe {
            let library = libloading::Library::new("libgstanalytics-1.0.so.0").ok()?;
            let library: &'static libloading::Library = Box::leak(Box::new(library));
            macro_rules! symbol {
                ($name:literal) => {
                    *library.get(concat!("gst_", $name, "\0").as_bytes()).ok()?
                };
            }
            Some(Self {
                get: symbol!("buffer_get_analytics_relation_meta"),
                add: symbol!("buffer_add_analytics_relation_meta_full"),
                iterate: symbol!("analytics_relation_meta_iterate"),
                related: symbol!("analytics_relation_meta_get_direct_related"),
                relate: symbol!("analytics_relation_meta_set_relation"),
                detection_type: symbol!("analytics_od_mtd_get_mtd_type"),
                add_detection: symbol!("analytics_relation_meta_add_od_mtd"),
                location: symbol!("analytics_od_mtd_get_location"),
                object_type: symbol!("analytics_od_mtd_get_obj_type"),
                track_type: symbol!("analytics_tracking_mtd_get_mtd_type"),
                add_track: symbol!("analytics_relation_meta_add_tracking_mtd"),
                track_seen: symbol!("analytics_tracking_mtd_update_last_seen"),
                track_info: symbol!("analytics_tracking_mtd_get_info"),
                class_type: symbol!("analytics_cls_mtd_get_mtd_type"),
                add_class: symbol!("analytics_relation_meta_add_one_cls_mtd"),
                class_index: symbol!("analytics_cls_mtd_get_index_by_quark"),
            })
        }
    }
}

fn library() -> Option<&'static Library> {
    static LIBRARY: LazyLock<Option<Library>> = LazyLock::new(|| {
        // Beside an older GStreamer it would be one of another installation.
        let (major, minor, ..) = gst::version();
        if (major, minor) >= (1, 24) { Library::open() } else { None }
    });
    LIBRARY.as_ref()
}

/// Whether detections move with the picture when an element crops, turns or letterboxes it. Before
/// GStreamer 1.28 they follow scaling only.
pub(crate) fn follow_crops() -> bool {
    let (major, minor, ..) = gst::version();
    (major, minor) >= (1, 28)
}

/// A face that a buffer's relation meta describes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DetectedFace {
    /// Place of the detection among the entries of this buffer.
    pub(crate) entry: u32,
    /// Left, top, width and height, pixels.
    pub(crate) rect: [i32; 4],
    pub(crate) score: f32,
    /// Number that a tracker has given it. 0 is one like all others.
    pub(crate) track: Option<u64>,
    /// Whether it was left out by [`exclude`].
    pub(crate) is_excluded: bool,
}

/// A face to be described.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaceToAdd {
    /// Left, top, width and height, pixels.
    pub(crate) rect: [i32; 4],
    pub(crate) score: f32,
    pub(crate) track: u64,
    /// Running times of the first and of this frame that show it.
    pub(crate) seen: [Option<gst::ClockTime>; 2],
}

/// The relation meta of a buffer that is borrowed for as long.
#[derive(Clone, Copy)]
struct Relations {
    library: &'static Library,
    meta: NonNull<c_void>,
}

impl Relations {
    /// Of `buffer`, if it has one.
    fn of(buffer: &gst::BufferRef) -> Option<Self> {
        let library = library()?;
        // SAFETY: the buffer is borrowed, and the call only looks it up.
        let meta = unsafe { (library.get)(buffer.as_ptr().cast_mut()) };
        NonNull::new(meta).map(|meta| Self { library, meta })
    }

    /// Of `buffer`, which is given one with room for `faces` faces if it has none.
    fn make(buffer: &mut gst::BufferRef, faces: usize) -> Option<Self> {
        let library = library()?;
        let mut params = InitParams {
            initial_relation_order: 2 * faces,
            initial_buf_size: BYTES_OF_A_FACE * faces,
        };
        // SAFETY: the buffer is writable, and the parameters are read during the call only.
        let meta = unsafe { (library.add)(buffer.as_mut_ptr(), &mut params) };
        NonNull::new(meta).map(|meta| Self { library, meta })
    }

    /// All entries of a type.
    fn entries(self, of: GetType) -> impl Iterator<Item = Mtd> {
        let mut state = std::ptr::null_mut();
        std::iter::from_fn(move || {
            let mut entry = Mtd::NONE;
            // SAFETY: the meta is its buffer's, which is borrowed; the state began as null.
            let found =
                unsafe { (self.library.iterate)(self.meta.as_ptr(), &mut state, of(), &mut entry) };
            (found != 0).then_some(entry)
        })
    }

    /// The entries of a type to which there is a relation from `from`, whatever it means.
    fn related(self, from: Mtd, to: GetType) -> impl Iterator<Item = Mtd> {
        let mut state = std::ptr::null_mut();
        std::iter::from_fn(move || {
            let mut entry = Mtd::NONE;
            // SAFETY: as above, and `from` is an entry of this meta.
            let found = unsafe {
                let (meta, to) = (self.meta.as_ptr(), to());
                (self.library.related)(meta, from.id, ANY, to, &mut state, &mut entry)
            };
            (found != 0).then_some(entry)
        })
    }

    fn object_type(self, mut detection: Mtd) -> Option<&'static str> {
        // SAFETY: the entry is a detection of this meta; names of quarks live for ever.
        let name: *const c_char =
            unsafe { glib::ffi::g_quark_to_string((self.library.object_type)(&mut detection)) };
        // SAFETY: a string that ends with NUL, if there is one.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })?.to_str().ok()
    }

    fn faces(self) -> impl Iterator<Item = Mtd> {
        self.entries(self.library.detection_type).filter(move |detection| {
            self.object_type(*detection).is_some_and(|name| name.eq_ignore_ascii_case("face"))
        })
    }

    /// Number of a track that goes on.
    fn track_number(self, mut track: Mtd) -> Option<u64> {
        let (mut number, mut first, mut last, mut lost) = (0, 0, 0, 0);
        // SAFETY: the entry is a track of this meta, and all places are ours.
        let known = unsafe {
            (self.library.track_info)(&mut track, &mut number, &mut first, &mut last, &mut lost)
        };
        (known != 0 && lost == 0).then_some(number)
    }

    fn is_excluded(self, detection: Mtd) -> bool {
        let quark = quark(EXCLUDED);
        self.related(detection, self.library.class_type).any(|mut class| {
            // SAFETY: the entry is a classification of this meta.
            unsafe { (self.library.class_index)(&mut class, quark) >= 0 }
        })
    }

    fn read(self, mut detection: Mtd) -> Option<DetectedFace> {
        let ([mut x, mut y, mut w, mut h], mut score) = ([0; 4], 0.0);
        // SAFETY: the entry is a detection of this meta, and all places are ours.
        let known = unsafe {
            (self.library.location)(&mut detection, &mut x, &mut y, &mut w, &mut h, &mut score)
        };
        (known != 0).then(|| DetectedFace {
            entry: detection.id,
            rect: [x, y, w, h],
            score,
            track: self
                .related(detection, self.library.track_type)
                .find_map(|track| self.track_number(track)),
            is_excluded: self.is_excluded(detection),
        })
    }

    /// Adds a face; returns the detection's place among the entries.
    fn add(self, face: &FaceToAdd) -> Option<u32> {
        let Self { library, meta } = self;
        let ([x, y, w, h], meta) = (face.rect, meta.as_ptr());
        let [first, now] = face
            .seen
            .map(|time| time.map_or(gst_ffi::GST_CLOCK_TIME_NONE, gst::ClockTime::nseconds));
        let (mut detection, mut track) = (Mtd::NONE, Mtd::NONE);
        // SAFETY: the meta is a writable buffer's, which is borrowed.
        unsafe {
            let quark = quark(FACE);
            if (library.add_detection)(meta, quark, x, y, w, h, face.score, &mut detection) == 0 {
                return None;
            }
            if (library.add_track)(meta, face.track, first, &mut track) != 0 {
                (library.track_seen)(&mut track, now);
                (library.relate)(meta, RELATE_TO, detection.id, track.id);
            }
        }
        Some(detection.id)
    }

    fn exclude(self, detection: u32) {
        let mut class = Mtd::NONE;
        // SAFETY: the meta is a writable buffer's, which is borrowed.
        unsafe {
            let meta = self.meta.as_ptr();
            if (self.library.add_class)(meta, 1.0, quark(EXCLUDED), &mut class) != 0 {
                (self.library.relate)(meta, RELATE_TO, detection, class.id);
            }
        }
    }
}

fn quark(name: &'static CStr) -> glib::ffi::GQuark {
    // SAFETY: a string that lives for ever and ends with NUL.
    unsafe { glib::ffi::g_quark_from_static_string(name.as_ptr()) }
}

/// The faces that the relation meta of `buffer` describes.
pub(crate) fn faces(buffer: &gst::BufferRef) -> Vec<DetectedFace> {
    let Some(relations) = Relations::of(buffer) else { return Vec::new() };
    let mut faces: Vec<_> = relations.faces().filter_map(|face| relations.read(face)).collect();
    // Some relate the track to the detection instead.
    if faces.iter().any(|face| face.track.is_none()) {
        for track in relations.entries(relations.library.track_type) {
            let Some(number) = relations.track_number(track) else { continue };
            for detection in relations.related(track, relations.library.detection_type) {
                let face = faces.iter_mut().find(|face| face.entry == detection.id);
                if let Some(face) = face.filter(|face| face.track.is_none()) {
                    face.track = Some(number);
                }
            }
        }
    }
    faces
}

/// Types of the detections of `buffer`.
pub(crate) fn object_types(buffer: &gst::BufferRef) -> Vec<&'static str> {
    let Some(relations) = Relations::of(buffer) else { return Vec::new() };
    let detections = relations.entries(relations.library.detection_type);
    detections.filter_map(|detection| relations.object_type(detection)).collect()
}

/// Adds `faces` to the relation meta of `buffer`. Returns the place of each among the entries of
/// this buffer, nothing for those that could not be added, and an empty list where there are no
/// such metas.
pub(crate) fn add(buffer: &mut gst::BufferRef, faces: &[FaceToAdd]) -> Vec<Option<u32>> {
    if faces.is_empty() {
        return Vec::new();
    }
    let Some(relations) = Relations::make(buffer, faces.len()) else { return Vec::new() };
    faces.iter().map(|face| relations.add(face)).collect()
}

/// Marks `detections` of `buffer`, places among its entries, as left out.
pub(crate) fn exclude(buffer: &mut gst::BufferRef, detections: &[u32]) {
    let Some(relations) = Relations::of(buffer) else { return };
    detections.iter().for_each(|detection| relations.exclude(*detection));
}

/// Says that a test is left out where GStreamer has no such metas.
#[cfg(test)]
pub(crate) fn missing() -> bool {
    gst::init().unwrap();
    let missing = library().is_none();
    if missing {
        facesr_testkit::skip::unsupported("GstAnalytics: GStreamer is older than 1.24");
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: i32, track: u64) -> FaceToAdd {
        let seen = [Some(gst::ClockTime::SECOND), None];
        FaceToAdd { rect: [x, 20, 30, 40], score: 0.75, track, seen }
    }

    #[test]
    fn detections_are_read_as_they_were_added() {
        if missing() {
            return;
        }
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.get_mut().unwrap();
        assert!(faces(buffer).is_empty() && add(buffer, &[]).is_empty());
        // More than the room that was asked for at first.
        let mut entries = Vec::new();
        for n in 0..40 {
            entries.extend(add(buffer, &[face(n, n as u64)]));
        }
        let found = faces(buffer);
        assert_eq!(found.len(), 40);
        for (n, face) in found.iter().enumerate() {
            assert_eq!(Some(face.entry), entries[n]);
            assert_eq!((face.rect, face.score), ([n as i32, 20, 30, 40], 0.75));
            assert_eq!((face.track, face.is_excluded), (Some(n as u64), false));
        }
        assert!(object_types(buffer).iter().all(|name| *name == "face"));
        exclude(buffer, &[found[3].entry]);
        let left_out: Vec<_> = faces(buffer).iter().map(|face| face.is_excluded).collect();
        assert_eq!(left_out.iter().filter(|out| **out).count(), 1);
        assert!(left_out[3]);
    }

    #[test]
    fn an_older_gstreamer_has_none() {
        gst::init().unwrap();
        let (major, minor, ..) = gst::version();
        if (major, minor) >= (1, 24) {
            return;
        }
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.get_mut().unwrap();
        assert!(add(buffer, &[face(1, 1)]).is_empty() && faces(buffer).is_empty());
    }
}
