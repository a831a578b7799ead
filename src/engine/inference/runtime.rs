//! Finds and loads ONNX Runtime: one library and one environment a process.
//!
//! The library is loaded at run time, so that everything builds and starts without it.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::error::{Cause, OnnxRuntimeError, RuntimeError};
pub use crate::error::{LIBRARY_VARIABLE, OLDEST_VERSION};
use crate::inference::arena;
use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use ort::environment::Environment;
use parking_lot::Mutex;

/// Environment variable that disables telemetry. From 1.31 on ONNX Runtime's builds for Linux send
/// usage data to their maker and keep an identifier in the user's cache folder. That begins when
/// the library is loaded, so that switching it off by its API, as [`Runtime::get`] also does, comes
/// too late.
const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// The process's ONNX Runtime, [`OLDEST_VERSION`] or newer, loaded when it is first needed. It is
/// searched for, in this order:
///
/// 1. the file that `ORT_DYLIB_PATH` ([`LIBRARY_VARIABLE`]) names;
/// 2. beside the file this code was loaded from (plugin or program), in `gst` next to it, and in
///    the `lib/facesr` that `make install` puts it in, of any prefix;
/// 3. in `/usr/local/lib/facesr` and `/usr/lib/facesr`;
/// 4. wherever the system's loader finds `libonnxruntime.so.1` or `libonnxruntime.so`.
#[derive(Debug)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
}

impl Runtime {
    /// The one runtime of this process, loaded at the first call. A failure is not kept: the next
    /// call tries again.
    ///
    /// # Errors
    /// [`RuntimeError`] says where it was searched for, or why it does not load.
    pub fn get() -> Result<&'static Runtime, RuntimeError> {
        static LOADED: Mutex<Option<&'static Runtime>> = Mutex::new(None);
        let mut loaded = LOADED.lock();
        if let Some(runtime) = *loaded {
            return Ok(runtime);
        }
        disable_telemetry();
        let library = find_library()?;
        let unusable = |source: Cause| RuntimeError::Unusable { path: library.clone(), source };
        let refused = |e: OnnxRuntimeError| unusable(e.into());
        let builder = ort::init_from(&library).map_err(|e| unusable(e.into()))?;
        // The binding panics at the first use of an interface that it does not get.
        if !offers(&library, ort::MINOR_VERSION) {
            let lacks = format!("it lacks version {} of its interface", ort::MINOR_VERSION);
            return Err(unusable(lacks.into()));
        }
        let environment = builder
            .with_name("facesr")
            .with_telemetry(false)
            .build()
            .map_err(|e| refused(OnnxRuntimeError::new(e)))?;
        // Every failure is returned as an error; the log would only repeat it.
        environment.set_log_level(ort::logging::LogLevel::Fatal);
        arena::register(&environment).map_err(refused)?;
        // Sessions of any thread may outlive every element, so the runtime is never unloaded.
        let runtime: &'static Runtime = Box::leak(Box::new(Runtime { environment, library }));
        *loaded = Some(runtime);
        Ok(runtime)
    }

    /// The library that was loaded: a path, or a bare name if the system's loader found it.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Version of the library, such as `1.31.1`, as it tells it.
    pub fn version(&self) -> String {
        version_of(&self.library).unwrap_or_else(|| "of unknown version".into())
    }
}

/// The environment that sessions are built in.
pub fn environment(runtime: &Runtime) -> &Environment {
    &runtime.environment
}

/// Sets [`TELEMETRY_VARIABLE`], unless somebody has set it to whatever they want.
fn disable_telemetry() {
    if std::env::var_os(TELEMETRY_VARIABLE).is_some() {
        return;
    }
    let Ok(entry) = CString::new(format!("{TELEMETRY_VARIABLE}=1")) else { return };
    // Applications have threads by the time a plugin is loaded, and `setenv` may free the list that
    // one of them is just reading. Here the old list stays as it is, for good, and a longer one takes
    // its place.
    // SAFETY: `environ` is null or a list of C strings that ends with null, and is not changed
    // meanwhile: POSIX lets no process with several threads do that. The new list is one, too, and
    // is never freed nor are its strings; a thread that reads `environ` sees the one or the other.
    unsafe {
        unsafe extern "C" {
            static mut environ: *mut *mut libc::c_char;
        }
        let place = AtomicPtr::from_ptr(&raw mut environ);
        let mut next = place.load(Ordering::Acquire);
        let mut list = vec![entry.into_raw()];
        while !next.is_null() && !(*next).is_null() {
            list.push(*next);
            next = next.add(1);
        }
        list.push(std::ptr::null_mut());
        place.store(Vec::leak(list).as_mut_ptr(), Ordering::Release);
    }
}

/// `OrtApiBase` of `onnxruntime_c_api.h`, unchanged since its first version.
#[repr(C)]
struct ApiBase {
    get_api: unsafe extern "C" fn(u32) -> *const libc::c_void,
    get_version: unsafe extern "C" fn() -> *const libc::c_char,
}

