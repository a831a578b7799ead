//! Talking to whoever started the program: lines, progress, signals, exit codes.

mod exit;
pub(crate) mod interrupt;
mod progress;

use std::io::{self, Write};

pub(crate) use exit::{ExitStatus, Failure};
pub(crate) use progress::{Position, Progress, ProgressMode, clock};

/// Printed under the help of every command.
pub(crate) const DISCLAIMER: &str =
    "A generated face is a plausible guess and never evidence of anyone's identity.";

/// What a user is told of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// A sentence.
    pub(crate) text: String,
    /// Whether it tells of something in the input that is not in the output.
    pub(crate) is_loss: bool,
}

/// Prints a line on standard error. A terminal that is closed or full stops nothing.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// Prints text on standard output. Whoever reads it may have gone.
///
/// # Errors
/// A [`Failure`] if it cannot be written for another reason.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::running(format_args!("cannot write standard output: {}", io_reason(&e))))
        }
        _ => Ok(()),
    }
}

/// Text as it may go to a terminal: names and messages from elsewhere cannot control it, nor turn
/// the direction in which it is read. Passwords in addresses are not shown.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in without_passwords(text).chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() && (c as u32) < 0x80 => out += &format!("\\x{:02x}", c as u32),
            c if c.is_control() || is_bidi_control(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text with `***` in the place of the password of every address `scheme://user:password@host`.
pub(crate) fn without_passwords(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out += before;
        let authority = after
            .find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c))
            .map_or(after, |end| &after[..end]);
        if let Some((user, host)) = authority.rsplit_once('@')
            && let Some((name, _)) = user.split_once(':')
        {
            out += name;
            out += ":***@";
            out += host;
        } else {
            out += authority;
        }
        rest = &after[authority.len()..];
    }
    out + rest
}

/// The system's reason in plain words, without the error number.
pub(crate) fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ResourceBusy => {
            "another run is writing it; wait until that has ended, or name another output".into()
        }
        io::ErrorKind::NotFound => "there is no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "the disk is full".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        _ => {
            let text = error.to_string();
            // Encoders wrap what the system says, and its kind is lost.
            if text.starts_with("No space left on device") {
                return "the disk is full".into();
            }
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_escapes_what_controls_a_terminal() {
        assert_eq!(printable("a\x1b[2J\x07\u{9b}\u{202e}b\n"), "a\\x1b[2J\\x07\\u{9b}\\u{202e}b\n");
        assert_eq!(printable("größe ä"), "größe ä");
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = without_passwords("at rtsp://me:s3:c@r@cam/x?a=b@c and http://u@h, a://b");
        assert_eq!(shown, "at rtsp://me:***@cam/x?a=b@c and http://u@h, a://b");
    }
}
