use std::sync::mpsc;

use super::*;
use crate::frame::{FrameInfo, PixelFormat};
use crate::geometry::Rect;

/// A detector that finds what the test says, when the test says so.
struct Told(mpsc::Receiver<Result<Vec<Detection>, String>>);

impl Detector for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn detect(&mut self, _: &Frame<'_>, found: &mut Vec<Detection>) -> Result<(), Error> {
        let told = self.0.recv().unwrap();
        let failed = |reason| Error::Inference { model: "told".into(), reason };
        found.extend(told.map_err(failed)?);
        Ok(())
    }
}

const INFO: (u32, u32) = (200, 100);

fn face(frame: u32) -> Detection {
    Detection { rect: Rect::new(20.0 + 2.0 * frame as f32, 40.0, 20.0, 20.0), score: 0.9 }
}

/// Finds in a frame that is all of this brightness.
fn find(finder: &mut Finder, brightness: u8) -> Result<Vec<Face>, Error> {
    let data = vec![brightness; (INFO.0 * INFO.1) as usize];
    let info = FrameInfo::new(PixelFormat::Gray8, INFO.0, INFO.1);
    let frame = Frame::new(info, &[&data], &[INFO.0 as usize]).unwrap();
    finder.find(&frame).map(<[Face]>::to_vec)
}

fn finder(background: bool) -> (Finder, mpsc::Sender<Result<Vec<Detection>, String>>) {
    let (tell, told) = mpsc::channel();
    let options = FinderOptions { detect_every: 1, background, ..Default::default() };
    (Finder::new(Box::new(Told(told)), options), tell)
}

/// Waits until the detector has answered all it was told.
fn settle(finder: &Finder) {
    std::thread::sleep(Duration::from_millis(50));
    assert!(matches!(finder.search, Search::Beside(_)));
}

/// What comes late leads to the same tracks as what comes in time.
#[test]
fn the_background_ends_where_detection_at_once_does() {
    let (mut at_once, tell) = finder(false);
    let mut wanted = Vec::new();
    // Frames 1 and 5 are searched, those between are not.
    for n in 1..=8 {
        let searched = n == 1 || n == 5;
        let detect_every = if searched { 1 } else { u32::MAX };
        let options = FinderOptions { detect_every, ..at_once.options.clone() };
        at_once.set_options(options);
        if searched {
            tell.send(Ok(vec![face(n)])).unwrap();
        }
        wanted = find(&mut at_once, 90).unwrap();
    }
    let (mut beside, tell) = finder(true);
    for n in 1..=4 {
        assert_eq!(find(&mut beside, 90).unwrap(), [], "frame {n}");
        if n == 1 {
            // The detector is at it before a newer frame comes.
            settle(&beside);
        }
    }
    // It looks at 1; 2 and 3 gave way to 4.
    assert_eq!(beside.stats().detections_skipped, 2);
    tell.send(Ok(vec![face(1)])).unwrap();
    settle(&beside);
    let faces = find(&mut beside, 90).unwrap();
    assert_eq!(faces.len(), 1, "known from frame 5 on");
    // 4 is looked at now, and fails; 5 waits.
    tell.send(Err("a made-up failure".into())).unwrap();
    settle(&beside);
    let error = find(&mut beside, 90).unwrap_err().to_string();
    assert!(error.contains("a made-up failure"), "{error}");
    assert_eq!(find(&mut beside, 90).unwrap().len(), 1);
    tell.send(Ok(vec![face(5)])).unwrap();
    settle(&beside);
    assert_eq!(find(&mut beside, 90).unwrap(), wanted);
    // What it was told ends here, and so does what it waits for.
    drop(tell);
}

#[test]
fn finder_drops_faces_outside_the_roi() {
    for background in [false, true] {
        let (mut finder, tell) = finder(background);
        let roi = RoiFilter {
            include: "10,20,60,60".parse().unwrap(),
            exclude: "0,0,35,100".parse().unwrap(),
        };
        finder.set_options(FinderOptions { roi, ..finder.options.clone() });
        // Middles at 32, 50 and 80.
        for (n, inside) in [(1, false), (10, true), (25, false)] {
            finder.reset();
            tell.send(Ok(vec![face(n)])).unwrap();
            let mut found = find(&mut finder, 90).unwrap();
            if background {
                settle(&finder);
                tell.send(Ok(vec![])).unwrap();
                found = find(&mut finder, 90).unwrap();
                settle(&finder);
            }
            assert_eq!(found.len(), usize::from(inside), "{n}");
        }
        drop(tell);
    }
}

#[test]
fn a_face_seen_once_is_searched_for_sooner() {
    let (mut finder, tell) = finder(false);
    finder.set_options(FinderOptions { detect_every: 8, ..finder.options.clone() });
    let other = Detection { rect: Rect::new(120.0, 40.0, 20.0, 20.0), score: 0.6 };
    let still = face(1);
    for seen in [vec![still], vec![still, other], vec![still, other], vec![still, other]] {
        tell.send(Ok(seen)).unwrap();
    }
    let mut searched = Vec::new();
    for n in 1..=22 {
        let before = finder.stats().detections_run;
        find(&mut finder, 90).unwrap();
        if finder.stats().detections_run > before {
            searched.push(n);
        }
    }
    assert_eq!(searched, [1, 9, 13, 21]);
}

