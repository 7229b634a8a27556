//! The errors of planning. Each message names the setting at fault and, where there is one, the remedy.
//! They are never retryable, because the same request always fails the same way.

/// Why a job cannot be planned. Crate `model` maps each kind to MediaConvert's error code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An output needs video, but the input has none.
    NoVideo,
    /// Settings contradict each other or the input.
    Settings,
    /// An input clipping is malformed or lies outside its input.
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
    /// The input has no video.
    pub(crate) fn input_has_no_video(input: &str) -> Self {
        Self { kind: ErrorKind::NoVideo, message: format!("input `{input}` has no video") }
    }

    /// A setting that the planner cannot carry out. `pointer` is its JSON pointer in the job's settings.
    pub(crate) fn setting(pointer: &str, why: &str) -> Self {
        Self { kind: ErrorKind::Settings, message: format!("{pointer}: {why}") }
    }

    /// A clipping that the planner cannot carry out.
    pub(crate) fn clipping(pointer: &str, why: &str) -> Self {
        Self { kind: ErrorKind::Clipping, message: format!("{pointer}: {why}") }
    }

    /// A timecode that is malformed or does not exist at the input's frame rate.
    pub(crate) fn timecode(pointer: &str, timecode: &str) -> Self {
        let why = format!(
            "`{timecode}` is not a valid timecode for this input: use HH:MM:SS:FF with a frame number below its frame rate"
        );
        Self::clipping(pointer, &why)
    }

    /// A clipping that lies outside its input, which is `length` long.
    pub(crate) fn outside(pointer: &str, member: &str, length: &str) -> Self {
        let why = format!(
            "{member} is outside the input, which is {length} long: timecodes start at the file's embedded one unless \
             timecodeSource is ZEROBASED or SPECIFIEDSTART"
        );
        Self::clipping(pointer, &why)
    }

    /// The installed ffmpeg lacks an encoder.
    pub(crate) fn encoder_is_missing(encoder: &str) -> Self {
        let message = format!(
            "ffmpeg has no encoder `{encoder}`: install a build that includes it, such as Debian's `ffmpeg`"
        );
        Self { kind: ErrorKind::MissingCapability, message }
    }

    /// The installed ffmpeg lacks a filter.
    pub(crate) fn filter_is_missing(filter: &str) -> Self {
        let message = format!(
            "ffmpeg has no filter `{filter}`: install a build that includes it, such as Debian's `ffmpeg`"
        );
        Self { kind: ErrorKind::MissingCapability, message }
    }

    /// Returns the kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Always returns false, because planning is pure.
    pub fn is_retryable(&self) -> bool {
        false
    }
}
