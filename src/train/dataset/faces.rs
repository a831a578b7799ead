//! A set of decoded faces in memory, split into training and validation, with a cache file so that
//! 30,000 JPEGs are decoded once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::pictures::{Picture, Size, read_folder, read_tar};
use crate::error::{Error, Result, at};
use crate::rng::Rng;

const MAGIC: &[u8; 8] = b"FSRFACE3";
/// Neighbors of a source that are kept together where no manifest names tracks.
const RUN: usize = 40;
/// Neighbors of a run that is held back which go to neither side.
const GAP: usize = 8;

/// Faces of one size and where they come from.
#[derive(Debug)]
pub struct Faces {
    side: usize,
    pixels: Vec<u8>,
    labels: Labels,
}

#[derive(Debug, Serialize, Deserialize)]
struct Labels {
    side: usize,
    /// Place, size and time of the archive that the cache was made of.
    stamp: String,
    names: Vec<String>,
    sources: Vec<String>,
    identities: Vec<Option<String>>,
    originals: Vec<Option<String>>,
}

/// Indices of the faces to learn from and of those held back.
#[derive(Debug, Clone)]
pub struct Split {
    /// Faces to learn from.
    pub train: Vec<usize>,
    /// Faces held back for validation.
    pub held: Vec<usize>,
}

impl Faces {
    /// Reads the archive, or its decoded copy in `cache` when that is still up to date.
    ///
    /// # Errors
    /// When the archive cannot be read or a picture in it is broken or of another size.
    pub fn load(tar: &Path, size: Size, cache: Option<&Path>) -> Result<Self> {
        let side = size.side() as usize;
        let meta = fs::metadata(tar).map_err(at(tar))?;
        let place = fs::canonicalize(tar).map_err(at(tar))?.to_string_lossy().into_owned();
        let time = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        let stamp = format!("{place} {} {}", meta.len(), time.map_or(0, |t| t.as_nanos()));
        let file = cache.map(|folder| {
            let stem = tar.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let hash = Sha256::digest(place.as_bytes());
            // Two folders may have archives of one name.
            folder
                .join(format!("{stem}-{side}-{:02x}{:02x}{:02x}.faces", hash[0], hash[1], hash[2]))
        });
        if let Some(faces) = file.as_deref().and_then(|f| Self::read_cache(f, side, &stamp)) {
            return Ok(faces);
        }
        let faces = Self::from_pictures(read_tar(tar, size)?, side, stamp);
        if let (Some(folder), Some(file)) = (cache, file) {
            fs::create_dir_all(folder).map_err(at(folder))?;
            faces.write_cache(&file)?;
        }
        Ok(faces)
    }

