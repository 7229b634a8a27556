//! One attempt at a step. It is repeated while only a full disk is in its way; what else fails is reported, and the
//! state machine decides about further attempts.

use std::time::Duration;

use abanico_model::generated::JobSettings;
use abanico_process::Lack;
use tokio::time::Instant;

use super::Signals;
use crate::failure;
use crate::job::JobRecord;
use crate::job_machine::{Failure, Step};
use crate::room::Patience;
use crate::steps::{self, JobContext, Report};

/// Which attempt to start, and when, as the state machine says.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// How long to wait first.
    pub not_before: Duration,
}

/// An attempt at a step.
pub(super) struct Trial<'a> {
    pub context: &'a JobContext,
    pub settings: &'a JobSettings,
    pub record: &'a JobRecord,
    pub step: Step,
}

impl Trial<'_> {
    /// Runs the step. Returns no report if the job was cancelled before the attempt began, or `signals` ended it.
    pub async fn run(self, start: Start, signals: Option<&Signals>) -> Option<Report> {
        let Self { context, settings, record, step } = self;
        let Start { attempt, not_before } = start;
        if !not_before.is_zero() {
            tokio::select! {
                biased;
                () = context.cancel.cancelled(), if step != Step::TakeBack => return None,
                () = stopped(signals) => return None,
                () = tokio::time::sleep(not_before) => {}
            }
        }
        let mut patience = None;
        loop {
            let begin = Instant::now();
            let ran = tokio::select! {
                ran = steps::run(context, settings, record, &step) => ran,
                () = out_of_time(signals) => return None,
            };
            let failure = match ran {
                Ok(report) => return Some(report),
                Err(failure) => failure,
            };
            let fault = disk_fault(context, &failure, begin);
            // The failed task's files may occupy the disk space that storing the failure needs.
            if let Step::Task(task) = &step {
                context.work.tasks().discard(task.as_str());
            }
            let waited = match fault {
                DiskFault::Full => with_room(context, failure, &mut patience).await,
                DiskFault::Over => Room::Came,
                // File descriptors are free again after a while.
                DiskFault::None if failure.lack == Some(Lack::Descriptors) => {
                    Room::None(Failure { is_retryable: true, ..failure })
                }
                DiskFault::None => Room::None(failure),
            };
            match waited {
                Room::Came => {}
                Room::None(failure) => return Some(Report::Failed { step, attempt, failure }),
            }
        }
    }
}

/// What the disk has to do with a failure.
enum DiskFault {
    /// Nothing.
    None,
    /// The disk is full.
    Full,
    /// The disk was full while the step ran, and is not any more.
    Over,
}

/// Returns what the disk has to do with the failure of a step that began at `begin`.
fn disk_fault(context: &JobContext, failure: &Failure, begin: Instant) -> DiskFault {
    let full_disk = &context.workshop.full_disk;
    if failure::may_be_of_a_full_disk(failure, context.work.free_bytes()) {
        full_disk.sight();
        return DiskFault::Full;
    }
    // ffmpeg does not always say why it could not write. Any failure that names no cause is worth another try then.
    match failure::names_no_cause(failure) && full_disk.was_seen_since(begin) {
        true => DiskFault::Over,
        false => DiskFault::None,
    }
}

/// What came of a step that failed.
enum Room {
    /// The disk was full and has room again: the step is worth another try, which does not count as an attempt.
    Came,
    /// The step has failed.
    None(Failure),
}

/// Waits for room after a step failed on a full disk. If removing kept encodes frees space, the step is tried again at
/// once.
async fn with_room(context: &JobContext, failure: Failure, patience: &mut Option<Patience>) -> Room {
    if context.workshop.give_up_kept().await {
        return Room::Came;
    }
    let longest = context.workshop.room_patience;
    if longest.is_zero() {
        return Room::None(failure::with_remedy(failure));
    }
    tracing::warn!(job.id = %context.work.job(), reason = failure.message, "the disk is full: the job waits for room");
    let patience = patience.get_or_insert_with(|| Patience::of(longest));
    match patience.wait_for_room(&context.work, context.cancel.cancelled()).await {
        true => Room::Came,
        // It has waited long enough: more attempts would only wait again.
        false => Room::None(failure::without_room(failure)),
    }
}

/// Completes when the process stops.
async fn stopped(signals: Option<&Signals>) {
    match signals {
        Some(signals) => signals.stop.cancelled().await,
        None => std::future::pending().await,
    }
}

/// Completes a while after the process was told to stop.
async fn out_of_time(signals: Option<&Signals>) {
    match signals {
        Some(signals) => signals.out_of_time().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::sample_record;
    use crate::steps::sample_context;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn attempt_begins_when_its_time_has_come_or_never() {
        let folder = tempfile::tempdir().unwrap();
        let record = sample_record("1-a", 1);
        let (context, settings) = (sample_context(folder.path(), &record), JobSettings::default());
        // The record has no plan, so publishing fails as soon as it begins.
        let run = || {
            let step = Step::Publish;
            let trial = Trial { context: &context, settings: &settings, record: &record, step };
            trial.run(Start { attempt: 2, not_before: HOUR }, None)
        };
        let begin = Instant::now();
        assert!(matches!(run().await, Some(Report::Failed { attempt: 2, .. })));
        assert_eq!(begin.elapsed(), HOUR);
        let begin = Instant::now();
        let cancel = async {
            tokio::time::sleep(HOUR / 60).await;
            context.cancel.cancel();
        };
        let (report, ()) = tokio::join!(run(), cancel);
        assert!(report.is_none() && begin.elapsed() == HOUR / 60, "it does not wait for an hour");
    }
}
