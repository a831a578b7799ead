//! SeetaFace: a cascade of classifiers (Wu et al., "Funnel-structured cascade for multi-view face
//! detection with alignment awareness", 2016), by the crate rustface. Its model is embedded, so it
//! needs no file and no ONNX Runtime; it finds fewer small faces than the networks, at a higher
//! price.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use sha2::{Digest, Sha256};

use super::network::Scale;
use super::preprocess::Preprocessor;
use super::{BoxFit, Detector, DetectorOptions, Scores, nms};
use crate::error::{Error, InferenceError, InvalidModel, ModelError};
use crate::face::Detection;
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::inference::loader;
use crate::inference::model_source::ModelSource;
use crate::util::cpu_time::thread_time;

/// The model that is part of this library.
pub(super) const EMBEDDED: ModelSource = ModelSource::Embedded {
    name: "seeta_fd_frontal_v1.0.bin",
    bytes: include_bytes!("../models/seeta_fd_frontal_v1.0.bin"),
};

/// SHA-256 of the only model there is. rustface panics, or reads wild, on any other bytes.
const SHA256: [u8; 32] = [
    0xc4, 0x61, 0x9d, 0x06, 0x6e, 0xd3, 0x5e, 0x84, 0xd9, 0xa8, 0xe8, 0x42, 0x86, 0x0b, 0x0d, 0xff,
    0x56, 0x7a, 0xba, 0x0c, 0xbb, 0x13, 0x98, 0x81, 0x07, 0x55, 0x38, 0x76, 0x1d, 0xb3, 0xff, 0x5d,
];

const WANTED: &str = "SeetaFace's frontal model seeta_fd_frontal_v1.0.bin (leave the model file \
                      unset to use the built-in one)";

/// From SeetaFace's box to the WIDER-style box, measured by `examples/measure_box_factor.rs` on
/// 789 CelebA crops of 26 to 128 pixels: medians of 1.15 to 1.23, and 0 to -0.03.
const FIT: BoxFit = BoxFit { side: 1.18, down: -0.01 };

/// rustface scores from 0 up: clear faces 3 to 20, the best false ones of two clips 0.9. This
/// score becomes 0.5.
const SCORE_HALF: f32 = 2.0;

/// Detections of a lower score are dropped unless the user says otherwise.
const MIN_SCORE: f32 = 0.5;

/// rustface drops overlapping boxes itself, but at a higher overlap.
const MAX_IOU: f32 = 0.3;

/// Windows are tried at every so many pixels, and sizes at steps of this factor: half the cost
/// of the crate's defaults (4, 0.8).
const WINDOW_STEP: u32 = 6;
const PYRAMID_STEP: f32 = 0.7;

/// Smallest face that rustface finds, in pixels of its picture: the side of its window.
const WINDOW: usize = 40;

/// Frames are enlarged by this so that faces of half a window are found, ...
const ENLARGE: f64 = 2.0;

/// ... unless the longer side would exceed this, in pixels.
const LONG_SIDE: f64 = 1280.0;

/// Whether these bytes are the model that rustface can read.
pub(super) fn is_seetaface(file: &[u8]) -> bool {
    Sha256::digest(file)[..] == SHA256
}

/// A picture for the helper thread.
struct Job {
    luma: Vec<u8>,
    width: usize,
    height: usize,
}

/// The helper thread's answer: the picture's buffer again, boxes with rustface's scores or the
/// reason of a failure, and the CPU time it took.
struct Answer {
    luma: Vec<u8>,
    outcome: Result<Vec<(Rect, f64)>, InferenceError>,
    cost: Duration,
}

/// The SeetaFace detector. `rustface::Detector` cannot move between threads, so it lives in one
/// of its own.
pub(super) struct SeetaFace {
    model: String,
    scores: Scores,
    width: u32,
    preprocessor: Preprocessor,
    spare: Vec<u8>,
    helper_time: Duration,
    jobs: Option<Sender<Job>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

impl SeetaFace {
    /// The detector with the model in `source`.
    ///
    /// # Errors
    /// [`ModelError`] if the file cannot be read, is not the one known model, or no thread can be
    /// started.
    pub(super) fn open(source: ModelSource, options: &DetectorOptions) -> Result<Self, ModelError> {
        let file = loader::read(&source)?;
        Self::from_bytes(&source, file, options)
    }

