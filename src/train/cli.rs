//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tch::{Cuda, Device, Kind, Tensor};

use crate::config::Config;
use crate::data::batch::fixed_batch;
use crate::data::faces::Faces;
use crate::error::{Error, Result};
use crate::export::model::{self, About};
use crate::export::verify;
use crate::train::run::{self, Budget, Folder};
use crate::train::source::Source;
use crate::train::state::State;

/// Trains, exports and judges the face generators of facesr.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train both stages, or take a run up again.
    Train(Box<TrainArgs>),
    /// Write the Low-to-High generator of a checkpoint as ONNX and check it at once.
    Export(ExportArgs),
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum DeviceArg {
    Auto,
    Cpu,
    Cuda,
}

#[derive(Debug, Args)]
struct TrainArgs {
    /// Folder with hr-faces.tar and lr-faces.tar.
    #[arg(long)]
    data: PathBuf,
    /// Folder of the run: checkpoints, metrics, samples.
    #[arg(long)]
    out: PathBuf,
    /// Where decoded faces are kept for the next start.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Go on from this checkpoint (its settings count; only budgets may be given).
    #[arg(long, value_name = "CHECKPOINT")]
    resume: Option<PathBuf>,
    /// Settings as a JSON file; the options below come on top.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Start with the High-to-Low generator of this checkpoint.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    h2l_from: Option<PathBuf>,
    /// Start with the Low-to-High generator of this checkpoint.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    l2h_from: Option<PathBuf>,
    /// Start with the discriminator of high faces of this checkpoint.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    high_d_from: Option<PathBuf>,
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// CPU threads.
    #[arg(long)]
    threads: Option<i32>,
    /// Stop after so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Stop after so many steps.
    #[arg(long)]
    steps: Option<u64>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// The checkpoint.
    #[arg(long)]
    checkpoint: PathBuf,
    /// The ONNX file to write.
    #[arg(long)]
    out: PathBuf,
    /// Compute in fp16 (for GPUs); input and output stay fp32.
    #[arg(long)]
    fp16: bool,
    /// Folder with lr-faces.tar, whose first faces the check runs on; noise without it.
    #[arg(long)]
    data: Option<PathBuf>,
    /// libonnxruntime.so; else $FACESR_ORT.
    #[arg(long)]
    onnxruntime: Option<PathBuf>,
    /// Said in the file about its training data.
    #[arg(long, default_value = "own data")]
    about_data: String,
    /// Said in the file about its terms.
    #[arg(long, default_value = "not stated")]
    about_terms: String,
}

/// Settings of a new run; what is not given keeps its default.
#[derive(Debug, Args)]
struct Settings {
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long)]
    batch: Option<usize>,
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
    /// fp32 arithmetic throughout.
    #[arg(long)]
    fp32: bool,
}

impl Settings {
    fn apply(&self, config: &mut Config) {
        let set = |value: Option<u64>, place: &mut u64| *place = value.unwrap_or(*place);
        set(self.seed, &mut config.seed);
        set(self.h2l_steps, &mut config.steps.high_to_low);
        set(self.pixel_steps, &mut config.steps.pixel);
        set(self.gan_steps, &mut config.steps.gan);
        set(self.joint_steps, &mut config.steps.joint);
        config.batch = self.batch.unwrap_or(config.batch);
        config.bf16 &= !self.fp32;
    }
}

fn device(wanted: DeviceArg) -> Result<Device> {
    match wanted {
        DeviceArg::Cpu => Ok(Device::Cpu),
        DeviceArg::Auto => Ok(Device::cuda_if_available()),
        DeviceArg::Cuda if Cuda::is_available() => Ok(Device::Cuda(0)),
        DeviceArg::Cuda => Err(Error::Setting(
            "no CUDA device, or this libtorch has no CUDA part (scripts/setup.sh DEST --cuda)".into(),
        )),
    }
}

fn train(args: TrainArgs) -> Result<()> {
    let device = device(args.device)?;
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads.max(1));
    }
    let folder = Folder::open(&args.out)?;
    let mut state = match &args.resume {
        Some(path) => State::load(path, device)?,
        None => {
            let mut config = match &args.config {
                Some(path) => serde_json::from_slice(
                    &std::fs::read(path).map_err(crate::error::at(path))?,
                )
                .map_err(|e| Error::Setting(format!("{}: {e}", path.display())))?,
                None => Config::default(),
            };
            args.settings.apply(&mut config);
            State::new(config, device)
        }
    };
    if let Some(path) = &args.h2l_from {
        state.adopt_high_to_low(path)?;
    }
    if let Some(path) = &args.l2h_from {
        state.adopt_low_to_high(path)?;
    }
    if let Some(path) = &args.high_d_from {
        state.adopt_high_discriminator(path)?;
    }
    let source = Source::load(&args.data, args.cache.as_deref(), &state.config, device)?;
    let budget = Budget { minutes: args.minutes, steps: args.steps, ..Budget::default() };
    run::train(&mut state, &source, &folder, &budget)
}

fn export(args: &ExportArgs) -> Result<()> {
    let state = State::load(&args.checkpoint, Device::Cpu)?;
    let net = &state.nets.l2h_ema;
    let about = About { data: args.about_data.clone(), terms: args.about_terms.clone() };
    model::write(&model::build(net, &about, args.fp16), &args.out)?;
    let faces = match &args.data {
        Some(folder) => {
            let low = Faces::load(&folder.join("lr-faces.tar"), 16, None)?;
            let step = (low.len() / 64).max(1);
            let indices: Vec<usize> = (0..low.len()).step_by(step).take(64).collect();
            fixed_batch(&low, &indices, Device::Cpu)
        }
        None => Tensor::rand([64, 3, 16, 16], (Kind::Float, Device::Cpu)) * 2.0 - 1.0,
    };
    let library = verify::find_library(args.onnxruntime.as_deref())?;
    let ours = tch::no_grad(|| net.forward(&faces, Kind::Float, false).clamp(-1.0, 1.0));
    let theirs = verify::Runner::new(&library, &args.out)?.run(&faces)?;
    let gap = verify::largest_difference(&ours, &theirs);
    // Half precision has 11 bits: a fiftieth of the range of one 8-bit step is out of its reach.
    let limit = if args.fp16 { 2e-2 } else { 1e-4 };
    let name = args.out.display();
    if gap >= limit {
        return Err(Error::Onnx(format!("{name} differs from libtorch by {gap:.2e}: not usable")));
    }
    println!("{name}: {gap:.1e} from libtorch on {} faces", faces.size()[0]);
    Ok(())
}

/// Runs one command.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Train(args) => train(*args),
        Command::Export(args) => export(&args),
    }
}
