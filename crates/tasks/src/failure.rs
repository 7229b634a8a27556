//! Converts errors of probing and running to failures of tasks: an error code of MediaConvert and a message about the
//! user's own files.
//!
//! Messages never contain paths of the work folder, because users know an input by its URL.

pub mod codes;

use abanico_ffmpeg::{RunError, RunErrorKind};
use abanico_media::ExactTime;
use abanico_process::{Lack, with_causes};
use abanico_store::without_secrets;
use serde::{Deserialize, Serialize};

/// Why a step of a job failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// MediaConvert's error code, such as 1010.
    pub code: u32,
    /// What is wrong with which file or setting, and the remedy.
    pub message: String,
    /// Whether a retry may succeed.
    pub is_retryable: bool,
    /// What the operating system had too little of, if that is why. It is not stored: only whoever ran the step acts on
    /// it.
    #[serde(skip)]
    pub lack: Option<Lack>,
}

impl Failure {
    /// Creates a failure of which nothing else is known.
    pub fn new(code: u32, message: impl Into<String>, is_retryable: bool) -> Self {
        Self { code, message: message.into(), is_retryable, lack: None }
    }

    /// Returns whether nothing failed but that another attempt at the same task was faster.
    pub fn is_outrun(&self) -> bool {
        *self == outrun()
    }
}

/// Describes a failure to probe the input `url`. The message must not name `path`, its local file.
pub fn from_probe(url: &str, path: &str, error: &abanico_ffmpeg::Error) -> Failure {
    let code = codes::of_probe(error.kind());
    let url = without_secrets(url);
    let message = with_causes(error).replace(path, &url);
    let message = match code {
        codes::NOT_READABLE => format!("Unable to open input file [{url}]: [{message}]"),
        _ => message,
    };
    Failure { lack: error.lack(), ..Failure::new(code, message, error.is_retryable()) }
}

/// Describes a failure of ffmpeg in the step `what`. The message must not name `work`, the job's folder.
pub fn from_run(what: &str, url: &str, work: &std::path::Path, error: &RunError) -> Failure {
    let url = without_secrets(url);
    let message = match error.kind() {
        RunErrorKind::TimedOut => format!("{what} of `{url}` took too long and was stopped: {error}"),
        _ => format!("{what} of `{url}` failed: {error}"),
    };
    let message = message
        .replace(&format!("file:{}/", work.display()), "")
        .replace(&format!("{}/", work.display()), "");
    Failure { lack: error.lack(), ..Failure::new(codes::UNKNOWN, message, error.is_retryable()) }
}

/// Describes files of ffmpeg that are not accepted. An honest encode of an honest file leaves none.
pub fn from_outputs(what: &str, url: &str, fault: &str) -> Failure {
    let url = without_secrets(url);
    let message = format!("{what} of `{url}` left files that are not accepted: {fault}");
    Failure::new(codes::UNKNOWN, message, false)
}

/// Describes a caption file that cannot be read.
pub fn from_captions(url: &str, why: &str) -> Failure {
    let url = without_secrets(url);
    Failure::new(codes::NOT_READABLE, format!("cannot read the caption file `{url}`: {why}"), false)
}

/// Describes an output that differs from the plan.
pub fn from_verification(url: &str, differences: &[String]) -> Failure {
    let message =
        format!("output `{url}` differs from the plan and was not published: {}", differences.join("; "));
    Failure::new(codes::UNKNOWN, message, false)
}

/// A place where the video is compared with the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compared {
    /// Where two chunks of a film meet.
    Joint,
    /// Where a film or a clip begins.
    Start,
}

/// Describes a place where the video does not show what the source shows.
pub fn from_comparison(url: &str, place: Compared, time: ExactTime, fault: &str) -> Failure {
    let url = without_secrets(url);
    let (place, remedy) = match place {
        Compared::Joint => (
            format!("at {time} s, where two chunks meet"),
            ", and set `chunks` to off in the engine's settings for now",
        ),
        Compared::Start if time == ExactTime::ZERO => ("in its first frames".to_owned(), ""),
        Compared::Start => (format!("at {time} s, in the first frames of a clip"), ""),
    };
    let message = format!(
        "the encode of `{url}` differs from its source {place}: {fault}; nothing was published; \
         please report it{remedy}"
    );
    Failure::new(codes::UNKNOWN, message, false)
}

/// Describes an I/O error in the work folder.
pub fn from_disk(what: &str, error: &std::io::Error) -> Failure {
    let failure = Failure::new(codes::UNKNOWN, format!("cannot {what}: {error}"), true);
    Failure { lack: Lack::found(error, &|_| None), ..failure }
}

/// Describes an attempt that another one at the same task was faster than. Nobody sees it: the other's files stand.
pub fn outrun() -> Failure {
    Failure::new(codes::UNKNOWN, "another attempt at the same task was faster", true)
}

/// Describes something that should be impossible, such as a task that is not in the plan.
pub fn broken(what: &str) -> Failure {
    Failure::new(codes::UNKNOWN, format!("this is a bug in abanico, please report it: {what}"), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_probe_names_url_and_not_path() {
        let path = std::path::Path::new("/data/work/1-a/input");
        let error = abanico_ffmpeg::Error::not_media(path, "it is text");
        let failure = from_probe("s3://b/k.mp4", "/data/work/1-a/input", &error);
        assert_eq!((failure.code, failure.is_retryable), (1010, false));
        assert!(
            failure.message.contains("s3://b/k.mp4") && !failure.message.contains("/data/work"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn missing_descriptors_are_known_by_whatever_error_tells_of_them() {
        for number in [24, 23] {
            let error = std::io::Error::from_raw_os_error(number);
            assert_eq!(from_disk("open the input", &error).lack, Some(Lack::Descriptors), "{error}");
            let error = abanico_ffmpeg::Error::io("open the input", error);
            assert_eq!(from_probe("s3://b/k", "/work", &error).lack, Some(Lack::Descriptors), "{error}");
        }
        assert_eq!(from_disk("open the input", &std::io::Error::other("disk")).lack, None);
    }

    #[test]
    fn messages_hide_secrets_in_urls() {
        let url = "https://ann:pa55@h.example/a.mp4?X-Amz-Signature=5ec2e7";
        let path = std::path::Path::new("/data/work/1-a/input");
        let told = [
            from_probe(url, "/data/work/1-a/input", &abanico_ffmpeg::Error::not_media(path, "it is text")),
            from_captions(url, "it is empty"),
        ];
        for failure in told {
            assert!(failure.message.contains("h.example/a.mp4"), "{}", failure.message);
            assert!(
                !failure.message.contains("pa55") && !failure.message.contains("5ec2e7"),
                "{}",
                failure.message
            );
        }
    }
}
