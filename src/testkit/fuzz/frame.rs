//! The frame view: any size, stride and format is refused, or all of it can be read and written.

use facesr::frame::MAX_DIMENSION;
use facesr::internals::backend::BlendWeights;
use facesr::internals::cpu::{Compositor, FaceBatch};
use facesr::{CropSquare, Frame, FrameInfo, FrameMut, PixelFormat, Shape};

use super::bytes::Bytes;

/// A frame of the sizes that `data` names, with as many bytes as it names; cropped and blended at the
/// squares that it names.
pub fn frame(data: &[u8]) {
    let mut bytes = Bytes(data);
    let format = PixelFormat::ALL[usize::from(bytes.u8()) % PixelFormat::ALL.len()];
    let (width, height) = (bytes.size() as u32, bytes.size() as u32);
    let info = FrameInfo::new(format, width, height);
    let mut strides = [0; 3];
    let mut planes: [Vec<u8>; 3] = Default::default();
    let right = bytes.u8();
    for (plane, (stride, memory)) in strides.iter_mut().zip(&mut planes).enumerate() {
        *stride = bytes.size();
        let mut len = bytes.size().min(1 << 16);
        // Most strides and lengths at random are wrong: these are right, or nearly.
        if right & 1 << plane != 0 && width.max(height) <= 4096 && plane < format.plane_count() {
            let (row, rows) = format.plane_size(plane, width, height);
            *stride = row + *stride % 16;
            len = (*stride * rows + 3).saturating_sub(len % 16);
        }
        memory.resize(len, 99);
    }
    let count = usize::from(bytes.u8()) % 4;
    let view: Vec<&[u8]> = planes[..count].iter().map(Vec::as_slice).collect();
    let Ok(frame) = Frame::new(info, &view, &strides[..count]) else { return };
    assert!((1..=MAX_DIMENSION).contains(&width) && (1..=MAX_DIMENSION).contains(&height));
    for i in 0..3 {
        let c = frame.component(i);
        assert_eq!(c.data[(c.height - 1) * c.stride + (c.width - 1) * c.step], 99);
    }
    let squares: Vec<CropSquare> = (0..1 + bytes.u8() % 3)
        .map(|_| match bytes.u8() % 2 {
            0 => CropSquare { x: bytes.f32(), y: bytes.f32(), side: bytes.f32() },
            _ => {
                let [x, y, side] = std::array::from_fn(|_| bytes.size() as f32 / 4.0);
                CropSquare { x, y, side }
            }
        })
        .collect();
    // The shape goes by a byte that was read before: the corpus stays what it is.
    let shape = if right & 8 != 0 { Shape::LARGE } else { Shape::SMALL };
    let mut lr = vec![0.0; squares.len() * shape.lr_len()];
    let mut canvas = Compositor::default();
    canvas.crop(&frame, shape, &squares, &mut lr);
    assert!(lr.iter().all(|v| (-1.0..=1.0).contains(v)));
    let hr = vec![bytes.f32(); squares.len() * shape.hr_len()];
    let strengths: Vec<f32> = squares.iter().map(|_| f32::from(bytes.u8()) / 255.0).collect();
    let view = planes[..count].iter_mut().map(Vec::as_mut_slice);
    let mut frame = FrameMut::new(info, view, &strides[..count])
        .unwrap_or_else(|e| panic!("to be read, but not to be written: {e}"));
    let detail = f32::from(right >> 4) / 15.0;
    let weights = BlendWeights { generated: 1.0 - detail / 2.0, detail };
    let changes = vec![bytes.f32(); squares.len() * Shape::COMMON_LEN];
    let (squares, lr, hr, strengths) = (&squares, &lr, &hr, &strengths);
    let (denoised, changes) = (lr, &changes);
    let faces = FaceBatch { shape, squares, lr, denoised, changes, hr, strengths, weights };
    canvas.blend(&mut frame, &faces);
}
