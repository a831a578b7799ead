//! RTSP by TLS, with a certificate that is made here.

use std::path::Path;
use std::process::Command;

use facesr_serve::{Config, Service};

use crate::viewer::Viewer;
use crate::{Served, table, until};

/// A certificate and its key in a folder.
fn certificate(folder: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"])
        .arg("/CN=localhost")
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
    let config = Config::parse(&text(folder.path(), ""), Path::new(".")).unwrap();
    let error = Service::start(config, std::sync::Arc::new(|_| ())).err().unwrap();
    assert!(error.to_string().contains("cert.pem"), "{error}");
}
