//! Losses of both stages, and the views through which the discriminators look. What each counts in the
//! sum is a setting: [`Weights`](crate::config::Weights).

use tch::{Device, Kind, Reduction, Tensor};

use crate::rng::Rng;
use crate::scale::TRUNK;

/// Hinge loss of a discriminator (paper): scores of real faces above 1, of generated below -1.
pub fn hinge_discriminator(real: &Tensor, fake: &Tensor) -> Tensor {
    (-real + 1.0).relu().mean(Kind::Float) + (fake + 1.0).relu().mean(Kind::Float)
}

/// Hinge loss of a generator: the scores themselves.
pub fn hinge_generator(fake: &Tensor) -> Tensor {
    -fake.mean(Kind::Float)
}

/// Mean squared difference: the paper's pixel loss. `places` as [`ellipse`] gives them.
pub fn pixel(output: &Tensor, target: &Tensor, places: Option<&Tensor>) -> Tensor {
    match places {
        Some(_) => weighted(&(output - target).square(), places),
        None => output.mse_loss(target, Reduction::Mean),
    }
}

/// Weights [1, 1, side, side] of the places of a face, 1 within an ellipse that holds the face, 0 in
/// the corners, with a soft edge; their mean is 1.
pub fn ellipse(side: i64, device: Device) -> Tensor {
    let axis = (Tensor::arange(side, (Kind::Float, device)) + 0.5) / side as f64 * 2.0 - 1.0;
    let (x, y) = (axis.view([1, side]) / 0.95, axis.view([side, 1]));
    let radius = (x.square() + y.square()).sqrt();
    let inside = ((-radius + 1.05) / 0.25).clamp(0.0, 1.0);
    (&inside / inside.mean(Kind::Float)).view([1, 1, side, side])
}

/// Mean squared length, over faces, of what lies beyond a ball of root mean square `radius` around the
/// target: 0 within it.
pub fn pixel_beyond(output: &Tensor, target: &Tensor, radius: f64) -> Tensor {
    let square = (output - target).square();
    let rms = (square.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float) + 1e-10).sqrt();
    (rms - radius).relu().square().mean(Kind::Float)
}

/// Charbonnier loss: about the mean absolute difference. `places` as [`ellipse`] gives them.
pub fn charbonnier(output: &Tensor, target: &Tensor, places: Option<&Tensor>) -> Tensor {
    let cost = ((output - target).square() + 1e-4).sqrt();
    weighted(&cost, places)
}

/// Mean absolute difference of the gradients along both axes, added.
pub fn gradient_difference(output: &Tensor, target: &Tensor, places: Option<&Tensor>) -> Tensor {
    let d = output - target;
    let side = d.size()[3] - 1;
    let along = |axis: i64| {
        let step = d.narrow(axis, 1, side) - d.narrow(axis, 0, side);
        weighted(&step.abs(), places.map(|p| p.narrow(axis, 1, side)).as_ref())
    };
    along(3) + along(2)
}

/// Mean of costs [n, c, h, w] over all places, each counted by its weight.
fn weighted(cost: &Tensor, places: Option<&Tensor>) -> Tensor {
    match places {
        Some(places) => (cost * places).mean(Kind::Float),
        None => cost.mean(Kind::Float),
    }
}

/// Mean absolute difference of discriminator features of a face and its original, each block
/// measured against the size of the original's features. The only perceptual measure used: its
/// network is trained here, along with the generator.
pub fn feature_matching(fake: &[Tensor], real: &[Tensor]) -> Tensor {
    let mut total = Tensor::zeros([], (Kind::Float, fake[0].device()));
    for (f, r) in fake.iter().zip(real) {
        let r = r.detach().to_kind(Kind::Float);
        let size = r.abs().mean(Kind::Float) + 1e-3;
        total += (f.to_kind(Kind::Float) - &r).abs().mean(Kind::Float) / size;
    }
    total / fake.len() as f64
}

