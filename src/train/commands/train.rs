//! `facesr-train train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::DeviceArg;
use super::options::{Radius, put, radius};
use crate::config::{Config, PixelLoss, Weights};
use crate::error::{Error, Result, at};
use crate::models::discriminator::DiscriminatorConfig;
use crate::models::high_to_low::HighToLowConfig;
use crate::models::low_to_high::LowToHighConfig;
use crate::scale::Scale;
use crate::training::state::State;
use crate::training::trainer::{self, Budget, Folder};
use crate::training::training_data::{Archives, TrainingData};

#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// Folder with hr-faces.tar and lr-faces.tar (hr-faces-128.tar and lr-faces-32.tar for --lr-size
    /// 32).
    #[arg(long, required_unless_present_all = ["hr", "lr"])]
    data: Option<PathBuf>,
    /// Archive of sharp faces instead; may be given several times. Faces of twice the size that is
    /// wanted are shrunk.
    #[arg(long, value_name = "TAR")]
    hr: Vec<PathBuf>,
    /// Archive of real LR faces instead; may be given several times.
    #[arg(long, value_name = "TAR")]
    lr: Vec<PathBuf>,
    /// Folder of pairs that went through real encoders (`facesr-train pairs`): train-*.pairs and
    /// held-*.pairs; may be given several times.
    #[arg(long, value_name = "DIR")]
    pairs: Vec<PathBuf>,
    /// Folder of the run: checkpoints, metrics, samples, report.html.
    #[arg(long)]
    out: PathBuf,
    /// Begin again in a folder that holds a run already.
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Where decoded faces are kept for the next start.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Go on from this checkpoint. Its settings count; budgets, lengths of phases, learning rates and
    /// weights of losses may be given again, anything else is refused.
    #[arg(long, value_name = "CHECKPOINT")]
    resume: Option<PathBuf>,
    /// Settings as a JSON file (any part of what a checkpoint holds); the options come on top.
    #[arg(long, conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Start with the High-to-Low generator of this checkpoint (models/high-to-low.safetensors ships).
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    h2l_from: Option<PathBuf>,
    /// Start with the Low-to-High generator of this checkpoint, of this exported fp32 ONNX file or of
    /// these bare weights (safetensors). A run for 32x32 takes one for 16x16, too.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    l2h_from: Option<PathBuf>,
    /// Start with the discriminator of HR faces of this checkpoint.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    hr_d_from: Option<PathBuf>,
    /// The fixed network (`make train-setup` leaves it in target/train/perceptual.safetensors) in
    /// which outputs are compared with their originals and told from real faces. Without it, a run
    /// has only the pixel loss and its own discriminators.
    #[arg(long, value_name = "SAFETENSORS")]
    perceptual: Option<PathBuf>,
    /// The network that tells people apart (`make train-setup` leaves it in
    /// target/train/identity.safetensors): outputs are held to their originals' identity.
    #[arg(long, value_name = "SAFETENSORS")]
    identity: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// CPU threads. One is best on a machine with other work to do.
    #[arg(long)]
    threads: Option<u16>,
    /// Stop after so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Stop after so many steps.
    #[arg(long)]
    steps: Option<u64>,
    /// Seconds between checkpoints.
    #[arg(long, default_value_t = 180)]
    checkpoint_seconds: u64,
    /// Steps between validations, each with a sample grid.
    #[arg(long, default_value_t = 250)]
    validate_every: u64,
    #[command(flatten)]
    phases: Phases,
    #[command(flatten)]
    settings: Settings,
}

