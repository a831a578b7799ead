//! One camera in the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::words::{nearest, within};
use super::{Credentials, Secret, Source, credentials, face_properties};

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
    /// Time without a picture after which the camera is tried again.
    pub timeout: Duration,
    /// Those of lower priority lose enhancement first.
    pub priority: i32,
    /// Whether the camera's sound is served.
    pub sound: bool,
    /// Where and how it is recorded; `None` if it is not.
    pub record: Option<RecordConfig>,
    /// Properties of the element `facesr`, as name and text; all of them are valid.
    pub face_properties: Vec<(String, String)>,
}

/// How a camera is recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordConfig {
    /// Where; each camera has a folder of its own there.
    pub folder: PathBuf,
    /// Whether the picture is also recorded as it came.
    pub before: bool,
    /// How long a segment is.
    pub segment: Duration,
    /// Bytes on disk at most, of each path.
    pub most_bytes: u64,
    /// Older segments are deleted.
    pub most_age: Duration,
}

/// What a table of a camera holds; `[defaults]` is one without the camera's own keys.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CameraTable {
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
    sound: Option<bool>,
    record: Option<PathBuf>,
    record_before: Option<bool>,
    record_minutes: Option<f64>,
    record_gigabytes: Option<f64>,
    record_days: Option<f64>,
    facesr: Option<toml::Table>,
}

/// `$a`'s keys, and where it has none those of `$b`.
macro_rules! either {
    ($a:ident, $b:ident, $($key:ident),+) => { $($a.$key = $a.$key.or_else(|| $b.$key.clone());)+ };
}

impl CameraTable {
    /// Why this cannot be the table `[defaults]`, if it cannot.
    pub(super) fn refuse_as_defaults(&self) -> Option<String> {
        let own = [
            ("source", self.source.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("password-file", self.password_file.is_some()),
        ];
        let (key, _) = own.into_iter().find(|(_, is_there)| *is_there)?;
        Some(format!("{key} is a camera's own; write it in the camera's table"))
    }

    /// The same, with `defaults` where it says nothing.
    fn with_defaults(mut self, defaults: &Self) -> Self {
        either!(
            self,
            defaults,
            transport,
            latency,
            before,
            scale,
            size,
            bitrate,
            encoder,
            key_interval,
            timeout,
            priority
        );
        let mut properties = defaults.facesr.clone().unwrap_or_default();
        properties.extend(self.facesr.unwrap_or_default());
        self.facesr = Some(properties);
        self
    }

    /// The camera; files that it names are looked for in `folder`.
    ///
    /// # Errors
    /// A sentence: what is missing or cannot be.
    pub(super) fn check(self, defaults: &Self, folder: &Path) -> Result<CameraConfig, String> {
        let table = self.with_defaults(defaults);
        let record = table.record_config(folder)?;
        let source = table.source.ok_or("source is missing")?;
        let (source, in_address) = Source::parse(source.expose(), folder)?;
        let access = credentials(table.user, table.password, table.password_file, folder)?;
        if access.is_some() && in_address.is_some() {
            return Err("user and password stand in the address and beside it; once will do".into());
        }
        let scale = table.scale.unwrap_or(1);
        if ![1, 2, 4].contains(&scale) {
            return Err("scale is 1, 2 or 4".into());
        }
        let encoder = table.encoder.filter(|name| name != "auto");
        if let Some(name) = encoder.as_deref().filter(|name| !crate::encoder::KNOWN.contains(name))
        {
            return Err(match nearest(name, crate::encoder::KNOWN.into_iter()) {
                Some(meant) => format!("encoder is not known; {meant:?} was probably meant"),
                None => format!("encoder is auto or one of {}", crate::encoder::KNOWN.join(", ")),
            });
        }
        let timeout = within("timeout", table.timeout.unwrap_or(10.0), 1.0, 600.0)?;
        let latency = table.latency.unwrap_or(200);
        let bitrate = table.bitrate.unwrap_or(4000);
        let key_interval = table.key_interval.unwrap_or(50);
        Ok(CameraConfig {
            source,
            access: access.or(in_address),
            transport: table.transport.unwrap_or_default(),
            latency: Duration::from_millis(within("latency", latency, 0, 10_000)?.into()),
            before: table.before.unwrap_or(false),
            scale,
            size: table.size.as_deref().map(size).transpose()?,
            bitrate: within("bitrate", bitrate, 50, 200_000)?,
            encoder,
            key_interval: within("key-interval", key_interval, 1, 1000)?,
            timeout: Duration::from_secs_f64(timeout),
            priority: table.priority.unwrap_or(0),
            sound: table.sound.unwrap_or(true),
            record,
            face_properties: face_properties::check(&table.facesr.unwrap_or_default())?,
        })
    }
}

impl CameraTable {
    fn record_config(&self, folder: &Path) -> Result<Option<RecordConfig>, String> {
        let minutes = within("record-minutes", self.record_minutes.unwrap_or(5.0), 0.1, 1440.0)?;
        let most = within("record-gigabytes", self.record_gigabytes.unwrap_or(20.0), 0.01, 1e6)?;
        let days = within("record-days", self.record_days.unwrap_or(14.0), 0.01, 3650.0)?;
        let Some(record) = &self.record else { return Ok(None) };
        if record.as_os_str().is_empty() {
            return Err("record names no folder".into());
        }
        Ok(Some(RecordConfig {
            folder: folder.join(record),
            before: self.record_before.unwrap_or(false),
            segment: Duration::from_secs_f64(minutes * 60.0),
            most_bytes: (most * 1e9) as u64,
            most_age: Duration::from_secs_f64(days * 86_400.0),
        }))
    }
}

/// The name becomes a path of an address and of a file.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        true => Ok(()),
        false => Err("a name holds at most 64 letters, digits, - and _".into()),
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
