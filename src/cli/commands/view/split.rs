//! The parted picture: before on the left, after on the right, and the line between them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gst_video::prelude::*;

use crate::media::lock;

/// How far a key moves the line.
const STEP: f64 = 0.05;
/// Frames that wait for their after; more are those of frames that were dropped on the way.
const WAITING: usize = 64;

/// Where the picture is parted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Split {
    /// 0 (all after) to 1 (all before).
    at: f64,
    /// Where it was before all of one kind was shown.
    last: f64,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyAction {
    /// Nothing more.
    Nothing,
    /// To stop.
    Quit,
}

impl Split {
    pub(super) fn new(at: f64) -> Self {
        Self { at, last: if at > 0.0 && at < 1.0 { at } else { 0.5 } }
    }

    /// A key was pressed, by the name that X has for it.
    pub(super) fn key(&mut self, key: &str) -> KeyAction {
        match key {
            "Left" | "h" => self.part(self.at - STEP),
            "Right" | "l" => self.part(self.at + STEP),
            "b" | "Home" => self.at = 1.0,
            "a" | "End" => self.at = 0.0,
            "space" | " " | "s" if self.at == self.last => self.at = 0.0,
            "space" | " " | "s" => self.at = self.last,
            "q" | "Q" | "Escape" => return KeyAction::Quit,
            _ => {}
        }
        KeyAction::Nothing
    }

    /// Parts the picture there.
    fn part(&mut self, at: f64) {
        self.at = at.clamp(0.0, 1.0);
        self.last = self.at;
    }

    /// The first column of after in a picture of this width; even, so that chroma fits.
    fn column(self, width: usize) -> usize {
        match (self.at * width as f64).round() as usize {
            column if column >= width => width,
            column => column / 2 * 2,
        }
    }
}

/// Parts the I420 frames that leave `element`.
pub(super) fn attach(element: &gst::Element, split: Arc<Mutex<Split>>) {
    let (Some(before), Some(after)) = (element.static_pad("sink"), element.static_pad("src"))
    else {
        return;
    };
    let originals: Arc<Mutex<VecDeque<gst::Buffer>>> = Arc::default();
    let kept = originals.clone();
    before.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            let mut kept = lock(&kept);
            // The reference makes whoever writes in place take a copy.
            kept.push_back(buffer.clone());
            if kept.len() > WAITING {
                kept.pop_front();
            }
        }
        gst::PadProbeReturn::Ok
    });
    after.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let original = {
            let mut originals = lock(&originals);
            let at = originals.iter().position(|before| before.pts() == buffer.pts());
            at.and_then(|at| originals.drain(..=at).next_back())
        };
        let video = pad.current_caps().and_then(|c| gst_video::VideoInfo::from_caps(&c).ok());
        if let Some((original, video)) = original.zip(video) {
            // A frame that cannot be mapped is shown whole.
            let _ = part(&original, buffer.make_mut(), &video, *lock(&split));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Puts what lies left of the line from `before` into `after`, and draws the line.
fn part(
    before: &gst::Buffer,
    after: &mut gst::BufferRef,
    video: &gst_video::VideoInfo,
    split: Split,
) -> Option<()> {
    let column = split.column(video.width() as usize);
    if column == 0 {
        return Some(());
    }
    let before = gst_video::VideoFrameRef::from_buffer_ref_readable(before, video).ok()?;
    let mut after = gst_video::VideoFrameRef::from_buffer_ref_writable(after, video).ok()?;
    let white = match video.colorimetry().range() {
        gst_video::VideoColorRange::Range0_255 => 255,
        _ => 235,
    };
    for plane in 0..3u32 {
        let chroma = usize::from(plane > 0);
        let (rows, row) = (before.comp_height(plane) as usize, before.comp_width(plane) as usize);
        let left = if column >= video.width() as usize { row } else { column >> chroma };
        let line = left..(left + (2 >> chroma)).min(row);
        let from_stride = before.plane_stride()[plane as usize] as usize;
        let to_stride = after.plane_stride()[plane as usize] as usize;
        let from = before.plane_data(plane).ok()?;
        let to = after.plane_data_mut(plane).ok()?;
        for (from, to) in from.chunks(from_stride).zip(to.chunks_mut(to_stride)).take(rows) {
            to[..left].copy_from_slice(&from[..left]);
            to[line.clone()].fill(if plane == 0 { white } else { 128 });
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_the_line() {
        let mut split = Split::new(0.5);
        for (key, column) in [
            ("Right", 54),
            ("Left", 50),
            ("Left", 44),
            ("space", 0),
            ("space", 44),
            ("b", 99),
            ("space", 44),
            ("a", 0),
            ("x", 0),
            ("Right", 4),
        ] {
            assert_eq!(split.key(key), KeyAction::Nothing);
            assert_eq!(split.column(99), column, "{key}");
        }
        assert_eq!(split.key("q"), KeyAction::Quit);
        assert_eq!(Split::new(1.0).column(100), 100);
    }

    #[test]
    fn left_is_before_and_right_is_after() {
        gst::init().unwrap();
        let video = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 21, 6);
        let video = video.build().unwrap();
        let filled = |level: u8| {
            let mut buffer = gst::Buffer::with_size(video.size()).unwrap();
            buffer.get_mut().unwrap().map_writable().unwrap().fill(level);
            buffer
        };
        let (before, mut after) = (filled(10), filled(90));
        part(&before, after.get_mut().unwrap(), &video, Split::new(0.5)).unwrap();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&after, &video).unwrap();
        let row = |plane: u32, y: usize| {
            let stride = frame.plane_stride()[plane as usize] as usize;
            frame.plane_data(plane).unwrap()[y * stride..][..frame.comp_width(plane) as usize]
                .to_vec()
        };
        let luma: Vec<u8> = [vec![10; 10], vec![235; 2], vec![90; 9]].concat();
        assert_eq!((row(0, 0), row(0, 5)), (luma.clone(), luma));
        assert_eq!(row(1, 2), [vec![10; 5], vec![128], vec![90; 5]].concat());
        drop(frame);
        part(&before, after.get_mut().unwrap(), &video, Split::new(1.0)).unwrap();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&after, &video).unwrap();
        assert!(frame.plane_data(0).unwrap()[..21].iter().all(|level| *level == 10));
    }
}
