//! Ranges of tensors, for 8-bit codes.

use std::collections::HashMap;

use super::OnnxError;

/// Least scale: tensors with a smaller one are zero for all that follows.
pub(crate) const LEAST_SCALE: f32 = 1e-12;

/// The values that tensors of a model take, from least to largest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranges(pub(crate) HashMap<String, Range>);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    min: f32,
    max: f32,
}

impl Ranges {
    /// Reads lines `tensor,least,largest`; those that begin with `#` are notes.
    ///
    /// # Errors
    /// [`OnnxError`] names the line.
    pub fn parse(table: &str) -> Result<Self, OnnxError> {
        let mut ranges = HashMap::new();
        for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let wrong = || OnnxError::InvalidRange { line: line.into() };
            let mut cells = line.split(',');
            let name = cells.next().filter(|name| !name.is_empty()).ok_or_else(wrong)?;
            let mut value = || cells.next()?.parse::<f32>().ok().filter(|v| v.is_finite());
            let (Some(min), Some(max), None) = (value(), value(), cells.next()) else {
                return Err(wrong());
            };
            if min > max || !(max - min).is_finite() {
                return Err(wrong());
            }
            // Zero needs a code of its own: convolutions are padded with it.
            let range = Range { min: min.min(0.0), max: max.max(0.0) };
            if ranges.insert(name.to_string(), range).is_some() {
                return Err(OnnxError::RepeatedRange { name: name.into() });
            }
        }
        Ok(Self(ranges))
    }
}

impl Range {
    /// What a step of 8 bits is worth.
    pub(crate) fn scale(self) -> f32 {
        ((self.max - self.min) / 255.0).max(LEAST_SCALE)
    }

    /// The code of zero.
    pub(crate) fn zero(self) -> u8 {
        (-self.min / self.scale()).round() as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_ranges_are_refused() {
        for table in ["a", "a,1", "a,1,2,3", ",1,2", "a,2,1", "a,0,inf", "a,nan,1", "a,0,1\na,0,1"]
        {
            assert!(Ranges::parse(table).is_err(), "{table}");
        }
        assert_eq!(Ranges::parse("# nothing\n\n"), Ok(Ranges::default()));
    }
}
