//! The errors of planning. Each message names the setting at fault and, where there is one, the remedy.
//! They are never retryable, because the same request always fails the same way.

use abanico_model::generated::InputTimecodeSource;

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
    /// The sound that an output needs cannot be decoded.
    Undecodable,
}

/// A job that cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .pointer.as_ref().map(|pointer| format!("{pointer}: ")).unwrap_or_default())]
pub struct Error {
    kind: ErrorKind,
    pointer: Option<String>,
    message: String,
    is_of_input: bool,
}

/// A clipping that lies outside its input.
#[derive(Clone, Copy)]
pub(crate) struct OutsideClipping<'a> {
    /// The member of the clipping that is at fault: `startTimecode` or `endTimecode`.
    pub member: &'a str,
    /// Its timecode.
    pub timecode: &'a str,
    /// Timecode of the input's first frame.
    pub first: &'a str,
    /// Timecode of the input's last frame.
    pub last: &'a str,
}

impl Error {
    /// The input has no video.
    pub(crate) fn input_has_no_video(input: &str) -> Self {
        Self::new(
            ErrorKind::NoVideo,
            None,
            format!("input `{input}` has no video; a job takes it if all of its outputs have sound alone"),
        )
        .of_input()
    }

    /// The sound that an output needs cannot be decoded. `track` names it.
    pub(crate) fn undecodable(input: &str, track: &str) -> Self {
        let message = format!(
            "{track} of `{input}` cannot be decoded, because it is encrypted or the installed ffmpeg lacks its codec: \
             upload the film with its sound as AAC, or select another track"
        );
        Self::new(ErrorKind::Undecodable, None, message).of_input()
    }

    /// A setting that the planner cannot carry out. `pointer` is its JSON pointer in the job's settings.
    pub(crate) fn setting(pointer: &str, why: &str) -> Self {
        Self::new(ErrorKind::Settings, Some(pointer), why.to_owned())
    }

    /// A clipping that the planner cannot carry out.
    pub(crate) fn clipping(pointer: &str, why: &str) -> Self {
        Self::new(ErrorKind::Clipping, Some(pointer), why.to_owned())
    }

    /// A timecode that is malformed or does not exist at the input's frame rate.
    pub(crate) fn timecode(pointer: &str, timecode: &str) -> Self {
        let why = format!(
            "`{timecode}` is not a valid timecode for this input: use HH:MM:SS:FF with a frame number below its frame rate"
        );
        Self::clipping(pointer, &why).of_input()
    }

    /// A clipping that lies outside its input. `source` is the input's `timecodeSource`.
    pub(crate) fn outside(
        pointer: &str,
        clipping: OutsideClipping<'_>,
        source: Option<&InputTimecodeSource>,
    ) -> Self {
        let OutsideClipping { member, timecode, first, last } = clipping;
        let hint = match source {
            Some(InputTimecodeSource::Zerobased | InputTimecodeSource::Specifiedstart) => "",
            None | Some(InputTimecodeSource::Embedded | InputTimecodeSource::Other(_)) => {
                ": they start at the file's embedded one unless timecodeSource is ZEROBASED or SPECIFIEDSTART"
            }
        };
        let why = format!(
            "{member} `{timecode}` is outside the input, whose timecodes are {first} to {last}{hint}"
        );
        Self::clipping(pointer, &why).of_input()
    }

    fn new(kind: ErrorKind, pointer: Option<&str>, message: String) -> Self {
        Self { kind, pointer: pointer.map(str::to_owned), message, is_of_input: false }
    }

    /// Marks the error as one of this input, or of this ffmpeg: with another one, the settings may be right.
    pub(crate) fn of_input(self) -> Self {
        Self { is_of_input: true, ..self }
    }

    /// Marks the error with [`Self::of_input`] if `depends`.
    pub(crate) fn of_input_if(self, depends: bool) -> Self {
        if depends { self.of_input() } else { self }
    }

    /// Returns whether the settings may be right with another input or another ffmpeg.
    pub fn depends_on_input(&self) -> bool {
        self.is_of_input
    }

    /// Returns the JSON pointer of the setting at fault, empty if there is none, and what is wrong with it.
    pub fn place(&self) -> (&str, &str) {
        (self.pointer.as_deref().unwrap_or_default(), &self.message)
    }

    /// The installed ffmpeg lacks an encoder.
    pub(crate) fn encoder_is_missing(encoder: &str) -> Self {
        let message = format!(
            "ffmpeg has no encoder `{encoder}`: install a build that includes it, such as Debian's `ffmpeg`"
        );
        Self::new(ErrorKind::MissingCapability, None, message).of_input()
    }

    /// The installed ffmpeg lacks a filter.
    pub(crate) fn filter_is_missing(filter: &str) -> Self {
        let message = format!(
            "ffmpeg has no filter `{filter}`: install a build that includes it, such as Debian's `ffmpeg`"
        );
        Self::new(ErrorKind::MissingCapability, None, message).of_input()
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
