//! Looking at the frames that pass: what reports and harvests are made of.

use std::sync::{Arc, Mutex};

use facesr::{Face, Frame};
use gst::prelude::*;
use gstfacesr::{FaceReader, FrameMapper};

use super::originals::Originals;
use super::status::{PipelineStatus, lock};
use super::timing::running_time;

/// One frame and its faces.
pub(crate) struct ObservedFrame<'a> {
    /// Running time, seconds.
    pub(crate) time: f64,
    /// The frame as it came to the element.
    pub(crate) before: &'a Frame<'a>,
    /// The frame as it left the element: sharpened, if that is what it does.
    pub(crate) after: &'a Frame<'a>,
    /// The faces that were found, in pixels of the frame.
    pub(crate) faces: &'a [Face],
    /// Caps of both frames.
    pub(crate) caps: &'a gst::CapsRef,
}

/// Looks at every frame.
pub(crate) trait FrameObserver: Send {
    /// Looks at the next frame.
    fn on_frame(&mut self, frame: &ObservedFrame<'_>);
}

/// Lets `observer` look at the frames that leave `element` by the pad `after`.
pub(super) fn attach(
    element: &gst::Element,
    after: &gst::Pad,
    observer: Arc<Mutex<dyn FrameObserver>>,
    status: Arc<PipelineStatus>,
) {
    let originals = Originals::default();
    if let Some(before) = element.static_pad("sink") {
        originals.keep(&before);
    }
    let mut reader = FaceReader::default();
    let mut video: Option<(gst::Caps, FrameMapper)> = None;
    let mut faces = Vec::new();
    let mut on_frame = move |pad: &gst::Pad, after: &gst::Buffer| -> Option<()> {
        let before = originals.take(after.pts())?;
        let caps = pad.current_caps()?;
        if video.as_ref().is_none_or(|(known, _)| *known != caps) {
            video = Some((caps.clone(), FrameMapper::from_caps(&caps)?));
        }
        let (caps, video) = video.as_ref()?;
        let size = (video.frame().width, video.frame().height);
        reader.read(after, size, 1.0, &mut faces);
        let time = running_time(pad, after)? as f64 / 1e9;
        video
            .read(&before, |before| {
                video.read(after, |after| {
                    let frame = ObservedFrame { time, before, after, faces: &faces, caps };
                    lock(&observer).on_frame(&frame);
                })
            })
            .ok()?
            .ok()
    };
    let on_frame = move |pad: &gst::Pad, buffer: &gst::Buffer| {
        if on_frame(pad, buffer).is_none() {
            status.warn_once("a frame could not be looked at; it is missing from what is reported");
        }
    };
    let on_frame = Mutex::new(on_frame);
    after.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            (lock(&on_frame))(pad, buffer);
        }
        gst::PadProbeReturn::Ok
    });
}
