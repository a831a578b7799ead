//! Ten bits a sample around an element that takes eight: one filter before it rounds each sample to
//! 8 bits, one behind it adds what the element changed to the samples as they were.
//!
//! What the element leaves alone keeps its ten bits; what it draws has the steps of eight, with the
//! two lower bits of the samples below.

use gst::glib;
use gst::glib::subclass::types::ObjectSubclassIsExt;

/// The format of what passes around the element.
pub(super) const TEN_BITS: gst_video::VideoFormat = gst_video::VideoFormat::I42010le;
/// The format that the element gets.
const EIGHT_BITS: gst_video::VideoFormat = gst_video::VideoFormat::I420;

glib::wrapper! {
    /// The filter before: I420_10LE in, I420 out.
    pub(super) struct ToEightBits(ObjectSubclass<imp::ToEightBits>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

glib::wrapper! {
    /// The filter behind: I420 in, I420_10LE out.
    pub(super) struct ToTenBits(ObjectSubclass<imp::ToTenBits>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Both filters; they may lie on both sides of whatever lets frames keep their order and times.
pub(super) fn around() -> (ToEightBits, ToTenBits) {
    let (before, behind): (ToEightBits, ToTenBits) = (glib::Object::new(), glib::Object::new());
    if let Some(pad) = gst::prelude::ElementExt::static_pad(&before, "sink") {
        behind.imp().originals.keep(&pad);
    }
    (before, behind)
}

/// A sample of 10 bits, rounded to 8.
fn narrow(sample: u16) -> u8 {
    ((sample + 2) >> 2).min(255) as u8
}

/// A sample of 10 bits whose eight became `after`.
fn widen(sample: u16, after: u8) -> u16 {
    let change = i32::from(after) - i32::from(narrow(sample));
    (i32::from(sample) + 4 * change).clamp(0, 1023) as u16
}

mod imp {
    use std::sync::LazyLock;

    use gst::glib;
    use gst::glib::object::Cast;
    use gst::subclass::prelude::*;
    use gst_base::subclass::BaseTransformMode;
    use gst_base::subclass::prelude::*;
    use gst_video::subclass::prelude::*;
    use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef};

    use super::{EIGHT_BITS, TEN_BITS, narrow, widen};
    use crate::media::elements::pad_templates;
    use crate::media::originals::Originals;

    #[derive(Default)]
    pub(in super::super) struct ToEightBits;

    #[derive(Default)]
    pub(in super::super) struct ToTenBits {
        pub(super) originals: Originals,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ToEightBits {
        const NAME: &'static str = "FacesrCliToEightBits";
        type Type = super::ToEightBits;
        type ParentType = gst_video::VideoFilter;
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ToTenBits {
        const NAME: &'static str = "FacesrCliToTenBits";
        type Type = super::ToTenBits;
        type ParentType = gst_video::VideoFilter;
    }

    /// The same caps with this format.
    fn with_format(caps: &gst::Caps, format: VideoFormat, filter: Option<&gst::Caps>) -> gst::Caps {
        let mut other = caps.clone();
        for s in other.make_mut().iter_mut() {
            s.set("format", format.to_str());
        }
        filter.map_or(other.clone(), |filter| {
            filter.intersect_with_mode(&other, gst::CapsIntersectMode::First)
        })
    }

    /// The format on the side that lies opposite to `direction`.
    fn opposite(direction: gst::PadDirection, sink: VideoFormat, src: VideoFormat) -> VideoFormat {
        if direction == gst::PadDirection::Sink { src } else { sink }
    }

    impl ObjectImpl for ToEightBits {}
    impl GstObjectImpl for ToEightBits {}
    impl ElementImpl for ToEightBits {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
                LazyLock::new(|| pad_templates(TEN_BITS, EIGHT_BITS));
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for ToEightBits {
        const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            direction: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            Some(with_format(caps, opposite(direction, TEN_BITS, EIGHT_BITS), filter))
        }
    }

    impl VideoFilterImpl for ToEightBits {
        fn transform_frame(
            &self,
            wide: &VideoFrameRef<&gst::BufferRef>,
            out: &mut VideoFrameRef<&mut gst::BufferRef>,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            for plane in 0..3 {
                let fail = |_| gst::FlowError::Error;
                let (width, at) = (wide.comp_width(plane) as usize, plane as usize);
                let height = wide.comp_height(plane) as usize;
                let stride = out.plane_stride()[at] as usize;
                let rows = rows(wide.plane_data(plane).map_err(fail)?, wide.plane_stride()[at])?;
                let to = out.plane_data_mut(plane).map_err(fail)?;
                for (to, wide) in to.chunks_mut(stride).zip(rows).take(height) {
                    for (to, wide) in to[..width].iter_mut().zip(samples(wide)) {
                        *to = narrow(wide);
                    }
                }
            }
            Ok(gst::FlowSuccess::Ok)
        }
    }

    impl ObjectImpl for ToTenBits {}
    impl GstObjectImpl for ToTenBits {}
    impl ElementImpl for ToTenBits {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
                LazyLock::new(|| pad_templates(EIGHT_BITS, TEN_BITS));
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for ToTenBits {
        const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            direction: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            Some(with_format(caps, opposite(direction, EIGHT_BITS, TEN_BITS), filter))
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            self.originals.clear();
            Ok(())
        }
    }

    impl VideoFilterImpl for ToTenBits {
        fn transform_frame(
            &self,
            after: &VideoFrameRef<&gst::BufferRef>,
            out: &mut VideoFrameRef<&mut gst::BufferRef>,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let filter = self.obj();
            let original =
                self.originals.map(after.buffer().pts(), out.info(), filter.upcast_ref())?;
            for plane in 0..3 {
                let fail = |_| gst::FlowError::Error;
                let (width, at) = (after.comp_width(plane) as usize, plane as usize);
                let height = after.comp_height(plane) as usize;
                let stride = out.plane_stride()[at] as usize;
                let wide = original.plane_data(plane).map_err(fail)?;
                let wide = rows(wide, original.plane_stride()[at])?;
                let after = rows(after.plane_data(plane).map_err(fail)?, after.plane_stride()[at])?;
                let to = out.plane_data_mut(plane).map_err(fail)?;
                for (to, (wide, after)) in to.chunks_mut(stride).zip(wide.zip(after)).take(height) {
                    let pairs = samples(wide).zip(after);
                    for (to, (wide, after)) in to.chunks_exact_mut(2).zip(pairs).take(width) {
                        to.copy_from_slice(&widen(wide, *after).to_le_bytes());
                    }
                }
            }
            Ok(gst::FlowSuccess::Ok)
        }
    }

    /// The rows of a plane.
    fn rows(data: &[u8], stride: i32) -> Result<impl Iterator<Item = &[u8]>, gst::FlowError> {
        let stride = usize::try_from(stride).ok().filter(|stride| *stride > 0);
        Ok(data.chunks(stride.ok_or(gst::FlowError::Error)?))
    }

    /// The samples of 10 bits in a row. What lies above is no part of them.
    fn samples(row: &[u8]) -> impl Iterator<Item = u16> {
        row.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]) & 1023)
    }
}

#[cfg(test)]
mod tests {
    use gst::prelude::*;

    use super::super::originals::Originals;
    use super::*;

    #[test]
    fn what_stays_keeps_its_ten_bits_and_what_changes_changes_alike() {
        for sample in 0..1024 {
            let eight = narrow(sample);
            assert!((i32::from(sample) - 4 * i32::from(eight)).abs() <= 3, "{sample}");
            assert_eq!(widen(sample, eight), sample);
            let brighter = widen(sample, eight.saturating_add(10));
            assert!(brighter == (sample + 40).min(1023) || eight > 245, "{sample}");
        }
    }

    #[test]
    fn frames_that_nobody_changes_pass_with_all_their_bits() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let make = |name| gst::ElementFactory::make(name).build().unwrap();
        let (source, filter, sink) = (make("videotestsrc"), make("capsfilter"), make("fakesink"));
        source.set_property("num-buffers", 5i32);
        source.set_property_from_str("pattern", "snow");
        filter.set_property_from_str("caps", "video/x-raw,format=I420_10LE,width=52,height=38");
        let (to_eight, to_ten) = around();
        let seen = Originals::default();
        seen.keep(&to_eight.static_pad("sink").unwrap());
        let chain = [&source, &filter, to_eight.upcast_ref(), to_ten.upcast_ref(), &sink];
        pipeline.add_many(chain).unwrap();
        gst::Element::link_many(chain).unwrap();
        let after = Originals::default();
        after.keep(&sink.static_pad("sink").unwrap());
        pipeline.set_state(gst::State::Playing).unwrap();
        let bus = pipeline.bus().unwrap();
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = bus.timed_pop_filtered(gst::ClockTime::NONE, &ends).unwrap();
        assert_eq!(end.type_(), gst::MessageType::Eos);
        let bytes = |buffer: gst::Buffer| buffer.map_readable().unwrap().to_vec();
        let mut frames = 0;
        while let Some(before) = seen.take(Some(gst::ClockTime::SECOND * frames / 30)) {
            let after = after.take(before.pts()).unwrap();
            assert!(bytes(before) == bytes(after));
            frames += 1;
        }
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(frames, 5);
    }
}
