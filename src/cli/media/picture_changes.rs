//! Notes on a picture that changes in the middle of a video.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gst::prelude::*;
use gst_video::prelude::*;

use super::status::PipelineStatus;

/// Tells of a picture that changes: the output keeps the shape of the first.
pub(super) fn watch_changes(
    pad: &gst::Pad,
    first: gst_video::VideoInfo,
    status: Arc<PipelineStatus>,
) {
    let what = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER;
    pad.add_probe(what, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
            && buffer.video_flags().contains(gst_video::VideoBufferFlags::INTERLACED)
            && first.interlace_mode() != gst_video::VideoInterlaceMode::Interleaved
            && status.frames.load(Ordering::Relaxed) > 0
        {
            status.note_of_kind(
                "interlace",
                "some pictures are interlaced and others not; the output is marked as the \
                 beginning was",
            );
        }
        if let Some(gst::PadProbeData::Event(event)) = &info.data
            && let gst::EventView::Caps(caps) = event.view()
            && let Ok(now) = gst_video::VideoInfo::from_caps(caps.caps())
        {
            let at = status.position.load(Ordering::Relaxed) as f64 / 1e9;
            if (now.width(), now.height()) != (first.width(), first.height()) {
                status.note_of_kind(
                    "size",
                    format!(
                        "the picture becomes {}x{} at about {at:.1} s; it is scaled to the {}x{} \
                         of the beginning",
                        now.width(),
                        now.height(),
                        first.width(),
                        first.height()
                    ),
                );
            }
            let (depth, at_first) = (now.format_info().depth()[0], first.format_info().depth()[0]);
            if depth != at_first {
                status.note_of_kind(
                    "depth",
                    format!(
                        "the video has {depth} bits a sample from about {at:.1} s on, where it had {at_first}; the \
                         output keeps those of the beginning"
                    ),
                );
            }
            if now.par() != first.par() {
                status.note_of_kind(
                    "shape",
                    format!(
                        "the pixels change their shape from {}:{} to {}:{} at about {at:.1} s; the \
                         output keeps that of the beginning",
                        first.par().numer(),
                        first.par().denom(),
                        now.par().numer(),
                        now.par().denom()
                    ),
                );
            }
            if now.is_interlaced() != first.is_interlaced() {
                let what = if now.is_interlaced() { "interlaced" } else { "progressive" };
                status.note_of_kind(
                    "interlace",
                    format!(
                        "the picture becomes {what} at about {at:.1} s; the output is marked as \
                         the beginning was"
                    ),
                );
            }
        }
        gst::PadProbeReturn::Ok
    });
}
