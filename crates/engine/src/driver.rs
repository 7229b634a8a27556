//! Drives one job: gives the reports of its executor to the state machine, stores each change, and then lets the executor
//! act on it.
//!
//! A job never has two drivers. Work that was stored as done before a crash is not repeated.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abanico_plan::{Task, TaskId};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::executor::{Attempt, Executor, Report, Signals};
use crate::failure;
use crate::jobs::events;
use crate::jobs::job::{JobRecord, Progress};
use crate::jobs::job_machine::{
    Command, Event, Failure, MAX_TAKE_BACK_ATTEMPTS, Stage, Step, Waiting, backoff,
};
use crate::records::job_store::JobStore;
use crate::site::context::JobContext;
use crate::site::publish::{settle, take_back};
use crate::site::room::Patience;
use abanico_process::clock;

/// How often, and at what interval, the driver tries to store a job's end once it has made room for it.
const STORING_TRIES: u32 = 3;
const STORING_PAUSE: Duration = Duration::from_secs(1);

/// Logged for outputs that stay visible though they should not.
const NOT_TAKEN_BACK: &str = "cannot take back the outputs of a job that did not complete: trying again";

/// Why a driver stopped.
enum Outcome {
    /// The job has ended.
    Ended,
    /// The process is stopping; the next start resumes the job.
    Stopped,
}

/// Drives one job to its end or until the process stops.
pub(crate) struct Driver {
    record: JobRecord,
    store: Arc<dyn JobStore>,
    executor: Box<dyn Executor>,
    context: JobContext,
    signals: Signals,
    /// The plan's tasks that make files for the user.
    packaging: HashSet<TaskId>,
    /// Whether the store has the plan's current tasks.
    tasks_are_stored: bool,
    /// Why the job cannot be run, if it cannot.
    doomed: Option<Failure>,
}

impl Driver {
    /// Takes over a stored job, whose plan must include its tasks.
    pub fn new(
        record: JobRecord,
        store: Arc<dyn JobStore>,
        executor: Box<dyn Executor>,
        context: JobContext,
        signals: Signals,
    ) -> Self {
        let packaging = packaging(record.tasks());
        Self { record, store, executor, context, signals, packaging, tasks_are_stored: true, doomed: None }
    }

    /// Makes the job end with this failure instead of running.
    pub fn doom(mut self, failure: Option<Failure>) -> Self {
        self.doomed = failure;
        self
    }

