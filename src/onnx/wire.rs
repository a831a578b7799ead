//! The wire format of protobuf.

use super::OnnxError;

/// One field of a protobuf message.
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    pub(crate) content: Content<'a>,
    /// Tag and content as they lie in the message.
    pub(crate) raw: &'a [u8],
}

pub(crate) enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a message, in order.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], OnnxError> {
        let Some((taken, rest)) = self.0.split_at_checked(n) else {
            return Err(OnnxError::CutShort);
        };
        self.0 = rest;
        Ok(taken)
    }

    /// Only the shortest encoding is accepted, and only if it fits 64 bits: for others, readers
    /// differ in the number that they return.
    fn varint(&mut self) -> Result<u64, OnnxError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if byte == 0 && shift > 0 || bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(OnnxError::NotOnnx)
    }

    fn field(&mut self) -> Result<Field<'a>, OnnxError> {
        let start = self.0;
        // Protobuf keeps 32 bits of a tag: a larger one would be another field to ONNX Runtime.
        let tag = u32::try_from(self.varint()?).map_err(|_| OnnxError::NotOnnx)?;
        let content = match tag & 7 {
            0 => Content::Number(self.varint()?),
            1 => self.take(8).map(|_| Content::Other)?,
            2 => {
                let len = self.varint()?;
                Content::Bytes(self.take(usize::try_from(len).unwrap_or(usize::MAX))?)
            }
            5 => self.take(4).map(|_| Content::Other)?,
            _ => return Err(OnnxError::NotOnnx),
        };
        let number = u64::from(tag >> 3);
        if number == 0 {
            return Err(OnnxError::NotOnnx);
        }
        Ok(Field { number, content, raw: &start[..start.len() - self.0.len()] })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, OnnxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // What follows an error has no meaning.
            self.0 = &[];
        }
        Some(field)
    }
}

pub(crate) fn bytes(message: &[u8], wanted: u64) -> Result<Option<&[u8]>, OnnxError> {
    let mut found = None;
    for item in Fields(message) {
        match item? {
            Field { number, content: Content::Bytes(b), .. } if number == wanted => {
                found = Some(b);
            }
            _ => {}
        }
    }
    Ok(found)
}

pub(crate) fn number(message: &[u8], wanted: u64) -> Result<Option<u64>, OnnxError> {
    let mut found = None;
    for item in Fields(message) {
        match item? {
            Field { number, content: Content::Number(n), .. } if number == wanted => {
                found = Some(n);
            }
            _ => {}
        }
    }
    Ok(found)
}

pub(crate) fn text(message: &[u8], wanted: u64) -> Result<String, OnnxError> {
    let found = bytes(message, wanted)?.unwrap_or_default();
    String::from_utf8(found.to_vec()).map_err(|_| OnnxError::NotOnnx)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(crate) fn put_number(out: &mut Vec<u8>, number: u64, n: u64) {
    put_varint(out, number << 3);
    put_varint(out, n);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read(message: &[u8]) -> bool {
        Fields(message).all(|field| field.is_ok())
    }

    #[test]
    fn fields_are_refused_where_protobuf_readers_differ() {
        // Field 7, a message of two bytes; then with the tag, the length or a number spelt otherwise.
        assert!(is_read(&[0x3a, 2, 8, 1]));
        for tag in [&[0xba, 0x80, 0x80, 0x80, 0x10][..], &[0xba, 0x00], &[0xba, 0x80, 0x00]] {
            assert!(!is_read(&[tag, &[2, 8, 1]].concat()), "{tag:x?}");
        }
        assert!(!is_read(&[0x3a, 0x82, 0x00, 8, 1]));
        assert!(!is_read(&[0x08, 0x81, 0x00]));
        // -1 takes all ten bytes; more than 64 bits is no number.
        let ones = [0xff; 9];
        assert!(is_read(&[&[0x08][..], &ones, &[1]].concat()));
        assert!(!is_read(&[&[0x08][..], &ones, &[3]].concat()));
        assert!(!is_read(&[&[0x08][..], &ones, &[0x81, 0]].concat()));
    }
}
