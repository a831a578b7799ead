//! Spreads the work of one frame over threads.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread::{self, Builder};
use std::time::Duration;

use crate::util::cpu_time::CpuTimer;
use crate::util::sync::lock;

/// Does `work` on everything in `queue`, and answers the CPU time that took, over all threads. Each
/// of `workers` has a thread, the first the calling one, and takes the next thing as soon as it is
/// done with the last: however busy the other cores are, all end at nearly the same time.
///
/// Threads are started anew each time, some 30 microseconds each: give few workers to little work.
///
/// # Panics
/// If there is no worker, or if `work` panics.
pub(crate) fn for_each_with<W: Send, T: Send>(
    workers: &mut [W],
    queue: impl Iterator<Item = T> + Send,
    work: impl Fn(&mut W, T) + Sync,
) -> Duration {
    let queue = Mutex::new(queue);
    let labour = |worker: &mut W| {
        let watch = CpuTimer::start();
        loop {
            // The lock is held for the choice only.
            let next = lock(&queue).next();
            let Some(thing) = next else { break };
            work(worker, thing);
        }
        watch.elapsed()
    };
    let Some((first, others)) = workers.split_first_mut() else { panic!("nobody to do it") };
    thread::scope(|scope| {
        let start = |worker| Builder::new().spawn_scoped(scope, || labour(worker));
        // Where no further thread can be had, those that are here do it all.
        let running: Vec<_> = others.iter_mut().map_while(|worker| start(worker).ok()).collect();
        let own = labour(first);
        running.into_iter().fold(own, |sum, thread| {
            sum + thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_every_worker_is_paid() {
        for workers in 1..5 {
            let mut done = vec![Vec::new(); workers];
            let burn = |done: &mut Vec<u32>, thing: u32| {
                let watch = CpuTimer::start();
                while watch.elapsed() < Duration::from_micros(300) {}
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
    fn a_panic_is_passed_on() {
        for_each_with(&mut [0, 0], 0..9, |_, thing| assert!(thing != 5, "made up"));
    }
}
