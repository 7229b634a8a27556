//! Runs one ffmpeg from start to end, within limits and with cancellation.
//!
//! It reports progress on the way, then returns the resources it used, or why it failed. It never retries, and no
//! process outlives the call.

mod error;
mod forbidden_call;

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::time::{Duration, SystemTime};

use abanico_process::{Ended, Exit, Group, Kind, LineSplitter, Started, Tail, flattened, start};
use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub use error::{RunError, RunErrorKind, command_line};

use crate::sandbox;
use crate::{Progress, ProgressParser};

/// Time that a cancelled ffmpeg has to close its files before it is killed.
const TERM_GRACE: Duration = Duration::from_millis(700);
/// Time to drain the pipes once the child is gone. They end at once unless a process has left the group.
const DRAIN: Duration = Duration::from_millis(500);

/// Time limits of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest time from start to end.
    pub wall: Duration,
    /// Longest time without progress in frames, time or bytes.
    pub stall: Duration,
}

/// One command to run.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Path of the program, which writes the lines of `-progress` to its standard output.
    pub program: PathBuf,
    /// Arguments of the program.
    pub args: Vec<OsString>,
    /// The launcher of the sandbox. `None` runs the program without a sandbox and ignores the policy.
    pub launcher: Option<sandbox::Launcher>,
    /// What the program may access.
    pub policy: sandbox::Policy,
    /// Time limits.
    pub limits: Limits,
}

/// The resources that a successful run used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Time from start to end.
    pub wall: Duration,
    /// User time over all threads, in milliseconds, with a resolution of 10 ms.
    pub user_cpu_ms: u64,
    /// System time over all threads, in milliseconds, with a resolution of 10 ms.
    pub system_cpu_ms: u64,
}

impl Finished {
    /// Returns the processor time, user and system, in milliseconds.
    pub fn cpu_ms(&self) -> u64 {
        self.user_cpu_ms + self.system_cpu_ms
    }
}

/// Why a child was stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    Cancelled,
    Wall,
    Stall,
}

/// Runs the command to its end, calls `on_progress` for each report and watches `cancel` throughout. A
/// cancelled program gets 700 ms to close its files. In every case, even if this future is dropped, the
/// program and its process group are killed and reaped.
///
/// # Errors
/// See [`RunErrorKind`].
pub async fn run(
    invocation: &Invocation,
    on_progress: &mut (dyn FnMut(Progress) + Send),
    cancel: &CancellationToken,
) -> Result<Finished, RunError> {
    let (program, args) = match &invocation.launcher {
        Some(launcher) => launcher.wrap(&invocation.program, &invocation.args, &invocation.policy),
        None => (invocation.program.clone(), invocation.args.clone()),
    };
    let report = Report { invocation, command_line: command_line(&program, &args) };
    if cancel.is_cancelled() {
        return Err(report.not_started(RunErrorKind::Cancelled, None));
    }
    let (begin, began) = (Instant::now(), SystemTime::now());
    let spawn_error = |error| report.not_started(RunErrorKind::Spawn, Some(error));
    let mut command = Command::new(program);
    command.args(args);
    let Started { stdout, stderr, group, ended } = start(command, Kind::Tool).await.map_err(spawn_error)?;
    let stdout = ChildStdout::from_std(stdout).map_err(spawn_error)?;
    let stderr = ChildStderr::from_std(stderr).map_err(spawn_error)?;
    let mut tail = Tail::default();
    let mut watch = Watch::new(invocation.limits, begin, on_progress);
    let (stop, ended) = {
        let child = watch.child(stdout, ended, &group, cancel);
        beside(child, tail.read(stderr)).await
    };
    let ended = ended.map_err(spawn_error)?;
    match (stop, ended.exit) {
        (None, Exit::Code(0)) => Ok(Finished {
            wall: begin.elapsed(),
            user_cpu_ms: ended.user_cpu_ms,
            system_cpu_ms: ended.system_cpu_ms,
        }),
        (None, error::FORBIDDEN_CALL) => {
            let call = forbidden_call::last_since(began).await;
            Err(report.ended(stop, ended, &tail).with_reason(forbidden(&invocation.program, call)))
        }
        _ => Err(report.ended(stop, ended, &tail)),
    }
}

/// Explains the end of a program that made a forbidden call.
fn forbidden(program: &Path, call: Option<String>) -> String {
    let which = call.map_or_else(
        || "; the kernel's log names its number after `syscall=`".to_owned(),
        |call| format!(": {call}"),
    );
    let program = program.display();
    format!("`{program}` was ended because it made a system call that the sandbox forbids{which}")
}

/// Awaits `main` while `aside` runs, then gives `aside` a short time to finish.
async fn beside<T>(main: impl Future<Output = T>, aside: impl Future<Output = ()>) -> T {
    let (mut main, mut aside) = (pin!(main), pin!(aside));
    tokio::select! {
        result = &mut main => {
            // A process that left the group may hold the pipe open; its output does not matter.
            let _ = timeout(DRAIN, aside).await;
            result
        }
        () = &mut aside => main.await,
    }
}

