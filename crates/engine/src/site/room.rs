//! Waits for room on a full disk. A waiter looks every few seconds and gives up after a time that only the monotonic
//! clock measures. It frees nothing itself.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::site::work_folder::WorkFolder;

/// How often to look for room.
const LOOK: Duration = Duration::from_secs(2);
/// Room counts as new if this much more is free than before.
const NEW_ROOM_BYTES: u64 = 1 << 20;
/// After this time it is worth a try even if no more seems free: quotas and other limits do not show.
const LONGEST: Duration = Duration::from_secs(30);

/// Remembers when the disk was last seen full. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FullDisk {
    last_seen: Arc<Mutex<Option<Instant>>>,
}

impl FullDisk {
    /// Notes that the disk is full now.
    pub fn sight(&self) {
        *self.last_seen() = Some(Instant::now());
    }

    /// Whether the disk was seen full at `begin` or later. A step that began then may have failed for lack of room,
    /// though there is room again by the time its failure is looked at.
    pub fn was_seen_since(&self, begin: Instant) -> bool {
        self.last_seen().is_some_and(|seen| seen >= begin)
    }

    fn last_seen(&self) -> MutexGuard<'_, Option<Instant>> {
        // Nothing panics while it holds the lock.
        self.last_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The patience of one waiter.
#[derive(Debug)]
pub(crate) struct Patience {
    until: Instant,
    look: Duration,
    longest: Duration,
}

impl Patience {
    /// Waits this long in all, from now on.
    pub fn of(patience: Duration) -> Self {
        let now = Instant::now();
        // Beyond what a clock can hold, a day is as good as for ever.
        let until = now.checked_add(patience).unwrap_or(now + Duration::from_secs(86_400));
        Self { until, look: LOOK, longest: LONGEST }
    }

    /// Waits until another try is worth it. Returns false if the patience is over, or once `interrupted` completes.
    pub async fn wait_for_room(&self, work: &WorkFolder, interrupted: impl Future<Output = ()>) -> bool {
        self.wait_until(|| work.free_bytes(), interrupted).await
    }

    async fn wait_until(
        &self,
        free_bytes: impl Fn() -> Option<u64>,
        interrupted: impl Future<Output = ()>,
    ) -> bool {
        let before = free_bytes();
        let again = (Instant::now() + self.longest).min(self.until);
        tokio::pin!(interrupted);
        while Instant::now() < self.until {
            tokio::select! {
                () = &mut interrupted => return false,
                () = tokio::time::sleep_until(again.min(Instant::now() + self.look)) => {}
            }
            let has_room = match (before, free_bytes()) {
                (Some(before), Some(now)) => now >= before.saturating_add(NEW_ROOM_BYTES),
                _ => false,
            };
            if has_room || (Instant::now() >= again && again < self.until) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn patience(patience: Duration, longest: Duration) -> Patience {
        Patience { look: Duration::from_millis(1), longest, ..Patience::of(patience) }
    }

    #[test]
    fn waiter_looks_at_least_twice_a_minute() {
        assert!(LOOK <= Duration::from_secs(30) && LONGEST <= Duration::from_secs(30));
    }

    #[tokio::test]
    async fn waiter_goes_on_at_the_first_look_that_finds_room() {
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            // Somebody frees two megabytes before the fifth look.
            Some(if looks.get() < 5 { 1000 } else { 2 << 20 })
        };
        assert!(patience(HOUR, HOUR).wait_until(look, std::future::pending()).await);
        assert_eq!(looks.get(), 5);
    }

    #[tokio::test]
    async fn waiter_tries_now_and_then_until_its_patience_is_over() {
        let started = Instant::now();
        let patience = patience(Duration::from_millis(200), Duration::from_millis(20));
        let mut tries = 0;
        while patience.wait_until(|| Some(5), std::future::pending()).await {
            tries += 1;
        }
        assert!(tries >= 1 && started.elapsed() >= Duration::from_millis(200), "{tries}");
        assert!(!Patience::of(Duration::ZERO).wait_until(|| Some(5), std::future::pending()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn full_disk_concerns_only_what_had_begun() {
        let disk = FullDisk::default();
        let early = Instant::now();
        assert!(!disk.was_seen_since(early));
        tokio::time::advance(LOOK).await;
        disk.clone().sight();
        assert!(disk.was_seen_since(early) && disk.was_seen_since(Instant::now()));
        tokio::time::advance(LOOK).await;
        assert!(!disk.was_seen_since(Instant::now()));
    }

    #[tokio::test]
    async fn waiter_can_be_interrupted() {
        assert!(!patience(HOUR, HOUR).wait_until(|| None, std::future::ready(())).await);
    }
}
