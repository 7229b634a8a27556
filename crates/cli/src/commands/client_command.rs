//! Runs a client's command against the server in this process, as in `abanico serve -- pytest`.
//!
//! The command finds the server through the variables that AWS's SDKs read. It never outlives the server.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::failure::{Hinted, WRONG_USAGE};

/// Variables of a shell that would make an SDK ignore the server's key pair.
const OTHER_CREDENTIALS: [&str; 4] =
    ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
/// How long the command may take to end after a signal.
const GRACE: Duration = Duration::from_secs(10);

/// Runs `command` with `variables` added to its environment and returns its exit status: 128 plus the number if a
/// signal ended it. SIGINT, SIGTERM and SIGHUP are passed on; 10 s later, or at the second one, the command is killed.
/// Whatever it left running is killed too, unless the command shares a terminal with this process.
///
/// # Errors
/// Fails if the command cannot be started. The message names it.
pub async fn run(command: &[OsString], variables: &[(&str, String)]) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate, mut hangup) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut client = Client::start(command, variables)?;
    loop {
        let received = tokio::select! {
            status = client.child.wait() => {
                client.signal_group(Signal::SIGKILL);
                return Ok(exit_code(status?));
            }
            _ = interrupt.recv() => Signal::SIGINT,
            _ = terminate.recv() => Signal::SIGTERM,
            _ = hangup.recv() => Signal::SIGHUP,
            () = passed(client.deadline) => Signal::SIGKILL,
        };
        client.pass_on(received);
    }
}

/// The command's process.
struct Client {
    child: Child,
    pid: Pid,
    /// The command shares this process's group, so that it can read the terminal. The terminal signals both.
    on_terminal: bool,
    /// When the command is killed, once a signal has been passed on.
    deadline: Option<Instant>,
}

impl Client {
    fn start(command: &[OsString], variables: &[(&str, String)]) -> anyhow::Result<Self> {
        let (program, arguments) = command.split_first().expect("clap demands a word after `--`");
        let on_terminal = std::io::stdin().is_terminal();
        let mut prepared = Command::new(program);
        prepared.args(arguments).envs(variables.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
        for name in OTHER_CREDENTIALS {
            prepared.env_remove(name);
        }
        if !on_terminal {
            prepared.process_group(0);
        }
        let child = prepared.spawn().map_err(|error| {
            let message = format!("cannot start `{}`: {error}", program.display());
            Hinted::new(WRONG_USAGE, message, "give a program on the PATH and its arguments after `--`")
        })?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).expect("a running child has a process id");
        Ok(Self { child, pid: Pid::from_raw(pid), on_terminal, deadline: None })
    }

    fn pass_on(&mut self, received: Signal) {
        let is_last = received == Signal::SIGKILL || self.deadline.is_some();
        self.deadline = Some(Instant::now() + GRACE);
        if is_last {
            self.signal(Signal::SIGKILL);
        } else if !(self.on_terminal && received == Signal::SIGINT) {
            self.signal(received);
        }
    }

    /// Signals the command; the command may have ended already.
    fn signal(&self, signal: Signal) {
        if self.on_terminal {
            let _ = kill(self.pid, signal);
        }
        self.signal_group(signal);
    }

    /// Signals the command's process group, if it has one of its own.
    fn signal_group(&self, signal: Signal) {
        if !self.on_terminal {
            let _ = killpg(self.pid, signal);
        }
    }
}

/// Waits until the instant has passed; without one, for ever.
async fn passed(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let number = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(number).unwrap_or(u8::MAX))
}
