//! `facesr view`, without a window and, where there is a display in memory, with one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{carphone, facesr, run, said, small_carphone};

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
        (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "cannot show"),
    ] {
        let ended = run(&["view", source, "--sink=fakesink"]);
        assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
        assert!(said(&ended).contains(words), "{}", said(&ended));
    }
}

#[test]
fn without_a_display_that_is_said() {
    for display in [None, Some(":7777")] {
        let mut command = facesr();
        command.args(["view", "test", "--detector=none"]);
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        if let Some(display) = display {
            command.env("DISPLAY", display);
        }
        let ended = command.output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
        let words = ["no window can be opened", "gstreamer1.0-x"];
        assert!(words.iter().any(|words| said(&ended).contains(words)), "{}", said(&ended));
    }
}

/// A display in memory, whose picture lies in a file.
struct Display {
    server: Child,
    name: String,
    picture: PathBuf,
}

impl Display {
    fn open(folder: &Path) -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "640x480x24", "-noreset"])
            .args(["-nolisten", "tcp", "-fbdir"])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is missing: leave tests named window_ out");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let name = format!(":{}", number.trim());
        Self { server, name, picture: folder.join("Xvfb_screen0") }
    }

    /// Presses a key.
    fn press(&self, key: &str) {
        let done = Command::new("xdotool")
            .args(["key", "--clearmodifiers", key])
            .env("DISPLAY", &self.name)
            .status()
            .expect("xdotool is missing: leave tests named window_ out");
        assert!(done.success());
    }

    /// The columns that are white from top to bottom.
    fn line(&self) -> Vec<usize> {
        // XWD: big-endian words; the second half of the header tells how the pixels lie.
        let bytes = std::fs::read(&self.picture).unwrap();
        let word =
            |i: usize| u32::from_be_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap()) as usize;
        let (header, width, height, row, colors) = (word(0), word(4), word(5), word(12), word(19));
        let pixels = &bytes[header + 12 * colors..];
        let white =
            |x: usize, y: usize| pixels[y * row + 4 * x..][..3].iter().all(|&value| value > 225);
        (0..width).filter(|&x| (0..height).all(|y| white(x, y))).collect()
    }

    /// Waits until the line lies there (none: is not there).
    fn expect(&self, wanted: Option<usize>) {
        let begun = Instant::now();
        loop {
            let line = self.line();
            let seen = match wanted {
                // Colors lie at every second pixel: the line may look a little wider.
                Some(at) => {
                    (1..=4).contains(&line.len()) && line.iter().all(|x| x.abs_diff(at) <= 3)
                }
                None => line.is_empty(),
            };
            if seen {
                return;
            }
            let waited = begun.elapsed();
            assert!(waited < Duration::from_secs(20), "line at {line:?}, not at {wanted:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn window_obeys_keys() {
    let dir = tempfile::tempdir().unwrap();
    let display = Display::open(dir.path());
    // As large as the display: 320x240, doubled.
    let mut view = facesr()
        .args(["view", "test", "--detector=none", "--scale=2"])
        .env("DISPLAY", &display.name)
        .env_remove("WAYLAND_DISPLAY")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let result = std::panic::catch_unwind(|| {
        display.expect(Some(320));
        for _ in 0..4 {
            display.press("Right");
        }
        display.expect(Some(448));
        for _ in 0..10 {
            display.press("Left");
        }
        display.expect(Some(128));
        // All before has no line, and so has all after.
        display.press("b");
        display.expect(None);
        display.press("space");
        display.expect(Some(128));
        display.press("a");
        display.expect(None);
        display.press("q");
    });
    if result.is_err() {
        let _ = view.kill();
    }
    let ended = view.wait_with_output().unwrap();
    assert!(result.is_ok() && ended.status.success(), "{}", said(&ended));
}
