//! How long what is finished is kept, and the sweep that deletes what is older: jobs with all that is stored about them,
//! events, and kept encodes.
//!
//! It deletes a few records at a time and pauses in between, so that no request waits for it. What has a time in the
//! future stays, so a clock that is set back deletes nothing.

use std::time::Duration;

use crate::engine::Engine;
use crate::error::Error;
use crate::jobs::ids::JobId;
use crate::records::database::Expiry;
use abanico_process::clock;

/// Pause after each batch.
const PAUSE: Duration = Duration::from_millis(20);
/// Events are kept at least this long, because a webhook that does not answer is tried for a day.
const EVENTS_LEAST: Duration = Duration::from_secs(2 * 24 * 3_600);

/// How long what is finished is kept. The default keeps everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// How long finished jobs and their events are kept after the job's end.
    pub jobs: Option<Duration>,
    /// How many finished jobs are kept; the newest stay.
    pub most_jobs: Option<u64>,
    /// How long kept encodes stay after their last use.
    pub encodes: Option<Duration>,
}

/// What a sweep deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expired {
    /// Number of jobs.
    pub jobs: u64,
    /// Number of events.
    pub events: u64,
    /// Bytes of kept encodes.
    pub encode_bytes: u64,
}

impl Retention {
    /// Returns which jobs go at this time.
    pub(crate) fn expiry(
        self,
        now_ms: i64,
        beyond: impl FnOnce(u64) -> Result<Option<(i64, String)>, Error>,
    ) -> Result<Option<Expiry>, Error> {
        if self.jobs.is_none() && self.most_jobs.is_none() {
            return Ok(None);
        }
        let before_ms = self.jobs.map_or(i64::MIN, |age| before(now_ms, age));
        let up_to = self.most_jobs.map(beyond).transpose()?.flatten();
        Ok(Some(Expiry { before_ms, up_to }))
    }

    /// Returns before which time events must be from to go; `None` keeps all.
    pub(crate) fn events_before_ms(self, now_ms: i64) -> Option<i64> {
        self.jobs.map(|age| before(now_ms, age.max(EVENTS_LEAST)))
    }
}

fn before(now_ms: i64, age: Duration) -> i64 {
    now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

impl Engine {
    /// Deletes what is older than the retention allows. Never touches a job that has not ended, or whose outputs are not
    /// settled yet.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written. What was deleted until then stays deleted.
    pub async fn expire(&self) -> Result<Expired, Error> {
        let expired = Expired {
            jobs: self.expire_jobs().await?,
            events: self.expire_events().await?,
            encode_bytes: self.workshop().expire_kept(self.retention().encodes).await,
        };
        if expired != Expired::default() {
            let Expired { jobs, events, encode_bytes: size_bytes } = expired;
            tracing::info!(jobs, events, size_bytes, "deleted what was kept long enough");
        }
        Ok(expired)
    }

    async fn expire_jobs(&self) -> Result<u64, Error> {
        let (retention, now_ms) = (self.retention(), clock::now_ms());
        let expiry =
            self.database(move |database| retention.expiry(now_ms, |most| database.beyond_newest(most)));
        let Some(expiry) = expiry.await? else { return Ok(0) };
        let (mut after, mut deleted) = ((i64::MIN, String::new()), 0);
        loop {
            let (expiry, engine) = (expiry.clone(), self.clone());
            let batch = self.database(move |database| {
                database.expire_jobs(&expiry, &after, now_ms, |id| engine.is_done_with(id))
            });
            let batch = batch.await?;
            deleted += batch.deleted;
            match batch.next {
                Some(next) => after = next,
                None => break,
            }
            tokio::time::sleep(PAUSE).await;
        }
        if deleted > 0 {
            self.changed();
        }
        Ok(deleted)
    }

    /// Whether nothing of a job is left to do: it has no driver, and no folder with notes on what it published.
    fn is_done_with(&self, id: &JobId) -> bool {
        !self.is_active(id) && !self.folder().join("work").join(id.as_str()).exists()
    }

    async fn expire_events(&self) -> Result<u64, Error> {
        let Some(before_ms) = self.retention().events_before_ms(clock::now_ms()) else { return Ok(0) };
        let (mut after, mut deleted) = (0, 0);
        loop {
            let (count, last) =
                self.database(move |database| database.expire_events(before_ms, after)).await?;
            deleted += count;
            match last {
                Some(last) => after = last,
                None => return Ok(deleted),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_without_limits_keeps_everything() {
        let none = Retention::default().expiry(1_000, |_| panic!("nothing is counted")).unwrap();
        assert_eq!(none, None);
        let age = Retention { jobs: Some(Duration::from_millis(400)), ..Retention::default() };
        let expiry = age.expiry(1_000, |_| panic!("nothing is counted")).unwrap();
        assert_eq!(expiry, Some(Expiry { before_ms: 600, up_to: None }));
        let number = Retention { most_jobs: Some(3), ..Retention::default() };
        let expiry = number.expiry(1_000, |most| Ok(Some((i64::try_from(most).unwrap(), "x".to_owned()))));
        assert_eq!(expiry.unwrap(), Some(Expiry { before_ms: i64::MIN, up_to: Some((3, "x".to_owned())) }));
    }
}
