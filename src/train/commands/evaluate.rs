//! `facesr-train evaluate`.

use std::path::PathBuf;

use clap::Args;

use crate::dataset::faces::Faces;
use crate::dataset::pictures::Size;
use crate::error::{Error, Result, at};
use crate::evaluation::{FeatureNet, Generator, Judge, Scores};
use crate::export::verify::Runner;
use crate::scale::Scale;
use crate::training::state::State;

#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    /// An exported generator, as FILE or NAME=FILE; may be given several times.
    #[arg(long)]
    generator: Vec<String>,
    /// Judge the High-to-Low generator of this checkpoint, too.
    #[arg(long, value_name = "CHECKPOINT")]
    high_to_low: Option<PathBuf>,
    /// Archive of HR faces to compare with; those of twice the size are shrunk.
    #[arg(long)]
    hr: PathBuf,
    /// Archive of real LR faces.
    #[arg(long)]
    lr: PathBuf,
    /// Side of LR faces, 16 or 32 [default: that of the first generator].
    #[arg(long)]
    lr_size: Option<usize>,
    /// An ONNX feature net (RGB in 0..1, [n, 3, side, side] -> [n, d]) for kernel and Frechet
    /// distance.
    #[arg(long)]
    features: Option<PathBuf>,
    /// Size of its input.
    #[arg(long, default_value_t = 299)]
    feature_side: i64,
    /// Write a contact sheet of real LR faces and results.
    #[arg(long)]
    sheet: Option<PathBuf>,
    /// Write the figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn show(scores: &Scores) {
    let number = |v: Option<f64>| v.map_or_else(|| "-".into(), |v| format!("{v:.2}"));
    println!(
        "{:24} {:6.2} {:6.3} {:>8} {:>8} {:8.3} {:7.2} {:6.2}",
        scores.name,
        scores.psnr,
        scores.ssim,
        number(scores.kernel_distance),
        number(scores.frechet_distance),
        scores.random_distance,
        scores.kept,
        scores.sharp,
    );
}

pub(super) fn run(args: &EvaluateArgs) -> Result<()> {
    let net = match &args.features {
        Some(path) => Some(FeatureNet::new(path, args.feature_side)?),
        None => None,
    };
    let mut names = vec!["bicubic".to_owned()];
    let mut generators = vec![Generator::Bicubic];
    for given in &args.generator {
        let (name, file) = given.split_once('=').unwrap_or((given, given));
        names.push(name.to_owned());
        generators.push(Generator::Onnx(Box::new(Runner::new(file.as_ref())?)));
    }
    let declared = generators.iter().find_map(|g| match g {
        Generator::Onnx(runner) => runner.lr_size(),
        Generator::Bicubic => None,
    });
    let scale = Scale::for_lr(args.lr_size.or(declared).unwrap_or(Scale::SMALL.lr))
        .ok_or_else(|| Error::Setting("LR faces are 16 or 32 pixels large".into()))?;
    let hr = Faces::load(&args.hr, Size::OrTwice(scale.hr() as u32), None)?;
    let lr = Faces::load(&args.lr, Size::Exactly(scale.lr as u32), None)?;
    let mut judge = Judge::new(&hr, &lr, net)?;
    println!(
        "{:24} {:>6} {:>6} {:>8} {:>8} {:>8} {:>7} {:>6}",
        "", "PSNR", "SSIM", "KID*1e3", "FID", "random", "kept", "sharp"
    );
    let mut all = Vec::new();
    for (name, generator) in names.iter().zip(&mut generators) {
        let scores = judge.score(name, generator)?;
        show(&scores);
        all.push(scores);
    }
    if let Some(path) = &args.high_to_low {
        let state = State::load(path, tch::Device::Cpu)?;
        let [shrunk, degraded, lit] = judge.high_to_low(&state.nets.h2l_ema)?;
        println!(
            "distance to real LR faces: shrunk {shrunk:.2}, high-to-low {degraded:.2}, with its \
             light put right {lit:.2}"
        );
    }
    if let Some(path) = &args.sheet {
        judge.sheet(&mut generators, 4, path)?;
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&all)
            .map_err(|e| Error::Data(format!("the figures cannot be written: {e}")))?;
        std::fs::write(path, text).map_err(at(path))?;
    }
    Ok(())
}
