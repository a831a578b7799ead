//! `facesr doctor`.

use serde_json::Value;

use crate::{facesr, run, said};

#[test]
fn it_finds_what_the_tests_need() {
    let ended = run(&["doctor"]);
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{text}{}", said(&ended));
    for word in ["GStreamer", "ONNX Runtime", "generator", "detector seetaface", "model folders"] {
        assert!(text.contains(word), "{text}");
    }
    let ended = run(&["doctor", "--json"]);
    let json: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(json["ok"], true);
    assert!(json["findings"].as_array().is_some_and(|list| list.len() > 10));
}

#[test]
fn what_is_missing_is_told_with_the_remedy() {
    let ended = facesr().arg("doctor").env("ORT_DYLIB_PATH", "/no/such.so").output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    assert!(text.contains("MISSING") && text.contains("/no/such.so"), "{text}");
    assert!(text.contains("make setup"), "{text}");
}
