//! Compiles the CUDA kernels as host code, so that they can be tested without a GPU.

fn main() {
    println!("cargo:rerun-if-changed=../kernels");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("../kernels/host.cpp")
        // As NVRTC is told: a fused multiply-add rounds once instead of twice.
        .flag("-ffp-contract=off")
        .opt_level(2)
        .compile("facesr_kernels");
}
