//! Frames in CUDA memory, through GStreamer's own CUDA library, and a GPU that fails: on the tests' CUDA
//! driver in system memory. The program of `scripts/gpu-check.sh` does it, in a process that starts
//! with that driver.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use facesr_testkit::kernels::driver_file;

/// What the checker of the elements says to `args`.
fn checker(args: &[&str]) -> String {
    let own = std::env::current_exe().unwrap();
    let program = own.ancestors().nth(2).unwrap().join("examples/gpu_elements");
    // Elements for CUDA are registered only where there is a driver: a registry of its own, and of all
    // plugins only those that are needed, since each is loaded again.
    gst::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["nvcodec", "coreelements"] {
        let plugin = gst::Registry::get().find_plugin(name).expect("set-up has installed it");
        let file = plugin.filename().unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    let ended = Command::new(&program)
        .env("LD_LIBRARY_PATH", driver_file().parent().unwrap())
        .env("GST_REGISTRY", folder.path().join("registry.bin"))
        .env("GST_PLUGIN_SYSTEM_PATH", folder.path())
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{:?}: {said}\n{told}", ended.status);
    told.into_owned()
}

#[test]
fn frames_in_cuda_memory_come_out_as_from_the_cpu() {
    let told = checker(&["check"]);
    assert_eq!(told.matches("\"right\"").count(), 8, "{told}");
    assert!(told.contains("NV12, CUDA memory") && told.contains("RGBA, system memory"), "{told}");
}

#[test]
fn frames_go_round_in_cuda_memory() {
    let told = checker(&["frames", "fp32", "built-in"]);
    assert_eq!(told.matches("\"row\"").count(), 4, "{told}");
}

#[test]
fn a_gpu_that_fails_in_mid_stream_loses_no_frame() {
    assert!(checker(&["fault"]).contains("no frame is lost"));
}
