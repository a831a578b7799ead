//! The element `facesrenhance`.

use gst::glib;
use gst::prelude::*;

mod face_quota;
mod imp;
mod late_frame_policy;
pub(crate) mod settings;
mod stats;

/// Values of the property `device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstFacesrDevice")]
#[non_exhaustive]
pub enum Device {
    /// The fastest that works.
    #[default]
    #[enum_value(name = "The fastest that works", nick = "auto")]
    Auto,
    /// The CPU.
    #[enum_value(name = "CPU", nick = "cpu")]
    Cpu,
    /// An NVIDIA GPU.
    #[enum_value(name = "NVIDIA GPU", nick = "cuda")]
    Cuda,
}

glib::wrapper! {
    /// Sharpens the faces that the metadata of a buffer names, in place.
    ///
    /// Faces are the `GstVideoRegionOfInterestMeta` of type "face" (in any spelling) that
    /// `facesrdetect`, DL Streamer's `gvadetect` or any other detector has written. What was learnt
    /// of a face goes by the number in its parameter `object_id`, as trackers write it; a face
    /// without is known by its place. Boxes should reach from the
    /// forehead to the chin; `box-scale` adapts those of detectors that draw them otherwise. Only
    /// pixels of faces are read and written: a buffer without faces to sharpen passes through
    /// without being mapped.
    ///
    /// With an NVIDIA GPU, its driver and an ONNX Runtime for CUDA, faces are sharpened there
    /// (properties `device` and `cuda-device-id`), of frames in system memory or in CUDA memory
    /// (`video/x-raw(memory:CUDAMemory)`, offered where GStreamer's CUDA library is installed),
    /// which then stay on the card. A GPU that cannot be used, or fails on the way, is replaced by
    /// the CPU, with one warning message; `device=cuda` refuses to start without one.
    ///
    /// A frame that the sink reports to be late passes untouched, with a QoS message (property
    /// `qos`), and so does one for which the generator fails, with one warning message a run.
    /// In live use (property `live`) a frame whose time is over also passes untouched if two or
    /// more wait behind it in the queue before this element: not all sinks tell.
    /// Where a crowd takes longer than frames are apart, the number of faces is cut to what there is
    /// time for, the largest and those that were sharp before first, and grows again in time.
    /// Lateness that comes of the work done here is not told to the elements before this one:
    /// passing frames untouched cures it, and a decoder would drop them.
    ///
    /// The latency that a live pipeline is told is what the work on a frame takes, measured: 20 ms
    /// to begin with, at most one frame's time, and renewed when the work takes markedly longer or
    /// shorter.
    ///
    /// Interlaced frames are treated as if they were progressive.
    ///
    /// ```shell
    /// gst-launch-1.0 -m filesrc location=in.mp4 ! decodebin ! videoconvert \
    ///     ! facesrdetect ! facesrenhance strength=0.8 ! videoconvert ! autovideosink
    /// ```
    pub struct FacesrEnhance(ObjectSubclass<imp::FacesrEnhance>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Makes the element known to GStreamer.
///
/// # Errors
/// If the name is taken.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Device::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "facesrenhance",
        gst::Rank::NONE,
        FacesrEnhance::static_type(),
    )
}
