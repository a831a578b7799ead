//! The table of the events' receivers.

use std::path::{Path, PathBuf};

use http::Uri;
use serde::Deserialize;

use super::{Credentials, Secret, credentials};

/// Who is told of faces that come and go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventsConfig {
    /// Whether they are written to standard output.
    pub stdout: bool,
    /// Where they are posted.
    pub webhook: Option<WebhookConfig>,
    /// A broker.
    pub mqtt: Option<MqttConfig>,
}

/// A receiver of posts.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookConfig {
    /// An http or https address; a token may stand in it.
    pub url: Secret,
    /// Whether it is an https address.
    pub is_secure: bool,
    /// Certificates that vouch for it instead of the system's, a PEM file.
    pub ca: Option<PathBuf>,
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
    webhook_ca: Option<PathBuf>,
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
        let webhook = webhook(self.webhook, self.webhook_ca.map(|ca| folder.join(ca)))?;
        let access = credentials(self.user, self.password, self.password_file, folder)?;
        let topic = topic("topic", self.topic.as_deref().unwrap_or("facesr"))?;
        let discovery = match self.discovery.as_deref().unwrap_or("homeassistant") {
            "" | "off" => None,
            text => Some(self::topic("discovery", text)?),
        };
        let Some(address) = self.mqtt else {
            return match access {
                Some(_) => Err("user and password are for mqtt, which is missing".into()),
                None => Ok(EventsConfig { stdout: self.stdout, webhook, mqtt: None }),
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
        Ok(EventsConfig { stdout: self.stdout, webhook, mqtt: Some(mqtt) })
    }
}

/// The receiver of posts at `url`, checked.
fn webhook(url: Option<Secret>, ca: Option<PathBuf>) -> Result<Option<WebhookConfig>, String> {
    let Some(url) = url else {
        return match ca {
            Some(_) => Err("webhook-ca is for webhook, which is missing".into()),
            None => Ok(None),
        };
    };
    let uri = url.expose().parse::<Uri>().ok().filter(|uri| uri.host() != Some(""));
    let is_secure = match uri.as_ref().and_then(Uri::scheme_str) {
        Some("http") => false,
        Some("https") => true,
        _ => return Err("webhook is an http:// or https:// address".into()),
    };
    if ca.is_some() && !is_secure {
        return Err("webhook-ca is for an https:// address".into());
    }
    Ok(Some(WebhookConfig { url, is_secure, ca }))
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
