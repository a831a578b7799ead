//! RTSP and webhooks by TLS, with a certificate that is made here.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use facesr_serve::{Config, Service};

use gst_rtsp_server::gio;
use gst_rtsp_server::gio::prelude::*;

use crate::http::value;
use crate::viewer::Viewer;
use crate::{Served, table, until};

/// A certificate and its key in a folder.
fn certificate(folder: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"])
        .args(["/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn text(folder: &Path, more: &str) -> String {
    let folder = folder.display();
    format!(
        "[server]\nrtsp = \"127.0.0.1:0\"\nhttp = \"off\"\ncertificate = \"{folder}/cert.pem\"\n\
         key = \"{folder}/key.pem\"\n{more}\n{}",
        table("front", "test", "")
    )
}

#[test]
fn tls_is_spoken_with_and_without_a_password_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    for (more, user) in [("", ""), ("user = \"me\"\npassword = \"s3cret\"", "me:s3cret@")] {
        let served = Served::start_with(&text(folder.path(), more));
        let plain = served.address("front").replace("//", &format!("//{user}"));
        let secure = plain.replace("rtsp:", "rtsps:");
        let viewer = Viewer::start_trusting(&secure);
        until("a picture", || viewer.last().is_some());
        let mut refused = vec![Viewer::start(&plain, "tcp")];
        if !user.is_empty() {
            refused.push(Viewer::start_trusting(&secure.replace(user, "")));
        }
        for viewer in refused {
            until("a refusal", || viewer.trouble().is_some());
            assert!(viewer.seen().is_empty());
        }
        served.stop();
    }
}

#[test]
fn certificate_that_is_of_no_use_is_told() {
    crate::init();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cert.pem"), "nonsense").unwrap();
    std::fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
    let events = "[events]\nwebhook = \"https://localhost/\"\nwebhook-ca = \"cert.pem\"\n";
    let server = "[server]\nrtsp = \"127.0.0.1:0\"\nhttp = \"off\"\n";
    let webhook = format!("{server}{events}{}", table("front", "test", ""));
    for text in [text(folder.path(), ""), webhook] {
        let config = Config::parse(&text, folder.path()).unwrap();
        let error = Service::start(config, std::sync::Arc::new(|_| ())).err().unwrap();
        assert!(error.to_string().contains("cert.pem"), "{error}");
    }
}

/// A receiver of posts by TLS that says yes to all: its port, and what it is sent.
fn receiver(folder: &Path) -> (u16, std::sync::mpsc::Receiver<String>) {
    let (sender, posts) = channel();
    let (port_sender, port) = channel();
    let folder = folder.to_path_buf();
    std::thread::spawn(move || {
        // GIO's objects stay in the thread that makes them.
        let listener = gio::SocketListener::new();
        port_sender.send(listener.add_any_inet_port(None::<&gst::glib::Object>).unwrap()).unwrap();
        let files = (folder.join("cert.pem"), folder.join("key.pem"));
        let certificate = gio::TlsCertificate::from_files(files.0, files.1).unwrap();
        while let Ok((stream, _)) = listener.accept(gio::Cancellable::NONE) {
            let tls = gio::TlsServerConnection::new(&stream, Some(&certificate)).unwrap();
            let (mut post, mut part) = (Vec::new(), [0; 4096]);
            while !post.ends_with(b"}") {
                match tls.input_stream().read(&mut part, gio::Cancellable::NONE) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => post.extend(&part[..count]),
                }
            }
            let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            drop(tls.output_stream().write_all(response, gio::Cancellable::NONE));
            if !post.is_empty() && sender.send(String::from_utf8_lossy(&post).into_owned()).is_err()
            {
                return;
            }
        }
    });
    (port.recv().unwrap(), posts)
}

#[test]
fn webhook_by_tls_is_told_only_if_its_certificate_is_vouched_for() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let (port, posts) = receiver(folder.path());
    let url = format!("webhook = \"https://me:a%20b@localhost:{port}/faces\"\n");
    let ca = format!("webhook-ca = \"{}/cert.pem\"\n", folder.path().display());
    // Nobody knows it: nothing is told.
    let served = Served::start_with(&crate::events::with_face(&url));
    let failed = "facesr_events_total{receiver=\"webhook\",fate=\"failed\"}";
    until("a failure", || value(&crate::http::text(served.http(), "/metrics"), failed) >= 1.0);
    assert!(posts.try_recv().is_err());
    served.end();
    let served = Served::start_with(&crate::events::with_face(&(url + &ca)));
    let post = posts.recv_timeout(Duration::from_secs(180)).unwrap();
    assert!(post.starts_with("POST /faces HTTP/1.1\r\nHost: localhost:"), "{post}");
    // "me:a b"
    assert!(post.contains("\r\nAuthorization: Basic bWU6YSBi\r\n"), "{post}");
    served.end();
}
