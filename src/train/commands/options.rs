//! Options that several commands take.

/// A radius of [`Slack`](crate::models::consistency::Slack), or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Radius(pub(super) Option<f64>);

/// Parses a radius, or `off`.
pub(super) fn radius(text: &str) -> Result<Radius, String> {
    if text == "off" {
        return Ok(Radius(None));
    }
    text.parse().map(|v| Radius(Some(v))).map_err(|_| "a number or \"off\"".into())
}

/// Replaces what is in `place` by the value of an option, if it was given.
pub(super) fn put<T: Copy>(value: Option<T>, place: &mut T) {
    *place = value.unwrap_or(*place);
}
