//! Plans a frame: on which rung each face is shown, which faces are generated again, and what they
//! have to do with those before.
//!
//! [`reuse`] tells how due a face is; here is what is known of each track for that, and the choice
//! among all faces of a frame.

use std::collections::HashMap;
use std::time::Duration;

use super::align::Aligner;
use super::backend::{Crops, FaceLayer, FacePlan, MAX_RUNGS, RenderTimes};
use super::denoise::{CropMean, TemporalDenoiser};
use super::focus::{SteadyClarity, clarity};
use super::ladder::rung_for;
use super::reuse::{self, CostModel, Signature};
use crate::enhance::options::EnhancerOptions;
use crate::face::Face;
use crate::geometry::CropSquare;
use crate::shape::Shape;

/// Root mean square change of a crop from frame to frame, in units of -1..=1, at which temporal
/// smoothing has lost most of its hold: three times the noise of a poor camera.
const STILL: f32 = 0.08;

/// Part of the change that `reuse` lets pass which passes without temporal smoothing: a face
/// that is mixed with its past follows a change late anyhow, so that a later start shows less. All
/// of it passes at a smoothing of 0.5.
const SHARP: f32 = 0.8;

/// Faces of a frame that get as much as `reuse` says. Of more than these each may change more before it is
/// generated again, up to [`MOST_CROWDED`] times as much: nobody looks at each face of a crowd, and all of them
/// take time. It grows by this power of their number.
const FEW: f32 = 32.0;
const CROWDING: f32 = 2.0 / 3.0;
const MOST_CROWDED: f32 = 4.0;

/// How long a face that is not seen is remembered: detectors miss faces for some frames, and those
/// at a limit of size or number come and go.
const MEMORY: Duration = Duration::from_millis(500);

/// How long an aligned square takes to come back to where its face was detected, which has the last
/// word: a head may turn within the square.
const RETURN: Duration = Duration::from_millis(500);

/// How long a face takes from one rung to another.
const CROSS_FADE: Duration = Duration::from_millis(200);

/// What is known of a face on one rung.
#[derive(Debug, Default)]
struct RungHistory {
    /// What it was last generated from; `None` if it never was.
    signature: Option<Signature>,
    /// Where the backend keeps what was shown.
    slot: Option<usize>,
    /// When it was generated last.
    generated: Duration,
    crops: CropMean,
}

/// A face on its way to another rung.
#[derive(Debug, Clone, Copy)]
struct Fade {
    to: usize,
    /// When it was generated there for the first time.
    since: Option<Duration>,
}

/// What is kept of a face from one frame to the next.
#[derive(Debug, Default)]
struct FaceHistory {
    rungs: [RungHistory; MAX_RUNGS],
    /// The rung it is shown on; `None` before its first frame.
    rung: Option<usize>,
    fade: Option<Fade>,
    clarity: SteadyClarity,
    /// Whether its square is aligned to the crops before.
    is_aligned: bool,
    /// When it was seen last, and the time before.
    seen: Duration,
    before: Duration,
    /// In which frame.
    frame: u64,
}

impl FaceHistory {
    /// Leads it to the rung that it should be on. What it passes to has a share of 0 until it has
    /// been generated, and of 1 after the cross-fade.
    fn follow(&mut self, wanted: usize, at: Duration) {
        let Some(rung) = self.rung else {
            self.rung = Some(wanted);
            return;
        };
        if let Some(Fade { to, since: Some(since) }) = self.fade
            && at.saturating_sub(since) >= CROSS_FADE
        {
            self.rungs[rung] = RungHistory::default();
            self.rung = Some(to);
            self.fade = None;
        }
        if self.fade.is_none() && self.rung != Some(wanted) {
            self.fade = Some(Fade { to: wanted, since: None });
        }
    }

    /// Share of the rung it passes to, 0..=1.
    fn share(&self, at: Duration) -> f32 {
        let since = self.fade.and_then(|fade| fade.since);
        since.map_or(0.0, |since| at.saturating_sub(since).as_secs_f32() / CROSS_FADE.as_secs_f32())
    }

    /// Rungs that it is shown on, the one it passes to last.
    fn shown(&self) -> impl Iterator<Item = usize> + use<> {
        self.rung.into_iter().chain(self.fade.map(|fade| fade.to))
    }
}

/// A face's number, and how many of that number were in the frame before: two faces of one number
/// must not share what is kept.
type Key = (u64, u32);

/// Which of the backend's slots of a rung are taken.
#[derive(Debug, Default)]
struct Slots(Vec<bool>);

impl Slots {
    /// The first that is free, taken.
    fn take(&mut self) -> usize {
        let slot = self.0.iter().position(|taken| !taken).unwrap_or(self.0.len());
        if slot == self.0.len() {
            self.0.push(false);
        }
        self.0[slot] = true;
        slot
    }

    /// Frees all but `slots`.
    fn keep(&mut self, slots: impl Iterator<Item = usize>) {
        self.0.fill(false);
        slots.for_each(|slot| self.0[slot] = true);
    }
}

