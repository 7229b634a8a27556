//! Names of task queues. A queue of tasks has the versions of plans and of ffmpeg in its name, so encodes of two versions
//! never meet in one film: a machine with another version polls another queue.

use abanico_plan::PLAN_VERSION;

/// Longest part of a name that a version takes; versions of distributions are long.
const MOST_VERSION: usize = 60;

/// Returns the name of the queue of workflows.
pub(crate) fn of_jobs(prefix: &str) -> String {
    format!("{prefix}-jobs")
}

/// Returns the name of the queue of tasks for machines with this version of ffmpeg.
pub(crate) fn of_tasks(prefix: &str, ffmpeg_version: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | '+');
    let version = ffmpeg_version.chars().map(|letter| if is_plain(letter) { letter } else { '_' });
    let version: String = version.take(MOST_VERSION).collect();
    format!("{prefix}-tasks-v{PLAN_VERSION}-ffmpeg-{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_queues_of_their_own() {
        let [one, other] = ["5.1.6-0+deb12u1", "6.0"].map(|version| of_tasks("abanico", version));
        assert_ne!(one, other);
        assert!(one.ends_with("-ffmpeg-5.1.6-0+deb12u1"), "{one}");
        assert!(of_tasks("a", "n 1/2").ends_with("n_1_2"));
        assert_ne!(of_jobs("a"), of_jobs("b"));
    }
}
