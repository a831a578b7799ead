//! What the elements make of live sources: who is taken for live, what latency they tell, how the
//! bin's queue behaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::common::*;
use crate::guard::{Guarded, launch};
use crate::viewer::{brake, stat};

/// Waits until `done`, for 20 seconds at most, and hears of latencies meanwhile.
fn until(pipeline: &gst::Pipeline, done: impl Fn() -> bool) -> usize {
    let (bus, start, mut latencies) = (pipeline.bus().unwrap(), Instant::now(), 0);
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing happens");
        let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(5)) else { continue };
        match message.view() {
            gst::MessageView::Error(e) => panic!("{} {:?}", e.error(), e.debug()),
            gst::MessageView::Latency(l) => {
                let f = pipeline.by_name("f").unwrap();
                latencies += usize::from(l.src().is_some_and(|src| src.has_as_ancestor(&f)));
                pipeline.recalculate_latency().unwrap();
            }
            _ => {}
        }
    }
    latencies
}

fn latency(pipeline: &gst::Pipeline) -> gst::ClockTime {
    let mut query = gst::query::Latency::new();
    assert!(pipeline.query(&mut query));
    query.result().1
}

/// A source, live or not, then `facesr` with these properties, run until frames have come out.
fn run(is_live: bool, properties: &str) -> (Guarded, gst::Element, usize) {
    let pipeline = launch(&format!(
        "videotestsrc is-live={is_live} pattern=snow \
         ! video/x-raw,format=NV12,width=160,height=120,framerate=50/1 \
         ! facesr name=f detector=seetaface {properties} ! fakesink sync=true processing-deadline=0"
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    let f = pipeline.by_name("f").unwrap();
    let latencies = until(&pipeline, || stat(&f, "frames") > 5);
    // The last message may still be on its way.
    let latencies = latencies + until(&pipeline, || stat(&f, "frames") > 8);
    (pipeline, f, latencies)
}

#[test]
fn who_is_live_and_how_long_frames_stay() {
    const MS: gst::ClockTime = gst::ClockTime::MSECOND;
    // The source itself has one frame's duration; so has each element that may keep a frame.
    for (is_live, properties, live, added) in [
        (true, "", true, 20 * MS),
        (true, "live=on", true, 20 * MS),
        (true, "live=off", false, 40 * MS),
        (false, "", false, gst::ClockTime::ZERO),
        (false, "live=on", true, gst::ClockTime::ZERO),
    ] {
        let (pipeline, f, latencies) = run(is_live, properties);
        let case = format!("source live={is_live}, {properties}");
        assert_eq!(f.property::<bool>("is-live"), live, "{case}");
        let queue = f.downcast_ref::<gst::Bin>().unwrap().by_name("queue").unwrap();
        let leaky = format!("{:?}", queue.property_value("leaky"));
        // A source that is not live would run ahead.
        assert_eq!(leaky.contains("downstream"), live && is_live, "{case}: {leaky}");
        let own = if is_live { 20 * MS } else { gst::ClockTime::ZERO };
        assert_eq!(latency(&pipeline), own + added, "{case}");
        assert_eq!(latencies > 0, !added.is_zero(), "{case}: {latencies} messages");
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(!f.property::<bool>("is-live"), "{case}: after the end");
    }
}

#[test]
fn live_use_changes_while_playing() {
    let (pipeline, f, _) = run(true, "detect-interval=0");
    for (value, live) in [("off", false), ("auto", true), ("off", false), ("on", true)] {
        f.set_property_from_str("live", value);
        let frames = stat(&f, "frames") + 10;
        until(&pipeline, || stat(&f, "frames") > frames);
        assert_eq!(f.property::<bool>("is-live"), live, "{value}");
        let before = stat(&f, "detections-run");
        until(&pipeline, || stat(&f, "detections-run") > before + 2);
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// A detector that is far too slow for the stream does not hold it up.
#[test]
fn frames_do_not_wait_for_the_detector() {
    let pipeline = launch(
        "videotestsrc is-live=true pattern=ball \
         ! video/x-raw,format=GRAY8,width=1920,height=1080,framerate=100/1 \
         ! facesrdetect name=f detector=seetaface detect-interval=0 ! fakesink sync=false",
    );
    pipeline.set_state(gst::State::Playing).unwrap();
    let f = pipeline.by_name("f").unwrap();
    until(&pipeline, || stat(&f, "detections-run") >= 4);
    let (run, skipped) = (stat(&f, "detections-run"), stat(&f, "detections-skipped"));
    let frames = stat(&f, "frames");
    pipeline.set_state(gst::State::Null).unwrap();
    // A search of 1080p lasts several frames; how many is the machine's affair.
    assert!(frames > 2 * run && skipped > run, "{frames} frames, {run} searched, {skipped} not");
}

/// No sink says that anything is late, and yet frames do not queue up.
#[test]
fn a_slow_generator_before_a_sink_that_does_not_keep_to_time() {
    let pipeline = launch(
        "videotestsrc is-live=true pattern=snow \
         ! video/x-raw,format=NV12,width=160,height=120,framerate=25/1 \
         ! facesr name=f detector=none ! fakesink name=s sync=false signal-handoffs=true",
    );
    let pad = pipeline.by_name("f").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            add_face(buffer, 1, (40, 30, 24, 30));
        }
        gst::PadProbeReturn::Ok
    });
    let f = pipeline.by_name("f").unwrap();
    let slow = Arc::new(AtomicBool::new(false));
    brake(&f, &slow);
    let delays = Arc::new(std::sync::Mutex::new(Vec::new()));
    let list = delays.clone();
    pipeline.by_name("s").unwrap().connect("handoff", false, move |values| {
        let sink = values[0].get::<gst::Element>().unwrap();
        let pts = values[1].get::<gst::Buffer>().unwrap().pts().unwrap();
        list.lock().unwrap().push(sink.current_running_time().unwrap().saturating_sub(pts));
        None
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    until(&pipeline, || stat(&f, "frames") > 50);
    assert_eq!(stat(&f, "frames-untouched"), 0);
    let before = delays.lock().unwrap().len();
    slow.store(true, Ordering::Relaxed);
    let start = Instant::now();
    until(&pipeline, || start.elapsed() > Duration::from_secs(3));
    slow.store(false, Ordering::Relaxed);
    // Three seconds of 25 frames: what cannot be worked on passes.
    let came = delays.lock().unwrap().len() - before;
    assert!(came > 60, "{came} frames");
    let untouched = stat(&f, "frames-untouched-late");
    assert!(untouched > 10, "{untouched} frames untouched");
    let frames = stat(&f, "frames");
    until(&pipeline, || stat(&f, "frames") > frames + 80);
    let delays = delays.lock().unwrap();
    let worst = delays.iter().max().unwrap();
    assert!(*worst < gst::ClockTime::from_mseconds(600), "{worst}");
    // After the last attempt that took too long, some pass before the next.
    assert!(stat(&f, "frames-untouched-late") < untouched + 30);
    let sharp = &delays[delays.len() - 40..];
    let usual = sharp.iter().filter(|d| **d < gst::ClockTime::from_mseconds(60)).count();
    assert!(usual > 30, "{sharp:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}

/// Beside a branch that waits long, as a camera on `rtspsrc` does by default, frames lie in the
/// bin for as long: they are early, not late, and none may be lost.
#[test]
fn no_frame_is_lost_where_the_pipeline_waits_long() {
    const FRAMES: u64 = 60;
    let pipeline = launch(&format!(
        "videotestsrc is-live=true num-buffers={FRAMES} \
         ! video/x-raw,format=NV12,width=160,height=120,framerate=25/1 \
         ! facesr name=f detector=none ! fakesink name=s sync=true \
         videotestsrc is-live=true num-buffers={FRAMES} \
         ! video/x-raw,format=NV12,width=160,height=120,framerate=25/1 \
         ! identity name=slow ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 \
         ! fakesink sync=true"
    ));
    // What a jitterbuffer of 1.5 s answers.
    let pad = pipeline.by_name("slow").unwrap().static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::PULL, |_, info| {
        if let Some(query) = info.query_mut()
            && let gst::QueryViewMut::Latency(latency) = query.view_mut()
        {
            latency.set(true, gst::ClockTime::from_mseconds(1500), None);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    for message in bus.iter_timed(gst::ClockTime::from_seconds(20)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(e) => panic!("{} {:?}", e.error(), e.debug()),
            gst::MessageView::Warning(w) => panic!("{} {:?}", w.error(), w.debug()),
            gst::MessageView::Latency(_) => pipeline.recalculate_latency().unwrap(),
            _ => {}
        }
    }
    assert!(latency(&pipeline) >= gst::ClockTime::from_mseconds(1500));
    assert_eq!(stat(&pipeline.by_name("f").unwrap(), "frames"), FRAMES);
}

/// What is reported is what the work takes, however slow the camera is.
#[test]
fn latency_of_a_slow_camera_is_not_a_frame() {
    for rate in ["1/1", "1/2", "0/1"] {
        let mut bench = Bench::new(enhance());
        bench.element.set_property_from_str("live", "on");
        let caps = format!("video/x-raw,format=NV12,width=96,height=64,framerate={rate}");
        bench.harness.set_src_caps_str(&caps);
        let info = info("NV12", 96, 64);
        for n in 0..3 {
            let mut buffer = stamped(frame(&info, 1), 50 * n);
            add_face(&mut buffer, 1, (31, 17, 26, 33));
            bench.run(buffer);
        }
        let latency = bench.harness.query_latency();
        assert_eq!(latency, Some(20 * gst::ClockTime::MSECOND), "{rate}");
    }
}

/// The bin says when it takes the stream for live, as its element does.
#[test]
fn bin_notifies_of_is_live() {
    let pipeline = launch(
        "videotestsrc is-live=true ! video/x-raw,format=NV12,width=160,height=120,framerate=50/1 \
         ! facesr name=f detector=none ! fakesink sync=true",
    );
    let f = pipeline.by_name("f").unwrap();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let list = seen.clone();
    f.connect_notify(Some("is-live"), move |f, _| {
        list.lock().unwrap().push(f.property::<bool>("is-live"));
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    until(&pipeline, || stat(&f, "frames") > 2);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(*seen.lock().unwrap(), [true, false]);
}
