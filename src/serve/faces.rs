//! The faces that a camera shows, as they come and go.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::{Value, json};

/// Events that wait for those who write them down; of more, the oldest are forgotten.
const MOST_WAITING: usize = 256;

/// A face that came, or has gone.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceEvent {
    /// Differs from face to face, also after a restart.
    pub id: String,
    /// The camera's name.
    pub camera: String,
    /// Left, top, right and bottom, in pixels of the picture.
    pub rect: [i64; 4],
    /// How sure the detector is that it is a face, 0 to 1.
    pub score: f64,
    /// When it came.
    pub start: SystemTime,
    /// When it went; `None` while it is there.
    pub end: Option<SystemTime>,
}

impl FaceEvent {
    /// When it happened.
    pub fn at(&self) -> SystemTime {
        self.end.unwrap_or(self.start)
    }

    /// In the shape of Frigate's events.
    pub fn to_json(&self) -> Value {
        let [left, top, right, bottom] = self.rect;
        let after = json!({
            "id": self.id,
            "camera": self.camera,
            "label": "face",
            "score": (self.score * 1000.0).round() / 1000.0,
            "box": self.rect,
            "area": (right - left) * (bottom - top),
            "start_time": seconds(self.start),
            "end_time": self.end.map(seconds),
        });
        let before = match self.end {
            Some(_) => {
                let mut before = after.clone();
                before["end_time"] = Value::Null;
                before
            }
            None => Value::Null,
        };
        let kind = if self.end.is_some() { "end" } else { "new" };
        json!({ "type": kind, "before": before, "after": after })
    }
}

/// Seconds since 1970, to the millisecond.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as f64 / 1000.0
}

/// The faces of one camera.
#[derive(Default)]
pub(crate) struct Faces(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// By the number of the track.
    present: BTreeMap<u64, FaceEvent>,
    /// What has not been written down yet.
    waiting: VecDeque<FaceEvent>,
}

impl Faces {
    /// The faces that are there now.
    pub(crate) fn present(&self) -> Vec<FaceEvent> {
        self.0.lock().present.values().cloned().collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().present.len()
    }

    /// What has happened since the last call.
    pub(crate) fn take(&self) -> Vec<FaceEvent> {
        self.0.lock().waiting.drain(..).collect()
    }

    /// Takes in what the element `facesr` says: the faces that are there now. Answers those that came or went.
    pub(crate) fn record(&self, camera: &str, message: &gst::StructureRef) -> Vec<FaceEvent> {
        let faces = message.get::<gst::List>("faces");
        let faces = faces.iter().flat_map(|list| list.iter());
        let now: BTreeMap<u64, ([i64; 4], f64)> = faces
            .filter_map(|value| value.get::<gst::Structure>().ok())
            .filter_map(|face| {
                let get = |name| face.get::<f64>(name).ok().filter(|n| n.is_finite());
                let (x, y, w, h) = (get("x")?, get("y")?, get("w")?, get("h")?);
                let rect = [x, y, x + w, y + h].map(|n| n.round() as i64);
                Some((face.get::<u64>("id").ok()?, (rect, get("score").unwrap_or(0.0))))
            })
            .collect();
        self.update(camera, SystemTime::now(), &now)
    }

    /// All have gone: there are no pictures, or no searches. Answers them.
    pub(crate) fn all_gone(&self, camera: &str) -> Vec<FaceEvent> {
        self.update(camera, SystemTime::now(), &BTreeMap::new())
    }

    fn update(
        &self,
        camera: &str,
        at: SystemTime,
        now: &BTreeMap<u64, ([i64; 4], f64)>,
    ) -> Vec<FaceEvent> {
        let mut inner = self.0.lock();
        let mut events = Vec::new();
        inner.present.retain(|track, face| {
            let stays = now.contains_key(track);
            if !stays {
                events.push(FaceEvent { end: Some(at), ..face.clone() });
            }
            stays
        });
        for (track, (rect, score)) in now {
            let id = || format!("{:.3}-{track}", seconds(at));
            let face = inner.present.entry(*track).or_insert_with(|| {
                let face = FaceEvent {
                    id: id(),
                    camera: camera.into(),
                    rect: *rect,
                    score: *score,
                    start: at,
                    end: None,
                };
                events.push(face.clone());
                face
            });
            (face.rect, face.score) = (*rect, *score);
        }
        inner.waiting.extend(events.iter().cloned());
        let surplus = inner.waiting.len().saturating_sub(MOST_WAITING);
        inner.waiting.drain(..surplus);
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faces_come_once_and_go_once() {
        let faces = Faces::default();
        let at = |n: u64| UNIX_EPOCH + Duration::from_secs(n);
        let now = |tracks: &[u64]| -> BTreeMap<_, _> {
            tracks.iter().map(|track| (*track, ([10, 20, 30, 50], 0.9))).collect()
        };
        let came = faces.update("door", at(100), &now(&[7, 8]));
        assert_eq!(came.len(), 2);
        assert!(faces.update("door", at(101), &now(&[7, 8])).is_empty());
        let gone = faces.update("door", at(105), &now(&[8]));
        assert_eq!((gone.len(), gone[0].id.as_str()), (1, "100.000-7"));
        let said = gone[0].to_json();
        assert_eq!(
            (said["type"].as_str(), said["after"]["area"].as_i64()),
            (Some("end"), Some(600))
        );
        assert_eq!(said["after"]["end_time"], 105.0);
        assert!(said["before"]["end_time"].is_null());
        assert_eq!(faces.count(), 1);
        assert_eq!(faces.all_gone("door").len(), 1);
        assert_eq!(faces.take().len(), 4);
        assert!(faces.take().is_empty());
    }

    #[test]
    fn events_that_nobody_takes_are_forgotten() {
        let faces = Faces::default();
        for n in 0..1000 {
            let now = BTreeMap::from([(n, ([0; 4], 0.5))]);
            faces.update("door", UNIX_EPOCH, &now);
        }
        assert_eq!(faces.take().len(), MOST_WAITING);
    }
}
