//! A device in system memory: the CUDA kernels, compiled as host code by this package's build
//! script, launched as a CUDA driver would launch them. All of the engine's GPU backend but CUDA's
//! own driver runs on it.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use facesr::internals::cuda::{Arguments, DevicePtr, Driver, GpuError, Grid, Kernel};

unsafe extern "C" {
    fn facesr_host_launch(
        name: *const c_char,
        grid: *const u32,
        block: *const u32,
        arguments: *mut *mut c_void,
    ) -> c_int;
}

/// Bytes before and behind each allocation that nobody may write.
const GUARD: usize = 64;
/// What is in them.
const GUARD_BYTE: u8 = 0xA5;

/// Does everything at once, in system memory.
#[derive(Debug, Default)]
pub struct HostDriver {
    /// Allocations by address.
    memory: Mutex<BTreeMap<DevicePtr, Vec<u8>>>,
    calls: AtomicUsize,
    fails_at: Option<usize>,
}

impl HostDriver {
    /// A device that works.
    pub fn new() -> Self {
        Self::default()
    }

    /// A device whose call number `fails_at`, counted from 0, fails, and all after it.
    pub fn failing_at(fails_at: usize) -> Self {
        Self { fails_at: Some(fails_at), ..Self::default() }
    }

    /// Calls so far that might have failed.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn call(&self, step: &str) -> Result<(), GpuError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.fails_at.is_none_or(|at| call < at) {
            return Ok(());
        }
        Err(GpuError::Failed {
            device: self.name().into(),
            step: step.into(),
            source: format!("fault injected at call {call}").into(),
        })
    }

    /// Holds `len` bytes from `at` on against what was allocated.
    fn check(&self, at: DevicePtr, len: usize) {
        let memory = self.memory.lock().expect("no panic under the lock");
        let (start, bytes) = memory.range(..=at).next_back().expect("an allocation");
        let room = bytes.len() - 2 * GUARD;
        assert!((at - start) as usize + len <= room, "{len} bytes beyond an allocation of {room}");
    }
}

// SAFETY: the memory is allocated here, of the lengths that are asked for.
unsafe impl Driver for HostDriver {
    fn name(&self) -> &str {
        "a device in system memory"
    }

    fn allocate(&self, len: usize) -> Result<DevicePtr, GpuError> {
        self.call("allocate")?;
        let mut bytes = vec![GUARD_BYTE; len + 2 * GUARD];
        bytes[GUARD..GUARD + len].fill(0);
        let at = bytes.as_ptr() as DevicePtr + GUARD as DevicePtr;
        self.memory.lock().expect("no panic under the lock").insert(at, bytes);
        Ok(at)
    }

    unsafe fn free(&self, at: DevicePtr) {
        let mut memory = self.memory.lock().expect("no panic under the lock");
        let bytes = memory.remove(&at).expect("an allocation");
        drop(memory);
        if std::thread::panicking() {
            return;
        }
        let len = bytes.len();
        let guards = bytes[..GUARD].iter().chain(&bytes[len - GUARD..]);
        assert!(guards.clone().all(|&b| b == GUARD_BYTE), "a kernel wrote beyond its memory");
    }

    fn allocate_host(&self, len: usize) -> Result<NonNull<u8>, GpuError> {
        self.call("allocate_host")?;
        let bytes = vec![0u8; len].into_boxed_slice();
        Ok(NonNull::from(Box::leak(bytes)).cast())
    }

    unsafe fn free_host(&self, at: NonNull<u8>, len: usize) {
        let bytes = NonNull::slice_from_raw_parts(at, len);
        // SAFETY: leaked by `allocate_host` with this length.
        drop(unsafe { Box::from_raw(bytes.as_ptr()) });
    }

    unsafe fn upload(&self, to: DevicePtr, from: *const u8, len: usize) -> Result<(), GpuError> {
        self.call("upload")?;
        self.check(to, len);
        // SAFETY: as the caller promises; the target was looked at.
        unsafe { std::ptr::copy_nonoverlapping(from, to as *mut u8, len) };
        Ok(())
    }

    unsafe fn download(&self, to: *mut u8, from: DevicePtr, len: usize) -> Result<(), GpuError> {
        self.call("download")?;
        self.check(from, len);
        // SAFETY: as the caller promises; the source was looked at.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to, len) };
        Ok(())
    }

    unsafe fn copy(&self, to: DevicePtr, from: DevicePtr, len: usize) -> Result<(), GpuError> {
        self.call("copy")?;
        self.check(from, len);
        self.check(to, len);
        // SAFETY: as the caller promises; both places were looked at.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, len) };
        Ok(())
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        mut arguments: Arguments<'_>,
    ) -> Result<(), GpuError> {
        self.call(kernel.name())?;
        assert!(grid.blocks[1] <= 65_535 && grid.blocks[2] <= 65_535, "beyond CUDA's limits");
        assert!(grid.threads.iter().product::<u32>() <= 1024, "beyond CUDA's limits");
        // CUDA refuses a launch of no blocks.
        assert!(grid.blocks.iter().all(|&n| n > 0), "{}: no blocks", kernel.name());
        let name = CString::new(kernel.name()).expect("a C name");
        // SAFETY: the arguments are those of the kernel, as the caller promises.
        let unknown = unsafe {
            facesr_host_launch(
                name.as_ptr(),
                grid.blocks.as_ptr(),
                grid.threads.as_ptr(),
                arguments.addresses().as_mut_ptr(),
            )
        };
        assert_eq!(unknown, 0, "{} is not in kernels/host.cpp", kernel.name());
        Ok(())
    }

    fn synchronize(&self) -> Result<(), GpuError> {
        self.call("synchronize")
    }
}

/// The CUDA driver in system memory (`driver/cuda.cpp`), as a file: whoever loads it, or runs with
/// its folder in `LD_LIBRARY_PATH`, has a GPU named [`facesr::internals::cuda::TEST_DEVICE`].
pub fn driver_file() -> &'static std::path::Path {
    std::path::Path::new(env!("FACESR_TEST_DRIVER"))
}
