//! Why a job cannot be planned: in the decision that failed, out a message that names the setting and the remedy.
//! Never retryable: the same inputs fail the same way.

/// What kind of obstacle it is; crate `model` has the MediaConvert code for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input has no picture, yet an output wants one.
    NoVideo,
    /// Settings contradict each other or the input.
    Settings,
    /// The installed ffmpeg lacks what the job needs.
    MissingCapability,
}

/// A job that cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// The input has no picture.
    pub(crate) fn input_has_no_video(input: &str) -> Self {
        Self { kind: ErrorKind::NoVideo, message: format!("input `{input}` has no video") }
    }

    /// A setting that cannot be carried out; `pointer` is its JSON pointer in the job's settings.
    pub(crate) fn setting(pointer: &str, why: &str) -> Self {
        Self { kind: ErrorKind::Settings, message: format!("{pointer}: {why}") }
    }

    /// ffmpeg was built without an encoder.
    pub(crate) fn encoder_is_missing(encoder: &str) -> Self {
        let message =
            format!("ffmpeg has no encoder `{encoder}`: install a build that has it, Debian's `ffmpeg` does");
        Self { kind: ErrorKind::MissingCapability, message }
    }

    /// What kind of obstacle it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Always false: planning is pure.
    pub fn is_retryable(&self) -> bool {
        false
    }
}
