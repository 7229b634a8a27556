//! Runs a program to its end within a time limit and returns what it printed.

use std::io;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::time::{Instant, timeout, timeout_at};

use crate::supervisor::{Kind, Started, flattened, start};
use crate::{Exit, Tail};

/// Most bytes of standard output.
const MOST_BYTES: u64 = 1 << 20;
/// Time to drain the pipes once the child is gone. They end at once unless a process that it left has them open.
const DRAIN: Duration = Duration::from_millis(500);

/// How a program ended and what it printed.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it printed to standard output.
    pub stdout: Vec<u8>,
    /// The last 32 kB, or less, of what it printed to standard error.
    pub stderr: String,
}

/// Why there is no output.
#[derive(Debug, PartialEq, Eq)]
pub enum OutputError {
    /// The program could not be started, or its end could not be learned.
    Failed(io::ErrorKind, String),
    /// It took longer than its limit, and was killed with its children.
    TimedOut,
    /// It printed more than 1 MiB.
    TooLong,
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.kind(), error.to_string())
    }
}

/// Runs the command. At the limit, or if this future is dropped, the program and its process group are killed.
///
/// # Errors
/// See [`OutputError`]. An exit status other than 0 is not an error here.
pub async fn output(command: Command, kind: Kind, limit: Duration) -> Result<Output, OutputError> {
    let deadline = Instant::now() + limit;
    let Started { stdout, stderr, group, mut ended } = start(command, kind).await?;
    let (stdout, stderr) = (ChildStdout::from_std(stdout)?, ChildStderr::from_std(stderr)?);
    let (mut printed, mut tail) = (Vec::new(), Tail::default());
    let run = async {
        let read = async { tokio::join!(bounded(stdout, &mut printed), tail.read(stderr)) };
        let mut read = pin!(read);
        tokio::select! {
            end = &mut ended => {
                // A process that it left may hold a pipe open; what that prints does not matter.
                let _ = timeout(DRAIN, read).await;
                end
            }
            _ = &mut read => (&mut ended).await,
        }
    };
    let Ok(end) = timeout_at(deadline, run).await else {
        group.signal(Signal::SIGKILL);
        let _ = ended.await;
        return Err(OutputError::TimedOut);
    };
    let exit = flattened(end)?.exit;
    if printed.len() as u64 > MOST_BYTES {
        return Err(OutputError::TooLong);
    }
    Ok(Output { exit, stdout: printed, stderr: tail.text() })
}

/// Reads until the stream ends or exceeds its limit. A program that writes more is then ended by a broken pipe.
async fn bounded(from: impl AsyncRead + Unpin, into: &mut Vec<u8>) {
    // What was read before an error is judged by the caller.
    let _ = from.take(MOST_BYTES + 1).read_to_end(into).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(600);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    /// Whether the process with this number runs. A zombie does not.
    fn runs(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    }

    /// Waits until the grandchild whose number the file has is gone.
    async fn gone(file: &std::path::Path) {
        let pid = std::fs::read_to_string(file).unwrap();
        assert!(!pid.trim().is_empty(), "the grandchild had started");
        for _ in 0..3000 {
            if !runs(pid.trim()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the grandchild {pid} is left over");
    }

    #[tokio::test]
    async fn both_streams_and_the_status_are_returned() {
        for kind in [Kind::Tool, Kind::UserProgram] {
            let ran = output(shell("echo out; echo err >&2; exit 3"), kind, LONG).await.unwrap();
            assert_eq!(
                (ran.exit, ran.stdout.as_slice(), ran.stderr.as_str()),
                (Exit::Code(3), &b"out\n"[..], "err\n")
            );
        }
    }

    #[tokio::test]
    async fn limit_kills_grandchildren_too() {
        for kind in [Kind::Tool, Kind::UserProgram] {
            let folder = tempfile::tempdir().unwrap();
            let noted = folder.path().join("pid");
            let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", noted.display());
            let limit = Duration::from_secs(2);
            assert_eq!(output(shell(&script), kind, limit).await.err(), Some(OutputError::TimedOut));
            gone(&noted).await;
        }
    }

    #[tokio::test]
    async fn dropped_run_kills_grandchildren_too() {
        let folder = tempfile::tempdir().unwrap();
        let noted = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", noted.display());
        let started = async {
            while !noted.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            ran = output(shell(&script), Kind::UserProgram, LONG) => panic!("it ended: {ran:?}"),
            () = started => {}
        }
        gone(&noted).await;
    }

    #[tokio::test]
    async fn what_a_users_program_leaves_behind_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let noted = folder.path().join("pid");
        let script = format!("sleep 1000 >/dev/null 2>&1 & echo $! > {}", noted.display());
        output(shell(&script), Kind::UserProgram, LONG).await.unwrap();
        let left = std::fs::read_to_string(&noted).unwrap();
        assert!(runs(left.trim()), "a program may start one that keeps its login");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(left.trim().parse().unwrap()), Signal::SIGKILL)
            .unwrap();
        output(shell(&script), Kind::Tool, LONG).await.unwrap();
        gone(&noted).await;
    }

    #[tokio::test]
    async fn process_that_holds_the_pipes_does_not_delay_the_result() {
        // The sleep outlives the limit: without the bound on draining, this would time out.
        let folder = tempfile::tempdir().unwrap();
        let noted = folder.path().join("pid");
        let script = format!("echo out; sleep 1000 & echo $! > {}", noted.display());
        let ran = output(shell(&script), Kind::UserProgram, Duration::from_secs(60)).await.unwrap();
        assert_eq!(ran.stdout, b"out\n");
        let left = std::fs::read_to_string(&noted).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), Signal::SIGKILL).unwrap();
    }

    #[tokio::test]
    async fn endless_output_is_refused() {
        assert_eq!(output(shell("yes"), Kind::Tool, LONG).await.err(), Some(OutputError::TooLong));
        let ran = output(shell("head -c 1048576 /dev/zero"), Kind::Tool, LONG).await.unwrap();
        assert_eq!(ran.stdout.len() as u64, MOST_BYTES);
    }

    #[tokio::test]
    async fn missing_program_is_told_apart() {
        let error = output(Command::new("/no/such/program"), Kind::Tool, LONG).await.err();
        assert!(matches!(error, Some(OutputError::Failed(io::ErrorKind::NotFound, _))), "{error:?}");
    }
}
