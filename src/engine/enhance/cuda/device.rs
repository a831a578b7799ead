//! The driver of CUDA, loaded at run time: nothing here needs CUDA to be built or to start.

use std::ptr::NonNull;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream, DriverError, result};
use cudarc::nvrtc::Ptx;

use super::driver::Driver;
use super::generator::Place;
use super::kernels::{Arguments, DevicePtr, Grid, Kernel, PTX};
use crate::error::{CudaError, GpuError};

/// Whether there is a driver in this process's reach, used or not.
pub fn driver_present() -> bool {
    // SAFETY: loads the library as any user of it would; its initialisers have no preconditions.
    static PRESENT: LazyLock<bool> = LazyLock::new(|| unsafe { sys::is_culib_present() });
    *PRESENT
}

/// Name of the device that the tests' driver shows (`src/testkit/driver`). Its memory is the system's.
pub const TEST_DEVICE: &str = "facesr test driver";

/// One stream of one device, with the kernels loaded.
pub struct Cuda {
    id: u32,
    gpu: String,
    name: String,
    functions: [CudaFunction; Kernel::ALL.len()],
    // After what was loaded into it and allocated in it.
    stream: Arc<CudaStream>,
    context: Arc<CudaContext>,
}

impl Cuda {
    /// Opens a stream of device `id` in its primary context, the one that ONNX Runtime uses.
    ///
    /// # Errors
    /// [`GpuError::NoDriver`] without a driver, [`GpuError::Unusable`] if there is no such device or
    /// it cannot run the kernels.
    pub fn open(id: u32) -> Result<Self, GpuError> {
        let context = open_context(id)?;
        let cannot = |step, e| cannot(id, step, e);
        let gpu = context.name().unwrap_or_else(|_| "NVIDIA GPU".into());
        // SAFETY: no slice of cudarc's is used, whose accesses its events would order; all work is
        // on one stream.
        unsafe { context.disable_event_tracking() };
        let module = context.load_module(Ptx::from_src(PTX)).map_err(|e| {
            cannot("loading the kernels (a driver for CUDA 12.9 or newer is needed)", e)
        })?;
        let functions = load(&module).map_err(|e| cannot("finding the kernels", e))?;
        let stream = context.new_stream().map_err(|e| cannot("opening a stream", e))?;
        let name = format!("CUDA device {id} ({gpu})");
        Ok(Self { id, gpu, name, functions, stream, context })
    }

    /// Where a generator runs that shares memory and stream with this.
    pub fn place(&self) -> Place {
        match self.gpu == TEST_DEVICE {
            true => Place::Host,
            false => Place::Cuda { device: self.id as i32, stream: self.stream() },
        }
    }

    /// The stream, as other libraries are given it.
    pub fn stream(&self) -> usize {
        self.stream.cu_stream() as usize
    }

    /// Marks the moment at which the device will have done what it was asked for so far.
    ///
    /// # Errors
    /// If the device fails.
    pub fn mark(&self) -> Result<Mark, GpuError> {
        self.bind()?;
        let fail = |e| self.failed("marking a moment", e);
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(fail)?;
        let mark = Mark { context: self.context.clone(), event };
        // SAFETY: a new event and our stream.
        unsafe { result::event::record(event, self.stream.cu_stream()) }.map_err(fail)?;
        Ok(mark)
    }

    /// The time from one moment of this device to a later one, by its own clock; waits for the later.
    ///
    /// # Errors
    /// If the device fails.
    pub fn between(&self, earlier: &Mark, later: &Mark) -> Result<Duration, GpuError> {
        self.bind()?;
        // SAFETY: events of this stream that are not destroyed yet.
        let milliseconds = unsafe {
            result::event::synchronize(later.event)
                .and_then(|()| result::event::elapsed(earlier.event, later.event))
        }
        .map_err(|e| self.failed("measuring time", e))?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
    }

