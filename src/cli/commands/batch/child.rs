//! One file, by a process of its own: a decoder that crashes on a broken file takes nothing else
//! with it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::term::interrupt;

/// How long a child may take to end when it is told to.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// How often the child and the wish to stop are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Why a file was not done.
#[derive(Debug)]
pub(super) enum ChildError {
    /// It failed, with a sentence.
    Failed(String),
    /// The user stopped it.
    Stopped,
}

/// How far a child is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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
    timeout: Duration,
    mut tell: impl FnMut(Step) + Send,
) -> Result<(), ChildError> {
    let failed = |what: &str| ChildError::Failed(what.to_string());
    let program = std::env::current_exe()
        .map_err(|e| ChildError::Failed(format!("this program cannot find itself: {e}")))?;
    let mut command = Command::new(program);
    command
        .args(["enhance", "--force", "--allow-loss", "--quiet", "--progress=json", "--json"])
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
    // SAFETY: prctl is async-signal-safe, and all that is done between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // Whoever is killed leaves no orphan that works on.
            #[cfg(target_os = "linux")]
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
    let mut child = command
        .spawn()
        .map_err(|e| ChildError::Failed(format!("the program cannot be started: {e}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let progress = LastProgress::new();
    let (status, said) = std::thread::scope(|scope| {
        let progress = &progress;
        scope.spawn(move || {
            stdout.map(|stdout| {
                follow(BufReader::new(stdout), |step| {
                    progress.note(step);
                    tell(step);
                })
            })
        });
        let said = scope.spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.map(|stderr| stderr.take(1 << 20).read_to_end(&mut said));
            String::from_utf8_lossy(&said).into_owned()
        });
        let status = wait(&mut child, progress, timeout);
        (status, said.join().unwrap_or_default())
    });
    if let Ok(Ended::GivenUp) = status {
        let seconds = timeout.as_secs();
        return Err(failed(&format!(
            "{} was given up: no progress for {seconds} seconds",
            input.display()
        )));
    }
    let status = status
        .map(Ended::status)
        .map_err(|e| ChildError::Failed(format!("waiting for it failed: {e}")))?;
    if interrupt::requested() && !status.success() {
        return Err(ChildError::Stopped);
    }
    if status.success() {
        return Ok(());
    }
    if let Some(signal) = status.signal() {
        return Err(ChildError::Failed(format!("the program was ended by signal {signal}")));
    }
    let sentence = said.lines().rev().find_map(|line| line.strip_prefix("facesr: "));
    Err(failed(sentence.unwrap_or("it failed without saying why")))
}

/// When something last came of a child.
struct LastProgress(Mutex<(Step, Instant)>);

impl LastProgress {
    fn new() -> Self {
        Self(Mutex::new((Step::default(), Instant::now())))
    }

    fn note(&self, step: Step) {
        let mut last = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if last.0 != step {
            *last = (step, Instant::now());
        }
    }

    fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).1.elapsed()
    }
}

/// How waiting for a child ended.
enum Ended {
    /// By itself, or because it was told to.
    Status(ExitStatus),
    /// It made no progress.
    GivenUp,
}

impl Ended {
    fn status(self) -> ExitStatus {
        match self {
            Self::Status(status) => status,
            Self::GivenUp => ExitStatus::from_raw(libc::SIGKILL),
        }
    }
}

/// Sends a signal to the child and all that it has started.
fn signal_group(child: &Child, signal: i32) {
    // SAFETY: the child leads a group of its own and has not been waited for, so the number is
    // still that of its group.
    unsafe { libc::kill(-(child.id() as i32), signal) };
}

/// Waits for the child; tells it to stop if the user wants that or nothing comes of it, and ends
/// it if it does not.
fn wait(child: &mut Child, progress: &LastProgress, timeout: Duration) -> std::io::Result<Ended> {
    let mut told: Option<Instant> = None;
    let mut given_up = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if given_up { Ended::GivenUp } else { Ended::Status(status) });
        }
        let stalls = progress.age() > timeout;
        if told.is_none() && (interrupt::requested() || stalls) {
            told = Some(Instant::now());
            given_up = stalls;
            signal_group(child, libc::SIGTERM);
        }
        if told.is_some_and(|told| told.elapsed() > LAST_WORDS) {
            signal_group(child, libc::SIGKILL);
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
