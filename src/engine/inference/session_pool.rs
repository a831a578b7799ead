//! Sessions that all streams of the process share.
//!
//! A session holds a model's weights, packed for the processor, and while it runs the network's
//! intermediate results; it runs one input at a time. Streams that run the same model take a
//! session for each run and give it back. There are never more than there are cores to run them,
//! so memory grows with the cores of the machine and not with the streams.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Weak};

use ort::session::Session;
use parking_lot::{Condvar, Mutex};
use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::inference::loader;
use crate::inference::model_source::ModelSource;
use crate::util::parallel::cores;

/// SHA-256 of a model's content.
pub(crate) type Fingerprint = [u8; 32];

/// The fingerprint of `file`.
pub(crate) fn fingerprint(file: &[u8]) -> Fingerprint {
    Sha256::digest(file).into()
}

/// Sessions of one model with one number of threads.
#[derive(Debug)]
pub(crate) struct SessionPool {
    source: ModelSource,
    /// The file's content: sessions are still opened from it when the file is long gone.
    file: Cow<'static, [u8]>,
    threads: usize,
    /// Most sessions that are opened.
    most: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    idle: Vec<Session>,
    /// Idle or not.
    open: usize,
}

/// A session on loan; dropping it returns the session.
struct Lease<'a> {
    pool: &'a SessionPool,
    session: Option<Session>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.state.lock().idle.extend(self.session.take());
        self.pool.freed.notify_one();
    }
}

/// Content and threads.
type Key = (Fingerprint, usize);

static SHARED: LazyLock<Mutex<HashMap<Key, Weak<SessionPool>>>> = LazyLock::new(Mutex::default);

/// Models that have passed their [dry run](loader::dry_run): the same content needs no other.
static DRY_RUN: LazyLock<Mutex<HashSet<Fingerprint>>> = LazyLock::new(Mutex::default);

/// At this many the list is cleared, which bounds its memory.
const MAX_DRY_RUN: usize = 1000;

impl SessionPool {
    /// The pool of the model `file` (read from `source`, which is named in errors), with `threads`
    /// threads a session: the one that this process has, or a new one with one session, which
    /// `check` approves of. A model from a file passes a [dry run](loader::dry_run) with `check`
    /// first.
    ///
    /// # Errors
    /// What opening a session and `check` return.
    pub(crate) fn open<E: From<ModelError>>(
        source: &ModelSource,
        file: Cow<'static, [u8]>,
        threads: usize,
        mut check: impl FnMut(&mut Session) -> Result<(), E>,
    ) -> Result<Arc<Self>, E> {
        let threads = threads.max(1);
        let key = (fingerprint(&file), threads);
        // Held while it is opened: streams that start together open one session, not one each.
        let mut shared = SHARED.lock();
        if let Some(pool) = shared.get(&key).and_then(Weak::upgrade) {
            return Ok(pool);
        }
        shared.retain(|_, pool| pool.strong_count() > 0);
        if !DRY_RUN.lock().contains(&key.0) {
            loader::dry_run(source, &file, &mut check)?;
            let mut known = DRY_RUN.lock();
            if known.len() >= MAX_DRY_RUN {
                known.clear();
            }
            known.insert(key.0);
        }
        let mut session = loader::open(source, &file, threads)?;
        check(&mut session)?;
        let pool = Arc::new(Self {
            source: source.clone(),
            file,
            threads,
            most: (cores() / threads).max(1),
            state: Mutex::new(State { idle: vec![session], open: 1 }),
            freed: Condvar::new(),
        });
        shared.insert(key, Arc::downgrade(&pool));
        Ok(pool)
    }

    /// Calls `work` with a session. If all are in use, it waits for one.
    ///
    /// # Errors
    /// What opening a further session returns.
    pub(crate) fn run<R>(&self, work: impl FnOnce(&mut Session) -> R) -> Result<R, ModelError> {
        let mut lease = Lease { pool: self, session: Some(self.take()?) };
        Ok(lease.session.as_mut().map(work).unwrap_or_else(|| unreachable!("it has just come")))
    }

    fn take(&self) -> Result<Session, ModelError> {
        let mut state = self.state.lock();
        loop {
            if let Some(session) = state.idle.pop() {
                return Ok(session);
            }
            if state.open < self.most {
                state.open += 1;
                drop(state);
                return loader::open(&self.source, &self.file, self.threads).inspect_err(|_| {
                    self.state.lock().open -= 1;
                    self.freed.notify_one();
                });
            }
            self.freed.wait(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::model_source::built_in_fp32;

    fn pool(threads: usize) -> Arc<SessionPool> {
        let source = built_in_fp32().swap_remove(0);
        let file = loader::read(&source).unwrap();
        SessionPool::open(&source, file, threads, |_| Ok::<_, ModelError>(())).unwrap()
    }

    #[test]
    fn pool_is_shared_by_content_and_opens_no_more_sessions_than_cores() {
        let pool = self::pool(1);
        assert!(Arc::ptr_eq(&pool, &self::pool(1)));
        assert!(!Arc::ptr_eq(&pool, &self::pool(2)));
        let most = cores();
        let busy = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..most + 3 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let work = |_: &mut Session| {
                            use std::sync::atomic::Ordering::SeqCst;
                            assert!(busy.fetch_add(1, SeqCst) < most);
                            std::thread::sleep(std::time::Duration::from_millis(2));
                            busy.fetch_sub(1, SeqCst);
                        };
                        pool.run(work).unwrap();
                    }
                });
            }
        });
        let state = pool.state.lock();
        assert!(state.open <= most && state.idle.len() == state.open, "{state:?}");
    }

    #[test]
    fn pool_gets_the_session_back_after_a_panic() {
        let pool = pool(3);
        for _ in 0..20 {
            let work = std::panic::AssertUnwindSafe(|| pool.run(|_| panic!("made up")));
            let _: Result<Result<(), _>, _> = std::panic::catch_unwind(work);
        }
        assert!(pool.run(|_| ()).is_ok());
    }
}
