//! Properties of the element `facesr` in the file, checked against the element itself.

use gst::glib;
use gst::prelude::*;

use super::words::nearest;
use crate::elements::is_in_range;

/// Those that a camera has another key for, or that are of no use here.
const TAKEN: [&str; 6] =
    ["name", "parent", "source-scale", "live", "message-forward", "async-handling"];

/// The properties as name and text; each can be set.
///
/// # Errors
/// A sentence: which is not known, or has a value that it cannot have.
pub(super) fn check(table: &toml::Table) -> Result<Vec<(String, String)>, String> {
    if table.is_empty() {
        return Ok(Vec::new());
    }
    let element = gst::ElementFactory::make("facesr")
        .build()
        .map_err(|_| "the element facesr is missing: see facesr doctor".to_string())?;
    let specs = element.list_properties();
    let settable = |spec: &&glib::ParamSpec| {
        spec.flags().contains(glib::ParamFlags::WRITABLE) && !TAKEN.contains(&spec.name())
    };
    let mut list = Vec::new();
    for (name, value) in table {
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(n) => n.to_string(),
            toml::Value::Float(n) => n.to_string(),
            toml::Value::Boolean(b) => b.to_string(),
            _ => return Err(format!("facesr: {name:?} is a number, a text, true or false")),
        };
        let Some(spec) = specs.iter().filter(settable).find(|spec| spec.name() == name) else {
            let names = specs.iter().filter(settable).map(|spec| spec.name());
            return Err(match nearest(name, names) {
                Some(meant) => {
                    format!("facesr has no property {name:?}; {meant:?} was probably meant")
                }
                None => format!("facesr has no property {name:?} that can be set here"),
            });
        };
        let fits = glib::Value::deserialize_with_pspec(&text, spec)
            .is_ok_and(|value| is_in_range(spec, &value));
        if !fits {
            return Err(format!("facesr: {name} cannot have that value"));
        }
        list.push((name.clone(), text));
    }
    Ok(list)
}
