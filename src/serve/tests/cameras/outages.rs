//! Cameras that go away and come back. The viewers connect once.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use facesr_serve::Event;

use crate::camera::{CameraServer, h264, jpeg};
use crate::viewer::Viewer;
use crate::{Served, table, until};

/// Longer than anything but a lost session keeps a viewer waiting.
const LONGEST_GAP: Duration = Duration::from_secs(10);

#[test]
fn viewer_stays_while_the_camera_dies_and_returns_with_another_size_and_codec() {
    let mut camera = Some(CameraServer::start(0, &h264("black", 320, 240)));
    let (port, address) = camera.as_ref().map(|c| (c.port, c.address())).unwrap();
    let other = CameraServer::start(0, &h264("white", 320, 240));
    let cameras = table("front", &address, "before = true") + &table("side", &other.address(), "");
    let served = Served::start(&cameras);
    until("the cameras", || served.ups("front") == 1 && served.ups("side") == 1);
    let viewers: Vec<_> = ["front", "front", "front/before"]
        .map(|path| Viewer::start(&served.address(path), "tcp"))
        .into();
    let side = Viewer::start(&served.address("side"), "tcp");
    for viewer in viewers.iter().chain([&side]) {
        until("pictures", || viewer.last().is_some() && viewer.seen().len() > 5);
    }
    let start = Instant::now();
    let turns = [
        (h264("white", 640, 480), true),
        (jpeg("black", 480, 360), false),
        (h264("white", 320, 240), true),
    ];
    let side_before = (served.ups("side"), served.downs("side"));
    for (line, is_white) in &turns {
        let (ups, downs) = (served.ups("front"), served.downs("front"));
        drop(camera.take());
        until("that it is told", || served.downs("front") > downs);
        let lost = Instant::now();
        for viewer in &viewers {
            // The last picture, with white letters on a dark ground in it.
            until("the sign", || {
                viewer.last().is_some_and(|seen| {
                    let is_marked = if *is_white { seen.highest > 180 } else { seen.mean < 232 };
                    seen.at > lost + Duration::from_secs(2) && is_marked
                })
            });
        }
        camera = Some(CameraServer::start(port, line));
        until("that it is back", || served.ups("front") > ups);
        for viewer in &viewers {
            until("its picture", || {
                viewer.last().is_some_and(|seen| (seen.mean > 200) == *is_white)
            });
        }
    }
    for viewer in viewers.iter().chain([&side]) {
        assert!(viewer.longest_gap(start) < LONGEST_GAP, "{:?}", viewer.longest_gap(start));
        assert!(viewer.seen().iter().all(|seen| seen.size == (320, 240)));
        viewer.assert_well();
    }
    // The other camera had no part in it.
    assert_eq!((served.ups("side"), served.downs("side")), side_before);
    assert!(side.seen().iter().all(|seen| seen.mean > 200));
    served.stop();
}

#[test]
fn viewer_stays_while_the_camera_is_silent() {
    let camera = CameraServer::start(0, &h264("white", 320, 240));
    let served = Served::start(&table("front", &camera.address(), "timeout = 5"));
    until("the camera", || served.ups("front") == 1);
    let viewer = Viewer::start(&served.address("front"), "tcp");
    until("pictures", || viewer.last().is_some());
    let start = Instant::now();
    let (ups, downs) = (served.ups("front"), served.downs("front"));
    camera.silence(true);
    until("that it is told", || served.downs("front") > downs);
    let told = Instant::now();
    until("more pictures", || viewer.last().is_some_and(|seen| seen.at > told));
    camera.silence(false);
    until("that it is back", || served.ups("front") > ups);
    assert!(viewer.longest_gap(start) < LONGEST_GAP, "{:?}", viewer.longest_gap(start));
    viewer.assert_well();
    assert!(served.count(|e| matches!(e, Event::CameraUp { outage: Some(_), .. })) >= 1);
    served.stop();
}

#[test]
fn viewer_of_a_camera_that_was_never_there_sees_that() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let served = Served::start(&table("front", &format!("rtsp://{dead}/c"), ""));
    let viewer = Viewer::start(&served.address("front"), "tcp");
    until("the sign", || viewer.last().is_some_and(|seen| seen.highest > 180));
    // It comes at last, and the viewer sees it in the size that it began with.
    let _camera = CameraServer::start(dead.port(), &h264("white", 320, 180));
    until("its picture", || viewer.last().is_some_and(|seen| seen.mean > 200));
    assert!(viewer.seen().iter().all(|seen| seen.size == (1280, 720)));
    served.stop();
}

