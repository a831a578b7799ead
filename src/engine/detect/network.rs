//! What YuNet and CenterFace share: an ONNX network that runs at the size of the stream.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use ort::session::Session;
use ort::value::TensorRef;
use parking_lot::Mutex;

use super::preprocess::{Channels, Layout, Preprocessor};
use super::sizing::Sizing;
use super::{BoxFit, Detector, DetectorOptions, Scores, nms};
use crate::error::{Cause, Error, InferenceError, ModelError, OnnxRuntimeError};
use crate::face::Detection;
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::inference::arena;
use crate::inference::model_source::ModelSource;
use crate::inference::session_pool::{self, Fingerprint, SessionPool};
use facesr_onnx as onnx;

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

/// What one kind of network has that others have not.
pub(super) struct Kind {
    /// Name of the detector.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) channels: Channels,
    /// Detections of a lower score are dropped unless the user says otherwise.
    pub(super) min_score: f32,
    /// Boxes that overlap by more are one face.
    pub(super) max_iou: f32,
    /// From its box to the WIDER-style box.
    pub(super) fit: BoxFit,
    /// Values of each output for a layout, in the order in which the outputs are named.
    pub(super) output_sizes: fn(Layout) -> Vec<usize>,
    /// The boxes, picture pixels, that reach a score, out of the outputs in that order.
    pub(super) decode: fn(&[&[f32]], Layout, f32) -> Vec<Detection>,
    /// CPU time per million pixels, milliseconds: what plans of searches count with, whatever the
    /// machine, so that they are the same on each. In 8 bits, if it can, on an AMD EPYC with VNNI.
    pub(super) ms_per_megapixel: f32,
    /// What its files declare, for messages.
    pub(super) wanted: &'static str,
}

/// A network and the picture it looks at.
pub(super) struct Network {
    kind: &'static Kind,
    model: Arc<Model>,
    scores: Scores,
    threads: usize,
    sizing: Sizing,
    preprocessor: Preprocessor,
    /// What was looked at last comes first.
    open: Vec<Open>,
}

/// Sessions for the tensors of one size.
struct Open {
    layout: Layout,
    pool: Arc<SessionPool>,
}

/// What a session reads.
struct InputTensor {
    /// The picture that it holds. Around the picture it is black.
    layout: Layout,
    values: Vec<f32>,
}

/// Tensor sizes that are kept open, the latest first. Full frames, as they are and at two scales
/// enlarged, tiles and places of lost faces take turns.
const KEPT_OPEN: usize = 5;

/// What all streams share that use the same file.
struct Model {
    source: ModelSource,
    file: Vec<u8>,
    input: String,
    outputs: Vec<String>,
    /// Tensors that nobody uses just now, the latest last: streams need one each only while they
    /// search, which is a few at a time.
    idle: Mutex<Vec<InputTensor>>,
}

/// After a run on more pixels the arena gives back what nobody uses. CenterFace on 1280x960 computes
/// in 227 MB; two streams that searched frames so large by turns held up to 1.1 GB, in which small
/// tensors lay where a large one might have been.
const SHRINK_PIXELS: usize = 700_000;

/// Idle tensors that are kept: those of as many sizes as a stream [keeps open](KEPT_OPEN), twice.
const KEPT_IDLE: usize = 2 * KEPT_OPEN;

