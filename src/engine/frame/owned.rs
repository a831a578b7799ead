//! A copy of a frame that outlives its buffer.

use super::{Frame, FrameInfo};

/// A copy of a frame. Its memory is reused: copying frames of one size allocates once.
///
/// Planes are copied as they are. The thread that searches the copy reduces it.
#[derive(Debug, Default)]
pub(crate) struct OwnedFrame {
    info: Option<FrameInfo>,
    planes: [Vec<u8>; 3],
    strides: [usize; 3],
}

impl OwnedFrame {
    /// Replaces the copy by one of `frame`, without the padding of its rows.
    pub(crate) fn copy_from(&mut self, frame: &Frame<'_>) {
        let info = *frame.info();
        for (i, copy) in self.planes.iter_mut().enumerate().take(info.format.plane_count()) {
            let (data, stride) = frame.plane(i);
            let (row, rows) = info.format.plane_size(i, info.width, info.height);
            copy.clear();
            if stride == row {
                copy.extend_from_slice(&data[..row * rows]);
            } else {
                copy.reserve(row * rows);
                (0..rows).for_each(|y| copy.extend_from_slice(&data[y * stride..][..row]));
            }
            self.strides[i] = row;
        }
        self.info = Some(info);
    }

    /// The latest copy; `None` if there is none.
    pub(crate) fn frame(&self) -> Option<Frame<'_>> {
        let planes = self.planes.each_ref().map(Vec::as_slice);
        Frame::new(self.info?, &planes, &self.strides).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::PixelFormat;
    use super::*;

    #[test]
    fn owned_frame_drops_padding_in_every_format() {
        let mut snapshot = OwnedFrame::default();
        assert!(snapshot.frame().is_none());
        for format in PixelFormat::ALL {
            for (width, height, pad) in [(33, 17, 0), (16, 8, 5), (1, 1, 3)] {
                let info = FrameInfo::new(format, width, height);
                let (mut planes, mut strides) = (Vec::new(), Vec::new());
                for i in 0..format.plane_count() {
                    let (row, rows) = format.plane_size(i, width, height);
                    planes.push((0..(row + pad) * rows).map(|n| (n * 7 + i) as u8).collect());
                    strides.push(row + pad);
                }
                let slices: Vec<&[u8]> = planes.iter().map(Vec::<u8>::as_slice).collect();
                let frame = Frame::new(info, &slices, &strides).unwrap();
                snapshot.copy_from(&frame);
                let copy = snapshot.frame().unwrap();
                assert_eq!(copy.info(), &info);
                for i in 0..3 {
                    let (a, b) = (frame.component(i), copy.component(i));
                    for y in 0..a.height {
                        for x in 0..a.width {
                            let at = |stride: usize| y * stride + x * a.step;
                            assert_eq!(a.data[at(a.stride)], b.data[at(b.stride)], "{format:?}");
                        }
                    }
                }
            }
        }
    }
}
