//! Converts errors of planning, fetching and storing to job failures, as the crate `tasks` does with those of tasks: an error
//! code of MediaConvert and a message about the user's own files.
//!
//! Messages never contain paths of the work folder, because users know an input by its URL.

use abanico_process::{Lack, with_causes};
pub(crate) use abanico_tasks::Failure;
pub(crate) use abanico_tasks::failure::{broken, codes, from_disk, from_probe, from_verification};

/// What to do about a full disk.
const REMEDY: &str = "free space on the disk of the data folder (`abanico gc` says what takes room)";
/// A disk with fewer free bytes counts as full.
const FULL_BYTES: u64 = 1 << 20;

/// Describes a failure to plan the job.
pub(crate) fn from_plan(error: &abanico_plan::Error) -> Failure {
    Failure::new(codes::of_plan(error.kind()), error.to_string(), error.is_retryable())
}

/// Describes a URL that is none.
pub(crate) fn from_url(code: u32, error: &abanico_store::ParseObjectUrlError) -> Failure {
    Failure::new(code, error.to_string(), false)
}

/// Describes a failure to fetch an object or a web file, or to publish an object.
pub(crate) fn from_store(error: &abanico_store::Error) -> Failure {
    let failure = Failure::new(codes::of_store(error.kind()), with_causes(error), error.is_retryable());
    Failure { lack: lack_of(error), ..failure }
}

/// Returns what the operating system had too little of, if an error or one of its causes says so.
fn lack_of(error: &(dyn std::error::Error + 'static)) -> Option<Lack> {
    Lack::found(error, &|error| {
        let code = error.downcast_ref::<rusqlite::Error>()?.sqlite_error_code()?;
        (code == rusqlite::ErrorCode::DiskFull).then_some(Lack::Room)
    })
}

/// Describes a job database that cannot store the job's state.
pub(crate) fn broken_storage(error: &crate::Error) -> Failure {
    let message = format!("{}: {REMEDY}, then submit the job again", with_causes(error));
    Failure::new(codes::UNKNOWN, message, false)
}

/// Describes a job that cannot start over, because what it had published cannot be taken back.
pub(crate) fn not_taken_back(failure: Failure) -> Failure {
    let message = format!(
        "the job was interrupted and cannot start over, because what it had published cannot be taken back yet: {}",
        failure.message
    );
    Failure { message, is_retryable: false, ..failure }
}

/// Describes a job whose stored settings cannot be used, such as those of another version of this program.
pub(crate) fn unusable_settings(problems: &str) -> Failure {
    let message = format!("the job's stored settings cannot be used ({problems}): submit the job again");
    Failure::new(codes::SETTINGS, message, false)
}

/// Describes a policy on inputs that cannot be read.
pub(crate) fn unreadable_policy(error: &crate::Error) -> Failure {
    let message = format!(
        "{error}; the job was not run, because its inputs may be forbidden: put the policy again, then submit the job again"
    );
    Failure::new(codes::DISALLOWED, message, false)
}

/// Returns whether a step failed because the disk was full, or most likely so: ffmpeg does not always say why it could
/// not write. `free_bytes` were free when it failed.
pub(crate) fn may_be_of_a_full_disk(failure: &Failure, free_bytes: Option<u64>) -> bool {
    failure.lack == Some(Lack::Room)
        || names_no_cause(failure) && free_bytes.is_some_and(|free| free < FULL_BYTES)
}

/// Returns whether a failure may have causes that its code does not tell.
pub(crate) fn names_no_cause(failure: &Failure) -> bool {
    failure.code == codes::UNKNOWN
}

/// Adds what to do about a full disk.
pub(crate) fn with_remedy(failure: Failure) -> Failure {
    Failure { message: format!("{}; {REMEDY}", failure.message), ..failure }
}

/// Describes a step that found no room for as long as it may wait.
pub(crate) fn without_room(failure: Failure) -> Failure {
    Failure { is_retryable: false, ..with_remedy(failure) }
}

#[cfg(test)]
mod tests {
    use abanico_store::{ErrorKind as StoreErrorKind, WebErrorKind};

    use super::*;

    #[test]
    fn full_disk_is_noticed_by_type_or_by_measuring() {
        let full = || std::io::Error::from_raw_os_error(28);
        let url: abanico_store::ObjectUrl = "s3://b/k".parse().unwrap();
        let database = || {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
            rusqlite::Error::SqliteFailure(code, None)
        };
        for failure in [
            from_disk("write", &full()),
            from_store(&abanico_store::Error::unavailable(&url, full())),
            from_store(&abanico_store::Error::unavailable(&url, database())),
            from_store(&abanico_store::Error::unavailable(&url, std::io::Error::other(full()))),
        ] {
            assert!(may_be_of_a_full_disk(&failure, Some(u64::MAX)), "{failure:?}");
        }
        let silent = Failure::new(codes::UNKNOWN, "Error initializing output stream 0:0 --", false);
        assert!(may_be_of_a_full_disk(&silent, Some(0)));
        assert!(!may_be_of_a_full_disk(&silent, Some(1 << 30)) && !may_be_of_a_full_disk(&silent, None));
        let own_fault = Failure::new(codes::NOT_READABLE, "no media: No space left on device", true);
        assert!(!may_be_of_a_full_disk(&own_fault, Some(0)), "the input's own fault, whatever it is called");
        assert!(without_room(silent).message.ends_with(&format!("--; {REMEDY}")));
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
