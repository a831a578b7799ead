//! One file, by a process of its own: a decoder that crashes on a broken file takes nothing else
//! with it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::interrupt;

/// How often the child and the wish to stop are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Why a file was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It failed, with a sentence.
    Failed(String),
    /// The user stopped it.
    Stopped,
}

/// How far a child is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Step {
    /// Frames done.
    pub(super) frames: u64,
    /// Share of the file that is done, 0 to 1.
    pub(super) share: f64,
}

/// Runs `facesr enhance` on one file; `tell` hears how far it is. If this process dies, the child
/// finds nobody listening, and stops too.
pub(super) fn run(
    input: &Path,
    output: &Path,
    report: &Path,
    options: &[impl AsRef<OsStr>],
    tell: impl FnMut(Step) + Send,
) -> Result<(), Trouble> {
    let failed = |what: &str| Trouble::Failed(what.to_string());
    let program = std::env::current_exe()
        .map_err(|e| Trouble::Failed(format!("this program cannot find itself: {e}")))?;
    let mut command = Command::new(program);
    command
        .args(["enhance", "--force", "--quiet", "--progress=json", "--json"])
        .arg(report)
        .args(options)
        .arg("-o")
        .arg(output)
        .arg("--")
        .arg(input)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for this program, which then tells its children.
        .process_group(0);
    let mut child = command
        .spawn()
        .map_err(|e| Trouble::Failed(format!("the program cannot be started: {e}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (status, said) = std::thread::scope(|scope| {
        scope.spawn(move || stdout.map(|stdout| follow(BufReader::new(stdout), tell)));
        let said = scope.spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.map(|stderr| stderr.take(1 << 20).read_to_end(&mut said));
            String::from_utf8_lossy(&said).into_owned()
        });
        let status = wait(&mut child);
        (status, said.join().unwrap_or_default())
    });
    let status = status.map_err(|e| Trouble::Failed(format!("waiting for it failed: {e}")))?;
    if interrupt::asked() && !status.success() {
        return Err(Trouble::Stopped);
    }
    if status.success() {
        return Ok(());
    }
    if let Some(signal) = status.signal() {
        return Err(Trouble::Failed(format!("the program was ended by signal {signal}")));
    }
    let sentence = said.lines().rev().find_map(|line| line.strip_prefix("facesr: "));
    Err(failed(sentence.unwrap_or("it failed without saying why")))
}

/// Waits for the child; tells it to stop if the user wants that.
fn wait(child: &mut Child) -> std::io::Result<ExitStatus> {
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupt::asked() && !told {
            told = true;
            // SAFETY: the child has not been waited for, so its number is still its own.
            unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        }
        std::thread::sleep(TICK);
    }
}

/// Reads lines of progress.
fn follow(lines: impl BufRead, mut tell: impl FnMut(Step)) {
    for line in lines.lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        let number = |key: &str| line[key].as_f64();
        let share = match (number("position"), number("duration")) {
            (Some(at), Some(of)) if of > 0.0 => (at / of).clamp(0.0, 1.0),
            _ => 0.0,
        };
        tell(Step { frames: line["frames"].as_u64().unwrap_or(0), share });
    }
}
