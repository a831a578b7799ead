//! Adam (Kingma and Ba 2015), written out so that its state can be saved and taken up again.

use tch::{Tensor, no_grad};

/// Moments of every trained tensor of one network.
#[derive(Debug)]
pub struct Adam {
    /// The trained tensors.
    params: Vec<Tensor>,
    /// Running means of the gradients.
    pub first: Vec<Tensor>,
    /// Running means of their squares.
    pub second: Vec<Tensor>,
    /// Updates so far.
    pub steps: i64,
    betas: (f64, f64),
}

const EPS: f64 = 1e-8;

impl Adam {
    /// Fresh moments. The GAN phases use betas (0, 0.9), as the paper's re-implementations do.
    pub fn new(params: Vec<Tensor>, betas: (f64, f64)) -> Self {
        let zeros = |_| params.iter().map(Tensor::zeros_like).map(|t| t.detach()).collect();
        let (first, second) = (zeros(()), zeros(()));
        Self { params, first, second, steps: 0, betas }
    }

    /// One update by the gradients of `loss`. Only the paths to these parameters are computed.
    pub fn minimize(&mut self, loss: &Tensor, rate: f64, keep_graph: bool) {
        let gradients = Tensor::run_backward(&[loss], &self.params, keep_graph, false);
        self.apply(&gradients, rate);
    }

    /// One update by given gradients, in the order of the parameters.
    pub fn apply(&mut self, gradients: &[Tensor], rate: f64) {
        self.steps += 1;
        let (b1, b2) = self.betas;
        let correct = (1.0 - b2.powi(self.steps as i32)).sqrt();
        let rate = rate / (1.0 - b1.powi(self.steps as i32));
        no_grad(|| {
            for (i, gradient) in gradients.iter().enumerate() {
                let (m, v) = (&mut self.first[i], &mut self.second[i]);
                let _ = m.lerp_(gradient, 1.0 - b1);
                let _ = v.lerp_(&gradient.square(), 1.0 - b2);
                let step = &*m / (v.sqrt() / correct + EPS) * rate;
                let mut param = self.params[i].shallow_clone();
                let _ = param.subtract_(&step);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_step_has_the_length_of_the_rate_and_a_bowl_is_descended() {
        let x = Tensor::from_slice(&[3.0f32, -2.0]).set_requires_grad(true);
        let mut adam = Adam::new(vec![x.shallow_clone()], (0.0, 0.9));
        adam.minimize(&x.square().sum(tch::Kind::Float), 0.1, false);
        assert!((x.double_value(&[0]) - 2.9).abs() < 1e-5);
        assert!((x.double_value(&[1]) + 1.9).abs() < 1e-5);
        for _ in 0..200 {
            adam.minimize(&x.square().sum(tch::Kind::Float), 0.05, false);
        }
        assert!(x.square().sum(tch::Kind::Float).double_value(&[]) < 0.02);
    }
}
