//! What the whole-program tests share.
//!
//! The programs' own tests lie beside them (`src/cli/tests`), where cargo names the built binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

pub mod browser;
pub mod checked_faces;
pub mod clips;
pub mod fuzz;
pub mod kernels;
pub mod media;
pub mod onnx;
pub mod skip;
