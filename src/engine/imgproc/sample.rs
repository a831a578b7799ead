//! Reads samples of a component as numbers.

use std::ops;

use super::simd::with_avx2;
use crate::frame::Component;

impl Component<'_> {
    /// Replaces `out` by the samples of these rows and columns, row by row.
    ///
    /// # Panics
    /// If they are not all there.
    pub(crate) fn samples(
        &self,
        rows: ops::Range<usize>,
        columns: ops::Range<usize>,
        out: &mut Vec<f32>,
    ) {
        out.resize(rows.len() * columns.len(), 0.0);
        read_samples(self, rows.start, columns, out);
    }
}

with_avx2! {
    /// Writes the samples of these columns to `out`, row by row from `y` on.
    fn read_samples(c: &Component<'_>, y: usize, columns: ops::Range<usize>, out: &mut [f32]) {
        let width = columns.len();
        for (out, y) in out.chunks_exact_mut(width.max(1)).zip(y..) {
            let row = &c.data[y * c.stride + columns.start * c.step..];
            if c.step == 1 {
                // Contiguous samples are read many at a time.
                out.iter_mut().zip(&row[..width]).for_each(|(out, v)| *out = f32::from(*v));
            } else {
                let row = row.iter().step_by(c.step);
                out.iter_mut().zip(row).for_each(|(out, v)| *out = f32::from(*v));
            }
        }
    }
}
