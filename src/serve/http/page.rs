//! What is where: the page, pictures, health and figures.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Context, answer, metrics, request::Request};
use crate::output::Output;
use crate::service::Entry;
use crate::status::State;
use crate::whep;

/// Live pictures come no faster.
const PICTURE_EVERY: Duration = Duration::from_millis(200);
/// A picture that nobody has looked at before is waited for.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const WHEP_SCRIPT: &str = include_str!("whep.js");
const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\">\
    <rect width=\"16\" height=\"16\" rx=\"3\" fill=\"#2a7d34\"/>\
    <circle cx=\"8\" cy=\"8\" r=\"4\" fill=\"#fff\"/></svg>\n";
const HTML: &str = "text/html; charset=utf-8";

/// Answers a request that may be answered.
pub(super) fn route(out: &mut TcpStream, context: &Context, request: &Request) -> io::Result<()> {
    let shared = &context.shared;
    let text = |out: &mut TcpStream, kind: &str, body: &str| {
        answer::whole(out, "200 OK", kind, "", body.as_bytes(), request.is_head())
    };
    match request.path.as_str() {
        "/" => text(out, HTML, &index(&shared.entries())),
        "/icon.svg" => text(out, "image/svg+xml", ICON),
        "/page.css" => text(out, "text/css; charset=utf-8", STYLE),
        "/page.js" => text(out, "text/javascript; charset=utf-8", SCRIPT),
        "/whep.js" => text(out, "text/javascript; charset=utf-8", WHEP_SCRIPT),
        "/metrics" => text(
            out,
            "text/plain; version=0.0.4; charset=utf-8",
            &metrics::text(&shared.entries(), &shared.events),
        ),
        // The same twice: a program wants a status that says it all, the page one that is no error.
        "/health" | "/status" => {
            let (is_well, body) = health(&shared.entries());
            let is_ok = is_well || request.path == "/status";
            let status = if is_ok { "200 OK" } else { "503 Service Unavailable" };
            let body = format!("{body}\n");
            answer::whole(out, status, "application/json", "", body.as_bytes(), request.is_head())
        }
        path if path.starts_with("/faces/") => faces(out, context, request),
        path => camera(out, context, request, path),
    }
}

/// `/faces/NAME` and `/faces/NAME/NUMBER.jpg`.
fn faces(out: &mut TcpStream, context: &Context, request: &Request) -> io::Result<()> {
    let file = request.path.strip_prefix("/faces/").unwrap_or_default();
    let (name, picture) = file.split_once('/').unwrap_or((file, ""));
    let Some(entry) = context.shared.entry(name) else {
        return answer::status(out, 404, "Not Found");
    };
    let looks = &entry.sinks.looks;
    if picture.is_empty() {
        let body = format!("{}\n", looks.to_json(name));
        let kind = "application/json";
        return answer::whole(out, "200 OK", kind, "", body.as_bytes(), request.is_head());
    }
    let id = picture.strip_suffix(".jpg").and_then(|id| id.parse().ok());
    match id.and_then(|id| looks.jpeg(id)) {
        Some(jpeg) => answer::whole(out, "200 OK", "image/jpeg", "", &jpeg, request.is_head()),
        None => answer::status(out, 404, "Not Found"),
    }
}

/// `/camera/NAME`, `/camera/NAME.jpg` and `/camera/NAME.mjpg`.
fn camera(out: &mut TcpStream, context: &Context, request: &Request, path: &str) -> io::Result<()> {
    let file = path.strip_prefix("/camera/").unwrap_or_default();
    let (name, kind) = file.split_once('.').unwrap_or((file, ""));
    let Some(entry) = context.shared.entry(name) else {
        return answer::status(out, 404, "Not Found");
    };
    let output = if request.asks_for_before() { &entry.sinks.before } else { &entry.sinks.after };
    match kind {
        "" => {
            let body = live(name, &entry);
            answer::whole(out, "200 OK", HTML, "", body.as_bytes(), request.is_head())
        }
        "jpg" => match first(output) {
            Some(jpeg) => {
                let state = entry.sinks.status.condition().state.word();
                let more = format!("X-Facesr-State: {state}\r\n");
                answer::whole(out, "200 OK", "image/jpeg", &more, &jpeg, request.is_head())
            }
            None => answer::status(out, 503, "No Picture Yet"),
        },
        "mjpg" => {
            answer::begin_pictures(out)?;
            while !request.is_head() && !context.stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                match output.jpeg() {
                    Some(jpeg) => answer::picture(out, &jpeg)?,
                    // Whoever has gone meanwhile is noticed.
                    None => out.write_all(b"\r\n")?,
                }
                std::thread::sleep(PICTURE_EVERY.saturating_sub(start.elapsed()));
            }
            Ok(())
        }
        _ => answer::status(out, 404, "Not Found"),
    }
}