    /// Runs until the job ends or the process stops. `inbox` has the reports of the executor.
    ///
    /// # Errors
    /// Fails if the job cannot be stored. It then has to be read again and driven again.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Report>) -> Result<(), crate::Error> {
        self.forget_lost_work().await;
        if self.signals.stop.is_cancelled() {
            return Ok(());
        }
        let driven = self.drive(&mut inbox).await;
        inbox.close();
        self.executor.stop().await;
        match driven {
            Ok(Outcome::Stopped) => return Ok(()),
            Ok(Outcome::Ended) => {}
            Err(_) if self.signals.stop.is_cancelled() => return Ok(()),
            Err(error) if error.is_of_a_full_disk() => self.end_without_room(&error).await?,
            Err(error) => return Err(error),
        }
        if self.conclude_in_time().await {
            self.remove_work();
        }
        Ok(())
    }

    async fn drive(&mut self, inbox: &mut mpsc::Receiver<Report>) -> Result<Outcome, crate::Error> {
        let signals = self.signals.clone();
        let first = match self.doomed.take() {
            // A job whose end is decided only has to be taken back.
            _ if self.record.machine.ending().is_some() => Event::Started,
            _ if signals.cancel.is_cancelled() => Event::CancelRequested,
            Some(failure) => Event::GivenUp(failure),
            None => Event::Started,
        };
        let mut ended = self.apply(first).await?;
        self.release(self.record.machine.all_let_go()).await;
        let mut status = tokio::time::interval(status_interval(&self.record.submission.request));
        status.tick().await;
        while !ended {
            tokio::select! {
                biased;
                () = signals.cancel.cancelled(), if self.record.machine.ending().is_none() => {
                    ended = self.apply(Event::CancelRequested).await?;
                }
                () = signals.stop.cancelled() => return Ok(Outcome::Stopped),
                Some(report) = inbox.recv() => ended = self.take_in(report).await?,
                _ = status.tick() => self.tell_progress().await?,
            }
        }
        Ok(Outcome::Ended)
    }

    /// Stores an event about the job's progress. On a full disk it is left out, since nothing depends on it.
    async fn tell_progress(&mut self) -> Result<(), crate::Error> {
        let event = events::status_update(&self.current(), self.now_ms());
        self.log_states(std::slice::from_ref(&event));
        match self.update(vec![event]).await {
            Err(error) if !error.is_of_a_full_disk() => Err(error),
            _ => {
                (self.context.changed)();
                Ok(())
            }
        }
    }

    /// Returns the time, which is never before the job's other times.
    fn now_ms(&self) -> i64 {
        self.record.times.not_before(clock::now_ms())
    }

    /// Ends a job whose record could not be stored, perhaps because its own files have filled the disk. Removes those
    /// files first, then stores the end. If there is still no room, others have filled the disk: the job is no failure
    /// then, and whoever drives it tries again later.
    async fn end_without_room(&mut self, cause: &crate::Error) -> Result<(), crate::Error> {
        tracing::error!(job.id = %self.record.id, error = cause as &dyn std::error::Error, "cannot store a job's state");
        if let Err(error) = self.context.work.clear() {
            tracing::warn!(job.id = %self.record.id, %error, "cannot remove the files of a job");
        }
        self.record.machine.apply(match self.signals.cancel.is_cancelled() {
            true => Event::CancelRequested,
            false => Event::GivenUp(failure::broken_storage(cause)),
        });
        if self.record.machine.ending().is_some() {
            // If that fails, it is tried again once the job's end is stored.
            if let Err(failure) = take_back(&self.context).await {
                tracing::error!(job.id = %self.record.id, reason = failure.message, "{NOT_TAKEN_BACK}");
            }
            self.record.machine.apply(Event::TakenBack);
        }
        let now_ms = self.now_ms();
        self.record.times.finished_ms.get_or_insert(now_ms);
        self.record.forget_work();
        self.tasks_are_stored = false;
        let announced = events::entered(&self.record, Stage::Submitted, now_ms);
        for _ in 1..STORING_TRIES {
            if self.update(announced.clone()).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(STORING_PAUSE).await;
        }
        self.update(announced).await
    }

    fn remove_work(&self) {
        if let Err(error) = self.context.work.remove() {
            tracing::warn!(job.id = %self.record.id, %error, "cannot remove the job's work folder: the next start tries again");
        }
    }

    /// Starts the job over if its inputs or files of finished tasks are missing or damaged, as may happen after a crash
    /// of the machine.
    async fn forget_lost_work(&mut self) {
        let stage = self.record.stage();
        if self.record.machine.ending().is_some() {
            return;
        }
        if stage != Stage::Transcoding && stage != Stage::Uploading {
            // A job that was started before may have been started over after it had published.
            if self.record.times.started_ms.is_some() {
                self.forget_published().await;
            }
            return;
        }
        if !self.executor.has_all(&self.record).await {
            tracing::warn!(job.id = %self.record.id, "files of an interrupted job are missing or damaged: starting it over");
            if self.forget_published().await {
                self.record.machine.start_over();
                self.record.outputs.clear();
            }
        }
    }

    /// Takes back what the job has published, because its next files will be others. Returns whether it did. A job for
    /// which that fails ends in ERROR: it could otherwise complete with files of two runs.
    async fn forget_published(&mut self) -> bool {
        let signals = self.signals.clone();
        for attempt in 1.. {
            let failure = tokio::select! {
                taken = take_back(&self.context) => match taken {
                    Ok(()) => break,
                    Err(failure) => failure,
                },
                () = signals.out_of_time() => return false,
            };
            tracing::error!(job.id = %self.record.id, reason = failure.message, "{NOT_TAKEN_BACK}");
            if !failure.is_retryable || attempt >= MAX_TAKE_BACK_ATTEMPTS {
                self.doomed.get_or_insert(failure::not_taken_back(failure));
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff(attempt + 1)) => {}
                () = signals.stop.cancelled() => return false,
            }
        }
        self.context.workshop.claims.release(&self.record.id);
        if let Err(error) = self.context.work.forget_claim() {
            tracing::warn!(job.id = %self.record.id, %error, "cannot forget where a job was publishing");
        }
        true
    }

    async fn take_in(&mut self, report: Report) -> Result<bool, crate::Error> {
        self.record.child_cpu_ms += self.context.lost_cpu_ms.swap(0, Ordering::Relaxed);
        match report {
            Report::Prepared(prepared) => {
                let tasks = prepared.plan.tasks.iter().map(Waiting::from).collect();
                self.packaging = packaging(&prepared.plan.tasks);
                self.record.inputs = prepared.inputs;
                self.record.plan = Some(Arc::new(prepared.plan));
                self.tasks_are_stored = false;
                self.apply(Event::Planned(tasks)).await
            }
            Report::HandedOn => {
                let only = Waiting { task: TaskId::elsewhere(), after: Vec::new() };
                self.apply(Event::Planned(vec![only])).await
            }
            // After a restart, a fleet tells again what was stored already.
            Report::TaskDone { task, .. } if !self.record.machine.does(&task) => Ok(false),
            Report::TaskDone { task, cpu_ms, verified } => {
                self.record.child_cpu_ms += cpu_ms;
                tracing::debug!(job.id = %self.record.id, %task, cpu_ms, "task done");
                if let Some(output) = verified {
                    self.record.outputs.retain(|other| other.output != output.output);
                    self.record.outputs.push(output);
                    self.record.outputs.sort_by_key(|output| output.output);
                }
                let ended = self.apply(Event::TaskDone(task.clone())).await?;
                self.release(self.record.machine.let_go_by(&task)).await;
                Ok(ended)
            }
            Report::Published => self.apply(Event::Published).await,
            Report::TakenBack => self.apply(Event::TakenBack).await,
            Report::CancelledElsewhere => self.apply(Event::CancelRequested).await,
            Report::Noted { forwarded, kept } => {
                self.record.forwarded = forwarded;
                self.store(Vec::new()).await?;
                // Nobody waits for it once the attempt has been cancelled.
                let _ = kept.send(());
                Ok(false)
            }
            Report::Failed { step, attempt, failure } => {
                // A step that was stopped reports that it was.
                if self.record.machine.ending().is_none() || step == Step::TakeBack {
                    self.context.workshop.tallies.note_failure(&step, failure.code);
                    tracing::warn!(job.id = %self.record.id, ?step, code = failure.code, reason = failure.message, "a step failed");
                }
                self.apply(Event::Failed { step, attempt, failure }).await
            }
        }
    }

    /// Removes the files of tasks that no other task needs any more, once it is stored that they were read. Files for the
    /// user stay: they are published.
    async fn release(&self, let_go: Vec<TaskId>) {
        // The files of a job that has ended go with its folder.
        if let_go.is_empty() || self.record.tasks().is_empty() {
            return;
        }
        let let_go: Vec<TaskId> = let_go.into_iter().filter(|task| !self.packaging.contains(task)).collect();
        if let_go.is_empty() {
            return;
        }
        let (job, folders) = (self.record.id.clone(), self.context.work.tasks().clone());
        let released = tokio::task::spawn_blocking(move || {
            for task in let_go {
                if let Err(error) = folders.empty(task.as_str()) {
                    tracing::warn!(job.id = %job, %task, %error, "cannot remove files that no task needs any more");
                }
            }
        });
        // A panic in it costs no more than space.
        let _ = released.await;
    }

    /// Applies an event to the state machine, stores the result with its events, then carries out the commands. Returns
    /// whether the job has ended.
    async fn apply(&mut self, event: Event) -> Result<bool, crate::Error> {
        let before = self.record.stage();
        let retries = self.record.machine.retries();
        let commands = self.record.machine.apply(event);
        let now_ms = self.now_ms();
        let after = self.record.stage();
        if before == Stage::Submitted && after != before && after != Stage::Canceled {
            self.record.times.started_ms.get_or_insert(now_ms);
        }
        if after.is_final() {
            self.record.times.finished_ms.get_or_insert(now_ms);
            self.record.forget_work();
            self.tasks_are_stored = false;
        }
        if self.record.machine.retries() > retries {
            tracing::info!(job.id = %self.record.id, "retrying a step");
        }
        if after == Stage::Uploading || after == Stage::Complete {
            self.context.update(|progress| progress.transcoding_percent = 100);
        }
        self.record.progress = self.live();
        let announced =
            if before == after { Vec::new() } else { events::entered(&self.record, before, now_ms) };
        self.store(announced).await?;
        self.context.workshop.tallies.note_move(before, &self.record);
        let mut ended = false;
        // All steps that start now share one copy, because hundreds start at once. They do not need the state machine.
        let record = OnceCell::new();
        for command in commands {
            match command {
                Command::Run { step, attempt, not_before } => {
                    let record = record.get_or_init(|| Arc::new(self.record.for_steps())).clone();
                    self.executor.start(Attempt { step, number: attempt, not_before }, record);
                }
                Command::StopAll => self.executor.cancel(),
                Command::Finish => ended = true,
            }
        }
        Ok(ended)
    }

    async fn store(&mut self, events: Vec<Value>) -> Result<(), crate::Error> {
        self.log_states(&events);
        let patience = Patience::of(self.context.workshop.room_patience);
        while let Err(error) = self.update(events.clone()).await {
            if !error.is_of_a_full_disk() {
                return Err(error);
            }
            self.context.workshop.full_disk.sight();
            if self.context.workshop.give_up_kept().await {
                continue;
            }
            tracing::warn!(job.id = %self.record.id, %error, "the disk is full: the job waits for room");
            if !patience.wait_for_room(&self.context.work, interrupted(&self.signals)).await {
                return Err(error);
            }
        }
        (self.context.changed)();
        Ok(())
    }

    fn log_states(&self, events: &[Value]) {
        for event in events {
            let status = event.pointer("/detail/status").and_then(Value::as_str).unwrap_or_default();
            tracing::info!(job.id = %self.record.id, status, "job state");
        }
    }

    async fn update(&mut self, events: Vec<Value>) -> Result<(), crate::Error> {
        let stored = match self.tasks_are_stored {
            true => self.store.update(self.record.without_tasks(), events).await,
            false => self.store.update_with_tasks(self.record.clone(), events).await,
        };
        self.tasks_are_stored |= stored.is_ok();
        stored
    }

    fn live(&self) -> Progress {
        *self.context.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn current(&self) -> JobRecord {
        JobRecord { progress: self.live(), ..self.record.clone() }
    }

    async fn conclude(&self) -> bool {
        self.executor.end(&self.record).await && conclude(&self.context, &self.record).await
    }

    /// Leaves it to the next start if the process stops.
    async fn conclude_in_time(&self) -> bool {
        tokio::select! {
            is_concluded = self.conclude() => is_concluded,
            () = self.signals.out_of_time() => false,
        }
    }
}

