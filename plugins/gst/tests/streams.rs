//! Streams that are damaged on their way, through real demuxers and decoders: whatever comes of
//! them, every frame that reaches the bin leaves it, and the pipeline ends in words.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::*;
use gst::glib;
use gst::prelude::*;

/// Damages one byte in so many.
const ONE_IN: [u32; 3] = [20_000, 1_000, 50];

/// Starts GStreamer; what demuxers and decoders warn of is not for this test to judge.
fn start() {
    init();
    glib::log_set_always_fatal(glib::LogLevels::LEVEL_ERROR);
}

/// How a stream ended, and how many frames have entered and left the bin.
#[derive(Debug)]
struct Ended {
    error: Option<String>,
    frames: [u64; 2],
}

/// Runs `line`, in which the element under test is `f`, to its end. A demuxer that never ends is
/// stopped from outside.
fn run(line: &str) -> Ended {
    let pipeline: gst::Pipeline = gst::parse::launch(line).unwrap().downcast().unwrap();
    let f = pipeline.by_name("f").unwrap();
    let counts = ["sink", "src"].map(|name| {
        let count = Arc::new(AtomicU64::new(0));
        let counter = count.clone();
        f.static_pad(name).unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            gst::PadProbeReturn::Ok
        });
        count
    });
    let now = || counts.each_ref().map(|count| count.load(Ordering::SeqCst));
    let _ = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().unwrap();
    let (mut idle, mut last) = (0, [0; 2]);
    let error = loop {
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        match bus.timed_pop_filtered(100 * gst::ClockTime::MSECOND, &kinds) {
            Some(message) => match message.view() {
                gst::MessageView::Error(e) => {
                    let from = message.src().map_or(String::new(), |src| src.path_string().into());
                    assert!(!from.contains("facesr"), "{line}: {} {:?}", e.error(), e.debug());
                    break Some(e.error().to_string());
                }
                _ => break None,
            },
            None => {
                idle = if now() == last { idle + 1 } else { 0 };
                last = now();
                if idle > 30 {
                    break Some("it stood still".into());
                }
            }
        }
    };
    let frames = now();
    let (change, ..) = {
        pipeline.set_state(gst::State::Null).unwrap();
        pipeline.state(gst::ClockTime::from_seconds(20))
    };
    change.unwrap();
    Ended { error, frames }
}

const TAIL: &str = "! videoconvert ! facesr name=f detector=seetaface detect-interval=600 \
                    ! fakesink sync=false";

/// Bytes of the file are damaged: boxes, tables, packets.
#[test]
fn damaged_files() {
    start();
    let mut frames = 0;
    for one_in in ONE_IN {
        for seed in 1..=4 {
            let probability = 1.0 / f64::from(one_in);
            let ended = run(&format!(
                "filesrc location={} ! breakmydata seed={seed} probability={probability} \
                 ! decodebin {TAIL}",
                clip().display()
            ));
            if ended.error.is_none() {
                assert_eq!(ended.frames[0], ended.frames[1], "one in {one_in}, {seed}: {ended:?}");
            }
            frames += ended.frames[1];
        }
    }
    assert!(frames > 0, "nothing was left to work on in any file");
}

/// Packets are damaged between demuxer and decoder; the decoder conceals what it can.
#[test]
fn damaged_packets() {
    start();
    let dir = tempfile::tempdir().unwrap();
    let jpegs = dir.path().join("a.avi");
    let pictures = "videotestsrc num-buffers=60 pattern=ball ! video/x-raw,width=160,height=120";
    assert_eq!(
        play(&format!("{pictures} ! jpegenc ! avimux ! filesink location={}", jpegs.display())),
        None
    );
    let sources = [
        format!("filesrc location={} ! qtdemux ! h264parse", clip().display()),
        format!("filesrc location={} ! avidemux", jpegs.display()),
    ];
    for (source, decoder) in sources.iter().zip(["avdec_h264", "jpegdec"]) {
        let mut frames = 0;
        for one_in in ONE_IN {
            for seed in 1..=3 {
                let probability = 1.0 / f64::from(one_in);
                let ended = run(&format!(
                    "{source} ! breakmydata seed={seed} probability={probability} ! {decoder} {TAIL}"
                ));
                if ended.error.is_none() {
                    assert_eq!(ended.frames[0], ended.frames[1], "{decoder} {one_in} {seed}");
                }
                frames += ended.frames[1];
            }
        }
        assert!(frames > 60, "{decoder}: {frames} frames");
    }
}

/// A pipeline without the bin, to its end; what went wrong.
fn play(line: &str) -> Option<String> {
    let pipeline = gst::parse::launch(line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    pipeline.set_state(gst::State::Null).unwrap();
    let end = end.map(|message| message.type_());
    (end != Some(gst::MessageType::Eos)).then(|| format!("{end:?}"))
}

/// Files that end too early, anywhere.
#[test]
fn files_cut_short() {
    start();
    let whole = std::fs::read(clip()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for part in 1..12 {
        let path: &Path = &dir.path().join(format!("{part}.mp4"));
        std::fs::write(path, &whole[..whole.len() * part / 12]).unwrap();
        let ended = run(&format!("filesrc location={} ! decodebin {TAIL}", path.display()));
        if ended.error.is_none() {
            assert_eq!(ended.frames[0], ended.frames[1], "{part}/12: {ended:?}");
        }
    }
}