    /// Reads a tar, or a folder of the same shape.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn open(path: &Path, size: Size) -> Result<Self> {
        if !path.is_dir() {
            return Self::load(path, size, None);
        }
        let pictures = read_folder(path, size)?;
        Ok(Self::from_pictures(pictures, size.side() as usize, String::new()))
    }

    /// The faces of several archives as one set.
    ///
    /// # Errors
    /// As [`Self::load`]; when there is no archive.
    pub fn load_all(tars: &[std::path::PathBuf], size: Size, cache: Option<&Path>) -> Result<Self> {
        let mut sets = tars.iter().map(|tar| Self::load(tar, size, cache));
        let mut all = sets.next().ok_or_else(|| Error::Data("no archive of faces".into()))??;
        for set in sets {
            let set = set?;
            all.pixels.extend_from_slice(&set.pixels);
            all.labels.names.extend(set.labels.names);
            all.labels.sources.extend(set.labels.sources);
            all.labels.identities.extend(set.labels.identities);
            all.labels.originals.extend(set.labels.originals);
        }
        Ok(all)
    }

    /// Faces out of pictures that are already decoded.
    pub fn from_pictures(pictures: Vec<Picture>, side: usize, stamp: String) -> Self {
        let mut pixels = Vec::with_capacity(pictures.len() * side * side * 3);
        let mut labels = Labels {
            side,
            stamp,
            names: Vec::new(),
            sources: Vec::new(),
            identities: Vec::new(),
            originals: Vec::new(),
        };
        for picture in pictures {
            pixels.extend_from_slice(&picture.rgb);
            labels.names.push(picture.name);
            labels.sources.push(picture.source);
            labels.identities.push(picture.identity);
            labels.originals.push(picture.original);
        }
        Self { side, pixels, labels }
    }

    fn read_cache(file: &Path, side: usize, stamp: &str) -> Option<Self> {
        let mut bytes = fs::read(file).ok()?;
        let rest = bytes.strip_prefix(MAGIC.as_slice())?;
        let header = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?) as usize;
        let labels: Labels =
            serde_json::from_slice(rest.get(8..8usize.checked_add(header)?)?).ok()?;
        let start = MAGIC.len() + 8 + header;
        let n = labels.names.len();
        let fits = bytes.len() - start == n * side * side * 3
            && [labels.sources.len(), labels.identities.len(), labels.originals.len()] == [n; 3];
        if labels.side != side || labels.stamp != stamp || !fits {
            return None;
        }
        bytes.drain(..start);
        Some(Self { side, pixels: bytes, labels })
    }

    fn write_cache(&self, file: &Path) -> Result<()> {
        let header = serde_json::to_vec(&self.labels)
            .map_err(|e| Error::Data(format!("labels cannot be written: {e}")))?;
        let mut bytes = Vec::with_capacity(self.pixels.len() + header.len() + 16);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.pixels);
        let beside = file.with_extension("part");
        fs::write(&beside, &bytes).map_err(at(&beside))?;
        fs::rename(&beside, file).map_err(at(file))
    }

    /// How many faces there are.
    pub fn len(&self) -> usize {
        self.labels.names.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.names.is_empty()
    }

    /// Pixels along one edge.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Face `i`: `side` x `side` x RGB.
    pub fn rgb(&self, i: usize) -> &[u8] {
        let n = self.side * self.side * 3;
        &self.pixels[i * n..(i + 1) * n]
    }

    /// Path of face `i` inside its archive.
    pub fn name(&self, i: usize) -> &str {
        &self.labels.names[i]
    }

    /// The source folder of face `i`.
    pub fn source(&self, i: usize) -> &str {
        &self.labels.sources[i]
    }

    /// Splits by person where the manifest knows who it is, else by the original that a face was cropped
    /// out of, else by picture: about `share` of them are held back. The same archive always gives the
    /// same split.
    pub fn split_by_identity(&self, share: f64) -> Split {
        self.split(share, |i| self.person(i))
    }

    /// Who is on face `i`, as far as that is known: else its original, else its own name.
    fn person(&self, i: usize) -> String {
        match (&self.labels.identities[i], &self.labels.originals[i]) {
            (Some(who), _) => who.clone(),
            (None, Some(original)) => format!("{}@{original}", self.source(i)),
            (None, None) => self.name(i).to_owned(),
        }
    }

    /// At most `n` of some faces, in turn from each source, and no person twice: always the same ones.
    pub fn one_a_person(&self, indices: &[usize], n: usize) -> Vec<usize> {
        let mut sources: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut people = BTreeSet::new();
        for &i in indices {
            // The faces of one original are different people.
            let who = self.labels.identities[i].as_deref().unwrap_or_else(|| self.name(i));
            if people.insert(who.to_owned()) {
                sources.entry(self.source(i)).or_default().push(i);
            }
        }
        let longest = sources.values().map(Vec::len).max().unwrap_or(0);
        let in_turn = (0..longest).flat_map(|k| sources.values().filter_map(move |s| s.get(k)));
        in_turn.take(n).copied().collect()
    }

    /// The same for sets so small that a share of the people may be all of the faces, or none: holds
    /// back one person after the other as long as no more than `share` of the faces is held back, or
    /// else the one with the fewest faces. Where there is one person, nothing is held back.
    pub fn hold_back(&self, share: f64) -> Split {
        let mut people: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for i in 0..self.len() {
            let who = self.labels.identities[i].as_deref().unwrap_or_else(|| self.name(i));
            people.entry(Sha256::digest(who.as_bytes()).to_vec()).or_default().push(i);
        }
        let most = (share.clamp(0.0, 1.0) * self.len() as f64).ceil() as usize;
        let (mut held, mut train) = (Vec::new(), Vec::new());
        for person in people.values() {
            let side = if held.len() + person.len() <= most { &mut held } else { &mut train };
            side.extend(person);
        }
        if let (true, Some(fewest)) = (held.is_empty(), people.values().min_by_key(|p| p.len()))
            && people.len() > 1
        {
            held.clone_from(fewest);
            train.retain(|i| !held.contains(i));
        }
        held.sort_unstable();
        train.sort_unstable();
        Split { train, held }
    }

    /// Splits by track where the manifest names tracks, else by runs of some 40 neighbors of one source
    /// that end where an original ends: consecutive pictures of a source are often the same person in
    /// the same video. Faces next to such a run that is held back go to neither side.
    pub fn split_by_track(&self, share: f64) -> Split {
        let groups = self.tracks_and_runs();
        let mut split = self.split(share, |i| groups[i].0.clone());
        let held: BTreeSet<(&str, usize)> = split
            .held
            .iter()
            .filter_map(|&i| groups[i].1.map(|place| (self.source(i), place)))
            .collect();
        let near = |i: usize| {
            groups[i].1.is_some_and(|place| {
                let reach = place.saturating_sub(GAP)..=place + GAP;
                held.range((self.source(i), *reach.start())..=(self.source(i), *reach.end()))
                    .next()
                    .is_some()
            })
        };
        split.train.retain(|&i| !near(i));
        split
    }

    /// For each face the name of what must not be torn apart, and, where that is a run of neighbors,
    /// its place in its source.
    fn tracks_and_runs(&self) -> Vec<(String, Option<usize>)> {
        #[derive(Default)]
        struct Run<'a> {
            place: usize,
            number: usize,
            faces: usize,
            original: Option<&'a str>,
        }
        let mut runs: BTreeMap<&str, Run<'_>> = BTreeMap::new();
        (0..self.len())
            .map(|i| {
                if let Some(track) = &self.labels.identities[i] {
                    return (format!("{}@{track}", self.source(i)), None);
                }
                let run = runs.entry(self.source(i)).or_default();
                let original = self.labels.originals[i].as_deref();
                let same = original.is_some() && original == run.original;
                if run.faces >= RUN && !same {
                    run.number += 1;
                    run.faces = 0;
                }
                run.original = original;
                run.faces += 1;
                run.place += 1;
                (format!("{}#{}", self.source(i), run.number), Some(run.place))
            })
            .collect()
    }

    fn split(&self, share: f64, key: impl Fn(usize) -> String) -> Split {
        let limit = (share.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
        let hashes: Vec<u32> = (0..self.len())
            .map(|i| {
                let hash = Sha256::digest(key(i).as_bytes());
                u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
            })
            .collect();
        // However small the set, one group is held back.
        let limit = limit.max(hashes.iter().min().map_or(0, |h| h.saturating_add(1)));
        let (held, train) = (0..self.len()).partition(|&i| hashes[i] < limit);
        Split { train, held }
    }
}