    fn failed(&self, step: impl Into<String>, e: DriverError) -> GpuError {
        let source = cuda_error(e).into();
        GpuError::Failed { device: self.name.clone(), step: step.into(), source }
    }

    /// Makes the context the calling thread's: frames come on any thread.
    fn bind(&self) -> Result<(), GpuError> {
        self.context.bind_to_thread().map_err(|e| self.failed("choosing the device", e))
    }
}

/// A moment in the work of a device.
pub struct Mark {
    context: Arc<CudaContext>,
    event: sys::CUevent,
}

// SAFETY: events may be used from any thread.
unsafe impl Send for Mark {}

impl Drop for Mark {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: our event, which is not used again. An error leaves nothing to be done.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}

/// Device `id` cannot be used, because of `e`.
fn cannot(id: u32, step: &'static str, e: DriverError) -> GpuError {
    GpuError::Open { id, step, source: cuda_error(e) }
}

/// The primary context of device `id`.
fn open_context(id: u32) -> Result<Arc<CudaContext>, GpuError> {
    if !driver_present() {
        return Err(GpuError::NoDriver);
    }
    let cannot = |step, e| cannot(id, step, e);
    result::init().map_err(|e| cannot("starting the driver", e))?;
    let count = CudaContext::device_count().map_err(|e| cannot("counting devices", e))?;
    if i64::from(id) >= i64::from(count) {
        let have = match count {
            0 => "the driver sees no GPU".to_string(),
            n => format!("there are {n}, numbered from 0"),
        };
        return Err(GpuError::Unusable(format!("there is no CUDA device {id}: {have}")));
    }
    CudaContext::new(id as usize).map_err(|e| cannot("opening it", e))
}

/// The primary context of device `id`, kept for the rest of the process: for libraries that hand it
/// on to who knows whom.
///
/// # Errors
/// Those of [`Cuda::open`].
pub fn primary_context(id: u32) -> Result<usize, GpuError> {
    let context = open_context(id)?;
    let handle = context.cu_ctx() as usize;
    std::mem::forget(context);
    Ok(handle)
}

/// The context that the device memory at `at` belongs to, or `None` if that is no device memory of
/// this process's.
pub fn context_of(at: DevicePtr) -> Option<usize> {
    if !driver_present() {
        return None;
    }
    let mut context: sys::CUcontext = std::ptr::null_mut();
    let attribute = sys::CUpointer_attribute::CU_POINTER_ATTRIBUTE_CONTEXT;
    // SAFETY: the attribute is a context, and any number may be asked about.
    let answer = unsafe {
        sys::cuPointerGetAttribute(std::ptr::from_mut(&mut context).cast(), attribute, at)
    };
    (answer == CUresult::CUDA_SUCCESS && !context.is_null()).then_some(context as usize)
}

fn load(module: &Arc<CudaModule>) -> Result<[CudaFunction; Kernel::ALL.len()], DriverError> {
    let loaded: Result<Vec<_>, _> =
        Kernel::ALL.iter().map(|kernel| module.load_function(kernel.name())).collect();
    loaded.map(|list| match list.try_into() {
        Ok(array) => array,
        Err(_) => unreachable!("as many functions as kernels"),
    })
}

/// What the driver says of an error: its name and, if it has one, its sentence.
fn cuda_error(e: DriverError) -> CudaError {
    let name = e.error_name().map_or("unknown error".into(), |s| s.to_string_lossy().into_owned());
    CudaError(match e.error_string() {
        Ok(text) => format!("{name}, {}", text.to_string_lossy()),
        Err(_) => name,
    })
}

// SAFETY: the memory is what CUDA has allocated.
unsafe impl Driver for Cuda {
    fn name(&self) -> &str {
        &self.name
    }

    fn allocate(&self, len: usize) -> Result<DevicePtr, GpuError> {
        self.bind()?;
        let fail = |e| self.failed(format!("allocating {len} bytes"), e);
        // SAFETY: the memory is zeroed below, before anybody can read it.
        let at = unsafe { result::malloc_sync(len.max(1)) }.map_err(fail)?;
        // SAFETY: the memory was just allocated with that length.
        unsafe { result::memset_d8_async(at, 0, len, self.stream.cu_stream()) }.map_err(fail)?;
        Ok(at)
    }