/// Lengths of the phases.
#[derive(Debug, Args)]
struct Phases {
    /// Steps of stage 1.
    #[arg(long)]
    h2l_steps: Option<u64>,
    /// Steps of the pixel warm-up.
    #[arg(long)]
    pixel_steps: Option<u64>,
    /// Steps of stage 2 with its discriminator.
    #[arg(long)]
    gan_steps: Option<u64>,
    /// Steps of both stages together.
    #[arg(long)]
    joint_steps: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Size {
    /// Light: what ships, and what a CPU can train.
    Compact,
    /// As in the paper's code.
    Paper,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Judges {
    /// What a CPU can train.
    Compact,
    /// That of HR faces with less than half of the work, and updated by half of each batch.
    Light,
    /// As in the paper's code.
    Paper,
}

/// Settings of a new run; what is not given keeps its default.
#[derive(Debug, Args)]
struct Settings {
    /// Same seed, same run.
    #[arg(long)]
    seed: Option<u64>,
    /// Side of LR faces: 16 (to 64) or 32 (to 128).
    #[arg(long)]
    lr_size: Option<usize>,
    /// Faces a step.
    #[arg(long)]
    batch: Option<usize>,
    /// Size of both generators.
    #[arg(long)]
    arch: Option<Size>,
    /// Channels of the compact Low-to-High generator.
    #[arg(long)]
    width: Option<i64>,
    /// Residual blocks of the compact Low-to-High generator.
    #[arg(long)]
    blocks: Option<usize>,
    /// How far fine detail of the output, shrunk back, may lie from the input: a root mean square of
    /// faces in [-1, 1], or "off".
    #[arg(long, value_parser = radius)]
    slack: Option<Radius>,
    /// The same for broad shapes and colors; 0 holds them to the input.
    #[arg(long)]
    coarse_slack: Option<f64>,
    /// Compare outputs with originals by absolute differences, gradients and identity within an
    /// ellipse instead of by squared differences.
    #[arg(long)]
    robust: bool,
    /// Weight of the distance of gradients.
    #[arg(long)]
    gradients: Option<f64>,
    /// Weight of identity in the pixel warm-up.
    #[arg(long, requires = "identity")]
    pixel_identity: Option<f64>,
    /// Weight of the fixed network in the pixel warm-up.
    #[arg(long, requires = "perceptual")]
    pixel_perceptual: Option<f64>,
    /// Side at which the network of identity looks at faces.
    #[arg(long)]
    identity_side: Option<i64>,
    /// Size of both discriminators.
    #[arg(long)]
    discriminators: Option<Judges>,
    /// Weight of the pixel loss.
    #[arg(long)]
    alpha: Option<f64>,
    /// Weight of the GAN loss of stage 1.
    #[arg(long)]
    beta_lr: Option<f64>,
    /// Weight of the GAN loss of stage 2.
    #[arg(long)]
    beta_hr: Option<f64>,
    /// Weight of feature matching in stage 2.
    #[arg(long)]
    features: Option<f64>,
    /// Weight of the GAN loss on the fixed network.
    #[arg(long, requires = "perceptual")]
    projected: Option<f64>,
    /// Weight of the distance to the original in the fixed network.
    #[arg(long, requires = "perceptual")]
    perceptual_weight: Option<f64>,
    /// Weight of the distance to the original's identity.
    #[arg(long, requires = "identity")]
    identity_weight: Option<f64>,
    /// Learning rate of the generators in the GAN phases.
    #[arg(long)]
    rate_generator: Option<f64>,
    /// Learning rate of the discriminators.
    #[arg(long)]
    rate_discriminator: Option<f64>,
    /// Learning rate of the pixel warm-up.
    #[arg(long)]
    rate_pixel: Option<f64>,
    /// Share of pairs that went through real encoders [default: 1 with --pairs and no
    /// other share].
    #[arg(long, requires = "pairs")]
    encoded: Option<f64>,
    /// Share of those over which the learnt degradation is laid.
    #[arg(long, requires = "pairs")]
    overlaid: Option<f64>,
    /// Share of the other pairs that come from the synthetic camera.
    #[arg(long)]
    camera: Option<f64>,
    /// Share of real LR pictures among the inputs of the GAN phase.
    #[arg(long)]
    real: Option<f64>,
    /// 0: every LR picture equally often; 1: every source equally often.
    #[arg(long)]
    balance: Option<f64>,
    /// fp32 arithmetic throughout.
    #[arg(long)]
    fp32: bool,
    /// Ablation: pairs by antialiased bicubic, no learnt and no synthetic degradation, no real low
    /// pictures.
    #[arg(long)]
    no_h2l: bool,
    /// Ablation: Low-to-High without its discriminator; the steps go to the pixel loss.
    #[arg(long)]
    no_gan: bool,
    /// Ablation: no discriminator in either stage.
    #[arg(long)]
    pixel_only: bool,
}

impl Phases {
    fn apply(&self, config: &mut Config) {
        put(self.h2l_steps, &mut config.steps.high_to_low);
        put(self.pixel_steps, &mut config.steps.pixel);
        put(self.gan_steps, &mut config.steps.gan);
        put(self.joint_steps, &mut config.steps.joint);
    }
}

impl Settings {
    /// Learning rates and weights of losses, which may change while a run goes on.
    fn apply_rates(&self, config: &mut Config) {
        put(self.alpha, &mut config.weights.alpha);
        put(self.beta_lr, &mut config.weights.beta_lr);
        put(self.beta_hr, &mut config.weights.beta_hr);
        put(self.features, &mut config.weights.features);
        put(self.projected, &mut config.weights.projected);
        put(self.perceptual_weight, &mut config.weights.perceptual);
        put(self.identity_weight, &mut config.weights.identity);
        put(self.gradients, &mut config.pixel_loss.gradients);
        put(self.pixel_identity, &mut config.pixel_loss.identity);
        put(self.pixel_perceptual, &mut config.pixel_loss.perceptual);
        put(self.rate_generator, &mut config.rates.generator);
        put(self.rate_discriminator, &mut config.rates.discriminator);
        put(self.rate_pixel, &mut config.rates.pixel);
    }

    /// What a resumed run takes over of these; the rest is fixed at its start.
    fn apply_to_resumed(&self, config: &mut Config) -> Result<()> {
        let mut asked = config.clone();
        self.apply(&mut asked)?;
        self.apply_rates(config);
        let text = |config: &Config| {
            serde_json::to_value(config)
                .map_err(|e| Error::Setting(format!("the settings cannot be compared: {e}")))
        };
        let (asked, kept) = (text(&asked)?, text(config)?);
        let other: Vec<&str> = asked
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, value)| kept.get(key.as_str()) != Some(*value))
            .map(|(key, _)| key.as_str())
            .collect();
        if other.is_empty() {
            return Ok(());
        }
        Err(Error::Setting(format!(
            "a run that is resumed keeps its {}: begin a new one, from these weights by --l2h-from and \
             --h2l-from",
            other.join(", ")
        )))
    }

