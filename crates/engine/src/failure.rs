//! What a job says when it fails: in errors of probing, planning, running and storing, out MediaConvert's code and a
//! message about the user's own things. The one place where errors become codes.
//!
//! Never a path of the work folder: the user knows the input by its URL.

use abanico_ffmpeg::ErrorKind as MediaErrorKind;
use abanico_ffmpeg::{RunError, RunErrorKind};
use abanico_plan::ErrorKind as PlanErrorKind;
use abanico_store::{ErrorKind as StoreErrorKind, WebErrorKind, without_secrets};

use crate::job_machine::Failure;

/// What systems and ffmpeg say of a full disk.
const NO_SPACE: &str = "No space left on device";
/// Code of an error that has no other.
const UNKNOWN: u32 = 1999;

/// The input `url` could not be probed.
pub(crate) fn from_probe(url: &str, path: &str, error: &abanico_ffmpeg::Error) -> Failure {
    let code = match error.kind() {
        MediaErrorKind::NotMedia => 1010,
        MediaErrorKind::NoVideo => 1020,
        MediaErrorKind::Truncated => 1076,
        MediaErrorKind::Unsupported => 1030,
        _ => UNKNOWN,
    };
    let url = without_secrets(url);
    let message = chain(error).replace(path, &url);
    let message =
        if code == 1010 { format!("Unable to open input file [{url}]: [{message}]") } else { message };
    Failure { code, message, is_retryable: error.is_retryable() }
}

/// The job could not be planned.
pub(crate) fn from_plan(error: &abanico_plan::Error) -> Failure {
    let code = match error.kind() {
        PlanErrorKind::NoVideo => 1020,
        PlanErrorKind::Settings => 1040,
        PlanErrorKind::Clipping => 1060,
        _ => UNKNOWN,
    };
    Failure { code, message: error.to_string(), is_retryable: error.is_retryable() }
}

/// ffmpeg failed in the step `what`; `work` is the folder that its messages must not name.
pub(crate) fn from_run(what: &str, url: &str, work: &std::path::Path, error: &RunError) -> Failure {
    let url = without_secrets(url);
    let message = match error.kind() {
        RunErrorKind::TimedOut => format!("{what} of `{url}` took too long and was stopped: {error}"),
        _ => format!("{what} of `{url}` failed: {error}"),
    };
    let message = message
        .replace(&format!("file:{}/", work.display()), "")
        .replace(&format!("{}/", work.display()), "");
    let hint = if message.contains(NO_SPACE) { "; free space on the disk of the data folder" } else { "" };
    Failure { code: UNKNOWN, message: format!("{message}{hint}"), is_retryable: error.is_retryable() }
}

/// A caption file is none that can be read.
pub(crate) fn from_captions(url: &str, why: &str) -> Failure {
    let url = without_secrets(url);
    Failure {
        code: 1010,
        message: format!("the caption file `{url}` cannot be read: {why}"),
        is_retryable: false,
    }
}

/// An object or a file of the web could not be fetched, or an object not published.
pub(crate) fn from_store(error: &abanico_store::Error) -> Failure {
    let code = match error.kind() {
        StoreErrorKind::NotFound => 1404,
        StoreErrorKind::Denied => 1401,
        StoreErrorKind::Unsupported => 1010,
        StoreErrorKind::Web(kind) => web_code(kind),
        _ => UNKNOWN,
    };
    Failure { code, message: chain(error), is_retryable: error.is_retryable() }
}

/// MediaConvert's codes for http and https inputs.
fn web_code(kind: WebErrorKind) -> u32 {
    match kind {
        WebErrorKind::Unauthenticated => 3401,
        WebErrorKind::Refused => 3403,
        WebErrorKind::Missing => 3404,
        WebErrorKind::Busy | WebErrorKind::Interrupted | WebErrorKind::OverLimit | WebErrorKind::Unusable => {
            3408
        }
        WebErrorKind::ServerFailed => 3450,
        WebErrorKind::NotConnected | WebErrorKind::Untrusted => 3451,
        WebErrorKind::Disallowed => 3457,
        _ => 3999,
    }
}

/// An output is not what was planned.
pub(crate) fn from_verification(url: &str, differences: &[String]) -> Failure {
    let message =
        format!("output `{url}` is not what was planned and was not published: {}", differences.join("; "));
    Failure { code: UNKNOWN, message, is_retryable: false }
}

/// The disk of the work folder failed.
pub(crate) fn from_disk(what: &str, error: &std::io::Error) -> Failure {
    Failure { code: UNKNOWN, message: format!("cannot {what}: {error}"), is_retryable: true }
}

/// The job database does not take the job's state.
pub(crate) fn broken_storage(error: &crate::Error) -> Failure {
    let message =
        format!("{}: free space on the disk of the data folder, then submit the job again", chain(error));
    Failure { code: UNKNOWN, message, is_retryable: false }
}

/// Whether a step failed because a disk was full. Failures of many crates come here as text, so it is looked for there.
pub(crate) fn is_of_a_full_disk(failure: &Failure) -> bool {
    failure.message.contains(NO_SPACE)
}

/// Something that cannot be, such as a task that the plan does not have.
pub(crate) fn broken(what: &str) -> Failure {
    Failure {
        code: UNKNOWN,
        message: format!("this is a fault of abanico, please report it: {what}"),
        is_retryable: false,
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_a_failed_probe_speak_of_the_users_url_and_not_of_our_path() {
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
    fn does_no_message_tell_the_secrets_of_a_url() {
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

    #[test]
    fn do_missing_and_forbidden_inputs_get_their_own_codes() {
        let url = "s3://b/k".parse().unwrap();
        assert_eq!(from_store(&abanico_store::Error::object_not_found(&url)).code, 1404);
        let denied = abanico_store::Error::about(&url, StoreErrorKind::Denied, "no");
        assert_eq!(from_store(&denied).code, 1401);
        for (kind, code, is_retryable) in [
            (WebErrorKind::Unauthenticated, 3401, false),
            (WebErrorKind::Refused, 3403, false),
            (WebErrorKind::Missing, 3404, false),
            (WebErrorKind::Unusable, 3408, false),
            (WebErrorKind::Interrupted, 3408, true),
            (WebErrorKind::ServerFailed, 3450, true),
            (WebErrorKind::NotConnected, 3451, true),
            (WebErrorKind::Untrusted, 3451, false),
            (WebErrorKind::Disallowed, 3457, false),
            (WebErrorKind::Unknown, 3999, false),
        ] {
            let failure = from_store(&abanico_store::Error::about(&url, StoreErrorKind::Web(kind), "no"));
            assert_eq!((failure.code, failure.is_retryable), (code, is_retryable), "{kind:?}");
        }
        let away = from_store(&abanico_store::Error::unavailable(&url, "timeout"));
        assert!(away.is_retryable && away.message.contains("timeout"));
    }
}
