//! A detector on a thread of its own.
//!
//! Live streams must not wait for a detector that needs longer than a frame lasts. Here one frame
//! at a time is left for the detector, the newest when it is idle. Results come back some frames
//! later, with the time of the frame they are about.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::LazyLock;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TryRecvError, bounded};

use crate::detect::{Detector, search};
use crate::error::{Error, InferenceError};
use crate::face::Detection;
use crate::frame::{Frame, OwnedFrame};
use crate::search::SearchRegion;
use crate::util::cpu_time::CpuTimer;
use crate::util::parallel::cores;

/// A frame for the detector, and later what it has found there.
#[derive(Default)]
pub(super) struct DetectionJob {
    /// Time of the frame, seconds.
    pub(super) at: f64,
    /// Which scene it belongs to; scenes are numbered.
    pub(super) scene: u64,
    pub(super) snapshot: OwnedFrame,
    /// What is to be searched.
    pub(super) regions: Vec<SearchRegion>,
    /// The faces in each region, or why they are not known.
    pub(super) outcomes: Vec<Result<Vec<Detection>, Error>>,
    /// CPU time that was spent.
    pub(super) cost: Duration,
}

/// Milliseconds per second and core that all threads of this process together may search in: the
/// other half is for the streams that they serve.
const SHARE_OF_CORE: f64 = 500.0;

/// Counts the threads there are, by its references.
static THREADS: LazyLock<Arc<()>> = LazyLock::new(Arc::default);

/// What a thread may spend, milliseconds per second, with as many as there are now.
pub(super) fn fair_budget() -> f64 {
    let threads = Arc::strong_count(&THREADS).saturating_sub(1).max(1);
    SHARE_OF_CORE * cores() as f64 / threads as f64
}

/// The thread, seen from the stream's.
pub(super) struct DetectionWorker {
    name: &'static str,
    jobs: Sender<DetectionJob>,
    results: Receiver<DetectionJob>,
    thread: Option<JoinHandle<Option<Box<dyn Detector>>>>,
    is_busy: bool,
    spare: Option<DetectionJob>,
    death_reported: bool,
    _counted: Arc<()>,
}

impl DetectionWorker {
    /// Moves `detector` to a thread of its own; returns it if no thread can be had.
    pub(super) fn start(detector: Box<dyn Detector>) -> Result<Self, Box<dyn Detector>> {
        let name = detector.name();
        // There is one job at a time, so neither channel is ever full.
        let (jobs, theirs) = bounded(1);
        let (answer, results) = bounded(1);
        // The detector follows by a channel: a thread that fails to start would take it along.
        let (give, take) = bounded::<Box<dyn Detector>>(1);
        let thread = std::thread::Builder::new()
            .name("facesr-detect".into())
            .spawn(move || take.recv().ok().map(|detector| run_worker(detector, &theirs, &answer)));
        let Ok(thread) = thread else { return Err(detector) };
        if let Err(unsent) = give.send(detector) {
            return Err(unsent.into_inner());
        }
        let (spare, death_reported) = (None, false);
        Ok(Self {
            name,
            jobs,
            results,
            thread: Some(thread),
            is_busy: false,
            spare,
            death_reported,
            _counted: THREADS.clone(),
        })
    }

    /// Whether a frame is being searched.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether what it has found is there to be received.
    #[cfg(test)]
    pub(super) fn has_result(&self) -> bool {
        !self.results.is_empty()
    }

    /// Leaves a copy of `frame`, of the time `at` in a scene, for the detector, unless it is busy.
    pub(super) fn try_submit(
        &mut self,
        frame: &Frame<'_>,
        (at, scene): (f64, u64),
        regions: Vec<SearchRegion>,
    ) {
        if self.is_busy {
            return;
        }
        let mut job = self.spare.take().unwrap_or_default();
        job.snapshot.copy_from(frame);
        (job.at, job.scene, job.regions) = (at, scene, regions);
        job.outcomes.clear();
        self.is_busy = self.jobs.try_send(job).is_ok();
    }

    /// The next result, if one is there.
    ///
    /// # Errors
    /// Once, if the thread has died.
    pub(super) fn try_recv(&mut self) -> Result<Option<DetectionJob>, Error> {
        match self.results.try_recv() {
            Ok(job) => {
                self.is_busy = false;
                Ok(Some(job))
            }
            Err(TryRecvError::Disconnected) if !self.death_reported => {
                self.death_reported = true;
                let model = format!("detector {}", self.name);
                Err(Error::inference(model, InferenceError::ThreadEnded))
            }
            Err(_) => Ok(None),
        }
    }

    /// Takes back a result, whose memory serves the next job.
    pub(super) fn recycle(&mut self, job: DetectionJob) {
        self.spare = Some(job);
    }

    /// Ends the thread and returns the detector; `None` if the thread died.
    pub(super) fn join(mut self) -> Option<Box<dyn Detector>> {
        self.end()
    }

    fn end(&mut self) -> Option<Box<dyn Detector>> {
        // Without a sender the thread's loop ends.
        let (closed, _) = bounded(1);
        self.jobs = closed;
        self.thread.take()?.join().ok()?
    }
}

impl Drop for DetectionWorker {
    fn drop(&mut self) {
        self.end();
    }
}

/// The thread's life: searches frames until nobody can leave any more.
fn run_worker(
    mut detector: Box<dyn Detector>,
    jobs: &Receiver<DetectionJob>,
    results: &Sender<DetectionJob>,
) -> Box<dyn Detector> {
    for mut job in jobs {
        let (timer, helper) = (CpuTimer::start(), detector.helper_time());
        if let Some(frame) = job.snapshot.frame() {
            for region in &job.regions {
                let run = AssertUnwindSafe(|| search(&mut *detector, &frame, region));
                let outcome = catch_unwind(run).unwrap_or_else(|panic| {
                    let model = format!("detector {}", detector.name());
                    Err(Error::inference(model, InferenceError::panicked(panic.as_ref())))
                });
                job.outcomes.push(outcome);
            }
        }
        job.cost = timer.elapsed() + detector.helper_time().saturating_sub(helper);
        if results.send(job).is_err() {
            break;
        }
    }
    detector
}
