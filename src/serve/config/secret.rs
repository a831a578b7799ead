//! Text that must not be seen: neither in messages nor in logs nor on the page.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Deserializer};

/// No password is longer, in bytes.
const MAX: u64 = 4096;

/// A password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whom it is meant.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The usual message tells what was found.
        let text = String::deserialize(deserializer)
            .map_err(|_| serde::de::Error::custom("a text in quotes is wanted here"))?;
        Ok(Self(text))
    }
}

/// The password in a file of its own, without the end of its line.
///
/// # Errors
/// A sentence that names the file.
pub(super) fn from_file(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let cannot = |why: &str| format!("password-file {shown}: {why}");
    let file =
        std::fs::File::open(path).map_err(|e| cannot(&format!("cannot be read ({})", e.kind())))?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX + 1), &mut text)
        .map_err(|_| cannot("is no text"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.len() as u64 {
        0 => Err(cannot("is empty")),
        n if n > MAX || text.contains('\n') => Err(cannot("is more than one line")),
        _ => Ok(Secret::new(text)),
    }
}
