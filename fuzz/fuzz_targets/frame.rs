#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| facesr_testkit::fuzz::frame(data));
