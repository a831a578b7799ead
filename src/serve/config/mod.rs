//! The file that says which cameras there are. Whatever it holds, it is refused in words or it can be served.

mod face_properties;
mod secret;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

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
    /// The cameras by name.
    pub cameras: BTreeMap<String, CameraConfig>,
}

/// A user and the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// What only the user knows.
    pub password: Secret,
}

/// How an RTSP camera sends its packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP, and TCP where nothing comes.
    #[default]
    Auto,
    /// Within the connection.
    Tcp,
    /// As datagrams.
    Udp,
}

/// One camera.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraConfig {
    /// Where the picture comes from.
    pub source: Source,
    /// What the camera asks for.
    pub access: Option<Credentials>,
    /// How an RTSP camera sends.
    pub transport: Transport,
    /// How long late packets are waited for.
    pub latency: Duration,
    /// Whether the picture is also served as it came.
    pub before: bool,
    /// How many times the picture is enlarged: 1, 2 or 4.
    pub scale: u32,
    /// Width and height served; the camera's own if `None`.
    pub size: Option<(u32, u32)>,
    /// Kilobits a second at most.
    pub bitrate: u32,
    /// Name of the encoder's element; `None` for the best there is.
    pub encoder: Option<String>,
    /// Frames between two key frames.
    pub key_interval: u32,
    /// Time without a picture after which the camera is tried anew.
    pub timeout: Duration,
    /// Those of lower priority lose enhancement first.
    pub priority: i32,
    /// Properties of the element `facesr`, as name and text; all of them are valid.
    pub face_properties: Vec<(String, String)>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileTable {
    #[serde(default)]
    server: ServerTable,
    #[serde(default)]
    defaults: SharedTable,
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
}

/// What cameras may have in common. `CameraTable` has the same and more: serde cannot refuse unknown keys in a
/// table that is flattened into another.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SharedTable {
    transport: Option<Transport>,
    latency: Option<u32>,
    before: Option<bool>,
    scale: Option<u32>,
    size: Option<String>,
    bitrate: Option<u32>,
    encoder: Option<String>,
    key_interval: Option<u32>,
    timeout: Option<f64>,
    priority: Option<i32>,
    facesr: Option<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CameraTable {
    source: Option<Secret>,
    user: Option<String>,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    transport: Option<Transport>,
    latency: Option<u32>,
    before: Option<bool>,
    scale: Option<u32>,
    size: Option<String>,
    bitrate: Option<u32>,
    encoder: Option<String>,
    key_interval: Option<u32>,
    timeout: Option<f64>,
    priority: Option<i32>,
    facesr: Option<toml::Table>,
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
        let server = file.server;
        let in_server = |reason: String| ConfigError::Server { reason };
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
        let mut cameras = BTreeMap::new();
        for (name, table) in file.cameras {
            let at = table.span().start;
            let camera = check_name(&name)
                .and_then(|()| camera(table.into_inner(), &file.defaults, folder))
                .map_err(|reason| {
                    ConfigError::at(text, at, format!("camera {}: {reason}", printable(&name)))
                })?;
            cameras.insert(name, camera);
        }
        Ok(Self { rtsp, http, access, cameras })
    }
}

/// A name that can stand in a message: a file can hold anything.
fn printable(name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    format!("{short:?}")
}

/// The parser's own words, with what was probably meant.
fn explain(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown field") {
        return message.to_string();
    }
    let Some(wrong) = quoted.next() else { return message.to_string() };
    let known: Vec<&str> = quoted.collect();
    let wrong_shown: String = wrong.chars().take(64).collect();
    match nearest(wrong, known.iter().copied()) {
        Some(meant) => format!("there is no key {wrong_shown:?}; {meant:?} was probably meant"),
        None => format!("there is no key {wrong_shown:?} here; there are {}", known.join(", ")),
    }
}

/// The word that is most like `wrong`, if any is like it.
fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing takes the product of the lengths.
    if wrong.len() > 64 {
        return None;
    }
    let similar = known.map(|word| (strsim::jaro_winkler(&wrong.replace('_', "-"), word), word));
    similar.filter(|(how, _)| *how > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// The name becomes a path of an address and of a file.
fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        true => Ok(()),
        false => Err("a name holds at most 64 letters, digits, - and _".into()),
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

/// Refuses a number outside its range.
fn within<T: PartialOrd + std::fmt::Display>(
    key: &str,
    value: T,
    low: T,
    high: T,
) -> Result<T, String> {
    match value >= low && value <= high {
        true => Ok(value),
        false => Err(format!("{key} is from {low} to {high}")),
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let parse = || {
        let (w, h) = text.split_once('x')?;
        Some((w.parse::<u32>().ok()?, h.parse::<u32>().ok()?))
    };
    let fits = |n: u32| (32..=8192).contains(&n) && n.is_multiple_of(2);
    parse().filter(|(w, h)| fits(*w) && fits(*h)).ok_or_else(|| {
        "size is width and height, both even and from 32 to 8192, such as \"1280x720\"".into()
    })
}

fn camera(
    table: CameraTable,
    defaults: &SharedTable,
    folder: &Path,
) -> Result<CameraConfig, String> {
    let source = table.source.ok_or("source is missing")?;
    let (source, in_address) = Source::parse(source.expose(), folder)?;
    let access = credentials(table.user, table.password, table.password_file, folder)?;
    if access.is_some() && in_address.is_some() {
        return Err("user and password stand in the address and beside it; once will do".into());
    }
    let scale = table.scale.or(defaults.scale).unwrap_or(1);
    if ![1, 2, 4].contains(&scale) {
        return Err("scale is 1, 2 or 4".into());
    }
    let encoder = table.encoder.or(defaults.encoder.clone()).filter(|name| name != "auto");
    if let Some(name) = encoder.as_deref().filter(|name| !crate::encoder::KNOWN.contains(name)) {
        return Err(match nearest(name, crate::encoder::KNOWN.into_iter()) {
            Some(meant) => format!("encoder is not known; {meant:?} was probably meant"),
            None => format!("encoder is auto or one of {}", crate::encoder::KNOWN.join(", ")),
        });
    }
    let size_text = table.size.or(defaults.size.clone());
    let timeout =
        within("timeout", table.timeout.or(defaults.timeout).unwrap_or(10.0), 1.0, 600.0)?;
    let latency = table.latency.or(defaults.latency).unwrap_or(200);
    let bitrate = table.bitrate.or(defaults.bitrate).unwrap_or(4000);
    let key_interval = table.key_interval.or(defaults.key_interval).unwrap_or(50);
    let mut face_properties = defaults.facesr.clone().unwrap_or_default();
    face_properties.extend(table.facesr.unwrap_or_default());
    Ok(CameraConfig {
        source,
        access: access.or(in_address),
        transport: table.transport.or(defaults.transport).unwrap_or_default(),
        latency: Duration::from_millis(within("latency", latency, 0, 10_000)?.into()),
        before: table.before.or(defaults.before).unwrap_or(false),
        scale,
        size: size_text.as_deref().map(size).transpose()?,
        bitrate: within("bitrate", bitrate, 50, 200_000)?,
        encoder,
        key_interval: within("key-interval", key_interval, 1, 1000)?,
        timeout: Duration::from_secs_f64(timeout),
        priority: table.priority.or(defaults.priority).unwrap_or(0),
        face_properties: face_properties::check(&face_properties)?,
    })
}
