//! Long runs: memory, threads and files do not grow. `make test` runs some thousand frames,
//! `make soak` a million.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::*;
use gst::prelude::*;

/// Names the long version: `full`.
const VARIABLE: &str = "FACESR_SOAK";

/// Growth of memory that is allowed once all is warm, KiB.
const GROWTH: u64 = 2048;

/// Side of the frames, pixels.
const SIDE: usize = 96;

fn is_full() -> bool {
    std::env::var(VARIABLE).is_ok_and(|how| how == "full")
}

/// What of the machine this process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory: u64,
    threads: usize,
    files: usize,
}

impl Held {
    fn now() -> Self {
        let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        Self {
            memory: line.split_whitespace().nth(1).unwrap().parse().unwrap(),
            threads: count("/proc/self/task"),
            files: count("/proc/self/fd"),
        }
    }

    /// The least of each over a moment: what comes and goes is no growth.
    fn settled() -> Self {
        (0..10)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(20));
                Self::now()
            })
            .reduce(|a, b| Self {
                memory: a.memory.min(b.memory),
                threads: a.threads.min(b.threads),
                files: a.files.min(b.files),
            })
            .unwrap()
    }

    fn check_against(&self, before: &Self, what: &str) {
        eprintln!("{what}: {before:?} before, {self:?} after");
        assert!(self.memory <= before.memory + GROWTH, "{what}: {before:?} before, {self:?} after");
        assert!(self.threads <= before.threads, "{what}: {before:?} before, {self:?} after");
        assert!(self.files <= before.files, "{what}: {before:?} before, {self:?} after");
    }
}

/// A face that comes, walks through the picture and goes, again and again.
struct Walker {
    face: image::GrayImage,
}

impl Walker {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = path.join("../../src/engine/tests/data/face.png");
        let face = image::open(path).unwrap().to_luma8();
        let filter = image::imageops::FilterType::Triangle;
        Self { face: image::imageops::resize(&face, 76, 76, filter) }
    }

    /// Paints the `n`th frame. Of 50 frames 12 have a face.
    fn paint(&self, frame: &mut [u8], n: u64) {
        frame.fill(100 + (n % 7) as u8);
        let (walk, step) = (n / 50, (n % 50) as usize);
        if step >= 12 {
            return;
        }
        let (left, top) = (2 + step, 2 + (walk % 16) as usize);
        for (row, pixels) in self.face.rows().enumerate() {
            let at = (top + row) * SIDE + left;
            for (to, from) in frame[at..].iter_mut().zip(pixels) {
                *to = from.0[0];
            }
        }
    }
}

/// A pipeline that shows the walker, the bin in its middle, and the number of frames that have
/// passed.
fn pipeline(frames: i32) -> (gst::Pipeline, Arc<AtomicU64>) {
    init();
    let line = format!(
        "videotestsrc num-buffers={frames} pattern=black \
         ! video/x-raw,format=GRAY8,width={SIDE},height={SIDE},framerate=25/1 \
         ! facesr name=f detector=seetaface detect-width={SIDE} detect-interval=80 ! fakesink sync=false"
    );
    let pipeline: gst::Pipeline = gst::parse::launch(&line).unwrap().downcast().unwrap();
    let f = pipeline.by_name("f").unwrap();
    let (walker, painted) = (Walker::new(), AtomicU64::new(0));
    f.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            let mut map = buffer.make_mut().map_writable().unwrap();
            walker.paint(&mut map, painted.fetch_add(1, Ordering::Relaxed));
        }
        gst::PadProbeReturn::Ok
    });
    let passed = Arc::new(AtomicU64::new(0));
    let counter = passed.clone();
    f.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    (pipeline, passed)
}

/// Waits until `wanted` frames have passed.
fn await_frames(pipeline: &gst::Pipeline, passed: &AtomicU64, wanted: u64) {
    let bus = pipeline.bus().unwrap();
    let (mut last, mut idle) = (0, 0);
    while passed.load(Ordering::Relaxed) < wanted {
        let kinds = [gst::MessageType::Error, gst::MessageType::Warning];
        let trouble = bus.timed_pop_filtered(20 * gst::ClockTime::MSECOND, &kinds);
        assert!(trouble.is_none(), "{trouble:?}");
        // What else is told (which faces there are) must not pile up here.
        while bus.pop().is_some() {}
        let now = passed.load(Ordering::Relaxed);
        idle = if now == last { idle + 1 } else { 0 };
        last = now;
        assert!(idle < 3000, "it stands still at frame {now}");
    }
}

#[test]
fn frame_after_frame() {
    let frames: u64 = if is_full() { 1_000_000 } else { 6_000 };
    // The first hundred walks touch all that is ever touched.
    let warm = (frames / 4).min(20_000);
    let (pipeline, passed) = pipeline(frames as i32);
    pipeline.set_state(gst::State::Playing).unwrap();
    await_frames(&pipeline, &passed, warm);
    let before = Held::settled();
    let mut most = before;
    for part in 1..=20 {
        await_frames(&pipeline, &passed, warm + (frames - warm) * part / 21);
        let now = Held::now();
        most.memory = most.memory.max(now.memory);
        if is_full() {
            eprintln!("frame {}: {now:?}", passed.load(Ordering::Relaxed));
        }
    }
    let after = Held::settled();
    await_frames(&pipeline, &passed, frames);
    let stats: gst::Structure = pipeline.by_name("f").unwrap().property("stats");
    let count = |name: &str| stats.get::<u64>(name).unwrap();
    assert_eq!(count("frames"), frames);
    // Faces came and went: each walk is a track of its own.
    let (tracks, enhanced) = (count("tracks"), count("faces-enhanced"));
    eprintln!("{frames} frames, {tracks} tracks, {enhanced} faces sharpened, {most:?} at most");
    assert!(tracks >= frames / 200 && enhanced >= frames / 50, "{tracks} {enhanced}");
    after.check_against(&before, "frame after frame");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn start_after_start() {
    let cycles = if is_full() { 200 } else { 40 };
    let warm = cycles / 2;
    let mut before = None;
    let (mut kept, mut passed) = pipeline(-1);
    for i in 0..cycles {
        // Now the same elements again, now new ones.
        if i % 2 == 0 {
            kept.set_state(gst::State::Null).unwrap();
            (kept, passed) = pipeline(-1);
        }
        let from = passed.load(Ordering::Relaxed);
        kept.set_state(gst::State::Playing).unwrap();
        await_frames(&kept, &passed, from + 5);
        kept.set_state(gst::State::Null).unwrap();
        if i + 1 == warm {
            before = Some(Held::settled());
        }
    }
    Held::settled().check_against(&before.unwrap(), "start after start");
}
