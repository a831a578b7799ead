//! Many cameras in one process.

use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::camera::{Camera, SOURCE};
use crate::common::init;
use crate::guard::{Guarded, launch};
use crate::viewer::{footprint, stat};

/// What a further 640x480 stream may cost, bytes: decoder, queues, tracks and kept faces. Models
/// are shared, and so is what they compute in.
const EACH: u64 = 30 << 20;

/// Plays one more stream, until faces come out of it.
fn play(camera: &std::sync::Arc<Camera>) -> Guarded {
    let source = SOURCE.split(" ! rtph264pay").next().unwrap();
    let pipeline =
        launch(&format!("{source} ! avdec_h264 max-threads=1 ! facesr name=f ! fakesink"));
    pipeline.set_state(gst::State::Playing).unwrap();
    camera.film((*pipeline).upcast_ref());
    let f = pipeline.by_name("f").unwrap();
    wait(|| stat(&f, "faces-enhanced") > 100);
    pipeline
}

fn wait(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "nothing happens");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn further_streams_cost_little_memory() {
    init();
    let camera = Camera::new(640, 480, 4);
    // There is a session for each core at most, opened when so many streams run a model at the same
    // moment, as they do while each of them searches all the time.
    let cores = std::thread::available_parallelism().map_or(2, |n| n.get()).min(4);
    let mut streams: Vec<Guarded> = (0..cores).map(|_| play(&camera)).collect();
    let search = |interval: u32| {
        let faces = streams.iter().filter_map(|pipeline| pipeline.by_name("f"));
        faces.for_each(|f| f.set_property("detect-interval", interval));
    };
    search(0);
    std::thread::sleep(Duration::from_secs(2));
    search(320);
    std::thread::sleep(Duration::from_secs(1));
    let (before, _) = footprint();
    let more = 3;
    streams.extend((0..more).map(|_| play(&camera)));
    std::thread::sleep(Duration::from_secs(2));
    let (after, _) = footprint();
    let each = after.saturating_sub(before) / more;
    println!(
        "{cores} streams take {} MB, each of {more} more {:.1} MB",
        before >> 20,
        each as f64 / f64::from(1 << 20)
    );
    camera.switch_off();
    assert!(each < EACH, "a further stream costs {} MB", each >> 20);
}