/// A face on a rung that might be generated.
#[derive(Debug)]
struct Candidate {
    /// How due it is.
    priority: f32,
    /// Change of its crop since it was last generated; `None` if it never was.
    change: Option<f32>,
    /// Number among the chosen faces, and of the crop.
    face: usize,
    crop: usize,
    /// Whether it is what the face passes to.
    is_next: bool,
    rung: usize,
    signature: Signature,
}

/// Plans the frames of one stream.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    histories: HashMap<Key, FaceHistory>,
    slots: [Slots; MAX_RUNGS],
    /// Of the chosen faces.
    keys: Vec<Key>,
    plans: Vec<FacePlan>,
    candidates: Vec<Candidate>,
    aligner: Aligner,
    denoiser: TemporalDenoiser,
    costs: CostModel,
}

impl Planner {
    /// Forgets what is known of the faces.
    pub(crate) fn reset(&mut self) {
        self.histories.clear();
        self.slots = Default::default();
    }

    /// Whether the face of this number is remembered.
    pub(crate) fn remembers(&self, id: u64) -> bool {
        self.histories.contains_key(&(id, 0))
    }

    /// Forgets the faces that have not been seen for long.
    pub(crate) fn forget_old(&mut self, at: Duration) {
        self.histories.retain(|_, history| at.saturating_sub(history.seen) <= MEMORY);
        for (rung, slots) in self.slots.iter_mut().enumerate() {
            slots.keep(self.histories.values().filter_map(|history| history.rungs[rung].slot));
        }
    }

    /// Records what it took to carry out the latest plans, and returns how many faces were
    /// generated. Of a face that held numbers that are not finite nothing is known afterwards.
    pub(crate) fn record(&mut self, times: &RenderTimes) -> usize {
        let mut counts = [0; MAX_RUNGS];
        let layers = self.plans.iter().flat_map(FacePlan::layers);
        layers.filter(|layer| layer.generate).for_each(|layer| counts[layer.rung] += 1);
        self.costs.record(counts, times);
        for face in &times.not_finite {
            if let Some(history) = self.histories.get_mut(&self.keys[*face]) {
                for rung in &mut history.rungs {
                    (rung.signature, rung.crops) = (None, CropMean::default());
                }
            }
        }
        counts.iter().sum()
    }

    /// The latest plans.
    #[cfg(test)]
    pub(crate) fn plans(&self) -> &[FacePlan] {
        &self.plans
    }

    /// Lists in `crops` what is to be cropped for `chosen`, the faces of frame `now` at time `at`:
    /// each on the rung of `shapes` that fits its size in the camera's pixels, or on two while it
    /// passes from one to the other.
    pub(crate) fn choose_rungs(
        &mut self,
        (now, at): (u64, Duration),
        chosen: &[(Face, CropSquare)],
        shapes: &[Shape],
        options: &EnhancerOptions,
        crops: &mut Crops,
    ) {
        self.forget_old(at);
        self.keys.clear();
        crops.clear();
        for (face, square) in chosen {
            let is_taken = |key: &Key| self.histories.get(key).is_some_and(|h| h.frame == now);
            let key = (0..).map(|k| (face.id, k)).find(|key| !is_taken(key));
            let key = key.unwrap_or((face.id, 0));
            let history = self.histories.entry(key).or_default();
            let side = options.source_side(square.side);
            let current = history.fade.map(|fade| fade.to).or(history.rung);
            history.follow(rung_for(shapes, side, current), at);
            (history.before, history.seen, history.frame) = (history.seen, at, now);
            history.shown().for_each(|rung| crops.push(*square, rung, shapes[rung]));
            self.keys.push(key);
        }
    }

    /// Aligns the squares of `chosen` to the crops before, in a frame of `size`; whether any has
    /// moved, so that it must be cropped again. `chosen` and `crops` are those of
    /// [`choose_rungs`](Self::choose_rungs), the latter filled.
    pub(crate) fn align(
        &mut self,
        at: Duration,
        size: (u32, u32),
        chosen: &mut [(Face, CropSquare)],
        crops: &mut Crops,
        options: &EnhancerOptions,
    ) -> bool {
        let smoothing = options.temporal_smoothing.clamp(0.0, 1.0);
        let (mut crop, mut any) = (0, false);
        for ((_, square), key) in chosen.iter_mut().zip(&self.keys) {
            let Some(history) = self.histories.get_mut(key) else { continue };
            let count = history.shown().count();
            let own = crop..crop + count;
            crop = own.end;
            let shape = crops.list()[own.start].shape;
            let mean = history
                .rung
                .and_then(|rung| history.rungs[rung].crops.values(shape, at, smoothing));
            let aligned = mean.and_then(|mean| {
                let alignment = self.aligner.align(mean, crops.get(own.start), shape)?;
                let elapsed = at.saturating_sub(history.before).as_secs_f32();
                let aligned =
                    alignment.scaled((-elapsed / RETURN.as_secs_f32()).exp()).apply(square);
                aligned.lies_in(size.0, size.1).then_some(aligned)
            });
            history.is_aligned = aligned.is_some();
            if let Some(aligned) = aligned {
                *square = aligned;
                own.for_each(|crop| crops.set_square(crop, aligned));
                any = true;
            }
        }
        any
    }

