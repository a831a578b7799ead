//! `facesr-train export`.

use std::path::{Path, PathBuf};

use clap::Args;
use facesr::enhance::generator::{Generator, GeneratorOptions};
use tch::{Device, Kind, Tensor};

use super::options::{Radius, put, radius};
use crate::config::Config;
use crate::dataset::batch::fixed_batch;
use crate::dataset::faces::Faces;
use crate::dataset::pictures::Size;
use crate::error::{Error, Result, at};
use crate::export::model::{self, About};
use crate::export::verify;
use crate::models::low_to_high::{LowToHigh, LowToHighConfig};
use crate::training::state::State;
use crate::training::training_data::Archives;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The checkpoint.
    #[arg(long)]
    checkpoint: PathBuf,
    /// Mix in the Low-to-High generator of another checkpoint of the same descent (network
    /// interpolation, Wang et al. 2018): a share of a pixel-trained one calms an adversarial one.
    #[arg(long, value_name = "CHECKPOINT", requires = "mix_share")]
    mix: Option<PathBuf>,
    /// Its share, 0..1.
    #[arg(long)]
    mix_share: Option<f64>,
    /// Hold the output to its input more or less closely than in training (fine detail, or `off`): the ball
    /// is laid around the network, so that no weight changes.
    #[arg(long, value_parser = radius)]
    slack: Option<Radius>,
    /// The same for broad shapes and colors.
    #[arg(long)]
    coarse_slack: Option<f64>,
    /// The ONNX file to write.
    #[arg(long)]
    out: PathBuf,
    /// Write the High-to-Low generator and its discriminator, too: the start for another camera.
    #[arg(long, value_name = "SAFETENSORS")]
    high_to_low: Option<PathBuf>,
    /// Compute in fp16 (for GPUs); input and output stay fp32.
    #[arg(long)]
    fp16: bool,
    /// Folder with lr-faces.tar (lr-faces-32.tar), on whose faces the check runs; noise without it.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Said in the file about its training data.
    #[arg(long, default_value = "own data")]
    about_data: String,
    /// Said in the file about its terms.
    #[arg(long, default_value = "not stated")]
    about_terms: String,
}

impl ExportArgs {
    /// Holds a generator of a run with this `config` to its input as the options say.
    fn hold(&self, net: &mut LowToHigh, config: &Config) -> Result<()> {
        if self.slack.is_none() && self.coarse_slack.is_none() {
            return Ok(());
        }
        let mut low_to_high = *net.config();
        let LowToHighConfig::Compact { slack, .. } = &mut low_to_high else {
            return Err(Error::Setting("the paper's generator is not held to its input".into()));
        };
        put(self.slack.map(|radius| radius.0), &mut slack.fine);
        put(self.coarse_slack, &mut slack.coarse);
        let slack = *slack;
        Config { low_to_high, ..config.clone() }.check()?;
        net.set_slack(slack);
        Ok(())
    }
}

/// Faces that the check runs on.
const CHECKED: usize = 64;

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    let mut state = State::load(&args.checkpoint, Device::Cpu)?;
    args.hold(&mut state.nets.l2h_ema, &state.config)?;
    let net = &state.nets.l2h_ema;
    let scale = state.config.scale;
    if let (Some(path), Some(share)) = (&args.mix, args.mix_share) {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::Setting("the share to mix in lies between 0 and 1".into()));
        }
        let mut other = State::new(state.config.clone(), Device::Cpu);
        other.adopt_low_to_high(path)?;
        net.params().lerp(other.nets.l2h_ema.params(), share);
    }
    let about = About { data: args.about_data.clone(), terms: args.about_terms.clone() };
    let faces = match &args.data {
        Some(folder) => {
            let archive = &Archives::of_folder(folder, scale).lr[0];
            let lr = Faces::load(archive, Size::Exactly(scale.lr as u32), None)?;
            let step = (lr.len() / CHECKED).max(1);
            let indices: Vec<usize> = (0..lr.len()).step_by(step).take(CHECKED).collect();
            fixed_batch(&lr, &indices, Device::Cpu)
        }
        None => {
            let side = scale.lr as i64;
            Tensor::rand([CHECKED as i64, 3, side, side], (Kind::Float, Device::Cpu)) * 2.0 - 1.0
        }
    };
    write_checked(net, &about, &args.out, Checked { faces: &faces, fp16: args.fp16 })?;
    if let Some(path) = &args.high_to_low {
        state.save_high_to_low(path)?;
    }
    Ok(())
}

