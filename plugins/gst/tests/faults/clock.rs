//! The clock jumps: somebody sets the date, a network clock loses its master, a laptop wakes up.

use gst::prelude::*;

use crate::common::*;
use crate::{face_frame, warnings};

const HOUR: gst::ClockTime = gst::ClockTime::from_seconds(3600);

fn elements() -> [gst::Element; 3] {
    init();
    ["facesrdetect detector=seetaface", "facesrenhance", "facesr detector=none"]
        .map(|line| gst::parse::launch(line).unwrap())
}

/// Whether the clock, the stamps or both jump, forwards or back: every frame comes out, in order,
/// and once clock and stamps agree again, faces are sharpened again.
#[test]
fn it_jumps_with_and_without_the_stamps() {
    let info = info("NV12", 96, 64);
    for element in elements() {
        let name = element.factory().unwrap().name();
        let mut bench = Bench::new(element);
        bench.element.set_property_from_str("live", "on");
        bench.harness.use_testclock();
        bench.harness.set_src_caps(info.to_caps().unwrap());
        // Hours on the clock, and on the frames.
        let moments = [(0, 0), (1, 1), (2, 0), (2, 2), (24, 3), (24, 24), (24, 0)]
            .map(|(clock, stamp): (u64, u64)| (clock * HOUR, stamp * HOUR));
        let mut count = 0;
        for (clock, stamp) in moments {
            bench.harness.set_time(clock).unwrap();
            for n in 0..5 {
                let mut buffer = face_frame(&info, n, false);
                buffer.make_mut().set_pts(stamp + 40 * n * gst::ClockTime::MSECOND);
                let pts = buffer.pts();
                assert_eq!(bench.run(buffer).pts(), pts, "{name}: {clock} {stamp}");
                count += 1;
            }
        }
        // A sink that has seen the jump says that all is hours late, then that all is well again.
        for late in [HOUR.nseconds() as i64, -1_000_000] {
            let event =
                gst::event::Qos::new(gst::QOSType::Underflow, 1.0, late, gst::ClockTime::SECOND);
            bench.harness.push_upstream_event(event);
            bench.run(face_frame(&info, 1, false));
            count += 1;
        }
        let enhanced =
            || bench.element.find_property("strength").map(|_| bench.stat("faces-enhanced"));
        let before = enhanced();
        // An element that was late takes it easy for less than a second.
        for n in 0..25 {
            let mut buffer = face_frame(&info, n, false);
            buffer.make_mut().set_pts(24 * HOUR + 40 * n * gst::ClockTime::MSECOND);
            bench.harness.set_time(24 * HOUR + 40 * n * gst::ClockTime::MSECOND).unwrap();
            bench.run(buffer);
        }
        assert_eq!(bench.stat("frames"), count + 25, "{name}");
        if let Some(before) = before {
            let after = bench.stat("faces-enhanced");
            assert!(after > before, "{name}: it does not come back: {before} {after}");
        }
        assert_eq!(warnings(&bench), Vec::<String>::new(), "{name}");
        assert_eq!(bench.messages(gst::MessageType::Error).len(), 0, "{name}");
    }
}

/// A pipeline whose clock is exchanged for one that is a year off, and back again.
#[test]
fn another_clock_while_playing() {
    init();
    let line = "videotestsrc num-buffers=300 pattern=snow \
                ! video/x-raw,format=NV12,width=96,height=64,framerate=1000/1 \
                ! facesr name=f detector=seetaface live=on ! fakesink sync=false";
    let pipeline: gst::Pipeline = gst::parse::launch(line).unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(20)).0.unwrap();
    let system = gst::SystemClock::obtain();
    let date: gst::Clock = gst::glib::Object::builder::<gst::SystemClock>()
        .property("clock-type", gst::ClockType::Realtime)
        .build()
        .upcast();
    pipeline.set_state(gst::State::Playing).unwrap();
    for clock in [&date, &system, &date, &system] {
        pipeline.set_clock(Some(clock)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &kinds).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    let stats: gst::Structure = pipeline.by_name("f").unwrap().property("stats");
    assert_eq!(stats.get::<u64>("frames"), Ok(300));
    pipeline.set_state(gst::State::Null).unwrap();
}