/// A picture, waited for a moment: one as it came is kept only while somebody looks.
fn first(output: &Output) -> Option<Arc<Vec<u8>>> {
    let start = Instant::now();
    loop {
        match output.jpeg() {
            Some(jpeg) => return Some(jpeg),
            None if start.elapsed() >= FIRST_WITHIN => return None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// How one camera is.
fn condition(entry: &Entry) -> Value {
    let status = &entry.sinks.status;
    let it = status.condition();
    let is_live = it.state == State::Live;
    let (rate, delay) = status.pace();
    json!({
        "state": it.state.word(),
        "for_s": it.since.elapsed().as_secs(),
        "reason": it.reason,
        "size": it.size.map(|(w, h)| format!("{w}x{h}")),
        "frames_per_s": if is_live { (rate * 10.0).round() / 10.0 } else { 0.0 },
        "delay_ms": delay.as_millis() as u64,
        "text": sentence(entry),
        "faces": status.present.count(),
        "faces_enhanced": status.faces.lock().enhanced,
        "enhanced": !status.bypass.load(Ordering::Relaxed),
        "behind": is_live && status.is_behind(),
        "viewers": entry.sinks.after.fanout.len() + entry.sinks.before.fanout.len(),
        "reconnects": status.reconnects.load(Ordering::Relaxed),
        "last_picture_s": it.last.map(|last| last.elapsed().as_secs()),
    })
}

/// How one camera is, for people: only what can be known now.
fn sentence(entry: &Entry) -> String {
    let status = &entry.sinks.status;
    let it = status.condition();
    let size = it.size.map(|(w, h)| format!("{w}x{h}")).unwrap_or_default();
    match (it.state, it.last) {
        (State::Live, _) => {
            let (rate, delay) = status.pace();
            let faces = match status.present.count() {
                1 => "1 face".to_string(),
                n => format!("{n} faces"),
            };
            let why = match () {
                () if status.bypass.load(Ordering::Relaxed) => {
                    " (paused: the machine is much too slow)"
                }
                () if status.is_behind() => {
                    " (too little time to find and enhance all: the machine is busy)"
                }
                () => "",
            };
            let delay = delay.as_millis();
            format!("{size}, {rate:.1} frames/s, {delay} ms delay, {faces} now{why}")
        }
        (_, Some(last)) => {
            format!("{size}, last picture {} ago", crate::picture::time(last.elapsed()))
        }
        (_, None) => "waiting for its first picture".into(),
    }
}

/// How all are, and whether all are well.
fn health(entries: &[(String, Entry)]) -> (bool, Value) {
    let is_live =
        |(_, entry): &(String, Entry)| entry.sinks.status.condition().state == State::Live;
    let is_well = entries.iter().all(is_live);
    let cameras: serde_json::Map<_, _> =
        entries.iter().map(|(name, entry)| (name.clone(), condition(entry))).collect();
    (is_well, json!({ "status": if is_well { "ok" } else { "degraded" }, "cameras": cameras }))
}

/// Text as it may stand in a page.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"/icon.svg\">\n\
         <link rel=\"stylesheet\" href=\"/page.css\">\n<body>\n{body}\
         <p class=\"guess\">A generated face is a plausible guess and never evidence of anyone's \
         identity.</p>\n<script src=\"/page.js\"></script>\n</body>\n</html>\n"
    )
}

/// Name and state of a camera, a picture if `picture` holds one, and what is said of it.
fn card(name: &str, entry: &Entry, title: &str, picture: &str) -> String {
    let it = condition(entry);
    let word = |key: &str| escape(it[key].as_str().unwrap_or_default());
    format!(
        "<article id=\"{name}\" data-state=\"{state}\">\n<h2>{title} \
         <span class=\"state\" role=\"status\">{state}</span></h2>\n{picture}\
         <p class=\"figures\">{text}</p>\n<p class=\"reason\">{reason}</p>\n\
         <p class=\"source\">{source}</p>\n</article>\n",
        state = word("state"),
        text = word("text"),
        reason = word("reason"),
        source = escape(&entry.source),
    )
}

fn index(entries: &[(String, Entry)]) -> String {
    let mut body = String::from("<h1>Cameras</h1>\n<main>\n");
    for (name, entry) in entries {
        let shown = match entry.sinks.status.condition().last {
            Some(_) => format!(
                "<img class=\"picture\" src=\"/camera/{name}.jpg\" alt=\"{name}, enhanced\">"
            ),
            None => "<span class=\"picture\">no picture yet</span>".into(),
        };
        let link = format!("<a href=\"/camera/{name}\">{name}</a>");
        let picture = format!("<a href=\"/camera/{name}\">{shown}</a>\n");
        body += &card(name, entry, &link, &picture);
    }
    page("Cameras", &(body + "</main>\n"))
}

/// One camera, live: as it is served and as it came. Single pictures, which the page's script exchanges for a stream
/// where there is one.
fn live(name: &str, entry: &Entry) -> String {
    let is_there = whep::missing().is_none();
    let figure = |query: &str, what: &str, has_stream: bool| {
        let stream = match is_there && has_stream {
            true => format!(" data-whep=\"/camera/{name}/whep{query}\""),
            false => String::new(),
        };
        format!(
            "<figure{stream}><img src=\"/camera/{name}.mjpg{query}\" alt=\"{name}, {what}\">\
             <figcaption>{what}</figcaption></figure>\n"
        )
    };
    let after = figure("", "enhanced", true);
    let before = figure("?before", "as it came", entry.whep_before.is_some());
    let script = if is_there { "<script src=\"/whep.js\"></script>\n" } else { "" };
    let card = card(name, entry, "state", "");
    let looks =
        entry.sinks.looks.ids().into_iter().take(12).map(|id| {
            format!("<img src=\"/faces/{name}/{id}.jpg\" alt=\"face {id}, enhanced\">\n")
        });
    let looks: String = looks.collect();
    let looks = match looks.is_empty() {
        true => String::new(),
        false => format!("<h2>Latest faces</h2>\n<p class=\"looks\">\n{looks}</p>\n"),
    };
    let body = format!(
        "<h1><a href=\"/\">Cameras</a>: {name}</h1>\n<main class=\"live\">\n{after}{before}</main>\n{card}{looks}{script}"
    );
    page(name, &body)
}
