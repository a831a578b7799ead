//! Live pictures by WHEP. What needs the element `whepserversink`, which Debian 12 has not, is run by `make whep-check`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use facesr_serve::Config;
use facesr_testkit::browser::Browser;

use crate::camera::CameraServer;
use crate::delay::jumps;
use crate::http::{exchange, get, parts, text, value};
use crate::viewer::Viewer;
use crate::{Served, table, until};

/// What a browser offers, in short. Nobody is behind it.
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 102\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901ab\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:102 H264/90000\r\n\
    a=rtcp-fb:102 nack pli\r\n\
    a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";
const SDP: &str = "Content-Type: application/sdp\r\n";
const LOCKED: &str = "[server]\nrtsp = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nuser = \"me\"\npassword = \"s3cret\"\n";
/// me:s3cret
const KEY: &str = "Authorization: Basic bWU6czNjcmV0\r\n";

fn send(
    http: SocketAddr,
    method: &str,
    path: &str,
    more: &str,
    body: &str,
) -> (u16, String, Vec<u8>) {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {http}\r\nContent-Length: {length}\r\n{more}\r\n"
    );
    parts(&exchange(http, (head + body).as_bytes()))
}

/// Viewers of a path, and streams that take it.
fn watched(http: SocketAddr, path: &str, more: &str) -> (f64, f64) {
    let (_, _, body) = get(http, "/metrics", more);
    let metrics = String::from_utf8(body).unwrap();
    let of = |name: &str| value(&metrics, &format!("{name}{{path=\"{path}\"}}"));
    (of("facesr_whep_viewers"), of("facesr_streams"))
}

/// Threads of this process with names that begin so.
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|it| it.starts_with(name)).count()
}

/// Opens a camera's page and waits for that many streams on it.
fn open(served: &Served, scratch: &Path, name: &str, streams: usize) -> Browser {
    let mut browser = Browser::start(scratch, (1100, 900));
    let key = serde_json::json!({ "headers": { "Authorization": "Basic bWU6czNjcmV0" } });
    browser.call("Network.setExtraHTTPHeaders", key);
    let address = format!("http://{}/camera/{name}", served.http());
    browser.call("Page.navigate", serde_json::json!({ "url": address }));
    until("streams", || {
        let count =
            "[...document.querySelectorAll('figure video')].filter(v => v.videoWidth).length";
        browser.value(count) == streams
    });
    browser
}

/// Waits until a page's first stream has shown ten more pictures.
fn until_it_moves(browser: &mut Browser) {
    let frames = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames";
    let time = "document.querySelector('video').currentTime";
    let (count, at) = (browser.value(frames).as_u64(), browser.value(time).as_f64());
    until("pictures that move", || {
        browser.value(frames).as_u64() >= count.map(|n| n + 10) && browser.value(time).as_f64() > at
    });
}

#[test]
fn whep_without_its_element_is_told_and_the_page_keeps_to_single_pictures() {
    crate::init();
    let registry = gst::Registry::get();
    if let Some(feature) = registry.lookup_feature("whepserversink") {
        registry.remove_feature(&feature);
    }
    let served = Served::start(&table("front", "test", "before = true"));
    let http = served.http();
    for path in ["/camera/front/whep", "/camera/front/whep?before"] {
        let (status, _, body) = send(http, "POST", path, SDP, OFFER);
        let body = String::from_utf8(body).unwrap();
        assert!(status == 501 && body.contains("'whepserversink' is missing"), "{status} {body}");
    }
    let page = text(http, "/camera/front");
    assert!(page.contains("/camera/front.mjpg?before") && !page.contains("whep"), "{page}");
    assert_eq!(watched(http, "front", ""), (0.0, 0.0));
    served.stop();
}

