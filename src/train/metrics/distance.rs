//! Distances between two sets of features: kernel distance (Binkowski et al. 2018, unbiased) and
//! Frechet distance (Heusel et al. 2017).

use tch::{Kind, Tensor};

use crate::rng::{Rng, Stream};

/// Kernel distance of two sets of features [n, d] and [m, d]: unbiased, polynomial kernel of degree
/// 3. The scale of each feature is that of the second set when `whiten` is set.
pub fn kernel_distance(a: &Tensor, b: &Tensor, whiten: bool) -> f64 {
    Kernels::new(a, b, whiten).distance(None)
}

/// The same with its standard error: how much it would change with other faces of the same kind
/// (bootstrap over both sets).
pub fn kernel_distance_with_error(a: &Tensor, b: &Tensor, whiten: bool) -> (f64, f64) {
    let kernels = Kernels::new(a, b, whiten);
    let (n, m) = (a.size()[0], b.size()[0]);
    let mut rng = Rng::new(5, Stream::Validation, 2);
    let mut draw = |n: i64| {
        let chosen: Vec<i64> = (0..n).map(|_| rng.below(n as usize) as i64).collect();
        Tensor::from_slice(&chosen).to_device(a.device())
    };
    let found: Vec<f64> =
        (0..RESAMPLES).map(|_| kernels.distance(Some((&draw(n), &draw(m))))).collect();
    let mean = found.iter().sum::<f64>() / RESAMPLES as f64;
    let variance = found.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (RESAMPLES - 1) as f64;
    (kernels.distance(None), variance.sqrt())
}

/// Resamples of a bootstrap.
const RESAMPLES: usize = 24;

/// Kernel values between all features of two sets, and within each.
struct Kernels {
    first: Tensor,
    second: Tensor,
    between: Tensor,
}

impl Kernels {
    fn new(a: &Tensor, b: &Tensor, whiten: bool) -> Self {
        let (a, b) = if whiten {
            let mean = b.mean_dim([0i64].as_slice(), true, Kind::Float);
            let scale =
                (b - &mean).square().mean_dim([0i64].as_slice(), true, Kind::Float).sqrt() + 1e-6;
            ((a - &mean) / &scale, (b - &mean) / &scale)
        } else {
            (a.shallow_clone(), b.shallow_clone())
        };
        let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
        let kernel = |x: &Tensor, y: &Tensor| {
            (x.matmul(&y.tr()) / x.size()[1] as f64 + 1.0).pow_tensor_scalar(3)
        };
        Self { first: kernel(&a, &a), second: kernel(&b, &b), between: kernel(&a, &b) }
    }

    /// Of all features, or of those chosen from each set, some perhaps more than once.
    fn distance(&self, chosen: Option<(&Tensor, &Tensor)>) -> f64 {
        let sum = |x: &Tensor| x.sum(Kind::Double).double_value(&[]);
        let within = |kernel: &Tensor, chosen: Option<&Tensor>| match chosen {
            None => {
                let n = kernel.size()[0] as f64;
                (sum(kernel) - sum(&kernel.diagonal(0, 0, 1))) / (n * (n - 1.0))
            }
            Some(chosen) => {
                let kernel = kernel.index_select(0, chosen).index_select(1, chosen);
                // A feature is no neighbor of itself.
                let others = chosen.unsqueeze(0).ne_tensor(&chosen.unsqueeze(1));
                let others = others.to_kind(Kind::Double);
                sum(&(kernel * &others)) / sum(&others).max(1.0)
            }
        };
        let between = match chosen {
            None => self.between.shallow_clone(),
            Some((a, b)) => self.between.index_select(0, a).index_select(1, b),
        };
        within(&self.first, chosen.map(|c| c.0)) + within(&self.second, chosen.map(|c| c.1))
            - 2.0 * between.mean(Kind::Double).double_value(&[])
    }
}

/// Frechet distance of two sets of features [n, d], [m, d] (Heusel et al. 2017).
pub fn frechet_distance(a: &Tensor, b: &Tensor) -> f64 {
    let stats = |x: &Tensor| {
        let x = x.to_kind(Kind::Double);
        let mean = x.mean_dim([0i64].as_slice(), true, Kind::Double);
        let centered = &x - &mean;
        let covariance = centered.tr().matmul(&centered) / (x.size()[0] as f64 - 1.0);
        (mean, covariance)
    };
    let ((ma, ca), (mb, cb)) = (stats(a), stats(b));
    // The trace of (ca cb)^1/2 by the eigenvalues of ca^1/2 cb ca^1/2, which is symmetric.
    let (values, vectors) = ca.linalg_eigh("L");
    let root = vectors.matmul(&values.clamp_min(0.0).sqrt().diag(0)).matmul(&vectors.tr());
    let (inner, _) = root.matmul(&cb).matmul(&root).linalg_eigh("L");
    let trace = |m: &Tensor| m.trace().double_value(&[]);
    let mixed = inner.clamp_min(0.0).sqrt().sum(Kind::Double).double_value(&[]);
    (ma - mb).square().sum(Kind::Double).double_value(&[]) + trace(&ca) + trace(&cb) - 2.0 * mixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn error_of_a_distance_is_about_its_spread_over_sets() {
        tch::manual_seed(3);
        let draw = || Tensor::randn([60, 8], (Kind::Float, Device::Cpu));
        let truth = draw();
        let found: Vec<(f64, f64)> =
            (0..30).map(|_| kernel_distance_with_error(&draw(), &truth, false)).collect();
        let mean = found.iter().map(|f| f.0).sum::<f64>() / 30.0;
        let spread = (found.iter().map(|f| (f.0 - mean).powi(2)).sum::<f64>() / 29.0).sqrt();
        let error = found.iter().map(|f| f.1).sum::<f64>() / 30.0;
        assert!((0.5..4.0).contains(&(error / spread)), "{error} against {spread}");
        let other = draw();
        let (distance, _) = kernel_distance_with_error(&other, &truth, true);
        assert_eq!(distance, kernel_distance(&other, &truth, true));
    }

    #[test]
    fn frechet_distance_is_that_of_two_normal_laws() {
        tch::manual_seed(3);
        let x = Tensor::randn([4000, 5], (Kind::Double, Device::Cpu));
        let y = Tensor::randn([4000, 5], (Kind::Double, Device::Cpu)) * 2.0 + 1.0;
        // |mean|^2 + sum (sigma_a - sigma_b)^2 = 5 + 5.
        assert!((frechet_distance(&x, &y) - 10.0).abs() < 0.5);
        assert!(frechet_distance(&x, &x).abs() < 1e-6);
    }
}
