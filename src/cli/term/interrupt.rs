//! Ctrl-C, SIGTERM and a closed terminal: noted here, acted on by whoever works, so that nothing
//! half-written stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static REQUESTED: AtomicBool = AtomicBool::new(false);
/// When the first signal came, in milliseconds of the monotonic clock.
static FIRST: AtomicI64 = AtomicI64::new(0);

/// A second signal within this many milliseconds is taken for the same wish: `timeout` and shells
/// send one to the process and one to its group.
const SAME_WISH_MS: i64 = 1000;

fn now_ms() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid; clock_gettime is async-signal-safe.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Whether this process was told to ignore `signal` (by `nohup`, say).
fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: an all-zero sigaction is valid to be written to; nothing is changed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// From now on the first SIGINT, SIGTERM or SIGHUP is only noted; one that comes more than a
/// second later ends the program at once.
pub(crate) fn watch() {
    watch_for(&[SIGINT, SIGTERM, SIGHUP]);
}

/// The same for SIGINT and SIGTERM. SIGHUP sets what is returned, as services have it: read the configuration again.
pub(crate) fn watch_service() -> Arc<AtomicBool> {
    watch_for(&[SIGINT, SIGTERM]);
    let hangup = Arc::new(AtomicBool::new(false));
    // It cannot fail for this signal; without it SIGHUP ends the program as ever.
    let _ = signal_hook::flag::register(SIGHUP, hangup.clone());
    hangup
}

fn watch_for(signals: &[libc::c_int]) {
    for &signal in signals {
        // Who says `nohup` means the terminal only; shells let the background jobs of scripts ignore
        // SIGINT, and yet somebody who sends it wants an end.
        if signal == SIGHUP && is_ignored(signal) {
            continue;
        }
        let note = move || {
            let now = now_ms();
            if !REQUESTED.swap(true, Ordering::Relaxed) {
                FIRST.store(now, Ordering::Relaxed);
            } else if now - FIRST.load(Ordering::Relaxed) > SAME_WISH_MS {
                // SAFETY: _exit is async-signal-safe.
                unsafe { libc::_exit(128 + signal) };
            }
        };
        // SAFETY: the handler only uses atomics, clock_gettime and _exit, all async-signal-safe.
        // It cannot fail for these signals; without it a signal ends the program as ever.
        let _ = unsafe { signal_hook::low_level::register(signal, note) };
    }
}

/// Asks to stop, as a signal would.
pub(crate) fn request() {
    if !REQUESTED.swap(true, Ordering::Relaxed) {
        FIRST.store(now_ms(), Ordering::Relaxed);
    }
}

/// Whether the user has asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
