//! Limits how often a secret can be guessed. Each caller has a few free guesses, then waits twice as long after each
//! wrong one, up to a minute. All callers from other machines together have a limit, too.
//!
//! Nobody can lock out the operator on this machine: guesses from other machines, through proxies and of other users
//! of this machine count for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wrong secrets before a caller has to wait.
const FREE_GUESSES: u32 = 5;
/// Longest wait after a wrong secret.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long a caller's wrong secrets are remembered.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Most callers that are remembered.
const MOST_CALLERS: usize = 1024;
/// Wrong secrets that all callers from other machines have together, and how long it takes to get one back.
const SHARED_GUESSES: u32 = 60;
const SHARED_PAUSE: Duration = Duration::from_secs(2);

/// Whom a wrong secret counts for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Caller {
    /// A user of this machine, by number.
    LocalUser(u32),
    /// Somebody on this machine.
    Local,
    /// Somebody behind a proxy that is not trusted.
    Proxied,
    /// Another machine, or a network of IPv6 addresses.
    Address(IpAddr),
}

impl Caller {
    fn is_elsewhere(self) -> bool {
        matches!(self, Self::Address(_) | Self::Proxied)
    }
}

#[derive(Clone, Copy)]
struct Record {
    wrong: u32,
    free_at: Instant,
    last: Instant,
    /// Whether this caller has shown a right secret since. Guesses of others do not hold it up.
    has_entered: bool,
}

#[derive(Default)]
struct State {
    callers: HashMap<Caller, Record>,
    /// When the guesses that all callers from other machines share are complete again.
    shared_full_at: Option<Instant>,
}

/// What is remembered about wrong secrets.
#[derive(Default)]
pub(crate) struct Guesses {
    state: Mutex<State>,
}

impl Guesses {
    /// Checks a secret that a caller shows, unless the caller has to wait first. Asks for the caller only if there
    /// were wrong secrets lately, or this one is wrong.
    ///
    /// # Errors
    /// Returns how long the caller has to wait. The secret was not looked at.
    pub(crate) fn check<T>(
        &self,
        caller: impl FnOnce() -> Caller,
        now: Instant,
        secret: impl Fn() -> Option<T>,
    ) -> Result<Option<T>, Duration> {
        if self.lock().callers.is_empty()
            && let Some(right) = secret()
        {
            return Ok(Some(right));
        }
        let caller = caller();
        let mut state = self.lock();
        state.wait(caller, now).map_or(Ok(()), Err)?;
        let found = secret();
        state.note(caller, found.is_some(), now);
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&self, caller: Caller, now: Instant) -> Option<Duration> {
        let record = self.callers.get(&caller);
        let own = record.map(|record| record.free_at.saturating_duration_since(now));
        let is_free = !caller.is_elsewhere() || record.is_some_and(|record| record.has_entered);
        let shared = self.shared_full_at.filter(|_| !is_free).map(|full| {
            let used = full.saturating_duration_since(now);
            used.saturating_sub(SHARED_PAUSE * (SHARED_GUESSES - 1))
        });
        own.into_iter().chain(shared).max().filter(|wait| !wait.is_zero())
    }

    fn note(&mut self, caller: Caller, is_right: bool, now: Instant) {
        self.make_room(now);
        let fresh = Record { wrong: 0, free_at: now, last: now, has_entered: false };
        let record = self.callers.entry(caller).or_insert(fresh);
        record.last = now;
        if is_right {
            *record = Record { has_entered: true, ..fresh };
            if !caller.is_elsewhere() {
                self.callers.remove(&caller);
            }
            return;
        }
        record.wrong = record.wrong.saturating_add(1);
        if let Some(further) = record.wrong.checked_sub(FREE_GUESSES) {
            let wait = Duration::from_secs(1) * 2_u32.saturating_pow(further.min(10));
            record.free_at = now + wait.min(LONGEST_WAIT);
        }
        if caller.is_elsewhere() {
            self.shared_full_at = Some(self.shared_full_at.unwrap_or(now).max(now) + SHARED_PAUSE);
        }
    }

    /// Forgets old callers, and the one that was quiet for longest if there are too many.
    fn make_room(&mut self, now: Instant) {
        self.callers.retain(|_, record| now.saturating_duration_since(record.last) < MEMORY);
        if self.callers.len() >= MOST_CALLERS {
            let oldest = self.callers.iter().min_by_key(|(_, record)| (record.has_entered, record.last));
            if let Some(caller) = oldest.map(|(caller, _)| *caller) {
                self.callers.remove(&caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Caller = Caller::LocalUser(1000);

    fn far(number: u8) -> Caller {
        Caller::Address(IpAddr::from([192, 0, 2, number]))
    }

    fn wrong(guesses: &Guesses, caller: Caller, now: Instant) -> Result<Option<()>, Duration> {
        guesses.check(|| caller, now, || None)
    }

    fn right(guesses: &Guesses, caller: Caller, now: Instant) -> Result<Option<()>, Duration> {
        guesses.check(|| caller, now, || Some(()))
    }

    #[test]
    fn waits_grow_up_to_a_minute() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        for _ in 0..FREE_GUESSES {
            assert_eq!(wrong(&guesses, LOCAL, start), Ok(None));
        }
        let mut now = start;
        for expected_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = right(&guesses, LOCAL, now).unwrap_err();
            assert_eq!(wait, Duration::from_secs(expected_s));
            now += wait;
            assert_eq!(wrong(&guesses, LOCAL, now), Ok(None));
        }
        now += LONGEST_WAIT;
        assert_eq!(right(&guesses, LOCAL, now), Ok(Some(())));
        assert_eq!(wrong(&guesses, LOCAL, now), Ok(None), "the count starts again");
    }

    #[test]
    fn nobody_else_locks_out_the_operator() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..=255 {
            let _ = wrong(&guesses, far(number), now);
            let _ = wrong(&guesses, Caller::Proxied, now);
            let _ = wrong(&guesses, Caller::LocalUser(1001), now);
        }
        assert!(right(&guesses, far(1), now).is_err());
        assert!(right(&guesses, Caller::LocalUser(1001), now).is_err());
        assert_eq!(right(&guesses, LOCAL, now), Ok(Some(())));
    }

    #[test]
    fn other_machines_share_a_limit() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        wrong(&guesses, LOCAL, now).unwrap();
        assert_eq!(right(&guesses, far(255), now), Ok(Some(())));
        let tried = (0..200).filter(|number| wrong(&guesses, far(*number), now).is_ok()).count();
        assert_eq!(tried, SHARED_GUESSES as usize);
        assert_eq!(right(&guesses, far(201), now), Err(SHARED_PAUSE));
        assert_eq!(right(&guesses, far(255), now), Ok(Some(())), "it has entered before");
        assert_eq!(right(&guesses, far(201), now + SHARED_PAUSE), Ok(Some(())));
    }

    #[test]
    fn memory_is_bounded_and_fades() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..2000_u32 {
            let _ = wrong(&guesses, Caller::LocalUser(number), now);
        }
        assert!(guesses.lock().callers.len() <= MOST_CALLERS);
        let _ = wrong(&guesses, LOCAL, now + MEMORY);
        assert_eq!(guesses.lock().callers.len(), 1);
    }
}
