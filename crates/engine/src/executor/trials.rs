//! Runs attempts at the steps of a job, as many at once as there are. An attempt is repeated while only a full disk is in
//! its way; what else fails is reported, and the state machine decides about further attempts.

use abanico_process::Lack;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Attempt, Report, Signals};
use crate::failure;
use crate::jobs::job_machine::{Failure, Step};
use crate::site::context::JobContext;
use crate::site::room::Patience;

/// The attempts that run for one job.
pub(crate) struct Trials {
    context: JobContext,
    reports: mpsc::Sender<Report>,
    /// The process's end: a store that does not answer must not hold it up when outputs are published or taken back. The
    /// next start does these again.
    signals: Signals,
    running: JoinSet<()>,
}

impl Trials {
    /// Runs nothing yet. Reports go to `reports`; `context.cancel` ends what runs.
    pub fn new(context: JobContext, reports: mpsc::Sender<Report>, signals: Signals) -> Self {
        Self { context, reports, signals, running: JoinSet::new() }
    }

    /// Begins an attempt. `work` does the step each time that it is called.
    pub fn start<F>(&mut self, attempt: Attempt, work: impl Fn(Step) -> F + Send + 'static)
    where
        F: Future<Output = Result<Report, Failure>> + Send,
    {
        let is_store_work = matches!(attempt.step, Step::Publish | Step::TakeBack);
        let signals = Some(self.signals.clone()).filter(|_| is_store_work);
        let (context, reports) = (self.context.clone(), self.reports.clone());
        self.running.spawn(async move {
            if let Some(report) = run(&context, attempt, signals.as_ref(), work).await {
                // Sending fails only after the job has ended, when the driver is gone.
                let _ = reports.send(report).await;
            }
        });
    }

    /// Ends all attempts and waits for them; each kills its child processes before it ends. Nobody may wait for reports any
    /// more.
    pub async fn stop(&mut self) {
        self.context.cancel.cancel();
        while self.running.join_next().await.is_some() {}
    }
}

/// Runs an attempt. Returns no report if the job was cancelled before it began, or `signals` ended it.
async fn run<F: Future<Output = Result<Report, Failure>>>(
    context: &JobContext,
    attempt: Attempt,
    signals: Option<&Signals>,
    work: impl Fn(Step) -> F,
) -> Option<Report> {
    let Attempt { step, number, not_before } = attempt;
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
            ran = work(step.clone()) => ran,
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
            Room::None(failure) => return Some(Report::Failed { step, attempt: number, failure }),
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
    use crate::records::database::sample_record;
    use crate::site::context::sample_context;

    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn attempt_begins_when_its_time_has_come_or_never() {
        let folder = tempfile::tempdir().unwrap();
        let context = sample_context(folder.path(), &sample_record("1-a", 1));
        let run = || {
            let attempt = Attempt { step: Step::Publish, number: 2, not_before: HOUR };
            run(&context, attempt, None, |_| async { Err(failure::broken("it has begun")) })
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
