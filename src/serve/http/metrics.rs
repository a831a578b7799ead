//! Figures as Prometheus reads them.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::events::Events;
use crate::service::Entry;
use crate::status::{DELAYS, State};

/// One kind of figure: name, what it says, its type.
fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// All figures. Names of cameras hold nothing that must be escaped.
pub(super) fn text(entries: &[(String, Entry)], events: &Events) -> String {
    let mut out = String::new();
    let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    head(&mut out, "facesr_camera_up", "Whether the camera's pictures come.", "gauge");
    for (name, entry) in entries {
        let is_live = entry.sinks.status.condition().state == State::Live;
        let _ = writeln!(out, "facesr_camera_up{{camera=\"{name}\"}} {}", u8::from(is_live));
    }
    head(
        &mut out,
        "facesr_enhancing",
        "Whether faces are enhanced, not left as they are because the machine is too slow.",
        "gauge",
    );
    for (name, entry) in entries {
        let on = !entry.sinks.status.bypass.load(Ordering::Relaxed);
        let _ = writeln!(out, "facesr_enhancing{{camera=\"{name}\"}} {}", u8::from(on));
    }
    head(
        &mut out,
        "facesr_behind",
        "Whether there is too little CPU time to find and enhance the faces.",
        "gauge",
    );
    for (name, entry) in entries {
        let behind = u8::from(entry.sinks.status.is_behind());
        let _ = writeln!(out, "facesr_behind{{camera=\"{name}\"}} {behind}");
    }
    type Gauge = fn(&Entry) -> u64;
    let gauges: [(&str, &str, Gauge); 2] = [
        ("facesr_faces", "Faces that are there.", |e| e.sinks.status.present.count() as u64),
        ("facesr_recorded_bytes", "Bytes of recordings on disk.", |e| {
            e.sinks.status.recorded.bytes.load(Ordering::Relaxed)
        }),
    ];
    for (name, help, figure) in gauges {
        head(&mut out, name, help, "gauge");
        for (camera, entry) in entries {
            let _ = writeln!(out, "{name}{{camera=\"{camera}\"}} {}", figure(entry));
        }
    }
    head(
        &mut out,
        "facesr_frames_total",
        "Pictures: in from the camera, done, and of those late or bypassed, which passed untouched.",
        "counter",
    );
    for (name, entry) in entries {
        let status = &entry.sinks.status;
        for (kind, value) in [
            ("in", get(&status.frames_in)),
            ("done", get(&status.frames_done)),
            ("late", status.faces.lock().late),
            ("bypassed", get(&status.frames_bypassed)),
        ] {
            let _ =
                writeln!(out, "facesr_frames_total{{camera=\"{name}\",kind=\"{kind}\"}} {value}");
        }
    }
    type Figure = fn(&Entry) -> u64;
    let counters: [(&str, &str, Figure); 8] = [
        ("facesr_connects_total", "Attempts to read the camera.", |e| {
            e.sinks.status.attempts.load(Ordering::Relaxed)
        }),
        ("facesr_reconnects_total", "Times that the camera came back.", |e| {
            e.sinks.status.reconnects.load(Ordering::Relaxed)
        }),
        ("facesr_faces_enhanced_total", "Faces, each counted once a frame.", |e| {
            e.sinks.status.faces.lock().enhanced
        }),
        ("facesr_recorded_segments_total", "Segments of recordings that were begun.", |e| {
            e.sinks.status.recorded.segments.load(Ordering::Relaxed)
        }),
        ("facesr_recording_failures_total", "Times that recording failed.", |e| {
            e.sinks.status.recorded.failures.load(Ordering::Relaxed)
        }),
        ("facesr_searches_total", "Searches for faces.", |e| e.sinks.status.faces.lock().searches),
        (
            "facesr_searches_skipped_total",
            "Frames that should have been searched when the detector was still busy.",
            |e| e.sinks.status.faces.lock().skipped,
        ),
        ("facesr_errors_total", "Frames on which searching or enhancing failed.", |e| {
            e.sinks.status.faces.lock().errors
        }),
    ];
    for (name, help, figure) in counters {
        head(&mut out, name, help, "counter");
        for (camera, entry) in entries {
            let _ = writeln!(out, "{name}{{camera=\"{camera}\"}} {}", figure(entry));
        }
    }
    head(&mut out, "facesr_seconds_total", "CPU time by what it was spent on.", "counter");
    for (name, entry) in entries {
        let it = *entry.sinks.status.faces.lock();
        for (stage, ns) in [
            ("detect", it.detect_ns),
            ("track", it.track_ns),
            ("generate", it.generate_ns),
            ("blend", it.blend_ns),
        ] {
            let seconds = ns as f64 / 1e9;
            let _ = writeln!(
                out,
                "facesr_seconds_total{{camera=\"{name}\",stage=\"{stage}\"}} {seconds:.3}"
            );
        }
    }
    delays(&mut out, entries);
    outputs(&mut out, entries);
    whep_viewers(&mut out, entries);
    head(
        &mut out,
        "facesr_events_total",
        "Faces' events by receiver: sent, dropped because too many waited, or failed.",
        "counter",
    );
    for (receiver, figures) in events.figures() {
        for (fate, value) in
            [("sent", &figures.sent), ("dropped", &figures.dropped), ("failed", &figures.failed)]
        {
            let labels = format!("receiver=\"{receiver}\",fate=\"{fate}\"");
            let _ = writeln!(out, "facesr_events_total{{{labels}}} {}", get(value));
        }
    }
    if let Some(bytes) = resident() {
        head(&mut out, "process_resident_memory_bytes", "Memory of the process.", "gauge");
        let _ = writeln!(out, "process_resident_memory_bytes {bytes}");
    }
    out
}

