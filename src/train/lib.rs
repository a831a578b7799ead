//! Trains facesr's generators (Bulat, Yang, Tzimiropoulos, ECCV 2018): first High-to-Low learns from
//! unpaired pictures how real cameras spoil faces, then Low-to-High learns to undo it.

pub mod adam;
pub mod adapt;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod data;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod loss;
pub mod net;
pub mod prepare;
pub mod report;
pub mod rng;
pub mod show;
pub mod train;
