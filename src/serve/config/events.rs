//! The table of the events' receivers.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Credentials, Secret, credentials};

/// Who is told of faces that come and go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventsConfig {
    /// Whether they are written to standard output.
    pub stdout: bool,
    /// An http address that they are posted to; a token may stand in it.
    pub webhook: Option<Secret>,
    /// A broker.
    pub mqtt: Option<MqttConfig>,
}

/// An MQTT broker.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttConfig {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it asks for.
    pub access: Option<Credentials>,
    /// What all topics begin with.
    pub topic: String,
    /// What Home Assistant's topics for discovery begin with; `None` for none.
    pub discovery: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct EventsTable {
    stdout: bool,
    webhook: Option<Secret>,
    mqtt: Option<Secret>,
    user: Option<String>,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    topic: Option<String>,
    discovery: Option<String>,
}

impl EventsTable {
    /// The receivers; a password's file is looked for in `folder`.
    ///
    /// # Errors
    /// A sentence, which repeats no address: there may be a token in it.
    pub(super) fn check(self, folder: &Path) -> Result<EventsConfig, String> {
        if let Some(url) = &self.webhook {
            let url = url.expose();
            let host = url.strip_prefix("http://").unwrap_or_default();
            if host.is_empty() || url.len() > 2048 || !url.bytes().all(|b| b.is_ascii_graphic()) {
                return Err("webhook is an http:// address; one by https wants a proxy".into());
            }
        }
        let access = credentials(self.user, self.password, self.password_file, folder)?;
        let topic = topic("topic", self.topic.as_deref().unwrap_or("facesr"))?;
        let discovery = match self.discovery.as_deref().unwrap_or("homeassistant") {
            "" | "off" => None,
            text => Some(self::topic("discovery", text)?),
        };
        let Some(address) = self.mqtt else {
            return match access {
                Some(_) => Err("user and password are for mqtt, which is missing".into()),
                None => Ok(EventsConfig { stdout: self.stdout, webhook: self.webhook, mqtt: None }),
            };
        };
        let wrong = "mqtt is an address such as \"mqtt://192.168.1.2:1883\"; user and password \
                     have keys of their own";
        let host = address.expose().strip_prefix("mqtt://").ok_or(wrong)?;
        let host = host.strip_suffix('/').unwrap_or(host);
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => (host, port.parse().map_err(|_| wrong)?),
            _ => (host, 1883),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        if host.is_empty() || host.len() > 255 || !host.chars().all(fits) {
            return Err(wrong.into());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
        let mqtt = MqttConfig { host, port, access, topic, discovery };
        Ok(EventsConfig { stdout: self.stdout, webhook: self.webhook, mqtt: Some(mqtt) })
    }
}

fn topic(key: &str, text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    let is_topic = !text.is_empty()
        && text.len() <= 128
        && text.chars().all(fits)
        && !text.starts_with('/')
        && !text.ends_with('/');
    match is_topic {
        true => Ok(text.to_string()),
        false => Err(format!("{key} holds letters, digits, -, _ and / between them")),
    }
}