fn delays(out: &mut String, entries: &[(String, Entry)]) {
    let name = "facesr_delay_seconds";
    head(out, name, "From the camera's packet to the enhanced picture.", "histogram");
    for (camera, entry) in entries {
        let status = &entry.sinks.status;
        let mut sum = 0;
        for (place, count) in status.delays.iter().enumerate() {
            sum += count.load(Ordering::Relaxed);
            let limit =
                DELAYS.get(place).map_or("+Inf".into(), |ms| (*ms as f64 / 1e3).to_string());
            let _ = writeln!(out, "{name}_bucket{{camera=\"{camera}\",le=\"{limit}\"}} {sum}");
        }
        let seconds = status.delay_ms.load(Ordering::Relaxed) as f64 / 1e3;
        let _ = writeln!(out, "{name}_sum{{camera=\"{camera}\"}} {seconds:.3}");
        let _ = writeln!(out, "{name}_count{{camera=\"{camera}\"}} {sum}");
    }
}

fn outputs(out: &mut String, entries: &[(String, Entry)]) {
    type Figure = fn(&crate::output::Output) -> u64;
    let figures: [(&str, &str, &str, Figure); 5] = [
        (
            "facesr_streams",
            "Streams that take the path: all viewers of a path share one.",
            "gauge",
            |o| o.fanout.len() as u64,
        ),
        ("facesr_encoded_frames_total", "Encoded frames.", "counter", |o| {
            o.fanout.frames.load(Ordering::Relaxed)
        }),
        ("facesr_encoded_bytes_total", "Bytes of encoded frames.", "counter", |o| {
            o.fanout.bytes.load(Ordering::Relaxed)
        }),
        (
            "facesr_dropped_total",
            "Pictures left out because the encoder is too slow.",
            "counter",
            |o| o.dropped.load(Ordering::Relaxed),
        ),
        (
            "facesr_encoder_restarts_total",
            "Times that the encoder failed and was started again.",
            "counter",
            |o| o.restarts.load(Ordering::Relaxed),
        ),
    ];
    for (name, help, kind, figure) in figures {
        head(out, name, help, kind);
        for (camera, entry) in entries {
            for (path, output) in [("", &entry.sinks.after), ("/before", &entry.sinks.before)] {
                let _ = writeln!(out, "{name}{{path=\"{camera}{path}\"}} {}", figure(output));
            }
        }
    }
}

fn whep_viewers(out: &mut String, entries: &[(String, Entry)]) {
    let name = "facesr_whep_viewers";
    head(out, name, "Viewers by WHEP, who share one stream.", "gauge");
    for (camera, entry) in entries {
        for (path, whep) in [("", Some(&entry.whep)), ("/before", entry.whep_before.as_ref())] {
            let Some(whep) = whep else { continue };
            let _ = writeln!(out, "{name}{{path=\"{camera}{path}\"}} {}", whep.viewers());
        }
    }
}

/// Resident memory of this process, bytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
