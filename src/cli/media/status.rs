//! What a pipeline tells while it runs, and what it has learned of its output.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use gst::prelude::*;

use super::ledger::Ledger;
use super::{matroska, mp4, timing, video};
use crate::term::Note;

/// What is known of a track of the output.
#[derive(Debug, Clone, Default)]
pub(super) struct OutputTrack {
    /// When it is shown.
    pub(super) span: timing::SpanRecorder,
    /// How much of it lies before the start, nanoseconds.
    pub(super) delay: Arc<AtomicI64>,
    /// What it is called.
    pub(super) name: Option<String>,
    /// Whether players show it unasked.
    pub(super) is_default: Option<bool>,
    /// Elements that it has as Matroska has them.
    pub(super) copied: Vec<(u32, Vec<u8>)>,
}

/// What the pipeline tells while it runs.
#[derive(Debug, Default)]
pub(super) struct PipelineStatus {
    /// Frames that have left the enhancer.
    pub(super) frames: AtomicU64,
    /// When the first of them did.
    pub(super) first: OnceLock<Instant>,
    /// Running time of the last of them, nanoseconds.
    pub(super) position: AtomicU64,
    /// Sentences for the user, not yet shown.
    pub(super) notes: Mutex<Vec<Note>>,
    /// Whether [`warn_once`](Self::warn_once) has spoken.
    warned: AtomicBool,
    /// Kinds of notes that were given.
    kinds: Mutex<HashSet<&'static str>>,
    /// What comes out of the decoder and what goes into the encoder.
    pub(super) sizes: Mutex<Option<video::Sizes>>,
    /// The tracks of the output, in the muxer's order.
    pub(super) tracks: Mutex<Vec<OutputTrack>>,
    /// How wide and high the enhanced picture is shown.
    pub(super) display: Mutex<Option<(u32, u32)>>,
    /// How players have to turn the enhanced picture.
    pub(super) rotation: Mutex<Option<[i32; 9]>>,
    /// Number of the enhanced video's track in the output.
    pub(super) video_track: AtomicU64,
    /// Whether the input has a video stream.
    pub(super) has_video: AtomicBool,
    /// Chapters that the demuxer tells of: begin in nanoseconds, and title.
    pub(super) chapters: Mutex<Vec<(u64, String)>>,
    /// How many streams of each kind were kept.
    pub(super) kept: Mutex<[u32; 3]>,
    /// What has passed where.
    pub(super) ledger: Ledger,
}

impl PipelineStatus {
    /// Tells the user something.
    pub(super) fn note(&self, note: impl Into<String>) {
        lock(&self.notes).push(Note { text: note.into(), is_loss: false });
    }

    /// Tells the user of something that is not in the output.
    pub(super) fn loss(&self, note: impl Into<String>) {
        lock(&self.notes).push(Note { text: note.into(), is_loss: true });
    }

    /// A note of which one of its kind is enough.
    pub(super) fn note_of_kind(&self, kind: &'static str, note: impl Into<String>) {
        if lock(&self.kinds).insert(kind) {
            self.note(note);
        }
    }

    /// A note that many frames may give cause for.
    pub(super) fn warn_once(&self, note: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            self.note(note);
        }
    }

    /// The notes since the last call.
    pub(super) fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut lock(&self.notes))
    }

    pub(super) fn set_sizes(&self, sizes: video::Sizes) {
        *lock(&self.sizes) = Some(sizes);
    }

    /// Sizes and rate of the video, once its first frame was decoded.
    pub(super) fn sizes(&self) -> Option<video::Sizes> {
        lock(&self.sizes).clone()
    }

    /// Streams kept: other video, audio, subtitles.
    pub(super) fn kept(&self) -> [u32; 3] {
        *lock(&self.kept)
    }

    pub(super) fn set_rotation(&self, matrix: [i32; 9]) {
        *lock(&self.rotation) = Some(matrix);
    }

    pub(super) fn set_display(&self, display: (u32, u32)) {
        *lock(&self.display) = Some(display);
    }

    pub(super) fn matroska_tracks(&self) -> Vec<matroska::Track> {
        let video = self.video_track.load(Ordering::Relaxed);
        let display = *lock(&self.display);
        (0..)
            .zip(lock(&self.tracks).iter())
            .map(|(i, track)| matroska::Track {
                name: track.name.clone(),
                is_default: track.is_default,
                copied: track.copied.clone(),
                delay: u64::try_from(track.delay.load(Ordering::Relaxed)).unwrap_or(0),
                display: display.filter(|_| i == video),
            })
            .collect()
    }

    pub(super) fn mp4_tracks(&self) -> Vec<mp4::Track> {
        let video = self.video_track.load(Ordering::Relaxed);
        let rotation = *lock(&self.rotation);
        (0..)
            .zip(lock(&self.tracks).iter())
            .map(|(i, track)| mp4::Track {
                span: track.span.get(),
                matrix: rotation.filter(|_| i == video),
                name: track.name.clone(),
                is_enabled: track.is_default,
            })
            .collect()
    }
}

/// A panic elsewhere leaves what is kept here whole.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Ends the pipeline with an error that says `text` to the user.
pub(super) fn fail(pipeline: &gst::Pipeline, text: &str) {
    pipeline.post_error_message(gst::error_msg!(gst::StreamError::Failed, ["{text}"]));
}
