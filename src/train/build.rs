//! Bakes the place of libtorch into the binaries, so that they start without LD_LIBRARY_PATH.
//!
//! `LIBTORCH` names the unpacked `torch` folder (scripts/setup.sh prints it). Its libraries find
//! the CUDA runtime beside them by their own relative rpath.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    }
}
