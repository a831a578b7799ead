//! What it does lies beside the test that replays its corpus, and is built in by its path.
#![no_main]

#[path = "../../tests/roi_metadata.rs"]
mod roi_metadata;

libfuzzer_sys::fuzz_target!(|data: &[u8]| roi_metadata::roi(data));
