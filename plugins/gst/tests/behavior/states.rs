//! State changes, in any order and number.

use gst::State::{Null, Paused, Playing, Ready};
use gst::prelude::*;

use crate::common::*;
use crate::{ELEMENTS, FACE, Play, element};

const STATES: [gst::State; 4] = [Null, Ready, Paused, Playing];

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Threads of GStreamer's pools and of the system's end a little later.
fn settled(count: impl Fn() -> usize, most: usize) -> usize {
    for _ in 0..100 {
        if count() <= most {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    count()
}

/// The idea of GStreamer's own check of all elements: an element by itself goes up and down.
#[test]
fn alone_up_and_down_a_hundred_times() {
    for line in ELEMENTS {
        let element = element(line);
        let mut before = None;
        for i in 0..100 {
            for state in [Ready, Paused, Playing, Paused, Ready, Null] {
                assert_ne!(
                    element.set_state(state),
                    Err(gst::StateChangeError),
                    "{line}: {state:?}"
                );
                let (change, ..) = element.state(gst::ClockTime::from_seconds(20));
                assert!(change.is_ok(), "{line}: {state:?}");
            }
            if i == 9 {
                before = Some((threads(), files()));
            }
        }
        let (before_threads, before_files) = before.unwrap();
        assert!(settled(threads, before_threads) <= before_threads, "{line}: threads");
        assert!(settled(files, before_files) <= before_files, "{line}: files");
    }
}

#[test]
fn every_state_can_be_reached_from_every_other() {
    for line in ELEMENTS {
        let element = element(line);
        for from in STATES {
            for to in STATES {
                for state in [from, to] {
                    element.set_state(state).unwrap_or_else(|_| panic!("{line}: {from:?} {to:?}"));
                    let (change, now, _) = element.state(gst::ClockTime::from_seconds(20));
                    assert!(change.is_ok() && now == state, "{line}: {from:?} {to:?}: {now:?}");
                }
            }
        }
        element.set_state(Null).unwrap();
    }
}

/// In a pipeline with data, the four states in every order there is.
#[test]
fn all_states_in_all_orders() {
    let orders: Vec<[gst::State; 4]> = (0..4usize.pow(4))
        .map(|n| [n / 64, n / 16 % 4, n / 4 % 4, n % 4].map(|i| STATES[i]))
        .filter(|order| STATES.iter().all(|state| order.contains(state)))
        .collect();
    assert_eq!(orders.len(), 24);
    for line in ELEMENTS {
        let play = Play::new(&format!(
            "videotestsrc pattern=snow ! video/x-raw,format=NV12,width=96,height=64 \
             ! {line} name=f ! fakesink sync=false"
        ));
        for order in &orders {
            for state in order {
                play.set(*state);
                play.settle();
                if *state == Playing {
                    play.await_frames(1);
                }
            }
            play.no_errors();
        }
    }
}

/// Nothing waits for the last change to be over.
#[test]
fn in_a_pipeline_up_and_down_without_waiting() {
    for line in ELEMENTS {
        let play = Play::new(&format!(
            "videotestsrc pattern=snow ! video/x-raw,format=NV12,width=96,height=64 \
             ! {line} name=f ! fakesink sync=false"
        ));
        for i in 0..100usize {
            play.set(STATES[1 + i % 3]);
            if i % 10 == 0 {
                play.settle();
            }
            play.set(STATES[i * 7 % 4]);
        }
        play.set(Playing);
        play.await_frames(3);
        play.no_errors();
    }
}

#[test]
fn in_a_pipeline_each_run_counts_from_the_start() {
    for line in ELEMENTS {
        let play = Play::new(&format!(
            "videotestsrc num-buffers=4 pattern=snow ! video/x-raw,format=NV12,width=96,height=64 \
             ! {line} name=f ! fakesink sync=false"
        ));
        for _ in 0..25 {
            play.set(Playing);
            play.await_message(gst::MessageType::Eos);
            assert_eq!(play.stat("frames"), 4, "{line}");
            play.set(Ready);
        }
    }
}

#[test]
fn live_pipelines_up_and_down() {
    for line in ["facesrdetect detector=seetaface", "facesrenhance", "facesr detector=seetaface"] {
        let play = Play::new(&format!(
            "videotestsrc is-live=true pattern=snow \
             ! video/x-raw,format=NV12,width=96,height=64,framerate=100/1 \
             ! {line} name=f ! fakesink sync=false"
        ));
        let mut before = None;
        for i in 0..30 {
            play.set(Playing);
            play.await_frames(1 + i % 5);
            play.set(STATES[i % 3]);
            if i == 9 {
                play.set(Null);
                before = Some(threads());
            }
        }
        play.set(Null);
        let before = before.unwrap();
        assert!(
            settled(threads, before) <= before,
            "{line}: {} threads, {before} before",
            threads()
        );
    }
}

#[test]
fn start_stop_start_with_other_properties() {
    let info = info("GRAY8", 96, 64);
    for line in ELEMENTS {
        let element = element(line);
        for (name, value) in [
            ("detector", "none"),
            ("strength", "0.5"),
            ("detector", "seetaface"),
            ("threads", "2"),
            ("detect-interval", "120"),
            ("temporal-smoothing", "0"),
            ("live", "on"),
            ("device", "cpu"),
            ("detector", "auto"),
            ("max-faces", "1"),
        ] {
            if element.find_property(name).is_some() {
                element.set_property_from_str(name, value);
            }
            let mut bench = Bench::with_caps(element.clone(), &info);
            for n in 0..3 {
                let mut buffer = stamped(frame(&info, n as u32), n);
                add_face(&mut buffer, 1, FACE);
                bench.run(buffer);
            }
            assert_eq!(bench.stat("frames"), 3, "{line} {name}={value}");
            drop(bench);
            element.set_state(Null).unwrap();
        }
    }
}

/// A pad that is gone or a peer that refuses ends the stream, not the process.
#[test]
fn unlinked_elements_stop() {
    for line in ELEMENTS {
        let play = Play::new(&format!(
            "videotestsrc ! video/x-raw,format=NV12,width=96,height=64 ! {line} name=f"
        ));
        // A pipeline of gst-launch would complain of the same.
        play.set(Playing);
        let bus = play.pipeline.bus().unwrap();
        let message = bus
            .timed_pop_filtered(gst::ClockTime::from_seconds(20), &[gst::MessageType::Error])
            .unwrap_or_else(|| panic!("{line}: no error"));
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        assert!(error.error().is::<gst::StreamError>(), "{line}: {}", error.error());
    }
}
