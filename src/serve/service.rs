//! All of it: the cameras and the servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::camera::Camera;
use crate::config::{CameraConfig, Config};
use crate::error::ServeError;
use crate::events::Events;
use crate::governor::{Governor, Load};
use crate::http::Http;
use crate::ingest::{self, End, Sinks};
use crate::rtsp::Rtsp;
use crate::status::{EventSink, State};
use crate::whep::Whep;

/// How long the end of all threads is waited for.
const STOP_WITHIN: Duration = Duration::from_secs(4);

/// What the page shows of a camera.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) sinks: Sinks,
    /// Its source, without passwords.
    pub(crate) source: String,
    /// Its paths by WHEP: the same as by RTSP.
    pub(crate) whep: Arc<Whep>,
    pub(crate) whep_before: Option<Arc<Whep>>,
    priority: i32,
}

/// The cameras as the HTTP server sees them.
pub(crate) struct Shared {
    cameras: RwLock<BTreeMap<String, Entry>>,
    pub(crate) events: Arc<Events>,
}

impl Shared {
    pub(crate) fn entries(&self) -> Vec<(String, Entry)> {
        self.cameras.read().iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    pub(crate) fn entry(&self, name: &str) -> Option<Entry> {
        self.cameras.read().get(name).cloned()
    }
}

/// Cameras that are served.
pub struct Service {
    cameras: BTreeMap<String, Camera>,
    shared: Arc<Shared>,
    rtsp: Rtsp,
    http: Option<Http>,
    governor: Governor,
    /// All but the cameras, which cannot change while it runs.
    fixed: Config,
    events: EventSink,
}

impl Service {
    /// Starts to serve. Returns at once; cameras that do not answer are tried again for ever. GStreamer and the
    /// element `facesr` must be there.
    ///
    /// # Errors
    /// An address cannot be listened on, or an element is missing without which nothing can be served.
    pub fn start(mut config: Config, events: EventSink) -> Result<Self, ServeError> {
        for element in ["facesr", "textoverlay", "h264parse", "rtph264pay", "decodebin"] {
            crate::elements::make(element)?;
        }
        let cameras = std::mem::take(&mut config.cameras);
        let names: Vec<_> = cameras.keys().cloned().collect();
        let told = Arc::new(Events::start(&config.events, &names)?);
        let shared = Arc::new(Shared { cameras: RwLock::default(), events: told.clone() });
        let events: EventSink = Arc::new(move |event| {
            told.offer(event);
            events(event);
        });
        let rtsp = Rtsp::start(config.rtsp, config.access.as_ref(), config.tls.as_ref())?;
        let http = config
            .http
            .map(|address| Http::start(address, config.access.clone(), shared.clone()))
            .transpose()?;
        let governor = Governor::default();
        let (all, fixed) = (BTreeMap::new(), config);
        let mut service = Self { cameras: all, shared, rtsp, http, governor, fixed, events };
        for (name, camera) in cameras {
            service.add(&name, camera)?;
        }
        Ok(service)
    }

    fn add(&mut self, name: &str, config: CameraConfig) -> Result<(), ServeError> {
        let camera = Camera::start(name, config, self.events.clone())?;
        self.publish(name, &camera);
        self.cameras.insert(name.to_string(), camera);
        Ok(())
    }

    /// Puts a camera on its paths and on the page.
    fn publish(&self, name: &str, camera: &Camera) {
        for (suffix, output) in camera.outputs() {
            self.rtsp.mount(&format!("/{name}{suffix}"), output, &camera.sinks.sound);
        }
        let entry = Entry {
            sinks: camera.sinks.clone(),
            source: camera.config.source.shown(),
            whep: camera.whep.clone(),
            whep_before: camera.whep_before(),
            priority: camera.config.priority,
        };
        self.shared.cameras.write().insert(name.to_string(), entry);
    }

    /// Takes a camera off its paths; its viewers are told that it ends.
    fn remove(&mut self, name: &str) {
        let Some(mut camera) = self.cameras.remove(name) else { return };
        self.shared.cameras.write().remove(name);
        camera.ask_to_stop();
        for (suffix, output) in camera.outputs() {
            self.rtsp.unmount(&format!("/{name}{suffix}"));
            output.end();
        }
        camera.sinks.sound.fanout.end();
        camera.join(Instant::now() + STOP_WITHIN);
    }