/// Models in use, which were found to be what they should.
static MODELS: LazyLock<Mutex<HashMap<Fingerprint, Weak<Model>>>> = LazyLock::new(Mutex::default);

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
    /// The network of this `kind` in `file`, read from `source`, with the input and the outputs that
    /// are named. One run on a black picture shows whether the outputs have the kind's sizes.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] if ONNX Runtime refuses the model, [`ModelError::Contract`] if its
    /// outputs are of other sizes.
    pub(super) fn open(
        kind: &'static Kind,
        (source, file): (ModelSource, Vec<u8>),
        (input, outputs): (String, Vec<String>),
        options: &DetectorOptions,
    ) -> Result<Self, ModelError> {
        let key = session_pool::fingerprint(&file);
        // Held while it is checked: streams that start together check it once.
        let mut models = MODELS.lock();
        let known = models.get(&key).and_then(Weak::upgrade);
        let is_new = known.is_none();
        let model = known.unwrap_or_else(|| {
            Arc::new(Model { source, file, input, outputs, idle: Mutex::default() })
        });
        let mut network = Self {
            kind,
            model,
            scores: options.scores(kind.min_score),
            threads: options.threads,
            sizing: Sizing {
                long_side: LONG_SIDE,
                small_frame: SMALL_FRAME,
                width: options.width,
                ms_per_megapixel: Some(kind.ms_per_megapixel),
            },
            preprocessor: Preprocessor::default(),
            open: Vec::new(),
        };
        if is_new {
            network.check()?;
            models.retain(|_, model| model.strong_count() > 0);
            models.insert(key, Arc::downgrade(&network.model));
        }
        Ok(network)
    }

    /// Runs the network on a black picture.
    fn check(&mut self) -> Result<(), ModelError> {
        // Not square, so that a model with its axes exchanged is found out too.
        let layout = Layout::padded(4 * MULTIPLE, 3 * MULTIPLE, MULTIPLE);
        let (model, wanted) = (self.model.source.to_string(), self.kind.wanted);
        let contract = |source: Cause| ModelError::Contract { model, source, wanted };
        let lengths =
            |outputs: &[&[f32]]| outputs.iter().map(|output| output.len()).collect::<Vec<_>>();
        let got = self.fit(layout).and_then(|()| self.run(layout, |_, _| (), lengths));
        // Streams have other sizes.
        self.open.clear();
        match got {
            Ok(got) if got == (self.kind.output_sizes)(layout) => Ok(()),
            Ok(got) => {
                Err(contract(format!("outputs of {got:?} values for a picture of 128x96").into()))
            }
            Err(Error::Model(error)) => Err(error),
            Err(Error::Inference { source, .. }) => Err(contract(source)),
            Err(error) => Err(contract(error.into())),
        }
    }

    /// Scales `frame` for the network and appends the faces that it sees there to `found`; a full
    /// frame to the size for those unless another `scale` is asked for.
    ///
    /// # Errors
    /// [`Error::Inference`] if the network fails at this size.
    fn look(
        &mut self,
        frame: &Frame<'_>,
        scale: Option<f32>,
        found: &mut Vec<Detection>,
    ) -> Result<(), Error> {
        let info = *frame.info();
        // As it is shown: faces are not squeezed, whatever the pixels are.
        let (shown, high) = (info.width as f32 * info.pixel_aspect_ratio(), info.height as f32);
        let scale = scale.unwrap_or_else(|| self.sizing.full_scale(shown, high));
        let (width, height) = Sizing::scaled(shown, high, scale);
        let layout = Layout::padded(width, height, MULTIPLE);
        self.fit(layout)?;
        let scale = Scale::new((info.width, info.height), (width, height));
        let (kind, least) = (self.kind, self.scores.low);
        let mut boxes = self.run(
            layout,
            |preprocessor, tensor| preprocessor.planar(frame, layout, kind.channels, tensor),
            |outputs| (kind.decode)(outputs, layout, least),
        )?;
        nms::suppress(&mut boxes, self.kind.max_iou);
        self.kind.fit.apply(&mut boxes);
        found.extend(boxes.iter().map(|d| Detection { rect: scale.apply(&d.rect), ..*d }));
        Ok(())
    }

    /// Ensures that the first of `open` has sessions for `layout`. A session depends on the tensor's
    /// size only, which pictures of many sizes share.
    fn fit(&mut self, layout: Layout) -> Result<(), Error> {
        if let Some(known) = self.open.iter().position(|open| open.layout.has_tensor_of(&layout)) {
            self.open[..=known].rotate_right(1);
            return Ok(());
        }
        self.open.truncate(KEPT_OPEN - 1);
        let model = &*self.model;
        let dims = [1, 3, layout.padded_height, layout.padded_width];
        let file = onnx::with_fixed_input(&model.file, &model.input, &dims, &model.outputs)
            .map_err(|e| ModelError::invalid(&model.source, e.into()))?;
        let check = |session: &mut Session| model.run(session, layout, |_| (), |_| ());
        let pool = SessionPool::open(&model.source, file.into(), self.threads, check)?;
        self.open.insert(0, Open { layout, pool });
        Ok(())
    }

    /// Runs a session of the size that was fitted last on a tensor of `layout`, into which `paint`
    /// has written the picture.
    fn run<R>(
        &mut self,
        layout: Layout,
        paint: impl FnOnce(&mut Preprocessor, &mut [f32]),
        use_outputs: impl FnOnce(&[&[f32]]) -> R,
    ) -> Result<R, Error> {
        let Some(Open { pool, .. }) = self.open.first() else {
            return Err(self.model.failed(InferenceError::NoSession));
        };
        let (model, preprocessor) = (&*self.model, &mut self.preprocessor);
        pool.run(|session| {
            let paint = |tensor: &mut [f32]| paint(preprocessor, tensor);
            model.run(session, layout, paint, use_outputs)
        })?
    }
}

