//! The Low-to-High generator: small faces in, faces of four times their side out, by ONNX Runtime.
//!
//! Contract of a generator file: ONNX, input `input` f32 `[N, 3, S, S]` and output `output` f32
//! `[N, 3, 4S, 4S]`, S being 16, 32, 48 or 64, both RGB in -1..=1, N free. The file's [`Shape`] is
//! read when it is opened. Metadata key `facesr.crop_scale`, where present, must be [`CROP_SCALE`]:
//! a network trained on other crops would see faces of the wrong size.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use ort::session::Session;
use ort::value::{TensorElementType, TensorRef};
use parking_lot::Mutex;

use crate::error::{Cause, Error, InferenceError, ModelError, OnnxRuntimeError, UnknownName};
use crate::geometry::CROP_SCALE;
use crate::inference::loader;
use crate::inference::model_source::{ModelSource, default_generator};
use crate::inference::session_pool::SessionPool;
use crate::shape::Shape;
use crate::util::parallel::for_each_with;
use crate::util::setters;

/// Input pixels in one run: sixteen faces of 16x16, four of 32x32. More do not run faster on a
/// CPU, and their intermediate results still fit its second-level cache.
const MAX_RUN_PIXELS: usize = 16 * 16 * 16;

pub(crate) const CONTRACT: &str = "an input f32 [N,3,S,S] named 'input' and an output f32 [N,3,4S,4S] named \
                        'output', S being 16, 32, 48 or 64, N free, RGB from -1 to 1";

/// Where the generator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Device {
    /// CUDA if it works here, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA GPU, or an error.
    Cuda,
}

impl Device {
    /// Every device, with the name that properties and options use.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Auto, "auto"), (Self::Cpu, "cpu"), (Self::Cuda, "cuda")];
}

impl FromStr for Device {
    type Err = UnknownName;

    fn from_str(s: &str) -> Result<Self, UnknownName> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == s);
        found.map(|(device, _)| *device).ok_or_else(|| UnknownName {
            what: "device",
            name: s.into(),
            known: Self::NAMES.iter().map(|(_, name)| *name).collect(),
        })
    }
}

/// Which generator to load, and how to run it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct GeneratorOptions {
    /// ONNX files, one for each size of face; one alone serves all sizes. Empty for the built-in
    /// ones.
    pub models: Vec<PathBuf>,
    /// Threads that share the faces of one frame, 1 or more.
    pub threads: usize,
    /// Where to run.
    pub device: Device,
    /// Which CUDA device, if it is to be one.
    pub cuda_device: u32,
}

setters!(GeneratorOptions {
    models: Vec<PathBuf>,
    threads: usize,
    device: Device,
    cuda_device: u32,
});

impl Default for GeneratorOptions {
    fn default() -> Self {
        Self { models: Vec::new(), threads: 1, device: Device::Auto, cuda_device: 0 }
    }
}

impl GeneratorOptions {
    /// The files that `text` names: one, or several separated by colons as in a search path. A
    /// name that exists as it stands is one file, colons and all.
    pub fn split_models(text: &str) -> Vec<PathBuf> {
        if text.is_empty() {
            return Vec::new();
        }
        match Path::new(text).exists() {
            true => vec![text.into()],
            false => std::env::split_paths(text).filter(|path| path != Path::new("")).collect(),
        }
    }

    /// The files that are named, if any are.
    ///
    /// # Errors
    /// [`ModelError`] if one does not exist.
    pub(crate) fn files(&self) -> Result<Option<Vec<ModelSource>>, ModelError> {
        let remedy = "name an ONNX generator (16x16 to 64x64, or 32x32 to 128x128), or none for \
                      the built-in ones";
        let files: Vec<_> = self
            .models
            .iter()
            .map(|path| ModelSource::file(path, remedy))
            .collect::<Result<_, _>>()?;
        Ok((!files.is_empty()).then_some(files))
    }
}

/// A generator loaded on the CPU. It can be used from many threads at once: each run takes a session
/// of a pool, since one session runs one batch at a time.
///
/// ```
/// use facesr::{Generator, GeneratorOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let generator = Generator::open(&GeneratorOptions::default())?;
/// // One gray face of 16x16 pixels, RGB in -1..=1, becomes one of 64x64.
/// let lr = vec![0.0; 3 * 16 * 16];
/// let mut hr = vec![0.0; 3 * 64 * 64];
/// generator.run(&lr, &mut hr)?;
/// assert!(hr.iter().all(|value| value.is_finite()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Generator {
    source: ModelSource,
    shape: Shape,
    threads: usize,
    pool: Arc<SessionPool>,
    arch: Option<String>,
}

