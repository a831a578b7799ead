//! `facesr doctor`: what is installed, what was found where, what is missing and what to do.

use std::path::Path;

use clap::Args;

use facesr::detect::{self, DetectorKind, DetectorOptions};
use facesr::enhance::ladder::Ladder;
use facesr::inference::{self, LIBRARY_VARIABLE, Runtime};
use facesr::internals::cuda::{GpuError, OpenError};
use facesr_serve::element_package;
use serde_json::{Value, json};

use crate::media::{have, start_gstreamer, versions};
use crate::term::{Failure, print};

/// `facesr doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What was found out about one part.
struct Finding {
    part: String,
    ok: bool,
    /// Whether the main job cannot run without it.
    needed: bool,
    what: String,
    /// What to do if it is missing.
    remedy: Option<String>,
}

impl Finding {
    fn good(part: impl Into<String>, what: impl Into<String>) -> Self {
        let (part, what) = (part.into(), what.into());
        Self { part, ok: true, needed: true, what, remedy: None }
    }

    fn bad(part: impl Into<String>, needed: bool, what: impl ToString) -> Self {
        let (part, what) = (part.into(), what.to_string());
        Self { part, ok: false, needed, what, remedy: None }
    }

    fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn to_json(&self) -> Value {
        json!({
            "part": self.part, "ok": self.ok, "needed": self.needed, "what": self.what,
            "remedy": self.remedy,
        })
    }
}

/// Carries out the command.
pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let gstreamer = start_gstreamer();
    let mut findings = vec![match &gstreamer {
        Ok(()) => Finding::good("GStreamer", gst::version_string().as_str()),
        Err(e) => Finding::bad("GStreamer", true, &e.message),
    }];
    findings.push(runtime());
    findings.push(generator());
    findings.extend(detectors());
    if gstreamer.is_ok() {
        findings.extend(elements());
    }
    findings.push(gpu());
    let ok = findings.iter().all(|f| f.ok || !f.needed);
    print(&match args.json {
        true => json_text(&findings, ok),
        false => text(&findings, ok),
    })?;
    if ok { Ok(()) } else { Err(Failure::silent()) }
}

fn runtime() -> Finding {
    match Runtime::get() {
        Ok(runtime) => {
            let what = format!("{}, {}", runtime.library().display(), runtime.version());
            Finding::good("ONNX Runtime", what)
        }
        Err(e) => Finding::bad("ONNX Runtime", true, e),
    }
}

fn generator() -> Finding {
    match Ladder::open(&inference::default_generators(), 1) {
        Ok(ladder) => {
            let names = ladder.generators().iter().map(|generator| {
                let (source, shape) = (generator.source(), generator.shape());
                let arch = generator.arch().map_or(String::new(), |arch| format!(", {arch}"));
                format!("{source} ({shape}{arch})")
            });
            Finding::good("generator", names.collect::<Vec<_>>().join(" and "))
        }
        Err(e) => Finding::bad("generator", true, e),
    }
}

fn detectors() -> Vec<Finding> {
    let mut list = Vec::new();
    for (kind, name) in DetectorKind::NAMES {
        let part = format!("detector {name}");
        let options = DetectorOptions::default().kind(kind);
        // Only `auto`, the default, has to work.
        let needed = kind == DetectorKind::Auto;
        list.push(match detect::open(&options) {
            Ok(detector) if needed => Finding::good(part, format!("takes {}", detector.name())),
            Ok(_) => Finding { needed, ..Finding::good(part, "works") },
            Err(e) => Finding::bad(part, needed, e),
        });
    }
    list
}

/// What each element is for, its name, and whether the main job needs it.
const ELEMENTS: [(&str, &str, bool); 14] = [
    ("reading files", "parsebin", true),
    ("decoding", "decodebin", true),
    ("converting", "videoconvert", true),
    ("scaling", "videoscale", true),
    ("reading MP4 and QuickTime", "qtdemux", true),
    ("reading Matroska and WebM", "matroskademux", false),
    ("reading AVI", "avidemux", false),
    ("reading MPEG-TS", "tsdemux", false),
    ("parsing H.264", "h264parse", true),
    ("decoding H.264", "avdec_h264", true),
    ("decoding H.265", "avdec_h265", false),
    ("decoding VP9", "vp9dec", false),
    ("writing MP4", "mp4mux", true),
    ("writing Matroska", "matroskamux", false),
];

