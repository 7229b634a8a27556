//! Tells the time: the wall clock's, except that it never goes back while the process runs. If the wall clock is set
//! back, the time goes on from where it was, as fast as the monotonic clock. So no job ends before it starts, and no
//! session, token or back-off lasts longer than it should.
//!
//! What outsiders have signed is not judged by this clock, but by the wall clock, which they share.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns milliseconds since 1970-01-01 UTC, never less than before.
pub fn now_ms() -> i64 {
    static CLOCK: Mutex<Option<(Instant, Steady)>> = Mutex::new(None);
    let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let (origin, steady) = clock.get_or_insert_with(|| (Instant::now(), Steady::default()));
    steady.read(wall_ms(), millis(origin.elapsed()))
}

/// Returns the same time as [`now_ms`].
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms()).unwrap_or(0))
}

/// Returns milliseconds since 1970-01-01 UTC by the wall clock, which may be set back.
pub fn wall_ms() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A time that follows the wall clock forward, and the monotonic clock when the wall clock is set back.
#[derive(Default)]
struct Steady {
    /// The last time told, and what the monotonic clock said then.
    last: Option<(i64, i64)>,
}

impl Steady {
    fn read(&mut self, wall_ms: i64, elapsed_ms: i64) -> i64 {
        let least = self.last.map_or(i64::MIN, |(told, at)| told.saturating_add((elapsed_ms - at).max(0)));
        let now_ms = wall_ms.max(least);
        self.last = Some((now_ms, elapsed_ms));
        now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_set_back_does_not_turn_time_back() {
        let mut clock = Steady::default();
        assert_eq!(clock.read(1_000_000, 0), 1_000_000);
        assert_eq!(clock.read(1_000_500, 500), 1_000_500);
        // The wall clock is set back by a quarter of an hour.
        assert_eq!(clock.read(100_600, 600), 1_000_600);
        assert_eq!(clock.read(160_600, 60_600), 1_060_600, "a minute lasts a minute");
        // It is set forward, as after a suspension.
        assert_eq!(clock.read(5_000_000, 60_700), 5_000_000);
        assert_eq!(clock.read(5_000_000, 60_700), 5_000_000);
    }

    #[test]
    fn time_is_the_wall_clocks() {
        let before = wall_ms();
        let told = now_ms();
        assert!(told >= before && now_ms() >= told);
    }
}
