//! Faces told to others, and receivers that are slow or not there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::http::{text, value};
use crate::viewer::Viewer;
use crate::{Served, carphone, until};

/// A camera with a face, whose events go where `events` says.
pub(crate) fn with_face(events: &str) -> String {
    format!(
        "[server]\nrtsp = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[events]\n{events}\n\
         [cameras.clip]\nsource = \"{}\"\n",
        carphone().display()
    )
}

fn assert_is_event(event: &Value) {
    assert_eq!(
        (&event["after"]["label"], &event["after"]["camera"]),
        (&"face".into(), &"clip".into())
    );
    assert!(event["type"] == "new" || event["type"] == "end", "{event}");
    let area = event["after"]["area"].as_i64().unwrap();
    assert!(area > 100, "{event}");
    assert!(event["after"]["start_time"].as_f64().unwrap() > 1e9, "{event}");
}

/// What a stream holds until `is_all` says that all is there.
fn read_until(stream: &mut TcpStream, is_all: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while !is_all(&all) {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(n) => all.extend(&part[..n]),
        }
    }
    all
}

#[test]
fn webhook_gets_each_face_and_a_slow_one_holds_up_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, posts): (_, Receiver<String>) = channel();
    std::thread::spawn(move || {
        // The first is answered; those after it never are.
        let mut waiting = Vec::new();
        for (n, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut stream = stream;
            let is_all = |all: &[u8]| all.ends_with(b"}");
            let post = String::from_utf8_lossy(&read_until(&mut stream, is_all)).into_owned();
            if sender.send(post).is_err() {
                return;
            }
            match n {
                0 => drop(stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")),
                _ => waiting.push(stream),
            }
        }
    });
    let served =
        Served::start_with(&with_face(&format!("webhook = \"http://{address}/faces?t=1\"")));
    let viewer = Viewer::start(&served.address("clip"), "tcp");
    let post = posts.recv_timeout(Duration::from_secs(180)).unwrap();
    assert!(post.starts_with("POST /faces?t=1 HTTP/1.1\r\n"), "{post}");
    assert_is_event(&serde_json::from_str(post.split("\r\n\r\n").nth(1).unwrap()).unwrap());
    // While one is not answered the pictures come as before, and the queue waits.
    posts.recv_timeout(Duration::from_secs(180)).unwrap();
    let seen = viewer.seen().len();
    until("pictures", || viewer.last().is_some() && viewer.seen().len() > seen + 40);
    let figure = |fate| {
        let name = format!("facesr_events_total{{receiver=\"webhook\",fate=\"{fate}\"}}");
        value(&text(served.http(), "/metrics"), &name)
    };
    assert_eq!(figure("sent"), 1.0);
    until("that it is given up", || figure("failed") >= 1.0);
    served.end();
}

#[test]
fn looks_at_the_latest_faces_are_served() {
    let served = Served::start_with(&with_face(""));
    let list = || -> Value { serde_json::from_str(&text(served.http(), "/faces/clip")).unwrap() };
    until("a face", || list()["faces"].as_array().is_some_and(|faces| !faces.is_empty()));
    let list = list();
    let face = &list["faces"][0];
    assert!(face["score"].as_f64().unwrap() > 0.0 && face["time"].as_str().unwrap().ends_with('Z'));
    let (status, head, jpeg) = crate::http::get(served.http(), face["jpeg"].as_str().unwrap(), "");
    assert!(status == 200 && head.contains("image/jpeg") && jpeg.starts_with(&[0xff, 0xd8]));
    assert!(text(served.http(), "/camera/clip").contains("Latest faces"));
    for path in ["/faces/nobody", "/faces/clip/99999.jpg", "/faces/clip/../x.jpg", "/faces/"] {
        assert_eq!(crate::http::get(served.http(), path, "").0, 404, "{path}");
    }
    served.end();
}

