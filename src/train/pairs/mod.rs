//! Pairs of faces that went through real video encoders, in shards ([`crate::dataset::pairs`]).
//!
//! Films are made of sharp faces that move, turn and grow over textured backgrounds; some are covered
//! or turned away. Lens, shutter, sensor and the camera's own sharpening come over them, then an
//! encoder of GStreamer, sometimes two. Faces are cropped from what the decoder gives, as the engine
//! crops them, at boxes with a tracker's error. Damage of moving pictures (skipped blocks, ghosts, the
//! age of a face since the last I frame) exists only there.
//!
//! A shard is a function of seed and number. A run goes on at the first one that is missing, and the
//! manifest holds the checksum of each and of what they were made of.

pub mod background;
pub mod codec;
pub mod occluder;
pub mod raster;
pub mod recipe;
pub mod scene;
mod yuv;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::background::Backgrounds;
use self::codec::Codec;
use self::recipe::Recipe;
use crate::dataset::pairs::{Header, NewPair, encode};
use crate::dataset::pictures::{Stored, read_stored};
use crate::error::{Error, Result, at};
use crate::rng::{Rng, Stream};

/// One person in so many is held back, with all of his or her faces.
const HELD: u32 = 20;
/// Scenes without a pair in a row after which something is wrong.
const MOST_IDLE_SCENES: usize = 50;

/// What to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// Archives of faces of 128x128.
    pub hr: Vec<PathBuf>,
    /// Films, pictures and folders of them for the backgrounds.
    pub backgrounds: Vec<PathBuf>,
    /// Folder of the shards.
    pub out: PathBuf,
    /// Same seed, same shards.
    pub seed: u64,
    /// Shards to learn from: numbers below this.
    pub train: u64,
    /// Shards of people and scenes that are held back: numbers below this.
    pub held: u64,
    /// What scenes look like.
    pub recipe: Recipe,
}

/// What a folder of shards is made of. Another recipe or other faces belong into another folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    seed: u64,
    /// Checksum of the recipe and of the archives of faces.
    recipe: String,
    /// Versions of the encoders that took part.
    encoders: BTreeMap<String, String>,
    /// Checksums of the shards.
    shards: BTreeMap<String, String>,
}

fn hex(hash: impl AsRef<[u8]>) -> String {
    hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn checksum_of_file(path: &Path) -> Result<String> {
    Ok(hex(Sha256::digest(std::fs::read(path).map_err(at(path))?)))
}

impl Manifest {
    fn place(folder: &Path) -> PathBuf {
        folder.join("manifest.json")
    }

    /// That of the folder, or a new one; refuses a folder of other shards.
    fn open(folder: &Path, fresh: Self) -> Result<Self> {
        let path = Self::place(folder);
        if path.is_file() {
            let text = std::fs::read(&path).map_err(at(&path))?;
            let found: Self = serde_json::from_slice(&text)
                .map_err(|e| Error::Data(format!("{}: {e}", path.display())))?;
            if (found.seed, &found.recipe) != (fresh.seed, &fresh.recipe) {
                return Err(Error::Setting(format!(
                    "{} holds pairs of another seed, recipe or other faces: give another --out",
                    folder.display()
                )));
            }
            return Ok(found);
        }
        let foreign = std::fs::read_dir(folder).map_err(at(folder))?.any(|entry| {
            entry.is_ok_and(|e| e.path().extension().is_some_and(|end| end == "pairs"))
        });
        if foreign {
            return Err(Error::Setting(format!(
                "{} holds shards but no manifest of this command: give another --out",
                folder.display()
            )));
        }
        Ok(fresh)
    }

    fn save(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::Data(format!("the manifest cannot be written: {e}")))?;
        publish(folder, &Self::place(folder), &text)
    }
}

/// Writes a file whole: beside its place, then renamed.
fn publish(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(at(folder))?;
    draft.write_all(bytes).map_err(at(path))?;
    draft.persist(path).map_err(|e| at(path)(e.error))?;
    Ok(())
}

/// True for a face that is held back: by person where known, else by original, else by itself.
fn is_held(face: &Stored) -> bool {
    let who = face.identity.as_deref().or(face.original.as_deref()).unwrap_or(&face.name);
    let hash = Sha256::digest(format!("{}{who}", face.source).as_bytes());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]).is_multiple_of(HELD)
}

