//! Properties of `facesrenhance`.

use std::path::PathBuf;
use std::time::Duration;

use facesr::{EnhancerOptions, GeneratorOptions};
use gst::glib;
use gst::prelude::*;

use super::Device;
use crate::settings::{LiveUse, live, path, take, temporal_smoothing, threads};

/// Largest number of a CUDA device that can be asked for; the driver counts them by `int`.
const MAX_CUDA_DEVICE: u32 = i32::MAX as u32;

/// What the properties say.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) generator: Option<PathBuf>,
    pub(crate) device: Device,
    pub(crate) cuda_device_id: u32,
    pub(crate) threads: u32,
    pub(crate) live: Live,
}

/// What may change while playing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Live {
    pub(crate) live: LiveUse,
    pub(crate) strength: f64,
    pub(crate) min_face_size: u32,
    pub(crate) max_face_size: u32,
    pub(crate) max_faces: u32,
    pub(crate) temporal_smoothing: f64,
    pub(crate) reuse: f64,
    pub(crate) budget_ms: f64,
    pub(crate) box_scale: f64,
}

impl Default for Settings {
    fn default() -> Self {
        let enhancer = EnhancerOptions::default();
        Self {
            generator: None,
            device: Device::default(),
            cuda_device_id: 0,
            threads: GeneratorOptions::default().threads as u32,
            live: Live {
                live: LiveUse::default(),
                strength: f64::from(enhancer.strength),
                min_face_size: enhancer.min_face_size as u32,
                max_face_size: enhancer.max_face_size as u32,
                max_faces: enhancer.max_faces as u32,
                temporal_smoothing: f64::from(enhancer.temporal_smoothing),
                reuse: f64::from((enhancer.reuse * 1000.0).round()) / 1000.0,
                budget_ms: 0.0,
                box_scale: 1.0,
            },
        }
    }
}

impl Settings {
    /// How to open the generator.
    pub(crate) fn generator_options(&self) -> GeneratorOptions {
        GeneratorOptions {
            model: self.generator.clone(),
            threads: self.threads as usize,
            device: match self.device {
                Device::Auto => facesr::enhance::generator::Device::Auto,
                Device::Cpu => facesr::enhance::generator::Device::Cpu,
                Device::Cuda => facesr::enhance::generator::Device::Cuda,
            },
            cuda_device: self.cuda_device_id,
        }
    }

    /// Sets the property `name`; false if it is not one of these.
    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "generator" => self.generator = path(value),
            "device" => take(value, &mut self.device),
            "cuda-device-id" => take(value, &mut self.cuda_device_id),
            "threads" => take(value, &mut self.threads),
            "live" => take(value, &mut self.live.live),
            "strength" => take(value, &mut self.live.strength),
            "min-face-size" => take(value, &mut self.live.min_face_size),
            "max-face-size" => take(value, &mut self.live.max_face_size),
            "max-faces" => take(value, &mut self.live.max_faces),
            "temporal-smoothing" => take(value, &mut self.live.temporal_smoothing),
            "reuse" => take(value, &mut self.live.reuse),
            "budget-ms" => take(value, &mut self.live.budget_ms),
            "box-scale" => take(value, &mut self.live.box_scale),
            _ => return false,
        }
        true
    }

    /// Value of the property `name`.
    pub(crate) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "generator" => self.generator.to_value(),
            "device" => self.device.to_value(),
            "cuda-device-id" => self.cuda_device_id.to_value(),
            "threads" => self.threads.to_value(),
            "live" => self.live.live.to_value(),
            "strength" => self.live.strength.to_value(),
            "min-face-size" => self.live.min_face_size.to_value(),
            "max-face-size" => self.live.max_face_size.to_value(),
            "max-faces" => self.live.max_faces.to_value(),
            "temporal-smoothing" => self.live.temporal_smoothing.to_value(),
            "reuse" => self.live.reuse.to_value(),
            "budget-ms" => self.live.budget_ms.to_value(),
            "box-scale" => self.live.box_scale.to_value(),
            _ => return None,
        })
    }
}

impl Live {
    /// How to enhance.
    pub(crate) fn enhancer_options(&self) -> EnhancerOptions {
        EnhancerOptions {
            strength: self.strength as f32,
            min_face_size: self.min_face_size as f32,
            max_face_size: self.max_face_size as f32,
            max_faces: self.max_faces as usize,
            temporal_smoothing: self.temporal_smoothing as f32,
            reuse: self.reuse as f32,
            budget: (self.budget_ms > 0.0).then(|| Duration::from_secs_f64(self.budget_ms / 1e3)),
        }
    }
}

/// The properties, without `stats`.
pub(crate) fn properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    let size = |name: &'static str, nick: &'static str, blurb: &'static str, value: u32| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .maximum(facesr::frame::MAX_DIMENSION)
            .default_value(value)
            .mutable_playing()
            .build()
    };
    vec![
        glib::ParamSpecString::builder("generator")
            .nick("Generator")
            .blurb("ONNX file of the generator (unset = built in; on a GPU low-to-high-compact-fp16.onnx \
                 if it lies in a model folder)")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("device", default.device)
            .nick("Device")
            .blurb("What sharpens the faces (auto = an NVIDIA GPU if there is one and it works)")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("cuda-device-id")
            .nick("CUDA device")
            .blurb("Which NVIDIA GPU to use, if it is to be one")
            .maximum(MAX_CUDA_DEVICE)
            .default_value(default.cuda_device_id)
            .mutable_ready()
            .build(),
        threads("Threads the generator may use", default.threads),
        live(
            "Whether frames pass untouched when others wait behind them, not only when the sink \
             says that they are late",
            default.live.live,
        ),
        glib::ParamSpecDouble::builder("strength")
            .nick("Strength")
            .blurb("How much of the result is shown (0 = frame untouched)")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.live.strength)
            .mutable_playing()
            .build(),
        size(
            "min-face-size",
            "Minimum face size",
            "Leave faces alone whose square is smaller, in pixels",
            default.live.min_face_size,
        ),
        size(
            "max-face-size",
            "Maximum face size",
            "Leave faces alone whose square is larger, in pixels: they have as much detail already",
            default.live.max_face_size,
        ),
        glib::ParamSpecUInt::builder("max-faces")
            .nick("Maximum number of faces")
            .blurb("Sharpen at most so many faces a frame, the largest first (0 = all)")
            .default_value(default.live.max_faces)
            .mutable_playing()
            .build(),
        temporal_smoothing(
            "How much the generated detail is steadied over time (0 = not at all)",
            default.live.temporal_smoothing,
        ),
        glib::ParamSpecDouble::builder("reuse")
            .nick("Reuse")
            .blurb(
                "Keep what was generated for a face while it has changed by no more than this, of \
                 a range of 2 (0 = generate every face in every frame)",
            )
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.live.reuse)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("budget-ms")
            .nick("Budget")
            .blurb(
                "Core-milliseconds a frame that generating may take; faces that have changed least \
                 wait for their turn (0 = no limit)",
            )
            .minimum(0.0)
            .maximum(10_000.0)
            .default_value(default.live.budget_ms)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("box-scale")
            .nick("Box scale")
            .blurb("Factor from the detector's boxes to ones from the forehead to the chin")
            .minimum(0.1)
            .maximum(10.0)
            .default_value(default.live.box_scale)
            .mutable_playing()
            .build(),
    ]
}
