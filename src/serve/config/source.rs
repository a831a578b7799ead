//! Where a camera's picture comes from.

use std::path::{Path, PathBuf};

use gst::glib;

use super::{Credentials, Secret};

/// Where the picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An RTSP or RTSPS address, without user and password.
    Rtsp(String),
    /// Another address that GStreamer reads, without user and password.
    Uri(String),
    /// A camera of this machine.
    Device(PathBuf),
    /// A file, repeated for ever.
    File(PathBuf),
    /// A picture made here.
    Test,
}

impl Source {
    /// Reads a source; user and password in its address come apart from it.
    ///
    /// # Errors
    /// A sentence, which does not repeat the address: a password may stand in it.
    pub(super) fn parse(text: &str, folder: &Path) -> Result<(Self, Option<Credentials>), String> {
        if text.is_empty() || text.len() > 4096 || text.chars().any(char::is_control) {
            return Err("source is empty, too long, or holds control characters".into());
        }
        if text == "test" {
            return Ok((Self::Test, None));
        }
        if text.starts_with("/dev/") {
            return Ok((Self::Device(text.into()), None));
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok((Self::File(folder.join(text)), None));
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" {
            let (path, _) = glib::filename_from_uri(text).map_err(|_| "source is no file")?;
            return Ok((Self::File(path), None));
        }
        if !["rtsp", "rtsps", "http", "https", "udp", "rtp"].contains(&scheme.as_str()) {
            return Err("source is an rtsp, rtsps, http, https, udp, rtp or file address, \
                        /dev/videoN, a file or \"test\""
                .into());
        }
        // What stands before the @ is taken as it is: passwords of cameras are often not escaped.
        let (start, rest) = text.split_at(scheme.len() + 3);
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = match rest[..end].contains('@') || !rest.contains('@') {
            true => rest.split_at(end),
            // A slash in the password.
            false => {
                return Err("user and password in the address: write / and @ as %2F and %40, \
                                 or use the keys user and password"
                    .into());
            }
        };
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((info, host)) => (Some(info), host),
            None => (None, authority),
        };
        if host.is_empty() {
            return Err("source names no host".into());
        }
        let access = match user_info {
            None => None,
            Some(info) => {
                let (user, password) = info.split_once(':').unwrap_or((info, ""));
                let wrong = "user and password in the address are not written as addresses are";
                let (user, password) = unescape(user).zip(unescape(password)).ok_or(wrong)?;
                Some(Credentials { user, password: Secret::new(password) })
            }
        };
        let uri = format!("{start}{host}{path}");
        let source = if scheme.starts_with("rtsp") { Self::Rtsp(uri) } else { Self::Uri(uri) };
        Ok((source, access))
    }

    /// Whether it has an end, after which it begins again.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The source as it may be shown. What follows a question mark may be a password.
    pub fn shown(&self) -> String {
        match self {
            Self::Rtsp(uri) | Self::Uri(uri) => {
                uri.split(['?', '#']).next().unwrap_or_default().to_string()
            }
            Self::Device(path) | Self::File(path) => path.display().to_string(),
            Self::Test => "a picture made here".into(),
        }
    }
}

/// Text with its `%` and two digits replaced by the bytes that they stand for; `None` if that is no text.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}