    unsafe fn free(&self, at: DevicePtr) {
        if self.bind().is_ok() {
            // SAFETY: as the caller promises. The driver waits for what uses the memory; a context
            // that has failed has nothing left to free.
            let _ = unsafe { result::free_sync(at) };
        }
    }

    fn allocate_host(&self, len: usize) -> Result<NonNull<u8>, GpuError> {
        self.bind()?;
        // Not write-combined: what comes back is read by the CPU.
        // SAFETY: the memory is zeroed below, before anybody can read it.
        let at = unsafe { result::malloc_host(len.max(1), 0) }
            .map_err(|e| self.failed(format!("allocating {len} bytes of pinned memory"), e))?;
        let at = NonNull::new(at.cast::<u8>()).ok_or_else(|| {
            self.failed("allocating", DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY))
        })?;
        // SAFETY: the memory was just allocated with that length.
        unsafe { std::ptr::write_bytes(at.as_ptr(), 0, len) };
        Ok(at)
    }

    unsafe fn free_host(&self, at: NonNull<u8>, _len: usize) {
        if self.bind().is_ok() {
            // SAFETY: as the caller promises.
            let _ = unsafe { result::free_host(at.as_ptr().cast()) };
        }
    }

    unsafe fn upload(&self, to: DevicePtr, from: *const u8, len: usize) -> Result<(), GpuError> {
        self.bind()?;
        // SAFETY: as the caller promises.
        unsafe {
            let from = std::slice::from_raw_parts(from, len);
            result::memcpy_htod_async(to, from, self.stream.cu_stream())
        }
        .map_err(|e| self.failed("copying to the device", e))
    }

    unsafe fn download(&self, to: *mut u8, from: DevicePtr, len: usize) -> Result<(), GpuError> {
        self.bind()?;
        // SAFETY: as the caller promises.
        unsafe {
            let to = std::slice::from_raw_parts_mut(to, len);
            result::memcpy_dtoh_async(to, from, self.stream.cu_stream())
        }
        .map_err(|e| self.failed("copying from the device", e))
    }

    unsafe fn copy(&self, to: DevicePtr, from: DevicePtr, len: usize) -> Result<(), GpuError> {
        self.bind()?;
        // SAFETY: as the caller promises.
        unsafe { result::memcpy_dtod_async(to, from, len, self.stream.cu_stream()) }
            .map_err(|e| self.failed("copying on the device", e))
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        mut arguments: Arguments<'_>,
    ) -> Result<(), GpuError> {
        self.bind()?;
        let Grid { blocks: [bx, by, bz], threads: [tx, ty, tz] } = grid;
        // SAFETY: as the caller promises; each argument outlives the call, which copies them.
        unsafe {
            result::launch_kernel(
                self.functions[kernel as usize].cu_function(),
                (bx, by, bz),
                (tx, ty, tz),
                0,
                self.stream.cu_stream(),
                arguments.addresses(),
            )
        }
        .map_err(|e| self.failed(kernel.name(), e))
    }

    fn synchronize(&self) -> Result<(), GpuError> {
        self.bind()?;
        self.stream.synchronize().map_err(|e| self.failed("working on a frame", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_driver_the_error_says_so() {
        if driver_present() {
            return;
        }
        let error = Cuda::open(0).err().expect("there is no driver");
        assert!(matches!(error, GpuError::NoDriver), "{error}");
        assert!(error.to_string().contains("libcuda.so.1"));
        assert_eq!(context_of(4096), None);
    }

    #[test]
    fn functions_are_found_by_their_kernel() {
        for (i, kernel) in Kernel::ALL.into_iter().enumerate() {
            assert_eq!(kernel as usize, i, "{}", kernel.name());
        }
    }
}