/// A detector that sees frames reduced to a half, and finds something only up close.
struct Reducing(mpsc::Sender<(u32, bool)>);

impl Detector for Reducing {
    fn name(&self) -> &'static str {
        "reducing"
    }

    fn detect(&mut self, frame: &Frame<'_>, _: &mut Vec<Detection>) -> Result<(), Error> {
        self.0.send((frame.info().width, false)).unwrap();
        Ok(())
    }

    fn downscale(&self, width: u32, _: u32) -> f32 {
        if width > 100 { 2.0 } else { 1.0 }
    }

    fn detect_at_full_resolution(
        &mut self,
        frame: &Frame<'_>,
        found: &mut Vec<Detection>,
    ) -> Result<(), Error> {
        self.0.send((frame.info().width, true)).unwrap();
        found.push(Detection { rect: Rect::new(20.0, 30.0, 9.0, 9.0), score: 0.9 });
        Ok(())
    }
}

/// What was searched in each of some frames: `w`hole, `t`ile or nothing.
fn searches(finder: &mut Finder, searched: &mpsc::Receiver<(u32, bool)>, n: usize) -> String {
    let of_frame = |_| {
        find(finder, 90).unwrap();
        match searched.try_iter().collect::<Vec<_>>()[..] {
            [] => '-',
            [(200, false)] => 'w',
            [(_, true)] => 't',
            ref other => panic!("{other:?}"),
        }
    };
    (0..n).map(of_frame).collect()
}

#[test]
fn tiles_take_turns_with_searches_of_the_whole_frame() {
    for (detect_every, tile_every, wanted) in [
        (8, 8, "w---t---w---t---w---"),
        (8, 4, "w-t---t-w-t---t-w-t-"),
        (4, 2, "wt-twt-t"),
        (8, 1, "wtttttttwttttttt"),
        (1, 1, "wwwwww"),
        (6, 0, "w-----w-----w"),
    ] {
        let (tell, searched) = mpsc::channel();
        let options = FinderOptions { detect_every, tile_every, ..Default::default() };
        let mut finder = Finder::new(Box::new(Reducing(tell)), options);
        let got = searches(&mut finder, &searched, wanted.len());
        assert_eq!(got, wanted, "{detect_every} {tile_every}");
        let tiles = wanted.matches('t').count();
        assert_eq!(finder.stats().tiles_searched, tiles as u64);
        // Twice seen at full resolution, it is a face.
        assert_eq!(finder.stats().tracks, u64::from(tiles >= 2));
    }
}

#[test]
fn what_is_not_reduced_needs_no_tiles() {
    let (tell, searched) = mpsc::channel();
    let roi = RoiFilter { include: "0,0,20,20".parse().unwrap(), ..Default::default() };
    let options = FinderOptions { tile_every: 1, roi, ..Default::default() };
    let mut finder = Finder::new(Box::new(Reducing(tell)), options);
    for _ in 0..9 {
        find(&mut finder, 90).unwrap();
    }
    // 20 pixels and a margin: seen as they are.
    assert_eq!(searched.try_iter().collect::<Vec<_>>(), [(68, false); 2]);
}

#[test]
fn tiles_are_searched_in_the_background_too() {
    let (tell, searched) = mpsc::channel();
    let options = FinderOptions { background: true, tile_every: 2, ..Default::default() };
    let mut finder = Finder::new(Box::new(Reducing(tell)), options);
    let mut faces = Vec::new();
    for _ in 0..12 {
        faces = find(&mut finder, 90).unwrap();
        settle(&finder);
    }
    let tiles = searched.try_iter().filter(|(_, close)| *close).count();
    assert!(tiles >= 3, "{tiles}");
    assert_eq!(faces.len(), 1);
}

#[test]
fn answers_from_before_a_cut_are_in_vain() {
    let (mut finder, tell) = finder(true);
    find(&mut finder, 200).unwrap();
    settle(&finder);
    find(&mut finder, 20).unwrap();
    tell.send(Ok(vec![face(1)])).unwrap();
    settle(&finder);
    assert_eq!(find(&mut finder, 20).unwrap(), []);
    tell.send(Ok(vec![face(2)])).unwrap();
    settle(&finder);
    assert_eq!(find(&mut finder, 20).unwrap().len(), 1);
    drop(tell);
}

#[test]
fn the_detector_comes_back_from_the_background() {
    let (mut finder, tell) = finder(true);
    for background in [true, false, true, false] {
        finder.set_options(FinderOptions { background, ..finder.options.clone() });
        tell.send(Ok(vec![face(1)])).unwrap();
        find(&mut finder, 90).unwrap();
        assert_eq!(matches!(finder.search, Search::Beside(_)), background);
    }
    // Answers that nobody waited for are not counted.
    assert_eq!(finder.stats().detections_run, 2);
}
