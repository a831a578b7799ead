//! A synthetic camera: light, defocus, motion, sensor noise and compression on the way from a
//! high-resolution face to an LR one. It stands beside the learnt degradation (paper, section on
//! High-to-Low) so that the super-resolver also meets damage that the real set shows seldom.

use serde::{Deserialize, Serialize};

use super::jpeg;
use super::resample::{Filter, gaussian, motion, resize};
use crate::rng::Rng;

/// Ranges of the synthetic camera. Lengths are in pixels of the camera.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Camera {
    /// Median face width in the camera picture for LR faces of 16x16 (twice that for 32x32), and the
    /// spread of its logarithm.
    pub face: (f32, f32),
    /// Defocus, sigma.
    pub defocus: (f32, f32),
    /// Share of pictures with motion blur.
    pub motion: f32,
    /// Longest motion.
    pub motion_length: f32,
    /// Read noise, in 1/255.
    pub read_noise: (f32, f32),
    /// Shot noise factor at white.
    pub shot_noise: f32,
    /// Share of compressed pictures.
    pub compressed: f32,
    /// JPEG quality.
    pub quality: (u32, u32),
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            face: (22.0, 0.4),
            defocus: (0.15, 0.75),
            motion: 0.35,
            motion_length: 2.5,
            read_noise: (0.3, 3.5),
            shot_noise: 0.022,
            compressed: 0.85,
            quality: (18, 70),
        }
    }
}

/// Light: contrast, brightness, saturation and white balance of a scene. It is no damage to undo:
/// the same light falls on the LR picture and on its target.
#[derive(Debug, Clone, Copy)]
pub struct Light {
    contrast: f32,
    brightness: f32,
    saturation: f32,
    balance: [f32; 3],
}

impl Light {
    /// Draws the light of a scene; `strength` 0 leaves pictures as they are.
    pub fn draw(rng: &mut Rng, strength: f32) -> Self {
        let between = |rng: &mut Rng, from: f32, to: f32| strength * rng.range(from, to);
        Self {
            contrast: 1.0 + between(rng, -0.3, 0.1),
            brightness: between(rng, -0.14, 0.08),
            saturation: 1.0 + between(rng, -0.5, 0.05),
            balance: std::array::from_fn(|_| 1.0 + between(rng, -0.05, 0.05)),
        }
    }

    /// Applies it to an RGB picture (0..1).
    pub fn apply(&self, rgb: &mut [f32]) {
        for p in rgb.chunks_exact_mut(3) {
            let gray = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
            for (v, gain) in p.iter_mut().zip(self.balance) {
                let tinted = gray + self.saturation * (*v - gray);
                let lit = (tinted - 0.5) * self.contrast + 0.5 + self.brightness;
                *v = (lit * gain).clamp(0.0, 1.0);
            }
        }
    }
}

impl Camera {
    /// Takes a picture of a `side` x `side` scene (RGB, 0..1), a quarter as large.
    pub fn degrade(&self, scene: &[f32], side: usize, rng: &mut Rng) -> Vec<f32> {
        let lr = side / 4;
        let larger = lr as f32 / 16.0;
        let face = (self.face.0 * larger * (self.face.1 * rng.normal()).exp()).round();
        let size = (face as usize).clamp(10 * lr / 16, 60 * lr / 16);
        let pixel = side as f32 / size as f32;
        let mut x = gaussian(scene, side, pixel * rng.range(self.defocus.0, self.defocus.1));
        if rng.chance(self.motion) {
            let length = pixel * rng.range(0.5, self.motion_length);
            x = motion(&x, side, length, rng.range(0.0, std::f32::consts::PI));
        }
        let mut x = resize(&x, side, side, size, size, Filter::Area);
        let read = rng.range(self.read_noise.0, self.read_noise.1) / 255.0;
        let shot = rng.range(0.0, self.shot_noise);
        for v in &mut x {
            let sigma = (read * read + shot * shot * *v).sqrt();
            *v = (*v + sigma * rng.normal()).clamp(0.0, 1.0);
        }
        if rng.chance(self.compressed) {
            let quality = rng.whole(self.quality.0.into(), self.quality.1.into()) as u32;
            let (ox, oy) = (rng.below(16), rng.below(16));
            jpeg::degrade(&mut x, size, size, quality, ox, oy);
        }
        let mut out = resize(&x, size, size, lr, lr, Filter::Bicubic);
        out.iter_mut().for_each(|v| *v = ((*v * 255.0).round() / 255.0).clamp(0.0, 1.0));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn a_shot_is_close_to_the_shrunk_scene_but_not_equal() {
        let scene: Vec<f32> = (0..64 * 64 * 3)
            .map(|i| {
                0.5 + 0.25 * ((i / 3 % 64) as f32 * 0.11).sin() * ((i / 192) as f32 * 0.07).cos()
            })
            .collect();
        let plain = resize(&scene, 64, 64, 16, 16, Filter::Area);
        let mut rng = Rng::new(5, Stream::Batch, 0);
        for _ in 0..20 {
            let shot = Camera::default().degrade(&scene, 64, &mut rng);
            let mse = shot.iter().zip(&plain).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
                / plain.len() as f32;
            assert!(mse > 1e-7 && mse < 0.01, "{mse}");
        }
    }

    #[test]
    fn light_of_no_strength_changes_nothing() {
        let mut rng = Rng::new(5, Stream::Batch, 1);
        let mut x: Vec<f32> = (0..48).map(|i| i as f32 / 48.0).collect();
        let before = x.clone();
        Light::draw(&mut rng, 0.0).apply(&mut x);
        assert!(x.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
