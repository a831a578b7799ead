//! What YuNet and CenterFace share: an ONNX network that runs at the size of the stream.

use ort::session::Session;
use ort::value::TensorRef;

use super::input::{Channels, Layout, Reducer};
use super::{Detection, DetectorOptions};
use crate::error::{Error, ModelError};
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::models::Source;
use crate::onnx;
use crate::session;

/// Both networks halve their input five times.
pub(super) const MULTIPLE: usize = 32;

/// Longer side, in pixels, to which frames are reduced when no width is asked for.
const LONG_SIDE: u32 = 960;

/// Frames with a shorter long side are enlarged to this, at most twice, when no width is asked
/// for. In five frames of a crowd, 320 pixels wide with about 180 faces of 4 to 10 pixels each,
/// CenterFace found 1 face as they were and 617 enlarged twice, YuNet 486 and 856. From 640 pixels
/// on there was little to gain, and more false faces.
const SMALL_FRAME: u32 = 640;

/// Distance of the eyes over the longer side of the detector's box below which a face is turned
/// away too far to be sharpened by a generator of frontal faces. Of 48 heads seen from behind or
/// from the side that YuNet reports in one clip (score 0.5 and more) this drops 46, of 956 faces
/// in a crowd 35; CenterFace
/// (0.35 and more) 28 of 29 and 14 of 934.
const MIN_EYE_DISTANCE: f32 = 0.2;

/// Whether a face with eyes at `a` and `b` and a box of `w` x `h` looks this way.
pub(super) fn looks_this_way(a: (f32, f32), b: (f32, f32), w: f32, h: f32) -> bool {
    (a.0 - b.0).hypot(a.1 - b.1) >= MIN_EYE_DISTANCE * w.max(h)
}

/// A network and the picture it looks at.
pub(super) struct Network {
    source: Source,
    file: Vec<u8>,
    input: String,
    outputs: Vec<String>,
    channels: Channels,
    threads: usize,
    width: u32,
    reducer: Reducer,
    tensor: Vec<f32>,
    open: Option<(Layout, Session)>,
}

/// Where a detector's picture came from: turns its boxes into the frame's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    x: f32,
    y: f32,
}

impl Scale {
    /// From a picture of `picture` pixels to a frame of `frame` pixels.
    pub(super) fn new(frame: (u32, u32), picture: (usize, usize)) -> Self {
        Self { x: frame.0 as f32 / picture.0 as f32, y: frame.1 as f32 / picture.1 as f32 }
    }

    /// The same box in the frame.
    pub(super) fn apply(&self, r: &Rect) -> Rect {
        Rect::new(r.x * self.x, r.y * self.y, r.w * self.x, r.h * self.y)
    }
}

impl Network {
    /// The network in `file`, read from `source`, with the input and the outputs that are named.
    /// One run on a black picture shows whether `sizes` (values of each output for a layout) are
    /// met.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] if ONNX Runtime refuses the model, [`ModelError::Contract`] saying
    /// `wanted` if its outputs are of other sizes.
    pub(super) fn open(
        (source, file): (Source, Vec<u8>),
        (input, outputs): (String, Vec<String>),
        channels: Channels,
        options: &DetectorOptions,
        sizes: impl Fn(Layout) -> Vec<usize>,
        wanted: &'static str,
    ) -> Result<Self, ModelError> {
        let mut network = Self {
            source,
            file,
            input,
            outputs,
            channels,
            threads: options.threads,
            width: options.width,
            reducer: Reducer::default(),
            tensor: Vec::new(),
            open: None,
        };
        // Not square, so that a model with its axes exchanged is found out too.
        let layout = Layout::padded(4 * MULTIPLE, 3 * MULTIPLE, MULTIPLE);
        let contract = |model: &Source, reason: String| ModelError::Contract {
            model: model.to_string(),
            reason,
            wanted,
        };
        network.fit(layout).map_err(|error| match error {
            Error::Inference { reason, .. } => contract(&network.source, reason),
            Error::Model(error) => error,
            error => contract(&network.source, error.to_string()),
        })?;
        let got = network
            .run(|outputs| outputs.iter().map(|o| o.len()).collect::<Vec<_>>())
            .map_err(|reason| contract(&network.source, reason))?;
        let expected = sizes(layout);
        if got != expected {
            let reason = format!("outputs of {got:?} values for a picture of 128x96");
            return Err(contract(&network.source, reason));
        }
        Ok(network)
    }

