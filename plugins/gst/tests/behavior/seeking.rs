//! Seeks: forth, back, in slow and fast motion, and as somebody drags a slider.

use gst::prelude::*;
use gst::{SeekFlags, SeekType};

use crate::{ELEMENTS, Play};

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// A seekable stream of 20 seconds; a test picture's source plays backwards too.
fn play(line: &str) -> Play {
    let play = Play::new(&format!(
        "videotestsrc pattern=snow num-buffers=500 \
         ! video/x-raw,format=NV12,width=96,height=64,framerate=25/1 \
         ! {line} name=f ! fakesink name=s sync=false"
    ));
    play.set(gst::State::Paused);
    play.settle();
    play
}

#[test]
fn to_places() {
    for line in ELEMENTS {
        let play = play(line);
        play.set(gst::State::Playing);
        for (i, second) in [5u64, 1, 9, 0, 19].into_iter().enumerate() {
            play.seen.lock().unwrap().clear();
            let flags = SeekFlags::FLUSH | SeekFlags::ACCURATE;
            play.pipeline.seek_simple(flags, second * gst::ClockTime::SECOND).unwrap();
            play.await_frames(5);
            play.no_errors();
            let seen = play.seen.lock().unwrap();
            let first = 1000 * second * MS;
            assert!(seen.contains(&Some(first)), "{line}: seek {i} to {first}: {:?}", &seen[..5]);
        }
    }
}

#[test]
fn backwards_and_at_other_speeds() {
    for line in ELEMENTS {
        for rate in [-1.0, 2.0, 0.5, -4.0, 30.0] {
            let play = play(line);
            play.seen.lock().unwrap().clear();
            let (start, stop) = (1000 * MS, 4000 * MS);
            play.pipeline
                .seek(
                    rate,
                    SeekFlags::FLUSH | SeekFlags::ACCURATE,
                    SeekType::Set,
                    start,
                    SeekType::Set,
                    stop,
                )
                .unwrap();
            play.set(gst::State::Playing);
            play.await_message(gst::MessageType::Eos);
            let seen: Vec<_> = play.seen.lock().unwrap().iter().flatten().copied().collect();
            let sorted = if rate > 0.0 { seen.is_sorted() } else { seen.iter().rev().is_sorted() };
            assert!(sorted, "{line} at {rate}");
            assert!((74..=76).contains(&seen.len()), "{line} at {rate}: {} frames", seen.len());
        }
    }
}

/// Many seeks in a row while paused; each shows its frame.
#[test]
fn scrubbing() {
    for line in ELEMENTS {
        let play = play(line);
        for i in 0..60u64 {
            let to = (i * 7919 % 480) * 40 * MS;
            play.pipeline.seek_simple(SeekFlags::FLUSH | SeekFlags::ACCURATE, to).unwrap();
            // Every third one is not waited for.
            if i % 3 != 0 {
                play.settle();
                let at = play.pipeline.query_position::<gst::ClockTime>().unwrap();
                assert!(at.absdiff(to) <= 40 * MS, "{line}: {at} instead of {to}");
            }
        }
        play.set(gst::State::Playing);
        play.await_frames(3);
        play.no_errors();
    }
}

#[test]
fn segments_in_a_row_without_flushes() {
    for line in ELEMENTS {
        let play = play(line);
        let seek = |flags: SeekFlags, from: u64| {
            play.pipeline
                .seek(
                    1.0,
                    flags | SeekFlags::SEGMENT,
                    SeekType::Set,
                    from * MS,
                    SeekType::Set,
                    (from + 400) * MS,
                )
                .unwrap();
        };
        seek(SeekFlags::FLUSH, 0);
        play.set(gst::State::Playing);
        for from in [2000, 0, 5000, 8000] {
            play.await_message(gst::MessageType::SegmentDone);
            seek(SeekFlags::empty(), from);
        }
        play.await_message(gst::MessageType::SegmentDone);
        play.no_errors();
        // The first ten, before and perhaps after the first seek, and ten of each of the others.
        // What the source has sent may still be on its way.
        let missing = 50usize.saturating_sub(play.frames());
        play.await_frames(missing);
    }
}

/// A real file through real demuxer and decoder.
#[test]
fn in_a_film() {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        std::path::PathBuf::from,
    );
    let clip = target.join("setup/clips/carphone_pristine.mp4");
    assert!(clip.exists(), "{} is missing: `make setup` fetches it", clip.display());
    for line in ELEMENTS {
        let play = Play::new(&format!(
            "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! {line} name=f \
             ! fakesink name=s sync=false",
            clip.display()
        ));
        play.set(gst::State::Paused);
        play.settle();
        let sink = play.pipeline.by_name("s").unwrap();
        for (rate, from, to) in [(1.0, 1000, 2000), (-1.0, 500, 1500), (2.0, 0, 1000)] {
            play.seen.lock().unwrap().clear();
            let flags = SeekFlags::FLUSH | SeekFlags::ACCURATE;
            sink.seek(rate, flags, SeekType::Set, from * MS, SeekType::Set, to * MS).unwrap();
            play.set(gst::State::Playing);
            play.await_message(gst::MessageType::Eos);
            let seen = play.seen.lock().unwrap().len();
            assert!(seen >= 20, "{line} at {rate}: {seen} frames");
            play.set(gst::State::Paused);
        }
    }
}
