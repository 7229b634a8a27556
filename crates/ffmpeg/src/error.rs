//! The error of this crate: in what went wrong with a file or a tool, out a message that names it and its remedy.
//! Never a retry decision beyond [`Error::is_retryable`], never an HTTP status.

use std::path::Path;

/// What kind of failure an [`Error`] is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The file is no media, or of a kind that refers to other files (playlists).
    NotMedia,
    /// The file has no picture track with at least one frame.
    NoVideo,
    /// The file ends before its header says it does.
    Truncated,
    /// The file is media that is outside of what is handled.
    Unsupported,
    /// ffmpeg or ffprobe is missing, or its version is not handled.
    Tool,
    /// A tool ended with a failure.
    Failed,
    /// A tool ran longer than it may.
    TimedOut,
    /// The caller asked to stop.
    Cancelled,
    /// The operating system refused a file or a process.
    Io,
}

/// Everything that can go wrong around ffmpeg.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<std::io::Error>,
}

impl Error {
    /// Makes an error of `kind`; the message is lower case, names the thing in backticks and has no full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The operating system refused something; `what` says what was tried, such as ``read `a.mp4` ``.
    pub fn io(what: impl std::fmt::Display, source: std::io::Error) -> Self {
        Self { kind: ErrorKind::Io, message: format!("cannot {what}"), source: Some(source) }
    }

    /// The file is no media that may be read.
    pub fn not_media(file: &Path, why: &str) -> Self {
        Self::new(
            ErrorKind::NotMedia,
            format!("`{}` is not a media file that can be read: {why}", file.display()),
        )
    }

    /// The file has nothing to show.
    pub fn no_video(file: &Path) -> Self {
        Self::new(ErrorKind::NoVideo, format!("`{}` has no video frames", file.display()))
    }

    /// The file holds fewer frames than its header promises.
    pub fn truncated(file: &Path, found: u64, promised: u64) -> Self {
        let message = format!(
            "`{}` is cut off: its header promises {promised} frames and {found} can be read; upload it again",
            file.display()
        );
        Self::new(ErrorKind::Truncated, message)
    }

    /// The file ends inside of something that its own layout says is longer.
    pub fn cut_off(file: &Path) -> Self {
        let message =
            format!("`{}` is cut off: it ends before its own layout says; upload it again", file.display());
        Self::new(ErrorKind::Truncated, message)
    }

    /// The file is media of a kind that is not handled.
    pub fn unsupported(file: &Path, why: &str) -> Self {
        Self::new(ErrorKind::Unsupported, format!("`{}` is not supported: {why}", file.display()))
    }

    /// The caller asked to stop `what`.
    pub fn cancelled(what: &str) -> Self {
        Self::new(ErrorKind::Cancelled, format!("{what} was cancelled"))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same work may succeed when it is tried again unchanged: a tool that crashed or hung may have met
    /// a machine in trouble; a file that is not media stays so.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Failed | ErrorKind::TimedOut | ErrorKind::Io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_a_message_name_the_file_and_keep_the_house_style() {
        let file = Path::new("a/b.mp4");
        let all = [
            Error::not_media(file, "it is empty"),
            Error::no_video(file),
            Error::truncated(file, 3, 9),
            Error::cut_off(file),
            Error::unsupported(file, "the picture is larger than 8192 pixels"),
            Error::io("read `a/b.mp4`", std::io::Error::other("gone")),
        ];
        for error in all {
            let message = error.to_string();
            assert!(message.contains("`a/b.mp4`"), "{message}");
            assert!(!message.ends_with('.') && !message.starts_with(char::is_uppercase), "{message}");
        }
    }

    #[test]
    fn is_only_trouble_of_the_machine_worth_another_try() {
        let retryable = |kind| Error::new(kind, "x").is_retryable();
        assert!([ErrorKind::Failed, ErrorKind::TimedOut, ErrorKind::Io].into_iter().all(retryable));
        let settled = [
            ErrorKind::NotMedia,
            ErrorKind::NoVideo,
            ErrorKind::Truncated,
            ErrorKind::Unsupported,
            ErrorKind::Tool,
            ErrorKind::Cancelled,
        ];
        assert!(!settled.into_iter().any(retryable));
    }

    #[test]
    fn is_the_cause_of_an_io_error_kept() {
        let error = Error::io("start `ffprobe`", std::io::Error::other("no memory"));
        assert_eq!(std::error::Error::source(&error).map(ToString::to_string), Some("no memory".into()));
    }
}
