//! `make serve-soak`: four cameras with four faces each and every fault by turns, while viewers that connect once look
//! on. Prints what it measures.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use facesr_serve::{Config, Service};

use crate::camera::CameraServer;
use crate::viewer::Viewer;
use crate::{carphone, until};

/// What befalls the cameras by turns.
const FAULTS: [&str; 7] =
    ["killed", "5 % lost", "stalled", "another size", "another codec", "refused", "garbage"];
/// Between two faults.
const CALM: Duration = Duration::from_secs(8);
/// What may be grown to after the warm-up, kilobytes.
const MOST_GROWTH: i64 = 5 * 1024;

/// Serves the file that it is told until its standard input ends; run by the test below, in a process of its own.
#[test]
#[ignore = "it is a part of another test"]
fn soak_child() {
    let Some(path) = std::env::var_os("FACESR_TEST_SOAK") else { return };
    facesr_serve::bound_memory();
    crate::init();
    let config = Config::read(Path::new(&path)).unwrap();
    let mut service = Service::start(config, std::sync::Arc::new(|_| ())).unwrap();
    println!("addresses {} {}", service.rtsp_address(), service.http_address().unwrap());
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        service.tick();
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A still of `size` with a face in each quarter.
fn four_faces(path: &Path) {
    let clip = carphone();
    let source = |n: usize| {
        format!(
            "filesrc location={} ! decodebin ! videoconvert ! videoscale \
             ! video/x-raw,format=I420,width=220,height=180,pixel-aspect-ratio=1/1 ! c.sink_{n} ",
            clip.display()
        )
    };
    let sources: String = (0..4).map(source).collect();
    facesr_testkit::media::launch(&format!(
        "compositor name=c sink_1::xpos=420 sink_2::ypos=180 sink_3::xpos=420 sink_3::ypos=180 \
         ! video/x-raw,width=640,height=360 ! videoconvert ! jpegenc snapshot=true \
         ! filesink location={} {sources}",
        path.display()
    ));
}

/// A camera that shows the still in a size, as H.264 or as JPEG.
fn line(still: &Path, (width, height): (u32, u32), codec: &str) -> String {
    let encode = match codec {
        "jpeg" => "jpegenc ! rtpjpegpay name=pay0 pt=26",
        _ => {
            "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! valve name=valve \
             ! identity name=loss ! rtph264pay name=pay0 pt=96 config-interval=1"
        }
    };
    format!(
        "filesrc location={} ! jpegdec ! videoconvert ! videoscale \
         ! video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1 \
         ! imagefreeze is-live=true ! video/x-raw,framerate=15/1 ! {encode}",
        still.display()
    )
}

/// How long memory is looked at: what searches leave is given back every ten seconds.
const LOOK: Duration = Duration::from_secs(12);

/// Memory in kilobytes, threads and open files of a process: the least of a while, since a search has
/// its working memory while it runs and gives it back; and the most memory.
fn resources(child: &Child) -> (i64, usize, usize, i64) {
    let folder = format!("/proc/{}", child.id());
    let memory = || -> i64 {
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let count = |what| std::fs::read_dir(format!("{folder}/{what}")).unwrap().count();
    let start = Instant::now();
    let (mut least, mut most) = ((i64::MAX, usize::MAX, usize::MAX), 0);
    while start.elapsed() < LOOK {
        let now = (memory(), count("task"), count("fd"));
        least = (least.0.min(now.0), least.1.min(now.1), least.2.min(now.2));
        most = most.max(now.0);
        std::thread::sleep(Duration::from_millis(20));
    }
    (least.0, least.1, least.2, most)
}

#[test]
#[ignore = "it lasts as long as FACESR_SOAK_SECONDS says: make serve-soak"]
fn soak_of_four_cameras_with_every_fault() {
    crate::init();
    let seconds = std::env::var("FACESR_SOAK_SECONDS").map_or(600, |s| s.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let still = folder.path().join("four.jpg");
    four_faces(&still);
    let usual = line(&still, (640, 360), "h264");
    let mut cameras: Vec<_> = (0..4).map(|_| Some(CameraServer::start(0, &usual))).collect();
    let ports: Vec<_> = cameras.iter().flatten().map(|camera| camera.port).collect();
    let mut text = "[server]\nrtsp = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n".to_string();
    for (n, camera) in cameras.iter().flatten().enumerate() {
        text += &format!(
            "[cameras.c{n}]\nsource = \"{}\"\ntransport = \"tcp\"\ntimeout = 5\n",
            camera.address()
        );
    }
    let file = folder.path().join("cameras.toml");
    std::fs::write(&file, text).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "soak::soak_child", "--ignored", "--nocapture"])
        .env("FACESR_TEST_SOAK", &file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let addresses = lines.find_map(|line| Some(line.ok()?.strip_prefix("addresses ")?.to_string()));
    let addresses = addresses.expect("it serves");
    let (rtsp, http) = addresses.split_once(' ').unwrap();
    let http = http.parse().unwrap();
    let live = |n: usize| {
        let status: serde_json::Value =
            serde_json::from_str(&crate::http::text(http, "/status")).unwrap();
        status["cameras"][format!("c{n}")]["state"] == "live"
    };
    until("the cameras", || (0..4).all(live));
    let viewers: Vec<Vec<_>> = (0..4)
        .map(|n| (0..2).map(|_| Viewer::start(&format!("rtsp://{rtsp}/c{n}"), "tcp")).collect())
        .collect();
    until("pictures", || viewers.iter().flatten().all(|viewer| viewer.last().is_some()));

    let (start, mut faults, mut seen) = (Instant::now(), 0, Vec::new());
    while start.elapsed() < Duration::from_secs(seconds) {
        let n = faults % 4;
        let kind = FAULTS[faults % FAULTS.len()];
        let began = Instant::now();
        match kind {
            "5 % lost" => {
                cameras[n].as_ref().unwrap().lose(0.05);
                std::thread::sleep(Duration::from_secs(10));
                cameras[n].as_ref().unwrap().lose(0.0);
            }
            "stalled" => {
                cameras[n].as_ref().unwrap().silence(true);
                std::thread::sleep(Duration::from_secs(20));
                cameras[n].as_ref().unwrap().silence(false);
            }
            _ => {
                drop(cameras[n].take());
                let port = ports[n];
                match kind {
                    "refused" => {
                        let camera = CameraServer::start_with_password(port, &usual);
                        std::thread::sleep(Duration::from_secs(20));
                        drop(camera);
                    }
                    "garbage" => {
                        let stop = crate::outages::garbage(port);
                        std::thread::sleep(Duration::from_secs(10));
                        stop();
                    }
                    _ => std::thread::sleep(Duration::from_secs(5)),
                }
                let (size, codec) = match kind {
                    "another size" => ((320, 180), "h264"),
                    "another codec" => ((640, 360), "jpeg"),
                    _ => ((640, 360), "h264"),
                };
                cameras[n] = Some(CameraServer::start(port, &line(&still, size, codec)));
            }
        }
        let outage = began.elapsed();
        until("that it is back", || live(n));
        let back = began.elapsed().saturating_sub(outage);
        std::thread::sleep(CALM);
        for (other, viewers) in viewers.iter().enumerate() {
            for viewer in viewers {
                viewer.assert_well();
                let gap = viewer.longest_gap(began);
                let whose = if other == n { "its" } else { "another's" };
                if other == n || gap > Duration::from_millis(500) {
                    println!("{kind} c{n}: {whose} viewer's longest gap (c{other}) {gap:.2?}");
                }
            }
        }
        // A codec without a valve is exchanged at once.
        if kind == "another codec" {
            drop(cameras[n].take());
            cameras[n] = Some(CameraServer::start(ports[n], &usual));
            until("that it is as before", || live(n));
        }
        let now = resources(&child);
        println!(
            "{:4} s: {kind} for {outage:.1?}, back after {back:.1?}; {} to {} kB, {} threads, {} files",
            start.elapsed().as_secs(),
            now.0,
            now.3,
            now.1,
            now.2
        );
        seen.push(now);
        faults += 1;
    }
    let metrics = crate::http::text(http, "/metrics");
    for line in metrics.lines().filter(|line| {
        [
            "facesr_frames_total",
            "facesr_reconnects",
            "facesr_faces_enhanced",
            "facesr_delay_seconds_sum",
            "facesr_delay_seconds_count",
            "facesr_behind",
        ]
        .iter()
        .any(|name| line.starts_with(name))
    }) {
        println!("{line}");
    }
    // Working memory comes and goes: what grows shows in the least of a round of all faults. Threads and files are the
    // fewest while a camera is exchanged, so that what grows shows in the middle of a round. The first round warms up.
    let summary = |round: &[(i64, usize, usize, i64)]| {
        let middle = |count: fn(&(i64, usize, usize, i64)) -> usize| {
            let mut counts: Vec<_> = round.iter().map(count).collect();
            counts.sort_unstable();
            counts[counts.len() / 2]
        };
        let memory = round.iter().map(|now| now.0).min().unwrap_or(0);
        (memory, middle(|now| now.1), middle(|now| now.2))
    };
    let round = FAULTS.len();
    let compared = (seen.len() > 2 * round)
        .then(|| (summary(&seen[round..2 * round]), summary(&seen[seen.len() - round..])));
    match compared {
        Some((second, last)) => println!(
            "least kB, threads and files in the middle: second round {second:?}, last {last:?}"
        ),
        None => println!("{} faults, too few to compare: two rounds are {}", seen.len(), 2 * round),
    }
    viewers.iter().flatten().for_each(Viewer::assert_well);
    drop(viewers);
    child.kill().unwrap();
    child.wait().unwrap();
    if let Some((warm, end)) = compared {
        assert!(end.0 - warm.0 <= MOST_GROWTH, "{} kB more", end.0 - warm.0);
        assert!(end.1 <= warm.1 + 2 && end.2 <= warm.2 + 2, "{warm:?} {end:?}");
    }
}