impl Generator {
    /// Loads the first generator that `options` name on the CPU, whatever device they name; without
    /// a name, the built-in one for the smallest faces. See [`open_source`](Self::open_source).
    ///
    /// # Errors
    /// As [`open_source`](Self::open_source), or if the file does not exist.
    pub fn open(options: &GeneratorOptions) -> Result<Arc<Self>, ModelError> {
        let named = options.files()?.and_then(|files| files.into_iter().next());
        Self::open_source(&named.unwrap_or_else(default_generator), options.threads)
    }

    /// Loads a generator on the CPU, with `threads` threads that share the faces of one frame, or
    /// returns the one that is already loaded from there with as many in this process.
    ///
    /// # Errors
    /// [`ModelError`] if the file is damaged or breaks the contract, or if ONNX Runtime is missing.
    pub fn open_source(source: &ModelSource, threads: usize) -> Result<Arc<Self>, ModelError> {
        let key = (source.clone(), threads.max(1), stamp(source));
        let mut shared = SHARED.lock();
        if let Some(generator) = shared.get(&key).and_then(Weak::upgrade) {
            return Ok(generator);
        }
        shared.retain(|_, generator| generator.strong_count() > 0);
        let generator = Arc::new(Self::load(source.clone(), key.1)?);
        shared.insert(key, Arc::downgrade(&generator));
        Ok(generator)
    }

    fn load(source: ModelSource, threads: usize) -> Result<Self, ModelError> {
        let file = loader::read(&source)?;
        // Shapes that a file declares need not be those it computes.
        let check = |session: &mut Session| {
            let shape = check_contract(session).map_err(|text| contract_error(&source, text))?;
            let faces = vec![0.0; 2 * shape.lr_len()];
            run_in(session, shape, &faces, |hr| match is_finite(hr) {
                true => Ok(()),
                false => Err(InferenceError::NotFinite),
            })
            .and_then(|finite| finite)
            .map_err(|e| contract_error(&source, e))
        };
        let pool = SessionPool::open(&source, file, 1, check)?;
        let (shape, arch) = pool.run(|session| {
            let arch = session.metadata().ok().and_then(|m| m.custom("facesr.arch"));
            (check_contract(session), arch)
        })?;
        let shape = shape.map_err(|text| contract_error(&source, text))?;
        Ok(Self { source, shape, threads, pool, arch })
    }

    /// Generates `faces` (`[N, 3, lr, lr]`, RGB in -1..=1) into `out` (`[N, 3, hr, hr]`), sides
    /// being those of its [shape](Self::shape), and returns the CPU time that took, over all
    /// threads.
    ///
    /// # Errors
    /// [`Error::Inference`] if the network fails or returns anything but finite numbers; `out` is
    /// then undefined.
    ///
    /// # Panics
    /// If the lengths are not those of the same N.
    pub fn run(&self, faces: &[f32], out: &mut [f32]) -> Result<Duration, Error> {
        let (lr_len, hr_len) = (self.shape.lr_len(), self.shape.hr_len());
        let n = faces.len() / lr_len;
        assert_eq!((faces.len(), out.len()), (n * lr_len, n * hr_len), "lengths do not match");
        let share = self.share(n);
        let shares = faces.chunks(share * lr_len).zip(out.chunks_mut(share * hr_len));
        let mut outcomes: Vec<_> =
            (0..self.threads.min(n.div_ceil(share)).max(1)).map(|_| Ok(())).collect();
        let time = for_each_with(&mut outcomes, shares, |outcome, (faces, out)| {
            if outcome.is_ok() {
                *outcome = self.run_share(faces, |hr| out.copy_from_slice(hr)).and_then(|()| {
                    is_finite(out)
                        .then_some(())
                        .ok_or_else(|| self.failed(InferenceError::NotFinite))
                });
            }
        });
        outcomes.into_iter().collect::<Result<(), _>>().map(|()| time)
    }

    /// How many of `n` faces a thread should take at a time: few enough that all threads have
    /// something to do until the end, as one may be held up by what else its core does.
    pub(crate) fn share(&self, n: usize) -> usize {
        let most = (MAX_RUN_PIXELS / self.shape.lr_plane()).max(1);
        let share = if self.threads == 1 { most } else { n.div_ceil(4 * self.threads) };
        share.clamp(2.min(most), most)
    }

    /// Generates a [share](Self::share) of a frame's `faces` (`[N, 3, lr, lr]`) in one run, and
    /// shows what came out (`[N, 3, hr, hr]`), finite or not, to `take`.
    ///
    /// # Errors
    /// [`Error::Inference`] if the network fails; `take` is then not called.
    pub(crate) fn run_share<R>(
        &self,
        faces: &[f32],
        take: impl FnOnce(&[f32]) -> R,
    ) -> Result<R, Error> {
        let result = self.pool.run(|session| run_in(session, self.shape, faces, take))?;
        result.map_err(|e| self.failed(e))
    }

