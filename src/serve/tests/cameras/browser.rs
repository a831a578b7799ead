//! The page in a browser.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use facesr_testkit::browser::Browser;

use crate::camera::{CameraServer, h264};
use crate::{Served, table, until};

#[test]
fn browser_shows_pictures_that_move_and_a_camera_that_dies() {
    let camera = CameraServer::start(0, &h264("ball", 320, 240));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cameras = table("front", &camera.address(), "timeout = 5")
        + &table("gone", &format!("rtsp://{dead}/c"), "")
        + &table("test", "test", "");
    let served = Served::start(&cameras);
    until("the cameras", || served.ups("front") == 1 && served.ups("test") == 1);
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start(folder.path(), (1100, 900));
    // Kept, to be looked at.
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve");
    std::fs::create_dir_all(&shots).unwrap();
    let screenshot = |browser: &mut Browser, name: &str| {
        let png = base64::engine::general_purpose::STANDARD.decode(browser.screenshot()).unwrap();
        std::fs::write(shots.join(name), png).unwrap();
    };
    let address = format!("http://{}/", served.http());
    browser.call("Page.navigate", serde_json::json!({ "url": address }));
    until("the page", || browser.value("document.readyState") == "complete");
    until("pictures", || {
        browser.value("[...document.images].filter(i => i.complete && i.naturalWidth).length") == 2
    });
    assert_eq!(
        browser.value("document.querySelector('#gone .picture').textContent"),
        "no picture yet"
    );
    // A picture that is another one, not the same for ever.
    let pixels = "(() => { const i = document.querySelector('#test img.picture'); \
        const c = document.createElement('canvas'); c.width = 64; c.height = 36; \
        const g = c.getContext('2d'); g.drawImage(i, 0, 0, 64, 36); \
        return [...g.getImageData(0, 0, 64, 36).data].join(); })()";
    let first = browser.value(pixels);
    until("another picture", || browser.value(pixels) != first);
    browser.prefer("light");
    screenshot(&mut browser, "light.png");
    browser.prefer("dark");
    screenshot(&mut browser, "dark.png");
    // As narrow as a telephone: nothing sticks out.
    let narrow =
        serde_json::json!({ "width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": true });
    browser.call("Emulation.setDeviceMetricsOverride", narrow);
    assert!(browser.value("document.documentElement.scrollWidth").as_u64().unwrap() <= 360);
    screenshot(&mut browser, "narrow.png");

    // A camera dies: the page says so within two seconds of its being told.
    let state = "document.querySelector('#front').dataset.state";
    assert_eq!(browser.value(state), "live");
    drop(camera);
    until("that it is told", || served.downs("front") == 1);
    let told = Instant::now();
    until("that the page says so", || browser.value(state) == "lost");
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    screenshot(&mut browser, "lost.png");
    let said = browser.value("document.querySelector('#front .figures').textContent");
    assert!(said.as_str().unwrap().contains("last picture"), "{said}");

    // The camera's own page, by its link.
    browser.call("Page.navigate", serde_json::json!({ "url": format!("{address}camera/test") }));
    until("live pictures", || {
        browser.value("[...document.images].filter(i => i.naturalWidth).length") == 2
    });
    screenshot(&mut browser, "camera.png");
    assert_eq!(browser.complaints(), <[String; 0]>::default());
    for request in browser.requests() {
        assert!(request.starts_with(&address) || request == "about:blank", "{request}");
    }
    drop(browser);
    served.stop();
}
