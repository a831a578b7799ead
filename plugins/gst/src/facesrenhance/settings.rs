//! Properties of `facesrenhance`.

use std::sync::LazyLock;
use std::time::Duration;

use facesr::{EnhancerOptions, GeneratorOptions};
use gst::glib;
use gst::prelude::*;

use super::Device;
use crate::common::live::LiveMode;
use crate::common::properties::{
    self, PropertyTable, exclude, live, number, property, share, source_scale, temporal_smoothing,
    threads,
};
use crate::common::roi_text::RoiTexts;

/// Largest number of a CUDA device that can be asked for; the driver counts them by `int`.
const MAX_CUDA_DEVICE: u32 = i32::MAX as u32;

/// What the properties say.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// One file, or two separated by a colon.
    generator: Option<String>,
    pub(crate) device: Device,
    pub(crate) cuda_device_id: u32,
    pub(crate) threads: u32,
    pub(crate) live: LiveMode,
    strength: f64,
    fidelity: f64,
    pub(crate) source_scale: f64,
    min_face_size: u32,
    max_face_size: u32,
    max_faces: u32,
    pub(crate) temporal_smoothing: f64,
    reuse: f64,
    budget_ms: f64,
    pub(crate) box_scale: f64,
    /// As it was written: the element does not start with a text that it cannot read.
    exclude: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let enhancer = EnhancerOptions::default();
        Self {
            generator: None,
            device: Device::default(),
            cuda_device_id: 0,
            threads: GeneratorOptions::default().threads as u32,
            live: LiveMode::default(),
            strength: f64::from(enhancer.strength),
            fidelity: f64::from(enhancer.fidelity),
            source_scale: f64::from(enhancer.source_scale),
            min_face_size: enhancer.min_face_size as u32,
            max_face_size: enhancer.max_face_size as u32,
            max_faces: enhancer.max_faces as u32,
            temporal_smoothing: f64::from(enhancer.temporal_smoothing),
            reuse: f64::from((enhancer.reuse * 1000.0).round()) / 1000.0,
            budget_ms: 0.0,
            box_scale: 1.0,
            exclude: None,
        }
    }
}

impl Settings {
    /// How to open the generator.
    pub(crate) fn generator_options(&self) -> GeneratorOptions {
        let models = self.generator.as_deref().map(GeneratorOptions::split_models);
        let device = match self.device {
            Device::Auto => facesr::enhance::generator::Device::Auto,
            Device::Cpu => facesr::enhance::generator::Device::Cpu,
            Device::Cuda => facesr::enhance::generator::Device::Cuda,
        };
        GeneratorOptions::default()
            .models(models.unwrap_or_default())
            .threads(self.threads as usize)
            .device(device)
            .cuda_device(self.cuda_device_id)
    }

    /// How to enhance.
    pub(crate) fn enhancer_options(&self) -> EnhancerOptions {
        let budget = (self.budget_ms > 0.0).then(|| Duration::from_secs_f64(self.budget_ms / 1e3));
        EnhancerOptions::default()
            .strength(self.strength as f32)
            .fidelity(self.fidelity as f32)
            .source_scale(self.source_scale as f32)
            .min_face_size(self.min_face_size as f32)
            .max_face_size(self.max_face_size as f32)
            .max_faces(self.max_faces as usize)
            .temporal_smoothing(self.temporal_smoothing as f32)
            .reuse(self.reuse as f32)
            .budget(budget)
    }

    /// Where faces are left alone.
    ///
    /// # Errors
    /// A text that holds anything but rectangles.
    pub(crate) fn regions(&self) -> Result<RoiTexts, gst::ErrorMessage> {
        RoiTexts::parse(None, self.exclude.as_deref())
    }
}

/// The properties that can be set.
pub(crate) static TABLE: LazyLock<PropertyTable<Settings>> = LazyLock::new(table);