    fn failed(&self, cause: InferenceError) -> Error {
        Error::inference(self.source.to_string(), cause)
    }

    /// Where it came from.
    pub fn source(&self) -> &ModelSource {
        &self.source
    }

    /// Sides of its input and output.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Threads that share the faces of one frame.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// What the file says of its architecture (metadata `facesr.arch`).
    pub fn arch(&self) -> Option<&str> {
        self.arch.as_deref()
    }
}

/// Whether all of `values` are finite: block by block, so that many are looked at at a time.
pub(crate) fn is_finite(values: &[f32]) -> bool {
    values.chunks(64).all(|block| block.iter().fold(true, |all, v| all & v.is_finite()))
}

/// One run, whose output is shown to `take`.
fn run_in<R>(
    session: &mut Session,
    shape: Shape,
    faces: &[f32],
    take: impl FnOnce(&[f32]) -> R,
) -> Result<R, InferenceError> {
    let (n, lr, hr) = (faces.len() / shape.lr_len(), shape.lr(), shape.hr() as i64);
    let fail = |e: ort::Error| InferenceError::Runtime(OnnxRuntimeError::new(e));
    let input = TensorRef::from_array_view(([n, 3, lr, lr], faces)).map_err(fail)?;
    let outputs = session.run(ort::inputs!["input" => input]).map_err(fail)?;
    let (dims, values) = outputs["output"].try_extract_tensor::<f32>().map_err(fail)?;
    if dims[..] != [n as i64, 3, hr, hr] {
        return Err(InferenceError::Shape { shape: dims.to_vec(), faces: n });
    }
    Ok(take(values))
}

type SharedKey = (ModelSource, usize, Option<(u64, std::time::SystemTime)>);

static SHARED: LazyLock<Mutex<HashMap<SharedKey, Weak<Generator>>>> = LazyLock::new(Mutex::default);

/// Size and time of a file: one that was replaced is another model.
fn stamp(source: &ModelSource) -> Option<(u64, std::time::SystemTime)> {
    let ModelSource::File(path) = source else { return None };
    let meta = path.metadata().ok()?;
    Some((meta.len(), meta.modified().ok()?))
}

/// A generator that breaks the contract.
pub(crate) fn contract_error(source: &ModelSource, cause: impl Into<Cause>) -> ModelError {
    ModelError::Contract { model: source.to_string(), source: cause.into(), wanted: CONTRACT }
}

/// Holds what a session declares against the contract: its shape, or what is different.
pub(crate) fn check_contract(session: &Session) -> Result<Shape, String> {
    let one = |kind: &str, outlets: &[ort::value::Outlet], name: &str| {
        let [outlet] = outlets else {
            return Err(format!("it has {} {kind}s", outlets.len()));
        };
        if outlet.name() != name {
            return Err(format!("its {kind} is named '{}'", outlet.name()));
        }
        let Some((ty, dims)) = loader::tensor(outlet.dtype()) else {
            return Err(format!("its {kind} is no tensor"));
        };
        if ty != TensorElementType::Float32 {
            return Err(format!("its {kind} is of type {ty}"));
        }
        match dims[..] {
            [-1, 3 | -1, height, width] => Ok((dims, [height, width])),
            _ => Err(format!("its {kind} has shape {dims:?}")),
        }
    };
    let (input_dims, input) = one("input", session.inputs(), "input")?;
    let (output_dims, output) = one("output", session.outputs(), "output")?;
    // -1 is a free dimension; what it turns into is checked by a run. A file that leaves all of
    // them free is taken for one of the smallest faces.
    let declared = input.into_iter().find(|&side| side != -1);
    let implied = output.into_iter().find(|&side| side != -1).map(|side| side / 4);
    let side = declared.or(implied).unwrap_or(Shape::SMALL.lr() as i64);
    let fits = |have: [i64; 2], want: i64| have.iter().all(|&side| side == -1 || side == want);
    let shape = usize::try_from(side).ok().and_then(|lr| Shape::new(lr, 4 * lr));
    let Some(shape) = shape.filter(|_| fits(input, side)) else {
        return Err(format!("its input has shape {input_dims:?}"));
    };
    if !fits(output, 4 * side) {
        return Err(format!("its output has shape {output_dims:?}"));
    }
    let Some(scale) = session.metadata().ok().and_then(|m| m.custom("facesr.crop_scale")) else {
        return Ok(shape);
    };
    match scale.trim().parse::<f32>() {
        Ok(scale) if (scale - CROP_SCALE).abs() < 1e-3 => Ok(shape),
        _ => Err(format!("it was trained on crops of scale {scale}, not {CROP_SCALE}")),
    }
}
