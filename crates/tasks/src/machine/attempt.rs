//! Which attempt at a task a workbench serves. Two may run beside each other, each in a folder of its own; the first whose
//! files are ready makes them the task's, and the other can no longer do so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// One of up to two attempts at a task.
#[derive(Clone, Debug)]
pub struct Attempt {
    number: u8,
    /// Number of the attempt whose files are the task's; 0 while there is none.
    winner: Arc<AtomicU8>,
}

impl Default for Attempt {
    fn default() -> Self {
        Self { number: 1, winner: Arc::default() }
    }
}

impl Attempt {
    /// Returns the second attempt beside this one.
    #[must_use]
    pub fn second(&self) -> Self {
        Self { number: 2, winner: self.winner.clone() }
    }

    /// Returns whether this is the second attempt.
    pub fn is_second(&self) -> bool {
        self.number == 2
    }

    /// Returns whether the files of this attempt become the task's: they do unless the other attempt asked before.
    pub(crate) fn wins(&self) -> bool {
        let before = self.winner.compare_exchange(0, self.number, Ordering::SeqCst, Ordering::SeqCst);
        before.is_ok() || before == Err(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_to_ask_wins() {
        let first = Attempt::default();
        let second = first.second();
        assert!(!first.is_second() && second.is_second());
        assert!(second.wins() && second.wins(), "a task may complete several folders");
        assert!(!first.wins() && !first.clone().wins());
        assert!(Attempt::default().wins());
    }
}
