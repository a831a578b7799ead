//! A detector that fails, panics or dies, with the finder that all elements use: tracks are carried
//! on, the failure is told, and nothing stops.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use facesr::detect::{Detection, Detector};
use facesr::{Error, Face, Finder, FinderOptions, Frame, FrameInfo, PixelFormat, Rect};

/// How a detector comes to grief.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Fails,
    Panics,
    /// Outside of what is guarded, so that its thread ends.
    Dies,
}

/// Finds one face, but for its third call.
struct Frail {
    fault: Fault,
    calls: Arc<AtomicU32>,
}

impl Detector for Frail {
    fn name(&self) -> &'static str {
        "frail"
    }

    fn detect(&mut self, _: &Frame<'_>, found: &mut Vec<Detection>) -> Result<(), Error> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match self.fault {
            Fault::Panics if call == 3 => panic!("a made-up panic"),
            Fault::Fails if call == 3 => {
                return Err(Error::inference("frail", "made up"));
            }
            _ => {}
        }
        found.push(Detection::new(Rect::new(20.0, 40.0, 20.0, 20.0), 0.9));
        Ok(())
    }

    fn helper_time(&self) -> Duration {
        let late = self.calls.load(Ordering::Relaxed) >= 3;
        assert!(!(late && self.fault == Fault::Dies), "a made-up death");
        Duration::ZERO
    }
}

/// The faces of a frame, and what went wrong.
fn find(finder: &mut Finder) -> (Vec<Face>, Option<Error>) {
    let data = vec![90; 200 * 100];
    let info = FrameInfo::new(PixelFormat::Gray8, 200, 100);
    let found = finder.find(&Frame::new(info, &[&data], &[200]).unwrap(), None);
    (found.faces.to_vec(), found.error)
}

#[test]
fn in_the_background_it_fails_panics_or_dies() {
    for fault in [Fault::Fails, Fault::Panics, Fault::Dies] {
        let calls = Arc::new(AtomicU32::new(0));
        let detector = Box::new(Frail { fault, calls: calls.clone() });
        let options = FinderOptions::default().detect_interval(Duration::ZERO).background(true);
        let mut finder = Finder::new(detector, options);
        let (mut errors, mut last) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        let mut after = 0;
        // Until the fault has been told, and some frames more.
        while after < 40 {
            assert!(begun.elapsed() < Duration::from_secs(20), "{fault:?} is not told");
            let (faces, error) = find(&mut finder);
            last = faces;
            errors.extend(error.map(|error| error.to_string()));
            after += usize::from(!errors.is_empty());
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(errors.len(), 1, "{fault:?}: {errors:?}");
        assert!(errors[0].contains("frail"), "{errors:?}");
        let words = match fault {
            Fault::Fails => "made up",
            Fault::Panics => "a made-up panic",
            Fault::Dies => "its thread has ended",
        };
        assert!(errors[0].contains(words), "{errors:?}");
        if fault == Fault::Dies {
            assert_eq!(calls.load(Ordering::Relaxed), 3);
            assert_eq!(last, [], "a track without a detector ends some time");
        } else {
            assert!(calls.load(Ordering::Relaxed) > 3, "{fault:?}: it is not asked again");
            assert_eq!(last.len(), 1, "{fault:?}");
        }
        // Options may still be changed, back from the background too.
        finder.set_options(FinderOptions::default().detect_interval(Duration::ZERO));
        let found = find(&mut finder).0;
        assert_eq!(found.is_empty(), fault == Fault::Dies, "{fault:?}");
    }
}

/// A detector that does not come to itself loses the faces it knew: they would be shown for ever
/// where they were last.
#[test]
fn faces_of_a_detector_that_keeps_failing_are_lost() {
    struct Failing(u32);

    impl Detector for Failing {
        fn name(&self) -> &'static str {
            "failing"
        }

        fn detect(&mut self, _: &Frame<'_>, found: &mut Vec<Detection>) -> Result<(), Error> {
            found.push(Detection::new(Rect::new(20.0, 40.0, 20.0, 20.0), 0.9));
            self.0 += 1;
            let failed = || Error::inference("failing", "made up");
            if self.0 > 5 { Err(failed()) } else { Ok(()) }
        }
    }

    for background in [false, true] {
        let options = FinderOptions::default()
            .detect_interval(Duration::from_millis(40))
            .background(background);
        let mut finder = Finder::new(Box::new(Failing(0)), options);
        let (mut seen, mut failures) = (0, 0);
        let begun = Instant::now();
        let mut faces = Vec::new();
        while failures < 40 {
            assert!(begun.elapsed() < Duration::from_secs(20), "{failures} failures");
            let (now, error) = find(&mut finder);
            faces = now;
            failures += usize::from(error.is_some());
            seen += faces.len();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(seen > 0 && faces.is_empty(), "background {background}: {faces:?}");
    }
}

#[test]
fn a_failure_in_the_stream_s_own_thread_costs_one_search() {
    let calls = Arc::new(AtomicU32::new(0));
    let detector = Box::new(Frail { fault: Fault::Fails, calls: calls.clone() });
    let options = FinderOptions::default().detect_interval(Duration::ZERO);
    let mut finder = Finder::new(detector, options);
    for n in 1..=10 {
        let (faces, error) = find(&mut finder);
        assert_eq!(faces.len(), 1, "frame {n}");
        assert_eq!(error.is_some(), n == 3, "frame {n}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 10);
}
