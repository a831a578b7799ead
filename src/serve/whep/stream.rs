//! The stream that all WHEP viewers of a path share, in a pipeline of its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;

use super::WhepError;
use super::element::{confine, make_sink, signaller};
use crate::elements::chain;
use crate::output::Output;

/// Frames that may wait for the element.
const MOST_WAITING: u64 = 5;
/// The element has seen what it has to by then, and has answered an offer.
const READY_WITHIN: Duration = Duration::from_secs(8);
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// A viewer of whom nothing is heard for so long has gone: browsers report what they got every second.
const SILENT: Duration = Duration::from_secs(15);

/// An offer that the element has not answered by then never will be.
const LOST: Duration = Duration::from_secs(60);
/// At the end offers that are under way are waited for.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);

/// Somebody who looks, or is about to.
struct Viewer {
    /// Milliseconds from the stream's start to when something was last heard of it.
    heard: AtomicU64,
    /// Whether the element has answered. A session must not be ended before: the element would go on to start it, and
    /// let go of its pipeline while it plays.
    is_answered: AtomicBool,
    /// Whether it is to be ended.
    is_unwanted: AtomicBool,
}

/// Viewers by their session.
type Viewers = Arc<Mutex<HashMap<String, Arc<Viewer>>>>;

/// The pipeline, and who looks.
pub(super) struct Stream {
    pipeline: gst::Pipeline,
    sink: gst::Element,
    output: Arc<Output>,
    taker: u64,
    viewers: Viewers,
    /// Whether the element knows the stream, so that it can answer offers.
    is_ready: Arc<AtomicBool>,
    has_failed: AtomicBool,
    began: Instant,
}

