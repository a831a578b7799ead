//! The Low-to-High generator: 16x16 faces in, 64x64 faces out, by ONNX Runtime.
//!
//! Contract of a generator file: ONNX, input `input` f32 `[N, 3, 16, 16]` and output `output` f32
//! `[N, 3, 64, 64]`, both RGB in -1..=1, N free. Metadata key `facesr.crop_scale`, where present,
//! must be [`CROP_SCALE`]: a network trained on other crops would see faces of the wrong size.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use ort::session::Session;
use ort::value::{TensorElementType, TensorRef};
use parking_lot::Mutex;

use crate::error::{Error, ModelError, UnknownName};
use crate::geometry::CROP_SCALE;
use crate::inference::loader;
use crate::inference::model_source::{ModelSource, default_generator};
use crate::inference::session_pool::SessionPool;
use crate::util::parallel::for_each_with;

/// Side of the generator's input, pixels.
pub const LR_SIZE: usize = 16;
/// Side of the generator's output, pixels.
pub const HR_SIZE: usize = 64;
/// Numbers in one input face, `[3, 16, 16]`.
pub const LR_LEN: usize = 3 * LR_SIZE * LR_SIZE;
/// Numbers in one output face, `[3, 64, 64]`.
pub const HR_LEN: usize = 3 * HR_SIZE * HR_SIZE;

/// Faces in one run. More do not run faster on a CPU, and the intermediate results of sixteen
/// still fit its second-level cache.
const MOST: usize = 16;

const CONTRACT: &str = "an input f32 [N,3,16,16] named 'input' and an output f32 [N,3,64,64] \
                        named 'output', N free, RGB from -1 to 1";

/// Where the generator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
pub struct GeneratorOptions {
    /// ONNX file; `None` for the built-in one.
    pub model: Option<PathBuf>,
    /// Threads that share the faces of one frame, 1 or more.
    pub threads: usize,
    /// Where to run.
    pub device: Device,
    /// Which CUDA device, if it is to be one.
    pub cuda_device: u32,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        Self { model: None, threads: 1, device: Device::Auto, cuda_device: 0 }
    }
}

impl GeneratorOptions {
    /// The file that is named, if one is.
    ///
    /// # Errors
    /// [`ModelError`] if it does not exist.
    pub(crate) fn file(&self) -> Result<Option<ModelSource>, ModelError> {
        let remedy = "name an ONNX generator (16x16 to 64x64), or none for the built-in one";
        self.model.as_ref().map(|path| ModelSource::file(path, remedy)).transpose()
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
/// let low = vec![0.0; 3 * 16 * 16];
/// let mut high = vec![0.0; 3 * 64 * 64];
/// generator.run(&low, &mut high)?;
/// assert!(high.iter().all(|value| value.is_finite()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Generator {
    source: ModelSource,
    threads: usize,
    pool: Arc<SessionPool>,
    arch: Option<String>,
}

impl Generator {
    /// Loads a generator on the CPU, whatever device the options name
    /// ([`Enhancer::open`](crate::Enhancer::open) heeds it), or answers the one that is already
    /// loaded with the same options in this process.
    ///
    /// # Errors
    /// [`ModelError`] if the file is missing, damaged or breaks the contract, or if ONNX Runtime is
    /// missing.
    pub fn open(options: &GeneratorOptions) -> Result<Arc<Self>, ModelError> {
        let source = options.file()?.unwrap_or_else(default_generator);
        let key = (source.clone(), options.threads.max(1), stamp(&source));
        let mut shared = SHARED.lock();
        if let Some(generator) = shared.get(&key).and_then(Weak::upgrade) {
            return Ok(generator);
        }
        shared.retain(|_, generator| generator.strong_count() > 0);
        let generator = Arc::new(Self::load(source, key.1)?);
        shared.insert(key, Arc::downgrade(&generator));
        Ok(generator)
    }

    fn load(source: ModelSource, threads: usize) -> Result<Self, ModelError> {
        let file = loader::read(&source)?;
        let contract = |reason| contract_error(&source, reason);
        // Shapes that a file declares need not be those it computes.
        let check = |session: &mut Session| {
            check_contract(session).map_err(contract)?;
            let finite = run_in(session, &[0.0; 2 * LR_LEN], is_finite).map_err(contract)?;
            if finite { Ok(()) } else { Err(contract(NOT_FINITE.into())) }
        };
        let pool = SessionPool::open(&source, file, 1, check)?;
        let arch = pool.run(|session| session.metadata().ok()?.custom("facesr.arch"))?;
        Ok(Self { source, threads, pool, arch })
    }