/// Draws faces so that small sources are not drowned by large ones.
#[derive(Debug)]
pub struct Sampler {
    groups: Vec<(f32, Vec<usize>)>,
}

impl Sampler {
    /// Groups `indices` by source. A source with n pictures is drawn with weight n^(1 - balance):
    /// 0 draws every picture equally often, 1 every source.
    pub fn new(faces: &Faces, indices: &[usize], balance: f64) -> Result<Self> {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for &i in indices {
            groups.entry(faces.source(i)).or_default().push(i);
        }
        if groups.is_empty() {
            return Err(Error::Data("there are no faces left to draw from".into()));
        }
        let weight = |n: usize| (n as f64).powf(1.0 - balance);
        let total: f64 = groups.values().map(|g| weight(g.len())).sum();
        let mut sum = 0.0;
        let groups = groups
            .into_values()
            .map(|g| {
                sum += weight(g.len()) / total;
                (sum as f32, g)
            })
            .collect();
        Ok(Self { groups })
    }

    /// The index of one face.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        let at = rng.unit();
        let last = self.groups.len() - 1;
        let k = self.groups.iter().position(|(edge, _)| at < *edge).unwrap_or(last);
        let group = &self.groups[k].1;
        group[rng.below(group.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn faces(n: usize) -> Faces {
        let pictures = (0..n)
            .map(|i| Picture {
                name: format!("a/{i}.png"),
                source: if i % 10 == 0 { "small" } else { "large" }.into(),
                identity: (i % 2 == 0).then(|| format!("p{}", i / 4)),
                original: None,
                rgb: vec![i as u8; 12],
            })
            .collect();
        Faces::from_pictures(pictures, 2, "1 2".into())
    }

    #[test]
    fn split_keeps_a_person_on_one_side() {
        let faces = faces(400);
        let split = faces.split_by_identity(0.3);
        assert_eq!(split.train.len() + split.held.len(), 400);
        assert!((60..180).contains(&split.held.len()), "{}", split.held.len());
        let who = |i: &usize| faces.labels.identities[*i].clone();
        let held: Vec<_> = split.held.iter().filter_map(who).collect();
        assert!(split.train.iter().filter_map(who).all(|w| !held.contains(&w)));
    }

    /// Faces of a video: 300 frames of 3 faces each, of which `tracks` names the track.
    fn video(tracks: impl Fn(usize) -> Option<String>) -> Faces {
        let pictures = (0..900)
            .map(|i| Picture {
                name: format!("v/{i:05}.png"),
                source: "v".into(),
                identity: tracks(i),
                original: Some(format!("{:06}.jpg", i / 3)),
                rgb: vec![0; 12],
            })
            .collect();
        Faces::from_pictures(pictures, 2, String::new())
    }

    #[test]
    fn split_keeps_a_track_on_one_side() {
        let faces = video(|i| Some(format!("t{}", i % 3 + 3 * (i / 90))));
        let split = faces.split_by_track(0.2);
        assert_eq!(split.train.len() + split.held.len(), 900);
        assert!((60..400).contains(&split.held.len()), "{}", split.held.len());
        let track = |i: &usize| faces.labels.identities[*i].clone().unwrap();
        let held: BTreeSet<String> = split.held.iter().map(track).collect();
        assert!(split.train.iter().map(track).all(|t| !held.contains(&t)));
    }

    #[test]
    fn split_leaves_a_gap_between_neighboring_originals() {
        let faces = video(|_| None);
        let split = faces.split_by_track(0.2);
        assert!(!split.held.is_empty() && split.train.len() > 400);
        let original = |i: &usize| *i / 3;
        for held in split.held.iter().map(original) {
            let near = split.train.iter().map(original).filter(|t| t.abs_diff(held) <= 2).count();
            assert_eq!(near, 0, "original {held}");
        }
    }

    #[test]
    fn faces_to_judge_by_come_from_every_source_and_nobody_twice() {
        let faces = faces(400);
        let all: Vec<usize> = (0..400).collect();
        let chosen = faces.one_a_person(&all, 40);
        assert_eq!(chosen.len(), 40);
        let small = chosen.iter().filter(|&&i| faces.source(i) == "small").count();
        assert!((15..=25).contains(&small), "{small} of 40 from a source of a tenth");
        let people: BTreeSet<String> = chosen.iter().map(|&i| faces.person(i)).collect();
        assert_eq!(people.len(), 40);
    }

    #[test]
    fn a_small_set_gives_up_its_share_and_never_half_a_person() {
        for n in [5, 20, 60, 400] {
            let faces = faces(n);
            let split = faces.hold_back(0.25);
            let mut all = [split.train.clone(), split.held.clone()].concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..n));
            // A person has at most two faces here.
            assert!(matches!(n.div_ceil(4) - split.held.len(), 0 | 1), "{n}: {:?}", split.held);
            let who = |i: &usize| faces.labels.identities[*i].clone();
            let held: Vec<_> = split.held.iter().filter_map(who).collect();
            assert!(split.train.iter().filter_map(who).all(|w| !held.contains(&w)));
        }
        let of_two = |a: usize, b: usize| {
            let mut faces = faces(a + b);
            faces.labels.identities =
                (0..a + b).map(|i| Some(if i < a { "a" } else { "b" }.into())).collect();
            let split = faces.hold_back(0.25);
            (split.train.len(), split.held.len())
        };
        assert_eq!((of_two(9, 2), of_two(2, 9), of_two(6, 5)), ((9, 2), (9, 2), (6, 5)));
        assert_eq!(of_two(4, 0), (4, 0));
    }

