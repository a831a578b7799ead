/// Numbers out of a fuzz input, little endian; past its end all are zero.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let n = self.0.len().min(N);
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        out
    }

    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    /// The next four bytes, signed.
    pub fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.take())
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// The next four bytes as any float, NaN and infinities among them.
    pub fn f32(&mut self) -> f32 {
        f32::from_le_bytes(self.take())
    }

    /// The next eight bytes as any float, NaN and infinities among them.
    pub fn f64(&mut self) -> f64 {
        f64::from_le_bytes(self.take())
    }

    /// Small as often as not: whole numbers near zero find other edges than any number does.
    pub fn size(&mut self) -> usize {
        match self.u8() {
            n @ 0..250 => n.into(),
            250..253 => self.u32() as usize,
            _ => self.u64() as usize,
        }
    }
}
