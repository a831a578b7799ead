//! `report.html`: one file with the curves and the samples of a run, rewritten while it goes on.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::{Result, at};

/// Curves that are drawn: title, keys of the metrics, what to read from it.
const CURVES: [(&str, &[&str], &str); 7] = [
    ("Discriminators", &["lr_d", "hr_d"], "hinge loss; 2 for long means it sees no difference"),
    ("Generators, GAN loss", &["lr_gan", "hr_gan"], "the negative score of the discriminator"),
    ("Pixel loss", &["lr_pixel", "hr_pixel"], "mean squared difference, range [-1, 1]"),
    ("Features and checkerboards", &["features", "grid"], "matching loss; grid loss"),
    (
        "Held-back faces, PSNR in dB",
        &["psnr_camera", "psnr_camera_bicubic", "psnr_learnt", "kept"],
        "output against original; kept: input against output shrunk back",
    ),
    (
        "Held-back faces, distance to real ones",
        &["distance", "distance_bicubic", "distance_camera"],
        "kernel distance on random features, lower is better",
    ),
    ("Speed", &["images_per_second"], "faces a second"),
];
const COLORS: [&str; 4] = ["#0969da", "#cf222e", "#1a7f37", "#9a6700"];
/// Sample grids that are shown at most, evenly spread over the run.
const SHEETS: usize = 10;

/// Writes the report of a run out of its metrics and sample grids.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(metrics: &Path, samples: &Path, settings: &str, out: &Path) -> Result<()> {
    let text = fs::read_to_string(metrics).map_err(at(metrics))?;
    let lines: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let mut html = String::from(
        "<!doctype html><meta charset=utf-8><title>facesr training</title><style>\
         body{font:14px system-ui,sans-serif;margin:2em auto;max-width:1000px;color:#1f2328}\
         svg{background:#f6f8fa;display:block;margin:4px 0 16px}img{width:100%;\
         image-rendering:pixelated}small{color:#59636e}pre{overflow:auto;background:#f6f8fa;\
         padding:1em}</style><h1>facesr training</h1>",
    );
    if let Some(last) = lines.last() {
        let _ = write!(
            html,
            "<p>Phase {}, step {}, {:.0} minutes of training.</p>",
            last["phase"].as_str().unwrap_or("?"),
            last["step"],
            last["seconds"].as_f64().unwrap_or(0.0) / 60.0
        );
    }
    for (title, keys, meaning) in CURVES {
        curve(&mut html, &lines, title, keys, meaning);
    }
    sheets(&mut html, samples)?;
    let _ = write!(html, "<h2>Settings</h2><pre>{}</pre>", escape(settings));
    let beside = out.with_extension("part");
    fs::write(&beside, html).map_err(at(&beside))?;
    fs::rename(&beside, out).map_err(at(out))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// One chart: a line for each key, over the lines of the metrics (so over time, phase after phase).
fn curve(html: &mut String, lines: &[Value], title: &str, keys: &[&str], meaning: &str) {
    let series: Vec<(&str, Vec<(f64, f64)>)> = keys
        .iter()
        .map(|key| {
            let points = lines
                .iter()
                .filter_map(|l| Some((l["seconds"].as_f64()? / 60.0, l[*key].as_f64()?)))
                .collect::<Vec<_>>();
            (*key, points)
        })
        .filter(|(_, points)| points.len() > 1)
        .collect();
    let all: Vec<(f64, f64)> = series.iter().flat_map(|(_, p)| p.iter().copied()).collect();
    if all.is_empty() {
        return;
    }
    let bounds = |f: fn(&(f64, f64)) -> f64| {
        let low = all.iter().map(f).fold(f64::INFINITY, f64::min);
        let high = all.iter().map(f).fold(f64::NEG_INFINITY, f64::max);
        (low, (high - low).max(1e-9))
    };
    let ((x0, w), (y0, h)) = (bounds(|p| p.0), bounds(|p| p.1));
    let _ = write!(html, "<h3>{title}</h3><small>{meaning}</small><svg viewBox='0 0 1000 220'>");
    for (i, (key, points)) in series.iter().enumerate() {
        let color = COLORS[i % COLORS.len()];
        let _ = write!(html, "<polyline fill=none stroke='{color}' stroke-width=1.5 points='");
        for (x, y) in points {
            let (px, py) = (60.0 + 920.0 * (x - x0) / w, 200.0 - 180.0 * (y - y0) / h);
            let _ = write!(html, "{px:.1},{py:.1} ");
        }
        let (x, last) = (70 + 230 * i, points.last().map_or(0.0, |p| p.1));
        let _ = write!(html, "'/><text x={x} y=14 fill='{color}'>{key} {last:.4}</text>");
    }
    let _ = write!(
        html,
        "<text x=4 y=204 font-size=11>{y0:.3}</text><text x=4 y=24 font-size=11>{:.3}</text>\
         <text x=60 y=217 font-size=11>{x0:.0} min</text><text x=940 y=217 font-size=11>{:.0} \
         min</text></svg>",
        y0 + h,
        x0 + w
    );
}

fn sheets(html: &mut String, samples: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(samples).map_err(at(samples))? {
        let path = entry.map_err(at(samples))?.path();
        if path.extension().is_some_and(|e| e == "png") {
            files.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path);
        }
    }
    let files: Vec<_> = files.into_iter().collect();
    html.push_str(
        "<h2>Samples</h2><p>Rows from the top: held-back face; shrunk; two draws of z; Low-to-High \
         of the first; synthetic camera; Low-to-High of it; real LR faces; bicubic; \
         Low-to-High; of pairs of real encoders LR face, bicubic, Low-to-High, original.</p>",
    );
    let n = files.len();
    let shown = n.min(SHEETS);
    for k in 0..shown {
        let (name, path) = &files[if shown > 1 { k * (n - 1) / (shown - 1) } else { n - 1 }];
        let bytes = fs::read(path).map_err(at(path))?;
        let _ = write!(
            html,
            "<h3>{}</h3><img alt='' src='data:image/png;base64,{}'>",
            escape(name),
            STANDARD.encode(&bytes)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_file_with_curves_and_pictures() {
        let dir = tempfile::tempdir().unwrap();
        let samples = dir.path().join("samples");
        fs::create_dir(&samples).unwrap();
        image::RgbImage::new(4, 4).save(samples.join("1-pixel-000500.png")).unwrap();
        let metrics = dir.path().join("metrics.jsonl");
        let line = |s: u64| {
            format!("{{\"phase\":\"pixel\",\"step\":{s},\"seconds\":{s},\"hr_pixel\":0.1}}\n")
        };
        fs::write(&metrics, line(1) + &line(2) + "{broken").unwrap();
        let out = dir.path().join("report.html");
        write(&metrics, &samples, "{\"a\":\"<b>\"}", &out).unwrap();
        let html = fs::read_to_string(&out).unwrap();
        assert!(html.contains("<polyline") && html.contains("data:image/png;base64,iVBOR"));
        assert!(html.contains("&lt;b>") && !html.contains("http"));
    }
}