impl Detector for Network {
    fn name(&self) -> &'static str {
        self.kind.name
    }

    fn detect(&mut self, frame: &Frame<'_>, found: &mut Vec<Detection>) -> Result<(), Error> {
        self.look(frame, None, found)
    }

    fn min_score(&self) -> f32 {
        self.scores.min
    }

    fn sizing(&self) -> Sizing {
        self.sizing
    }

    fn detect_at_scale(
        &mut self,
        frame: &Frame<'_>,
        scale: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), Error> {
        self.look(frame, Some(scale), found)
    }
}

impl Model {
    fn run<R>(
        &self,
        session: &mut Session,
        layout: Layout,
        paint: impl FnOnce(&mut [f32]),
        use_outputs: impl FnOnce(&[&[f32]]) -> R,
    ) -> Result<R, Error> {
        let mut tensor = self.take(layout);
        paint(&mut tensor.values);
        let result = self.run_on(session, &tensor, use_outputs);
        let mut idle = self.idle.lock();
        idle.push(tensor);
        if idle.len() > KEPT_IDLE {
            idle.remove(0);
        }
        result
    }

    /// A tensor for a picture of `layout`, black around it.
    fn take(&self, layout: Layout) -> InputTensor {
        let mut idle = self.idle.lock();
        let known = idle.iter().rposition(|tensor| tensor.layout.has_tensor_of(&layout));
        let known = known.map(|i| idle.remove(i));
        drop(idle);
        match known {
            Some(tensor) if tensor.layout == layout => tensor,
            Some(InputTensor { mut values, .. }) => {
                values.fill(0.0);
                InputTensor { layout, values }
            }
            None => InputTensor { layout, values: vec![0.0; layout.len()] },
        }
    }

    fn run_on<R>(
        &self,
        session: &mut Session,
        InputTensor { layout, values }: &InputTensor,
        use_outputs: impl FnOnce(&[&[f32]]) -> R,
    ) -> Result<R, Error> {
        let failed = |e: ort::Error| self.failed(OnnxRuntimeError::new(e).into());
        let dims = [1, 3, layout.padded_height, layout.padded_width];
        let input = TensorRef::from_array_view((dims, &values[..])).map_err(failed)?;
        let input = ort::inputs![self.input.as_str() => input];
        let gives_back = layout.len() > 3 * SHRINK_PIXELS || arena::is_due();
        let shrinking;
        let outputs = if gives_back {
            shrinking = arena::shrinking().map_err(failed)?;
            session.run_with_options(input, &shrinking)
        } else {
            session.run(input)
        };
        let outputs = outputs.map_err(failed)?;
        let mut read = Vec::with_capacity(self.outputs.len());
        for name in &self.outputs {
            let value = outputs.get(name);
            let value = value.ok_or_else(|| self.failed(InferenceError::NoOutput(name.clone())))?;
            read.push(value.try_extract_tensor::<f32>().map_err(failed)?.1);
        }
        let result = use_outputs(&read);
        drop(read);
        drop(outputs);
        if gives_back {
            arena::release_freed();
        }
        Ok(result)
    }

    fn failed(&self, cause: InferenceError) -> Error {
        Error::inference(self.source.to_string(), cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameInfo, PixelFormat};
    use crate::inference::{loader, model_source};

    /// Searches a white frame of this size.
    fn search_white(network: &mut Network, width: u32, height: u32) {
        let info = FrameInfo::new(PixelFormat::Gray8, width, height);
        let data = vec![255; (width * height) as usize];
        let frame = Frame::new(info, &[&data], &[width as usize]).unwrap();
        network.detect(&frame, &mut Vec::new()).unwrap();
    }

    #[test]
    fn network_reuses_sessions_for_pictures_that_pad_to_the_same_tensor() {
        let open = || {
            let path = model_source::find(&["centerface.onnx"]).expect("`make setup` fetches it");
            let source = ModelSource::File(path);
            let file = loader::read(&source).unwrap().into_owned();
            let signature = onnx::signature(&file).unwrap();
            super::super::centerface::open(source, file, &signature, &DetectorOptions::default())
                .unwrap()
        };
        let mut network = open();
        search_white(&mut network, 672, 384);
        let pool = network.open[0].pool.clone();
        for (width, height) in [(672, 353), (641, 384), (672, 384), (672, 353)] {
            search_white(&mut network, width, height);
            assert_eq!(network.open.len(), 1, "{width}x{height}");
            assert!(Arc::ptr_eq(&network.open[0].pool, &pool), "{width}x{height}");
        }
        // Nothing of the larger picture is left around the smaller one.
        let mut idle = network.model.idle.lock();
        let tensor = idle.pop().unwrap();
        assert_eq!((tensor.layout.height, idle.len()), (353, 1), "one, and that of the check");
        let is_black = |i: usize| i / 672 % 384 >= 353;
        assert!((0..tensor.values.len()).all(|i| (tensor.values[i] == 0.0) == is_black(i)));
    }
}
