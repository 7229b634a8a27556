//! Errors of reading caption files. Each message names the line, the problem and the remedy.

use serde::{Deserialize, Serialize};

/// The longest excerpt of a file in a message, in characters.
const EXCERPT_CHARS: usize = 80;

/// The format of a caption file, as messages name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionFormat {
    /// SubRip, usually `.srt`.
    SubRip,
    /// WebVTT, usually `.vtt`.
    WebVtt,
}

impl std::fmt::Display for CaptionFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SubRip => "SubRip",
            Self::WebVtt => "WebVTT",
        })
    }
}

/// The kind of error, for callers that do not read messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file has another format, or none that is known.
    WrongFormat,
    /// The file has the expected format, but one of its lines cannot be read.
    Unreadable,
    /// The file has more than can be shown.
    TooMuch,
}

/// Why captions cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line that must hold two times does not.
    #[error(
        "line {line} of the {format} file does not have two times: `{excerpt}`; write it as `00:00:01,000 --> 00:00:02,500`"
    )]
    UnreadableTiming {
        /// The expected format.
        format: CaptionFormat,
        /// Line number, from 1.
        line: usize,
        /// The line, cut to 80 characters.
        excerpt: String,
    },
    /// The file has text but no cues.
    #[error(
        "the {format} file has text but no cues, from line {line} on: `{excerpt}`; give a file with lines such as `00:00:01,000 --> 00:00:02,500`, or name its actual format"
    )]
    NoCue {
        /// The expected format.
        format: CaptionFormat,
        /// Number of the first line with text, from 1.
        line: usize,
        /// That line, cut to 80 characters.
        excerpt: String,
    },
    /// A cue is over one of the limits of what can be shown.
    #[error(
        "cue {cue} of the {format} file has too much to show: {found} {what}, and at most {most} are taken; split it or shorten it"
    )]
    TooMuch {
        /// The expected format.
        format: CaptionFormat,
        /// Number of the cue in the file, from 1.
        cue: usize,
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A WebVTT file does not begin with `WEBVTT`.
    #[error("line 1 of the WebVTT file is `{excerpt}`; it must begin with `WEBVTT`")]
    NoHeader {
        /// The first line, cut to 80 characters.
        excerpt: String,
    },
}

impl Error {
    /// Returns the kind of error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnreadableTiming { .. } => ErrorKind::Unreadable,
            Self::NoCue { .. } | Self::NoHeader { .. } => ErrorKind::WrongFormat,
            Self::TooMuch { .. } => ErrorKind::TooMuch,
        }
    }

    /// Whether a retry can help. Always false, because the same file gives the same error.
    pub fn is_retryable(&self) -> bool {
        false
    }

    pub(crate) fn unreadable_timing(format: CaptionFormat, line: usize, text: &str) -> Self {
        Self::UnreadableTiming { format, line, excerpt: excerpt(text) }
    }

    pub(crate) fn no_cue(format: CaptionFormat, line: usize, text: &str) -> Self {
        Self::NoCue { format, line, excerpt: excerpt(text) }
    }

    pub(crate) fn no_header(text: &str) -> Self {
        Self::NoHeader { excerpt: excerpt(text) }
    }
}

/// Returns the start of the line without control characters, so that the message stays on one line.
fn excerpt(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_line_problem_and_remedy() {
        let error = Error::unreadable_timing(CaptionFormat::SubRip, 7, "00:00:xx --> \u{7}never\n");
        assert_eq!(
            error.to_string(),
            "line 7 of the SubRip file does not have two times: `00:00:xx --> never`; \
             write it as `00:00:01,000 --> 00:00:02,500`"
        );
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreadable, false));
        let error = Error::no_header(&"x".repeat(500));
        assert!(error.to_string().len() < 160, "{error}");
        assert_eq!(error.kind(), ErrorKind::WrongFormat);
    }
}
