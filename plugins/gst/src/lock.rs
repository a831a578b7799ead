//! Locking that outlives a panic.

use std::sync::{Mutex, MutexGuard};

/// Locks `mutex`. A thread that panicked with the lock held has already become an element error,
/// and what it guarded is replaced at the next start: no reason to panic again.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
