//! Changes of several writers that go into the index in one transaction, so that they share one flush of its log.
//!
//! A change that fails leaves nothing behind and fails alone. If the whole transaction fails, each change is tried again
//! by itself. A result counts only once the transaction that it belongs to is durable.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use rusqlite::Transaction;

use crate::error::{Error, Result};
use crate::index::lock;

/// Largest number of changes in one transaction: nobody waits for more than these.
const GROUP_MAX: usize = 128;

/// A change that waits for its transaction. Each occupies a thread of its writer, so that there are never more of them
/// than the runtime has for blocking work.
pub(crate) trait Change: Send + Sync {
    /// Makes the change and keeps the result, which does not count yet. Returns whether it succeeded. It may run again
    /// if the transaction failed.
    fn run(&self, transaction: &Transaction<'_>) -> bool;

    /// Makes the result of the last run count.
    fn confirm(&self);

    /// Fails the change for good.
    fn fail(&self, error: Error);
}

/// The changes that wait, the earliest first.
#[derive(Default)]
pub(crate) struct Queue(Mutex<VecDeque<Arc<dyn Change>>>);

impl Queue {
    /// Adds a change.
    pub(crate) fn push(&self, change: Arc<dyn Change>) {
        lock(&self.0).push_back(change);
    }

    /// Returns how many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Takes the changes of the next transaction.
    pub(crate) fn next(&self) -> Vec<Arc<dyn Change>> {
        let mut queue = lock(&self.0);
        let count = queue.len().min(GROUP_MAX);
        queue.drain(..count).collect()
    }
}

/// The change of one writer.
pub(crate) struct Waiting<T, Work> {
    work: Work,
    outcome: Mutex<Outcome<T>>,
}

struct Outcome<T> {
    result: Option<Result<T>>,
    counts: bool,
}

impl<T, Work> Waiting<T, Work> {
    /// Prepares a change.
    pub(crate) fn new(work: Work) -> Self {
        Self { work, outcome: Mutex::new(Outcome { result: None, counts: false }) }
    }

    /// Returns the result, once it counts.
    pub(crate) fn take(&self) -> Option<Result<T>> {
        let mut outcome = lock(&self.outcome);
        if outcome.counts { outcome.result.take() } else { None }
    }
}

impl<T: Send, Work: Fn(&Transaction<'_>) -> Result<T> + Send + Sync> Change for Waiting<T, Work> {
    fn run(&self, transaction: &Transaction<'_>) -> bool {
        // It runs in the thread of another writer, who must not die of it.
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(transaction)));
        let result = result.unwrap_or_else(|_| Err(Error::unavailable("finish the work", "it broke off")));
        let succeeded = result.is_ok();
        lock(&self.outcome).result = Some(result);
        succeeded
    }

    fn confirm(&self) {
        lock(&self.outcome).counts = true;
    }

    fn fail(&self, error: Error) {
        *lock(&self.outcome) = Outcome { result: Some(Err(error)), counts: true };
    }
}

/// Makes all changes in one transaction; those that fail leave nothing in it.
///
/// # Errors
/// Fails if the disk or the index does; then no change is made, and none of the results may count.
pub(crate) fn make(transaction: &Transaction<'_>, changes: &[Arc<dyn Change>]) -> Result<()> {
    let run = |sql: &str| transaction.prepare_cached(sql)?.execute([]).map_err(Error::from);
    for change in changes {
        run("SAVEPOINT change")?;
        if !change.run(transaction) {
            // A full disk ends the whole transaction, not only the change.
            if transaction.is_autocommit() {
                let alone = changes.len() == 1;
                return if alone {
                    Ok(())
                } else {
                    Err(Error::unavailable("write the index", "the disk failed"))
                };
            }
            run("ROLLBACK TO change")?;
        }
        run("RELEASE change")?;
    }
    Ok(())
}
