//! Claims on destinations: while a job's outputs are visible but not yet sure to stay, no other job publishes at the
//! same places. So taking back never meets the outputs of a later job in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::jobs::ids::JobId;

/// The claims of all jobs. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Claims {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    held: Mutex<BTreeMap<JobId, BTreeSet<String>>>,
    released: Notify,
}

impl Claims {
    /// Waits until no other job has a claim on any of these URLs, and claims them all at once. A job that already has
    /// a claim keeps that one.
    pub async fn claim(&self, job: &JobId, urls: BTreeSet<String>) {
        loop {
            let mut released = std::pin::pin!(self.inner.released.notified());
            released.as_mut().enable();
            if self.try_claim(job, &urls) {
                return;
            }
            released.await;
        }
    }

    /// Claims these URLs if no other job has a claim on any of them.
    pub fn try_claim(&self, job: &JobId, urls: &BTreeSet<String>) -> bool {
        let mut held = self.held();
        if held.contains_key(job) {
            return true;
        }
        let is_free = held.values().all(|others| others.is_disjoint(urls));
        if is_free {
            held.insert(job.clone(), urls.clone());
        }
        is_free
    }

    /// Gives up a job's claim, if it has one.
    pub fn release(&self, job: &JobId) {
        self.held().remove(job);
        self.inner.released.notify_waiters();
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<JobId, BTreeSet<String>>> {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn common_url_waits_for_its_release() {
        let (claims, one, other) = (Claims::default(), JobId::new("1-a"), JobId::new("2-b"));
        claims.claim(&one, urls(&["a", "b"])).await;
        claims.claim(&one, urls(&["a", "b"])).await;
        claims.claim(&JobId::new("3-c"), urls(&["c"])).await;
        assert!(!claims.try_claim(&other, &urls(&["b", "d"])));
        let waiting = tokio::spawn({
            let (claims, other) = (claims.clone(), other.clone());
            async move { claims.claim(&other, urls(&["b", "d"])).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        claims.release(&one);
        waiting.await.unwrap();
        assert!(!claims.try_claim(&one, &urls(&["d"])));
    }
}