    /// Takes the noise out of `crops` and decides for each face whether it is generated, and how
    /// much of what its track showed before goes into that, the more the less the crop has changed:
    /// noise in a still face makes the generator return other details each time, which the eye sees
    /// as flicker.
    ///
    /// `chosen` and `crops` are those of [`choose_rungs`](Self::choose_rungs), the latter filled;
    /// the plans have the same order.
    pub(crate) fn plan(
        &mut self,
        at: Duration,
        chosen: &[(Face, CropSquare)],
        crops: &mut Crops,
        options: &EnhancerOptions,
    ) -> &[FacePlan] {
        self.plans.clear();
        self.candidates.clear();
        let smoothing = options.temporal_smoothing.clamp(0.0, 1.0);
        let crowd = (chosen.len() as f32 / FEW).powf(CROWDING).clamp(1.0, MOST_CROWDED);
        let tolerance = options.reuse * crowd * (SHARP + (1.0 - SHARP) * 2.0 * smoothing);
        let mut crop = 0;
        for (face, ((_, square), key)) in chosen.iter().zip(&self.keys).enumerate() {
            let Some(history) = self.histories.get_mut(key) else { continue };
            let share = history.share(at);
            let mut layers = [None; 2];
            let mut clear = None;
            for (k, rung) in history.shown().enumerate() {
                let own = &mut history.rungs[rung];
                let slot = *own.slot.get_or_insert_with(|| self.slots[rung].take());
                let shape = crops.list()[crop].shape;
                let side = options.source_side(square.side);
                let clear = *clear.get_or_insert_with(|| {
                    history.clarity.follow(clarity(crops.get(crop), shape, side), at)
                });
                let (seen, denoised) = crops.denoise_parts(crop);
                let how = (history.is_aligned, smoothing);
                self.denoiser.denoise(&mut own.crops, (seen, shape), at, how, denoised);
                let signature = Signature::new(denoised, shape);
                let weights = options.weights_at(square.side, shape, clear);
                layers[k] = Some(FaceLayer { rung, slot, generate: false, keep: 0.0, weights });
                let change = own.signature.as_ref().map(|last| signature.change(last));
                let priority = change.map_or(f32::INFINITY, |change| {
                    let visible = change * signature.sensitivity();
                    let age = at.saturating_sub(own.generated);
                    reuse::priority(visible, age, square.side, tolerance)
                });
                let is_next = k == 1;
                self.candidates.push(Candidate {
                    priority,
                    change,
                    face,
                    crop,
                    is_next,
                    rung,
                    signature,
                });
                crop += 1;
            }
            let [Some(layer), next] = layers else { continue };
            self.plans.push(FacePlan {
                square: *square,
                strength: options.strength_at(square.side),
                layer,
                next: next.map(|next| (next, share)),
            });
        }
        self.select(at, crops, options);
        &self.plans
    }

    /// Selects what is due, as far as there is time.
    fn select(&mut self, at: Duration, crops: &mut Crops, options: &EnhancerOptions) {
        let smoothing = options.temporal_smoothing.clamp(0.0, 1.0);
        // Of faces that are equally due the larger ones first, which come last.
        self.candidates.sort_by(|a, b| {
            b.priority.total_cmp(&a.priority).then(b.face.cmp(&a.face)).then(a.rung.cmp(&b.rung))
        });
        let limit = options.budget.unwrap_or(Duration::MAX);
        let (mut spent, mut selected) = (Duration::ZERO, 0);
        for candidate in self.candidates.drain(..) {
            let Candidate { priority, change, face, crop, is_next, rung, signature } = candidate;
            let Some(history) = self.histories.get_mut(&self.keys[face]) else { continue };
            let plan = &mut self.plans[face];
            let cost = spent.saturating_add(self.costs.cost(rung));
            // The first is generated whatever it takes.
            let is_selected = priority >= 1.0 && (selected == 0 || cost <= limit);
            if is_selected {
                (spent, selected) = (cost, selected + 1);
                let hold = |change: f32| 0.9 * smoothing * (-(change / STILL).powi(2)).exp();
                let layer = if is_next {
                    plan.next.as_mut().map(|n| &mut n.0)
                } else {
                    Some(&mut plan.layer)
                };
                if let Some(layer) = layer {
                    layer.generate = true;
                    layer.keep = change.map_or(0.0, hold);
                }
                history.rungs[rung].generated = at;
                history.rungs[rung].signature = Some(signature);
                if let Some(fade) =
                    history.fade.as_mut().filter(|fade| is_next && fade.since.is_none())
                {
                    fade.since = Some(at);
                }
            } else if let Some(generated) = &history.rungs[rung].signature {
                signature.subtract(generated, crops.change_mut(crop));
            } else if !is_next {
                plan.strength = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests;