    fn apply(&self, config: &mut Config) -> Result<()> {
        put(self.seed, &mut config.seed);
        if let Some(side) = self.lr_size {
            config.scale = Scale::for_lr(side)
                .ok_or_else(|| Error::Setting("--lr-size is 16 or 32".into()))?;
        }
        put(self.batch, &mut config.batch);
        match self.arch {
            Some(Size::Compact) => config.low_to_high = LowToHighConfig::compact(),
            Some(Size::Paper) => {
                config.low_to_high = LowToHighConfig::paper();
                config.high_to_low = HighToLowConfig::paper();
            }
            None => {}
        }
        if let LowToHighConfig::Compact { width, blocks, slack } = &mut config.low_to_high {
            put(self.width, width);
            put(self.blocks, blocks);
            put(self.slack.map(|radius| radius.0), &mut slack.fine);
            put(self.coarse_slack, &mut slack.coarse);
        }
        if self.robust {
            config.pixel_loss = PixelLoss::robust();
        }
        put(self.identity_side, &mut config.identity_side);
        match self.discriminators {
            Some(Judges::Compact) => {
                config.lr_discriminator = DiscriminatorConfig::lr_compact();
                config.hr_discriminator = DiscriminatorConfig::hr_compact();
            }
            Some(Judges::Light) => {
                config.lr_discriminator = DiscriminatorConfig::lr_compact();
                config.hr_discriminator = DiscriminatorConfig::hr_light();
                config.half_discriminator = true;
            }
            Some(Judges::Paper) => {
                config.lr_discriminator = DiscriminatorConfig::lr_paper();
                config.hr_discriminator = DiscriminatorConfig::hr_paper();
            }
            None => {}
        }
        self.apply_rates(config);
        put(self.encoded, &mut config.pairs.encoded);
        put(self.overlaid, &mut config.pairs.overlaid);
        put(self.camera, &mut config.pairs.camera);
        put(self.real, &mut config.pairs.real);
        put(self.balance, &mut config.balance);
        config.bf16 &= !self.fp32;
        if self.no_h2l {
            config.pairs.high_to_low = false;
            config.pairs.camera = 0.0;
            config.pairs.real = 0.0;
            config.steps.high_to_low = 0;
            config.steps.joint = 0;
        }
        if self.no_gan || self.pixel_only {
            config.steps.pixel += config.steps.gan + config.steps.joint;
            config.steps.gan = 0;
            config.steps.joint = 0;
        }
        if self.pixel_only {
            config.weights.beta_lr = 0.0;
        }
        Ok(())
    }
}

