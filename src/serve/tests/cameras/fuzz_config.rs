//! The fuzz target `config`: lists of cameras, whatever they hold. Built into that target by its path too.

use std::path::Path;
use std::sync::Once;

use facesr_serve::Config;

/// Reads `data` as a list of cameras: it is refused in words that can be printed, or every camera can be served.
pub(crate) fn config(data: &[u8]) {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap_or_else(|e| panic!("GStreamer does not start: {e}"));
        gstfacesr::plugin_register_static().unwrap_or_else(|e| panic!("no element facesr: {e}"));
    });
    let text = String::from_utf8_lossy(data);
    // Files that it names are not read: one could be a pipe.
    if text.contains("password-file") || text.contains("u0070") {
        return;
    }
    match Config::parse(&text, Path::new("/nowhere")) {
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 4096, "{said}");
            assert!(!said.contains(|c: char| c.is_control()), "{said:?}");
        }
        Ok(config) => {
            assert!(!config.cameras.is_empty());
            for (name, camera) in &config.cameras {
                assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)));
                assert!([1, 2, 4].contains(&camera.scale) && camera.timeout.as_secs() <= 600);
                assert!(!camera.source.shown().contains('?'));
            }
        }
    }
}
