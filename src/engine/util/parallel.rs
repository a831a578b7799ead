//! Shares the work of one frame among threads.

use std::panic::resume_unwind;
use std::thread::{self, Builder};
use std::time::Duration;

use parking_lot::Mutex;

use crate::util::cpu_time::CpuTimer;

/// How many threads this process may run at the same moment: 1 if the system does not say.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, |n| n.get())
}

/// Calls `work` on every item of `queue` and returns the CPU time over all threads. Each of `workers`
/// has a thread of its own, the first one the calling thread, and takes the next item when it has
/// finished the last. All end at nearly the same time, however busy the other cores are.
///
/// Threads are started in each call, which costs some 30 microseconds each: give few workers to
/// little work.
///
/// # Panics
/// If there is no worker, or if `work` panics.
pub(crate) fn for_each_with<W: Send, T: Send>(
    workers: &mut [W],
    queue: impl Iterator<Item = T> + Send,
    work: impl Fn(&mut W, T) + Sync,
) -> Duration {
    let queue = Mutex::new(queue);
    let run_worker = |worker: &mut W| {
        let timer = CpuTimer::start();
        loop {
            // The lock is released before the work begins.
            let next = queue.lock().next();
            let Some(item) = next else { break };
            work(worker, item);
        }
        timer.elapsed()
    };
    let Some((first, others)) = workers.split_first_mut() else { panic!("no worker") };
    thread::scope(|scope| {
        let start = |worker| Builder::new().spawn_scoped(scope, || run_worker(worker));
        // If the system has no further thread, fewer do all the work.
        let running: Vec<_> = others.iter_mut().map_while(|worker| start(worker).ok()).collect();
        let own = run_worker(first);
        running.into_iter().fold(own, |sum, thread| {
            sum + thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_each_with_processes_each_item_once_and_sums_cpu_time() {
        for workers in 1..5 {
            let mut done = vec![Vec::new(); workers];
            let burn = |done: &mut Vec<u32>, thing: u32| {
                let timer = CpuTimer::start();
                while timer.elapsed() < Duration::from_micros(300) {}
                done.push(thing);
            };
            let time = for_each_with(&mut done, 0..40, burn);
            assert!(time >= 40 * Duration::from_micros(300), "{time:?}");
            let mut all: Vec<u32> = done.concat();
            all.sort_unstable();
            assert_eq!(all, (0..40).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "made up")]
    fn for_each_with_passes_a_panic_on() {
        for_each_with(&mut [0, 0], 0..9, |_, thing| assert!(thing != 5, "made up"));
    }
}