fn elements() -> Vec<Finding> {
    let mut list: Vec<_> = ELEMENTS
        .into_iter()
        .map(|(part, element, needed)| match have(element) {
            true => Finding { needed, ..Finding::good(part, element) },
            false => missing(part, element, needed),
        })
        .collect();
    let part = "encoding H.264";
    list.push(match (have("x264enc"), have("openh264enc")) {
        (true, _) => Finding::good(part, "x264enc"),
        (false, true) => Finding::good(part, "openh264enc; x264enc would look better")
            .with_remedy(install("x264enc")),
        (false, false) => missing(part, "x264enc", true),
    });
    list
}

fn install(element: &str) -> String {
    format!("install the package {}", element_package(element))
}

fn missing(part: &str, element: &str, needed: bool) -> Finding {
    Finding::bad(part, needed, format!("{element} is missing")).with_remedy(install(element))
}

fn gpu() -> Finding {
    let part = "NVIDIA GPU";
    let on_cpu = match Ladder::open(&inference::default_generators(), 1) {
        Ok(ladder) => ladder,
        Err(e) => return Finding::bad(part, false, e),
    };
    match facesr::internals::cuda::open(0, None, &on_cpu) {
        Ok((backend, sources)) => {
            let names: Vec<_> = sources.iter().map(ToString::to_string).collect();
            let what = format!("{} runs {}", backend.name(), names.join(" and "));
            Finding { needed: false, ..Finding::good(part, what) }
        }
        Err(OpenError::Gpu(GpuError::NoDriver)) => {
            Finding::bad(part, false, "no driver (libcuda.so.1); everything runs on the CPU")
        }
        Err(e) => Finding::bad(part, false, format_args!("{e}; everything runs on the CPU"))
            .with_remedy(format!(
                "name an ONNX Runtime that is built for CUDA in {LIBRARY_VARIABLE}, with the CUDA \
                 libraries it needs (cuBLAS, cuDNN 9) in LD_LIBRARY_PATH"
            )),
    }
}

fn text(findings: &[Finding], ok: bool) -> String {
    let mut text = format!("facesr {}\n", env!("FACESR_VERSION"));
    for f in findings {
        let mark = match (f.ok, f.needed) {
            (true, _) => "ok     ",
            (false, true) => "MISSING",
            (false, false) => "-      ",
        };
        text += &format!("{mark}  {}: {}\n", f.part, f.what);
        if let Some(remedy) = &f.remedy {
            text += &format!("         {remedy}\n");
        }
    }
    text += "model folders:\n";
    for folder in inference::folders() {
        let content = content(&folder).unwrap_or("not there".into());
        text += &format!("  {}: {content}\n", folder.display());
    }
    text += match ok {
        true => "facesr enhance can run\n",
        false => "facesr enhance cannot run until what is MISSING is there\n",
    };
    text
}

/// The models in a folder, if it exists.
fn content(folder: &Path) -> Option<String> {
    let list = onnx_files(folder)?;
    Some(if list.is_empty() { "no models".into() } else { list.join(", ") })
}

fn onnx_files(folder: &Path) -> Option<Vec<String>> {
    let mut list: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".onnx") || name.ends_with(".bin"))
        .collect();
    list.sort();
    Some(list)
}

fn json_text(findings: &[Finding], ok: bool) -> String {
    let folders: Vec<_> = inference::folders()
        .iter()
        .map(|folder| json!({ "path": folder, "models": onnx_files(folder) }))
        .collect();
    let findings: Vec<_> = findings.iter().map(Finding::to_json).collect();
    let all = json!({
        "ok": ok, "versions": versions(), "findings": findings, "model_folders": folders,
    });
    format!("{all:#}\n")
}
