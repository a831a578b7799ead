//! `facesr-train pairs`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;

use crate::error::{Error, Result, at};
use crate::pairs::recipe::Recipe;
use crate::pairs::{self, Options};

#[derive(Debug, Args)]
pub(super) struct PairsArgs {
    /// Archive of sharp faces, 128x128; may be given several times.
    #[arg(long, required = true, value_name = "TAR")]
    hr: Vec<PathBuf>,
    /// Film, picture or folder of them for the backgrounds; may be given several times. Some are
    /// drawn in any case.
    #[arg(long, value_name = "FILE")]
    background: Vec<PathBuf>,
    /// Folder of the shards. A run goes on with those that are missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Shards to learn from, of 4096 pairs each.
    #[arg(long, default_value_t = 16)]
    shards: u64,
    /// Shards of people and scenes that are held back.
    #[arg(long, default_value_t = 1)]
    held: u64,
    /// Same seed, same shards.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What scenes look like, as a JSON file: any part of what --print-recipe shows.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Print the recipe and make nothing.
    #[arg(long)]
    print_recipe: bool,
}

pub(super) fn run(args: &PairsArgs) -> Result<()> {
    let recipe: Recipe = match &args.recipe {
        Some(path) => serde_json::from_slice(&std::fs::read(path).map_err(at(path))?)
            .map_err(|e| Error::Setting(format!("{}: {e}", path.display())))?,
        None => Recipe::default(),
    };
    if args.print_recipe {
        let text = serde_json::to_string_pretty(&recipe)
            .map_err(|e| Error::Setting(format!("the recipe cannot be written: {e}")))?;
        println!("{text}");
        return Ok(());
    }
    let options = Options {
        hr: args.hr.clone(),
        backgrounds: args.background.clone(),
        out: args.out.clone(),
        seed: args.seed,
        train: args.shards,
        held: args.held,
        recipe,
    };
    let stop = Arc::new(AtomicBool::new(false));
    super::stop_on_signals(&stop)?;
    let made = pairs::run(&options, &stop, |line| eprintln!("{line}"))?;
    println!("{}: {made} shards made", args.out.display());
    Ok(())
}
