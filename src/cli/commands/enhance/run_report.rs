//! What `--json` writes.

use gst::prelude::*;
use serde_json::{Map, Value, json};

use crate::media::{Outcome, versions};

/// What is told of one run.
pub(super) struct Report<'a> {
    pub(super) input: String,
    pub(super) output: Option<String>,
    pub(super) encoder: Option<String>,
    pub(super) outcome: &'a Outcome,
    pub(super) options: Value,
}

/// The stages whose CPU time the element counts.
const STAGES: [&str; 5] = ["detect", "track", "crop", "generate", "blend"];

impl Report<'_> {
    /// The report as JSON.
    pub(super) fn to_json(&self) -> Value {
        let run = self.outcome;
        let count = |name: &str| run.count(name);
        let per_frame = |ns: f64| (ns / 1e6 / run.frames.max(1) as f64 * 1e4).round() / 1e4;
        let mut stages = Map::new();
        let mut known = 0.0;
        for stage in STAGES {
            let ns = count(&format!("{stage}-ns")) as f64;
            known += ns;
            stages.insert(stage.into(), json!(per_frame(ns)));
        }
        let rest = (run.cpu.as_nanos() as f64 - known).max(0.0);
        stages.insert("rest".into(), json!(per_frame(rest)));
        let wall = run.wall.as_secs_f64();
        let size = |(w, h): (u32, u32)| json!({ "width": w, "height": h });
        json!({
            "input": self.input,
            "output": self.output,
            "frames": run.frames,
            "faces_detected": count("faces-detected"),
            "faces_enhanced": count("faces-enhanced"),
            "faces_generated": count("faces-generated"),
            "tracks": count("tracks"),
            "detections_run": count("detections-run"),
            "tiles_searched": count("tiles-searched"),
            "errors": count("detection-errors") + count("enhancement-errors"),
            "wall_s": (wall * 1e3).round() / 1e3,
            "startup_s": (run.startup.as_secs_f64() * 1e3).round() / 1e3,
            "fps": (run.frames as f64 / wall.max(1e-9) * 1e2).round() / 1e2,
            "stages": stages,
            "stages_unit": "core-milliseconds a frame",
            "video": run.sizes.as_ref().map(|s| json!({
                "input": size(s.input),
                "output": size(s.output),
                "frame_rate": format!("{}/{}", s.rate.0, s.rate.1),
                "encoder": self.encoder,
            })),
            "kept": {
                "video": run.kept[0], "audio": run.kept[1], "subtitle": run.kept[2],
            },
            "notes": run.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(),
            "losses": run.losses(),
            "options": self.options,
            "properties": properties(&run.element),
            "versions": versions(),
        })
    }
}

/// Every setting of the element, whether given or default.
fn properties(element: &gst::Element) -> Value {
    let mut map = Map::new();
    for pspec in element.list_properties() {
        let name = pspec.name();
        if ["name", "parent", "stats", "async-handling", "message-forward"].contains(&name) {
            continue;
        }
        let value = element.property_value(name);
        let value = if let Ok(v) = value.get::<f64>() {
            json!(v)
        } else if let Ok(v) = value.get::<f32>() {
            json!(v)
        } else if let Ok(v) = value.get::<u32>() {
            json!(v)
        } else if let Ok(v) = value.get::<bool>() {
            json!(v)
        } else if let Ok(v) = value.get::<Option<String>>() {
            json!(v)
        } else {
            // Enumerations by their nick, as gst-launch has them.
            value.serialize().map_or(Value::Null, |v| json!(v.as_str()))
        };
        map.insert(name.into(), value);
    }
    Value::Object(map)
}
