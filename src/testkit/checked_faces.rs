//! Frames of the shared clips whose faces were checked by hand (`fixtures/faces.csv`).

use std::collections::BTreeMap;

use facesr::Rect;

/// What is known of a frame.
#[derive(Debug, Default, Clone)]
pub struct Checked {
    /// Only faces in here were checked; none for all of the frame.
    pub region: Option<Rect>,
    /// The faces, boxes in pixels of the frame.
    pub faces: Vec<Rect>,
    /// Turned away, hidden, on a poster: found or not, it does not count.
    pub ignored: Vec<Rect>,
}

/// The checked frames of each clip (its name without ending) by their number from 0.
///
/// # Panics
/// When the list holds what is none of its kinds of rows.
pub fn checked_faces() -> BTreeMap<String, BTreeMap<usize, Checked>> {
    let mut clips = BTreeMap::<String, BTreeMap<usize, Checked>>::new();
    for line in include_str!("fixtures/faces.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |i: usize| fields[i].parse::<f32>().unwrap();
        let rect = Rect::new(number(3), number(4), number(5), number(6));
        let frames = clips.entry(fields[0].into()).or_default();
        let frame = frames.entry(fields[1].parse().unwrap()).or_default();
        match fields[2] {
            "face" => frame.faces.push(rect),
            "ignore" => frame.ignored.push(rect),
            "region" => frame.region = Some(rect),
            other => panic!("{other}"),
        }
    }
    clips
}
