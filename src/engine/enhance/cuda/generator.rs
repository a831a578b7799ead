//! The generator on a device: ONNX Runtime bound to the device's memory, on the backend's stream.
//!
//! cuDNN prepares again for every batch size it sees, so batches are padded to a few sizes. Inputs and
//! outputs of a size are allocated when it is first needed and stay; crops are written to them, and
//! faces read from them, without a copy.

use ort::ep;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions, Session};
use ort::value::Tensor;

use super::kernels::DevicePtr;
use crate::enhance::generator::{check_contract, contract_error};
use crate::error::{GpuError, ModelError, OnnxRuntimeError};
use crate::inference::loader;
use crate::inference::model_source::ModelSource;
use crate::shape::Shape;

/// Sizes that batches are padded to.
pub const BATCHES: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Most faces in one run of a generator.
pub const MAX_FACES: usize = 128;

/// Runs batches of faces that lie in a device's memory.
///
/// # Safety
/// [`buffers`](Self::buffers) returns addresses of device memory that holds `n` inputs and outputs
/// and stays where it is for as long as the value lives.
pub unsafe trait RunFaces: Send {
    /// Sides of its input and output.
    fn shape(&self) -> Shape;

    /// Where the input `[n, 3, lr, lr]` and the output `[n, 3, hr, hr]` of a run of `faces` lie,
    /// `n` being at least `faces`, which is 1 to [`MAX_FACES`].
    ///
    /// # Errors
    /// If the device has no memory left for them.
    fn buffers(&mut self, faces: usize) -> Result<(DevicePtr, DevicePtr), GpuError>;

    /// Asks for a run of `faces`, in the order of the backend's stream.
    ///
    /// # Errors
    /// If ONNX Runtime or the device fails.
    fn run(&mut self, faces: usize) -> Result<(), GpuError>;
}

/// Number in [`BATCHES`] of the smallest that holds `faces`.
fn size_for(faces: usize) -> usize {
    BATCHES.iter().position(|&size| size >= faces).unwrap_or(BATCHES.len() - 1)
}

/// Where a session runs.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// A CUDA device, on a stream of its primary context.
    Cuda {
        /// Number of the device.
        device: i32,
        /// The stream (`CUstream`).
        stream: usize,
    },
    /// System memory: how tests run the same bindings without a GPU.
    Host,
}

/// One batch size.
struct Bound {
    binding: IoBinding,
    input: DevicePtr,
    output: DevicePtr,
}

/// A generator whose inputs and outputs stay in one device's memory.
pub struct BoundGenerator {
    // Bindings go before the session they belong to.
    bound: [Option<Bound>; BATCHES.len()],
    session: Session,
    shape: Shape,
    place: Place,
    options: RunOptions<NoSelectedOutputs>,
    name: String,
}

impl BoundGenerator {
    /// Opens `source` at `place`, and runs the smallest batch once.
    ///
    /// # Errors
    /// [`ModelError`] if the file is unusable or breaks the contract, or if ONNX Runtime cannot run
    /// it there.
    ///
    /// # Safety
    /// The stream of `place` belongs to the primary context of its device and outlives the
    /// generator.
    pub unsafe fn open(source: &ModelSource, place: Place) -> Result<Self, ModelError> {
        let bytes = loader::read(source)?;
        let provider = match place {
            Place::Host => None,
            Place::Cuda { device, stream } => {
                // SAFETY: promised by the caller.
                let cuda = unsafe {
                    ep::CUDA::default()
                        .with_device_id(device)
                        .with_compute_stream(stream as *mut ())
                };
                // fp32 means fp32: who wants tensor cores names a file in half precision.
                let cuda = cuda
                    .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
                    .with_tf32(false);
                Some(cuda.build().error_on_failure())
            }
        };
        let on_device =
            |e: ort::Error| ModelError::on_device(source, place.name(), OnnxRuntimeError::new(e));
        let session = loader::open_on(source, &bytes, provider, place.name())?;
        let shape = check_contract(&session).map_err(|reason| contract_error(source, reason))?;
        let mut options = RunOptions::new().map_err(on_device)?;
        // Everything is on one stream, and the backend waits for that.
        options.disable_device_sync().map_err(on_device)?;
        let name = source.to_string();
        let bound = [const { None }; BATCHES.len()];
        let mut generator = Self { bound, session, shape, place, options, name };
        generator.run(1).map_err(|e| contract_error(source, e))?;
        Ok(generator)
    }

    /// What a batch of this many faces is bound to.
    fn bound(&mut self, faces: usize) -> Result<&Bound, GpuError> {
        let number = size_for(faces);
        if self.bound[number].is_none() {
            let bound = bind(&self.session, self.place, BATCHES[number], self.shape);
            self.bound[number] = Some(bound.map_err(|e| self.failed("binding its memory", e))?);
        }
        match &self.bound[number] {
            Some(bound) => Ok(bound),
            None => unreachable!("it has just been bound"),
        }
    }