    /// Reduces `frame` to the detection size and runs the network on it. `decode` gets the
    /// outputs in the order in which they were named, and the layout of the picture; its boxes
    /// are picture pixels. They are appended to `found`, scaled to the frame.
    ///
    /// # Errors
    /// [`Error::Inference`] if the network fails at this size.
    pub(super) fn detect(
        &mut self,
        frame: &Frame<'_>,
        found: &mut Vec<Detection>,
        decode: impl FnOnce(&[&[f32]], Layout) -> Vec<Detection>,
    ) -> Result<(), Error> {
        let info = *frame.info();
        let (width, height) = picture_size(info.width, info.height, self.width);
        let layout = Layout::padded(width, height, MULTIPLE);
        let model = |source: &Source| source.to_string();
        self.fit(layout)?;
        self.reducer.planar(frame, layout, self.channels, &mut self.tensor);
        let scale = Scale::new((info.width, info.height), (width, height));
        let boxes = self
            .run(|outputs| decode(outputs, layout))
            .map_err(|reason| Error::Inference { model: model(&self.source), reason })?;
        found.extend(boxes.iter().map(|d| Detection { rect: scale.apply(&d.rect), ..*d }));
        Ok(())
    }

    /// Opens a session for `layout` unless the open one is.
    fn fit(&mut self, layout: Layout) -> Result<(), Error> {
        if self.open.as_ref().is_some_and(|(open, _)| *open == layout) {
            return Ok(());
        }
        self.open = None;
        let dims = [1, 3, layout.padded_height, layout.padded_width];
        let file = onnx::specialised(&self.file, &self.input, &dims, &self.outputs)
            .map_err(|reason| ModelError::Invalid { model: self.source.to_string(), reason })?;
        // All black, and black it stays around the picture.
        self.tensor = vec![0.0; layout.len()];
        let mut failure = None;
        session::rehearse(&self.source, &file, |session| {
            failure = self.run_in(layout, session, |_| ()).err();
            Ok(())
        })?;
        if let Some(reason) = failure {
            return Err(Error::Inference { model: self.source.to_string(), reason });
        }
        let session = session::open(&self.source, &file, self.threads)?;
        self.open = Some((layout, session));
        Ok(())
    }

    /// Runs the open session on the tensor.
    fn run<R>(&mut self, use_outputs: impl FnOnce(&[&[f32]]) -> R) -> Result<R, String> {
        let Some((layout, mut session)) = self.open.take() else {
            return Err("no session is open".into());
        };
        let result = self.run_in(layout, &mut session, use_outputs);
        self.open = Some((layout, session));
        result
    }

    fn run_in<R>(
        &self,
        layout: Layout,
        session: &mut Session,
        use_outputs: impl FnOnce(&[&[f32]]) -> R,
    ) -> Result<R, String> {
        let reason = |e: ort::Error| session::first_line(&e.to_string());
        let dims = [1, 3, layout.padded_height, layout.padded_width];
        let input = TensorRef::from_array_view((dims, self.tensor.as_slice())).map_err(reason)?;
        let outputs = session.run(ort::inputs![self.input.as_str() => input]).map_err(reason)?;
        let mut values = Vec::with_capacity(self.outputs.len());
        for name in &self.outputs {
            let value = outputs.get(name).ok_or_else(|| format!("it has no output {name}"))?;
            values.push(value.try_extract_tensor::<f32>().map_err(reason)?.1);
        }
        Ok(use_outputs(&values))
    }
}

/// Size of the picture that a network sees of a frame, in pixels. `width` is the user's wish, 0
/// for none; frames are never enlarged at the user's wish.
fn picture_size(frame_width: u32, frame_height: u32, width: u32) -> (usize, usize) {
    let long = frame_width.max(frame_height);
    let factor = match width {
        0 if long < SMALL_FRAME => f64::from((2 * long).min(SMALL_FRAME)) / f64::from(long),
        0 => f64::from(LONG_SIDE.min(long)) / f64::from(long),
        // Narrower than one cell of the network there is nothing to see.
        width => f64::from(width.max(MULTIPLE as u32).min(frame_width)) / f64::from(frame_width),
    };
    let side = |n: u32| ((f64::from(n) * factor).round() as usize).max(1);
    (side(frame_width), side(frame_height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_sizes() {
        assert_eq!(picture_size(1920, 1080, 0), (960, 540));
        assert_eq!(picture_size(1080, 1920, 0), (540, 960));
        assert_eq!(picture_size(1280, 720, 0), (960, 540));
        assert_eq!(picture_size(960, 544, 0), (960, 544));
        assert_eq!(picture_size(768, 432, 0), (768, 432));
        assert_eq!(picture_size(480, 270, 0), (640, 360));
        assert_eq!(picture_size(176, 144, 0), (352, 288));
        assert_eq!(picture_size(1920, 1080, 640), (640, 360));
        assert_eq!(picture_size(320, 240, 640), (320, 240));
        assert_eq!(picture_size(1920, 1080, 1), (32, 18));
        assert_eq!(picture_size(32_768, 1, 0), (960, 1));
        assert_eq!(picture_size(1, 1, 0), (2, 2));
    }
}
