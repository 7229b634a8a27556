//! Finds stragglers: encodes of chunks that are so late that a second attempt should start. Compares a running encode
//! with those of the job that have ended. It does no I/O and reads no clock; callers pass in how long an encode has
//! run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An encode that takes this many times the usual time is late. Hard scenes alone make a chunk take half as long
/// again as usual.
const LATE: u64 = 2;
/// An encode that takes this many times the usual time is a straggler even if it reports that it is near its end,
/// because it may hang there.
const HANGS: u64 = 4;
/// No encode is late before this time: restarting a short one gains nothing.
const LEAST: Duration = Duration::from_secs(5);

/// Speed of encodes that are alike.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// Microseconds per frame of the encodes that have ended, fastest first.
    per_frame_us: Vec<u64>,
    /// How many are still running.
    running: usize,
}

/// Progress of a running encode.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// Frames that it has to encode.
    pub frames: u64,
    /// Frames that it has delivered so far.
    pub delivered: u64,
    /// How long it has run, not counting time in the queue.
    pub ran: Duration,
}

impl Pace {
    /// Records how long an encode took for its frames.
    fn note(&mut self, frames: u64, took: Duration) {
        let per_frame_us = micros(took) / frames.max(1);
        let place = self.per_frame_us.partition_point(|other| *other < per_frame_us);
        self.per_frame_us.insert(place, per_frame_us);
    }

    /// Returns the usual time for this many frames, in microseconds. Returns `None` while fewer encodes have ended
    /// than are still running: the first to end may have been the easy ones.
    fn usual_us(&self, frames: u64) -> Option<u64> {
        let ended = self.per_frame_us.len();
        let median = self.per_frame_us.get(ended / 2)?;
        (ended >= self.running).then(|| median.saturating_mul(frames))
    }

    /// Returns whether an encode is late, and a second one would most likely end before it.
    pub fn is_straggler(&self, course: Course) -> bool {
        let Some(usual_us) = self.usual_us(course.frames) else { return false };
        let ran_us = micros(course.ran);
        let late_us = usual_us.saturating_mul(LATE).max(micros(LEAST));
        let hangs_us = usual_us.saturating_mul(HANGS).max(late_us);
        let left = course.frames.saturating_sub(course.delivered);
        let left_us = match course.delivered {
            0 => u64::MAX,
            delivered => ran_us.saturating_mul(left) / delivered,
        };
        ran_us >= late_us && (left_us > usual_us || ran_us >= hangs_us)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Identifies encodes that take the same time per frame: whether they analyse, and the renditions that they make.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Alike {
    /// Whether it is an analysis.
    pub analyses: bool,
    /// Indices of its renditions, without those reused from earlier encodes.
    pub renditions: Vec<u32>,
}

/// The paces of one job's encodes, shared by all clones.
#[derive(Clone, Default)]
pub struct Paces(Arc<Mutex<BTreeMap<Alike, Pace>>>);

impl Paces {
    /// Counts an encode as running until the result is dropped.
    pub fn begin(&self, alike: Alike) -> Underway {
        self.paces().entry(alike.clone()).or_default().running += 1;
        Underway { paces: self.clone(), alike }
    }

    fn paces(&self) -> MutexGuard<'_, BTreeMap<Alike, Pace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running encode, counted among those that are alike.
pub struct Underway {
    paces: Paces,
    alike: Alike,
}

impl Underway {
    /// Returns whether a second attempt at it should start.
    pub fn is_straggler(&self, course: Course) -> bool {
        self.paces.paces().get(&self.alike).is_some_and(|pace| pace.is_straggler(course))
    }

    /// Records how long the successful attempt took.
    pub fn note(&self, frames: u64, took: Duration) {
        if let Some(pace) = self.paces.paces().get_mut(&self.alike) {
            pace.note(frames, took);
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(pace) = self.paces.paces().get_mut(&self.alike) {
            pace.running -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Returns the pace after encodes that took these seconds for 100 frames each.
    fn pace(took: &[u64], running: usize) -> Pace {
        let mut pace = Pace { running, ..Pace::default() };
        took.iter().for_each(|took| pace.note(100, seconds(*took)));
        pace
    }

    fn course(frames: u64, delivered: u64, ran: u64) -> Course {
        Course { frames, delivered, ran: seconds(ran) }
    }

    #[test]
    fn lateness_depends_on_the_number_of_frames() {
        let pace = pace(&[10, 12, 11], 1);
        assert!(!pace.is_straggler(course(100, 0, 21)));
        assert!(pace.is_straggler(course(100, 0, 22)));
        assert!(!pace.is_straggler(course(300, 0, 65)));
        assert!(pace.is_straggler(course(300, 0, 66)));
    }

    #[test]
    fn encode_near_its_end_is_left_alone() {
        let pace = pace(&[10, 10, 10], 1);
        // After 60 of 100 frames in 24 s, the rest comes within 16 s. A second encode would take 10 s.
        assert!(pace.is_straggler(course(100, 60, 24)));
        assert!(!pace.is_straggler(course(100, 75, 24)));
        assert!(!pace.is_straggler(course(100, 100, 39)));
        assert!(pace.is_straggler(course(100, 100, 40)), "it hangs at its end");
    }

    #[test]
    fn short_encode_is_never_restarted() {
        let mut fast = Pace::default();
        fast.note(100, Duration::from_millis(200));
        assert!(!fast.is_straggler(course(100, 0, 4)));
        assert!(fast.is_straggler(course(100, 0, 5)));
    }

    #[test]
    fn nothing_is_late_before_half_have_ended() {
        assert!(!Pace::default().is_straggler(course(100, 0, 10_000)));
        assert!(!pace(&[1, 1], 3).is_straggler(course(100, 0, 10_000)));
        assert!(pace(&[1, 1], 2).is_straggler(course(100, 0, 10_000)));
    }

    #[test]
    fn one_slow_encode_does_not_change_usual_time() {
        assert!(pace(&[10, 1000, 10, 10], 1).is_straggler(course(100, 0, 20)));
    }

    #[test]
    fn zero_frames_and_endless_runs_are_handled() {
        let mut pace = Pace::default();
        pace.note(0, Duration::MAX);
        assert!(!pace.is_straggler(Course { frames: 0, delivered: 0, ran: Duration::ZERO }));
        assert!(pace.is_straggler(Course { frames: u64::MAX, delivered: 7, ran: Duration::MAX }));
    }

    #[test]
    fn only_encodes_that_are_alike_are_compared() {
        let paces = Paces::default();
        let alike = |analyses, renditions: &[u32]| Alike { analyses, renditions: renditions.into() };
        let late = course(100, 0, 100);
        let both = paces.begin(alike(false, &[0, 1]));
        paces.begin(alike(true, &[0, 1])).note(100, seconds(1));
        paces.begin(alike(false, &[1])).note(100, seconds(1));
        assert!(!both.is_straggler(late));
        let other = paces.begin(alike(false, &[0, 1]));
        other.note(100, seconds(1));
        assert!(!both.is_straggler(late), "one has ended, two are running");
        drop(other);
        assert!(both.is_straggler(late));
    }
}
