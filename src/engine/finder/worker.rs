//! A detector on a thread of its own, which looks at the newest frame there is.
//!
//! Live streams must not wait for a detector that needs longer than a frame lasts. Here frames are
//! left for the detector, never more than one: a newer one takes the place of one that still
//! waits. Answers come back some frames later, with the number of the frame they are about.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

use crate::detect::{Detector, search};
use crate::error::Error;
use crate::face::Detection;
use crate::frame::{Frame, OwnedFrame};
use crate::search::SearchRegion;
use crate::util::cpu_time::CpuTimer;

/// A frame for the detector.
struct Job {
    number: u64,
    snapshot: OwnedFrame,
    view: SearchRegion,
    found: Vec<Detection>,
}

/// What the detector says about a frame.
struct Answer {
    job: Job,
    outcome: Result<(), Error>,
    downscale: Option<f32>,
    cost: Duration,
}

/// What became of the frame with this number.
pub(crate) struct DetectionOutcome {
    pub(crate) number: u64,
    /// What of it was searched.
    pub(crate) view: SearchRegion,
    /// The faces in that.
    pub(crate) outcome: Result<Vec<Detection>, Error>,
    /// By how much the detector has reduced it; `None` for a tile.
    pub(crate) downscale: Option<f32>,
    /// CPU time that was spent.
    pub(crate) cost: Duration,
    /// Its pixels; to be given [back](DetectionWorker::recycle).
    pub(crate) snapshot: OwnedFrame,
}

/// The thread, seen from the stream's.
pub(crate) struct DetectionWorker {
    name: &'static str,
    jobs: Sender<Job>,
    /// The other end of `jobs`, to take back what has waited for too long.
    waiting: Receiver<Job>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<Option<Box<dyn Detector>>>>,
    spare: Vec<OwnedFrame>,
    /// The thread's death has been told.
    mourned: bool,
}

impl DetectionWorker {
    /// Moves `detector` to a thread of its own; gives it back if no thread can be had.
    pub(crate) fn start(detector: Box<dyn Detector>) -> Result<Self, Box<dyn Detector>> {
        let name = detector.name();
        let (jobs, waiting) = bounded(1);
        let (answer, answers) = bounded(2);
        // The detector follows by a channel: a thread that fails to start would take it along.
        let (give, take) = bounded::<Box<dyn Detector>>(1);
        let theirs = waiting.clone();
        let thread = std::thread::Builder::new()
            .name("facesr-detect".into())
            .spawn(move || take.recv().ok().map(|detector| work(detector, &theirs, &answer)));
        let Ok(thread) = thread else { return Err(detector) };
        if let Err(unsent) = give.send(detector) {
            return Err(unsent.into_inner());
        }
        let spare = Vec::new();
        Ok(Self { name, jobs, waiting, answers, thread: Some(thread), spare, mourned: false })
    }

    /// Leaves a copy of `frame` for the detector, which is to search `view` of it. Answers
    /// the number of the frame that had waited until now and will not be looked at any more.
    pub(crate) fn try_submit(
        &mut self,
        number: u64,
        frame: &Frame<'_>,
        view: SearchRegion,
    ) -> Option<u64> {
        let replaced = self.waiting.try_recv().ok();
        let replaced = replaced.map(|job| {
            self.spare.push(job.snapshot);
            job.number
        });
        let mut snapshot = self.spare.pop().unwrap_or_default();
        snapshot.take(frame);
        match self.jobs.try_send(Job { number, snapshot, view, found: Vec::new() }) {
            Ok(()) => {}
            // Only this thread sends, and it has just made room.
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                self.spare.push(job.snapshot);
            }
        }
        replaced
    }

    /// The next answer, if one is there.
    ///
    /// # Errors
    /// Once, if the thread has died.
    pub(crate) fn try_recv(&mut self) -> Result<Option<DetectionOutcome>, Error> {
        match self.answers.try_recv() {
            Ok(Answer { mut job, outcome, downscale, cost }) => {
                let outcome = outcome.map(|()| std::mem::take(&mut job.found));
                let Job { number, snapshot, view, .. } = job;
                Ok(Some(DetectionOutcome { number, view, outcome, downscale, cost, snapshot }))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) if self.mourned => Ok(None),
            Err(TryRecvError::Disconnected) => {
                self.mourned = true;
                Err(Error::Inference {
                    model: format!("detector {}", self.name),
                    reason: "its thread has ended".into(),
                })
            }
        }
    }

    /// Takes back the copy that came with an answer.
    pub(crate) fn recycle(&mut self, snapshot: OwnedFrame) {
        self.spare.push(snapshot);
    }

    /// Takes back what still waits: it belongs to a scene that is over.
    pub(crate) fn clear(&mut self) {
        self.spare.extend(self.waiting.try_recv().map(|job| job.snapshot));
    }

    /// Ends the thread and gives the detector back; `None` if the thread died.
    pub(crate) fn stop(mut self) -> Option<Box<dyn Detector>> {
        self.end()
    }

    fn end(&mut self) -> Option<Box<dyn Detector>> {
        self.clear();
        // Without a sender the thread's loop ends, and without a receiver it cannot wait for room
        // among the answers: it would wait for ever, since nobody takes them while `join` waits.
        (self.jobs, _) = bounded(1);
        (_, self.answers) = bounded(1);
        self.thread.take()?.join().ok()?
    }
}