    /// Generates `faces` (`[N, 3, 16, 16]`, RGB in -1..=1) into `out` (`[N, 3, 64, 64]`), and
    /// answers the CPU time that took, over all threads.
    ///
    /// # Errors
    /// [`Error::Inference`] if the network fails or answers anything but finite numbers; `out` is
    /// then undefined.
    ///
    /// # Panics
    /// If the lengths are not those of the same N.
    pub fn run(&self, faces: &[f32], out: &mut [f32]) -> Result<Duration, Error> {
        let n = faces.len() / LR_LEN;
        assert_eq!((faces.len(), out.len()), (n * LR_LEN, n * HR_LEN), "lengths do not match");
        let share = self.share(n);
        let shares = faces.chunks(share * LR_LEN).zip(out.chunks_mut(share * HR_LEN));
        let mut outcomes: Vec<_> =
            (0..self.threads.min(n.div_ceil(share)).max(1)).map(|_| Ok(())).collect();
        let time = for_each_with(&mut outcomes, shares, |outcome, (faces, out)| {
            if outcome.is_ok() {
                let finite = self.run_share(faces, |hr| {
                    out.copy_from_slice(hr);
                    is_finite(hr)
                });
                *outcome = finite.and_then(|finite| match finite {
                    true => Ok(()),
                    false => Err(self.failed(NOT_FINITE.into())),
                });
            }
        });
        outcomes.into_iter().collect::<Result<(), _>>().map(|()| time)
    }

    /// How many of `n` faces a thread should take at a time: few enough that all threads have
    /// something to do until the end, as one may be held up by what else its core does.
    pub(crate) fn share(&self, n: usize) -> usize {
        let share = if self.threads == 1 { MOST } else { n.div_ceil(4 * self.threads) };
        share.clamp(2, MOST)
    }

    /// Generates a [share](Self::share) of a frame's `faces` (`[N, 3, 16, 16]`) in one run, and
    /// shows what came out (`[N, 3, 64, 64]`) to `take`.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for numbers that are not finite, which `take` has to look for;
    /// `take` is then not called.
    pub(crate) fn run_share<R>(
        &self,
        faces: &[f32],
        take: impl FnOnce(&[f32]) -> R,
    ) -> Result<R, Error> {
        let result = self.pool.run(|session| run_in(session, faces, take))?;
        result.map_err(|reason| self.failed(reason))
    }

    fn failed(&self, reason: String) -> Error {
        Error::Inference { model: self.source.to_string(), reason }
    }

    /// Where it came from.
    pub fn source(&self) -> &ModelSource {
        &self.source
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

/// One run, whose output is shown to `take`; an error is a reason in words.
fn run_in<R>(
    session: &mut Session,
    faces: &[f32],
    take: impl FnOnce(&[f32]) -> R,
) -> Result<R, String> {
    let n = faces.len() / LR_LEN;
    let fail = |e: ort::Error| loader::first_line(&e.to_string());
    let input = TensorRef::from_array_view(([n, 3, LR_SIZE, LR_SIZE], faces)).map_err(fail)?;
    let outputs = session.run(ort::inputs!["input" => input]).map_err(fail)?;
    let (shape, values) = outputs["output"].try_extract_tensor::<f32>().map_err(fail)?;
    if shape[..] != [n as i64, 3, HR_SIZE as i64, HR_SIZE as i64] {
        return Err(format!("it answered shape {shape:?} for {n} faces"));
    }
    Ok(take(values))
}

/// Why a face is not shown.
pub(crate) const NOT_FINITE: &str = "it answered numbers that are not finite";

/// Whether all `values` of generated faces are numbers.
pub(crate) fn is_finite(values: &[f32]) -> bool {
    // Row by row, of which each is looked at as a whole: many numbers at a time.
    let finite = |row: &[f32]| row.iter().fold(true, |all, v| all & v.is_finite());
    values.chunks(HR_SIZE).all(finite)
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
pub(crate) fn contract_error(source: &ModelSource, reason: String) -> ModelError {
    ModelError::Contract { model: source.to_string(), reason, wanted: CONTRACT }
}

/// Holds what a session declares against the contract; what is different, if anything.
pub(crate) fn check_contract(session: &Session) -> Result<(), String> {
    let one = |kind: &str, outlets: &[ort::value::Outlet], name: &str, side: i64| {
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
        // -1 is a free dimension; what it turns into is checked by a run.
        let fits = |(have, want): (&i64, &i64)| *have == -1 || have == want;
        let wanted = [-1, 3, side, side];
        if dims.len() != 4 || dims[0] != -1 || !dims.iter().zip(&wanted).skip(1).all(fits) {
            return Err(format!("its {kind} has shape {dims:?}"));
        }
        Ok(())
    };
    one("input", session.inputs(), "input", LR_SIZE as i64)?;
    one("output", session.outputs(), "output", HR_SIZE as i64)?;
    let Some(scale) = session.metadata().ok().and_then(|m| m.custom("facesr.crop_scale")) else {
        return Ok(());
    };
    match scale.trim().parse::<f32>() {
        Ok(scale) if (scale - CROP_SCALE).abs() < 1e-3 => Ok(()),
        _ => Err(format!("it was trained on crops of scale {scale}, not {CROP_SCALE}")),
    }
}
