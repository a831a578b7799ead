//! Trains facesr's generators (Bulat, Yang, Tzimiropoulos, ECCV 2018): first High-to-Low learns from
//! unpaired pictures how real cameras degrade faces, then Low-to-High learns to undo it.
//!
//! Imports run one way; `tests/imports.rs` holds the floors and checks them.

pub mod adaptation;
pub mod checkpoint;
pub mod commands;
pub mod config;
pub mod console;
pub mod dataset;
pub mod error;
pub mod evaluation;
pub mod export;
pub mod loss;
pub mod metrics;
pub mod models;
pub mod optimizer;
pub mod pairs;
pub mod prepare;
pub mod report;
pub mod rng;
pub mod scale;
pub mod training;
