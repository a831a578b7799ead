//! Page, pictures, health and figures, and who asks for them in a wrong way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::{Served, table, until};

/// Sends bytes; answers all that comes back.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may be refused before all is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

pub(crate) fn get(address: SocketAddr, path: &str, more: &str) -> (u16, String, Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n");
    parts(&exchange(address, request.as_bytes()))
}

/// Status, head and body.
pub(crate) fn parts(answer: &[u8]) -> (u16, String, Vec<u8>) {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end..].to_vec())
}

pub(crate) fn text(address: SocketAddr, path: &str) -> String {
    let (status, _, body) = get(address, path, "");
    assert_eq!(status, 200, "{path}");
    String::from_utf8(body).unwrap()
}

/// The value of a figure, with its labels.
pub(crate) fn value(metrics: &str, name: &str) -> f64 {
    let mut lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
    lines.find(|(n, _)| *n == name).map_or(0.0, |(_, value)| value.parse().unwrap())
}

#[test]
fn page_pictures_health_and_figures_are_served() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cameras =
        table("front", "test", "") + &table("gone", &format!("rtsp://u:s3cret@{dead}/c"), "");
    let served = Served::start(&cameras);
    let http = served.http();
    until("the cameras", || served.ups("front") == 1 && served.downs("gone") == 1);

    for path in ["/camera/front.jpg", "/camera/front.jpg?before"] {
        let (status, head, body) = get(http, path, "");
        assert_eq!(status, 200, "{path}");
        assert!(head.contains("image/jpeg") && head.contains("no-store"), "{head}");
        assert!(body.starts_with(&[0xff, 0xd8]) && body.ends_with(&[0xff, 0xd9]));
    }
    assert_eq!(get(http, "/camera/gone.jpg", "").0, 503);

    let (status, _, health) = get(http, "/health", "");
    let health: serde_json::Value = serde_json::from_slice(&health).unwrap();
    assert_eq!((status, health["status"].as_str()), (503, Some("degraded")));
    assert_eq!(health["cameras"]["front"]["state"], "live");
    assert_eq!(health["cameras"]["front"]["size"], "640x360");
    assert_eq!(health["cameras"]["gone"]["state"], "waiting");
    assert_eq!(health["cameras"]["gone"]["reason"], "it cannot be reached");

    let metrics = text(http, "/metrics");
    for line in ["facesr_camera_up{camera=\"front\"} 1", "facesr_camera_up{camera=\"gone\"} 0"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    // Every figure has a value, and every bucket counts those before it.
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.rsplit_once(' ').is_some_and(|(_, v)| v.parse::<f64>().is_ok()), "{line}");
    }
    let of = |name: &str| value(&metrics, name);
    assert!(of("facesr_frames_total{camera=\"front\",kind=\"in\"}") > 0.0);
    let all = of("facesr_delay_seconds_bucket{camera=\"front\",le=\"+Inf\"}");
    assert!(all > 0.0 && of("facesr_delay_seconds_count{camera=\"front\"}") == all);

    let page = text(http, "/");
    assert!(page.contains("never evidence") && page.contains("cannot be reached"), "{page}");
    assert!(text(http, "/camera/front").contains("/camera/front.mjpg?before"));
    for path in ["/", "/health", "/metrics"] {
        let (_, _, body) = get(http, path, "");
        assert!(!String::from_utf8_lossy(&body).contains("s3cret"), "{path}");
    }
    served.stop();
}

#[test]
fn live_pictures_come_one_after_the_other() {
    let served = Served::start(&table("front", "test", ""));
    let http = served.http();
    until("the camera", || served.ups("front") == 1);
    for query in ["", "?before"] {
        let mut stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET /camera/front.mjpg{query} HTTP/1.1\r\n\r\n").unwrap();
        let (mut all, mut part) = (Vec::new(), [0; 65536]);
        let pictures = |all: &[u8]| all.windows(9).filter(|w| w == b"--picture").count();
        while pictures(&all) < 4 {
            let n = stream.read(&mut part).unwrap();
            assert!(n > 0, "it ended");
            all.extend(&part[..n]);
        }
    }
    served.stop();
}

