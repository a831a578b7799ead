//! Events by MQTT, in the topics and the shape that Frigate has made usual, and announced to Home Assistant.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde_json::json;

use super::packet::{self, Message};
use super::{CountedEvent, EventFigures, MOST_WAITING};
use crate::config::MqttConfig;
use crate::error::ServeError;

/// A broker that is not there is tried again as often.
const RETRY: Duration = Duration::from_secs(3);
/// The broker answers, and takes what is sent, within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Seconds without a word after which the broker counts this process as dead, and how often there is one.
const KEEP_ALIVE: u16 = 30;
const PING_EVERY: Duration = Duration::from_secs(10);
/// How often the wish to stop is looked at.
const TICK: Duration = Duration::from_millis(200);
/// The farewell may take so long.
const FAREWELL: Duration = Duration::from_secs(1);

/// The connection to a broker, kept up by a thread.
pub(super) struct Mqtt {
    queue: SyncSender<Message>,
    topic: String,
    figures: Arc<EventFigures>,
    stop: Arc<AtomicBool>,
    has_ended: Arc<AtomicBool>,
}

impl Mqtt {
    /// Connects, again and again for ever.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn start(config: &MqttConfig, cameras: &[String]) -> Result<Self, ServeError> {
        let (sender, queue) = sync_channel(MOST_WAITING);
        let (figures, stop, has_ended): (Arc<EventFigures>, Arc<AtomicBool>, Arc<AtomicBool>) =
            Default::default();
        let mut keeper = Keeper {
            announcements: announcements(config, cameras),
            config: config.clone(),
            queue,
            pending: None,
            figures: figures.clone(),
            stop: stop.clone(),
        };
        let ended = has_ended.clone();
        std::thread::Builder::new().name("mqtt".into()).spawn(move || {
            keeper.run();
            ended.store(true, Ordering::Relaxed);
        })?;
        Ok(Self { queue: sender, topic: config.topic.clone(), figures, stop, has_ended })
    }

    pub(super) fn figures(&self) -> &EventFigures {
        &self.figures
    }

    /// Leaves an event and the number of faces for the broker.
    pub(super) fn offer(&self, told: &CountedEvent) {
        let event = Message {
            topic: format!("{}/events", self.topic),
            payload: told.face.to_json().to_string().into_bytes(),
            is_retained: false,
        };
        let count = Message {
            topic: format!("{}/{}/face", self.topic, told.face.camera),
            payload: told.count.to_string().into_bytes(),
            is_retained: true,
        };
        self.send(event);
        self.send(count);
    }

    /// Leaves the best shot of a face for the broker, as bare JPEG.
    pub(super) fn offer_best_shot(&self, camera: &str, jpeg: &[u8]) {
        let topic = best_shot_topic(&self.topic, camera);
        self.send(Message { topic, payload: jpeg.to_vec(), is_retained: true });
    }

    fn send(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            self.figures.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says farewell, and waits a moment for it.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let start = Instant::now();
        while !self.has_ended.load(Ordering::Relaxed) && start.elapsed() < FAREWELL {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn best_shot_topic(topic: &str, camera: &str) -> String {
    format!("{topic}/{camera}/face/snapshot")
}

fn available(topic: &str, word: &str) -> Message {
    Message {
        topic: format!("{topic}/available"),
        payload: word.as_bytes().to_vec(),
        is_retained: true,
    }
}

/// Messages that stay with the broker: that this is here, and what Home Assistant has to know of each camera.
fn announcements(config: &MqttConfig, cameras: &[String]) -> Vec<Message> {
    let mut list = vec![available(&config.topic, "online")];
    let Some(prefix) = &config.discovery else { return list };
    for camera in cameras {
        let device = format!("{}_{camera}", config.topic.replace('/', "_"));
        let id = format!("{device}_faces");
        let sensor = json!({
            "name": "Faces",
            "unique_id": id,
            "state_topic": format!("{}/{camera}/face", config.topic),
            "availability_topic": format!("{}/available", config.topic),
            "icon": "mdi:face-recognition",
            "state_class": "measurement",
            "device": { "identifiers": [device], "name": camera, "manufacturer": "facesr" },
        });
        list.push(Message {
            topic: format!("{prefix}/sensor/{id}/config"),
            payload: sensor.to_string().into_bytes(),
            is_retained: true,
        });
        let id = format!("{device}_face");
        let picture = json!({
            "name": "Latest face",
            "unique_id": id,
            "topic": best_shot_topic(&config.topic, camera),
            "availability_topic": format!("{}/available", config.topic),
            "device": { "identifiers": [device], "name": camera, "manufacturer": "facesr" },
        });
        list.push(Message {
            topic: format!("{prefix}/camera/{id}/config"),
            payload: picture.to_string().into_bytes(),
            is_retained: true,
        });
    }
    list
}

/// What the thread knows.
struct Keeper {
    config: MqttConfig,
    announcements: Vec<Message>,
    queue: Receiver<Message>,
    /// What could not be sent; it comes first after the next connect.
    pending: Option<Message>,
    figures: Arc<EventFigures>,
    stop: Arc<AtomicBool>,
}

impl Keeper {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn run(&mut self) {
        while !self.is_stopping() {
            // Whatever is wrong with it, the next one may be well.
            let _ = self.connect().and_then(|stream| self.serve(stream));
            let since = Instant::now();
            while !self.is_stopping() && since.elapsed() < RETRY {
                std::thread::sleep(TICK);
            }
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in (self.config.host.as_str(), self.config.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, ANSWER_WITHIN) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends what comes until the connection ends, or this is to.
    fn serve(&mut self, mut stream: TcpStream) -> io::Result<()> {
        let id = format!("facesr-{}", std::process::id());
        let will = available(&self.config.topic, "offline");
        let access = self.config.access.as_ref();
        let access = access.map(|access| (access.user.as_str(), access.password.expose()));
        stream.write_all(&packet::connect(&id, &will, access, KEEP_ALIVE))?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        if !packet::is_accepted(answer) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        for message in &self.announcements {
            stream.write_all(&packet::publish(message))?;
        }
        // What comes now are answers to pings.
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        let (mut pinged, mut heard) = (Instant::now(), Instant::now());
        loop {
            let message = match self.pending.take() {
                Some(message) => Ok(message),
                None => self.queue.recv_timeout(TICK),
            };
            match message {
                Ok(message) => {
                    if let Err(error) = stream.write_all(&packet::publish(&message)) {
                        self.figures.failed.fetch_add(1, Ordering::Relaxed);
                        self.pending = Some(message);
                        return Err(error);
                    }
                    self.figures.sent.fetch_add(1, Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if self.is_stopping() {
                stream.write_all(&packet::publish(&will))?;
                stream.write_all(&packet::DISCONNECT)?;
                return Ok(());
            }
            if pinged.elapsed() >= PING_EVERY {
                pinged = Instant::now();
                stream.write_all(&packet::PING)?;
            }
            match stream.read(&mut [0; 256]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => heard = Instant::now(),
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
            if heard.elapsed() > Duration::from_secs(KEEP_ALIVE.into()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}
