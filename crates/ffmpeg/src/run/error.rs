//! The error of one run: a single line for people, and details for the log.
//!
//! It does not guess at the cause beyond the child's own last words.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use abanico_process::{Exit, Lack};

use crate::words;

/// Why a run gave no result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RunErrorKind {
    /// The program exited with a non-zero status, or was ended by a signal that we did not send.
    Failed,
    /// It exceeded its time limit, or made no progress for too long.
    TimedOut,
    /// The caller cancelled it.
    Cancelled,
    /// It could not be started.
    Spawn,
}

/// The end of a program that made a system call which the sandbox forbids (`SIGSYS`).
pub(super) const FORBIDDEN_CALL: Exit = Exit::Signal(nix::libc::SIGSYS);
/// The end of a program that used up its processor time (`SIGXCPU`).
pub(super) const OUT_OF_TIME: Exit = Exit::Signal(nix::libc::SIGXCPU);

/// The error of a run without a result.
#[derive(Debug)]
pub struct RunError {
    pub(super) kind: RunErrorKind,
    pub(super) exit: Option<Exit>,
    pub(super) reason: String,
    pub(super) command_line: String,
    pub(super) stderr_tail: String,
    pub(super) cpu_ms: u64,
    pub(super) source: Option<std::io::Error>,
}

impl RunError {
    /// Replaces the one-line reason.
    pub(super) fn with_reason(self, reason: String) -> Self {
        Self { reason, ..self }
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> RunErrorKind {
        self.kind
    }

    /// Returns how the child ended; `None` if it never started.
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Returns what the operating system had too little of, if that is why: for the start of the child, or by the
    /// child's last words.
    pub fn lack(&self) -> Option<Lack> {
        let of_start = self.source.as_ref().and_then(Lack::of_io);
        of_start.or_else(|| words::lack(self.last_words()?))
    }

    /// Returns the command that was run, quoted for a shell.
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// Returns the last 32 kB, or less, of the child's stderr.
    pub fn stderr_tail(&self) -> &str {
        &self.stderr_tail
    }

    /// Returns the processor time that the run used, user and system, in milliseconds with a resolution of 10 ms;
    /// 0 if it never started.
    pub fn cpu_ms(&self) -> u64 {
        self.cpu_ms
    }

    /// Whether the same work may succeed if it is retried unchanged. A child that was killed or hung may have
    /// met a machine in trouble; one that exited with a status had its reason, and so had one that the sandbox ended.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            RunErrorKind::TimedOut => true,
            RunErrorKind::Failed => {
                let is_ours = [Some(FORBIDDEN_CALL), Some(OUT_OF_TIME)].contains(&self.exit);
                matches!(self.exit, Some(Exit::Signal(_))) && !is_ours
            }
            RunErrorKind::Cancelled | RunErrorKind::Spawn => false,
        }
    }

    /// Returns what the one-line message leaves out, in several lines: the command, how it ended and its
    /// stderr.
    pub fn details(&self) -> String {
        let exit = self.exit.map_or_else(|| "not started".to_owned(), |exit| exit.to_string());
        format!("command: {}\nend: {exit}\nstderr:\n{}", self.command_line, self.stderr_tail.trim_end())
    }

    /// Returns the last meaningful line of stderr, skipping the closing words that ffmpeg adds after each
    /// failure.
    fn last_words(&self) -> Option<&str> {
        let closing = ["Conversion failed!", "Exiting normally", "Error while processing the decoded data"];
        let lines = self.stderr_tail.lines().rev().map(str::trim).filter(|line| !line.is_empty());
        let mut meaningful =
            lines.clone().filter(|line| !closing.iter().any(|words| line.starts_with(words)));
        meaningful.next().or_else(|| lines.clone().next())
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.last_words() {
            Some(words) => write!(f, ": {words}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// Formats a command so that a POSIX shell parses it into the same words. Replaces bytes that are not UTF-8.
pub fn command_line(program: &Path, args: &[OsString]) -> String {
    let words = std::iter::once(program.as_os_str()).chain(args.iter().map(OsString::as_os_str));
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: RunErrorKind, exit: Option<Exit>, stderr: &str) -> RunError {
        RunError {
            kind,
            exit,
            reason: "`ffmpeg` failed with exit status 1".into(),
            command_line: "ffmpeg -i 'a b.mp4'".into(),
            stderr_tail: stderr.into(),
            cpu_ms: 0,
            source: None,
        }
    }

    #[test]
    fn message_ends_with_last_meaningful_words() {
        let said = "x\n[mov] moov atom not found\n  in.mp4: Invalid data  \nConversion failed!\n\n";
        let failed = error(RunErrorKind::Failed, Some(Exit::Code(1)), said);
        assert_eq!(failed.to_string(), "`ffmpeg` failed with exit status 1: in.mp4: Invalid data");
        let silent = error(RunErrorKind::Failed, Some(Exit::Code(1)), " \n");
        assert_eq!(silent.to_string(), "`ffmpeg` failed with exit status 1");
        let closing_only = error(RunErrorKind::Failed, Some(Exit::Code(1)), "Conversion failed!\n");
        assert!(closing_only.to_string().ends_with(": Conversion failed!"));
    }

    #[test]
    fn details_hold_command_exit_and_stderr() {
        let details = error(RunErrorKind::Failed, Some(Exit::Signal(9)), "one\ntwo\n").details();
        assert_eq!(details, "command: ffmpeg -i 'a b.mp4'\nend: signal 9\nstderr:\none\ntwo");
    }

    #[test]
    fn only_signals_and_hangs_are_retryable() {
        let retryable = |kind, exit| error(kind, exit, "").is_retryable();
        assert!(retryable(RunErrorKind::Failed, Some(Exit::Signal(11))));
        assert!(retryable(RunErrorKind::TimedOut, Some(Exit::Signal(9))));
        assert!(!retryable(RunErrorKind::Failed, Some(Exit::Code(1))));
        assert!(!retryable(RunErrorKind::Failed, Some(Exit::Signal(31))), "a forbidden call stays forbidden");
        assert!(!retryable(RunErrorKind::Failed, Some(Exit::Signal(24))), "it would take as long again");
        assert!(!retryable(RunErrorKind::Cancelled, Some(Exit::Signal(15))));
        assert!(!retryable(RunErrorKind::Spawn, None));
    }

    #[test]
    fn shell_parses_the_quoted_words_back() {
        let words = ["-i", "it's", "", "a b", "$HOME", "x;y", "*", "\"q\"", "ü", "[0:v]scale=2:-2"];
        let args: Vec<OsString> = words.iter().map(OsString::from).collect();
        let line = command_line(Path::new("printf"), &[&["%s\\n".into()], args.as_slice()].concat());
        let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), words.join("\n") + "\n");
    }
}