#[test]
fn whep_requests_that_are_wrong_are_refused() {
    let served = Served::start(&table("front", "test", ""));
    let http = served.http();
    let path = "/camera/front/whep";
    for (method, path, more, body, wanted) in [
        ("POST", path, "", OFFER, 415),
        ("POST", path, "Content-Type: text/plain\r\n", OFFER, 415),
        (
            "POST",
            path,
            "Origin: http://evil.example\r\nContent-Type: application/sdp\r\n",
            OFFER,
            403,
        ),
        ("POST", "/camera/back/whep", SDP, OFFER, 404),
        // What is not served by RTSP is not served here.
        ("POST", "/camera/front/whep?before", SDP, OFFER, 404),
        ("POST", "/camera/front/whep/1", SDP, OFFER, 405),
        ("GET", path, "", "", 405),
        ("PATCH", path, "", "", 405),
        ("DELETE", path, "", "", 405),
        (
            "PATCH",
            "/camera/front/whep/1",
            "Content-Type: application/trickle-ice-sdpfrag\r\n",
            "",
            405,
        ),
        ("DELETE", "/camera/front/whep/1", "", "", 404),
        ("DELETE", "/camera/front/whep/1", "Origin: http://evil.example\r\n", "", 403),
        ("OPTIONS", path, "", "", 204),
        ("OPTIONS", "/camera/back/whep", "", "", 404),
        ("DELETE", "/", "", "", 405),
        ("OPTIONS", "/image", "", "", 405),
        ("PUT", path, SDP, OFFER, 405),
    ] {
        let (status, head, _) = send(http, method, path, more, body);
        assert_eq!(status, wanted, "{method} {path} {more}");
        assert!(!head.contains("Access-Control"), "{head}");
    }
    for (length, wanted) in [("Content-Length: 70000\r\n", 413), ("", 411)] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {http}\r\n{SDP}{length}\r\n");
        assert_eq!(parts(&exchange(http, head.as_bytes())).0, wanted, "{head}");
    }
    let (_, head, body) = send(http, "OPTIONS", path, "", "");
    assert!(head.contains("Allow: POST, OPTIONS") && head.contains("Accept-Post: application/sdp"));
    assert!(body.is_empty());
    let (_, head, _) = send(http, "PATCH", "/camera/front/whep/1", "", "");
    assert!(head.contains("Allow: DELETE, OPTIONS"), "{head}");
    served.stop();
    let locked = Served::start_with(&(LOCKED.to_string() + &table("front", "test", "")));
    for method in ["POST", "OPTIONS", "DELETE", "PATCH"] {
        for path in [path, "/camera/front/whep/1"] {
            assert_eq!(send(locked.http(), method, path, SDP, OFFER).0, 401, "{method} {path}");
        }
    }
    locked.stop();
}

#[test]
#[ignore = "it needs the element whepserversink: make whep-check"]
fn whep_shows_moving_pictures_in_a_browser_to_who_knows_the_password() {
    let served =
        Served::start_with(&(LOCKED.to_string() + &table("front", "test", "before = true")));
    let http = served.http();
    until("the camera", || served.ups("front") == 1);
    assert_eq!(send(http, "POST", "/camera/front/whep", SDP, OFFER).0, 401);
    assert_eq!(watched(http, "front", KEY), (0.0, 0.0));
    let folder = tempfile::tempdir().unwrap();
    let mut browser = open(&served, folder.path(), "front", 2);
    assert_eq!(browser.value("document.querySelector('video').videoWidth"), 640);
    assert_eq!(browser.value("document.querySelectorAll('figure img').length"), 0);
    until_it_moves(&mut browser);
    assert_eq!(watched(http, "front", KEY), (1.0, 1.0));
    assert_eq!(watched(http, "front/before", KEY), (1.0, 1.0));
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve");
    std::fs::create_dir_all(&shots).unwrap();
    let png = base64::engine::general_purpose::STANDARD.decode(browser.screenshot()).unwrap();
    std::fs::write(shots.join("whep.png"), png).unwrap();
    assert_eq!(browser.complaints(), <[String; 0]>::default());
    for request in browser.requests() {
        assert!(request.starts_with(&format!("http://{http}/")), "{request}");
    }
    drop(browser);
    until("that the streams are gone", || {
        watched(http, "front", KEY).1 + watched(http, "front/before", KEY).1 == 0.0
    });
    until("that their threads are gone", || threads("whep front") == 0);
    served.stop();
}

