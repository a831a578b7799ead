//! Model files: which are embedded, and where others are searched for.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::ModelError;
use crate::inference::runtime::own_folder;

/// Environment variable that names a model folder to search before all others.
pub const FOLDER_VARIABLE: &str = "FACESR_MODELS";

/// The built-in generators: for the smallest faces, and for those of which the camera saw more.
const GENERATORS: [GeneratorFiles; 2] = [
    GeneratorFiles {
        fp32: ModelSource::Embedded {
            name: "low-to-high-compact.onnx",
            bytes: include_bytes!("../models/low-to-high-compact.onnx"),
        },
        int8: ModelSource::Embedded {
            name: "low-to-high-compact-int8.onnx",
            bytes: include_bytes!("../models/low-to-high-compact-int8.onnx"),
        },
        fp16: "low-to-high-compact-fp16.onnx",
    },
    GeneratorFiles {
        fp32: ModelSource::Embedded {
            name: "low-to-high-32-compact.onnx",
            bytes: include_bytes!("../models/low-to-high-32-compact.onnx"),
        },
        int8: ModelSource::Embedded {
            name: "low-to-high-32-compact-int8.onnx",
            bytes: include_bytes!("../models/low-to-high-32-compact-int8.onnx"),
        },
        fp16: "low-to-high-32-compact-fp16.onnx",
    },
];

/// One generator in its three precisions.
struct GeneratorFiles {
    /// Single precision.
    fp32: ModelSource,
    /// 8-bit integers; the answers are 40 dB or more from the other's.
    int8: ModelSource,
    /// The file in half precision, for GPUs; it is not embedded.
    fp16: &'static str,
}

/// Whether the processor has dot products of bytes (VNNI on x86_64, `asimddp` on arm64), with which
/// networks in 8-bit integers take less time than in single precision. Where it has none they may
/// take more.
pub fn has_byte_products() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        has!("avx512vnni") || has!("avxvnni")
    }
    // ONNX Runtime's kernels use them; what they gain was measured on x86_64 only.
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("dotprod")
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// The generators that are used when none is named, by increasing size of their faces: in integers
/// where the processor [gains](has_byte_products) (a third of the time), else in single precision.
pub fn default_generators() -> Vec<ModelSource> {
    let best = |files: GeneratorFiles| if has_byte_products() { files.int8 } else { files.fp32 };
    GENERATORS.into_iter().map(best).collect()
}

/// The first of [`default_generators`], for the smallest faces.
pub fn default_generator() -> ModelSource {
    default_generators().swap_remove(0)
}

/// The values that CenterFace's tensors take (`scripts/calibrate.sh`).
pub(crate) const CENTERFACE_RANGES: &str = include_str!("../models/centerface-int8.csv");

/// The content of every generator that is part of this library.
pub fn built_in() -> Vec<&'static [u8]> {
    let sources = GENERATORS.into_iter().flat_map(|files| [files.fp32, files.int8]);
    sources
        .filter_map(|source| match source {
            ModelSource::Embedded { bytes, .. } => Some(bytes),
            ModelSource::File(_) => None,
        })
        .collect()
}

/// The built-in generators in single precision, by increasing size of their faces.
pub fn built_in_fp32() -> Vec<ModelSource> {
    GENERATORS.into_iter().map(|files| files.fp32).collect()
}

/// The generators that are used on a GPU when none is named: each in half precision if that file
/// lies in a model folder, else in single precision.
pub(crate) fn gpu_generators() -> Vec<ModelSource> {
    let best = |files: GeneratorFiles| find(&[files.fp16]).map_or(files.fp32, ModelSource::File);
    GENERATORS.into_iter().map(best).collect()
}

/// Where a model comes from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ModelSource {
    /// Part of this library.
    Embedded {
        /// File name in the project's `models` folder.
        name: &'static str,
        /// Its content.
        bytes: &'static [u8],
    },
    /// A file, which must exist.
    File(PathBuf),
}

impl ModelSource {
    /// The file at `path`. `remedy` says what the user can do if it does not exist.
    ///
    /// # Errors
    /// [`ModelError::Missing`], or [`ModelError::Read`] if it is no regular file.
    pub fn file(path: &Path, remedy: &str) -> Result<Self, ModelError> {
        match path.metadata() {
            Ok(meta) if meta.is_file() => Ok(Self::File(path.to_path_buf())),
            Ok(_) => Err(ModelError::Read {
                path: path.to_path_buf(),
                source: std::io::Error::other("it is not a regular file"),
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(ModelError::Missing { path: path.to_path_buf(), remedy: remedy.to_string() })
            }
            Err(source) => Err(ModelError::Read { path: path.to_path_buf(), source }),
        }
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { name, .. } => write!(f, "the built-in model {name}"),
            Self::File(path) => write!(f, "model file {}", path.display()),
        }
    }
}

impl fmt::Debug for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The model folders in the order they are searched, whether they exist or not.
///
/// 1. the folder that `FACESR_MODELS` ([`FOLDER_VARIABLE`]) names;
/// 2. `models` beside the plugin or program, then `../gst/models` and `../share/facesr/models`
///    from there;
/// 3. `facesr/models` in the user's data folder (`XDG_DATA_HOME`, else `~/.local/share`);
/// 4. `/usr/local/share/facesr/models` and `/usr/share/facesr/models`.
pub fn folders() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let mut list = Vec::new();
    list.extend(set(FOLDER_VARIABLE));
    if let Some(own) = own_folder() {
        let near = ["models", "../gst/models", "../share/facesr/models"];
        list.extend(near.map(|p| own.join(p)));
    }
    let home = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|h| h.join(".local/share")));
    list.extend(home.map(|h| h.join("facesr/models")));
    list.extend(["/usr/local/share/facesr/models", "/usr/share/facesr/models"].map(PathBuf::from));
    list
}

/// The first of `names` that lies in a model folder; earlier names win over earlier folders.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let folders = folders();
    names.iter().flat_map(|n| folders.iter().map(move |f| f.join(n))).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_and_folders_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let gone = ModelSource::file(&dir.path().join("x.onnx"), "look elsewhere").unwrap_err();
        assert!(matches!(gone, ModelError::Missing { .. }));
        let text = gone.to_string();
        assert!(text.contains("x.onnx") && text.contains("look elsewhere"), "{text}");
        assert!(matches!(ModelSource::file(dir.path(), ""), Err(ModelError::Read { .. })));
    }
}
