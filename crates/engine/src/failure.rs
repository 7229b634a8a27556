//! Converts errors of probing, planning, running and storing to job failures: an error code of MediaConvert and a
//! message about the user's own files. This is the only place where errors become codes.
//!
//! Messages never contain paths of the work folder, because users know an input by its URL.

use abanico_ffmpeg::ErrorKind as MediaErrorKind;
use abanico_ffmpeg::{RunError, RunErrorKind};
use abanico_media::ExactTime;
use abanico_plan::ErrorKind as PlanErrorKind;
use abanico_store::{ErrorKind as StoreErrorKind, WebErrorKind, without_secrets};

use crate::job_machine::Failure;

/// What the operating system and ffmpeg print when the disk is full.
const NO_SPACE: &str = "No space left on device";
/// What the operating system and SQLite say when there is no room for other reasons, or for the same.
const OTHER_WORDS: [&str; 2] = ["Disk quota exceeded", "database or disk is full"];
/// What to do about it.
const REMEDY: &str = "free space on the disk of the data folder (`abanico gc` says what takes room)";
/// A disk with fewer free bytes counts as full.
const FULL_BYTES: u64 = 1 << 20;
/// What the operating system says when this process or the whole machine has too many open files.
const NO_DESCRIPTORS: &str = "Too many open files";
/// Code for errors without a specific code.
const UNKNOWN: u32 = 1999;

/// Describes a failure to probe the input `url`. The message must not name `path`, its local file.
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

/// Describes a failure to plan the job.
pub(crate) fn from_plan(error: &abanico_plan::Error) -> Failure {
    let code = match error.kind() {
        PlanErrorKind::NoVideo => 1020,
        PlanErrorKind::Settings => 1040,
        PlanErrorKind::Clipping => 1060,
        _ => UNKNOWN,
    };
    Failure { code, message: error.to_string(), is_retryable: error.is_retryable() }
}

/// Describes a failure of ffmpeg in the step `what`. The message must not name `work`, the job's folder.
pub(crate) fn from_run(what: &str, url: &str, work: &std::path::Path, error: &RunError) -> Failure {
    let url = without_secrets(url);
    let message = match error.kind() {
        RunErrorKind::TimedOut => format!("{what} of `{url}` took too long and was stopped: {error}"),
        _ => format!("{what} of `{url}` failed: {error}"),
    };
    let message = message
        .replace(&format!("file:{}/", work.display()), "")
        .replace(&format!("{}/", work.display()), "");
    let message = if message.contains(NO_SPACE) { format!("{message}; {REMEDY}") } else { message };
    Failure { code: UNKNOWN, message, is_retryable: error.is_retryable() }
}

/// Describes files of ffmpeg that are not accepted. An honest encode of an honest file leaves none.
pub(crate) fn from_outputs(what: &str, url: &str, fault: &str) -> Failure {
    let url = without_secrets(url);
    let message = format!("{what} of `{url}` left files that are not accepted: {fault}");
    Failure { code: UNKNOWN, message, is_retryable: false }
}

/// Describes a caption file that cannot be read.
pub(crate) fn from_captions(url: &str, why: &str) -> Failure {
    let url = without_secrets(url);
    Failure {
        code: 1010,
        message: format!("cannot read the caption file `{url}`: {why}"),
        is_retryable: false,
    }
}

/// Describes a failure to fetch an object or a web file, or to publish an object.
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

/// Returns MediaConvert's code for a failed http or https input.
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

/// Describes an output that differs from the plan.
pub(crate) fn from_verification(url: &str, differences: &[String]) -> Failure {
    let message =
        format!("output `{url}` differs from the plan and was not published: {}", differences.join("; "));
    Failure { code: UNKNOWN, message, is_retryable: false }
}

/// Describes a place where two chunks of a film do not show what the source shows.
pub(crate) fn from_joint(url: &str, time: ExactTime, fault: &str) -> Failure {
    let message = format!(
        "the encode of `{url}` differs from its source at {time} s, where two chunks meet: {fault}; \
         nothing was published; please report it, and set `chunks` to off in the engine's settings for now"
    );
    Failure { code: UNKNOWN, message, is_retryable: false }
}

/// Describes an I/O error in the work folder.
pub(crate) fn from_disk(what: &str, error: &std::io::Error) -> Failure {
    Failure { code: UNKNOWN, message: format!("cannot {what}: {error}"), is_retryable: true }
}

