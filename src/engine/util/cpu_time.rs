//! CPU time of threads: the cost of a stage, independent of the machine's load.

use std::time::Duration;

/// Measures CPU time of the calling thread.
#[derive(Debug, Clone, Copy)]
pub struct CpuTimer(Duration);

impl CpuTimer {
    /// Starts measuring.
    pub fn start() -> Self {
        Self(thread_time())
    }

    /// CPU time since the start. Call it in the thread that started the timer.
    pub fn elapsed(&self) -> Duration {
        thread_time().saturating_sub(self.0)
    }
}

/// CPU time of the calling thread since it began.
pub fn thread_time() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of all threads of this process.
pub fn process_time() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is writable, and both clocks exist on every Linux that GStreamer 1.22 runs on.
    let failed = unsafe { libc::clock_gettime(id, &mut t) } != 0;
    if failed { Duration::ZERO } else { Duration::new(t.tv_sec as u64, t.tv_nsec as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_timer_counts_work_but_not_sleep() {
        let timer = CpuTimer::start();
        std::thread::sleep(Duration::from_millis(30));
        assert!(timer.elapsed() < Duration::from_millis(15));
        let mut x = 1u64;
        while timer.elapsed() < Duration::from_millis(5) {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        assert!(process_time() >= Duration::from_millis(5));
    }
}
