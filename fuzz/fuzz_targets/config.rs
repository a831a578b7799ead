//! What it does lies beside the test that replays its corpus, and is built in by its path.
#![no_main]

#[path = "../../src/serve/tests/cameras/fuzz_config.rs"]
mod fuzz_config;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_config::config(data));