/// Completes when the job is cancelled or the process stops.
async fn interrupted(signals: &Signals) {
    tokio::select! {
        () = signals.cancel.cancelled() => {}
        () = signals.stop.cancelled() => {}
    }
}

/// Ends the publication of a job as its record says, and returns whether that worked. If not, the job's work folder
/// must stay, because it has the notes that the next attempt needs.
pub(crate) async fn conclude(context: &JobContext, record: &JobRecord) -> bool {
    let is_complete = record.stage() == Stage::Complete;
    let ended = if is_complete { settle(context).await } else { take_back(context).await };
    match ended {
        Ok(()) => {
            context.workshop.claims.release(&record.id);
            true
        }
        Err(failure) if is_complete => {
            tracing::warn!(job.id = %record.id, reason = failure.message, "cannot drop what outputs replaced: trying again");
            false
        }
        Err(failure) => {
            tracing::error!(job.id = %record.id, reason = failure.message, "{NOT_TAKEN_BACK}");
            false
        }
    }
}

/// Returns those of a plan's tasks that make files for the user.
fn packaging(tasks: &[Task]) -> HashSet<TaskId> {
    tasks.iter().filter(|task| task.kind.is_packaging()).map(|task| task.id.clone()).collect()
}

/// Returns the interval between STATUS_UPDATE events: the request's (such as `SECONDS_30`), by default one minute.
fn status_interval(request: &Value) -> Duration {
    let named = request.get("statusUpdateInterval").and_then(Value::as_str);
    let seconds =
        named.and_then(|text| text.strip_prefix("SECONDS_")).and_then(|text| text.parse().ok()).unwrap_or(60);
    Duration::from_secs(u64::max(seconds, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::database::{Database, sample_record};
    use tokio_util::sync::CancellationToken;

    use crate::site::context::sample_context;

    /// Does nothing.
    struct Nobody;

    #[async_trait::async_trait]
    impl Executor for Nobody {
        fn start(&mut self, _: Attempt, _: Arc<JobRecord>) {}

        fn cancel(&self) {}

        async fn stop(&mut self) {}

        async fn has_all(&self, _: &JobRecord) -> bool {
            true
        }

        async fn end(&self, _: &JobRecord) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn full_disk_removes_kept_encodes_before_failing() {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::open(&folder.path().join("jobs.sqlite")).unwrap());
        let record = sample_record("1-a", 1);
        database.insert(&record, &[], 1).unwrap();
        let context = sample_context(folder.path(), &record);
        let signals = Signals { cancel: CancellationToken::new(), stop: CancellationToken::new() };
        let store = Arc::new(database.clone());
        let mut driver = Driver::new(record, store, Box::new(Nobody), context, signals);
        let kept = folder.path().join("results").join("0".repeat(64));
        std::fs::create_dir_all(kept.join("files")).unwrap();
        std::fs::write(kept.join("files/video.mp4"), "an encode").unwrap();
        driver.store(Vec::new()).await.unwrap();
        assert!(kept.exists());
        let pages: i64 = database.lock().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        database.lock().pragma_update(None, "max_page_count", pages).unwrap();
        driver.record.submission.messages = vec!["a long message".repeat(1000)];
        let error = driver.store(Vec::new()).await.unwrap_err();
        assert!(error.is_of_a_full_disk() && !kept.exists(), "{error:?}");
    }
}
