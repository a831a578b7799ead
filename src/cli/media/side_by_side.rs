//! Before and after side by side: a filter that puts the kept original to the left of each frame.
//!
//! An aggregator (`compositor`) would resample to a constant frame rate; this keeps every frame's
//! own time, and is deterministic.

use gst::glib;
use gst::glib::subclass::types::ObjectSubclassIsExt;

/// Luma pixels between the two pictures.
const DIVIDER: usize = 2;

/// Keeps the frames that pass `before` for the filter, which must lie downstream of it.
pub(super) fn keep_originals(before: &gst::Pad, filter: &SideBySide) {
    filter.imp().originals.keep(before);
}

/// Where the right picture begins when each is `width` wide; even, so that chroma fits.
pub(super) fn right_edge(width: usize) -> usize {
    width.next_multiple_of(2) + DIVIDER
}

glib::wrapper! {
    /// The filter; I420 in, I420 of twice the width out.
    pub(super) struct SideBySide(ObjectSubclass<imp::SideBySide>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

impl SideBySide {
    /// A new filter.
    pub(super) fn new() -> Self {
        glib::Object::new()
    }
}

mod imp {
    use std::sync::LazyLock;

    use gst::glib;
    use gst::subclass::prelude::*;
    use gst_base::subclass::BaseTransformMode;
    use gst_base::subclass::prelude::*;
    use gst_video::prelude::*;
    use gst_video::subclass::prelude::*;
    use gst_video::{VideoFormat, VideoFrameRef};

    use super::right_edge;
    use crate::media::elements::pad_templates;
    use crate::media::originals::Originals;

    #[derive(Default)]
    pub(in super::super) struct SideBySide {
        pub(super) originals: Originals,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for SideBySide {
        const NAME: &'static str = "FacesrCliSideBySide";
        type Type = super::SideBySide;
        type ParentType = gst_video::VideoFilter;
    }

    impl ObjectImpl for SideBySide {}
    impl GstObjectImpl for SideBySide {}

    impl ElementImpl for SideBySide {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
                LazyLock::new(|| pad_templates(VideoFormat::I420, VideoFormat::I420));
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for SideBySide {
        const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            direction: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            let mut other = gst::Caps::new_empty();
            for s in caps.iter() {
                let mut s = s.to_owned();
                match s.get::<i32>("width") {
                    Ok(width) if direction == gst::PadDirection::Sink => {
                        let width = usize::try_from(width).ok()?;
                        s.set("width", i32::try_from(right_edge(width) + width).ok()?);
                    }
                    // Which width leads to a given one is settled by the sink's caps.
                    _ => s.set("width", gst::IntRange::new(1, i32::MAX)),
                }
                other.make_mut().append_structure(s);
            }
            Some(filter.map_or(other.clone(), |filter| {
                filter.intersect_with_mode(&other, gst::CapsIntersectMode::First)
            }))
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            self.originals.clear();
            Ok(())
        }
    }

    impl VideoFilterImpl for SideBySide {
        fn transform_frame(
            &self,
            after: &VideoFrameRef<&gst::BufferRef>,
            out: &mut VideoFrameRef<&mut gst::BufferRef>,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let filter = self.obj();
            let before =
                self.originals.map(after.buffer().pts(), after.info(), filter.upcast_ref())?;
            let width = after.width() as usize;
            let full_range =
                out.info().colorimetry().range() == gst_video::VideoColorRange::Range0_255;
            let white = if full_range { 255 } else { 235 };
            for plane in 0..3 {
                let sub = usize::from(plane > 0);
                let right = right_edge(width) >> sub;
                let row = after.comp_width(plane as u32) as usize;
                let rows = after.comp_height(plane as u32) as usize;
                let fail = |_| gst::FlowError::Error;
                let (left, left_stride) =
                    (before.plane_data(plane as u32).map_err(fail)?, before.plane_stride()[plane]);
                let (after, after_stride) =
                    (after.plane_data(plane as u32).map_err(fail)?, after.plane_stride()[plane]);
                let out_stride = out.plane_stride()[plane] as usize;
                let out = out.plane_data_mut(plane as u32).map_err(fail)?;
                let lines = out.chunks_mut(out_stride).zip(left.chunks(left_stride as usize));
                for ((out, left), after) in
                    lines.zip(after.chunks(after_stride as usize)).take(rows)
                {
                    out[..row].copy_from_slice(&left[..row]);
                    // An odd width leaves a column before the divider; it takes the divider's white.
                    out[row..right].fill(if plane == 0 { white } else { 128 });
                    out[right..right + row].copy_from_slice(&after[..row]);
                }
            }
            Ok(gst::FlowSuccess::Ok)
        }
    }
}

#[cfg(test)]
#[test]
fn the_divider_is_there_for_even_and_odd_widths() {
    assert_eq!(right_edge(10), 10 + DIVIDER);
    assert_eq!(right_edge(11), 12 + DIVIDER);
}