/// How strongly a pattern sits on the grid of a generator's trunk, 16 places along each edge of the
/// face: the mean square, over places and positions within a cell, of the fine detail averaged over
/// 5x5 neighboring cells. Natural detail has no phase and averages out; the checkerboards of a
/// depth-to-space do not.
pub fn grid(x: &Tensor) -> Tensor {
    let cell = x.size()[3] / TRUNK as i64;
    let soft = x.avg_pool2d([5, 5], [1, 1], [2, 2], false, false, None);
    let cells = (x - soft).pixel_unshuffle(cell);
    cells.avg_pool2d([5, 5], [2, 2], [0, 0], false, true, None).square().mean(Kind::Float)
}

/// Each color of each picture brought to mean 0 and deviation 1. The discriminator of the first
/// stage looks through this: what light and white balance the real set was taken in is no damage
/// to learn.
pub fn normalize_color(x: &Tensor) -> Tensor {
    let dims = [2i64, 3];
    let mean = x.mean_dim(dims.as_slice(), true, Kind::Float);
    let centered = x - mean;
    let var = centered.square().mean_dim(dims.as_slice(), true, Kind::Float);
    centered / (var + 2e-3).sqrt()
}

/// Gives `lr` the colors of `reference` (both [n, 3, s, s]) by the best gain and offset for
/// each color, judged on large shapes only, so that blur does not count as lost contrast.
pub fn match_color(lr: &Tensor, reference: &Tensor) -> Tensor {
    let dims = [2i64, 3];
    let fold = lr.size()[3] / TRUNK as i64;
    let coarse = |x: &Tensor| x.avg_pool2d([4 * fold; 2], [2 * fold; 2], [0, 0], false, true, None);
    let center = |x: &Tensor| x - x.mean_dim(dims.as_slice(), true, Kind::Float);
    let (a, b) = (center(&coarse(lr)), center(&coarse(reference)));
    let covariance = (&a * &b).mean_dim(dims.as_slice(), true, Kind::Float);
    let variance = a.square().mean_dim(dims.as_slice(), true, Kind::Float);
    let gain = (covariance / (variance + 1e-4)).clamp(0.5, 2.0);
    center(lr) * gain + reference.mean_dim(dims.as_slice(), true, Kind::Float)
}

/// One random look at a batch of pictures: moved, with its light changed (Zhao et al. 2020,
/// differentiable augmentation): real and generated faces alike, so that neither the place of the
/// crop nor a color cast can give a picture away.
#[derive(Debug)]
pub struct DiffAugment {
    dx: i64,
    dy: i64,
    gain: Tensor,
    cast: Tensor,
    dither: Tensor,
}

/// Side of the tile of noise that is laid over faces, repeated.
const TILE: i64 = 32;

impl DiffAugment {
    /// Draws a look at `n` pictures, moved by up to `shift` pixels.
    pub fn draw(rng: &mut Rng, n: i64, shift: i64, light: f32, device: Device) -> Self {
        let (dx, dy) = (rng.whole(-shift, shift), rng.whole(-shift, shift));
        let gain: Vec<f32> = (0..n).map(|_| (light * rng.range(-0.35, 0.25)).exp()).collect();
        let cast: Vec<f32> = (0..n)
            .flat_map(|_| {
                let gray = rng.range(-0.25, 0.25);
                std::array::from_fn::<f32, 3, _>(|_| light * (gray + rng.range(-0.08, 0.08)))
            })
            .collect();
        let dither: Vec<f32> = (0..3 * TILE * TILE).map(|_| rng.range(-1.0, 1.0) / 255.0).collect();
        Self {
            dx,
            dy,
            dither: Tensor::from_slice(&dither).view([1, 3, TILE, TILE]).to_device(device),
            gain: Tensor::from_slice(&gain).view([n, 1, 1, 1]).to_device(device),
            cast: Tensor::from_slice(&cast).view([n, 3, 1, 1]).to_device(device),
        }
    }