    fn failed(&self, step: &str, e: ort::Error) -> GpuError {
        let source = OnnxRuntimeError::new(e).into();
        GpuError::Failed { device: self.name.clone(), step: step.into(), source }
    }
}

impl Place {
    /// Its name in messages.
    fn name(self) -> &'static str {
        match self {
            Self::Cuda { .. } => "cuda",
            Self::Host => "cpu",
        }
    }

    fn memory(self) -> Result<MemoryInfo<'static>, ort::Error> {
        let (device, id) = match self {
            Self::Cuda { device, .. } => (AllocationDevice::CUDA, device),
            Self::Host => (AllocationDevice::CPU, 0),
        };
        MemoryInfo::new(device, id, AllocatorType::Device, MemoryType::Default)
    }
}

/// Binds input and output of `n` faces. The tensors are ONNX Runtime's own: bound to borrowed
/// memory, the binding would take a copy of the input once and for all.
fn bind(session: &Session, place: Place, n: usize, shape: Shape) -> Result<Bound, ort::Error> {
    let allocator = Allocator::new(session, place.memory()?)?;
    let mut input = Tensor::<f32>::new(&allocator, [n, 3, shape.lr(), shape.lr()])?;
    let mut output = Tensor::<f32>::new(&allocator, [n, 3, shape.hr(), shape.hr()])?;
    let (at_input, at_output) =
        (input.data_ptr_mut() as DevicePtr, output.data_ptr_mut() as DevicePtr);
    let mut binding = session.create_binding()?;
    binding.bind_input("input", &input)?;
    binding.bind_output("output", output)?;
    Ok(Bound { binding, input: at_input, output: at_output })
}

// SAFETY: inputs and outputs of each batch size stay bound for as long as the generator lives.
unsafe impl RunFaces for BoundGenerator {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn buffers(&mut self, faces: usize) -> Result<(DevicePtr, DevicePtr), GpuError> {
        self.bound(faces).map(|bound| (bound.input, bound.output))
    }

    fn run(&mut self, faces: usize) -> Result<(), GpuError> {
        self.bound(faces)?;
        let Some(bound) = &self.bound[size_for(faces)] else { return Ok(()) };
        let ran = self.session.run_binding_with_options(&bound.binding, &self.options).map(drop);
        ran.map_err(|e| self.failed("running", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enhance::generator::Generator;
    use crate::inference::model_source::gpu_generators;

    #[test]
    fn batches_are_padded_to_the_next_size() {
        let padded = |faces| BATCHES[size_for(faces)];
        for (faces, size) in [(1, 1), (2, 2), (3, 4), (8, 8), (9, 16), (33, 64), (65, 128)] {
            assert_eq!(padded(faces), size);
        }
        assert_eq!(padded(MAX_FACES), MAX_FACES);
    }

    /// The bindings that a GPU gets, in system memory, against the generator as it runs there.
    #[test]
    fn bound_memory_is_read_and_written_at_every_run() {
        for source in gpu_generators() {
            // SAFETY: there is no stream.
            let mut bound = unsafe { BoundGenerator::open(&source, Place::Host) }.unwrap();
            let plain = Generator::open_source(&source, 1).unwrap();
            let shape = bound.shape();
            for (round, faces) in [3usize, 1, 3, 17].into_iter().enumerate() {
                let lr: Vec<f32> = (0..faces * shape.lr_len())
                    .map(|i| ((i * (7 + round)) % 251) as f32 / 125.0 - 1.0)
                    .collect();
                let mut wanted = vec![0.0; faces * shape.hr_len()];
                plain.run(&lr, &mut wanted).unwrap();
                let (input, output) = bound.buffers(faces).unwrap();
                // SAFETY: system memory that holds at least so many faces.
                unsafe {
                    std::ptr::copy_nonoverlapping(lr.as_ptr(), input as *mut f32, lr.len());
                }
                bound.run(faces).unwrap();
                // SAFETY: as above.
                let got = unsafe {
                    std::slice::from_raw_parts(output as *const f32, faces * shape.hr_len())
                };
                let worst = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-4, "{shape}, round {round}: off by {worst}");
            }
        }
    }

    #[test]
    fn cuda_without_its_provider_is_an_error_with_a_reason() {
        let source = gpu_generators().swap_remove(0);
        // SAFETY: the provider does not get so far as to use the stream.
        let opened = unsafe { BoundGenerator::open(&source, Place::Cuda { device: 0, stream: 0 }) };
        if crate::enhance::cuda::driver_present() {
            return;
        }
        let error = opened.err().expect("there is no CUDA here").to_string();
        assert!(error.contains("cuda") && error.contains("low-to-high-compact"), "{error}");
    }
}
