//! What a camera becomes.

use std::path::Path;
use std::time::Duration;

use facesr_serve::Config;

use crate::camera::{CameraServer, h264};
use crate::viewer::Viewer;
use crate::{Served, table, until};

#[test]
fn camera_is_served_in_its_size_to_all_viewers_with_and_without_enhancement() {
    let camera = CameraServer::start(0, &h264("white", 320, 240));
    let served = Served::start(&table("front", &camera.address(), "before = true"));
    until("the camera", || served.ups("front") == 1);
    let viewers: Vec<_> = [("front", "tcp"), ("front", "udp"), ("front/before", "tcp")]
        .map(|(path, protocol)| Viewer::start(&served.address(path), protocol))
        .into();
    for viewer in &viewers {
        until("twenty pictures", || viewer.last().is_some() && viewer.seen().len() >= 20);
        assert_eq!(viewer.last().unwrap().size, (320, 240));
        // By UDP the first key frame may be lost: the next one shows the picture.
        until("a white picture", || viewer.last().is_some_and(|last| last.mean > 200));
    }
    // They come as they were sent: 15 a second, over all of that time.
    assert_eq!(served.downs("front"), 0);
    served.stop();
}

#[test]
fn size_and_scale_are_as_the_file_says() {
    let cameras = table("a", "test", "size = \"320x320\"") + &table("b", "test", "scale = 2");
    let served = Served::start(&cameras);
    until("the cameras", || served.ups("a") == 1 && served.ups("b") == 1);
    for (path, size) in [("a", (320, 320)), ("b", (1280, 720))] {
        let viewer = Viewer::start(&served.address(path), "tcp");
        until("a picture", || viewer.last().is_some());
        assert_eq!(viewer.last().unwrap().size, size);
    }
    served.stop();
}

#[test]
fn path_that_is_not_there_is_refused() {
    let served = Served::start(&table("front", "test", ""));
    for path in ["back", "front/before", "front/../front", ""] {
        let viewer = Viewer::start(&served.address(path), "tcp");
        let mut trouble = None;
        until("a refusal", || {
            trouble = trouble.take().or(viewer.trouble());
            trouble.is_some()
        });
    }
    // Who asks in another way is served as before.
    let viewer = Viewer::start(&served.address("front"), "tcp");
    until("a picture", || viewer.last().is_some());
    served.stop();
}

#[test]
fn password_is_asked_for_and_is_nowhere_to_be_seen() {
    let text = "[server]\nrtsp = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nuser = \"me\"\npassword = \"s3cret\"\n"
        .to_string()
        + &table("front", "test", "");
    let served = Served::start_with(&text);
    let address = served.address("front");
    for wrong in [address.clone(), address.replace("//", "//me:s3cres@")] {
        let viewer = Viewer::start(&wrong, "tcp");
        let mut trouble = None;
        until("a refusal", || {
            trouble = trouble.take().or(viewer.trouble());
            trouble.is_some()
        });
        assert!(viewer.seen().is_empty());
    }
    let viewer = Viewer::start(&address.replace("//", "//me:s3cret@"), "tcp");
    until("a picture", || viewer.last().is_some());
    assert!(!format!("{:?}", served.events).contains("s3cret"));
    served.stop();
}

