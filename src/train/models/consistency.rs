//! Keeps the output true to the input by construction: shrunk back to 16x16 (mean over 4x4), it has
//! the input's colors and large shapes, and differs from it in fine detail by at most a set amount.
//!
//! A discriminator alone would re-grade every face to the look of its training set. Here it cannot:
//! of the difference d between the input and the shrunk output, the smooth part is given back whole,
//! and of the rest everything beyond a ball of radius `slack`. Inside the ball the generator is free
//! to take away noise, blocks and blur.
//!
//! All of it runs at 16x16 on the 48 numbers (3 colors x 4x4 positions) of each low-resolution
//! pixel, before the one depth-to-space, so it costs a thousandth of the network.

use tch::{Device, Kind, Tensor};

/// Fixed linear maps around the generator.
#[derive(Debug)]
pub struct Consistency {
    /// Smooth enlargement [48, 3, 5, 5]: 16x16 -> the 4x4 positions of each pixel.
    pub enlarge: Tensor,
    /// Low-pass at 16x16 [3, 3, 5, 5].
    pub smooth: Tensor,
    /// Mean over the 4x4 positions as a 1x1 convolution [3, 48, 1, 1].
    pub mean: Tensor,
    /// Largest root mean square of the fine difference; [-1, 1] is 2 wide, so 0.055 is 31.2 dB.
    pub slack: f64,
}

/// One axis of the enlargement: weights of the five pixels -2..=2 for each of the 4 positions.
/// Linear interpolation of values sharpened so that the mean over the positions gives back the
/// pixel (exact for slow changes, 85 % at the finest).
fn enlarge_axis() -> [[f64; 5]; 4] {
    let sharp = [-0.1768, 1.3536, -0.1768];
    let center = [-0.375, -0.125, 0.125, 0.375];
    center.map(|t: f64| {
        let near = 1.0 - t.abs();
        let mut linear = [0.0, near, 0.0];
        linear[if t < 0.0 { 0 } else { 2 }] = t.abs();
        let mut out = [0.0; 5];
        for (i, l) in linear.iter().enumerate() {
            for (k, s) in sharp.iter().enumerate() {
                out[i + k] += l * s;
            }
        }
        out
    })
}

impl Consistency {
    /// Builds the fixed maps.
    pub fn new(slack: f64, device: Device) -> Self {
        let axis = enlarge_axis();
        let mut enlarge = vec![0.0f32; 48 * 3 * 25];
        let mut mean = vec![0.0f32; 3 * 48];
        for c in 0..3 {
            for (py, row) in axis.iter().enumerate() {
                for (px, column) in axis.iter().enumerate() {
                    let output = c * 16 + py * 4 + px;
                    mean[c * 48 + output] = 1.0 / 16.0;
                    for (y, wy) in row.iter().enumerate() {
                        for (x, wx) in column.iter().enumerate() {
                            let at = ((output * 3 + c) * 5 + y) * 5 + x;
                            enlarge[at] = (wy * wx) as f32;
                        }
                    }
                }
            }
        }
        let binomial = [1.0, 4.0, 6.0, 4.0, 1.0].map(|v: f32| v / 16.0);
        let mut smooth = vec![0.0f32; 3 * 3 * 25];
        for c in 0..3 {
            for (y, wy) in binomial.iter().enumerate() {
                for (x, wx) in binomial.iter().enumerate() {
                    smooth[((c * 3 + c) * 5 + y) * 5 + x] = wy * wx;
                }
            }
        }
        let tensor = |v: &[f32], shape: &[i64]| Tensor::from_slice(v).view(shape).to_device(device);
        Self {
            enlarge: tensor(&enlarge, &[48, 3, 5, 5]),
            smooth: tensor(&smooth, &[3, 3, 5, 5]),
            mean: tensor(&mean, &[3, 48, 1, 1]),
            slack,
        }
    }

    /// Smooth enlargement of [n, 3, 16, 16] to [n, 48, 16, 16]; the edge repeats.
    pub fn base(&self, lr: &Tensor) -> Tensor {
        let padded = lr.replication_pad2d([2, 2, 2, 2]);
        padded.conv2d(&self.enlarge, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1)
    }

    fn smoothed(&self, d: &Tensor) -> Tensor {
        let padded = d.replication_pad2d([2, 2, 2, 2]);
        padded.conv2d(&self.smooth, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1)
    }

    /// Input [n, 3, 16, 16] and the network's detail [n, 48, 16, 16] (fp32) -> output
    /// [n, 3, 64, 64], not yet clamped to [-1, 1].
    pub fn apply(&self, lr: &Tensor, detail: &Tensor) -> Tensor {
        let guess = self.base(lr) + detail;
        let shrunk = guess.conv2d(&self.mean, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1);
        let d = lr - shrunk;
        let coarse = self.smoothed(&d);
        let fine = d - &coarse;
        let rms =
            (fine.square().mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float) + 1e-8).sqrt();
        let share = (-(rms.reciprocal() * self.slack) + 1.0).relu();
        let give_back = coarse + fine * share;
        (guess + self.base(&give_back)).pixel_shuffle(4)
    }
}
