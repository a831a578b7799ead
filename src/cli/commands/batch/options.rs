//! The options that were given: passed on to the program that does one file, and hashed, so that
//! another option makes another output.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};
use facesr::detect;
use facesr::internals;
use sha2::{Digest, Sha256};

use super::state::{hash_file, hex};
use crate::args::VideoArgs;
use crate::term::{Failure, io_reason};

/// Options whose value is a model file: its content counts, not its name.
const MODELS: [&str; 2] = ["generator", "detector_model"];

/// The options of [`VideoArgs`] that the user gave, as they stand on a command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// Name of the argument and its values; none for a switch.
    given: Vec<(String, Vec<OsString>)>,
}

impl Options {
    /// Takes them out of what was parsed.
    pub(super) fn given(matches: &ArgMatches) -> Self {
        let known = VideoArgs::augment_args(Command::new("options"));
        let given = known
            .get_arguments()
            .filter_map(|arg| {
                let id = arg.get_id().as_str();
                if matches.value_source(id) != Some(ValueSource::CommandLine) {
                    return None;
                }
                let takes = arg.get_action().takes_values();
                let values = matches.get_raw(id).filter(|_| takes);
                Some((id.to_string(), values.into_iter().flatten().map(OsString::from).collect()))
            })
            .collect();
        Self { given }
    }

    /// The options as arguments of `facesr enhance`.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut list = Vec::new();
        for (id, values) in &self.given {
            let name = format!("--{}", id.replace('_', "-"));
            if values.is_empty() {
                list.push(name.into());
                continue;
            }
            for value in values {
                let mut argument = OsString::from(format!("{name}="));
                argument.push(value);
                list.push(argument);
            }
        }
        list
    }

    /// A hash of all that decides what an input becomes: options, models, this program.
    pub(super) fn hash(&self) -> Result<String, Failure> {
        let mut hash = Sha256::new();
        let mut add = |name: &str, value: &[u8]| {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update((value.len() as u64).to_le_bytes());
            hash.update(value);
        };
        let file = |path: &Path| {
            hash_file(path).map_err(|e| {
                Failure::running(format_args!("cannot read {}: {}", path.display(), io_reason(&e)))
            })
        };
        for (name, version) in taking_part() {
            add(name, version.as_bytes());
        }
        for (id, values) in &self.given {
            for value in values {
                if MODELS.contains(&id.as_str()) {
                    add(id, file(Path::new(value))?.as_bytes());
                } else {
                    add(id, value.as_encoded_bytes());
                }
            }
            if values.is_empty() {
                add(id, b"");
            }
        }
        if !self.has("generator") {
            // All of them: which one a machine takes is its own affair.
            for model in internals::built_in() {
                add("built-in", model);
            }
        }
        if !self.has("detector_model")
            && let Some((kind, path)) = detect::installed()
        {
            add(kind.name(), file(&path)?.as_bytes());
        }
        Ok(hex(hash))
    }

    fn has(&self, id: &str) -> bool {
        self.given.iter().any(|(given, _)| given == id)
    }
}

/// What takes part beside the models, and which version of it: another one may make other bytes.
fn taking_part() -> Vec<(&'static str, String)> {
    let plugin = |element: &str| {
        let factory = gst::ElementFactory::find(element)?;
        Some(gst::prelude::PluginFeatureExt::plugin(&factory)?.version().to_string())
    };
    let started = crate::media::start_gstreamer().is_ok();
    let of = |element: &str| started.then(|| plugin(element)).flatten().unwrap_or_default();
    let runtime = facesr::inference::Runtime::get().ok().map(|r| r.version().to_string());
    vec![
        ("facesr", build().unwrap_or_else(|| env!("FACESR_VERSION").into())),
        ("gstreamer", gst::version_string().to_string()),
        ("x264enc", of("x264enc")),
        ("openh264enc", of("openh264enc")),
        ("avdec_h264", of("avdec_h264")),
        ("onnxruntime", runtime.unwrap_or_default()),
    ]
}

/// Tells this build from others: its length, and samples of its bytes.
fn build() -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};
    const SAMPLES: u64 = 128;
    const SAMPLE: u64 = 1 << 14;
    let mut program = std::fs::File::open(std::env::current_exe().ok()?).ok()?;
    let length = program.metadata().ok()?.len();
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    let mut bytes = Vec::new();
    for i in 0..SAMPLES {
        program.seek(SeekFrom::Start(length / SAMPLES * i)).ok()?;
        bytes.clear();
        Read::by_ref(&mut program).take(SAMPLE).read_to_end(&mut bytes).ok()?;
        hash.update(&bytes);
    }
    Some(hex(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::batch::BatchArgs;

    fn options(line: &[&str]) -> Options {
        let command = BatchArgs::augment_args(Command::new("batch"));
        let words = ["batch", "in", "-o", "out"];
        Options::given(&command.try_get_matches_from(words.iter().chain(line)).unwrap())
    }

    #[test]
    fn what_was_given_is_passed_on() {
        let given =
            options(&["--jobs=3", "--scale", "2", "--compare", "--preset=slow", "--threads=2"]);
        let mut arguments = given.arguments();
        arguments.sort();
        assert_eq!(arguments, ["--compare", "--preset=slow", "--scale=2", "--threads=2"]);
        assert!(options(&[]).arguments().is_empty());
        let command = VideoArgs::augment_args(Command::new("enhance"));
        let line = [OsString::from("enhance")].into_iter().chain(arguments);
        assert!(command.try_get_matches_from(line).is_ok());
    }

    #[test]
    fn options_and_models_make_the_hash() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("a.onnx");
        std::fs::write(&model, b"one").unwrap();
        let hash = |line: &[&str]| options(line).hash().unwrap();
        assert_eq!(hash(&["--jobs=2"]), hash(&["--jobs=4", "--quiet"]));
        assert_ne!(hash(&[]), hash(&["--scale=2"]));
        assert_ne!(hash(&["--scale=2"]), hash(&["--scale=4"]));
        let generator = format!("--generator={}", model.display());
        let before = hash(&[&generator]);
        std::fs::write(&model, b"two").unwrap();
        assert_ne!(before, hash(&[&generator]));
        assert!(options(&["--generator=/no/such.onnx"]).hash().is_err());
    }
}
