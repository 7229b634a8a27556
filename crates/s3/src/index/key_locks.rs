//! Locks for keys: writers of one key take turns from the moment they get their serial number until they commit.
//!
//! So the label with the greater number is always that of the later commit. Writers of other keys do not wait, except
//! that a few keys share a lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard};

use crate::index::lock;

/// Number of locks. Far more than the threads that write at once, so that two of them seldom share one.
const LOCKS: usize = 4096;

/// The locks.
pub(crate) struct KeyLocks {
    hash: RandomState,
    locks: Vec<Mutex<()>>,
}

impl Default for KeyLocks {
    fn default() -> Self {
        let locks = (0..LOCKS).map(|_| Mutex::new(())).collect();
        Self { hash: RandomState::new(), locks }
    }
}

impl KeyLocks {
    /// Waits until no other writer has this key, and holds it. Blocking. A thread must hold only one key.
    pub(crate) fn hold(&self, bucket: &str, key: &str) -> MutexGuard<'_, ()> {
        let place = usize::try_from(self.hash.hash_one((bucket, key)) % LOCKS as u64).unwrap_or(0);
        lock(&self.locks[place])
    }
}
