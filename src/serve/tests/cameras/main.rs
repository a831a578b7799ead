//! Cameras that fail in every way, and viewers that never reconnect. All of it on the loopback.

#![allow(clippy::unwrap_used)] // A test that cannot be set up has failed.

mod browser;
mod camera;
mod corpus;
mod delay;
mod events;
mod fuzz_config;
mod http;
mod outages;
mod paths;
mod record;
mod soak;
mod sound;
mod tls;
mod viewer;
mod whep;

use std::path::Path;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use facesr_serve::{Config, Event, Service};

/// Far longer than anything takes on a machine that is not stuck.
const TIMEOUT: Duration = Duration::from_secs(180);

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        // RTSP server and client of GStreamer 1.22 complain of themselves now and then (sticky events out of order
        // where a stream goes by TCP and UDP): that is not to end these tests.
        gst::glib::log_set_always_fatal(gst::glib::LogLevels::LEVEL_ERROR);
        gstfacesr::plugin_register_static().unwrap();
    });
}

/// Waits until something is so.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < TIMEOUT, "never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A clip with a face.
fn carphone() -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(std::path::PathBuf::from);
    let target =
        target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    let clip = target.join("setup/clips/carphone_pristine.mp4");
    assert!(clip.is_file(), "{} is missing: make setup", clip.display());
    clip
}

/// A service, and what it told.
struct Served {
    service: Option<Service>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Served {
    /// Serves the cameras of this part of a file, on any ports.
    fn start(cameras: &str) -> Self {
        init();
        let head = "[server]\nrtsp = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n";
        Self::start_with(&format!("{head}{cameras}"))
    }

    fn start_with(text: &str) -> Self {
        init();
        let config = Config::parse(text, Path::new(".")).unwrap();
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let list = events.clone();
        let sink = Arc::new(move |event: &Event| list.lock().unwrap().push(event.clone()));
        Self { service: Some(Service::start(config, sink).unwrap()), events }
    }

    fn service(&mut self) -> &mut Service {
        self.service.as_mut().unwrap()
    }

    /// Address of a path.
    fn address(&self, path: &str) -> String {
        format!("rtsp://{}/{path}", self.service.as_ref().unwrap().rtsp_address())
    }

    /// Where the page is.
    fn http(&self) -> std::net::SocketAddr {
        self.service.as_ref().unwrap().http_address().unwrap()
    }

    /// How often such an event was told.
    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| is(event)).count()
    }

    fn ups(&self, name: &str) -> usize {
        self.count(|event| matches!(event, Event::CameraUp { camera, .. } if camera == name))
    }

    fn downs(&self, name: &str) -> usize {
        self.count(|event| matches!(event, Event::CameraDown { camera, .. } if camera == name))
    }

    /// Stops, however long it takes: on a slow machine a search for faces that is under way takes its time.
    fn end(mut self) {
        let _ = self.service.take().unwrap().stop();
    }

    /// Stops; must end in time.
    fn stop(mut self) {
        let start = Instant::now();
        assert!(self.service.take().unwrap().stop(), "a thread goes on");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:#?}", self.events.lock());
        }
    }
}

/// A camera's table; no faces are looked for.
fn table(name: &str, source: &str, more: &str) -> String {
    format!(
        "[cameras.{name}]\nsource = \"{source}\"\nfacesr = {{ detector = \"none\" }}\ntransport = \"tcp\"\n{more}\n"
    )
}