/// The same, declared again: a declaration belongs to one class of objects.
pub(crate) fn table() -> PropertyTable<Settings> {
    let default = Settings::default();
    let generator = properties::text(
        "generator",
        "Generator",
        "ONNX file of the generator, or two separated by a colon, for smaller and larger faces \
         (unset = built in; on a GPU low-to-high-compact-fp16.onnx and \
         low-to-high-32-compact-fp16.onnx as far as they lie in a model folder)",
    )
    .mutable_ready();
    let device = glib::ParamSpecEnum::builder_with_default("device", default.device)
        .nick("Device")
        .blurb("What sharpens the faces (auto = an NVIDIA GPU if there is one and it works)")
        .mutable_ready();
    let cuda_device_id = number(
        "cuda-device-id",
        "CUDA device",
        "Which NVIDIA GPU to use, if it is to be one",
        default.cuda_device_id,
    )
    .maximum(MAX_CUDA_DEVICE)
    .mutable_ready();
    let size = |name, nick, blurb, value| {
        number(name, nick, blurb, value).maximum(facesr::frame::MAX_DIMENSION).mutable_playing()
    };
    let min_face_size = size(
        "min-face-size",
        "Minimum face size",
        "Leave faces alone whose square is smaller, in pixels",
        default.min_face_size,
    );
    let max_face_size = size(
        "max-face-size",
        "Maximum face size",
        "Leave faces alone whose square is larger, in pixels: they have as much detail already",
        default.max_face_size,
    );
    let max_faces = number(
        "max-faces",
        "Maximum number of faces",
        "Sharpen at most so many faces a frame, the largest first (0 = all)",
        default.max_faces,
    )
    .mutable_playing();
    let budget_ms = glib::ParamSpecDouble::builder("budget-ms")
        .nick("Budget")
        .blurb(
            "Core-milliseconds a frame that generating may take; faces that have changed least \
             wait for their turn (0 = no limit)",
        )
        .minimum(0.0)
        .maximum(10_000.0)
        .default_value(default.budget_ms)
        .mutable_playing();
    let box_scale = glib::ParamSpecDouble::builder("box-scale")
        .nick("Box scale")
        .blurb("Factor from the detector's boxes to ones from the forehead to the chin")
        .minimum(0.1)
        .maximum(10.0)
        .default_value(default.box_scale)
        .mutable_playing();
    PropertyTable::new(vec![
        property!(generator, generator, read_text),
        property!(device, device),
        property!(cuda_device_id, cuda_device_id),
        property!(threads("Threads the generator may use", default.threads), threads),
        property!(
            live(
                "Whether frames pass untouched when others wait behind them, not only when the \
                 sink says that they are late",
                default.live
            ),
            live
        ),
        property!(
            share(
                "strength",
                "Strength",
                "How much of the result is shown (0 = frame untouched)",
                default.strength
            ),
            strength
        ),
        property!(
            share(
                "fidelity",
                "Fidelity",
                "How far the result may leave the frame: 0 = what is generated as it is, 0.5 = with \
                 the detail that the camera saw, 1 = the frame",
                default.fidelity
            ),
            fidelity
        ),
        property!(
            source_scale(
                "How many times an element before this one has enlarged the picture: a face's \
                 generator is chosen by its size in the camera's pixels",
                default.source_scale
            ),
            source_scale
        ),
        property!(min_face_size, min_face_size),
        property!(max_face_size, max_face_size),
        property!(max_faces, max_faces),
        property!(
            temporal_smoothing(
                "How much the generated detail is steadied over time (0 = not at all)",
                default.temporal_smoothing
            ),
            temporal_smoothing
        ),
        property!(
            share(
                "reuse",
                "Reuse",
                "Keep what was generated for a face while it has changed by no more than this, of \
                 a range of 2 (0 = generate every face in every frame)",
                default.reuse
            ),
            reuse
        ),
        property!(budget_ms, budget_ms),
        property!(box_scale, box_scale),
        property!(
            exclude(
                "Leave faces alone whose middle lies there: x,y,width,height in pixels, or from 0 \
                 to 1 of the picture's width and height; several with a semicolon between them"
            ),
            exclude,
            read_text
        ),
    ])
}