#[test]
fn hostile_rtsp_requests_are_refused_and_leave_nothing() {
    use std::io::{Read, Write};
    let served = Served::start(&table("front", "test", ""));
    until("the camera", || served.ups("front") == 1);
    let address =
        served.address("").trim_start_matches("rtsp://").trim_end_matches('/').to_string();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let url = served.address("front");
    for request in [
        b"\x00\xff\xfe garbage".to_vec(),
        b"$\x00\xff\xff".to_vec(),
        format!("DESCRIBE {url} RTSP/1.0\r\nX: {}", "a".repeat(1 << 20)).into_bytes(),
        format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4000000000\r\n\r\n").into_bytes(),
        format!("SETUP {url}/stream=99 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;client_port=1-2\r\n\r\n").into_bytes(),
        format!("PLAY {url} RTSP/1.0\r\nCSeq: 1\r\nSession: none\r\n\r\n").into_bytes(),
        b"DESCRIBE rtsp://x/../../etc/passwd RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec(),
        format!("ANNOUNCE {url} RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nv=0").into_bytes(),
    ] {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = stream.write_all(&request);
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = stream.read(&mut part) {
            answer.extend(&part[..n]);
        }
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("200 OK"), "{text}");
    }
    let idle: Vec<_> =
        (0..400).filter_map(|_| std::net::TcpStream::connect(&address).ok()).collect();
    std::thread::sleep(Duration::from_secs(1));
    drop(idle);
    let viewer = Viewer::start(&url, "tcp");
    until("a picture", || viewer.last().is_some());
    drop(viewer);
    until("that all is as before", || threads() < before + 30);
    served.stop();
}

#[test]
fn address_that_is_taken_is_told() {
    crate::init();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text =
        format!("[server]\nrtsp = \"{address}\"\nhttp = \"off\"\n{}", table("a", "test", ""));
    let config = Config::parse(&text, std::path::Path::new(".")).unwrap();
    let error = facesr_serve::Service::start(config, std::sync::Arc::new(|_| ())).err().unwrap();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn check_says_of_each_source_what_it_gives() {
    crate::init();
    let camera = CameraServer::start(0, &h264("white", 320, 240));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cameras = table("good", &camera.address(), "")
        + &table("dead", &format!("rtsp://{dead}/c"), "")
        + &table("gone", "/nowhere/clip.mp4", "");
    let config = Config::parse(&cameras, std::path::Path::new(".")).unwrap();
    let found = facesr_serve::check(&config);
    assert_eq!(found["good"], Ok((320, 240)));
    assert_eq!(found["dead"], Err("it cannot be reached".to_string()));
    assert!(found["gone"].is_err());
}

#[test]
fn reload_restarts_only_what_has_changed() {
    let (black, white) = (
        CameraServer::start(0, &h264("black", 320, 240)),
        CameraServer::start(0, &h264("white", 320, 240)),
    );
    let head = "[server]\nrtsp = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n";
    let same = table("same", &black.address(), "");
    let text =
        format!("{head}{same}{}{}", table("moved", &black.address(), ""), table("old", "test", ""));
    let mut served = Served::start_with(&text);
    until("the cameras", || ["same", "moved", "old"].iter().all(|name| served.ups(name) == 1));
    let viewers = ["same", "moved"].map(|name| Viewer::start(&served.address(name), "tcp"));
    let old = Viewer::start(&served.address("old"), "tcp");
    for viewer in viewers.iter().chain([&old]) {
        until("pictures", || viewer.last().is_some());
    }
    let text =
        format!("{head}{same}{}{}", table("moved", &white.address(), ""), table("new", "test", ""));
    let config = Config::parse(&text, Path::new(".")).unwrap();
    let lines = served.service().reload(config.clone()).unwrap();
    assert_eq!(lines, ["old: removed", "moved: changed", "new: added"]);
    // The viewer of the camera with another source goes on and sees it.
    until("the other source", || viewers[1].last().is_some_and(|seen| seen.mean > 200));
    assert!(viewers[0].last().is_some_and(|seen| seen.mean < 50));
    assert_eq!((served.ups("same"), served.downs("same")), (1, 0));
    until("the new camera", || served.ups("new") == 1);
    let new = Viewer::start(&served.address("new"), "tcp");
    until("its pictures", || new.last().is_some());
    let count = old.seen().len();
    std::thread::sleep(Duration::from_millis(500));
    assert!(old.seen().len() <= count + 1, "a camera that was removed is still shown");
    // What needs a restart changes nothing.
    assert_eq!(served.service().reload(config).unwrap(), Vec::<String>::new());
    let other = Config::parse(
        &text.replace("[server]", "[server]\nuser = \"a\"\npassword = \"b\""),
        Path::new("."),
    );
    assert!(served.service().reload(other.unwrap()).is_err());
    served.stop();
}
