//! Plans a frame: which faces are generated anew, and what they have to do with those before.
//!
//! [`reuse`] says how badly a face wants it; here is what is known of each track for
//! that, and the choice among all faces of a frame.

use std::collections::HashMap;

use crate::enhance::backend::{FacePlan, RenderTimes};
use crate::enhance::generator::LR_LEN;
use crate::enhance::options::EnhancerOptions;
use crate::enhance::reuse::{self, Budget};
use crate::face::Face;
use crate::geometry::CropSquare;

/// Root mean square change of a cut from frame to frame, in units of -1..=1, at which temporal
/// smoothing has lost most of its hold: three times the noise of a poor camera.
const STILL: f32 = 0.08;

/// Part of the change that `reuse` lets pass which is let pass without temporal smoothing: a face
/// that is mixed with its past follows a change late anyhow, so that a later start shows less. All
/// of it is let pass at a smoothing of 0.5.
const SHARP: f32 = 0.8;

/// What is kept of a face from one frame to the next.
#[derive(Debug)]
struct Memory {
    /// What it was generated from; empty if it never was.
    lr: Vec<f32>,
    /// Where the backend keeps what was shown.
    place: usize,
    /// Frame in which it was seen last.
    frame: u64,
    /// Frame in which it was generated last.
    generated: u64,
}

/// Which of the backend's places are taken.
#[derive(Debug, Default)]
struct Places(Vec<bool>);

impl Places {
    /// The first that is free, taken.
    fn take(&mut self) -> usize {
        let place = self.0.iter().position(|taken| !taken).unwrap_or(self.0.len());
        if place == self.0.len() {
            self.0.push(false);
        }
        self.0[place] = true;
        place
    }

    /// Frees all but `places`.
    fn keep(&mut self, places: impl Iterator<Item = usize>) {
        self.0.fill(false);
        places.for_each(|place| self.0[place] = true);
    }
}

/// What there is to decide about a face.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// How badly it wants to be generated anew.
    need: f32,
    /// Change of its cut since it last was; `None` if it never was.
    change: Option<f32>,
    /// Number among the chosen faces.
    face: usize,
}

/// Plans the frames of one stream.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    memories: HashMap<u64, Memory>,
    places: Places,
    plans: Vec<FacePlan>,
    wishes: Vec<Candidate>,
    budget: Budget,
}

impl Planner {
    /// Forgets what is known of the faces.
    pub(crate) fn reset(&mut self) {
        self.memories.clear();
        self.places = Places::default();
    }

    /// Records what it took to carry out the latest plans, and returns how many faces were
    /// generated. Of a face that held numbers that are not finite nothing is known afterwards.
    pub(crate) fn record(&mut self, times: &RenderTimes) -> usize {
        let generated = self.plans.iter().filter(|plan| plan.generate).count();
        self.budget.learn(generated, times.generate);
        for &number in &times.not_finite {
            let slot = self.plans[number].slot;
            let memory = self.memories.values_mut().find(|memory| memory.place == slot);
            memory.into_iter().for_each(|memory| memory.lr.clear());
        }
        generated - times.not_finite.len()
    }

    /// The latest plans.
    #[cfg(test)]
    pub(crate) fn plans(&self) -> &[FacePlan] {
        &self.plans
    }

    /// Decides for each face whether it is generated anew, and how much of what its track showed
    /// before goes into that, the more the less the cut has changed: noise in a still face makes
    /// the generator answer other details each time, which the eye sees as flicker.
    ///
    /// `chosen` are the faces of frame `now` with their squares, `lr` their cuts
    /// (`[N, 3, 16, 16]`); the plans have the same order.
    pub(crate) fn plan(
        &mut self,
        now: u64,
        chosen: &[(Face, CropSquare)],
        lr: &[f32],
        options: &EnhancerOptions,
    ) -> &[FacePlan] {
        self.plans.clear();
        self.wishes.clear();
        let smoothing = options.temporal_smoothing.clamp(0.0, 1.0);
        let tolerance = options.reuse * (SHARP + (1.0 - SHARP) * 2.0 * smoothing);
        let lrs = lr.chunks_exact(LR_LEN);
        for (i, ((face, square), lr)) in chosen.iter().zip(lrs).enumerate() {
            let memory = self.memories.entry(face.id).or_insert_with(|| Memory {
                lr: Vec::new(),
                place: self.places.take(),
                frame: 0,
                generated: 0,
            });
            if memory.frame == now {
                // Two faces of one number must not share what is kept.
                memory.place = self.places.take();
            }
            if memory.frame + 1 != now {
                memory.lr.clear();
            }
            memory.frame = now;
            let change = (!memory.lr.is_empty()).then(|| reuse::change(lr, &memory.lr));
            let need = change.map_or(f32::INFINITY, |change| {
                reuse::need(change, now - memory.generated, square.side, tolerance)
            });
            self.wishes.push(Candidate { need, change, face: i });
            self.plans.push(FacePlan {
                square: *square,
                strength: options.strength_at(square.side),
                slot: memory.place,
                generate: false,
                keep: 0.0,
            });
        }
        self.grant(now, chosen, lr, options);
        self.memories.retain(|_, memory| memory.frame == now);
        self.places.keep(self.memories.values().map(|memory| memory.place));
        &self.plans
    }

    /// Turns wishes into plans, as far as there is time.
    fn grant(
        &mut self,
        now: u64,
        chosen: &[(Face, CropSquare)],
        lr: &[f32],
        options: &EnhancerOptions,
    ) {
        let smoothing = options.temporal_smoothing.clamp(0.0, 1.0);
        // Of faces that want it equally the larger ones first, which come last.
        self.wishes.sort_by(|a, b| b.need.total_cmp(&a.need).then(b.face.cmp(&a.face)));
        let room = self.budget.faces(options.budget);
        for (rank, wish) in self.wishes.iter().enumerate() {
            let plan = &mut self.plans[wish.face];
            plan.generate = wish.need >= 1.0 && rank < room;
            if !plan.generate {
                if wish.change.is_none() {
                    plan.strength = 0.0;
                }
                continue;
            }
            plan.keep = wish
                .change
                .map_or(0.0, |change| 0.9 * smoothing * (-(change / STILL).powi(2)).exp());
            if let Some(memory) = self.memories.get_mut(&chosen[wish.face].0.id) {
                memory.generated = now;
                memory.lr.clear();
                memory.lr.extend_from_slice(&lr[wish.face * LR_LEN..][..LR_LEN]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_never_twice_at_once() {
        let mut places = Places::default();
        assert_eq!([places.take(), places.take(), places.take()], [0, 1, 2]);
        places.keep([0, 2].into_iter());
        assert_eq!([places.take(), places.take()], [1, 3]);
    }
}
