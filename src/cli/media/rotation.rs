//! Pictures that lie on their side, by a tag of the stream.

use gst::prelude::*;

use super::elements::make;
use crate::term::Failure;

/// The orientation that the stream which has passed `pad` declares.
pub(crate) fn orientation_of(pad: &gst::Pad) -> Option<String> {
    let sticky = (0..).map_while(|i| pad.sticky_event::<gst::event::Tag>(i));
    let tags = sticky.filter_map(|event| {
        let tag = event.tag().get::<gst::tags::ImageOrientation>();
        tag.map(|orientation| orientation.get().to_string())
    });
    tags.last()
}

/// Keeps the tag that declares a rotation from the muxer: the picture is upright now.
pub(super) fn drop_orientation(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Tag(tag) = event.view()
            && tag.tag().get::<gst::tags::ImageOrientation>().is_some()
        {
            let mut tags = tag.tag_owned();
            tags.make_mut().remove::<gst::tags::ImageOrientation>();
            *event = gst::event::Tag::new(tags);
        }
        gst::PadProbeReturn::Ok
    });
}

/// How a picture is turned upright and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rotation {
    /// `videoflip`'s name for the way there.
    pub(super) upright: &'static str,
    /// And for the way back.
    pub(super) back: &'static str,
    /// Clockwise degrees; 0 for mirrored pictures, which MP4 players do not turn.
    pub(super) degrees: u32,
}

impl Rotation {
    /// The rotation for a value of the tag `image-orientation`.
    pub(super) fn of(orientation: &str) -> Option<Self> {
        let (upright, back, degrees) = match orientation {
            "rotate-90" => ("90r", "90l", 90),
            "rotate-180" => ("180", "180", 180),
            "rotate-270" => ("90l", "90r", 270),
            "flip-rotate-0" => ("horiz", "horiz", 0),
            "flip-rotate-90" => ("ur-ll", "ur-ll", 0),
            "flip-rotate-180" => ("vert", "vert", 0),
            "flip-rotate-270" => ("ul-lr", "ul-lr", 0),
            _ => return None,
        };
        Some(Self { upright, back, degrees })
    }

    /// MP4's matrix for a picture of this stored size.
    pub(super) fn matrix(self, width: u32, height: u32) -> [i32; 9] {
        const ONE: i32 = 1 << 16;
        let fixed = |n: u32| i32::try_from(u64::from(n) << 16).unwrap_or(0);
        let (a, b, c, d, x, y) = match self.degrees {
            90 => (0, ONE, -ONE, 0, fixed(height), 0),
            180 => (-ONE, 0, 0, -ONE, fixed(width), fixed(height)),
            270 => (0, -ONE, ONE, 0, 0, fixed(width)),
            _ => (ONE, 0, 0, ONE, 0, 0),
        };
        [a, b, 0, c, d, 0, x, y, 1 << 30]
    }

    /// What turns it.
    pub(super) fn element(self, direction: &str) -> Result<gst::Element, Failure> {
        let flip = make("videoflip")?;
        flip.set_property_from_str("video-direction", direction);
        Ok(flip)
    }
}
