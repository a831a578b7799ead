//! Many cameras in one process.

use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::camera::{Camera, SOURCE};
use crate::common::init;
use crate::guard::{Guarded, launch};
use crate::viewer::{footprint, stat};

/// What a further 640x480 stream may hold, bytes: decoder, queues, tracks and kept faces. Models
/// are shared, and so is what they compute in.
const EACH: u64 = 30 << 20;

/// How often streams search, milliseconds, and what they may spend on it.
fn search(streams: &[Guarded], interval: u32, budget: u32) {
    for f in streams.iter().filter_map(|pipeline| pipeline.by_name("f")) {
        f.set_property("detect-interval", interval);
        f.set_property("detect-budget", budget);
    }
}

/// What the streams hold while none searches: what a search computes in comes and goes, and as many
/// searches go on at the same moment as there are cores, whatever the number of streams.
fn held(streams: &[Guarded]) -> u64 {
    search(streams, 60_000, 0);
    let moments = (0..60).map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        footprint().0
    });
    let least = moments.min().unwrap();
    search(streams, 320, 500);
    least
}

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
        // Late enough that no busy machine is blamed on us.
        assert!(start.elapsed() < Duration::from_secs(180), "nothing happens");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As `facesr serve` does: otherwise what is measured is how many of glibc's pools (eight a core) the threads
/// of the streams happen to use.
fn bound_pools() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes numbers only, and refuses those that it does not like.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
        libc::mallopt(libc::M_ARENA_MAX, 4);
    }
}

#[test]
fn further_streams_cost_little_memory() {
    bound_pools();
    init();
    let camera = Camera::new(640, 480, 4);
    // There is a session for each core at most, opened when so many streams run a model at the same
    // moment, as they do while each of them searches all the time.
    let cores = std::thread::available_parallelism().map_or(2, |n| n.get()).min(4);
    let mut streams: Vec<Guarded> = (0..cores).map(|_| play(&camera)).collect();
    search(&streams, 0, 500);
    std::thread::sleep(Duration::from_secs(2));
    let before = held(&streams);
    // What is left of searches differs by some 60 MB from one moment to the next, whatever the number of streams.
    let more = 6;
    streams.extend((0..more).map(|_| play(&camera)));
    let after = held(&streams);
    let each = after.saturating_sub(before) / more;
    println!(
        "{cores} streams take {} MB, each of {more} more {:.1} MB",
        before >> 20,
        each as f64 / f64::from(1 << 20)
    );
    camera.switch_off();
    assert!(each < EACH, "a further stream costs {} MB", each >> 20);
}
