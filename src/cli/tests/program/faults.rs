//! What the machine around the program does wrong: no ONNX Runtime or an old one, a disk that is
//! full, another run at the same output.

use std::path::Path;
use std::process::{Command, Stdio};

use facesr_testkit::media::{frames, launch};
use facesr_testkit::skip;

use crate::{facesr, names, said, scratch};

fn clip(path: &Path, frames: u32) {
    launch(&format!(
        "videotestsrc num-buffers={frames} ! video/x-raw,width=160,height=120,framerate=25/1 ! \
         x264enc speed-preset=ultrafast ! mp4mux ! filesink location={}",
        path.display()
    ));
}

/// A shared library with this C code in it.
fn library(path: &Path, code: &str) {
    let source = path.with_extension("c");
    std::fs::write(&source, code).unwrap();
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([path, &source])
        .status()
        .expect("a C compiler is part of the set-up");
    assert!(done.success());
}

fn pretending(version: &str) -> String {
    format!(
        "struct base {{ const void *(*api)(unsigned); const char *(*version)(void); }};
         static const void *api(unsigned version) {{ return 0; }}
         static const char *version(void) {{ return \"{version}\"; }}
         static const struct base base = {{ api, version }};
         const struct base *OrtGetApiBase(void) {{ return &base; }}"
    )
}

#[test]
fn an_onnx_runtime_that_cannot_be_used() {
    let (dir, file) = scratch();
    clip(&file("in.mp4"), 3);
    library(&file("old.so"), &pretending("1.20.1"));
    library(&file("older.so"), &pretending("0.5"));
    library(&file("unable.so"), &pretending("1.99.0"));
    library(&file("other.so"), "int nothing;");
    std::fs::write(file("text.so"), b"no library").unwrap();
    std::fs::create_dir(file("folder.so")).unwrap();
    std::fs::create_dir(file("archive")).unwrap();
    std::fs::copy(file("in.mp4"), file("archive/in.mp4")).unwrap();
    let before = names(dir.path());
    for (name, words) in [
        ("old.so", "1.20.1"),
        ("older.so", "0.5"),
        ("unable.so", "cannot be used"),
        ("other.so", "OrtGetApiBase"),
        ("text.so", "cannot be used"),
        ("folder.so", "cannot be used"),
        ("none.so", "cannot be used"),
    ] {
        for (command, input, out) in [("enhance", "in.mp4", "out.mp4"), ("batch", "archive", "out")]
        {
            let ended = facesr()
                .env("ORT_DYLIB_PATH", file(name))
                .arg(command)
                .args([&file(input), Path::new("-o"), &file(out)])
                .output()
                .unwrap();
            let said = said(&ended);
            let code = if command == "batch" { 3 } else { 1 };
            assert_eq!(ended.status.code(), Some(code), "{name}: {said}");
            for words in [words, name, "1.24 or newer"] {
                assert!(said.contains(words), "{name}: '{words}' is not in: {said}");
            }
            assert!(!said.contains("panicked"), "{name}: {said}");
            if command == "batch" {
                std::fs::remove_dir_all(file("out")).unwrap();
            }
            assert_eq!(names(dir.path()), before, "{name}");
        }
        // Doctor tells, and does not fall over itself.
        let ended = facesr().env("ORT_DYLIB_PATH", file(name)).arg("doctor").output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{name}: {}", said(&ended));
        let told = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(told.contains(name), "{told}");
    }
}

#[test]
fn two_runs_do_not_write_one_output() {
    let (dir, file) = scratch();
    clip(&file("in.mp4"), 3000);
    clip(&file("short.mp4"), 3);
    let output = file("out.mp4");
    let mut first = facesr()
        .args(["enhance", "--detector=none", "--scale=4", "--preset=slow", "--progress=json"])
        .args([&file("in.mp4"), Path::new("-o"), &output])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::until_frames_pass(&mut first);
    for options in [&[][..], &["--force"]] {
        let second = facesr()
            .args(["enhance", "--detector=none"])
            .args(options)
            .args([&file("short.mp4"), Path::new("-o"), &output])
            .output()
            .unwrap();
        assert_eq!(second.status.code(), Some(1), "{}", said(&second));
        let words = "out.mp4: another run is writing it";
        assert!(said(&second).contains(words), "{}", said(&second));
        assert!(first.try_wait().unwrap().is_none(), "the first has ended");
    }
    // A run that dies lets go, and what it leaves is no hindrance.
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(!output.exists());
    let third = facesr()
        .args(["enhance", "--detector=none"])
        .args([&file("short.mp4"), Path::new("-o"), &output])
        .output()
        .unwrap();
    assert!(third.status.success(), "{}", said(&third));
    assert_eq!(frames(&output).packets.len(), 3);
    assert_eq!(names(dir.path()), ["in.mp4", "out.mp4", "short.mp4"]);
}

/// A file system that is really full. Mounting one needs a namespace of one's own, which not every
/// machine grants; a limit on the size of files, which every machine has, is in `failures`.
#[test]
fn a_file_system_that_is_full() {
    let (dir, file) = scratch();
    clip(&file("in.mp4"), 100);
    std::fs::create_dir(file("archive")).unwrap();
    std::fs::copy(file("in.mp4"), file("archive/a.mp4")).unwrap();
    std::fs::copy(file("in.mp4"), file("archive/b.mp4")).unwrap();
    let noise = image::RgbImage::from_fn(300, 300, |x, y| {
        image::Rgb([0, 1, 2].map(|c| ((x * 7919 + y * 104_729 + c * 1299) % 251) as u8))
    });
    noise.save(file("in.png")).unwrap();
    std::fs::create_dir(file("full")).unwrap();
    // Runs what follows with a file system of 64 KiB, and then leaves what is in it for the test.
    let script = "mount -t tmpfs -o size=64k facesr-test \"$0\" || exit 99; \
                  \"$@\"; code=$?; ls -A \"$0\" | tr '\\n' ' '; exit $code";
    let run = |arguments: &[&str]| {
        let full = |name: &str| file(&format!("full/{name}"));
        let (command, output) = (arguments[0], arguments[1]);
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(file("full"));
        unshare.arg(env!("CARGO_BIN_EXE_facesr")).arg(command).args(&arguments[3..]);
        unshare.args([&file(arguments[2]), Path::new("-o"), &full(output)]);
        unshare.output().map(|ended| {
            // The list comes last, behind what the command prints.
            let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
            let left = printed.lines().last().unwrap_or_default().to_string();
            (ended.status.code(), said(&ended), left)
        })
    };
    let big = ["--scale=4", "--crf=0"];
    for (arguments, code) in [
        (&["enhance", "out.mp4", "in.mp4", "--detector=none", big[0], big[1]][..], 1),
        (&["enhance", "out.mkv", "in.mp4", "--detector=none", big[0], big[1]], 1),
        (&["image", "out.png", "in.png", "--scale=2"], 1),
        (&["batch", "out", "archive", "--detector=none", big[0], big[1], "--jobs=1"], 3),
    ] {
        let Ok((ended, said, left)) = run(arguments) else {
            return skip::not_installed("there is no unshare: a full disk was not tried");
        };
        if ended == Some(99) || said.contains("unshare:") {
            return skip::unsupported("no file system may be mounted: a full disk was not tried");
        }
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
        assert!(said.contains("cannot write") && said.contains("the disk is full"), "{said}");
        assert!(!left.contains(".tmp") && !left.contains("out."), "{arguments:?}: {left}");
    }
    assert_eq!(names(&dir.path().join("full")), Vec::<String>::new());
}