    #[test]
    fn cache_comes_back_and_stale_or_damaged_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.faces");
        faces(5).write_cache(&file).unwrap();
        let back = Faces::read_cache(&file, 2, "1 2").unwrap();
        assert_eq!((back.len(), back.rgb(3)), (5, [3u8; 12].as_slice()));
        assert!(Faces::read_cache(&file, 2, "1 3").is_none());
        assert!(Faces::read_cache(&file, 4, "1 2").is_none());
        let bytes = fs::read(&file).unwrap();
        for cut in [0, 7, 8, 15, 16, 40, bytes.len() - 1] {
            fs::write(&file, &bytes[..cut]).unwrap();
            assert!(Faces::read_cache(&file, 2, "1 2").is_none(), "{cut}");
        }
        for claimed in [0, 1 << 20, u64::MAX - 7, u64::MAX] {
            let mut bytes = bytes.clone();
            bytes[8..16].copy_from_slice(&claimed.to_le_bytes());
            fs::write(&file, bytes).unwrap();
            assert!(Faces::read_cache(&file, 2, "1 2").is_none(), "{claimed}");
        }
        let mut fewer = faces(5);
        fewer.labels.sources.pop();
        fewer.write_cache(&file).unwrap();
        assert!(Faces::read_cache(&file, 2, "1 2").is_none());
        let mut fewer = faces(5);
        fewer.labels.identities.clear();
        fewer.write_cache(&file).unwrap();
        assert!(Faces::read_cache(&file, 2, "1 2").is_none());
    }

    #[test]
    fn balance_evens_out_the_sources() {
        let faces = faces(1000);
        let all: Vec<usize> = (0..1000).collect();
        let mut rng = Rng::new(1, Stream::Batch, 0);
        for (balance, low, high) in [(0.0, 0.05, 0.15), (0.5, 0.2, 0.3), (1.0, 0.45, 0.55)] {
            let sampler = Sampler::new(&faces, &all, balance).unwrap();
            let hits =
                (0..4000).filter(|_| faces.source(sampler.draw(&mut rng)) == "small").count();
            let share = hits as f64 / 4000.0;
            assert!((low..high).contains(&share), "balance {balance}: {share}");
        }
        assert!(Sampler::new(&faces, &[], 0.0).is_err());
    }
}
