//! Waits for the signals that ask the program to end: SIGINT (Ctrl-C), SIGTERM, and SIGHUP when the terminal closes.
//!
//! The first one lets a command clean up. A second Ctrl-C ends the program at once.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Interrupted;
use crate::output;

/// Programs that pass signals on, such as `timeout`, send the same one twice at the same time.
const SAME_TIME: Duration = Duration::from_millis(100);
/// Number of the signal that a closing terminal sends.
const SIGHUP: u32 = 1;

/// The signals to wait for. While this exists, they do not end the program by themselves.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

/// Why the program is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The user typed Ctrl-C.
    Interrupted,
    /// The system or another program asks for it.
    Terminated,
    /// The terminal is gone.
    HungUp,
}

impl Signals {
    /// Waits for signals from now on. SIGHUP is left alone if it is ignored, as it is under `nohup`.
    ///
    /// # Errors
    /// Fails if the system refuses a signal handler.
    pub fn listen() -> anyhow::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let listened = || -> std::io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hang_up: (!ignores(&status, SIGHUP)).then(|| signal(SignalKind::hangup())).transpose()?,
            })
        };
        listened().context("cannot listen for signals")
    }

    /// Waits for the first signal. From then on, a second Ctrl-C kills all child processes and ends the program.
    pub async fn first(&mut self) -> Ending {
        let ending = self.next().await;
        if let Ok(signals) = Self::listen() {
            tokio::spawn(signals.end_at_ctrl_c());
        }
        ending
    }

    async fn next(&mut self) -> Ending {
        let Self { interrupt, terminate, hang_up } = self;
        let hang_up = async {
            match hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => Ending::Interrupted,
            _ = terminate.recv() => Ending::Terminated,
            _ = hang_up => Ending::HungUp,
        }
    }

    /// Only a user in a hurry interrupts again: a closing terminal and the system may send their signals twice.
    async fn end_at_ctrl_c(mut self) {
        let deaf = async {
            loop {
                self.next().await;
            }
        };
        let _: Result<(), _> = tokio::time::timeout(SAME_TIME, deaf).await;
        while self.next().await != Ending::Interrupted {}
        output::note("interrupted again: ended without cleaning up; the next run here removes what is left");
        abanico_process::exit_at_once(Ending::Interrupted.status().into());
    }
}

impl Ending {
    /// Returns the exit status: 128 and the signal's number, as shells report it.
    pub fn status(self) -> u8 {
        match self {
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// Returns the error to exit with. `what` says what is kept and what is not.
    pub fn error(self, what: impl std::fmt::Display) -> anyhow::Error {
        let word = match self {
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
            Self::HungUp => "hung up",
        };
        Interrupted { line: format!("{word}: {what}"), status: self.status() }.into()
    }
}

/// Whether `/proc/PID/status` shows a signal as ignored: bit 0 of the mask is signal 1.
fn ignores(status: &str, signal: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(ignores(&status("0000000000001001"), 1) && ignores(&status("0000000000001001"), 13));
        assert!(!ignores(&status("0000000000001000"), 1) && !ignores("", 1));
        assert!(!ignores(&status("0000000000000006"), 1), "SIGINT and SIGQUIT are others");
    }

    #[test]
    fn statuses_are_those_of_shells() {
        let endings = [(Ending::HungUp, 1), (Ending::Interrupted, 2), (Ending::Terminated, 15)];
        for (ending, number) in endings {
            assert_eq!(ending.status(), 128 + number);
        }
    }
}
