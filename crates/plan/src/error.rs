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
    /// An input clipping that the input does not have.
    Clipping,
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

    /// A clipping that cannot be carried out.
    pub(crate) fn clipping(pointer: &str, why: &str) -> Self {
        Self { kind: ErrorKind::Clipping, message: format!("{pointer}: {why}") }
    }

    /// A timecode that is none.
    pub(crate) fn timecode(pointer: &str, timecode: &str) -> Self {
        let why = format!(
            "`{timecode}` is no timecode of this input: write HH:MM:SS:FF with a frame number below its frame rate"
        );
        Self::clipping(pointer, &why)
    }

    /// A clipping outside of its input, which is `length` long.
    pub(crate) fn outside(pointer: &str, member: &str, length: &str) -> Self {
        let why = format!(
            "{member} is not in the input, which is {length} long: timecodes count from the file's own unless \
             timecodeSource is ZEROBASED or SPECIFIEDSTART"
        );
        Self::clipping(pointer, &why)
    }

    /// ffmpeg was built without an encoder.
    pub(crate) fn encoder_is_missing(encoder: &str) -> Self {
        let message =
            format!("ffmpeg has no encoder `{encoder}`: install a build that has it, Debian's `ffmpeg` does");
        Self { kind: ErrorKind::MissingCapability, message }
    }

    /// ffmpeg was built without a filter.
    pub(crate) fn filter_is_missing(filter: &str) -> Self {
        let message =
            format!("ffmpeg has no filter `{filter}`: install a build that has it, Debian's `ffmpeg` does");
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
