//! The page: one file that needs nothing else, no network either.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::best_shots::{BestShots, Highlight};
use super::{MOST, ShownFace, picture};
use crate::term::{DISCLAIMER, Failure};

const TEMPLATE: &str = include_str!("page.html");
pub(super) const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page about `input`.
pub(super) fn page(
    input: &str,
    shots: &BestShots,
    highlights: Vec<Highlight>,
    shown: &[ShownFace<'_>],
    report: &Value,
    scale: u32,
) -> Result<String, Failure> {
    let moments: Vec<_> = highlights.into_iter().map(highlight).collect::<Result<_, _>>()?;
    let mut best: Vec<_> = shown.iter().collect();
    best.sort_by(|a, b| b.look.quality().total_cmp(&a.look.quality()).then(a.id.cmp(&b.id)));
    best.truncate(MOST);
    best.sort_by(|a, b| a.track.first.total_cmp(&b.track.first).then(a.id.cmp(&b.id)));
    let faces: Vec<_> = best
        .into_iter()
        .map(|face| {
            let mut about = face.to_json(scale);
            about["before"] = data("image/jpeg", &picture::jpeg(&face.before)?);
            about["after"] = data("image/jpeg", &picture::jpeg(&face.after)?);
            about["input"] = data("image/png", &face.pictures.input);
            about["bicubic"] = data("image/png", &face.pictures.bicubic);
            about["enhanced"] = data("image/png", &face.pictures.enhanced);
            Ok(about)
        })
        .collect::<Result<_, Failure>>()?;
    let timeline: Vec<_> = shots
        .tracks
        .iter()
        .map(|(id, track)| json!([id, track.first, track.last, track.sharpened]))
        .collect();
    let all = json!({
        "moments": moments,
        "faces": faces,
        "sharpened_tracks": shots.tracks.values().filter(|track| track.sharpened).count(),
        "timeline": timeline,
        "end": shots.end,
        "report": report,
    });
    let title =
        std::path::Path::new(input).file_name().map_or(input.into(), |name| name.to_string_lossy());
    Ok(fill(
        TEMPLATE,
        &[
            ("{{style}}", STYLE),
            ("{{script}}", SCRIPT),
            ("{{guess}}", &escape(DISCLAIMER)),
            ("{{version}}", &escape(env!("FACESR_VERSION"))),
            // Nothing in the data can end its element or begin another, whatever a file is called.
            ("{{data}}", &all.to_string().replace('<', "\\u003c")),
            ("{{title}}", &escape(&title)),
        ],
    ))
}

/// Puts values into the places of a template. What was put in is not searched for places again.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut html = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("{{") {
        html += &rest[..at];
        rest = &rest[at..];
        match values.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                html += value;
                rest = &rest[name.len()..];
            }
            None => {
                html += "{{";
                rest = &rest[2..];
            }
        }
    }
    html + rest
}

fn highlight(shown: Highlight) -> Result<Value, Failure> {
    let (time, faces) = (shown.time, shown.faces);
    let before = picture::picture(&shown.before)?;
    let (width, height) = before.dimensions();
    let before = picture::jpeg(&before)?;
    let after = picture::jpeg(&picture::picture(&shown.after)?)?;
    Ok(json!({
        "time_s": (time * 1e3).round() / 1e3,
        "faces": faces,
        "width": width,
        "height": height,
        "before": data("image/jpeg", &before),
        "after": data("image/jpeg", &after),
    }))
}

fn data(kind: &str, bytes: &[u8]) -> Value {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes)).into()
}

/// Text as it stands in HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out() {
        let name = "x</script><!--<script >alert(1)</script>{{data}}&.mp4";
        let report = json!({ "input": name });
        let html = page(name, &BestShots::new((8.0, 80.0)), Vec::new(), &[], &report, 1).unwrap();
        assert_eq!(html.matches("</script>").count(), TEMPLATE.matches("</script>").count());
        assert!(html.contains("never evidence") && !html.contains("<!--<script"));
        assert!(!html.contains("{{style}}") && !html.contains("{{title}}"));
        // Nothing is fetched from anywhere.
        assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    }
}
