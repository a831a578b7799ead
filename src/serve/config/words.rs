//! What is said of keys and values that are wrong.

/// A name that can stand in a message: a file can hold anything.
pub(super) fn printable(name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    format!("{short:?}")
}

/// The parser's own words, with what was probably meant.
pub(super) fn explain(message: &str) -> String {
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
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing takes the product of the lengths.
    if wrong.len() > 64 {
        return None;
    }
    let similar = known.map(|word| (strsim::jaro_winkler(&wrong.replace('_', "-"), word), word));
    similar.filter(|(how, _)| *how > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// Refuses a number outside its range.
pub(super) fn within<T: PartialOrd + std::fmt::Display>(
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
