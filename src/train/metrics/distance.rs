//! Distances between two sets of features: kernel distance (Binkowski et al. 2018, unbiased) and
//! Frechet distance (Heusel et al. 2017).

use tch::{Kind, Tensor};

/// Kernel distance of two sets of features [n, d] and [m, d]: unbiased, polynomial kernel of degree
/// 3. The scale of each feature is that of the second set when `whiten` is set.
pub fn kernel_distance(a: &Tensor, b: &Tensor, whiten: bool) -> f64 {
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
    let within = |x: &Tensor| {
        let n = x.size()[0] as f64;
        let k = kernel(x, x);
        let total = k.sum(Kind::Double).double_value(&[]);
        let diagonal = k.diagonal(0, 0, 1).sum(Kind::Double).double_value(&[]);
        (total - diagonal) / (n * (n - 1.0))
    };
    within(&a) + within(&b) - 2.0 * kernel(&a, &b).mean(Kind::Double).double_value(&[])
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
    fn frechet_distance_is_that_of_two_normal_laws() {
        tch::manual_seed(3);
        let x = Tensor::randn([4000, 5], (Kind::Double, Device::Cpu));
        let y = Tensor::randn([4000, 5], (Kind::Double, Device::Cpu)) * 2.0 + 1.0;
        // |mean|^2 + sum (sigma_a - sigma_b)^2 = 5 + 5.
        assert!((frechet_distance(&x, &y) - 10.0).abs() < 0.5);
        assert!(frechet_distance(&x, &x).abs() < 1e-6);
    }
}
