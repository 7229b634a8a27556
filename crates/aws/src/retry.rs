//! Decides whether to retry a call and how long to wait first. Every call has a limit on attempts and on time.

use std::time::Duration;

/// Limits on the attempts of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tries {
    /// Maximum number of attempts, at least 1.
    pub most: u32,
    /// Time after which no further attempt begins.
    pub within: Duration,
}

impl Tries {
    /// A call that may be repeated: up to four attempts, all begun within 20 s.
    pub const REPEATABLE: Self = Self { most: 4, within: Duration::from_secs(20) };
    /// A call that must not be repeated automatically.
    pub const ONE: Self = Self { most: 1, within: Duration::ZERO };
    /// CreateJob with a token: up to eight attempts within 35 s, well below the minute for which the service remembers
    /// the token.
    pub const TOKENED: Self = Self { most: 8, within: Duration::from_secs(35) };

    /// Returns the pause before attempt `next` (2 for the second), or `None` if there must be no further attempt. The
    /// pause doubles from 200 ms up to 5 s. `spread` (0 to 255) shortens it by up to half, so that many clients do not
    /// retry at the same moment.
    pub fn pause(self, next: u32, elapsed: Duration, spread: u8) -> Option<Duration> {
        if next > self.most || elapsed >= self.within {
            return None;
        }
        let whole = Duration::from_millis(200 << next.saturating_sub(2).min(10)).min(Duration::from_secs(5));
        Some(whole - whole / 2 * u32::from(spread) / 255)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<Option<u128>> = (2..=5)
            .map(|next| Tries::REPEATABLE.pause(next, Duration::ZERO, 0).map(|pause| pause.as_millis()))
            .collect();
        assert_eq!(pauses, [Some(200), Some(400), Some(800), None]);
        assert_eq!(Tries::TOKENED.pause(8, Duration::ZERO, 0), Some(Duration::from_secs(5)));
        assert_eq!(Tries::TOKENED.pause(2, Duration::from_secs(35), 0), None);
        assert_eq!(Tries::ONE.pause(2, Duration::ZERO, 0), None);
    }

    #[test]
    fn spread_takes_half_at_most() {
        assert_eq!(Tries::REPEATABLE.pause(2, Duration::ZERO, 255), Some(Duration::from_millis(100)));
    }
}
