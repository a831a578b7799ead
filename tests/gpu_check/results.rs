//! What the parts hand to the table: one JSON object a line.

use std::io::Write;

use serde_json::{Value, json};

/// A kind of result.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// The card.
    Device,
    /// Something that was compared, and is right.
    Right,
    /// Something that was compared, and is not.
    Wrong,
    /// A fact about the card, beside the table.
    Card,
}

impl Outcome {
    const fn key(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Card => "card",
        }
    }

    /// Hands a sentence over.
    pub(crate) fn say(self, text: &str) {
        line(json!({ self.key(): text }));
    }
}

/// Hands a sentence about a comparison over; an error if it came out wrong.
pub(crate) fn compared(right: bool, text: &str) -> crate::Result<()> {
    if right { Outcome::Right } else { Outcome::Wrong }.say(text);
    if right { Ok(()) } else { Err(text.into()) }
}

/// A figure of the table: in `row`, for so many faces.
pub(crate) fn figure(row: &str, faces: usize, value: f64) {
    line(json!({ "row": row, "faces": faces, "value": value }));
}

/// What the card does a second of one thing, for the limits that the table works out.
pub(crate) fn rate(name: &str, per_second: f64) {
    line(json!({ "rate": name, "value": per_second }));
}

/// Work that a figure cannot do without, of the kind that the rate `of` counts; all of a figure's
/// together make its limit.
pub(crate) fn work(row: &str, faces: usize, of: &str, amount: f64) {
    line(json!({ "row": row, "faces": faces, "of": of, "work": amount }));
}

fn line(value: Value) {
    let mut out = std::io::stdout().lock();
    // Whoever reads no longer is not interested.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}