#[test]
fn password_is_asked_for_on_every_path() {
    let text = "[server]\nrtsp = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nuser = \"me\"\npassword = \"s3cret\"\n"
        .to_string()
        + &table("front", "test", "");
    let served = Served::start_with(&text);
    let http = served.http();
    // me:s3cret, me:s3cre, me:s3cretx, and nonsense
    let wrong =
        ["", "Basic bWU6czNjcmU=", "Basic bWU6czNjcmV0eA==", "Basic %%%", "Bearer bWU6czNjcmV0"];
    for path in [
        "/",
        "/health",
        "/status",
        "/metrics",
        "/camera/front",
        "/camera/front.jpg",
        "/camera/front.mjpg",
        "/camera/front/whep",
        "/faces/front",
        "/page.js",
        "/x",
    ] {
        for authorization in wrong {
            let (status, head, body) =
                get(http, path, &format!("Authorization: {authorization}\r\n"));
            assert_eq!(status, 401, "{path} {authorization}");
            assert!(head.contains("Basic realm") && body.is_empty());
        }
    }
    assert_eq!(get(http, "/metrics", "Authorization: Basic bWU6czNjcmV0\r\n").0, 200);
    served.stop();
}

#[test]
fn picture_that_is_sent_comes_back_enhanced_or_as_its_faces() {
    let folder = tempfile::tempdir().unwrap();
    let still = folder.path().join("still.jpg");
    facesr_testkit::media::launch(&format!(
        "filesrc location={} ! decodebin ! videoconvert ! jpegenc snapshot=true ! filesink location={}",
        crate::carphone().display(),
        still.display()
    ));
    let served = Served::start(&table("front", "test", ""));
    let http = served.http();
    let jpeg = std::fs::read(&still).unwrap();
    let post = |path: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {http}\r\nContent-Length: {}\r\n\r\n",
            jpeg.len()
        );
        let answer = exchange(http, &[head.as_bytes(), &jpeg].concat());
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        answer[end..].to_vec()
    };
    let image = post("/image");
    assert!(image.starts_with(&[0xff, 0xd8]) && image != jpeg);
    let faces: serde_json::Value = serde_json::from_slice(&post("/faces")).unwrap();
    assert_eq!((&faces["width"], &faces["height"]), (&176.into(), &144.into()));
    assert!(faces["faces"][0]["score"].as_f64().is_some_and(|score| score > 0.0), "{faces}");
    served.stop();
}

#[test]
fn hostile_requests_are_refused_and_leave_nothing() {
    let served = Served::start(&table("front", "test", ""));
    let http = served.http();
    let status = |request: &[u8]| -> u16 {
        let answer = exchange(http, request);
        let text = String::from_utf8_lossy(&answer).into_owned();
        text.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
    };
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    for (request, wanted) in [
        (&b"GET /../../etc/passwd HTTP/1.1\r\n\r\n"[..], 404),
        (b"GET /camera/../front.jpg HTTP/1.1\r\n\r\n", 404),
        (b"GET /camera/front.exe HTTP/1.1\r\n\r\n", 404),
        (b"GET /camera/.jpg HTTP/1.1\r\n\r\n", 404),
        (b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n", 405),
        (b"POST /image HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n", 413),
        (b"POST /image HTTP/1.1\r\n\r\n", 411),
        (b"POST /image HTTP/1.1\r\nContent-Length: 4\r\n\r\nnope", 422),
        (b"POST /faces HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST /faces HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\nContent-Length: 4\r\n\r\nnope", 403),
        (b"PUT /image HTTP/1.1\r\nContent-Length: 4\r\n\r\nnope", 405),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbroken\r\n\r\n", 400),
    ] {
        assert_eq!(status(request), wanted, "{}", String::from_utf8_lossy(request));
    }
    // A refusal of what is still being sent may be lost on the way.
    assert!([431, 0].contains(&status(long.as_bytes())));
    // One that is as slow as can be is not waited for.
    let start = Instant::now();
    assert_eq!(status(b"GET / HTTP/1.1\r\nHost:"), 408);
    assert!(start.elapsed() < Duration::from_secs(15));
    // Hundreds at once: turned away, or answered; afterwards all is as before.
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let idle: Vec<_> = (0..400).filter_map(|_| TcpStream::connect(http).ok()).collect();
    std::thread::sleep(Duration::from_millis(500));
    let most = threads();
    drop(idle);
    until("that they are forgotten", || get(http, "/health", "").0 == 200);
    assert!(most < 200, "{most} threads");
    served.stop();
}
