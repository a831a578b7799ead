//! Locks that outlive a panic.

use std::sync::{Mutex, MutexGuard};

/// A panic elsewhere leaves these maps and lists whole, so a poisoned lock may be used.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
