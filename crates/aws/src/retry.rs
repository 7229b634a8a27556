//! Trying again: in how often and how long at most, out the pause before the next try or the end. Never without an end.

use std::time::Duration;

/// Bounds of the tries of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tries {
    /// Most tries, at least 1.
    pub most: u32,
    /// Time after which no further try begins.
    pub within: Duration,
}

impl Tries {
    /// A call that may be repeated: four tries within 20 s.
    pub const REPEATABLE: Self = Self { most: 4, within: Duration::from_secs(20) };
    /// A call that must not be repeated by itself.
    pub const ONE: Self = Self { most: 1, within: Duration::ZERO };
    /// CreateJob with a token, which the service remembers for a minute: until the answer is definite, well within that.
    pub const TOKENED: Self = Self { most: 8, within: Duration::from_secs(35) };

    /// The pause before try `next` (2 for the second), or none when there is to be no further one. It doubles from
    /// 200 ms to at most 5 s, of which `spread`, 0 to 255, takes up to a half, so that many clients do not come at once.
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
    fn do_pauses_grow_and_end() {
        let pauses: Vec<Option<u128>> = (2..=5)
            .map(|next| Tries::REPEATABLE.pause(next, Duration::ZERO, 0).map(|pause| pause.as_millis()))
            .collect();
        assert_eq!(pauses, [Some(200), Some(400), Some(800), None]);
        assert_eq!(Tries::TOKENED.pause(8, Duration::ZERO, 0), Some(Duration::from_secs(5)));
        assert_eq!(Tries::TOKENED.pause(2, Duration::from_secs(35), 0), None);
        assert_eq!(Tries::ONE.pause(2, Duration::ZERO, 0), None);
    }

    #[test]
    fn does_the_spread_take_half_at_most() {
        assert_eq!(Tries::REPEATABLE.pause(2, Duration::ZERO, 255), Some(Duration::from_millis(100)));
    }
}
