//! Failures for people: in an error, out `error:`, its causes and a hint on stderr, and the exit status.
//! Never on stdout.

use std::fmt;
use std::process::ExitCode;

/// Something that the user can mend: what is wrong, how to mend it, with which status to exit.
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
/// The user interrupted.
pub const INTERRUPTED: u8 = 130;

impl Hinted {
    /// Makes an error with this status, message and hint.
    pub fn new(code: u8, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code }
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// Tells the user and gives the status.
pub fn report(error: &anyhow::Error) -> ExitCode {
    use std::io::Write;
    let (text, code) = told(error);
    // Nothing is left to tell when stderr is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}

/// The text for the user, and the status.
fn told(error: &anyhow::Error) -> (String, u8) {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("caused by: {cause}\n"));
    }
    // A hint that was added as context is found by anyhow alone, one that is a cause in the chain.
    let in_chain = || error.chain().find_map(|cause| cause.downcast_ref::<Hinted>());
    let hinted = error.downcast_ref::<Hinted>().or_else(in_chain);
    if let Some(hinted) = hinted {
        text.push_str(&format!("\nhint: {}\n", hinted.hint));
    }
    (text, hinted.map_or(WORK_FAILED, |hinted| hinted.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_hint_and_status_found_wherever_they_stand() {
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
        assert_eq!(told(&anyhow::anyhow!("else")), ("error: else\n".to_owned(), WORK_FAILED));
    }
}
