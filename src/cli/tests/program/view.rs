//! `facesr view`, without a window.

use crate::{carphone, run, said, small_carphone};

#[test]
fn figures_are_told_and_the_end_is_the_end() {
    let clip = carphone();
    let clip = clip.to_str().unwrap();
    let ended = run(&["view", clip, "--sink=fakesink", "--frames=30", "--scale=2"]);
    assert!(ended.status.success(), "{}", said(&ended));
    let said = said(&ended);
    let line = said.lines().last().unwrap();
    assert!(line.contains("frames/s") && line.contains("ms from decoder to window"), "{said}");
    let faces: u64 =
        line.rsplit_once("sharpened ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!(faces > 5, "{said}");

    let ended = run(&["view", "test", "--sink=fakesink", "--frames=5", "--detector=none"]);
    assert!(ended.status.success(), "{}", crate::said(&ended));
    assert!(crate::said(&ended).contains("promised to a live source"), "{}", crate::said(&ended));
    let dir = tempfile::tempdir().unwrap();
    let short = dir.path().join("short.mp4");
    small_carphone(&short, 88, 4);
    let ended = run(&["view", short.to_str().unwrap(), "--sink=fakesink", "--quiet"]);
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", crate::said(&ended));
}

#[test]
fn what_cannot_be_shown_is_said() {
    for (source, words) in [
        ("/no/such.mp4", "no such file"),
        ("/dev/video77", "cannot show /dev/video77"),
        (file!(), "cannot show"),
    ] {
        let ended = run(&["view", source, "--sink=fakesink"]);
        assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
        assert!(said(&ended).contains(words), "{}", said(&ended));
    }
}
