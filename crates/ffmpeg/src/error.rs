//! The error type of this crate. Messages name the file or tool that failed and, where there is one, the
//! remedy.

use std::path::Path;

use abanico_process::Lack;

/// The kind of an [`Error`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The file is not media, or of a kind that refers to other files (playlists).
    NotMedia,
    /// The file has no video track with at least one frame.
    NoVideo,
    /// The file ends earlier than its header says.
    Truncated,
    /// The file is media, but of a kind that is not supported.
    Unsupported,
    /// ffmpeg or ffprobe is missing, or its version is not supported.
    Tool,
    /// A tool exited with a failure.
    Failed,
    /// A tool exceeded its time limit.
    TimedOut,
    /// The caller cancelled the work.
    Cancelled,
    /// The operating system refused an operation on a file or a process.
    Io,
}

/// An error around ffmpeg and ffprobe.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<std::io::Error>,
    lack: Option<Lack>,
}

impl Error {
    /// Creates an error of `kind`. The message is lower case, names the thing in backticks and has no full
    /// stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, lack: None }
    }

    /// The operating system refused an operation; `what` names it, such as ``read `a.mp4` ``.
    pub fn io(what: impl std::fmt::Display, source: std::io::Error) -> Self {
        let lack = Lack::of_io(&source);
        Self { kind: ErrorKind::Io, message: format!("cannot {what}"), source: Some(source), lack }
    }

    /// Says what the operating system had too little of.
    #[must_use]
    pub(crate) fn lacking(self, lack: Option<Lack>) -> Self {
        Self { lack, ..self }
    }

    /// The file is not media, or of a kind that must not be read.
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

    /// The file has fewer frames than its header promises.
    pub fn truncated(file: &Path, found: u64, promised: u64) -> Self {
        let message = format!(
            "`{}` is cut off: its header promises {promised} frames, but only {found} can be read; upload it again",
            file.display()
        );
        Self::new(ErrorKind::Truncated, message)
    }

    /// The file ends within a box that, by its own header, is longer.
    pub fn cut_off(file: &Path) -> Self {
        let message = format!(
            "`{}` is cut off or damaged: its last box runs past the end of the file; upload it again",
            file.display()
        );
        Self::new(ErrorKind::Truncated, message)
    }

    /// The file is media of an unsupported kind.
    pub fn unsupported(file: &Path, why: &str) -> Self {
        Self::new(ErrorKind::Unsupported, format!("`{}` is not supported: {why}", file.display()))
    }

    /// The caller cancelled `what`.
    pub fn cancelled(what: &str) -> Self {
        Self::new(ErrorKind::Cancelled, format!("{what} was cancelled"))
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns what the operating system had too little of, if that is why.
    pub fn lack(&self) -> Option<Lack> {
        self.lack
    }

    /// Whether the same work may succeed if it is retried unchanged. A tool may crash or hang because the
    /// machine is in trouble, but a file that is not media will never be.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Failed | ErrorKind::TimedOut | ErrorKind::Io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_file_in_house_style() {
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
    fn only_machine_trouble_is_retryable() {
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
    fn io_error_keeps_its_cause() {
        let error = Error::io("start `ffprobe`", std::io::Error::other("no memory"));
        assert_eq!(std::error::Error::source(&error).map(ToString::to_string), Some("no memory".into()));
    }
}
