//! `facesr serve`: from the example to a clean end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use facesr_testkit::{media, skip};

use crate::{facesr, run, said, scratch};

/// The example, on any ports and without faces.
fn example(path: &std::path::Path) -> String {
    let output = run(&["serve", "--example"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text
        .replace("127.0.0.1:8554", "127.0.0.1:0")
        .replace("127.0.0.1:8580", "127.0.0.1:0")
        .replace("source = \"test\"", "source = \"test\"\nfacesr = { detector = \"none\" }");
    std::fs::write(path, &text).unwrap();
    text
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the child runs and is ours.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn example_can_be_checked() {
    let (_dir, file) = scratch();
    let path = file("cameras.toml");
    let text = example(&path);
    let output = facesr().args(["serve", "--check"]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "test: 640x360\n", "{}", said(&output));
    assert!(output.status.success());
    std::fs::write(&path, text.clone() + "\n[cameras.b]\nsource = \"/nowhere.mp4\"\n").unwrap();
    let output = facesr().args(["serve", "--check"]).arg(&path).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("b: no picture:"));
    assert_eq!(output.status.code(), Some(3));
    std::fs::write(&path, text.replace("source", "sorce")).unwrap();
    let output = facesr().arg("serve").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("\"source\" was probably meant"), "{}", said(&output));
}

#[test]
fn signals_read_the_file_again_and_end_it_cleanly() {
    let (_dir, file) = scratch();
    let path = file("cameras.toml");
    let text = example(&path);
    let mut child = facesr().arg("serve").arg(&path).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut until = |wanted: &str| {
        let found = lines.find(|line| line.contains(wanted));
        assert!(found.is_some(), "it ended without: {wanted}");
    };
    until("rtsp://127.0.0.1:");
    until("http://127.0.0.1:");
    until("test: 640x360");
    std::fs::write(&path, "[cameras.test]\n").unwrap();
    signal(&child, libc::SIGHUP);
    until("all goes on as before");
    std::fs::write(&path, text + "\n[cameras.b]\nsource = \"test\"\n").unwrap();
    signal(&child, libc::SIGHUP);
    until("b: added");
    until("b: 640x360");
    let start = Instant::now();
    signal(&child, libc::SIGTERM);
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn service_manager_hears_of_start_life_and_end() {
    let (dir, file) = scratch();
    let path = file("cameras.toml");
    example(&path);
    let socket = dir.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut child = facesr()
        .arg("serve")
        .arg(&path)
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "3000000")
        .env_remove("WATCHDOG_PID")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let heard = || {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    assert!(heard().contains("READY=1"));
    for _ in 0..3 {
        assert!(heard().contains("WATCHDOG=1"));
    }
    signal(&child, libc::SIGTERM);
    while !heard().contains("STOPPING=1") {}
    assert!(child.wait().unwrap().success());
}

#[test]
fn camera_is_enhanced_with_its_sound() {
    let (_dir, file) = scratch();
    let film = file("film.mp4");
    media::launch(&format!(
        "videotestsrc num-buffers=100 ! video/x-raw,width=320,height=240,framerate=25/1 \
         ! x264enc speed-preset=ultrafast key-int-max=25 ! mp4mux name=m ! filesink location={} \
         audiotestsrc num-buffers=188 samplesperbuffer=1024 ! audio/x-raw,rate=48000 ! avenc_aac ! m.",
        film.display()
    ));
    let path = file("cameras.toml");
    let text = example(&path).replace("\"test\"", &format!("{:?}", film.to_str().unwrap()));
    std::fs::write(&path, text).unwrap();
    let mut camera = facesr().arg("serve").arg(&path).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(camera.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find(|line| line.starts_with("rtsp://")).unwrap();
    // Who comes before the camera gets the picture alone.
    assert!(lines.any(|line| line.contains("320x240")));
    let mut child = facesr()
        .args(["enhance", &address, "-o", "-", "--detector", "none", "--preset", "ultrafast"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut taken = vec![0; 200_000];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut taken).unwrap();
    signal(&child, libc::SIGINT);
    stdout.read_to_end(&mut taken).unwrap();
    child.wait().unwrap();
    signal(&camera, libc::SIGTERM);
    assert!(camera.wait().unwrap().success());
    let written = file("taken.mkv");
    std::fs::write(&written, taken).unwrap();
    let probe = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-show_entries"])
        .args(["stream=codec_name,nb_read_packets", "-of", "csv=p=0"])
        .arg(&written)
        .output();
    let Ok(probe) = probe else {
        return skip::not_installed("there is no ffprobe: what came of a camera was not looked at");
    };
    let streams = String::from_utf8(probe.stdout).unwrap();
    for codec in ["h264", "aac"] {
        let line = streams.lines().find_map(|line| line.strip_prefix(codec)?.strip_prefix(','));
        let packets: u32 = line.unwrap_or_default().parse().unwrap_or(0);
        assert!(packets > 20, "{streams}");
    }
}
