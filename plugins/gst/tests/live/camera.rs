//! A camera that is no load to the machine: faces, encoded once and sent over and over, each frame
//! with its number in the picture.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_video::prelude::*;

use crate::common::clip;
use crate::guard::launch;

pub(crate) const FPS: u32 = 25;
/// Ten seconds: nothing in a pipeline is older, so a number stands for one moment only.
pub(crate) const FRAMES: usize = 250;
/// Side of a field of the number's pattern, and how many there are; whole blocks of the codec.
const FIELD: usize = 16;
const FIELDS: usize = 8;

/// Where a frame's number is written: the fields' middle, along the lower edge.
fn fields(height: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..FIELDS).map(move |i| (i * FIELD, height - FIELD))
}

/// The number in a decoded picture.
pub(crate) fn number(frame: &gst_video::VideoFrameRef<&gst::BufferRef>) -> usize {
    let (luma, stride) = (frame.plane_data(0).unwrap(), frame.plane_stride()[0] as usize);
    fields(frame.height() as usize).enumerate().fold(0, |n, (i, (x, y))| {
        let bright = luma[(y + FIELD / 2) * stride + x + FIELD / 2] > 128;
        n | usize::from(bright) << i
    })
}

/// What arrives at a sink named `sink` until the stream ends.
fn collect(line: &str, feed: impl FnOnce(&gst::Pipeline)) -> Vec<gst::Buffer> {
    let pipeline = launch(line);
    let buffers = Arc::new(Mutex::new(Vec::new()));
    let list = buffers.clone();
    let pad = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        list.lock().unwrap().push(info.buffer().unwrap().copy_deep().unwrap());
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    feed(&pipeline);
    let bus = pipeline.bus().unwrap();
    for message in bus.iter_timed(gst::ClockTime::from_seconds(120)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(e) => panic!("{} {:?}", e.error(), e.debug()),
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    std::mem::take(&mut *buffers.lock().unwrap())
}

/// Size of the picture that holds one face of the clip, about 40 pixels high.
const TILE: (usize, usize) = (112, 80);

/// A picture of `width` x `height` (I420) with `faces` times the clip's frame, and `number`.
fn compose(width: usize, height: usize, faces: usize, tile: &[u8], number: usize) -> Vec<u8> {
    let mut picture = vec![90u8; width * height * 3 / 2];
    picture[width * height..].fill(128);
    let columns = (width - 32) / (TILE.0 + 16);
    for i in 0..faces {
        // Even places, so that chroma samples fall on chroma samples.
        let (x, y) = (16 + i % columns * (TILE.0 + 16), 16 + i / columns * (TILE.1 + 16));
        let (mut from, mut to) = (0, 0);
        for half in [1, 2, 2] {
            let (w, h) = (TILE.0 / half, TILE.1 / half);
            for row in 0..h {
                let at = to + (y / half + row) * (width / half) + x / half;
                picture[at..at + w].copy_from_slice(&tile[from + row * w..][..w]);
            }
            from += w * h;
            to += width / half * (height / half);
        }
    }
    for (i, (x, y)) in fields(height).enumerate() {
        let value = if number >> i & 1 == 1 { 235 } else { 16 };
        for row in y..y + FIELD {
            picture[row * width + x..][..FIELD].fill(value);
        }
    }
    picture
}

/// The camera: what it sends, and when it last sent each number.
pub(crate) struct Camera {
    frames: Vec<gst::Buffer>,
    sent: Mutex<Vec<Option<Instant>>>,
    on: AtomicBool,
}

/// What the camera's appsrc and all that follows in a sender begin with.
pub(crate) const SOURCE: &str = "appsrc name=camera is-live=true do-timestamp=true format=time \
                          caps=video/x-h264,stream-format=byte-stream,alignment=au \
                          ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1";

impl Camera {
    /// A camera of `width` x `height` that sees `faces` faces.
    pub(crate) fn new(width: usize, height: usize, faces: usize) -> Arc<Self> {
        let tiles = collect(
            &format!(
                "filesrc location={} ! decodebin ! videoconvert ! videoscale \
                 ! video/x-raw,format=I420,width={},height={} ! identity eos-after={FRAMES} \
                 ! fakesink name=sink sync=false",
                clip().display(),
                TILE.0,
                TILE.1
            ),
            |_| (),
        );
        let line = format!(
            "appsrc name=in block=true max-bytes=20000000 format=time \
             caps=video/x-raw,format=I420,width={width},height={height},framerate={FPS}/1 \
             ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=6000 key-int-max={FPS} \
             ! video/x-h264,stream-format=byte-stream,profile=baseline \
             ! h264parse ! video/x-h264,alignment=au ! fakesink name=sink sync=false"
        );
        let frames = collect(&line, |pipeline| {
            let source = pipeline.by_name("in").unwrap();
            for n in 0..FRAMES {
                // Forth and back, so that the clip has no cut where it begins again.
                let last = tiles.len() - 1;
                let i = n * last * 2 / FRAMES;
                let tile = tiles[if i > last { 2 * last - i } else { i }].map_readable().unwrap();
                let picture = compose(width, height, faces, &tile, n);
                let mut buffer = gst::Buffer::from_mut_slice(picture);
                buffer
                    .get_mut()
                    .unwrap()
                    .set_pts(n as u64 * gst::ClockTime::SECOND / u64::from(FPS));
                let flow: gst::FlowReturn = source.emit_by_name("push-buffer", &[&buffer]);
                assert_eq!(flow, gst::FlowReturn::Ok);
            }
            let _: gst::FlowReturn = source.emit_by_name("end-of-stream", &[]);
        });
        assert_eq!(frames.len(), FRAMES);
        Arc::new(Self { frames, sent: Mutex::new(vec![None; FRAMES]), on: AtomicBool::new(true) })
    }

    /// Sends into the appsrc `camera` of `pipeline`, 25 frames a second, until it is switched off
    /// or nobody takes them any more.
    pub(crate) fn film(self: &Arc<Self>, pipeline: &gst::Bin) {
        let camera = self.clone();
        let source = pipeline.by_name("camera").unwrap();
        std::thread::spawn(move || {
            let start = Instant::now();
            for n in 0u32.. {
                let due = start + n * Duration::from_secs(1) / FPS;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if !camera.on.load(Ordering::Relaxed) {
                    break;
                }
                let i = n as usize % FRAMES;
                let mut buffer = camera.frames[i].copy();
                {
                    // The source says when it was: that is how a camera works.
                    let buffer = buffer.get_mut().unwrap();
                    buffer.set_pts(None);
                    buffer.set_dts(None);
                }
                camera.sent.lock().unwrap()[i] = Some(Instant::now());
                let flow: gst::FlowReturn = source.emit_by_name("push-buffer", &[&buffer]);
                if flow != gst::FlowReturn::Ok {
                    break;
                }
            }
        });
    }

    /// How long ago the frame with this number was sent.
    pub(crate) fn age(&self, number: usize) -> Option<Duration> {
        self.sent.lock().unwrap().get(number).copied().flatten().map(|sent| sent.elapsed())
    }

    pub(crate) fn switch_off(&self) {
        self.on.store(false, Ordering::Relaxed);
    }
}