#[test]
#[ignore = "it needs the element whepserversink: make whep-check"]
fn whep_viewers_share_a_stream_and_one_that_dies_holds_up_no_other() {
    let served = Served::start(&table("front", "test", ""));
    let http = served.http();
    until("the camera", || served.ups("front") == 1);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut stays = open(&served, folders[0].path(), "front", 1);
    let dies = open(&served, folders[1].path(), "front", 1);
    assert_eq!(watched(http, "front", ""), (2.0, 1.0));
    // One that says nothing: killed.
    drop(dies);
    until("that it is forgotten", || watched(http, "front", "").0 == 1.0);
    until_it_moves(&mut stays);
    assert_eq!(watched(http, "front", ""), (1.0, 1.0));
    // Whoever leaves the page is gone at once, and after a while so is the stream.
    stays.call("Page.navigate", serde_json::json!({ "url": "about:blank" }));
    let left = Instant::now();
    until("that the viewer is gone", || watched(http, "front", "").0 == 0.0);
    assert!(left.elapsed() < Duration::from_secs(12), "{:?}", left.elapsed());
    until("that the stream is gone", || watched(http, "front", "") == (0.0, 0.0));
    until("that its threads are gone", || threads("whep front") == 0);
    served.stop();
}

#[test]
#[ignore = "it needs the element whepserversink: make whep-check"]
fn whep_offers_that_lead_nowhere_are_answered_bounded_and_forgotten() {
    let served = Served::start(&table("front", "test", ""));
    let http = served.http();
    let path = "/camera/front/whep";
    until("the camera", || served.ups("front") == 1);
    let post = |offer: &str| send(http, "POST", path, SDP, offer);
    for (wrong, wanted) in [
        ("nope".to_string(), 422),
        (OFFER.replace("H264", "H265"), 422),
        (OFFER.replace("a=recvonly", "a=inactive"), 406),
        (OFFER.replace("a=recvonly", "a=sendonly"), 406),
        (OFFER.replace("H264/90000", "H264/8000"), 406),
    ] {
        let (status, _, body) = post(&wrong);
        assert_eq!(status, wanted, "{wrong} {}", String::from_utf8_lossy(&body));
    }
    // Each is a session until nothing has been heard of it for long; one that is ended is none.
    let (status, head, answer) = post(OFFER);
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        status == 201 && answer.contains("H264/90000") && answer.contains("a=candidate"),
        "{head}{answer}"
    );
    // It is listened where HTTP is, and nowhere else.
    for line in answer.lines().filter(|line| line.starts_with("a=candidate")) {
        assert!(line.contains(" 127.0.0.1 "), "{line}");
    }
    let session = head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap();
    assert!(session.starts_with(&format!("{path}/")), "{session}");
    assert_eq!(send(http, "PATCH", session, "", "").0, 405);
    assert_eq!(send(http, "DELETE", session, "", "").0, 200);
    assert_eq!(send(http, "DELETE", session, "", "").0, 404);
    // As many as there may be, and no more.
    let asked: Vec<_> =
        (0..20).map(|_| std::thread::spawn(move || send(http, "POST", path, SDP, OFFER))).collect();
    let answers: Vec<_> = asked.into_iter().map(|one| one.join().unwrap()).collect();
    let refused = answers.iter().filter(|(status, _, body)| {
        *status == 503 && String::from_utf8_lossy(body).contains("16 viewers already")
    });
    let statuses: Vec<_> = answers.iter().map(|(status, ..)| *status).collect();
    assert_eq!(refused.count(), 4, "{statuses:?}");
    until("that they are forgotten", || watched(http, "front", "") == (0.0, 0.0));
    until("that its threads are gone", || threads("whep front") == 0);
    assert_eq!(post(OFFER).0, 201);
    served.stop();
}