/// How a file is written and held against libtorch.
pub(super) struct Checked<'a> {
    /// Faces [n, 3, s, s] on which both must agree.
    pub(super) faces: &'a Tensor,
    /// Computes in fp16.
    pub(super) fp16: bool,
}

/// Writes a generator as ONNX, and refuses it if it does not do what libtorch does.
pub(super) fn write_checked(
    net: &LowToHigh,
    about: &About,
    out: &Path,
    Checked { faces, fp16 }: Checked<'_>,
) -> Result<()> {
    // Beside its place until it is known to be right: what is there may be in use.
    let draft = out.with_extension("unchecked.onnx");
    let checked = write_and_check(net, about, &draft, &Checked { faces, fp16 });
    let name = out.display();
    let gap = match checked {
        Ok(gap) => gap,
        Err(error) => {
            // The error matters, not whether the draft could be removed.
            let _ = std::fs::remove_file(&draft);
            return Err(Error::Onnx(format!("{name} was not written: {error}")));
        }
    };
    std::fs::rename(&draft, out).map_err(at(out))?;
    println!("{name}: {gap:.1e} from libtorch on {} faces", faces.size()[0]);
    Ok(())
}

/// Writes the file and compares it with libtorch; by how much they differ.
fn write_and_check(
    net: &LowToHigh,
    about: &About,
    out: &Path,
    checked: &Checked<'_>,
) -> Result<f64> {
    model::write(&model::build(net, about, checked.fp16), out)?;
    let ours = tch::no_grad(|| net.forward(checked.faces, Kind::Float, false).clamp(-1.0, 1.0));
    let theirs = verify::Runner::new(out)?.run(checked.faces)?;
    // The engine's own look at the contract.
    let options = GeneratorOptions::default().models(vec![out.to_owned()]);
    Generator::open(&options).map_err(|e| Error::Onnx(e.to_string()))?;
    let gap = verify::largest_difference(&ours, &theirs);
    // fp16 keeps 11 bits: about two steps of 8-bit output are within its rounding.
    let limit = if checked.fp16 { 2e-2 } else { 1e-4 };
    if gap >= limit {
        return Err(Error::Onnx(format!("it differs from libtorch by {gap:.2e}: not usable")));
    }
    Ok(gap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::consistency::Slack;
    use crate::models::low_to_high::Layers;

    #[test]
    fn ball_is_changed_and_weights_are_not() {
        let slack = Slack { fine: Some(0.08), coarse: 0.08 };
        let low_to_high = LowToHighConfig::Compact { width: 8, blocks: 1, slack };
        let config = Config { low_to_high, ..Config::default() };
        let trained = State::new(config.clone(), Device::Cpu).nets.l2h_ema;
        let held = |slack: Option<Radius>, coarse_slack| {
            let args = ExportArgs {
                checkpoint: PathBuf::new(),
                mix: None,
                mix_share: None,
                slack,
                coarse_slack,
                out: PathBuf::new(),
                high_to_low: None,
                fp16: false,
                data: None,
                about_data: String::new(),
                about_terms: String::new(),
            };
            // The same seed, the same weights.
            let mut net = State::new(config.clone(), Device::Cpu).nets.l2h_ema;
            args.hold(&mut net, &config).map(|()| net)
        };
        let slack_of = |net: &LowToHigh| match (net.config(), net.layers()) {
            (LowToHighConfig::Compact { slack, .. }, Layers::Compact(compact)) => {
                assert_eq!(*slack, compact.consistency.slack, "what is said is what is done");
                *slack
            }
            _ => unreachable!("a compact one was trained"),
        };
        assert_eq!(slack_of(&held(None, None).unwrap()), slack);
        let closer = held(None, Some(0.02)).unwrap();
        assert_eq!(slack_of(&closer), Slack { coarse: 0.02, ..slack });
        let pairs = trained.params().iter().zip(closer.params().iter());
        pairs.for_each(|(a, b)| assert!(a.tensor.equal(&b.tensor), "{}", a.name));
        let free = held(Some(Radius(None)), None).unwrap();
        assert_eq!(slack_of(&free).fine, None);
        assert!(held(None, Some(3.0)).is_err(), "wider than the values are");
    }
}