    /// Lays noise of one 8-bit step over pictures: real faces lie on the 256 levels of their files,
    /// generated ones do not, and a discriminator could live on that.
    pub fn dither(&self, x: &Tensor) -> Tensor {
        let [h, w] = [x.size()[2], x.size()[3]];
        let tiles = [1, 1, (h + TILE - 1) / TILE, (w + TILE - 1) / TILE];
        x + self.dither.repeat(tiles).narrow(2, 0, h).narrow(3, 0, w)
    }

    /// [n, 3, h, w] -> the same shape, moved and lit.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let lit = x * &self.gain + &self.cast;
        let (px, py) = (self.dx.abs(), self.dy.abs());
        if px == 0 && py == 0 {
            return lit;
        }
        let size = x.size();
        lit.replication_pad2d([px, px, py, py]).narrow(2, py + self.dy, size[2]).narrow(
            3,
            px + self.dx,
            size[3],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn hinge_saturates() {
        let score = |v: f32| Tensor::from_slice(&[v, v]);
        let d = |r, f| hinge_discriminator(&score(r), &score(f)).double_value(&[]);
        assert_eq!((d(1.5, -2.0), d(0.0, 0.0), d(-1.0, 1.0)), (0.0, 2.0, 4.0));
        assert_eq!(hinge_generator(&score(0.5)).double_value(&[]), -0.5);
    }

    #[test]
    fn grid_sees_checkerboards_and_not_texture() {
        tch::manual_seed(1);
        let texture = Tensor::randn([2, 3, 64, 64], (Kind::Float, Device::Cpu)) * 0.1;
        let tile = Tensor::randn([1, 3, 4, 4], (Kind::Float, Device::Cpu)) * 0.1;
        let measure = |x: &Tensor| grid(x).double_value(&[]);
        let (free, locked) = (measure(&texture), measure(&tile.repeat([2, 1, 16, 16])));
        assert!(locked > 10.0 * free, "{locked} against {free}");
    }

    #[test]
    fn light_is_taken_out_and_given_back() {
        tch::manual_seed(1);
        let x = Tensor::rand([2, 3, 16, 16], (Kind::Float, Device::Cpu)) - 0.5;
        let other = &x * 0.7 + 0.2;
        let gap = (normalize_color(&x) - normalize_color(&other)).abs().max().double_value(&[]);
        assert!(gap < 0.05, "{gap}");
        let back = (match_color(&other, &x) - &x).abs().max().double_value(&[]);
        assert!(back < 0.05, "{back}");
    }

    #[test]
    fn dither_hides_the_8_bit_lattice() {
        let levels = |x: &Tensor| ((x + 1.0) * 127.5 - ((x + 1.0) * 127.5).round()).abs();
        let x = (Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu)) * 255.0).round() / 127.5
            - 1.0;
        assert!(levels(&x).max().double_value(&[]) < 1e-3);
        let view = DiffAugment::draw(&mut Rng::new(2, Stream::Augment, 0), 2, 0, 0.0, Device::Cpu);
        let seen = view.dither(&x);
        // Evenly spread between the levels: 1/4 of a level on average.
        let mean = levels(&seen).mean(Kind::Float).double_value(&[]);
        assert!((0.2..0.3).contains(&mean), "{mean}");
        assert!((seen - x).abs().max().double_value(&[]) <= 1.001 / 255.0);
    }

    #[test]
    fn a_view_keeps_the_shape_and_is_the_same_for_a_pair() {
        let x = Tensor::rand([3, 3, 8, 8], (Kind::Float, Device::Cpu));
        let mut rng = Rng::new(2, Stream::Augment, 0);
        for _ in 0..10 {
            let view = DiffAugment::draw(&mut rng, 3, 2, 1.0, Device::Cpu);
            let a = view.apply(&x);
            assert_eq!(a.size(), x.size());
            assert!(a.equal(&view.apply(&x)));
        }
    }
}