    /// The same, of a file that was read.
    ///
    /// # Errors
    /// As [`SeetaFace::open`].
    pub(super) fn from_bytes(
        source: &ModelSource,
        file: Cow<'static, [u8]>,
        options: &DetectorOptions,
    ) -> Result<Self, ModelError> {
        if !is_seetaface(&file) {
            return Err(ModelError::Contract {
                model: source.to_string(),
                source: format!("{} bytes with another SHA-256", file.len()).into(),
                wanted: WANTED,
            });
        }
        let model = rustface::read_model(&file[..])
            .map_err(|e| ModelError::invalid(source, InvalidModel::Detector(e)))?;
        Self::start(source.to_string(), options, move || {
            let model = model.clone();
            let mut detector = rustface::create_detector_with_model(model);
            detector.set_slide_window_step(WINDOW_STEP, WINDOW_STEP);
            detector.set_pyramid_scale_factor(PYRAMID_STEP);
            // What the score says is for this side to judge.
            detector.set_score_thresh(f64::MIN_POSITIVE);
            move |luma: &[u8], width: usize, height: usize| {
                let image = rustface::ImageData::new(luma, width as u32, height as u32);
                detector.detect(&image).iter().map(|f| (rect(f.bbox()), f.score())).collect()
            }
        })
        .map_err(|e| ModelError::invalid(source, InvalidModel::Thread(e)))
    }

    /// Starts the helper thread. `make` is called in it, and again after a panic, for the
    /// function that finds boxes in a picture.
    fn start<F>(
        model: String,
        options: &DetectorOptions,
        make: impl Fn() -> F + Send + 'static,
    ) -> std::io::Result<Self>
    where
        F: FnMut(&[u8], usize, usize) -> Vec<(Rect, f64)>,
    {
        let (jobs, for_thread) = bounded::<Job>(1);
        let (answer, answers) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("facesr-seeta".into())
            .spawn(move || work(&for_thread, &answer, make))?;
        Ok(Self {
            model,
            scores: options.scores(MIN_SCORE),
            width: options.width,
            preprocessor: Preprocessor::default(),
            spare: Vec::new(),
            helper_time: Duration::ZERO,
            jobs: Some(jobs),
            answers,
            thread: Some(thread),
        })
    }

    fn failed(&self, cause: InferenceError) -> Error {
        Error::inference(self.model.clone(), cause)
    }
}

impl Drop for SeetaFace {
    fn drop(&mut self) {
        // Without a sender the thread's loop ends.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Panics were caught and reported in their time.
            let _ = thread.join();
        }
    }
}

impl Detector for SeetaFace {
    fn name(&self) -> &'static str {
        "seetaface"
    }

    fn helper_time(&self) -> Duration {
        self.helper_time
    }

    fn min_score(&self) -> f32 {
        self.scores.min
    }

    fn detect(&mut self, frame: &Frame<'_>, found: &mut Vec<Detection>) -> Result<(), Error> {
        let info = *frame.info();
        let (width, height) = picture_size(info.width, info.height, self.width);
        if width.min(height) < WINDOW {
            return Ok(());
        }
        let mut luma = std::mem::take(&mut self.spare);
        self.preprocessor.luma(frame, width, height, &mut luma);
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(Job { luma, width, height }));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.failed(InferenceError::ThreadEnded));
        }
        let answer = self.answers.recv().map_err(|_| self.failed(InferenceError::ThreadEnded))?;
        self.spare = answer.luma;
        self.helper_time += answer.cost;
        let boxes = answer.outcome.map_err(|e| self.failed(e))?;
        let scale = Scale::new((info.width, info.height), (width, height));
        let mut boxes: Vec<Detection> = boxes
            .into_iter()
            .map(|(rect, score)| Detection { rect, score: score_of(score) })
            .filter(|d| d.score >= self.scores.low)
            .collect();
        nms::suppress(&mut boxes, MAX_IOU);
        FIT.apply(&mut boxes);
        found.extend(boxes.iter().map(|d| Detection { rect: scale.apply(&d.rect), ..*d }));
        Ok(())
    }
}