/// Makes the shards that are missing. `tell` hears of each; `stop` ends the run after the scene in
/// hand. How many were made.
///
/// # Errors
/// When faces, backgrounds or the folder cannot be read, when no encoder of the recipe is there or
/// one fails, or when the folder holds shards of something else.
pub fn run(options: &Options, stop: &AtomicBool, mut tell: impl FnMut(&str)) -> Result<usize> {
    let recipe = &options.recipe;
    recipe.check()?;
    gst::init().map_err(|e| Error::Data(format!("GStreamer: {e}")))?;
    let codecs: Vec<(Codec, f32)> =
        recipe.codecs.iter().copied().filter(|(codec, _)| codec.is_there()).collect();
    if codecs.is_empty() {
        return Err(Error::Setting("no encoder of the recipe is installed".into()));
    }
    let mut faces = Vec::new();
    let mut hash = Sha256::new();
    let text = serde_json::to_vec(recipe)
        .map_err(|e| Error::Setting(format!("the recipe cannot be written: {e}")))?;
    hash.update(&text);
    for archive in &options.hr {
        hash.update(checksum_of_file(archive)?);
        faces.extend(read_stored(archive)?);
    }
    let recipe_hash = hex(hash.finalize());
    let encoders = codecs.iter().map(|(codec, _)| (format!("{codec:?}"), codec.version()));
    let numbered = (0u32..).zip(faces);
    let (held, train): (Vec<_>, Vec<_>) = numbered.partition(|(_, face)| is_held(face));
    let backgrounds = Backgrounds::open(&options.backgrounds, recipe.size.0, recipe.size.1)?;
    std::fs::create_dir_all(&options.out).map_err(at(&options.out))?;
    let fresh = Manifest {
        seed: options.seed,
        recipe: recipe_hash.clone(),
        encoders: encoders.collect(),
        shards: BTreeMap::new(),
    };
    let mut manifest = Manifest::open(&options.out, fresh)?;
    manifest.save(&options.out)?;
    tell(&format!(
        "{} faces to learn from, {} held back, {} backgrounds, {} encoders",
        train.len(),
        held.len(),
        backgrounds.len(),
        codecs.len()
    ));
    let mut made = 0;
    for (is_held, faces, count) in [(true, &held, options.held), (false, &train, options.train)] {
        if faces.is_empty() && count > 0 {
            return Err(Error::Data("too few people: none is left for one side".into()));
        }
        for index in 0..count {
            let kind = if is_held { "held" } else { "train" };
            let name = format!("{kind}-{index:04}.pairs");
            let path = options.out.join(&name);
            if path.exists() {
                continue;
            }
            let stage = Stage { faces, backgrounds: &backgrounds, codecs: &codecs, recipe };
            let Some(pairs) = stage.shard(options.seed, index, is_held, stop)? else {
                return Ok(made);
            };
            let header = Header {
                count: pairs.len(),
                seed: options.seed,
                index,
                held: is_held,
                recipe: recipe_hash[..16].to_owned(),
            };
            let bytes = encode(header, &pairs)?;
            manifest.shards.insert(name.clone(), hex(Sha256::digest(&bytes)));
            publish(&options.out, &path, &bytes)?;
            manifest.save(&options.out)?;
            made += 1;
            tell(&format!("{name}: {} pairs", pairs.len()));
        }
    }
    Ok(made)
}

/// All that scenes are made of.
struct Stage<'a> {
    faces: &'a [(u32, Stored)],
    backgrounds: &'a Backgrounds,
    codecs: &'a [(Codec, f32)],
    recipe: &'a Recipe,
}

impl Stage<'_> {
    /// The pairs of a shard, in random order; `None` when the run is to stop.
    fn shard(
        &self,
        seed: u64,
        index: u64,
        held: bool,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<NewPair>>> {
        let mut rng = Rng::new(seed, Stream::Pairs, index * 2 + u64::from(held));
        let mut pairs = Vec::new();
        let mut idle = 0;
        while pairs.len() < self.recipe.shard {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let more =
                scene::pairs(self.faces, self.backgrounds, self.codecs, self.recipe, &mut rng)?;
            idle = if more.is_empty() { idle + 1 } else { 0 };
            if idle > MOST_IDLE_SCENES {
                return Err(Error::Data("scene after scene gives no pair".into()));
            }
            pairs.extend(more);
        }
        // Neighbors in the file shall not be of one scene.
        for i in (1..pairs.len()).rev() {
            pairs.swap(i, rng.below(i + 1));
        }
        pairs.truncate(self.recipe.shard);
        Ok(Some(pairs))
    }
}
