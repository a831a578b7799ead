//! What the GPU backend asks of a device: memory, copies and launches in the order of one stream.
//!
//! [`Cuda`](super::device::Cuda) does it through the CUDA driver. Tests do it in system memory with
//! the same kernels compiled as host code, so that all but the driver itself runs without a GPU.

use std::ptr::NonNull;
use std::sync::Arc;

use super::kernels::{Arguments, DevicePtr, Grid, Kernel};
use crate::error::GpuError;

/// A device with one stream, on which everything happens in the order it was asked for.
///
/// # Safety
/// Addresses that [`allocate`](Self::allocate) and [`allocate_host`](Self::allocate_host) return
/// are those of memory of the lengths that were asked for, which nothing else uses until it is
/// freed.
pub unsafe trait Driver: Send + Sync {
    /// Name of the device, for messages.
    fn name(&self) -> &str;

    /// `len` bytes of the device's memory, zeroed.
    ///
    /// # Errors
    /// If there is no more.
    fn allocate(&self, len: usize) -> Result<DevicePtr, GpuError>;

    /// Frees them.
    ///
    /// # Safety
    /// `at` was answered by [`allocate`](Self::allocate) and is not used again.
    unsafe fn free(&self, at: DevicePtr);

    /// `len` bytes of system memory that the device copies from and to by itself, zeroed.
    ///
    /// # Errors
    /// If there is no more.
    fn allocate_host(&self, len: usize) -> Result<NonNull<u8>, GpuError>;

    /// Frees them.
    ///
    /// # Safety
    /// `at` was answered by [`allocate_host`](Self::allocate_host) for `len`, no copy from or to it
    /// is under way, and it is not used again.
    unsafe fn free_host(&self, at: NonNull<u8>, len: usize);

    /// Copies `len` bytes from system memory to the device.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// Both places hold `len` bytes, and `from` stays as it is until the next
    /// [`synchronize`](Self::synchronize).
    unsafe fn upload(&self, to: DevicePtr, from: *const u8, len: usize) -> Result<(), GpuError>;

    /// Copies `len` bytes from the device to system memory; they are there after the next
    /// [`synchronize`](Self::synchronize).
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// Both places hold `len` bytes, and nobody touches `to` until then.
    unsafe fn download(&self, to: *mut u8, from: DevicePtr, len: usize) -> Result<(), GpuError>;

    /// Copies `len` bytes from one place of the device to another.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// Both places hold `len` bytes and do not overlap.
    unsafe fn copy(&self, to: DevicePtr, from: DevicePtr, len: usize) -> Result<(), GpuError>;

    /// Launches a kernel.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// The arguments are what the kernel wants (`kernels/README.md`), and the memory they point to
    /// holds what the kernel reads and writes.
    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments<'_>,
    ) -> Result<(), GpuError>;

    /// Waits until all that was asked for is done.
    ///
    /// # Errors
    /// If any of it failed.
    fn synchronize(&self) -> Result<(), GpuError>;
}

/// Memory of a device.
pub(super) struct Buffer {
    driver: Arc<dyn Driver>,
    at: DevicePtr,
    len: usize,
}

impl Buffer {
    pub(super) fn new(driver: &Arc<dyn Driver>, len: usize) -> Result<Self, GpuError> {
        Ok(Self { driver: driver.clone(), at: driver.allocate(len)?, len })
    }

    pub(super) fn at(&self) -> DevicePtr {
        self.at
    }

    /// Sees to it that it holds `len` bytes; if it has to grow, it loses what it held.
    pub(super) fn reserve(&mut self, len: usize) -> Result<(), GpuError> {
        if self.len < len {
            *self = Self::new(&self.driver, len.next_power_of_two())?;
        }
        Ok(())
    }

    /// The same, but what it held stays.
    pub(super) fn grow(&mut self, len: usize) -> Result<(), GpuError> {
        if self.len < len {
            let larger = Self::new(&self.driver, len.next_power_of_two())?;
            // SAFETY: the new memory holds more than the old, which stays until the copy is done.
            unsafe { self.driver.copy(larger.at, self.at, self.len) }?;
            self.driver.synchronize()?;
            *self = larger;
        }
        Ok(())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated by this driver, which waits for what still uses it.
        unsafe { self.driver.free(self.at) };
    }
}

/// System memory that a device copies from and to.
pub(super) struct Staging {
    driver: Arc<dyn Driver>,
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is the staging's own, and drivers may be used from any thread.
unsafe impl Send for Staging {}

impl Staging {
    pub(super) fn new(driver: &Arc<dyn Driver>, len: usize) -> Result<Self, GpuError> {
        Ok(Self { driver: driver.clone(), at: driver.allocate_host(len)?, len })
    }

    /// Sees to it that it holds `len` bytes; if it has to grow, it loses what it held. No copy may
    /// be under way.
    pub(super) fn reserve(&mut self, len: usize) -> Result<(), GpuError> {
        if self.len < len {
            *self = Self::new(&self.driver, len.next_power_of_two())?;
        }
        Ok(())
    }

    /// The bytes. No copy to them may be under way.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is ours, of that length, and was zeroed.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    /// The bytes, to be written. No copy may be under way.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A copy that an error left under way must end first; whether it failed is no matter.
        let _ = self.driver.synchronize();
        // SAFETY: allocated by this driver for this length, and no copy is under way.
        unsafe { self.driver.free_host(self.at, self.len) };
    }
}