/// The helper thread's life: answers jobs until nobody can send any more.
fn work<F>(jobs: &Receiver<Job>, answers: &Sender<Answer>, make: impl Fn() -> F)
where
    F: FnMut(&[u8], usize, usize) -> Vec<(Rect, f64)>,
{
    let mut find = None;
    for Job { luma, width, height } in jobs {
        let before = thread_time();
        let outcome =
            catch_unwind(AssertUnwindSafe(|| find.get_or_insert_with(&make)(&luma, width, height)))
                .map_err(|panic| {
                    // Whatever state the panic left behind goes with it.
                    find = None;
                    InferenceError::panicked(panic.as_ref())
                });
        let cost = thread_time().saturating_sub(before);
        if answers.send(Answer { luma, outcome, cost }).is_err() {
            return;
        }
    }
}

fn rect(b: &rustface::Rectangle) -> Rect {
    Rect::new(b.x() as f32, b.y() as f32, b.width() as f32, b.height() as f32)
}

/// rustface's open-ended score as 0 to 1.
fn score_of(score: f64) -> f32 {
    let score = score.max(0.0) as f32;
    score / (score + SCORE_HALF)
}

/// Size of the picture that is searched, in pixels. `width` is the user's choice, 0 for none.
fn picture_size(frame_width: u32, frame_height: u32, width: u32) -> (usize, usize) {
    let (w, h) = (f64::from(frame_width), f64::from(frame_height));
    let factor = match width {
        0 => ENLARGE.min(LONG_SIDE / w.max(h)),
        width => (f64::from(width) / w).min(1.0),
    };
    ((w * factor).round().max(1.0) as usize, (h * factor).round().max(1.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameInfo, PixelFormat};

    fn grey(width: u32, height: u32) -> (FrameInfo, Vec<u8>) {
        (FrameInfo::new(PixelFormat::Gray8, width, height), vec![90; (width * height) as usize])
    }

    #[test]
    fn the_embedded_model_is_the_known_one() {
        assert!(is_seetaface(&loader::read(&EMBEDDED).unwrap()));
    }

    #[test]
    fn picture_sizes() {
        assert_eq!(picture_size(640, 480, 0), (1280, 960));
        assert_eq!(picture_size(1920, 1080, 0), (1280, 720));
        assert_eq!(picture_size(176, 144, 0), (352, 288));
        assert_eq!(picture_size(1920, 1080, 960), (960, 540));
        assert_eq!(picture_size(320, 240, 960), (320, 240));
    }

    #[test]
    fn a_flat_picture_of_any_size_has_no_faces() {
        let mut detector = SeetaFace::open(EMBEDDED, &DetectorOptions::default()).unwrap();
        for (width, height) in [(1, 1), (20, 20), (21, 19), (64, 48), (300, 30), (30, 300)] {
            let (info, data) = grey(width, height);
            let frame = Frame::new(info, &[&data], &[width as usize]).unwrap();
            let mut found = Vec::new();
            detector.detect(&frame, &mut found).unwrap();
            assert_eq!(found, [], "{width}x{height}");
        }
        assert!(detector.helper_time() > Duration::ZERO);
    }

    #[test]
    fn a_panic_is_an_error_and_the_next_frame_works() {
        let mut calls = 0;
        let options = DetectorOptions::default();
        let mut detector = SeetaFace::start("test".into(), &options, || {
            |luma: &[u8], _: usize, _: usize| {
                assert!(luma[0] != 90, "a made-up panic");
                vec![(Rect::new(1.0, 2.0, 3.0, 4.0), 50.0)]
            }
        })
        .unwrap();
        let (info, mut data) = grey(64, 64);
        for wanted in [false, true, false, true] {
            data.fill(if wanted { 10 } else { 90 });
            let frame = Frame::new(info, &[&data], &[64]).unwrap();
            let mut found = Vec::new();
            match detector.detect(&frame, &mut found) {
                Ok(()) => assert!(wanted && found.len() == 1),
                Err(Error::Inference { source, .. }) => {
                    assert!(!wanted && source.to_string().contains("a made-up panic"), "{source}");
                }
                Err(e) => panic!("{e}"),
            }
            calls += 1;
        }
        assert_eq!(calls, 4);
    }
}