/// Something that answers every connection with `answer`, over and over.
fn impostor(answer: Vec<u8>) -> (String, Arc<AtomicUsize>, Arc<AtomicBool>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("rtsp://{}/c", listener.local_addr().unwrap());
    let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, stopped) = (count.clone(), stop.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            counted.fetch_add(1, Ordering::Relaxed);
            let mut stream = stream;
            let answer = answer.clone();
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
                let _ = stream.read(&mut [0; 4096]);
                for _ in 0..100 {
                    if stream.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, count, stop)
}

/// Answers with garbage on a port until what is answered is called.
pub(crate) fn garbage(port: u16) -> impl FnOnce() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            let mut stream = stream;
            let _ = stream.write_all(&[0x9d; 4096]);
        }
    });
    move || {
        stop.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(("127.0.0.1", port));
        let _ = thread.join();
    }
}

#[test]
fn camera_that_sends_garbage_is_tried_again_and_touches_no_other() {
    let noise: Vec<u8> =
        (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let refusal =
        b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let (noisy, tried, stop_a) = impostor(noise);
    let (refusing, refused, stop_b) = impostor(refusal.to_vec());
    let cameras = table("good", "test", "")
        + &table("noisy", &noisy, "timeout = 5")
        + &table("refusing", &refusing, "timeout = 5");
    let served = Served::start(&cameras);
    let viewer = Viewer::start(&served.address("good"), "tcp");
    until("attempts", || {
        viewer.assert_well();
        tried.load(Ordering::Relaxed) >= 3 && refused.load(Ordering::Relaxed) >= 2
    });
    until("a picture", || viewer.last().is_some());
    assert_eq!((served.ups("noisy"), served.ups("refusing")), (0, 0));
    assert!(served.downs("noisy") >= 1 && served.downs("refusing") >= 1);
    assert_eq!((served.ups("good"), served.downs("good")), (1, 0));
    served.stop();
    stop_a.store(true, Ordering::Relaxed);
    stop_b.store(true, Ordering::Relaxed);
}

#[test]
fn camera_that_is_not_there_is_asked_ever_less_often() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let served = Served::start(&table("gone", &format!("rtsp://{address}/c"), ""));
    until("that it is told", || served.downs("gone") == 1);
    std::thread::sleep(Duration::from_secs(10));
    let page = crate::http::text(served.http(), "/");
    assert!(page.contains("no picture yet") && !page.contains("<img"), "{page}");
    assert!(!page.contains("frames/s"), "{page}");
    let metrics = crate::http::text(served.http(), "/metrics");
    let connects = crate::http::value(&metrics, "facesr_connects_total{camera=\"gone\"}");
    // 0.5 s, 1 s, 1.6 s and 1.6 s on: a fifth sooner at the most.
    assert!((2.0..=14.0).contains(&connects), "{connects}");
    assert_eq!(served.count(|e| matches!(e, Event::Note { .. })), 0);
    served.stop();
}

#[test]
fn file_is_repeated_without_another_start() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mkv");
    let line = format!(
        "videotestsrc pattern=white num-buffers=15 ! video/x-raw,width=320,height=240,framerate=15/1 \
         ! x264enc ! matroskamux ! filesink location={}",
        clip.display()
    );
    facesr_testkit::media::launch(&line);
    let served = Served::start(&table("clip", clip.to_str().unwrap(), ""));
    let frames = "facesr_frames_total{camera=\"clip\",kind=\"in\"}";
    let metrics = || crate::http::text(served.http(), "/metrics");
    until("three rounds", || crate::http::value(&metrics(), frames) >= 45.0);
    let value = |name: &str| crate::http::value(&metrics(), &format!("{name}{{camera=\"clip\"}}"));
    assert_eq!((value("facesr_connects_total"), value("facesr_reconnects_total")), (1.0, 0.0));
    assert_eq!((served.ups("clip"), served.downs("clip")), (1, 0));
    served.stop();
}
