//! The table `[retention]`: how long what is finished is kept.

use std::time::Duration;

use abanico_engine::Retention;
use serde::Deserialize;

const DAY_SECONDS: u64 = 24 * 3_600;

/// How long what is finished is kept. In each key, 0 means for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// After how many days finished jobs and their events are deleted.
    pub job_days: u32,
    /// How many finished jobs are kept.
    pub max_jobs: u64,
    /// After how many days without use kept encodes are removed.
    pub encode_days: u32,
    /// After how many days without a new part incomplete uploads are aborted.
    pub upload_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            // As on AWS, so that programs that look back find what they find there.
            job_days: 90,
            // A number that is reached early would break that.
            max_jobs: 0,
            // They only save time; the limit on their size is reached before in most folders.
            encode_days: 30,
            // What AWS recommends for its own rule.
            upload_days: 7,
        }
    }
}

impl RetentionConfig {
    /// Returns what the engine keeps.
    pub fn of_engine(&self) -> Retention {
        let days = |days: u32| (days > 0).then(|| Duration::from_secs(u64::from(days) * DAY_SECONDS));
        Retention {
            jobs: days(self.job_days),
            most_jobs: (self.max_jobs > 0).then_some(self.max_jobs),
            encodes: days(self.encode_days),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_keeps_for_ever() {
        let all = RetentionConfig { job_days: 0, max_jobs: 0, encode_days: 0, upload_days: 0 };
        assert_eq!(all.of_engine(), Retention::default());
        let kept = RetentionConfig::default().of_engine();
        assert_eq!((kept.jobs, kept.most_jobs), (Some(Duration::from_secs(7_776_000)), None));
    }
}
