//! Tests that cannot run on a machine say so; none passes in silence. `scripts/test.sh` counts them.

use std::io::Write as _;

/// Reports that the calling test leaves out something that this machine can't do: an instruction that its
/// processor lacks, a right that its kernel refuses.
pub fn unsupported(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    let Some(log) = std::env::var_os("FACESR_SKIP_LOG").filter(|v| !v.is_empty()) else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
    // One write, so that lines of tests that run at once do not mix.
    let line = format!("{reason}\n");
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("FACESR_SKIP_LOG is writable");
}

/// Reports that the calling test leaves out something for want of a program that could be installed.
///
/// # Panics
/// If `FACESR_REQUIRE_ALL` is set: there it is a failure.
pub fn not_installed(reason: &str) {
    let required = std::env::var_os("FACESR_REQUIRE_ALL").is_some_and(|v| !v.is_empty());
    assert!(!required, "FACESR_REQUIRE_ALL is set, and {reason}");
    unsupported(reason);
}