impl Drop for DetectionWorker {
    fn drop(&mut self) {
        self.end();
    }
}

/// The thread's life: looks at frames until nobody can leave any more.
fn work(
    mut detector: Box<dyn Detector>,
    jobs: &Receiver<Job>,
    answers: &Sender<Answer>,
) -> Box<dyn Detector> {
    for mut job in jobs {
        let (watch, helper) = (CpuTimer::start(), detector.helper_time());
        let outcome = match job.snapshot.frame() {
            None => Ok(()),
            Some(frame) => {
                let look =
                    AssertUnwindSafe(|| search(&mut *detector, &frame, job.view, &mut job.found));
                catch_unwind(look).unwrap_or_else(|panic| {
                    let text = panic.downcast_ref::<String>().map(String::as_str);
                    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                    Err(Error::Inference {
                        model: format!("detector {}", detector.name()),
                        reason: format!("it panicked: {}", text.unwrap_or("no reason given")),
                    })
                })
            }
        };
        let whole = job.snapshot.frame().and_then(|frame| job.view.reduced_size(&frame));
        let downscale = whole.map(|(width, height)| detector.downscale(width, height));
        let cost = watch.elapsed() + detector.helper_time().saturating_sub(helper);
        if answers.send(Answer { job, outcome, downscale, cost }).is_err() {
            break;
        }
    }
    detector
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameInfo, PixelFormat};

    /// A detector that says when it starts and waits to be let on.
    struct Gated {
        started: Sender<()>,
        gate: Receiver<()>,
    }

    impl Detector for Gated {
        fn name(&self) -> &'static str {
            "gated"
        }

        fn detect(&mut self, _: &Frame<'_>, _: &mut Vec<Detection>) -> Result<(), Error> {
            let _ = self.started.send(());
            let _ = self.gate.recv();
            Ok(())
        }
    }

    #[test]
    fn worker_stops_while_more_answers_wait_than_their_channel_holds() {
        let (started, starts) = bounded(8);
        let (open, gate) = bounded(8);
        let worker = DetectionWorker::start(Box::new(Gated { started, gate }));
        let mut worker = worker.unwrap_or_else(|_| panic!("no thread"));
        let data = [0; 64];
        let info = FrameInfo::new(PixelFormat::Gray8, 8, 8);
        let frame = Frame::new(info, &[&data], &[8]).unwrap();
        // Three searches end without an answer being taken; the channel holds two.
        worker.try_submit(1, &frame, SearchRegion::FullFrame);
        for number in 2..4 {
            starts.recv().unwrap();
            worker.try_submit(number, &frame, SearchRegion::FullFrame);
            open.send(()).unwrap();
        }
        starts.recv().unwrap();
        open.send(()).unwrap();
        let (stopped, stop) = bounded(1);
        std::thread::spawn(move || stopped.send(worker.stop().is_some()));
        assert_eq!(stop.recv_timeout(Duration::from_secs(60)), Ok(true), "it waits for ever");
    }
}