/// Finds what is loaded already, and loads nothing.
const RTLD_NOLOAD: libc::c_int = libc::RTLD_NOLOAD;

/// The entry of a library that is loaded already; the binding does not hand it out.
fn base_of(library: &Path) -> Option<&'static ApiBase> {
    // SAFETY: nothing is loaded, so that no code of the library runs. The symbol is ONNX Runtime's
    // entry point, which takes nothing and returns null or a pointer to a constant of that layout;
    // the library is never unloaded.
    unsafe {
        let library = Library::open(Some(library), RTLD_LAZY | RTLD_NOLOAD).ok()?;
        let get_base =
            library.get::<unsafe extern "C" fn() -> *const ApiBase>(b"OrtGetApiBase\0").ok()?;
        get_base().as_ref()
    }
}

/// Whether a loaded library offers this version of its API. One that is not found again by this
/// name is assumed to.
fn offers(library: &Path, version: u32) -> bool {
    // SAFETY: takes any number, and returns null for unknown versions.
    base_of(library).is_none_or(|base| unsafe { !(base.get_api)(version).is_null() })
}

/// The version that a loaded library reports.
fn version_of(library: &Path) -> Option<String> {
    let base = base_of(library)?;
    // SAFETY: returns a constant C string.
    let version = unsafe { CStr::from_ptr((base.get_version)()) };
    Some(version.to_str().ok()?.to_string())
}

/// Folder of the shared object or program that holds this code; for a test, bench or example, that of the
/// programs built with it.
pub(crate) fn own_folder() -> Option<PathBuf> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: the address is that of a function of this object; `info` is writable and outlives
    // the call.
    let found = unsafe { libc::dladdr(own_folder as *const libc::c_void, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr succeeded, so the name is a C string that lives as long as the object.
    let name = unsafe { CStr::from_ptr(info.dli_fname) }.to_str().ok()?;
    // A program's name is whatever argv[0] said; the system knows its real path.
    let path = Path::new(name);
    let path = if path.is_absolute() && path.exists() {
        path.to_path_buf()
    } else {
        std::env::current_exe().ok()?
    };
    let folder = path.parent()?;
    // Tests, benches and examples lie in a folder below the one that cargo puts programs in.
    let below = folder.ends_with("deps") || folder.ends_with("examples");
    Some(if below { folder.parent()? } else { folder }.to_path_buf())
}

const FILE_NAMES: [&str; 2] = ["libonnxruntime.so.1", "libonnxruntime.so"];

fn find_library() -> Result<PathBuf, RuntimeError> {
    if let Some(path) = std::env::var_os(LIBRARY_VARIABLE).filter(|v| !v.is_empty()) {
        return Ok(path.into());
    }
    let (mut folders, mut looked_in) = (Vec::new(), Vec::new());
    if let Some(own) = own_folder() {
        // As built: the plugin lies beside the library, the program in target/release. Installed:
        // the program lies in PREFIX/bin, the plugin in PREFIX/lib/x86_64-linux-gnu/gstreamer-1.0
        // or, for one user, in PREFIX/share/gstreamer-1.0/plugins.
        let near = ["", "../gst", "../lib/facesr", "../../facesr", "../../../lib/facesr"];
        folders.extend(near.map(|folder| own.join(folder)));
    }
    folders.extend(["/usr/local/lib/facesr", "/usr/lib/facesr"].map(PathBuf::from));
    for folder in folders {
        for name in FILE_NAMES {
            let path = folder.join(name);
            if path.is_file() {
                return Ok(path);
            }
        }
        looked_in.push(folder.display().to_string());
    }
    for name in FILE_NAMES {
        if loader_finds(name) {
            return Ok(name.into());
        }
    }
    looked_in.push("the system's library path".into());
    Err(RuntimeError::NotFound { looked_in })
}

fn loader_finds(name: &str) -> bool {
    // SAFETY: ONNX Runtime's initializers have no preconditions.
    let library = unsafe { Library::open(Some(name), RTLD_LAZY | RTLD_LOCAL) };
    // It is loaded for good a moment later, so this handle stays open.
    library.map(Library::into_raw).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_disables_telemetry_and_keeps_the_environment() {
        let others: Vec<_> = std::env::vars_os().collect();
        Runtime::get().unwrap();
        assert!(std::env::var_os(TELEMETRY_VARIABLE).is_some());
        // As C sees it.
        // SAFETY: a C string; nobody changes the environment now.
        let seen = unsafe { libc::getenv(c"ORT_DISABLE_TELEMETRY".as_ptr()) };
        assert!(!seen.is_null());
        for (name, value) in others {
            assert_eq!(std::env::var_os(&name), Some(value), "{name:?}");
        }
    }

    #[test]
    fn runtime_returns_its_version() {
        let version = Runtime::get().unwrap().version();
        let numbers: Vec<u32> = version.split('.').map_while(|n| n.parse().ok()).collect();
        assert!(numbers.len() == 3 && (numbers[0], numbers[1]) >= (1, 24), "{version}");
    }
}
