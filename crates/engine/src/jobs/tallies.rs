//! Counts what the engine does since the process began: how long jobs waited and took, which steps failed, and which
//! encodes could be reused. Nothing depends on the counts, and they are lost with the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::{Stage, Step};

/// Upper bounds of the classes of waits and durations, in milliseconds: a second to a day.
const BOUNDS_MS: [u64; 10] =
    [1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 43_200_000, 86_400_000];
/// Most kinds of failures that are counted apart.
const MOST_FAILURES: usize = 200;

/// Counts durations by class.
#[derive(Debug)]
pub struct Histogram {
    bounds_ms: &'static [u64],
    /// One class more than there are bounds: the last has no bound.
    counts: Vec<AtomicU64>,
    sum_ms: AtomicU64,
}

impl Histogram {
    /// Creates an empty histogram with these upper bounds, which must ascend.
    pub fn new(bounds_ms: &'static [u64]) -> Self {
        let counts = (0..=bounds_ms.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds_ms, counts, sum_ms: AtomicU64::new(0) }
    }

    /// Counts a duration.
    pub fn note(&self, ms: u64) {
        let class = self.bounds_ms.partition_point(|bound| *bound < ms);
        self.counts[class].fetch_add(1, Ordering::Relaxed);
        self.sum_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Returns each upper bound with the number of durations up to it.
    pub fn up_to(&self) -> Vec<(u64, u64)> {
        let mut sum = 0;
        let counts = self.counts.iter().map(|count| {
            sum += count.load(Ordering::Relaxed);
            sum
        });
        self.bounds_ms.iter().copied().zip(counts).collect()
    }

    /// Returns the number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Returns the sum of all durations, in milliseconds.
    pub fn sum_ms(&self) -> u64 {
        self.sum_ms.load(Ordering::Relaxed)
    }
}

/// The counts of one engine.
#[derive(Debug)]
pub struct Tallies {
    /// From the submission of a job to its start.
    pub queue_wait: Histogram,
    /// From the start of a job to its end, by result.
    durations: [Histogram; 3],
    /// Failed attempts by kind of step and code.
    failures: Mutex<BTreeMap<(String, u32), u64>>,
}

impl Default for Tallies {
    fn default() -> Self {
        let histogram = || Histogram::new(&BOUNDS_MS);
        Self {
            queue_wait: histogram(),
            durations: [histogram(), histogram(), histogram()],
            failures: Mutex::default(),
        }
    }
}

/// How often one kind of step failed with one code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepFailures {
    /// Kind of step, as in the metrics.
    pub step: String,
    /// AWS's error code.
    pub code: u32,
    /// Number of failed attempts since the start.
    pub count: u64,
}

impl Tallies {
    /// Returns how long jobs took from start to end, by their final stage.
    pub fn durations(&self) -> impl Iterator<Item = (Stage, &Histogram)> {
        [Stage::Complete, Stage::Error, Stage::Canceled].into_iter().zip(&self.durations)
    }

    /// Returns how often which kind of step failed with which code.
    pub fn failures(&self) -> Vec<StepFailures> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |((step, code), count): (&(String, u32), &u64)| StepFailures {
            step: step.clone(),
            code: *code,
            count: *count,
        };
        failures.iter().map(one).collect()
    }

    /// Counts a job that has left the stage `before`.
    pub(crate) fn note_move(&self, before: Stage, record: &JobRecord) {
        let stage = record.stage();
        if before == Stage::Submitted && stage != before {
            self.note_start(record);
        }
        if stage.is_final() && !before.is_final() {
            self.note_end(record);
        }
    }

    fn note_start(&self, record: &JobRecord) {
        let times = record.times.in_order();
        if let Some(started_ms) = times.started_ms {
            self.queue_wait.note(started_ms.saturating_sub(times.submitted_ms).unsigned_abs());
        }
    }

    fn note_end(&self, record: &JobRecord) {
        let times = record.times.in_order();
        let (Some(started_ms), Some(finished_ms)) = (times.started_ms, times.finished_ms) else { return };
        if let Some((_, histogram)) = self.durations().find(|(stage, _)| *stage == record.stage()) {
            histogram.note(finished_ms.saturating_sub(started_ms).unsigned_abs());
        }
    }

    pub(crate) fn note_failure(&self, step: &Step, code: u32) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (kind(step), code);
        if failures.len() < MOST_FAILURES || failures.contains_key(&kind) {
            *failures.entry(kind).or_insert(0) += 1;
        }
    }
}

/// Returns the kind of a step: of a task, its name without numbers.
fn kind(step: &Step) -> String {
    match step {
        Step::Prepare => "prepare".to_owned(),
        Step::Publish => "publish".to_owned(),
        Step::TakeBack => "take-back".to_owned(),
        Step::Task(task) => {
            let words = task
                .as_str()
                .split('-')
                .filter(|word| !word.starts_with(|first: char| first.is_ascii_digit()));
            words.collect::<Vec<_>>().join("-")
        }
    }
}

#[cfg(test)]
mod tests {
    use abanico_plan::TaskId;

    use super::*;
    use crate::jobs::job_machine::Event;
    use crate::records::database::sample_record;

    #[test]
    fn durations_are_counted_up_to_each_bound() {
        let histogram = Histogram::new(&[10, 100]);
        for ms in [0, 10, 11, 100, 101, 5_000] {
            histogram.note(ms);
        }
        assert_eq!(histogram.up_to(), [(10, 2), (100, 4)]);
        assert_eq!((histogram.count(), histogram.sum_ms()), (6, 5_222));
    }

    #[test]
    fn numbers_of_tasks_make_no_new_kinds() {
        let tallies = Tallies::default();
        for task in [TaskId::chunk(0), TaskId::chunk(7), TaskId::verify(2)] {
            tallies.note_failure(&Step::Task(task), 1999);
        }
        tallies.note_failure(&Step::Prepare, 1010);
        let counted = [("chunk", 1999, 2), ("prepare", 1010, 1), ("verify", 1999, 1)];
        assert_eq!(
            tallies.failures(),
            counted.map(|(step, code, count)| StepFailures { step: step.to_owned(), code, count })
        );
        for code in 0..1_000 {
            tallies.note_failure(&Step::Publish, code);
        }
        assert_eq!(tallies.failures().len(), MOST_FAILURES);
    }

    #[test]
    fn job_is_counted_by_its_result() {
        let tallies = Tallies::default();
        let mut record = sample_record("1-a", 1_000);
        record.times.started_ms = Some(3_000);
        tallies.note_start(&record);
        record.machine.apply(Event::CancelRequested);
        record.times.finished_ms = Some(10_000);
        tallies.note_end(&record);
        assert_eq!((tallies.queue_wait.count(), tallies.queue_wait.sum_ms()), (1, 2_000));
        let counts: Vec<_> = tallies.durations().map(|(_, one)| (one.count(), one.sum_ms())).collect();
        assert_eq!(counts, [(0, 0), (0, 0), (1, 7_000)]);
    }
}
