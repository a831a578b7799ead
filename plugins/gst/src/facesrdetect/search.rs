//! A detector at work, and its exchange for another while frames pass.

use std::sync::mpsc::{self, Receiver, TryRecvError};

use facesr::detect::{Detector, DetectorOptions};
use facesr::{Finder, FinderOptions, ModelError};

/// What comes of opening a detector.
type Opened = Result<Box<dyn Detector>, ModelError>;

/// A finder, and how its detector was opened.
pub(super) struct Search {
    pub(super) finder: Finder,
    finder_options: FinderOptions,
    /// What was asked for last, whether it could be opened or not.
    requested: DetectorOptions,
    /// The detector that takes over as soon as it is open.
    opening: Option<Receiver<Opened>>,
}

impl Search {
    /// Opens the detector.
    ///
    /// # Errors
    /// A model that cannot be used.
    pub(super) fn open(
        requested: DetectorOptions,
        finder_options: FinderOptions,
    ) -> Result<Self, ModelError> {
        let finder = Finder::new(facesr::detect::open(&requested)?, finder_options.clone());
        Ok(Self { finder, finder_options, requested, opening: None })
    }

    /// How the detector was asked for last.
    pub(super) fn requested(&self) -> &DetectorOptions {
        &self.requested
    }

    /// Follows the options. Another detector is opened on a thread of its own, which takes as long
    /// as its model is large; frames are searched with the one before until then, unless they may
    /// wait: then the same frames always give the same faces.
    ///
    /// # Errors
    /// A detector that could not be opened; the one before stays.
    pub(super) fn follow(
        &mut self,
        finder_options: FinderOptions,
        requested: DetectorOptions,
    ) -> Result<(), ModelError> {
        let may_wait = !finder_options.background;
        if finder_options != self.finder_options {
            self.finder.set_options(finder_options.clone());
            self.finder_options = finder_options;
        }
        if requested != self.requested {
            self.requested = requested.clone();
            self.opening = Some(open_beside(requested));
        }
        let Some(opening) = &self.opening else { return Ok(()) };
        let opened = if may_wait {
            opening.recv().ok()
        } else {
            match opening.try_recv() {
                Ok(opened) => Some(opened),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => None,
            }
        };
        self.opening = None;
        // Without an answer the thread has panicked, which has been reported on its own.
        if let Some(opened) = opened {
            self.finder.set_detector(opened?);
        }
        Ok(())
    }
}

/// Opens a detector on a thread of its own, or here where there is no thread to be had.
fn open_beside(options: DetectorOptions) -> Receiver<Opened> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let here = (options.clone(), sender.clone());
    let thread = std::thread::Builder::new().name("facesr-open".into());
    // Nobody may wait for it any more: then the detector goes as it came.
    let spawned = thread.spawn(move || drop(sender.send(facesr::detect::open(&options))));
    if spawned.is_err() {
        let (options, sender) = here;
        drop(sender.send(facesr::detect::open(&options)));
    }
    receiver
}
