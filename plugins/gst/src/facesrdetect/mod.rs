//! The element `facesrdetect`.

use gst::glib;
use gst::prelude::*;

mod imp;
mod search;
pub(crate) mod settings;
mod stats;

/// Values of the property `detector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstFacesrDetector")]
#[non_exhaustive]
pub enum Detector {
    /// The best whose model is at hand.
    #[default]
    #[enum_value(name = "The best whose model is at hand", nick = "auto")]
    Auto,
    /// SeetaFace; its model is built in.
    #[enum_value(name = "SeetaFace, model built in", nick = "seetaface")]
    SeetaFace,
    /// YuNet, an ONNX file.
    #[enum_value(name = "YuNet, an ONNX file", nick = "yunet")]
    YuNet,
    /// CenterFace, an ONNX file.
    #[enum_value(name = "CenterFace, an ONNX file", nick = "centerface")]
    CenterFace,
    /// None: faces that upstream elements describe are left as they are.
    #[enum_value(name = "None: regions of type face that buffers bring are used", nick = "none")]
    None,
}

glib::wrapper! {
    /// Finds and tracks faces, and describes them in the metadata of each buffer.
    ///
    /// Pixels pass through untouched. Every face becomes a `GstVideoRegionOfInterestMeta` of type
    /// "face" with the parameters `detection` (`confidence`, `x_min`, `y_min`, `x_max`, `y_max`
    /// from 0 to 1) and `object_id` (`id`, the same for the same face in each frame), which is
    /// what DL Streamer's elements read and write. From GStreamer 1.24 on it becomes an object
    /// detection of type `face` with its track in the analytics metadata too. Faces that an element
    /// before this one has described are left, and not described again.
    ///
    /// When faces come or go, an element message `facesr-faces` is posted, with the fields
    /// `timestamp`, `stream-time`, `running-time`, `duration` (all `guint64`, where known) and
    /// `faces`, a list of structures `face` with `id` (`guint64`), `x`, `y`, `w`, `h` (`gdouble`,
    /// pixels) and `score` (`gdouble`).
    ///
    /// In live use (property `live`; by default as the source answers a LATENCY query) no frame
    /// waits for the detector: it searches on a thread of its own, the newest frame there is, and
    /// the tracker carries the faces until it answers. Otherwise the same frames always give the
    /// same faces.
    ///
    /// A frame that the sink reports to be late is not searched (property `qos`): its faces are
    /// those of the frames before, carried on. Interlaced frames are searched as they are, as if
    /// they were progressive.
    ///
    /// ```shell
    /// gst-launch-1.0 -m filesrc location=in.mp4 ! decodebin ! videoconvert \
    ///     ! facesrdetect detector=seetaface ! fakesink
    /// ```
    pub struct FacesrDetect(ObjectSubclass<imp::FacesrDetect>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Makes the element known to GStreamer.
///
/// # Errors
/// If the name is taken.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Detector::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "facesrdetect",
        gst::Rank::NONE,
        FacesrDetect::static_type(),
    )
}
