//! Compiles the CUDA kernels as host code, so that they can be tested without a GPU: into this
//! package, and into a CUDA driver in system memory.

use std::path::PathBuf;

/// As NVRTC is told: a fused multiply-add rounds once instead of twice.
const ROUNDING: &str = "-ffp-contract=off";

fn main() {
    println!("cargo:rerun-if-changed=../../kernels");
    println!("cargo:rerun-if-changed=driver");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").flag(ROUNDING).opt_level(2);
    build.clone().file("../../kernels/host.cpp").compile("facesr_kernels");

    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("driver");
    std::fs::create_dir_all(&folder).expect("a folder in OUT_DIR");
    let library = |name: &str, source: &str, compiler: cc::Tool| {
        let file = folder.join(name);
        let done = compiler
            .to_command()
            .args(["-shared", "-fPIC", &format!("-Wl,-soname,{name}"), source, "-o"])
            .arg(&file)
            .status();
        assert!(done.is_ok_and(|status| status.success()), "{source} does not compile");
        file
    };
    let driver = library("libcuda.so.1", "driver/cuda.cpp", build.get_compiler());
    library("libnvcuvid.so.1", "driver/cuvid.c", cc::Build::new().get_compiler());
    println!("cargo:rustc-env=FACESR_TEST_DRIVER={}", driver.display());
}