/// Watches one child: its reports, its limits and cancellation.
struct Watch<'a> {
    limits: Limits,
    start: Instant,
    last_step: Instant,
    furthest: Progress,
    parser: ProgressParser,
    lines: LineSplitter,
    on_progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl<'a> Watch<'a> {
    fn new(limits: Limits, start: Instant, on_progress: &'a mut (dyn FnMut(Progress) + Send)) -> Self {
        let (furthest, parser, lines) = Default::default();
        Self { limits, start, last_step: start, furthest, parser, lines, on_progress }
    }

    /// Waits until the child is gone. Returns why it was stopped, if it was.
    async fn child(
        &mut self,
        mut stdout: impl AsyncRead + Unpin,
        mut ended: oneshot::Receiver<io::Result<Ended>>,
        group: &Group,
        cancel: &CancellationToken,
    ) -> (Option<Stop>, io::Result<Ended>) {
        let mut is_open = true;
        let mut buffer = [0; 4096];
        let stop = loop {
            let (deadline, reason) = self.deadline();
            tokio::select! {
                end = &mut ended => {
                    if is_open {
                        let _ = timeout(DRAIN, self.rest(&mut stdout)).await;
                    }
                    return (None, flattened(end));
                }
                () = cancel.cancelled() => break Stop::Cancelled,
                () = sleep_until(deadline) => break reason,
                read = stdout.read(&mut buffer), if is_open => match read {
                    Ok(0) | Err(_) => is_open = false,
                    Ok(length) => self.take(&buffer[..length]),
                },
            }
        };
        drop(stdout);
        (Some(stop), end(stop, ended, group).await)
    }

    /// Returns the limit that comes first.
    fn deadline(&self) -> (Instant, Stop) {
        let wall = (self.start + self.limits.wall, Stop::Wall);
        let stall = (self.last_step + self.limits.stall, Stop::Stall);
        if wall.0 <= stall.0 { wall } else { stall }
    }

    async fn rest(&mut self, stdout: &mut (impl AsyncRead + Unpin)) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stdout.read(&mut buffer).await {
            self.take(&buffer[..length]);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let Self { parser, furthest, last_step, on_progress, .. } = self;
        self.lines.feed(bytes, &mut |line| {
            if let Some(progress) = parser.line(line) {
                if progress.is_ahead_of(furthest) {
                    *furthest = progress;
                    *last_step = Instant::now();
                }
                on_progress(progress);
            }
        });
    }
}

/// Ends a running child: gently if it was cancelled, at once if it hangs.
async fn end(
    stop: Stop,
    mut ended: oneshot::Receiver<io::Result<Ended>>,
    group: &Group,
) -> io::Result<Ended> {
    if stop == Stop::Cancelled {
        group.signal(Signal::SIGTERM);
        if let Ok(end) = timeout(TERM_GRACE, &mut ended).await {
            return flattened(end);
        }
    }
    group.signal(Signal::SIGKILL);
    flattened(ended.await)
}

/// Creates the errors of one run.
struct Report<'a> {
    invocation: &'a Invocation,
    command_line: String,
}

impl Report<'_> {
    fn not_started(&self, kind: RunErrorKind, source: Option<io::Error>) -> RunError {
        let program = self.invocation.program.display();
        let reason = match &source {
            Some(error) => format!("cannot start `{program}`: {error}"),
            None => format!("`{program}` was cancelled before it started"),
        };
        let command_line = self.command_line.clone();
        RunError { kind, exit: None, reason, command_line, stderr_tail: String::new(), cpu_ms: 0, source }
    }

    fn ended(
        &self,
        stop: Option<Stop>,
        Ended { exit, user_cpu_ms, system_cpu_ms }: Ended,
        tail: &Tail,
    ) -> RunError {
        let program = self.invocation.program.display();
        let Limits { wall, stall } = self.invocation.limits;
        let cpu_ms = user_cpu_ms + system_cpu_ms;
        let limit = self.invocation.launcher.as_ref().and(self.invocation.policy.cpu_seconds);
        let out_of_time = |exit, seconds: u64| {
            // What is left of the last second is too short for another report of the time.
            exit == error::OUT_OF_TIME || cpu_ms >= seconds.saturating_mul(1000).saturating_sub(500)
        };
        let mut exit = exit;
        let (kind, reason) = match stop {
            None if limit.is_some_and(|seconds| out_of_time(exit, seconds)) => {
                // However it took the signal: it may have closed its files, or waited for the one that kills.
                exit = error::OUT_OF_TIME;
                let seconds = limit.unwrap_or_default();
                (RunErrorKind::Failed, format!("`{program}` took more than {seconds} s of processor time"))
            }
            None => (RunErrorKind::Failed, format!("`{program}` failed with {exit}")),
            Some(Stop::Cancelled) => (RunErrorKind::Cancelled, format!("`{program}` was cancelled")),
            Some(Stop::Wall) => {
                (RunErrorKind::TimedOut, format!("`{program}` ran longer than {} ms", wall.as_millis()))
            }
            Some(Stop::Stall) => {
                (RunErrorKind::TimedOut, format!("`{program}` made no progress for {} ms", stall.as_millis()))
            }
        };
        let command_line = self.command_line.clone();
        RunError {
            kind,
            exit: Some(exit),
            reason,
            command_line,
            stderr_tail: tail.text(),
            cpu_ms,
            source: None,
        }
    }
}