/// Describes a job database that cannot store the job's state.
pub(crate) fn broken_storage(error: &crate::Error) -> Failure {
    let message = format!("{}: {REMEDY}, then submit the job again", chain(error));
    Failure { code: UNKNOWN, message, is_retryable: false }
}

/// Describes a job that cannot start over, because what it had published cannot be taken back.
pub(crate) fn not_taken_back(failure: Failure) -> Failure {
    let message = format!(
        "the job was interrupted and cannot start over, because what it had published cannot be taken back yet: {}",
        failure.message
    );
    Failure { message, is_retryable: false, ..failure }
}

/// Returns whether a step failed because a disk was full. Failures from many crates arrive here as text, so this
/// searches the message.
pub(crate) fn is_of_a_full_disk(failure: &Failure) -> bool {
    std::iter::once(&NO_SPACE).chain(&OTHER_WORDS).any(|words| failure.message.contains(words))
}

/// Describes a job whose stored settings cannot be used, such as those of another version of this program.
pub(crate) fn unusable_settings(problems: &str) -> Failure {
    let message = format!("the job's stored settings cannot be used ({problems}): submit the job again");
    Failure { code: 1040, message, is_retryable: false }
}

/// Describes a policy on inputs that cannot be read.
pub(crate) fn unreadable_policy(error: &crate::Error) -> Failure {
    let message = format!(
        "{error}; the job was not run, because its inputs may be forbidden: put the policy again, then submit the job again"
    );
    Failure { code: 3457, message, is_retryable: false }
}

/// Returns whether a step failed because the disk was full, or most likely so: ffmpeg does not always say why it could
/// not write. `free_bytes` were free when it failed.
pub(crate) fn may_be_of_a_full_disk(failure: &Failure, free_bytes: Option<u64>) -> bool {
    is_of_a_full_disk(failure) || names_no_cause(failure) && free_bytes.is_some_and(|free| free < FULL_BYTES)
}

/// Returns whether a failure may have causes that its code does not tell.
pub(crate) fn names_no_cause(failure: &Failure) -> bool {
    failure.code == UNKNOWN
}

/// Describes a step that found no room for as long as it may wait.
pub(crate) fn without_room(failure: Failure) -> Failure {
    let message = match failure.message.contains("free space") || failure.message.contains("free some space")
    {
        true => failure.message,
        false => format!("{}; {REMEDY}", failure.message),
    };
    Failure { message, is_retryable: false, ..failure }
}

/// Returns whether a step failed because file descriptors ran out, which passes. Searches the message, as above.
pub(crate) fn is_of_missing_descriptors(failure: &Failure) -> bool {
    failure.message.contains(NO_DESCRIPTORS)
}

/// Describes something that should be impossible, such as a task that is not in the plan.
pub(crate) fn broken(what: &str) -> Failure {
    Failure {
        code: UNKNOWN,
        message: format!("this is a bug in abanico, please report it: {what}"),
        is_retryable: false,
    }
}

/// Returns an error's message followed by its causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    chain(error)
}

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
    fn full_disk_is_noticed_in_words_or_by_measuring() {
        let failure =
            |code, message: &str| Failure { code, message: message.to_owned(), is_retryable: false };
        for words in
            ["No space left on device (os error 28)", "database or disk is full", "Disk quota exceeded"]
        {
            assert!(may_be_of_a_full_disk(&failure(1999, words), Some(u64::MAX)), "{words}");
        }
        let silent = failure(1999, "Error initializing output stream 0:0 --");
        assert!(may_be_of_a_full_disk(&silent, Some(0)));
        assert!(!may_be_of_a_full_disk(&silent, Some(1 << 30)) && !may_be_of_a_full_disk(&silent, None));
        assert!(!may_be_of_a_full_disk(&failure(1010, "no media"), Some(0)), "the input's own fault");
        assert!(without_room(silent).message.ends_with(&format!("--; {REMEDY}")));
    }

    #[test]
    fn missing_descriptors_are_known_by_whatever_error_tells_of_them() {
        for number in [24, 23] {
            let error = std::io::Error::from_raw_os_error(number);
            assert!(is_of_missing_descriptors(&from_disk("open the input", &error)), "{error}");
        }
        assert!(!is_of_missing_descriptors(&from_disk("open the input", &std::io::Error::other("disk"))));
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

    #[test]
    fn each_store_error_has_its_code() {
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
