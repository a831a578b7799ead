//! Cameras on the network, with a generator that becomes slow in the middle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;

use crate::camera::{Camera, FPS, SOURCE};
use crate::common::init;
use crate::guard::launch;
use crate::viewer::{Viewer, quantile};

/// How long a camera is watched; `FACESR_LIVE_SECONDS` makes it longer.
fn seconds() -> Option<f64> {
    std::env::var("FACESR_LIVE_SECONDS").ok().map(|s| s.parse().unwrap())
}

fn camera() -> Arc<Camera> {
    init();
    if seconds().is_some() { Camera::new(1920, 1080, 8) } else { Camera::new(640, 480, 4) }
}

/// Memory that may come and go: allocators keep what they have been given for a while.
const MEMORY_SLACK: u64 = 16 << 20;

/// What a frame may be later than usual once all is well again. Less than half the time that a
/// frame lasts would blame the machine's scheduler on us.
const USUAL_JITTER: Duration = Duration::from_millis(60);

/// Watches the camera through `source`: some time as usual, then with a generator that is too slow
/// by a factor of five, then as usual again.
fn check(name: &str, camera: &Arc<Camera>, source: &str) {
    let total = Duration::from_secs_f64(seconds().unwrap_or(12.0));
    let mut viewer = Viewer::new(camera, source);
    // What a search of an enlarged frame computes in comes and goes, and would hide what grows.
    viewer.element().set_property("detect-budget", 0u32);
    viewer.watch(Duration::from_secs(3));
    let usual_from = Instant::now();
    viewer.watch(total.mul_f64(0.3));
    let slow_from = Instant::now();
    viewer.slow_down(true);
    viewer.watch(total.mul_f64(0.2));
    viewer.slow_down(false);
    let slow_to = Instant::now();
    viewer.watch(Duration::from_secs(2));
    let well_from = Instant::now();
    viewer.watch(total.mul_f64(0.5) - Duration::from_secs(2));
    let end = Instant::now();

    let f = viewer.element();
    assert!(f.property::<bool>("is-live"), "{name} is live");
    assert_eq!(viewer.troubles, Vec::<String>::new(), "{name}");

    let phases = [(usual_from, slow_from), (slow_from, slow_to), (well_from, end)];
    let [usual, slow, well] = phases.map(|(from, to)| viewer.shown(from, to));
    let rates = [0, 1, 2].map(|i| {
        [&usual, &slow, &well][i].len() as f64 / (phases[i].1 - phases[i].0).as_secs_f64()
    });
    let ms = |d: Duration| d.as_millis();
    let median = quantile(&usual, 0.5);
    let worst = slow.iter().map(|s| s.delay).max().unwrap();
    // When the delay was usual again: of ten frames in a row, eight at least.
    let after = viewer.shown(slow_to, end);
    let recovered = after.windows(10).find(|w| quantile(w, 0.7) < median + USUAL_JITTER);
    let recovered = recovered.map_or(total, |w| w[0].at - slow_to);
    let at = |moment: Instant| *viewer.samples.iter().rfind(|s| s.at <= moment).unwrap();
    let [began, ended] = [at(slow_from), *viewer.samples.last().unwrap()];
    // What a search computes in comes and goes: the least in the end is held against the most before.
    let memory = |(from, to): (Instant, Instant)| {
        viewer.samples.iter().filter(move |s| (from..to).contains(&s.at)).map(|s| s.memory)
    };
    let memory = [memory(phases[0]).max().unwrap(), memory(phases[2]).min().unwrap()];
    println!(
        "{name}: {:.0} s; delay {} ms (99 %: {}), while slow {} at most, back after {} ms, then {} \
         (99 %: {}); frames/s {:.1}, slow {:.1}, then {:.1}; untouched while slow {}, else {}; \
         MB {} to {}, threads {} to {}",
        total.as_secs_f64(),
        ms(median),
        ms(quantile(&usual, 0.99)),
        ms(worst),
        ms(recovered),
        ms(quantile(&well, 0.5)),
        ms(quantile(&well, 0.99)),
        rates[0],
        rates[1],
        rates[2],
        at(slow_to).late - began.late,
        began.late + ended.late - at(well_from).late,
        memory[0] >> 20,
        memory[1] >> 20,
        began.threads,
        ended.threads
    );

    assert!(worst < median + Duration::from_secs(1), "{name}: frames queue up while slow");
    assert!(recovered < Duration::from_secs(2), "{name}: still late {recovered:?} after");
    // Some frames wait for a busy machine; that they keep coming late would be ours.
    let well_delay = quantile(&well, 0.9);
    assert!(well_delay < median + USUAL_JITTER, "{name}: delay stays at {well_delay:?}");
    let (fps, tenth) = (f64::from(FPS), f64::from(FPS) / 10.0);
    assert!(rates[0] > fps - tenth && rates[2] > fps - tenth, "{name}: frames are lost");
    assert!(rates[1] > fps - 2.0 * tenth, "{name}: frames are lost while it is slow");
    assert!(at(slow_to).late > began.late, "{name}: late frames should pass untouched");
    let rate = |(from, to): (Instant, Instant), frames: usize| {
        (at(to).enhanced - at(from).enhanced) as f64 / frames as f64
    };
    let faces = [rate(phases[0], usual.len()), rate(phases[2], well.len())];
    assert!(faces[0] > 0.5, "{name}: {} faces a frame", faces[0]);
    // After a time of need faces come back one by one.
    assert!(faces[1] > 0.5 * faces[0], "{name}: {faces:?} faces a frame before and after");
    assert!(memory[1] < memory[0] + MEMORY_SLACK, "{name}: memory grows");
    assert!(ended.threads <= began.threads + 2, "{name}: threads are left over");
}

#[test]
fn rtp_over_udp() {
    let camera = camera();
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = format!("{SOURCE} ! udpsink host=127.0.0.1 port={port} sync=false");
    let sender = launch(&line);
    sender.set_state(gst::State::Playing).unwrap();
    camera.film((*sender).upcast_ref());
    let source = format!(
        "udpsrc port={port} buffer-size=2000000 caps=\"application/x-rtp,media=video,\
         clock-rate=90000,encoding-name=H264,payload=96\" ! rtpjitterbuffer latency=100 \
         ! rtph264depay ! avdec_h264 max-threads=1"
    );
    check("RTP over UDP", &camera, &source);
    camera.switch_off();
}

#[test]
fn rtsp() {
    let camera = camera();
    let context = glib::MainContext::new();
    let main_loop = glib::MainLoop::new(Some(&context), false);
    let server = gst_rtsp_server::RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service("0");
    let factory = gst_rtsp_server::RTSPMediaFactory::new();
    factory.set_launch(&format!("( {SOURCE} )"));
    factory.set_shared(true);
    let filming = camera.clone();
    factory.connect_media_configure(move |_, media| {
        filming.film(media.element().downcast_ref().unwrap());
    });
    server.mount_points().unwrap().add_factory("/camera", factory);
    server.attach(Some(&context)).unwrap();
    let port = server.bound_port();
    let serving = {
        let main_loop = main_loop.clone();
        std::thread::spawn(move || main_loop.run())
    };
    // Over TCP a receiver that falls behind holds up the sender: the harder case.
    let line = format!(
        "rtspsrc location=rtsp://127.0.0.1:{port}/camera latency=100 protocols=tcp \
         ! rtph264depay ! avdec_h264 max-threads=1"
    );
    check("RTSP over TCP", &camera, &line);
    camera.switch_off();
    main_loop.quit();
    serving.join().unwrap();
}
