//! The wire format of protobuf.

use super::NOT_ONNX;

/// One field of a protobuf message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) content: Content<'a>,
    /// Tag and content as they lie in the message.
    pub(super) raw: &'a [u8],
}

pub(super) enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a message, in order.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let Some((taken, rest)) = self.0.split_at_checked(n) else {
            return Err("it is cut short, or no ONNX file".into());
        };
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(NOT_ONNX.into())
    }

    fn field(&mut self) -> Result<Field<'a>, String> {
        let start = self.0;
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => Content::Number(self.varint()?),
            1 => self.take(8).map(|_| Content::Other)?,
            2 => {
                let len = self.varint()?;
                Content::Bytes(self.take(usize::try_from(len).unwrap_or(usize::MAX))?)
            }
            5 => self.take(4).map(|_| Content::Other)?,
            _ => return Err(NOT_ONNX.into()),
        };
        if tag >> 3 == 0 {
            return Err(NOT_ONNX.into());
        }
        Ok(Field { number: tag >> 3, content, raw: &start[..start.len() - self.0.len()] })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, String>;

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

pub(super) fn bytes(message: &[u8], wanted: u64) -> Result<Option<&[u8]>, String> {
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

pub(super) fn number(message: &[u8], wanted: u64) -> Result<Option<u64>, String> {
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

pub(super) fn text(message: &[u8], wanted: u64) -> Result<String, String> {
    let found = bytes(message, wanted)?.unwrap_or_default();
    String::from_utf8(found.to_vec()).map_err(|_| NOT_ONNX.into())
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(super) fn put_number(out: &mut Vec<u8>, number: u64, n: u64) {
    put_varint(out, number << 3);
    put_varint(out, n);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}