    /// Serves what another configuration says. Cameras that it leaves as they are notice nothing; of those whose
    /// source alone changes, viewers keep their session. Returns a line for each change.
    ///
    /// # Errors
    /// Addresses, user or password differ, which only a restart can change, and nothing is changed; or no thread
    /// can be started.
    pub fn reload(&mut self, mut config: Config) -> Result<Vec<String>, ServeError> {
        let cameras = std::mem::take(&mut config.cameras);
        if config != self.fixed {
            return Err(ServeError::Fixed);
        }
        let mut lines = Vec::new();
        let gone: Vec<_> =
            self.cameras.keys().filter(|name| !cameras.contains_key(*name)).cloned().collect();
        for name in gone {
            self.remove(&name);
            lines.push(format!("{name}: removed"));
        }
        for (name, config) in cameras {
            let Some(camera) = self.cameras.get_mut(&name) else {
                self.add(&name, config)?;
                lines.push(format!("{name}: added"));
                continue;
            };
            if camera.config == config {
                continue;
            }
            if !camera.can_become(&config) {
                self.remove(&name);
                self.add(&name, config)?;
                lines.push(format!("{name}: changed, and served again"));
                continue;
            }
            let had_before = camera.config.before;
            camera.become_other(&name, config)?;
            if had_before && !camera.config.before {
                self.rtsp.unmount(&format!("/{name}/before"));
                camera.sinks.before.end();
            } else if !had_before && camera.config.before {
                let sinks = &camera.sinks;
                self.rtsp.mount(&format!("/{name}/before"), &sinks.before, &sinks.sound);
            }
            if let Some(entry) = self.shared.cameras.write().get_mut(&name) {
                entry.source = camera.config.source.shown();
                entry.whep_before = camera.whep_before();
                entry.priority = camera.config.priority;
            }
            lines.push(format!("{name}: changed"));
        }
        Ok(lines)
    }

    /// To be called some times a second: cameras of the lowest priority lose enhancement while the machine is much
    /// too slow for all.
    pub fn tick(&mut self) {
        let entries = self.shared.entries();
        // A camera without pictures costs nothing.
        let is_live =
            |(_, entry): &&(String, Entry)| entry.sinks.status.condition().state == State::Live;
        let loads = entries.iter().filter(is_live).map(|(name, entry)| {
            let status = &entry.sinks.status;
            Load {
                name: name.clone(),
                priority: entry.priority,
                frames: status.frames_done.load(Ordering::Relaxed),
                delay_ms: status.delay_ms.load(Ordering::Relaxed),
                is_off: status.bypass.load(Ordering::Relaxed),
            }
        });
        let Some((name, off)) = self.governor.decide(Instant::now(), loads.collect()) else {
            return;
        };
        if let Some((_, entry)) = entries.iter().find(|(other, _)| *other == name) {
            entry.sinks.status.bypass.store(off, Ordering::Relaxed);
            entry.sinks.status.note(match off {
                true => "the machine is too slow: its faces stay as they are for now".into(),
                false => "its faces are enhanced again".into(),
            });
        }
    }

    /// Where viewers find the cameras.
    pub fn rtsp_address(&self) -> SocketAddr {
        self.rtsp.address()
    }

    /// Where the page is, if there is one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(Http::address)
    }

    /// Stops all of it within five seconds; answers whether all has ended. What has not may be left alone: it holds
    /// nothing that must be written.
    pub fn stop(mut self) -> bool {
        let deadline = Instant::now() + STOP_WITHIN;
        self.cameras.values().for_each(Camera::ask_to_stop);
        if let Some(http) = &mut self.http {
            http.stop();
        }
        self.rtsp.stop();
        self.shared.events.stop();
        self.cameras.values_mut().fold(true, |all, camera| camera.join(deadline) & all)
    }
}

/// Tries the source of each camera, all at once: the size of its picture, or why there is none.
pub fn check(config: &Config) -> BTreeMap<String, Result<(u32, u32), String>> {
    let try_one = |name: &str, camera: &CameraConfig| {
        let sinks = crate::camera::sinks(name, camera, Arc::new(|_| ()));
        // No face is to be looked for.
        sinks.status.bypass.store(true, Ordering::Relaxed);
        let stop = AtomicBool::new(false);
        let end = std::thread::scope(|scope| {
            let reading = scope.spawn(|| ingest::run(camera, &sinks, &stop));
            while !reading.is_finished() && sinks.status.condition().state != State::Live {
                std::thread::sleep(Duration::from_millis(20));
            }
            stop.store(true, Ordering::Relaxed);
            reading.join().unwrap_or(End::Stopped)
        });
        sinks.status.condition().size.ok_or_else(|| end.reason())
    };
    std::thread::scope(|scope| {
        let tries: Vec<_> = config
            .cameras
            .iter()
            .map(|(name, camera)| (name.clone(), scope.spawn(|| try_one(name, camera))))
            .collect();
        let failed = |_| Err("it could not be tried".to_string());
        tries.into_iter().map(|(name, one)| (name, one.join().unwrap_or_else(failed))).collect()
    })
}
