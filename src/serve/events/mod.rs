//! Tells others which faces come and go: on standard output, by a webhook, by MQTT. Each receiver has a queue and a
//! thread of its own. What a slow one cannot take is left out and counted; no picture ever waits.

mod mqtt;
mod packet;
mod webhook;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::config::EventsConfig;
use crate::error::ServeError;
use crate::faces::FaceEvent;
use crate::status::Event;

/// Events that may wait for one receiver.
const MOST_WAITING: usize = 1000;

/// What has become of the events for one receiver.
#[derive(Default)]
pub(crate) struct EventFigures {
    /// Taken.
    pub(crate) sent: AtomicU64,
    /// Left out, because too many waited already.
    pub(crate) dropped: AtomicU64,
    /// Refused, or lost on the way.
    pub(crate) failed: AtomicU64,
}

/// A face's event on its way.
pub(crate) struct CountedEvent {
    face: FaceEvent,
    /// Faces that its camera shows now.
    count: usize,
}

/// One receiver's queue.
struct Queue {
    name: &'static str,
    sender: SyncSender<Arc<CountedEvent>>,
    figures: Arc<EventFigures>,
}

/// All receivers.
#[derive(Default)]
pub(crate) struct Events {
    queues: Vec<Queue>,
    mqtt: Option<mqtt::Mqtt>,
}

impl Events {
    /// Starts what `config` asks for; `cameras` are announced where that is usual.
    ///
    /// # Errors
    /// No thread can be started, or there is no TLS for the webhook.
    pub(crate) fn start(config: &EventsConfig, cameras: &[String]) -> Result<Self, ServeError> {
        let mut events = Self::default();
        if config.stdout {
            events.add("stdout", |queue, figures| stdout(&queue, figures))?;
        }
        if let Some(config) = config.webhook.clone() {
            webhook::check(&config)?;
            events.add("webhook", move |queue, figures| webhook::run(&queue, &config, figures))?;
        }
        if let Some(config) = &config.mqtt {
            events.mqtt = Some(mqtt::Mqtt::start(config, cameras)?);
        }
        Ok(events)
    }

    fn add(
        &mut self,
        name: &'static str,
        work: impl FnOnce(Receiver<Arc<CountedEvent>>, &EventFigures) + Send + 'static,
    ) -> Result<(), ServeError> {
        let (sender, queue) = sync_channel(MOST_WAITING);
        let figures: Arc<EventFigures> = Arc::default();
        let own = figures.clone();
        // It is not waited for at the end: a receiver may hang.
        std::thread::Builder::new().name(name.into()).spawn(move || work(queue, &own))?;
        self.queues.push(Queue { name, sender, figures });
        Ok(())
    }

    /// Passes an event on, if it is about a face. Never waits.
    pub(crate) fn offer(&self, event: &Event) {
        if let (Event::BestShot { camera, jpeg }, Some(mqtt)) = (event, &self.mqtt) {
            mqtt.offer_best_shot(camera, jpeg);
        }
        let Event::Face { face, count } = event else { return };
        let told = Arc::new(CountedEvent { face: face.clone(), count: *count });
        for queue in &self.queues {
            if queue.sender.try_send(told.clone()).is_err() {
                queue.figures.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some(mqtt) = &self.mqtt {
            mqtt.offer(&told);
        }
    }

    /// What has become of the events, by receiver.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (&'static str, &EventFigures)> {
        let mqtt = self.mqtt.as_ref().map(|mqtt| ("mqtt", mqtt.figures()));
        self.queues.iter().map(|queue| (queue.name, &*queue.figures)).chain(mqtt)
    }

    /// Says farewell where that is usual.
    pub(crate) fn stop(&self) {
        if let Some(mqtt) = &self.mqtt {
            mqtt.stop();
        }
    }
}

/// A line of JSON for each event.
fn stdout(queue: &Receiver<Arc<CountedEvent>>, figures: &EventFigures) {
    while let Ok(told) = queue.recv() {
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{}", told.face.to_json()).and_then(|()| out.flush());
        let figure = if written.is_ok() { &figures.sent } else { &figures.failed };
        figure.fetch_add(1, Ordering::Relaxed);
    }
}
