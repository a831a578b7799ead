//! Drawing on float RGB pictures (0..255): sampling, blur, compositing.

/// A float RGB picture, rows without gaps, 0..255.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Pixels along a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// width x height x RGB.
    pub rgb: Vec<f32>,
}

impl Picture {
    /// Black.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, rgb: vec![0.0; width * height * 3] }
    }

    /// From 8-bit RGB of this size.
    pub fn from_bytes(width: usize, height: usize, bytes: &[u8]) -> Self {
        Self { width, height, rgb: bytes.iter().map(|v| f32::from(*v)).collect() }
    }

    /// Rounded to 8 bit.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.rgb.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect()
    }

    /// The pixel at whole coordinates; beyond the border the edge repeats.
    fn at(&self, x: i64, y: i64) -> &[f32] {
        let x = x.clamp(0, self.width as i64 - 1) as usize;
        let y = y.clamp(0, self.height as i64 - 1) as usize;
        let i = (y * self.width + x) * 3;
        &self.rgb[i..i + 3]
    }

    /// The color at (x, y), pixel centers at whole numbers, by bilinear interpolation.
    pub fn bilinear(&self, x: f32, y: f32) -> [f32; 3] {
        let (x0, y0) = (x.floor(), y.floor());
        let (fx, fy) = (x - x0, y - y0);
        let (x0, y0) = (x0 as i64, y0 as i64);
        let corners =
            [self.at(x0, y0), self.at(x0 + 1, y0), self.at(x0, y0 + 1), self.at(x0 + 1, y0 + 1)];
        let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        std::array::from_fn(|c| corners.iter().zip(weights).map(|(p, w)| p[c] * w).sum())
    }

    /// The color at (x, y) by cubic interpolation (a = -0.5).
    pub fn cubic(&self, x: f32, y: f32) -> [f32; 3] {
        let (x0, y0) = (x.floor(), y.floor());
        let (wx, wy) = (cubic_weights(x - x0), cubic_weights(y - y0));
        let (x0, y0) = (x0 as i64 - 1, y0 as i64 - 1);
        let mut sum = [0.0; 3];
        for (j, wy) in wy.iter().enumerate() {
            for (i, wx) in wx.iter().enumerate() {
                let pixel = self.at(x0 + i as i64, y0 + j as i64);
                sum.iter_mut().zip(pixel).for_each(|(s, p)| *s += wx * wy * p);
            }
        }
        sum
    }

    /// Blurs by a Gaussian of `sigma` pixels; nothing happens below a tenth.
    pub fn blur(&mut self, sigma: f32) {
        if sigma < 0.1 {
            return;
        }
        let radius = (3.0 * sigma).ceil() as i64;
        let mut kernel: Vec<f32> =
            (-radius..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
        let sum: f32 = kernel.iter().sum();
        kernel.iter_mut().for_each(|k| *k /= sum);
        let (w, h) = (self.width, self.height);
        let mut across = vec![0.0; self.rgb.len()];
        for (row, out) in self.rgb.chunks_exact(w * 3).zip(across.chunks_exact_mut(w * 3)) {
            for (k, weight) in kernel.iter().enumerate() {
                let shift = k as i64 - radius;
                for x in 0..w {
                    let from = (x as i64 + shift).clamp(0, w as i64 - 1) as usize * 3;
                    for c in 0..3 {
                        out[x * 3 + c] += weight * row[from + c];
                    }
                }
            }
        }
        self.rgb.fill(0.0);
        for y in 0..h {
            let out = y * w * 3;
            for (k, weight) in kernel.iter().enumerate() {
                let from = (y as i64 + k as i64 - radius).clamp(0, h as i64 - 1) as usize * w * 3;
                let (source, target) =
                    (&across[from..from + w * 3], &mut self.rgb[out..out + w * 3]);
                target.iter_mut().zip(source).for_each(|(o, s)| *o += weight * s);
            }
        }
    }

    /// Mixes a color into the pixel at (x, y), `share` of it.
    pub fn mix(&mut self, x: usize, y: usize, color: [f32; 3], share: f32) {
        let i = (y * self.width + x) * 3;
        self.rgb[i..i + 3].iter_mut().zip(color).for_each(|(p, c)| *p += share * (c - *p));
    }

    /// Adds `amount` of what a blur by `sigma` would take away: the sharpening of a camera.
    pub fn sharpen(&mut self, sigma: f32, amount: f32) {
        let mut soft = self.clone();
        soft.blur(sigma);
        self.rgb.iter_mut().zip(&soft.rgb).for_each(|(p, s)| *p += amount * (*p - s));
    }
}

