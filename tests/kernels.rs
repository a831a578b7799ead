//! The CUDA kernels, compiled as host code by this package's build script.

use std::ffi::c_int;

use facesr::frame::{ColorModel, Range};
use facesr::generator::{HIGH_LEN, LOW_LEN};
use facesr::{FrameMut, Square};

/// `Component` of `kernels/face.cu`.
#[repr(C)]
struct Component {
    data: *mut u8,
    stride: c_int,
    step: c_int,
    width: c_int,
    height: c_int,
    hsub: c_int,
    vsub: c_int,
}

/// `Frame` of `kernels/face.cu`.
#[repr(C)]
struct Frame {
    components: [Component; 3],
    count: c_int,
    model: c_int,
    kr: f32,
    kg: f32,
    kb: f32,
    luma_zero: f32,
    luma_gain: f32,
    chroma_gain: f32,
    site_x: f32,
    site_y: f32,
}

/// `Face` of `kernels/face.cu`.
#[repr(C)]
struct Face {
    x: f32,
    y: f32,
    side: f32,
    strength: f32,
}

unsafe extern "C" {
    fn facesr_host_cut(frame: *const Frame, faces: *const Face, n: c_int, low: *mut f32);
    fn facesr_host_blend(
        frame: *const Frame,
        faces: *const Face,
        n: c_int,
        low: *const f32,
        high: *const f32,
    );
}

impl Frame {
    /// The kernels' view of `frame`, good while `frame` is borrowed.
    fn of(frame: &mut FrameMut<'_>) -> Self {
        let info = *frame.info();
        let components = [0, 1, 2].map(|i| {
            let c = frame.component_mut(i);
            Component {
                data: c.data.as_mut_ptr(),
                stride: c.stride as c_int,
                step: c.step as c_int,
                width: c.width as c_int,
                height: c.height as c_int,
                hsub: c.hsub as c_int,
                vsub: c.vsub as c_int,
            }
        });
        let (kr, kb) = info.matrix.coefficients();
        let (luma_zero, luma_gain, chroma_gain) = match info.range {
            Range::Full => (0.0, 1.0, 1.0),
            Range::Limited => (16.0, 219.0 / 255.0, 224.0 / 255.0),
        };
        let (site_x, site_y) = info.chroma_site.offsets();
        Self {
            components,
            count: info.format.component_count() as c_int,
            model: match info.format.model() {
                ColorModel::Rgb => 0,
                ColorModel::Yuv => 1,
                ColorModel::Gray => 2,
            },
            kr,
            kg: 1.0 - kr - kb,
            kb,
            luma_zero,
            luma_gain,
            chroma_gain,
            site_x,
            site_y,
        }
    }
}

/// The faces that the kernels may be given: squares that lie in the frame.
fn faces(frame: &FrameMut<'_>, squares: &[Square], strengths: &[f32]) -> Vec<Face> {
    let (width, height) = (frame.info().width, frame.info().height);
    let faces = squares.iter().zip(strengths).map(|(square, &strength)| {
        assert!(square.lies_in(width, height), "{square:?} is not in the frame");
        Face { x: square.x, y: square.y, side: square.side, strength }
    });
    faces.collect()
}

/// What `Canvas::cut` does, by the kernels. All squares must lie in the frame.
///
/// # Panics
/// If one does not, or `low` is no `[N, 3, 16, 16]`.
pub fn cut(frame: &mut FrameMut<'_>, squares: &[Square], low: &mut [f32]) {
    assert_eq!(low.len(), squares.len() * LOW_LEN);
    let faces = faces(frame, squares, &vec![1.0; squares.len()]);
    let view = Frame::of(frame);
    // SAFETY: the view points into `frame`, which is borrowed, and its sizes are those of a
    // checked frame; the other lengths are checked above.
    unsafe { facesr_host_cut(&view, faces.as_ptr(), faces.len() as c_int, low.as_mut_ptr()) };
}

/// What `Canvas::blend` does, by the kernels. All squares must lie in the frame.
///
/// # Panics
/// If one does not, or a length is wrong.
pub fn blend(
    frame: &mut FrameMut<'_>,
    squares: &[Square],
    low: &[f32],
    high: &[f32],
    strengths: &[f32],
) {
    assert_eq!(low.len(), squares.len() * LOW_LEN);
    assert_eq!(high.len(), squares.len() * HIGH_LEN);
    let faces = faces(frame, squares, strengths);
    let view = Frame::of(frame);
    let n = faces.len() as c_int;
    // SAFETY: as in `cut`; `frame` is borrowed mutably, so that its samples may be written.
    unsafe { facesr_host_blend(&view, faces.as_ptr(), n, low.as_ptr(), high.as_ptr()) };
}