fn start(args: &TrainArgs, device: tch::Device) -> Result<State> {
    if let Some(path) = &args.resume {
        let mut state = State::load(path, device)?;
        args.phases.apply(&mut state.config);
        args.settings.apply_to_resumed(&mut state.config)?;
        state.config.check()?;
        return Ok(state);
    }
    let mut config = match &args.config {
        Some(path) => serde_json::from_slice(&std::fs::read(path).map_err(at(path))?)
            .map_err(|e| Error::Setting(format!("{}: {e}", path.display())))?,
        None => Config::default(),
    };
    if args.perceptual.is_some() && !config.needs_perceptual() {
        config.weights = Weights::with_perceptual();
    }
    if args.identity.is_some() {
        config.weights.identity = Weights::IDENTITY;
    }
    args.phases.apply(&mut config);
    if !args.pairs.is_empty() {
        config.pairs.encoded = 1.0;
    }
    args.settings.apply(&mut config)?;
    config.bf16 = config.bf16 && super::computes_bf16(device);
    config.check()?;
    let mut state = State::new(config, device);
    if let Some(path) = &args.h2l_from {
        state.adopt_high_to_low(path)?;
    }
    if let Some(path) = &args.l2h_from {
        state.adopt_low_to_high(path)?;
    }
    if let Some(path) = &args.hr_d_from {
        state.adopt_hr_discriminator(path)?;
    }
    Ok(state)
}

/// True when a checkpoint lies in this folder.
fn same_folder(checkpoint: &Path, folder: &Path) -> bool {
    let parent = match checkpoint.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let real = |path: &Path| path.canonicalize().ok();
    real(parent).is_some_and(|place| Some(place) == real(folder))
}

pub(super) fn run(args: &TrainArgs) -> Result<()> {
    let device = args.device.device()?;
    if let Some(threads) = args.threads {
        tch::set_num_threads(i32::from(threads.max(1)));
    }
    let mut state = start(args, device)?;
    let folder = match &args.resume {
        None => Folder::create(&args.out, args.force)?,
        // The run goes on where it was, or in a folder of its own.
        Some(path) if same_folder(path, &args.out) => Folder::open(&args.out)?,
        Some(_) => Folder::create(&args.out, false)?,
    };
    let mut archives = match &args.data {
        Some(folder) => Archives::of_folder(folder, state.config.scale),
        None => Archives::default(),
    };
    for (given, place) in [(&args.hr, &mut archives.hr), (&args.lr, &mut archives.lr)] {
        if !given.is_empty() {
            place.clone_from(given);
        }
    }
    archives.pairs.clone_from(&args.pairs);
    let mut data = TrainingData::load(&archives, args.cache.as_deref(), &state.config, device)?;
    if state.config.pairs.encoded > 0.0 {
        let pairs = data.pairs()?;
        println!("{} encoded pairs, {} held back", pairs.train.len(), pairs.held.len());
    }
    if let Some(file) = &args.perceptual {
        data = data.with_perceptual(file)?;
    } else if state.config.needs_perceptual() {
        data.perceptual()?;
    }
    if let Some(file) = &args.identity {
        data = data.with_identity(file, state.config.identity_side)?;
    } else if state.config.needs_identity() {
        data.identity()?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    super::stop_on_signals(&stop)?;
    let budget = Budget {
        minutes: args.minutes,
        steps: args.steps,
        checkpoint: Duration::from_secs(args.checkpoint_seconds),
        validate: args.validate_every.max(1),
        stop: Some(stop),
        ..Budget::default()
    };
    if args.resume.is_some() {
        folder.note_resumed(&state)?;
    }
    trainer::train(&mut state, &data, &folder, &budget)
}
