//! Stragglers: in how long the encodes of a job's chunks took that have ended, and how far one is that still runs, out whether it
//! is so late that it is started a second time. Never I/O, and never a clock: how long an encode runs is handed in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An encode that takes so many times the usual time is late. Scenes alone make a chunk half as slow again as the usual one.
const LATE: u64 = 2;
/// One that takes so many times the usual time is a straggler however near its end it says that it is: it may hang there.
const HANGS: u64 = 4;
/// No encode is late before: to start a short one again gains nothing.
const LEAST: Duration = Duration::from_secs(5);

/// How fast encodes are that are alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// Microseconds for each frame of those that have ended, the fastest first.
    per_frame_us: Vec<u64>,
    /// How many still run.
    running: usize,
}

/// How far an encode is that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    /// Frames of film that it has to encode.
    pub frames: u64,
    /// Frames that it has delivered.
    pub delivered: u64,
    /// Since when it runs; time in the line does not count.
    pub ran: Duration,
}

impl Pace {
    /// Takes in how long one took for its frames.
    fn note(&mut self, frames: u64, took: Duration) {
        let per_frame_us = micros(took) / frames.max(1);
        let place = self.per_frame_us.partition_point(|other| *other < per_frame_us);
        self.per_frame_us.insert(place, per_frame_us);
    }

    /// The usual time for so many frames, in microseconds. None while fewer have ended than still run: the first to end may
    /// have been the easy ones.
    fn usual_us(&self, frames: u64) -> Option<u64> {
        let ended = self.per_frame_us.len();
        let median = self.per_frame_us.get(ended / 2)?;
        (ended >= self.running).then(|| median.saturating_mul(frames))
    }

    /// Whether an encode is late, and a second one would most likely end before it.
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

/// What encodes have in common that take the same time for a frame: whether they analyse, and the renditions that they make.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Alike {
    /// Whether it is an analysis.
    pub analyses: bool,
    /// Indices of its renditions; those that were made before are not among them.
    pub renditions: Vec<u32>,
}

/// The paces of one job's encodes; all clones share them.
#[derive(Clone, Default)]
pub(crate) struct Paces(Arc<Mutex<BTreeMap<Alike, Pace>>>);

impl Paces {
    /// Counts an encode that runs until what this answers is dropped.
    pub fn begin(&self, alike: Alike) -> Underway {
        self.paces().entry(alike.clone()).or_default().running += 1;
        Underway { paces: self.clone(), alike }
    }

    fn paces(&self) -> MutexGuard<'_, BTreeMap<Alike, Pace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An encode that runs, among those that are alike.
pub(crate) struct Underway {
    paces: Paces,
    alike: Alike,
}

impl Underway {
    /// Whether it is to be started a second time.
    pub fn is_straggler(&self, course: Course) -> bool {
        self.paces.paces().get(&self.alike).is_some_and(|pace| pace.is_straggler(course))
    }

    /// Notes how long the attempt took that ended well.
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

    /// Encodes of which each took so many seconds for 100 frames.
    fn pace(took: &[u64], running: usize) -> Pace {
        let mut pace = Pace { running, ..Pace::default() };
        took.iter().for_each(|took| pace.note(100, seconds(*took)));
        pace
    }

    fn course(frames: u64, delivered: u64, ran: u64) -> Course {
        Course { frames, delivered, ran: seconds(ran) }
    }

    #[test]
    fn is_an_encode_late_by_the_frames_that_it_has_to_make() {
        let pace = pace(&[10, 12, 11], 1);
        assert!(!pace.is_straggler(course(100, 0, 21)));
        assert!(pace.is_straggler(course(100, 0, 22)));
        assert!(!pace.is_straggler(course(300, 0, 65)));
        assert!(pace.is_straggler(course(300, 0, 66)));
    }

    #[test]
    fn is_one_left_alone_that_ends_before_a_second_one_would() {
        let pace = pace(&[10, 10, 10], 1);
        // 60 of 100 frames in 24 s: the others come within 16 s. A second one would take 10.
        assert!(pace.is_straggler(course(100, 60, 24)));
        assert!(!pace.is_straggler(course(100, 75, 24)));
        assert!(!pace.is_straggler(course(100, 100, 39)));
        assert!(pace.is_straggler(course(100, 100, 40)), "it hangs at its end");
    }

    #[test]
    fn is_a_short_encode_never_started_again() {
        let mut fast = Pace::default();
        fast.note(100, Duration::from_millis(200));
        assert!(!fast.is_straggler(course(100, 0, 4)));
        assert!(fast.is_straggler(course(100, 0, 5)));
    }

    #[test]
    fn is_nothing_called_late_before_half_have_ended() {
        assert!(!Pace::default().is_straggler(course(100, 0, 10_000)));
        assert!(!pace(&[1, 1], 3).is_straggler(course(100, 0, 10_000)));
        assert!(pace(&[1, 1], 2).is_straggler(course(100, 0, 10_000)));
    }

    #[test]
    fn does_one_slow_encode_leave_the_usual_time_as_it_is() {
        assert!(pace(&[10, 1000, 10, 10], 1).is_straggler(course(100, 0, 20)));
    }

    #[test]
    fn are_courses_without_frames_and_without_end_no_fault() {
        let mut pace = Pace::default();
        pace.note(0, Duration::MAX);
        assert!(!pace.is_straggler(Course { frames: 0, delivered: 0, ran: Duration::ZERO }));
        assert!(pace.is_straggler(Course { frames: u64::MAX, delivered: 7, ran: Duration::MAX }));
    }

    #[test]
    fn do_only_encodes_that_are_alike_count_for_each_other() {
        let paces = Paces::default();
        let alike = |analyses, renditions: &[u32]| Alike { analyses, renditions: renditions.into() };
        let late = course(100, 0, 100);
        let both = paces.begin(alike(false, &[0, 1]));
        paces.begin(alike(true, &[0, 1])).note(100, seconds(1));
        paces.begin(alike(false, &[1])).note(100, seconds(1));
        assert!(!both.is_straggler(late));
        let other = paces.begin(alike(false, &[0, 1]));
        other.note(100, seconds(1));
        assert!(!both.is_straggler(late), "one has ended, two run");
        drop(other);
        assert!(both.is_straggler(late));
    }
}
