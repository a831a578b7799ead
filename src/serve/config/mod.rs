//! The file that says which cameras there are. Whatever it holds, it is refused in words or it can be served.

mod camera;
mod events;
mod face_properties;
mod secret;
mod source;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use camera::{CameraTable, check_name};
use events::EventsTable;
use words::{explain, printable};

pub use camera::{CameraConfig, RecordConfig, Transport};
pub use events::{EventsConfig, MqttConfig, WebhookConfig};
pub use secret::Secret;
pub use source::Source;

use crate::error::ConfigError;

/// A file that explains itself, with a camera that works everywhere.
pub const EXAMPLE: &str = include_str!("example.toml");

/// No list of cameras is longer, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Cameras in one process at most.
const MAX_CAMERAS: usize = 256;

/// What is to be served.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where viewers find the cameras.
    pub rtsp: SocketAddr,
    /// Where page, pictures and figures are; `None` for none.
    pub http: Option<SocketAddr>,
    /// User and password of viewers; `None` lets everyone look.
    pub access: Option<Credentials>,
    /// Certificate and key; `None` serves RTSP without TLS.
    pub tls: Option<TlsFiles>,
    /// Who is told of faces that come and go.
    pub events: EventsConfig,
    /// The cameras by name.
    pub cameras: BTreeMap<String, CameraConfig>,
}

/// Certificate and key by which RTSP is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file with the certificate, and those that it is signed by.
    pub certificate: PathBuf,
    /// PEM file with the key, without a password.
    pub key: PathBuf,
}

/// A user and the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// What only the user knows.
    pub password: Secret,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileTable {
    #[serde(default)]
    server: ServerTable,
    #[serde(default)]
    events: EventsTable,
    #[serde(default)]
    defaults: CameraTable,
    #[serde(default)]
    cameras: BTreeMap<String, toml::Spanned<CameraTable>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ServerTable {
    rtsp: Option<String>,
    http: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Config {
    /// Reads the file at `path`. GStreamer and the element `facesr` must be there: its properties are checked.
    ///
    /// # Errors
    /// What is wrong, with its line where there is one; never with what stands in that line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.into(), source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_FILE + 1), &mut text)
            .map_err(unreadable)?;
        if text.len() as u64 > MAX_FILE {
            return Err(ConfigError::TooLarge { path: path.into() });
        }
        Self::parse(&text, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads `text`; files that it names are looked for in `folder`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let file: FileTable = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            ConfigError::at(text, at, explain(e.message()))
        })?;
        if file.cameras.is_empty() {
            return Err(ConfigError::NoCamera);
        }
        if file.cameras.len() > MAX_CAMERAS {
            return Err(ConfigError::TooMany { most: MAX_CAMERAS });
        }
        if let Some(reason) = file.defaults.refuse_as_defaults() {
            return Err(ConfigError::Table { table: "defaults", reason });
        }
        let events = file
            .events
            .check(folder)
            .map_err(|reason| ConfigError::Table { table: "events", reason })?;
        let server = file.server;
        let in_server = |reason: String| ConfigError::Table { table: "server", reason };
        let address = |key: &str, text: &str| {
            text.parse::<SocketAddr>().map_err(|_| {
                in_server(format!("{key} is no address and port, such as \"127.0.0.1:8554\""))
            })
        };
        let rtsp = address("rtsp", server.rtsp.as_deref().unwrap_or("127.0.0.1:8554"))?;
        let http = match server.http.as_deref().unwrap_or("127.0.0.1:8580") {
            "off" => None,
            text => Some(address("http", text)?),
        };
        let access = credentials(server.user, server.password, server.password_file, folder)
            .map_err(in_server)?;
        let tls = match (server.certificate, server.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some(TlsFiles { certificate: folder.join(certificate), key: folder.join(key) })
            }
            _ => return Err(in_server("certificate and key are wanted, both or neither".into())),
        };
        let mut cameras = BTreeMap::new();
        for (name, table) in file.cameras {
            let at = table.span().start;
            let camera = check_name(&name)
                .and_then(|()| table.into_inner().check(&file.defaults, folder))
                .map_err(|reason| {
                    ConfigError::at(text, at, format!("camera {}: {reason}", printable(&name)))
                })?;
            cameras.insert(name, camera);
        }
        Ok(Self { rtsp, http, access, tls, events, cameras })
    }
}

fn credentials(
    user: Option<String>,
    password: Option<Secret>,
    file: Option<PathBuf>,
    folder: &Path,
) -> Result<Option<Credentials>, String> {
    let password = match (password, file) {
        (Some(_), Some(_)) => return Err("password or password-file, not both".into()),
        (None, Some(file)) => Some(secret::from_file(&folder.join(file))?),
        (password, None) => password,
    };
    match (user, password) {
        (None, None) => Ok(None),
        (Some(user), Some(password)) => {
            if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
                return Err("a user's name may be neither empty nor hold a colon".into());
            }
            Ok(Some(Credentials { user, password }))
        }
        (Some(_), None) => Err("user is there, password or password-file is missing".into()),
        (None, Some(_)) => Err("password is there, user is missing".into()),
    }
}
