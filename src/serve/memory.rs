//! The C library's memory in a process that serves for months.

/// Blocks of so many bytes and more are given back to the system when they are freed.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 256 << 10;

/// Pools of small blocks; each thread uses one of them.
#[cfg(target_env = "gnu")]
const POOLS: libc::c_int = 4;

/// Bounds what the C library keeps of freed memory: large blocks go back at once, and threads share few pools.
///
/// Left alone, glibc takes blocks of up to 32 MB from its pools once such a block was freed, and has eight pools for each
/// core: frames and working memory of networks were scattered over 770 MB, of which 290 were in use, after four minutes of
/// four cameras. It holds for the whole process, so it is for programs that do nothing else; call it before threads start.
pub fn bound_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes numbers only, and refuses those that it does not like.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_ARENA_MAX, POOLS);
    }
}
