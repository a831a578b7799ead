//! Live pictures in a browser, by WHEP: one path's viewers, who share one stream as it was encoded for all. The
//! element `whepserversink` speaks WebRTC; who may ask, and what, is decided before.

mod element;
mod offer;
mod stream;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::ServeError;
use crate::output::Output;
pub(crate) use element::missing;
use stream::Stream;

/// Viewers of a path at most. Each costs some threads and the encryption of its packets.
const MOST_VIEWERS: usize = 16;
/// The stream stays for so long after the last viewer has gone.
const LINGER: Duration = Duration::from_secs(3);
/// How often it is looked after.
const TICK: Duration = Duration::from_millis(200);

/// Why somebody gets no pictures this way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WhepError {
    /// An element of GStreamer is missing.
    #[error("GStreamer's element '{0}' is missing; docs/serve.md says how to install it")]
    Missing(&'static str),
    /// The element is another than this server knows.
    #[error("GStreamer's element 'whepserversink' has no {0}; version 0.15 of its plugin has it")]
    Unsuitable(&'static str),
    /// What came is no offer to take pictures.
    #[error("the offer is refused: {0}")]
    Offer(&'static str),
    /// There are as many viewers as there may be.
    #[error("there are {MOST_VIEWERS} viewers already")]
    TooMany,
    /// It ends just now.
    #[error("the camera is not served any more")]
    Ended,
    /// The encoded pictures do not come, or the element does not get ready.
    #[error("there are no encoded pictures in time")]
    NoPictures,
    /// The element does not answer the offer.
    #[error("the offer found no answer: nothing in it fits, or it came too late")]
    NoAnswer,
    /// The stream cannot be started.
    #[error(transparent)]
    Start(#[from] ServeError),
}

/// What a viewer is answered.
pub(crate) struct Answer {
    /// What to end it by.
    pub(crate) id: String,
    pub(crate) sdp: Vec<u8>,
}

/// The viewers of one path.
pub(crate) struct Whep {
    /// The path, for names of threads.
    path: String,
    output: Arc<Output>,
    state: Mutex<State>,
    stop: AtomicBool,
}

#[derive(Default)]
struct State {
    stream: Option<Arc<Stream>>,
    keeper: Option<JoinHandle<()>>,
}

impl Whep {
    /// Nothing runs before the first viewer comes.
    pub(crate) fn new(path: String, output: Arc<Output>) -> Self {
        Self { path, output, state: Mutex::default(), stop: AtomicBool::new(false) }
    }

    /// How many viewers there are.
    pub(crate) fn viewers(&self) -> usize {
        self.state.lock().stream.as_ref().map_or(0, |stream| stream.viewers())
    }

    /// Answers a viewer's offer. Where `address` names one, its pictures leave by that address of this machine alone.
    /// Takes some seconds at worst.
    ///
    /// # Errors
    /// As [`WhepError`] says.
    pub(crate) fn answer(
        self: &Arc<Self>,
        offer: &[u8],
        address: IpAddr,
    ) -> Result<Answer, WhepError> {
        if let Some(element) = missing() {
            return Err(WhepError::Missing(element));
        }
        let offer = offer::check(offer)?;
        let id = gst::glib::uuid_string_random().to_string();
        let stream = self.join(&id, address)?;
        let answered = stream.wait(&id).and_then(|()| stream.answer(&id, &offer));
        match answered {
            Ok(sdp) => Ok(Answer { id, sdp }),
            Err(error) => {
                stream.leave(&id);
                Err(error)
            }
        }
    }

    /// Ends a viewer's session; answers whether there was one.
    pub(crate) fn leave(&self, id: &str) -> bool {
        let stream = self.state.lock().stream.clone();
        stream.is_some_and(|stream| stream.leave(id))
    }

    /// Ends all of it, soon.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for its end until `deadline`; answers whether it has come.
    pub(crate) fn join_until(&self, deadline: Instant) -> bool {
        loop {
            let mut state = self.state.lock();
            match &state.keeper {
                Some(keeper) if !keeper.is_finished() => {}
                Some(_) => return state.keeper.take().is_none_or(|keeper| keeper.join().is_ok()),
                None => return true,
            }
            drop(state);
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The stream, with one viewer more.
    fn join(self: &Arc<Self>, id: &str, address: IpAddr) -> Result<Arc<Stream>, WhepError> {
        let mut state = self.state.lock();
        if self.stop.load(Ordering::Relaxed) {
            return Err(WhepError::Ended);
        }
        if let Some(stream) = &state.stream {
            if stream.viewers() >= MOST_VIEWERS {
                return Err(WhepError::TooMany);
            }
            stream.expect(id);
            return Ok(stream.clone());
        }
        let stream = Arc::new(Stream::start(&self.output, address)?);
        stream.expect(id);
        let (own, kept) = (self.clone(), stream.clone());
        let keeper = std::thread::Builder::new()
            .name(format!("whep {}", self.path))
            .spawn(move || own.keep(&kept))
            .map_err(ServeError::Thread)?;
        *state = State { stream: Some(stream.clone()), keeper: Some(keeper) };
        Ok(stream)
    }

    /// Looks after the stream until nobody wants it.
    fn keep(&self, stream: &Stream) {
        let mut idle: Option<Instant> = None;
        loop {
            std::thread::sleep(TICK);
            stream.tick();
            let mut state = self.state.lock();
            if stream.viewers() > 0 {
                idle = None;
            }
            let has_left =
                stream.viewers() == 0 && idle.get_or_insert_with(Instant::now).elapsed() >= LINGER;
            if has_left || stream.has_ended() || self.stop.load(Ordering::Relaxed) {
                state.stream = None;
                break;
            }
        }
        stream.end();
    }
}
