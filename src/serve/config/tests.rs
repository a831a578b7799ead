//! What a file may hold.

#![allow(clippy::unwrap_used)] // A test that cannot be set up has failed.

use super::*;

fn init() {
    gst::init().unwrap();
    gstfacesr::plugin_register_static().unwrap();
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    init();
    Config::parse(text, Path::new("/etc/facesr"))
}

fn refused(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

fn front(more: &str) -> String {
    format!("[server]\n\n[cameras.front]\nsource = \"rtsp://10.0.0.1/a\"\n{more}\n")
}

#[test]
fn example_is_valid_and_all_that_it_explains_is_known() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.cameras.len(), 1);
    assert!(config.rtsp.ip().is_loopback() && config.http.unwrap().ip().is_loopback());
    // Every key that is commented out, put in.
    let all: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') && !key.is_empty() => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("door");
    std::fs::write(&password, "s3cret\n").unwrap();
    let all = all.replace("/etc/facesr/front-door", password.to_str().unwrap());
    let config = parse(&all).unwrap();
    let door = &config.cameras["front-door"];
    assert_eq!(door.access.as_ref().unwrap().password.expose(), "s3cret");
    assert_eq!((door.scale, door.size, door.before), (2, Some((1920, 1080)), true));
    assert_eq!(door.face_properties.len(), 2);
    assert!(config.access.is_some());
}

#[test]
fn unknown_key_is_refused_with_its_line_and_what_was_meant() {
    for (line, meant) in [
        (
            "pasword = \"hunter2\"",
            "line 5: there is no key \"pasword\"; \"password\" was probably meant",
        ),
        ("scael = 2", "\"scale\" was probably meant"),
        ("key_interval = 2", "\"key-interval\" was probably meant"),
        ("zzz = 2", "there is no key \"zzz\" here; there are source, user"),
        ("facesr = { strenght = 1 }", "\"strength\" was probably meant"),
        ("encoder = \"x265enc\"", "\"x264enc\" was probably meant"),
    ] {
        let said = refused(&front(line));
        assert!(said.contains(meant), "{line}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(refused("[sever]\n").contains("\"server\" was probably meant"));
    assert!(refused("[cameras.a]\nuser = \"x\"").contains("source"), "a source is missing");
}

#[test]
fn value_that_cannot_be_is_refused_in_words() {
    for (line, word) in [
        ("scale = 3", "1, 2 or 4"),
        ("size = \"1280\"", "1280x720"),
        ("size = \"1281x720\"", "even"),
        ("bitrate = 1", "from 50"),
        ("timeout = nan", "from 1 to 600"),
        ("latency = 99999", "10000"),
        ("key-interval = 0", "from 1"),
        ("transport = \"tpc\"", "tcp"),
        ("user = \"me\"", "missing"),
        ("password = \"x\"", "user is missing"),
        ("user = \"a:b\"\npassword = \"x\"", "colon"),
        ("facesr = { strength = 7 }", "strength cannot have that value"),
        ("facesr = { detector = \"magic\" }", "detector cannot have that value"),
        ("facesr = { name = \"x\" }", "no property"),
        ("facesr = { stats = 1 }", "no property"),
        ("facesr = { roi = [1, 2] }", "number, a text"),
        ("password-file = \"nowhere\"\nuser = \"a\"", "/etc/facesr/nowhere"),
    ] {
        let said = refused(&front(line));
        assert!(said.contains(word), "{line}: {said}");
    }
    for (text, word) in [
        ("", "no camera"),
        ("[server]\nrtsp = \"localhost\"\n[cameras.a]\nsource = \"test\"", "address and port"),
        ("[server]\nuser = \"a\"\n[cameras.a]\nsource = \"test\"", "missing"),
        ("[cameras.\"../etc\"]\nsource = \"test\"", "letters, digits"),
        ("[cameras.\"a\\u001b[2J\"]\nsource = \"test\"", "letters, digits"),
        ("[cameras.a]\nsource = \"ftp://x/y\"", "rtsp, rtsps"),
        ("[cameras.a]\nsource = \"rtsp:///y\"", "no host"),
        ("[cameras.a]\nsource = 7", "text in quotes"),
        ("cameras = 7", "invalid type"),
        ("[[[", "line 1"),
    ] {
        let said = refused(text);
        assert!(said.contains(word), "{text}: {said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}

#[test]
fn password_is_never_in_a_message_or_in_what_is_shown() {
    for line in [
        "password = 12345678",
        "password = \"12345678",
        "user = \"u\"\npassword = [\"12345678\"]",
        "user = \"u\"\npassword = \"12345678\"\npassword = \"12345678\"",
        "passwort = \"12345678\"",
        "user = \"u\"\npassword = \"12345678\"\nscale = 9",
    ] {
        let said = refused(&front(line));
        assert!(!said.contains("12345678"), "{line}: {said}");
    }
    let text = "[cameras.a]\nsource = \"rtsp://me:p%40ss:w0rd@10.0.0.1:554/x?token=t0p\"";
    let config = parse(text).unwrap();
    let camera = &config.cameras["a"];
    let access = camera.access.as_ref().unwrap();
    assert_eq!((access.user.as_str(), access.password.expose()), ("me", "p@ss:w0rd"));
    assert_eq!(camera.source, Source::Rtsp("rtsp://10.0.0.1:554/x?token=t0p".into()));
    assert_eq!(camera.source.shown(), "rtsp://10.0.0.1:554/x");
    assert!(!format!("{config:?}").contains("w0rd"));
    let said = refused("[cameras.a]\nsource = \"rtsp://me:w0/rd@10.0.0.1/x\"");
    assert!(said.contains("%2F") && !said.contains("rd@"), "{said}");
}

#[test]
fn defaults_hold_for_cameras_that_say_nothing_else() {
    let text = "[defaults]\nscale = 2\nfacesr = { max-faces = 3, strength = 0.5 }\n\
                [cameras.a]\nsource = \"test\"\n\
                [cameras.b]\nsource = \"clip.mp4\"\nscale = 1\nfacesr = { strength = 1 }";
    let config = parse(text).unwrap();
    let (a, b) = (&config.cameras["a"], &config.cameras["b"]);
    assert_eq!((a.scale, b.scale), (2, 1));
    let pair = |name: &str, text: &str| (name.to_string(), text.to_string());
    assert_eq!(a.face_properties, [pair("max-faces", "3"), pair("strength", "0.5")]);
    assert_eq!(b.face_properties, [pair("max-faces", "3"), pair("strength", "1")]);
    assert_eq!(b.source, Source::File("/etc/facesr/clip.mp4".into()));
}
