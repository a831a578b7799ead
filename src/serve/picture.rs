//! A picture on its way from a camera to its outputs.

use gst::prelude::*;
use gst_video::VideoInfo;

/// No picture is longer on its way than this; a stamp that says so is wrong.
const MOST_DELAY: gst::ClockTime = gst::ClockTime::from_seconds(5);

/// A picture and when it came from the camera.
#[derive(Clone)]
pub(crate) struct Picture {
    pub(crate) buffer: gst::Buffer,
    pub(crate) info: VideoInfo,
    /// By the system's clock.
    pub(crate) at: gst::ClockTime,
}

/// Now, by the clock of all pipelines here.
pub(crate) fn now() -> gst::ClockTime {
    gst::SystemClock::obtain().time()
}

/// When what has just come out of `element`'s pipeline, with the given stamp and segment, came in.
pub(crate) fn arrival(
    pts: Option<gst::ClockTime>,
    segment: Option<&gst::Segment>,
    element: &gst::Element,
) -> gst::ClockTime {
    let now = now();
    let running = segment
        .and_then(|segment| segment.downcast_ref::<gst::ClockTime>())
        .and_then(|segment| segment.to_running_time(pts));
    let stamped = running.zip(element.base_time()).map(|(running, base)| running + base);
    stamped.filter(|at| *at <= now && now - *at < MOST_DELAY).unwrap_or(now)
}

/// A time for people.
pub(crate) fn time(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

impl Picture {
    /// A buffer that has just come out of `element`'s pipeline with the given segment.
    pub(crate) fn new(
        buffer: gst::Buffer,
        info: VideoInfo,
        segment: Option<&gst::Segment>,
        element: &gst::Element,
    ) -> Self {
        let at = arrival(buffer.pts(), segment, element);
        Self { buffer, info, at }
    }

    /// A grey picture, for a camera that has never sent one.
    pub(crate) fn grey((width, height): (u32, u32)) -> Option<Self> {
        let info = VideoInfo::builder(gst_video::VideoFormat::I420, width, height).build().ok()?;
        let mut data = vec![128u8; info.size()];
        let luma = info.offset().get(1).copied().unwrap_or(0);
        data.get_mut(..luma)?.fill(60);
        Some(Self { buffer: gst::Buffer::from_mut_slice(data), info, at: now() })
    }

    /// The picture as JPEG.
    pub(crate) fn to_jpeg(&self) -> Option<Vec<u8>> {
        let caps = self.info.to_caps().ok()?;
        let sample = gst::Sample::builder().buffer(&self.buffer).caps(&caps).build();
        let jpeg = gst::Caps::new_empty_simple("image/jpeg");
        let within = gst::ClockTime::from_seconds(2);
        let jpeg = gst_video::convert_sample(&sample, &jpeg, Some(within)).ok()?;
        Some(jpeg.buffer()?.map_readable().ok()?.to_vec())
    }
}

/// Width and height as pictures are shown: with square pixels, and even.
pub(crate) fn shown_size(info: &VideoInfo) -> (u32, u32) {
    let par = info.par();
    let shape = f64::from(par.numer().max(1)) / f64::from(par.denom().max(1));
    let width = (f64::from(info.width()) * shape / 2.0).round() * 2.0;
    let even = |n: u32| (n / 2 * 2).clamp(32, 8192);
    (even(width.clamp(0.0, 8192.0) as u32), even(info.height()))
}
