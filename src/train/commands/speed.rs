//! `facesr-train speed`: the bare training step, for scripts/speed.py to compare with PyTorch.

use std::time::Instant;

use clap::Args;
use tch::{Device, Kind, Tensor};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::loss;
use crate::models::layers::channels_last;
use crate::optimizer::Adam;
use crate::scale::Scale;
use crate::training::state::Nets;

#[derive(Debug, Args)]
pub(super) struct SpeedArgs {
    /// CPU threads.
    #[arg(long, default_value_t = 1)]
    threads: u16,
    /// Steps that are timed, after three that are not.
    #[arg(long, default_value_t = 20)]
    steps: u32,
    /// Faces a step.
    #[arg(long, default_value_t = 32)]
    batch: i64,
    /// Side of LR faces: 16 or 32.
    #[arg(long, default_value_t = 16)]
    lr_size: usize,
    /// fp32 instead of bf16.
    #[arg(long)]
    fp32: bool,
}

/// Median seconds of `steps` runs of `f`, after three for warming up.
fn median(steps: u32, mut f: impl FnMut()) -> f64 {
    (0..3).for_each(|_| f());
    let mut times: Vec<f64> = (0..steps.max(1))
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Times the steps and prints them as one line of JSON.
pub(super) fn run(args: &SpeedArgs) -> Result<()> {
    tch::set_num_threads(i32::from(args.threads.max(1)));
    let scale = Scale::for_lr(args.lr_size)
        .ok_or_else(|| Error::Setting("LR faces are 16 or 32 pixels large".into()))?;
    let config = Config { bf16: !args.fp32, scale, ..Config::default() };
    let kind = config.kind();
    let nets = Nets::new(&config, Device::Cpu);
    let random = |side| {
        channels_last(&Tensor::randn([args.batch, 3, side, side], (Kind::Float, Device::Cpu)))
            .clamp(-1.0, 1.0)
    };
    let (lr, hr) = (random(config.scale.lr as i64), random(config.scale.hr() as i64));
    let mut generator = Adam::new(nets.l2h.params().trainable(), (0.0, 0.9));
    let mut critic = Adam::new(nets.hr_d.params().trainable(), (0.0, 0.9));
    let pixel = median(args.steps, || {
        let loss = loss::pixel(&nets.l2h.forward(&lr, kind, true), &hr, None);
        generator.minimize(&loss, 1e-5, false);
    });
    let gan = median(args.steps, || {
        let output = nets.l2h.forward(&lr, kind, true);
        nets.hr_d.power_iteration();
        let both = Tensor::cat(&[&hr, &output.detach()], 0).to_kind(kind);
        let scores = nets.hr_d.forward(&both).split(args.batch, 0);
        critic.minimize(&loss::hinge_discriminator(&scores[0], &scores[1]), 1e-5, false);
        let judged = loss::hinge_generator(&nets.hr_d.forward(&output.to_kind(kind)));
        let total = loss::pixel(&output, &hr, None) + judged * 0.01;
        generator.minimize(&total, 1e-5, false);
    });
    println!("{{\"pixel_seconds\":{pixel:.5},\"gan_seconds\":{gan:.5}}}");
    Ok(())
}
