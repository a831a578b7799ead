//! `facesr-train adapt`.

use std::path::PathBuf;

use clap::Args;

use super::DeviceArg;
use super::export::{self, Checked};
use crate::adaptation;
use crate::dataset::faces::Faces;
use crate::dataset::pictures::Size;
use crate::error::{Error, Result, at};
use crate::export::model::About;
use crate::training::trainer::Folder;

#[derive(Debug, Args)]
pub(super) struct AdaptArgs {
    /// The Low-to-High generator to start from: a checkpoint or an fp32 ONNX file such as
    /// models/low-to-high-compact.onnx
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// The High-to-Low generator to start from [default: high-to-low.safetensors beside the base]
    #[arg(long, value_name = "CHECKPOINT")]
    h2l: Option<PathBuf>,
    /// Real faces of the camera, 16x16 or 32x32 as the generator takes them: folder or tar that `facesr harvest` wrote
    #[arg(long, value_name = "FACES")]
    lr: PathBuf,
    /// Sharp faces of anyone, four times as large, or eight: folder or tar
    #[arg(long, value_name = "FACES")]
    hr: PathBuf,
    /// The generator to write, for `facesr enhance --generator`
    #[arg(short, long, value_name = "ONNX")]
    out: PathBuf,
    /// Train for so many minutes; judging takes about one more
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Replace the output, and what another run has left in the folder of the run
    #[arg(long)]
    force: bool,
    /// Train for so many steps instead, however long they take
    #[arg(long, conflicts_with = "minutes")]
    steps: Option<u64>,
    /// Folder of the run: checkpoints, metrics, samples [default: beside the output]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// The fixed network [default: where `make train-setup` leaves it,
    /// target/train/perceptual.safetensors]
    #[arg(long, value_name = "SAFETENSORS")]
    perceptual: Option<PathBuf>,
    /// The network that tells people apart [default: target/train/identity.safetensors, or, where
    /// there is none, no loss of identity]
    #[arg(long, value_name = "SAFETENSORS")]
    identity: Option<PathBuf>,
    /// Write the scores as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Settings as a JSON file (any part of what a checkpoint holds)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to compute
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// CPU threads
    #[arg(long)]
    threads: Option<u16>,
    /// fp32 arithmetic throughout
    #[arg(long)]
    fp32: bool,
    /// Same seed, same run, as long as it has the same number of steps
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Said in the file about its terms
    #[arg(long, default_value = "those of the model it was adapted from")]
    about_terms: String,
}

/// A file that `make train-setup` has left below the current folder.
fn fetched(name: &str) -> Option<PathBuf> {
    let file = PathBuf::from(format!("target/train/{name}.safetensors"));
    file.is_file().then_some(file)
}

pub(super) fn run(args: &AdaptArgs) -> Result<()> {
    if !(args.minutes > 0.0 && args.minutes < 1e5) {
        return Err(Error::Setting("--minutes must be more than 0".into()));
    }
    if args.out.exists() && !args.force {
        return Err(Error::Setting(format!(
            "{} is there already; --force replaces it",
            args.out.display()
        )));
    }
    let device = args.device.device()?;
    if let Some(threads) = args.threads {
        tch::set_num_threads(i32::from(threads.max(1)));
    }
    let h2l = match &args.h2l {
        Some(path) => path.clone(),
        None => args.base.with_file_name("high-to-low.safetensors"),
    };
    let perceptual = args.perceptual.clone().or_else(|| fetched("perceptual"));
    let identity = args.identity.clone().or_else(|| fetched("identity"));
    let mut config = match &args.config {
        Some(path) => serde_json::from_slice(&std::fs::read(path).map_err(at(path))?)
            .map_err(|e| Error::Setting(format!("{}: {e}", path.display())))?,
        None => adaptation::settings(),
    };
    // The network is that of the file, whatever the settings say.
    (config.scale, config.low_to_high) = adaptation::network_of(&args.base)?;
    config.seed = args.seed;
    config.bf16 = config.bf16 && !args.fp32 && super::computes_bf16(device);
    if config.weights.identity > 0.0 && identity.is_none() {
        eprintln!(
            "facesr-train: note: no loss of identity, for its network is not here: make train-setup \
             fetches it where npm is installed"
        );
        config.weights.identity = 0.0;
    }
    config.check()?;

    let lr = Faces::open(&args.lr, Size::Exactly(config.scale.lr as u32))?;
    let hr = Faces::open(&args.hr, Size::OrTwice(config.scale.hr() as u32))?;
    let mut data = adaptation::training_data(hr, lr, &config, device)?;
    let train = data.lr_split.train.len();
    if train < 100 {
        eprintln!(
            "facesr-train: note: {train} faces are few to learn from; some hundreds of many people \
             teach more"
        );
    }
    let base = args.base.file_name().unwrap_or_default().to_string_lossy();
    let about = About {
        data: format!("{base}, adapted to {train} faces of one camera"),
        terms: args.about_terms.clone(),
    };
    if config.needs_perceptual() {
        match &perceptual {
            Some(file) => data = data.with_perceptual(file)?,
            // Says what is missing and where it comes from.
            None => drop(data.perceptual()?),
        }
    }
    if let (Some(file), true) = (&identity, config.weights.identity > 0.0) {
        data = data.with_identity(file, config.identity_side)?;
    }
    let start = || adaptation::adopt(&config, &h2l, &args.base, device);
    let (before, mut state) = (start()?, start()?);
    state.config.steps = match args.steps {
        Some(steps) => adaptation::split_steps(steps),
        None => adaptation::steps_within(args.minutes, start, &data)?,
    };
    let minutes = args.steps.is_none().then_some(args.minutes);
    let steps = state.config.steps;
    println!("{} steps of High-to-Low, then {} of Low-to-High", steps.high_to_low, steps.gan);
    let run = args.run.clone().unwrap_or_else(|| args.out.with_extension("run"));
    let folder = Folder::create(&run, args.force)?;
    if !adaptation::train(&mut state, &data, &folder, minutes)? {
        eprintln!(
            "facesr-train: note: the time was up in the phase {} after {} steps: the machine got \
             slower, give it more --minutes",
            state.progress.phase.name(),
            state.progress.step
        );
    }

    let scores = adaptation::judge(&before, &state, &data)?;
    print!("{}", scores.table());
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&scores)
            .map_err(|e| Error::Data(format!("the scores cannot be written: {e}")))?;
        std::fs::write(path, text).map_err(at(path))?;
    }
    let held = crate::dataset::batch::fixed_batch(&data.lr, &data.lr_split.held, tch::Device::Cpu);
    let net = &state.nets.l2h_ema;
    export::write_checked(net, &about, &args.out, Checked { faces: &held, fp16: false })
}