/// One packet of MQTT: its first byte, and the rest.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let (kind, mut length, mut shift) = (byte[0], 0usize, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 127) << shift;
        shift += 7;
        if byte[0] & 128 == 0 {
            break;
        }
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).ok()?;
    Some((kind, rest))
}

#[test]
fn broker_gets_faces_counts_a_will_and_a_farewell() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, published) = channel();
    // A broker that sends the first client away, as one that is started again does.
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut stream = stream;
            if n == 0 {
                continue;
            }
            while let Some((kind, rest)) = packet(&mut stream) {
                match kind >> 4 {
                    1 => {
                        let _ = sender.send(("connect".to_string(), rest));
                        let _ = stream.write_all(&[0x20, 2, 0, 0]);
                    }
                    3 => {
                        let at = 2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                        let topic = String::from_utf8_lossy(&rest[2..at]).into_owned();
                        let needs_answer = kind & 6 != 0;
                        let payload = rest[at + 2 * usize::from(needs_answer)..].to_vec();
                        if needs_answer {
                            let _ = stream.write_all(&[0x40, 2, rest[at], rest[at + 1]]);
                        }
                        let _ = sender.send((topic, payload));
                    }
                    12 => drop(stream.write_all(&[0xd0, 0])),
                    _ => {}
                }
            }
        }
    });
    let events =
        format!("mqtt = \"mqtt://127.0.0.1:{port}\"\nuser = \"me\"\npassword = \"s3cret\"");
    let served = Served::start_with(&with_face(&events));
    let next = |wanted: &str| loop {
        let (topic, payload) = published.recv_timeout(Duration::from_secs(180)).expect(wanted);
        if topic == wanted {
            return payload;
        }
    };
    let connect = String::from_utf8_lossy(&next("connect")).into_owned();
    for part in ["MQTT", "facesr/available", "offline", "me", "s3cret"] {
        assert!(connect.contains(part), "{part}: {connect:?}");
    }
    // Who announces first and who tells first is not said.
    let all = [next("facesr/events"), next("facesr/clip/face")];
    assert_is_event(&serde_json::from_slice(&all[0]).unwrap());
    assert!(["0", "1"].contains(&String::from_utf8_lossy(&all[1]).as_ref()));
    assert!(next("facesr/clip/face/snapshot").starts_with(&[0xff, 0xd8]));
    served.end();
    let mut farewell = Vec::new();
    while farewell != b"offline" {
        farewell = next("facesr/available");
    }
}

#[test]
fn home_assistant_is_told_of_each_camera() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let events = format!("mqtt = \"mqtt://127.0.0.1:{port}\"\ntopic = \"my/facesr\"");
    let text = with_face(&events).replace(&carphone().display().to_string(), "test");
    let served = Served::start_with(&text);
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(packet(&mut stream).unwrap().0 >> 4, 1);
    stream.write_all(&[0x20, 2, 0, 0]).unwrap();
    let mut all = String::new();
    while !all.contains("homeassistant/camera/my_facesr_clip_face/config") {
        let (_, rest) = packet(&mut stream).expect("an announcement");
        all += &String::from_utf8_lossy(&rest);
    }
    for part in [
        "my/facesr/available",
        "homeassistant/sensor/my_facesr_clip_faces/config",
        "\"state_topic\":\"my/facesr/clip/face\"",
        "\"topic\":\"my/facesr/clip/face/snapshot\"",
        "unique_id",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    served.end();
}

/// Tells of faces on standard output; run by the test below.
#[test]
#[ignore = "it is a part of another test"]
fn events_child() {
    let _served = Served::start_with(&with_face("stdout = true"));
    std::thread::sleep(Duration::from_secs(120));
}

#[test]
fn standard_output_gets_a_line_for_each_face() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "events::events_child", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let event = lines
        .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
        .find(|line| line["after"]["label"] == "face");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_is_event(&event.expect("a line of JSON"));
}
