//! Models that cannot be used: an element error that names the file and the remedy.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;

use common::*;
use gst::glib;
use gst::prelude::*;

fn error(factory: &str, properties: &[(&str, &str)]) -> (glib::Error, String) {
    init();
    let element = gst::ElementFactory::make(factory).build().unwrap();
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    start_error(element)
}

#[track_caller]
fn check(file: &Path, wanted: &[&str], (error, text): (glib::Error, String)) {
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(text.contains(name), "{text}: does not name {name}");
    for word in wanted {
        assert!(text.contains(word), "{text}: no '{word}'");
    }
    let known = error.is::<gst::ResourceError>() || error.is::<gst::LibraryError>();
    assert!(known, "{error:?}");
}

fn file(folder: &tempfile::TempDir, name: &str, data: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, data).unwrap();
    path
}

#[test]
fn generators_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let good = onnx::enlarger(16);
    let gone = folder.path().join("gone.onnx");
    let cases = [
        (gone, "does not exist"),
        (file(&folder, "truncated.onnx", &good[..good.len() / 2]), "fetch it again"),
        (file(&folder, "empty.onnx", b""), "empty"),
        (file(&folder, "text.onnx", b"GIF89a, not a network at all"), "fetch it again"),
        (file(&folder, "small.onnx", &onnx::enlarger(8)), "wanted"),
        (folder.path().to_path_buf(), "not a regular file"),
    ];
    for factory in ["facesrenhance", "facesr"] {
        for (path, words) in &cases {
            let mut properties = vec![("generator", path.to_str().unwrap())];
            if factory == "facesr" {
                properties.push(("detector", "none"));
            }
            check(path, &[words], error(factory, &properties));
        }
    }
    let (error, _) = error("facesrenhance", &[("generator", "/nowhere/at/all.onnx")]);
    assert!(error.matches(gst::ResourceError::NotFound));
}

#[test]
fn detectors_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone.bin");
    let text = file(&folder, "text.bin", &b"this is no model of a face, ".repeat(50));
    let small = file(&folder, "generator.onnx", &onnx::enlarger(16));
    for kind in ["seetaface", "yunet", "centerface"] {
        for path in [&gone, &text, &small] {
            let properties = [("detector", kind), ("detector-model", path.to_str().unwrap())];
            check(path, &[], error("facesrdetect", &properties));
        }
    }
}

#[test]
fn cuda_is_refused_where_there_is_none() {
    if facesr::internals::cuda::driver_present() {
        return;
    }
    let (error, text) = error("facesrenhance", &[("device", "cuda")]);
    assert!(text.contains("libcuda.so.1") && text.contains("device=cpu"), "{text}");
    assert!(error.matches(gst::LibraryError::Settings));
}

/// Runs the test below in a process that finds no model folder.
#[test]
fn detector_that_takes_the_place_of_a_missing_model_is_told() {
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("models-test");
    std::fs::copy(own, &program).unwrap();
    let ended = std::process::Command::new(&program)
        .args(["--exact", "within_missing_models", "--ignored", "--nocapture"])
        .env_remove(facesr::inference::FOLDER_VARIABLE)
        .env("HOME", folder.path())
        .env_remove("XDG_DATA_HOME")
        .output()
        .unwrap();
    let [said, why] = [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(ended.status.success() && said.contains("1 passed"), "{said}{why}");
}

#[test]
#[ignore = "the test above runs it where there are no models"]
fn within_missing_models() {
    let warnings = |line: &str| {
        init();
        Bench::with_caps(gst::parse::launch(line).unwrap(), &info("GRAY8", 64, 64)).warnings()
    };
    let installed = facesr::detect::installed();
    assert!(installed.is_none(), "{installed:?} is installed for the whole machine");
    let told = warnings("facesrdetect");
    assert_eq!(told.len(), 1, "{told:?}");
    for word in ["centerface", "seetaface", "make setup"] {
        assert!(told[0].contains(word), "{}", told[0]);
    }
    assert!(warnings("facesrdetect detector=seetaface").is_empty());
    assert!(warnings("facesrdetect detector=none").is_empty());
}

#[test]
fn an_element_that_failed_starts_once_the_model_is_right() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.onnx");
    let element = enhance();
    element.set_property("generator", path.to_str().unwrap());
    assert!(element.set_state(gst::State::Paused).is_err());
    element.set_state(gst::State::Null).unwrap();
    std::fs::write(&path, onnx::enlarger(16)).unwrap();
    element.set_state(gst::State::Paused).unwrap();
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn one_model_serves_many_elements_and_goes_with_the_last() {
    let info = info("GRAY8", 96, 64);
    let mut first = Bench::with_caps(enhance(), &info);
    let mut second = Bench::with_caps(enhance(), &info);
    for seed in 0..3 {
        let mut buffer = frame(&info, seed);
        add_face(&mut buffer, 1, (30, 10, 30, 30));
        let a = bytes(&first.run(buffer.copy_deep().unwrap()));
        assert_eq!(a, bytes(&second.run(buffer)));
    }
}
