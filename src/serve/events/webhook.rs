//! Events by HTTP: each is posted as JSON, once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use super::{CountedEvent, EventFigures};
use crate::config::Secret;

/// Seconds for one of them.
const TIMEOUT: u64 = 5;

pub(super) fn run(queue: &Receiver<Arc<CountedEvent>>, url: &Secret, figures: &EventFigures) {
    while let Ok(told) = queue.recv() {
        let answer = minreq::post(url.expose())
            .with_header("Content-Type", "application/json")
            .with_body(told.face.to_json().to_string())
            .with_timeout(TIMEOUT)
            .with_follow_redirects(false)
            .with_max_headers_size(16 << 10)
            .with_max_status_line_length(1 << 10)
            // What the answer holds is not read.
            .send_lazy();
        let is_taken = answer.is_ok_and(|answer| (200..300).contains(&answer.status_code));
        let figure = if is_taken { &figures.sent } else { &figures.failed };
        figure.fetch_add(1, Ordering::Relaxed);
    }
}
