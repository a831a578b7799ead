//! What the tests of the elements have in common.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test program uses a part of it"
)]

use std::path::PathBuf;
use std::sync::Once;

use facesr::frame::PixelFormat;
use facesr::{CropSquare, Rect};
pub use facesr_testkit::onnx;
use gst::glib;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};

pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstfacesr::plugin_register_static().unwrap();
    });
}

/// Where the clip that everybody has lies.
pub fn clip() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let path = target.join("setup/clips/carphone_pristine.mp4");
    assert!(path.exists(), "{} is missing: `make setup` fetches it", path.display());
    path
}

pub const FORMATS: [(&str, PixelFormat); 20] = [
    ("NV12", PixelFormat::Nv12),
    ("I420", PixelFormat::I420),
    ("YV12", PixelFormat::Yv12),
    ("NV21", PixelFormat::Nv21),
    ("NV16", PixelFormat::Nv16),
    ("Y42B", PixelFormat::Y42b),
    ("Y444", PixelFormat::Y444),
    ("YUY2", PixelFormat::Yuy2),
    ("UYVY", PixelFormat::Uyvy),
    ("RGB", PixelFormat::Rgb),
    ("BGR", PixelFormat::Bgr),
    ("RGBx", PixelFormat::Rgbx),
    ("BGRx", PixelFormat::Bgrx),
    ("xRGB", PixelFormat::Xrgb),
    ("xBGR", PixelFormat::Xbgr),
    ("RGBA", PixelFormat::Rgba),
    ("BGRA", PixelFormat::Bgra),
    ("ARGB", PixelFormat::Argb),
    ("ABGR", PixelFormat::Abgr),
    ("GRAY8", PixelFormat::Gray8),
];

pub fn info(format: &str, width: u32, height: u32) -> VideoInfo {
    init();
    VideoInfo::builder(VideoFormat::from_string(format), width, height)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap()
}

/// Noise that is the same for the same seed.
pub fn noise(len: usize, seed: u32, low: u8, high: u8) -> Vec<u8> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            low + ((state >> 8) % (u32::from(high - low) + 1)) as u8
        })
        .collect()
}

/// A frame of noise in the default layout.
pub fn frame(info: &VideoInfo, seed: u32) -> gst::Buffer {
    stamped(gst::Buffer::from_mut_slice(noise(info.size(), seed, 40, 180)), 0)
}

pub fn stamped(mut buffer: gst::Buffer, n: u64) -> gst::Buffer {
    let b = buffer.make_mut();
    b.set_pts(40 * n * gst::ClockTime::MSECOND);
    b.set_duration(40 * gst::ClockTime::MSECOND);
    buffer
}

/// Adds a face as a plain detector would; its box in whole pixels.
pub fn add_face(buffer: &mut gst::Buffer, id: i32, rect: (u32, u32, u32, u32)) {
    VideoRegionOfInterestMeta::add(buffer.make_mut(), "face", rect).set_id(id);
}

/// Adds a face as a tracker would, with an identity.
pub fn add_named_face(buffer: &mut gst::Buffer, id: i32, rect: (u32, u32, u32, u32)) {
    let mut region = VideoRegionOfInterestMeta::add(buffer.make_mut(), "face", rect);
    region.add_param(gst::Structure::builder("object_id").field("id", id).build());
}

pub fn bytes(buffer: &gst::Buffer) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// The crop square of a face with whole-pixel box `rect`.
pub fn square(rect: (u32, u32, u32, u32), width: u32, height: u32) -> CropSquare {
    let (x, y, w, h) = rect;
    CropSquare::around(&Rect::new(x as f32, y as f32, w as f32, h as f32), width, height).unwrap()
}

/// Where planes lie in a buffer.
pub struct Layout {
    pub offsets: Vec<usize>,
    pub strides: Vec<i32>,
    pub size: usize,
}

impl Layout {
    /// Planes with odd paddings and gaps, as no allocator of GStreamer makes them.
    pub fn odd(format: PixelFormat, width: u32, height: u32) -> Self {
        let mut layout = Self { offsets: Vec::new(), strides: Vec::new(), size: 5 };
        for plane in 0..format.plane_count() {
            let (row, rows) = format.plane_size(plane, width, height);
            let stride = row + 7 + 4 * plane;
            layout.offsets.push(layout.size);
            layout.strides.push(stride as i32);
            layout.size += stride * rows + 11;
        }
        layout
    }

    /// GStreamer's own layout.
    pub fn of(info: &VideoInfo) -> Self {
        Self { offsets: info.offset().to_vec(), strides: info.stride().to_vec(), size: info.size() }
    }

    /// Which bytes hold a sample that the square touches, chroma blocks as a whole.
    pub fn mask(
        &self,
        format: PixelFormat,
        width: u32,
        height: u32,
        square: &CropSquare,
    ) -> Vec<bool> {
        let mut mask = vec![false; self.size];
        for c in &format.components()[..format.component_count()] {
            let touched = |start: f32, n: u32, shift: u32| {
                let step = (1 << shift) as f32;
                (0..n.div_ceil(1 << shift)).filter(move |&i| {
                    (i + 1) as f32 * step > start && (i as f32) * step < start + square.side
                })
            };
            for y in touched(square.y, height, c.vsub) {
                for x in touched(square.x, width, c.hsub) {
                    let row = self.offsets[c.plane] + y as usize * self.strides[c.plane] as usize;
                    mask[row + c.offset + x as usize * c.step] = true;
                }
            }
        }
        mask
    }
}

/// An element with its own bus, in a harness that has caps.
pub struct Bench {
    pub harness: gst_check::Harness,
    pub element: gst::Element,
    pub bus: gst::Bus,
}

impl Bench {
    pub fn new(element: gst::Element) -> Self {
        // A harness says that it is live; what its frames get must not depend on the time of day.
        if element.find_property("live").is_some() {
            element.set_property_from_str("live", "off");
        }
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        Self { harness, element, bus }
    }

    pub fn with_caps(element: gst::Element, info: &VideoInfo) -> Self {
        let mut bench = Self::new(element);
        bench.harness.set_src_caps(info.to_caps().unwrap());
        bench
    }

    pub fn run(&mut self, buffer: gst::Buffer) -> gst::Buffer {
        self.harness.push_and_pull(buffer).unwrap()
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.element.property::<gst::Structure>("stats").get(name).unwrap()
    }

    /// The texts of the warnings since the last call.
    pub fn warnings(&self) -> Vec<String> {
        let texts = self.messages(gst::MessageType::Warning).into_iter().map(|message| {
            let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
            warning.error().to_string()
        });
        texts.collect()
    }

    pub fn messages(&self, kind: gst::MessageType) -> Vec<gst::Message> {
        std::iter::from_fn(|| self.bus.pop()).filter(|m| m.type_() == kind).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.element.set_bus(None);
    }
}

pub fn enhance() -> gst::Element {
    init();
    gst::ElementFactory::make("facesrenhance").build().unwrap()
}

/// The text of the error that keeps `element` from starting.
pub fn start_error(element: gst::Element) -> (glib::Error, String) {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let change = element.set_state(gst::State::Paused).and_then(|_| {
        let (change, ..) = element.state(gst::ClockTime::from_seconds(20));
        change
    });
    assert!(change.is_err(), "it started");
    let message = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error message");
    element.set_state(gst::State::Null).unwrap();
    element.set_bus(None);
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    (error.error(), error.error().to_string())
}

/// A file of the folder that developers have beside the checkout.
pub fn shared(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(name);
    assert!(path.exists(), "{} is missing: leave out the tests named shared_", path.display());
    path
}