impl Stream {
    /// Starts to take `output`. Where `address` names one, viewers are served there alone.
    ///
    /// # Errors
    /// Nothing here can encode, or the element cannot be used.
    pub(super) fn start(output: &Arc<Output>, address: IpAddr) -> Result<Self, WhepError> {
        let sink = make_sink()?;
        let (viewers, began) = (Viewers::default(), Instant::now());
        listen(&sink, &viewers, began, address);
        let is_ready = Arc::new(AtomicBool::new(false));
        let ready = is_ready.clone();
        // It starts its server when it knows the stream. The server is not wanted: this answer is the last word.
        if let Some(signaller) = signaller(&sink) {
            signaller.connect("start", false, move |_| {
                ready.store(true, Ordering::Relaxed);
                Some(true.to_value())
            });
        }
        let source =
            gst_app::AppSrc::builder().is_live(true).format(gst::Format::Time).max_bytes(0).build();
        if let Some(pad) = source.static_pad("src") {
            let output = output.clone();
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                if let Some(event) = info.event()
                    && gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()
                {
                    output.fanout.ask_for_key();
                }
                gst::PadProbeReturn::Ok
            });
        }
        let pipeline = gst::Pipeline::new();
        let failed = |error: glib::BoolError| WhepError::Start(error.into());
        chain(&pipeline, &[source.clone().upcast(), sink.clone()]).map_err(failed)?;
        let taker = output.attach(source, MOST_WAITING)?;
        let stream = Self {
            pipeline,
            sink,
            output: output.clone(),
            taker,
            viewers,
            is_ready,
            has_failed: AtomicBool::new(false),
            began,
        };
        stream.pipeline.set_state(gst::State::Playing).map_err(|_| {
            failed(glib::bool_error!("the pipeline of whepserversink does not start"))
        })?;
        Ok(stream)
    }

    /// How many look.
    pub(super) fn viewers(&self) -> usize {
        self.viewers.lock().len()
    }

    /// A viewer is about to come.
    pub(super) fn expect(&self, id: &str) {
        let viewer = Viewer {
            heard: AtomicU64::new(self.began.elapsed().as_millis() as u64),
            is_answered: AtomicBool::new(false),
            is_unwanted: AtomicBool::new(false),
        };
        self.viewers.lock().insert(id.to_string(), Arc::new(viewer));
    }

    /// Waits until offers can be answered. The element must not be asked before: it takes for granted that it plays.
    ///
    /// # Errors
    /// No pictures come in time.
    pub(super) fn wait(&self, id: &str) -> Result<(), WhepError> {
        let until = Instant::now() + READY_WITHIN;
        while !(self.is_ready.load(Ordering::Relaxed)
            && self.pipeline.current_state() == gst::State::Playing
            && self.sink.base_time().is_some())
        {
            if Instant::now() >= until || self.has_ended() {
                // Nothing was asked for yet.
                self.viewers.lock().remove(id);
                return Err(WhepError::NoPictures);
            }
            self.output.fanout.ask_for_key();
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The element's answer to an offer.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn answer(&self, id: &str, offer: &str) -> Result<Vec<u8>, WhepError> {
        let viewer = self.viewers.lock().get(id).cloned().ok_or(WhepError::Ended)?;
        let (done, answer) = sync_channel(1);
        let promise = gst::Promise::with_change_func(move |reply| {
            viewer.is_answered.store(true, Ordering::Relaxed);
            let body = reply.ok().flatten().and_then(|reply| {
                let is_created = reply.get::<u32>("status") == Ok(201);
                reply.get::<glib::Bytes>("body").ok().filter(|_| is_created)
            });
            let _ = done.try_send(body.map(|body| body.to_vec()));
        });
        let body = glib::Bytes::from(offer.as_bytes());
        let signaller = signaller(&self.sink).ok_or(WhepError::NoAnswer)?;
        signaller.emit_by_name::<()>("post", &[&Some(id), &body, &promise]);
        let until = Instant::now() + ANSWER_WITHIN;
        loop {
            match answer.recv_timeout(Duration::from_millis(50)) {
                Ok(sdp) => return sdp.filter(|sdp| gives(sdp)).ok_or(WhepError::NoAnswer),
                Err(RecvTimeoutError::Disconnected) => return Err(WhepError::NoAnswer),
                // The element may have put an end to it, without a word.
                Err(RecvTimeoutError::Timeout) => {
                    let is_there = self.viewers.lock().contains_key(id);
                    if !is_there || self.has_ended() || Instant::now() >= until {
                        return Err(WhepError::NoAnswer);
                    }
                    self.output.fanout.ask_for_key();
                }
            }
        }
    }

    /// Ends a viewer's session, once it may be; answers whether there was one.
    pub(super) fn leave(&self, id: &str) -> bool {
        let mut viewers = self.viewers.lock();
        let Some(viewer) = viewers.get(id) else { return false };
        let was_wanted = !viewer.is_unwanted.swap(true, Ordering::Relaxed);
        if viewer.is_answered.load(Ordering::Relaxed) {
            viewers.remove(id);
            drop(viewers);
            self.delete(id);
        }
        was_wanted
    }

    /// Has the element end a session.
    fn delete(&self, id: &str) {
        if let Some(signaller) = signaller(&self.sink) {
            let promise = gst::Promise::new();
            signaller.emit_by_name::<()>("delete", &[&id, &promise]);
        }
    }

    /// Ends sessions of viewers who have gone without a word, and takes down whether the pipeline has failed.
    pub(super) fn tick(&self) {
        let now = self.began.elapsed().as_millis() as u64;
        let is_gone = |viewer: &Viewer| {
            let silent = now.saturating_sub(viewer.heard.load(Ordering::Relaxed));
            let silent = Duration::from_millis(silent);
            let has_left = viewer.is_unwanted.load(Ordering::Relaxed) || silent > SILENT;
            silent > LOST || has_left && viewer.is_answered.load(Ordering::Relaxed)
        };
        let mut viewers = self.viewers.lock();
        let gone: Vec<_> = viewers.extract_if(|_, viewer| is_gone(viewer)).collect();
        drop(viewers);
        for (id, _) in gone {
            self.delete(&id);
        }
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        if self.pipeline.bus().is_some_and(|bus| bus.pop_filtered(&kinds).is_some()) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nothing more will come.
    pub(super) fn has_ended(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Ends it: every viewer is left.
    pub(super) fn end(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
        let until = Instant::now() + SETTLED_WITHIN;
        let is_under_way = |viewer: &Arc<Viewer>| !viewer.is_answered.load(Ordering::Relaxed);
        while self.viewers.lock().values().any(is_under_way) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.output.fanout.remove(self.taker);
        let _ = self.pipeline.set_state(gst::State::Null);
        self.viewers.lock().clear();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether an answer promises pictures. The element answers an offer in which nothing fits, too.
fn gives(answer: &[u8]) -> bool {
    answer.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_end() == b"a=sendonly")
}

/// Takes down when something is heard of a viewer, and when its session ends.
fn listen(sink: &gst::Element, viewers: &Viewers, began: Instant, address: IpAddr) {
    let all = viewers.clone();
    sink.connect("consumer-pipeline-created", false, move |values| {
        let id = values.get(1)?.get::<String>().ok()?;
        let pipeline = values.get(2)?.get::<gst::Pipeline>().ok()?;
        let viewer = all.lock().get(&id).cloned()?;
        pipeline.connect_deep_element_added(move |_, _, element| {
            if element.factory().is_none_or(|factory| factory.name() != "nicesrc") {
                return;
            }
            let Some(pad) = element.static_pad("src") else { return };
            let viewer = viewer.clone();
            let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
            pad.add_probe(kinds, move |_, _| {
                viewer.heard.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            });
        });
        None
    });
    sink.connect("consumer-added", false, move |values| {
        confine(&values.get(2)?.get::<gst::Element>().ok()?, address);
        None
    });
    let all = viewers.clone();
    sink.connect("consumer-removed", false, move |values| {
        all.lock().remove(&values.get(1)?.get::<String>().ok()?);
        None
    });
}
