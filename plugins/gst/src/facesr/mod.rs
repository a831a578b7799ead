//! The bin `facesr`.

use gst::glib;
use gst::prelude::*;

mod imp;
mod queue;

glib::wrapper! {
    /// Finds small faces and sharpens them: `facesrdetect ! queue ! facesrenhance` in one.
    ///
    /// While the faces of one frame are sharpened, those of the next are being found. The
    /// properties are those of the two elements, which can also be had as the children `detect`
    /// and `enhance` (as in `facesr detect::temporal-smoothing=0.8`); `threads`,
    /// `temporal-smoothing`, `exclude`, `live` and `qos` set both. `stats` has the fields of both.
    ///
    /// ```shell
    /// gst-launch-1.0 filesrc location=in.mp4 ! decodebin ! videoconvert ! facesr \
    ///     ! videoconvert ! autovideosink
    /// ```
    ///
    /// With a live source (property `live`) faces are searched on a thread of their own while
    /// frames pass, and what is late passes untouched: the stream never falls behind for good, and
    /// memory does not grow.
    ///
    /// To get the most from very small faces, enlarge the picture first:
    ///
    /// ```shell
    /// gst-launch-1.0 filesrc location=in.mp4 ! decodebin ! videoconvertscale \
    ///     ! video/x-raw,width=1280 ! facesr ! videoconvert ! autovideosink
    /// ```
    pub struct FacesrBin(ObjectSubclass<imp::FacesrBin>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

/// Makes the element known to GStreamer.
///
/// # Errors
/// If the name is taken.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "facesr", gst::Rank::NONE, FacesrBin::static_type())
}
