//! How much later a viewer sees a camera through `facesr serve` than by itself. Measures, and asks for nothing: run
//! by `make serve-soak`.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::camera::CameraServer;
use crate::viewer::{ViewedFrame, Viewer};
use crate::{Served, carphone, until};

/// A film of 640x360 with a moving face in each quarter.
fn four_moving_faces(path: &Path) {
    let clip = carphone();
    let source = |n: usize| {
        format!(
            "filesrc location={} ! decodebin ! videoconvert ! videoscale \
             ! video/x-raw,format=I420,width=220,height=160,pixel-aspect-ratio=1/1 ! queue ! c.sink_{n} ",
            clip.display()
        )
    };
    let sources: String = (0..4).map(source).collect();
    facesr_testkit::media::launch(&format!(
        "compositor name=c sink_0::ypos=40 sink_1::xpos=420 sink_1::ypos=40 sink_2::ypos=200 \
         sink_3::xpos=420 sink_3::ypos=200 ! video/x-raw,format=I420,width=640,height=360,framerate=25/1 \
         ! videoconvert ! x264enc speed-preset=veryfast ! mp4mux ! filesink location={} {sources}",
        path.display()
    ));
}

/// When a bar at the top of the picture went on or off: the brightness of the whole jumps.
pub(crate) fn jumps(seen: &[ViewedFrame]) -> Vec<(Instant, bool)> {
    let darkest = seen.iter().map(|s| s.mean).min().unwrap_or_default();
    let brightest = seen.iter().map(|s| s.mean).max().unwrap_or_default();
    let is_on = |s: &ViewedFrame| 2 * s.mean > darkest + brightest;
    let pairs = seen.windows(2).filter(|pair| is_on(&pair[0]) != is_on(&pair[1]));
    pairs.map(|pair| (pair[1].at, is_on(&pair[1]))).collect()
}

#[test]
#[ignore = "it measures how fast this machine is: make serve-soak"]
fn delay_that_is_added_to_a_camera() {
    crate::init();
    let folder = tempfile::tempdir().unwrap();
    let [once, film] = ["once.mp4", "film.mp4"].map(|name| folder.path().join(name));
    four_moving_faces(&once);
    // It lasts for four seconds.
    let again = format!(
        "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! queue ! all. ",
        once.display()
    );
    facesr_testkit::media::launch(&format!(
        "concat name=all ! x264enc speed-preset=veryfast ! mp4mux ! filesink location={} {}",
        film.display(),
        again.repeat(6)
    ));
    let camera = CameraServer::start(
        0,
        &format!(
            "compositor name=c sink_1::zorder=2 ! video/x-raw,format=I420,width=640,height=360,framerate=25/1 \
             ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay name=pay0 pt=96 \
             config-interval=1 \
             filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! identity sync=true ! queue ! c.sink_0 \
             videotestsrc is-live=true pattern=blink ! video/x-raw,width=640,height=40,framerate=2/1 ! queue \
             ! c.sink_1",
            film.display()
        ),
    );
    let served = Served::start(&format!(
        "[cameras.c]\nsource = \"{}\"\ntransport = \"tcp\"\nbefore = true\n",
        camera.address()
    ));
    let direct = Viewer::start_at_once(&camera.address());
    let through = Viewer::start_at_once(&served.address("c"));
    until("pictures", || direct.last().is_some() && through.last().is_some());
    // Faces are known by then.
    std::thread::sleep(Duration::from_secs(2));
    let from = Instant::now();
    std::thread::sleep(Duration::from_secs(8));
    // What a path shows before its camera is there is darker than both.
    let since = |viewer: &Viewer| {
        let seen: Vec<_> = viewer.seen().into_iter().filter(|s| s.at >= from).collect();
        jumps(&seen)
    };
    let (direct, through) = (since(&direct), since(&through));
    // By the millisecond; a viewer that lags by itself may see the other's picture first.
    let mut delays: Vec<_> = direct
        .iter()
        .filter_map(|(at, is_on)| {
            let same = through.iter().filter(|(_, same)| same == is_on);
            let signed = same.map(|(later, _)| match later.checked_duration_since(*at) {
                Some(delay) => delay.as_secs_f64() * 1e3,
                None => -at.duration_since(*later).as_secs_f64() * 1e3,
            });
            signed.min_by(|a, b| a.abs().total_cmp(&b.abs()))
        })
        // The bar goes on once a second: the other viewer's look at this jump lies outside the time looked at.
        .filter(|delay: &f64| delay.abs() < 500.0)
        .collect();
    delays.sort_by(f64::total_cmp);
    assert!(!delays.is_empty(), "{direct:?} {through:?}");
    println!(
        "added to 640x360 at 25 frames/s with four faces, ms: {:.1} in the mean, {:.1} in the middle, {:.1} at most, \
         of {}",
        delays.iter().sum::<f64>() / delays.len() as f64,
        delays[delays.len() / 2],
        delays[delays.len() - 1],
        delays.len()
    );
}
