//! One camera: its ingest, again and again for ever, and its outputs, which never stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::backoff;
use crate::config::CameraConfig;
use crate::encoder::EncoderSettings;
use crate::error::ServeError;
use crate::ingest::{self, End, Sinks};
use crate::output::{Output, OutputSettings};
use crate::record::Recorder;
use crate::status::{EventSink, Status};
use crate::whep::Whep;

/// How often outputs are looked after: a lost camera's picture is repeated as often.
const TICK: Duration = Duration::from_millis(200);

/// Recordings are closed by then at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// A camera that is served.
pub(crate) struct Camera {
    pub(crate) config: CameraConfig,
    pub(crate) sinks: Sinks,
    pub(crate) whep: Arc<Whep>,
    /// Served only if the configuration says so.
    before: Arc<Whep>,
    ingest: Worker,
    keeper: Worker,
}

/// A thread and how to end it.
struct Worker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(
        name: String,
        work: impl FnOnce(&AtomicBool) + Send + 'static,
    ) -> Result<Self, ServeError> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let thread = std::thread::Builder::new().name(name).spawn(move || work(&asked))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Waits for it until `deadline`; answers whether it has ended.
    fn join(&mut self, deadline: Instant) -> bool {
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.thread.take().is_none_or(|thread| thread.join().is_ok())
    }
}

impl Camera {
    /// Starts to serve a camera.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start(
        name: &str,
        config: CameraConfig,
        events: EventSink,
    ) -> Result<Self, ServeError> {
        let sinks = sinks(name, &config, events);
        let keeper = {
            let (sinks, name) = (sinks.clone(), name.to_string());
            let mut recorders = recorders(&name, &config, &sinks);
            Worker::start(format!("keep {name}"), move |stop| {
                while !stop.load(Ordering::Relaxed) {
                    sinks.after.tick(&name);
                    sinks.before.tick(&name);
                    if let Some(best) = sinks.looks.make() {
                        sinks.status.tell_best_shot(best);
                    }
                    let faces = sinks.status.present.take();
                    for recorder in &mut recorders {
                        recorder.tick(&sinks.status);
                        faces.iter().for_each(|face| recorder.note(face));
                    }
                    std::thread::park_timeout(TICK);
                }
                let deadline = Instant::now() + CLOSE_WITHIN;
                recorders.iter_mut().for_each(|recorder| recorder.finish(deadline));
            })?
        };
        let ingest = start_ingest(name, &config, &sinks)?;
        let whep = Arc::new(Whep::new(name.into(), sinks.after.clone()));
        let before = Arc::new(Whep::new(format!("{name}/before"), sinks.before.clone()));
        Ok(Self { config, sinks, whep, before, ingest, keeper })
    }

    /// The camera's outputs, by what stands behind its name in their path.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (&'static str, &Arc<Output>)> {
        let before = self.config.before.then_some(("/before", &self.sinks.before));
        [("", &self.sinks.after)].into_iter().chain(before)
    }

    /// The path by WHEP of the pictures as they came, if it is served.
    pub(crate) fn whep_before(&self) -> Option<Arc<Whep>> {
        self.config.before.then(|| self.before.clone())
    }

    /// Whether what is served stays the same with another configuration, so that viewers keep their session.
    pub(crate) fn can_become(&self, config: &CameraConfig) -> bool {
        *self.sinks.after.settings() == output_settings(config)
            && self.config.record == config.record
    }

    /// Reads the camera by another configuration, on the same paths.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn become_other(
        &mut self,
        name: &str,
        config: CameraConfig,
    ) -> Result<(), ServeError> {
        self.ingest.ask_to_stop();
        self.ingest.join(Instant::now() + Duration::from_secs(5));
        self.ingest = start_ingest(name, &config, &self.sinks)?;
        self.config = config;
        Ok(())
    }

    pub(crate) fn ask_to_stop(&self) {
        self.ingest.ask_to_stop();
        self.keeper.ask_to_stop();
        self.whep.ask_to_stop();
        self.before.ask_to_stop();
    }

    /// Waits for its end until `deadline`; answers whether it has come.
    pub(crate) fn join(&mut self, deadline: Instant) -> bool {
        // All are waited for.
        self.ingest.join(deadline)
            & self.keeper.join(deadline)
            & self.whep.join_until(deadline)
            & self.before.join_until(deadline)
    }
}

/// Outputs and condition of a camera that has not been read yet.
pub(crate) fn sinks(name: &str, config: &CameraConfig, events: EventSink) -> Sinks {
    let settings = output_settings(config);
    Sinks {
        after: Arc::new(Output::new(settings.clone(), true)),
        before: Arc::new(Output::new(settings, false)),
        sound: Arc::default(),
        looks: Arc::default(),
        status: Arc::new(Status::new(name, events)),
    }
}

/// What records the camera, if it is recorded.
fn recorders(name: &str, config: &CameraConfig, sinks: &Sinks) -> Vec<Recorder> {
    let Some(record) = &config.record else { return Vec::new() };
    let folder = Path::new(name);
    let mut paths = vec![(folder.to_path_buf(), &sinks.after)];
    if record.before {
        paths.push((folder.join("before"), &sinks.before));
    }
    let recorder = |(folder, output): (PathBuf, &Arc<Output>)| {
        let (sound, figures) = (sinks.sound.clone(), sinks.status.recorded.clone());
        Recorder::new(record.clone(), name, &folder, output.clone(), sound, figures)
    };
    paths.into_iter().map(recorder).collect()
}

fn output_settings(config: &CameraConfig) -> OutputSettings {
    OutputSettings {
        size: config.size,
        encoder: EncoderSettings {
            name: config.encoder.clone(),
            bitrate: config.bitrate,
            key_interval: config.key_interval,
        },
    }
}

fn start_ingest(name: &str, config: &CameraConfig, sinks: &Sinks) -> Result<Worker, ServeError> {
    let (name, config, sinks) = (name.to_string(), config.clone(), sinks.clone());
    Worker::start(format!("read {name}"), move |stop| {
        let mut goes_on = false;
        while !stop.load(Ordering::Relaxed) {
            if !std::mem::take(&mut goes_on) {
                sinks.status.attempts.fetch_add(1, Ordering::Relaxed);
            }
            let started = Instant::now();
            let end = ingest::run(&config, &sinks, stop);
            if end == End::Stopped {
                return;
            }
            // A file that cannot be rewound begins again; one without pictures is no better for haste.
            if end == End::Ended
                && config.source.is_file()
                && started.elapsed() > Duration::from_millis(200)
            {
                goes_on = true;
                continue;
            }
            let outage = sinks.status.down(&end.reason());
            let pause = backoff::pause(outage, end == End::Refused, backoff::chance(&name));
            let until = Instant::now() + pause;
            while Instant::now() < until && !stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
            }
        }
    })
}