#[test]
#[ignore = "it needs the element whepserversink: make whep-check"]
fn whep_viewer_of_a_camera_that_is_removed_is_told() {
    let cameras = |names: &[&str]| -> String {
        LOCKED.to_string() + &names.iter().map(|name| table(name, "test", "")).collect::<String>()
    };
    let mut served = Served::start_with(&cameras(&["front", "back"]));
    until("the cameras", || served.ups("front") == 1 && served.ups("back") == 1);
    let folder = tempfile::tempdir().unwrap();
    let mut browser = open(&served, folder.path(), "front", 1);
    until_it_moves(&mut browser);
    let config = Config::parse(&cameras(&["back"]), Path::new(".")).unwrap();
    served.service().reload(config).unwrap();
    until("that the page sees it", || {
        browser.value("document.querySelectorAll('figure video').length") == 0
    });
    assert_eq!(
        send(served.http(), "POST", "/camera/front/whep", &(KEY.to_string() + SDP), OFFER).0,
        404
    );
    until("that its threads are gone", || threads("whep front") == 0);
    served.stop();
}

/// How much later a browser shows a change than a viewer shows it who reads the camera itself. Measured, not judged.
#[test]
#[ignore = "it needs the element whepserversink: make whep-check"]
fn whep_delay_in_a_browser_is_measured() {
    let camera = CameraServer::start(
        0,
        "compositor name=c sink_1::zorder=2 ! video/x-raw,format=I420,width=640,height=360,framerate=25/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay name=pay0 pt=96 \
         config-interval=1 \
         videotestsrc is-live=true pattern=black ! video/x-raw,width=640,height=360,framerate=25/1 ! queue ! c.sink_0 \
         videotestsrc is-live=true pattern=blink ! video/x-raw,width=640,height=180,framerate=2/1 ! queue ! c.sink_1",
    );
    let served = Served::start(&table("front", &camera.address(), ""));
    until("the camera", || served.ups("front") == 1);
    let folder = tempfile::tempdir().unwrap();
    let mut browser = open(&served, folder.path(), "front", 1);
    let direct = Viewer::start_at_once(&camera.address());
    browser.value(
        "window.jumps = []; (() => { const v = document.querySelector('video'); \
         const c = document.createElement('canvas'); c.width = c.height = 8; \
         const g = c.getContext('2d', { willReadFrequently: true }); let was; \
         const step = () => { const at = Date.now(); g.drawImage(v, 0, 0, 8, 8); \
         const on = g.getImageData(4, 1, 1, 1).data[0] > 128; \
         if (was !== undefined && on !== was) jumps.push([at, on]); was = on; \
         v.requestVideoFrameCallback(step); }; v.requestVideoFrameCallback(step); })()",
    );
    until("changes", || browser.value("jumps.length").as_u64() >= Some(20));
    let shown = browser.value("jumps");
    let age = |at: Instant| at.elapsed().as_secs_f64() * 1e3;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = now.as_secs_f64() * 1e3;
    let seen: Vec<_> =
        jumps(&direct.seen()).into_iter().map(|(at, on)| (now - age(at), on)).collect();
    let mut delays: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|jump| {
            let (at, on) = (jump[0].as_f64()?, jump[1].as_bool()?);
            let same = seen.iter().filter(|(_, same)| *same == on).map(|(came, _)| at - came);
            same.min_by(|a, b| a.abs().total_cmp(&b.abs()))
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    assert!(!delays.is_empty(), "{shown} {seen:?}");
    println!(
        "a browser by WHEP after a viewer of the camera itself, 640x360 at 25 frames/s, ms: {:.0} in the middle, \
         {:.0} at most, of {}",
        delays[delays.len() / 2],
        delays[delays.len() - 1],
        delays.len()
    );
    drop(browser);
    served.stop();
}
