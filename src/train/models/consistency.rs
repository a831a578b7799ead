//! Keeps the output true to the input by construction: shrunk back to the input's size (mean over
//! 4x4), it has the input's colors and large shapes, and differs from it by at most a set amount.
//!
//! A discriminator alone would re-grade every face to the look of its training set. Here it cannot:
//! of the difference d between the input and the shrunk output, everything beyond a ball is given
//! back, for the smooth part of d and for the rest alike, each with its own radius. Inside the balls
//! the generator is free to take away noise, blocks and blur, and to undo what a codec did to the
//! broad shapes.
//!
//! All of it runs on the LR grid, on the 48 numbers (3 colors x 4x4 positions) of each pixel, before
//! the last depth-to-space, so it costs a thousandth of the network.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Fixed linear maps around the generator.
#[derive(Debug)]
pub struct Consistency {
    /// Smooth enlargement [48, 3, 5, 5]: an LR face -> the 4x4 positions of each pixel.
    pub enlarge: Tensor,
    /// Low-pass on the LR grid [3, 3, 5, 5].
    pub smooth: Tensor,
    /// Mean over the 4x4 positions as a 1x1 convolution [3, 48, 1, 1].
    pub mean: Tensor,
    /// How far the output may differ from the input.
    pub slack: Slack,
}

/// Largest root mean squares of the difference between the input and the output shrunk back, of
/// faces in [-1, 1]: that is 2 wide, so 0.055 is 31.2 dB.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slack {
    /// Of fine detail; `None` lets the generator do what it likes.
    #[serde(rename = "slack")]
    pub fine: Option<f64>,
    /// Of broad shapes and colors; 0 gives all of it back.
    #[serde(rename = "coarse_slack", default)]
    pub coarse: f64,
}

impl Slack {
    /// What shipped first: fine detail within 31.2 dB, broad shapes as they are.
    pub const TIGHT: Self = Self { fine: Some(0.055), coarse: 0.0 };
}

/// The part of `x` [n, 3, h, w] beyond a ball of root mean square `radius`.
fn beyond(x: &Tensor, radius: f64) -> Tensor {
    let rms = (x.square().mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float) + 1e-8).sqrt();
    x * (-(rms.reciprocal() * radius) + 1.0).relu()
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
    pub fn new(slack: Slack, device: Device) -> Self {
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

    /// Smooth enlargement of [n, 3, h, w] to [n, 48, h, w]; the edge repeats.
    pub fn base(&self, lr: &Tensor) -> Tensor {
        let padded = lr.replication_pad2d([2, 2, 2, 2]);
        padded.conv2d(&self.enlarge, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1)
    }

    fn smoothed(&self, d: &Tensor) -> Tensor {
        let padded = d.replication_pad2d([2, 2, 2, 2]);
        padded.conv2d(&self.smooth, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1)
    }

    /// Input [n, 3, h, w] and the network's detail [n, 48, h, w] (fp32) -> output
    /// [n, 3, 4h, 4w], not yet clamped to [-1, 1].
    pub fn apply(&self, lr: &Tensor, detail: &Tensor) -> Tensor {
        let guess = self.base(lr) + detail;
        let Some(slack) = self.slack.fine else { return guess.pixel_shuffle(4) };
        let shrunk = guess.conv2d(&self.mean, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1);
        let d = lr - shrunk;
        let coarse = self.smoothed(&d);
        let fine = beyond(&(d - &coarse), slack);
        let coarse =
            if self.slack.coarse > 0.0 { beyond(&coarse, self.slack.coarse) } else { coarse };
        let give_back = coarse + fine;
        (guess + self.base(&give_back)).pixel_shuffle(4)
    }
}
