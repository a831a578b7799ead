//! `facesr serve`: cameras in, cameras with sharper faces out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use facesr_serve::{Config, Event, Service};
use sd_notify::NotifyState;

use crate::media::start_gstreamer;
use crate::term::{Failure, clock, interrupt, print, say};

/// How often signals are looked at.
const TICK: Duration = Duration::from_millis(100);

/// `facesr serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The list of cameras, a TOML file
    #[arg(value_name = "CAMERAS.TOML", required_unless_present = "example")]
    pub(crate) config: Option<PathBuf>,
    /// Check the file, try each source, and end; exit code 3 if one gives no picture
    #[arg(long)]
    pub(crate) check: bool,
    /// Print a file to begin with, which explains itself
    #[arg(long, conflicts_with_all = ["config", "check"])]
    pub(crate) example: bool,
}

/// Carries out the command.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let Some(path) = &args.config else { return print(facesr_serve::config::EXAMPLE) };
    facesr_serve::bound_memory();
    let hangup = interrupt::watch_service();
    start_gstreamer()?;
    let config = read(path)?;
    if args.check {
        return check(&config);
    }
    let names: Vec<_> = config.cameras.iter().map(|(name, c)| (name.clone(), c.before)).collect();
    let mut service = Service::start(config, Arc::new(tell)).map_err(Failure::running)?;
    let address = service.rtsp_address();
    for (name, before) in names {
        say(&format!("rtsp://{address}/{name}"));
        if before {
            say(&format!("rtsp://{address}/{name}/before"));
        }
    }
    if let Some(address) = service.http_address() {
        say(&format!("http://{address}/"));
    }
    let mut file = WatchedFile::new(path);
    let mut manager = Manager::new();
    while !interrupt::requested() {
        std::thread::sleep(TICK);
        service.tick();
        manager.tick();
        if hangup.swap(false, Ordering::Relaxed) || file.has_changed() {
            reload(&mut service, path);
        }
    }
    manager.stopping();
    // What hangs in a driver is ended with the process.
    let _ = service.stop();
    Ok(())
}

/// systemd, if it has started this: it is told that all cameras are served, and again and again that this goes on.
struct Manager {
    /// How often it wants to hear of it.
    every: Option<Duration>,
    told: Instant,
}

impl Manager {
    fn new() -> Self {
        // Without a manager nothing is told.
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 3);
        Self { every, told: Instant::now() }
    }

    fn tick(&mut self) {
        if self.every.is_some_and(|every| self.told.elapsed() >= every) {
            self.told = Instant::now();
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }

    fn stopping(&self) {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    }
}

/// A file that may be written again.
struct WatchedFile<'a> {
    path: &'a Path,
    /// What was read.
    seen: Option<SystemTime>,
    /// A change that was seen, and when: whoever writes may not have ended.
    pending: Option<(SystemTime, Instant)>,
    looked: Instant,
}

impl<'a> WatchedFile<'a> {
    fn new(path: &'a Path) -> Self {
        Self { path, seen: modified(path), pending: None, looked: Instant::now() }
    }

    /// Whether it has changed and has stayed so for a second.
    fn has_changed(&mut self) -> bool {
        if self.looked.elapsed() < Duration::from_millis(500) {
            return false;
        }
        self.looked = Instant::now();
        let Some(now) = modified(self.path).filter(|now| Some(*now) != self.seen) else {
            self.pending = None;
            return false;
        };
        match self.pending {
            Some((time, since)) if time == now => {
                let is_settled = since.elapsed() >= Duration::from_secs(1);
                if is_settled {
                    (self.seen, self.pending) = (Some(now), None);
                }
                is_settled
            }
            _ => {
                self.pending = Some((now, Instant::now()));
                false
            }
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

/// Reads the file again. One that is wrong changes nothing.
fn reload(service: &mut Service, path: &Path) {
    let outcome = Config::read(path)
        .map_err(|e| e.to_string())
        .and_then(|config| service.reload(config).map_err(|e| e.to_string()));
    match outcome {
        Ok(lines) if lines.is_empty() => {
            say("facesr: the file was read again; nothing has changed")
        }
        Ok(lines) => lines.iter().for_each(|line| say(&format!("facesr: {line}"))),
        Err(reason) => {
            say(&format!("facesr: {}: {reason}; all goes on as before", path.display()));
        }
    }
}

fn read(path: &Path) -> Result<Config, Failure> {
    Config::read(path).map_err(|e| Failure::usage(format_args!("{}: {e}", path.display())))
}

/// Says of each camera what it gives.
fn check(config: &Config) -> Result<(), Failure> {
    let found = facesr_serve::check(config);
    let mut failed = 0;
    for (name, outcome) in &found {
        match outcome {
            Ok((width, height)) => print(&format!("{name}: {width}x{height}\n"))?,
            Err(reason) => {
                failed += 1;
                print(&format!("{name}: no picture: {reason}\n"))?;
            }
        }
    }
    match failed {
        0 => Ok(()),
        n => Err(Failure::partly(format_args!("{n} of {} cameras give no picture", found.len()))),
    }
}

/// Prints what happened.
fn tell(event: &Event) {
    let text = match event {
        Event::CameraUp { camera, size: (width, height), outage: None } => {
            format!("{camera}: {width}x{height}")
        }
        Event::CameraUp { camera, size: (width, height), outage: Some(outage) } => {
            let away = clock(*outage);
            format!("{camera}: {width}x{height}, back after {away}")
        }
        Event::CameraDown { camera, reason } => format!("{camera}: no picture: {reason}"),
        Event::Note { camera, text } => format!("{camera}: {text}"),
        _ => return,
    };
    say(&format!("facesr: {text}"));
}
