//! Reports errors to the user: prints the error, its causes and a hint to stderr, and chooses the exit status.

use std::fmt;
use std::process::ExitCode;

use crate::{output, own_names};

/// An error that the user can fix: what is wrong, how to fix it, and the exit status.
#[derive(Debug)]
pub struct Hinted {
    message: String,
    hint: String,
    code: u8,
}

/// The work itself failed.
pub const WORK_FAILED: u8 = 1;
/// Wrong usage or configuration.
pub const WRONG_USAGE: u8 = 2;
/// Something is missing on this machine.
pub const MISSING_HERE: u8 = 3;

impl Hinted {
    /// Creates an error with an exit status, a message and a hint.
    pub fn new(code: u8, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code }
    }
}

/// The end of a program that a signal asked to end: one line that says what is kept, and the exit status.
#[derive(Debug)]
pub struct Interrupted {
    /// The line for the user.
    pub line: String,
    /// The exit status.
    pub status: u8,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for Interrupted {}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// Prints the error to stderr and returns the exit status.
pub fn report(error: &anyhow::Error) -> ExitCode {
    use std::io::Write;
    let (text, code) = told(error);
    if output::notes_are_json() {
        output::json_note("ERROR", &serde_json::json!({"message": text.trim_end(), "exitStatus": code}));
        return ExitCode::from(code);
    }
    // If stderr is closed, there is nowhere left to report to.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}

/// Returns the text for the user and the exit status.
fn told(error: &anyhow::Error) -> (String, u8) {
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return (format!("{interrupted}\n"), interrupted.status);
    }
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("caused by: {cause}\n"));
    }
    // Only anyhow's own downcast finds a hint that was added as context; one that is a cause is found in the chain.
    let in_chain = || error.chain().find_map(|cause| cause.downcast_ref::<Hinted>());
    let hinted = error.downcast_ref::<Hinted>().or_else(in_chain);
    if let Some(hinted) = hinted {
        text.push_str(&format!("\nhint: {}\n", hinted.hint));
    }
    (own_names::readable(&text).into_owned(), hinted.map_or(WORK_FAILED, |hinted| hinted.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_and_status_found_at_any_depth() {
        let hinted = || Hinted::new(MISSING_HERE, "no ffmpeg", "install it");
        let cause = || std::io::Error::other("not there");
        let errors = [
            anyhow::Error::from(hinted()),
            anyhow::Error::new(cause()).context(hinted()),
            anyhow::Error::from(hinted()).context("cannot start"),
            anyhow::Error::new(cause()).context(hinted()).context("cannot start"),
        ];
        for error in errors {
            let (text, code) = told(&error);
            assert_eq!(code, MISSING_HERE, "{text}");
            assert!(text.starts_with("error: ") && text.ends_with("\nhint: install it\n"), "{text}");
        }
        let interrupted = Interrupted { line: "interrupted: nothing is left".to_owned(), status: 130 };
        assert_eq!(told(&interrupted.into()), ("interrupted: nothing is left\n".to_owned(), 130));
        assert_eq!(told(&anyhow::anyhow!("else")), ("error: else\n".to_owned(), WORK_FAILED));
    }
}