/// Weights of the four neighbors at -1, 0, 1, 2 for a place `t` after 0.
fn cubic_weights(t: f32) -> [f32; 4] {
    let near = |d: f32| (1.5 * d - 2.5) * d * d + 1.0;
    let far = |d: f32| ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0;
    [far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)]
}

/// Where a face lies in a picture: its center, the side of its square, its turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// Center, pixels (the left edge of the picture is 0).
    pub x: f32,
    /// Center, pixels from the upper edge.
    pub y: f32,
    /// Side of the square, pixels.
    pub side: f32,
    /// Turn in the plane, radians.
    pub angle: f32,
}

impl Pose {
    /// The place in a face of `face` x `face` pixels (centers at whole numbers) that lies at (x, y) in
    /// the picture (edges at whole numbers).
    pub fn to_face(self, x: f32, y: f32, face: f32) -> (f32, f32) {
        let (sin, cos) = self.angle.sin_cos();
        let (dx, dy) = (x - self.x, y - self.y);
        let scale = face / self.side;
        let center = face / 2.0 - 0.5;
        (center + scale * (cos * dx + sin * dy), center + scale * (cos * dy - sin * dx))
    }
}

/// `side` x `side` pixels of a square window of a picture: `corner` and `size` of the window in the
/// picture, and what lies at (x, y) there, edges at whole numbers.
pub fn window(
    corner: (f32, f32),
    size: f32,
    side: usize,
    color: impl Fn(f32, f32) -> [f32; 3],
) -> Picture {
    let mut out = Picture::new(side, side);
    let step = size / side as f32;
    for y in 0..side {
        for x in 0..side {
            let (px, py) = (corner.0 + (x as f32 + 0.5) * step, corner.1 + (y as f32 + 0.5) * step);
            out.mix(x, y, color(px, py), 1.0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(side: usize) -> Picture {
        let mut p = Picture::new(side, side);
        for i in 0..side * side {
            let (x, y) = ((i % side) as f32, (i / side) as f32);
            let v = 128.0 + 60.0 * (x * 0.2).sin() * (y * 0.15).cos();
            p.mix(i % side, i / side, [v, 0.5 * v, 200.0 - v], 1.0);
        }
        p
    }

    #[test]
    fn interpolation_meets_the_pixels_and_flat_stays_flat() {
        let p = waves(32);
        for (x, y) in [(5, 7), (0, 0), (31, 31), (12, 30)] {
            let want = p.at(x, y).to_vec();
            assert_eq!(p.bilinear(x as f32, y as f32).to_vec(), want);
            let cubic = p.cubic(x as f32, y as f32);
            assert!(cubic.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-3));
        }
        let mut flat = Picture::from_bytes(20, 10, &[90; 600]);
        flat.blur(2.3);
        flat.sharpen(1.0, 0.8);
        assert!(flat.rgb.iter().all(|v| (v - 90.0).abs() < 1e-2));
    }

    #[test]
    fn window_of_the_whole_square_is_the_face() {
        let face = waves(128);
        let pose = Pose { x: 100.0, y: 60.0, side: 40.0, angle: 0.0 };
        let same = window((80.0, 40.0), 40.0, 128, |x, y| {
            let (u, v) = pose.to_face(x, y, 128.0);
            face.cubic(u, v)
        });
        let gap = same.rgb.iter().zip(&face.rgb).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap < 0.01, "{gap}");
        // A quarter turn takes the pixel at the right to the bottom.
        let turned = Pose { angle: std::f32::consts::FRAC_PI_2, ..pose };
        let (u, v) = turned.to_face(100.0, 79.5, 128.0);
        assert!((u - 125.9).abs() < 0.1 && (v - 63.5).abs() < 0.1, "{u} {v}");
    }
}
