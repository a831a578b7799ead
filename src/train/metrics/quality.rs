//! Figures of single pictures against their originals. Pictures are RGB in [-1, 1].

use tch::{Kind, Tensor};

use crate::dataset::batch::to_8bit;

/// RGB in [-1, 1] as the whole numbers 0..=255.
pub(crate) fn levels(x: &Tensor) -> Tensor {
    ((x + 1.0) * 127.5).round().to_kind(Kind::Double)
}

/// PSNR in dB of each picture of [n, 3, h, w] in [-1, 1] on 8-bit values.
pub fn psnr(a: &Tensor, b: &Tensor) -> Tensor {
    let mse =
        (levels(a) - levels(b)).square().mean_dim([1i64, 2, 3].as_slice(), false, Kind::Double);
    ((mse.clamp_min(1e-3) / (255.0 * 255.0)).log10() * -10.0).set_requires_grad(false)
}

/// Peak signal-to-noise ratio (dB) of `a`, rounded to 8 bit, against `b`; mean over pictures.
pub fn mean_psnr(a: &Tensor, b: &Tensor) -> f64 {
    let mse = (to_8bit(a) - b).square().mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
    ((mse.clamp_min(1e-9) / 4.0).log10() * -10.0).mean(Kind::Float).double_value(&[])
}

/// Structural similarity of each picture (Wang et al. 2004): 7x7 uniform window, sample covariance,
/// mean over colors and over all windows that fit.
pub fn ssim(a: &Tensor, b: &Tensor) -> Tensor {
    let (a, b) = (levels(a), levels(b));
    let mean = |x: &Tensor| x.avg_pool2d([7, 7], [1, 1], [0, 0], false, true, None);
    let sample = 49.0 / 48.0;
    let (ma, mb) = (mean(&a), mean(&b));
    let va = (mean(&a.square()) - ma.square()) * sample;
    let vb = (mean(&b.square()) - mb.square()) * sample;
    let vab = (mean(&(&a * &b)) - &ma * &mb) * sample;
    let (c1, c2) = ((0.01f64 * 255.0).powi(2), (0.03f64 * 255.0).powi(2));
    let top = (&ma * &mb * 2.0 + c1) * (vab * 2.0 + c2);
    let bottom = (ma.square() + mb.square() + c1) * (va + vb + c2);
    (top / bottom).mean_dim([1i64, 2, 3].as_slice(), false, Kind::Double)
}

/// Mean squared difference of neighboring pixels: grows with sharpness.
pub fn gradient_energy(x: &Tensor) -> f64 {
    let gray = x.mean_dim([1i64].as_slice(), true, Kind::Float);
    let (h, w) = (x.size()[2] - 1, x.size()[3] - 1);
    let dx = gray.narrow(3, 1, w) - gray.narrow(3, 0, w);
    let dy = gray.narrow(2, 1, h) - gray.narrow(2, 0, h);
    (dx.square().mean(Kind::Float) + dy.square().mean(Kind::Float)).double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn faces() -> Tensor {
        tch::manual_seed(8);
        to_8bit(&(Tensor::randn([6, 3, 64, 64], (Kind::Float, Device::Cpu)) * 0.3))
    }

    #[test]
    fn equal_pictures_score_full() {
        let x = faces();
        assert!((ssim(&x, &x) - 1.0).abs().max().double_value(&[]) < 1e-9);
        assert!(psnr(&x, &x).min().double_value(&[]) > 70.0);
        let y = to_8bit(&(&x + 2.0 * 10.0 / 255.0).clamp(-1.0, 1.0));
        let expected = 20.0 * (255.0f64 / 10.0).log10();
        assert!((psnr(&x, &y).mean(Kind::Double).double_value(&[]) - expected).abs() < 0.1);
    }
}
