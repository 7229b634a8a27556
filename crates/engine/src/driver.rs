//! Drives one job: runs its steps and stores each change before acting on it.
//!
//! A job never has two drivers. Work that was stored as done before a crash is not repeated.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abanico_model::generated::JobSettings;
use abanico_plan::{Task, TaskId, TaskKind};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::events;
use crate::failure;
use crate::job::{JobRecord, Progress};
use crate::job_machine::{Command, Event, Failure, MAX_TAKE_BACK_ATTEMPTS, Stage, Step, backoff};
use crate::room::Patience;
use crate::steps::publish::{settle, take_back};
use crate::steps::{JobContext, Report};
use abanico_process::clock;

mod trial;

use trial::{Start, Trial};

/// Maximum number of reports that wait for the driver. Steps with further reports wait.
const REPORTS: usize = 16;

/// How often, and at what interval, the driver tries to store a job's end once it has made room for it.
const STORING_TRIES: u32 = 3;
const STORING_PAUSE: Duration = Duration::from_secs(1);

/// How long the end of a publication may still take once the process was told to stop. The next start finishes it.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Logged for outputs that stay visible though they should not.
const NOT_TAKEN_BACK: &str = "cannot take back the outputs of a job that did not complete: trying again";

/// Why a driver stopped.
enum Outcome {
    /// The job has ended.
    Ended,
    /// The process is stopping; the next start resumes the job.
    Stopped,
}

/// Signals to a driver from outside.
#[derive(Clone)]
pub(crate) struct Signals {
    /// The user cancelled the job.
    pub cancel: CancellationToken,
    /// The process is stopping: the driver stops too, and the next start resumes the job.
    pub stop: CancellationToken,
}

impl Signals {
    /// Completes a while after the process was told to stop.
    async fn out_of_time(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_WAIT).await;
    }
}

/// Drives one job to its end or until the process stops.
pub(crate) struct Driver {
    record: JobRecord,
    database: Arc<Database>,
    context: JobContext,
    settings: Arc<JobSettings>,
    /// Whether the database has the plan's current tasks.
    tasks_are_stored: bool,
    /// Why the job cannot be run, if it cannot.
    doomed: Option<Failure>,
    /// Completes when waiting for room is no longer worth it.
    signals: Option<Signals>,
    reports: mpsc::Sender<Report>,
    steps: JoinSet<()>,
}

impl Driver {
    /// Takes over a stored job, whose plan must include its tasks. `context.cancel` must be fresh: it ends the job's
    /// steps.
    pub fn new(
        record: JobRecord,
        database: Arc<Database>,
        context: JobContext,
        settings: JobSettings,
    ) -> (Self, Inbox) {
        let (reports, inbox) = mpsc::channel(REPORTS);
        let driver = Self {
            record,
            database,
            context,
            settings: Arc::new(settings),
            tasks_are_stored: true,
            doomed: None,
            signals: None,
            reports,
            steps: JoinSet::new(),
        };
        (driver, Inbox(inbox))
    }

    /// Makes the job end with this failure instead of running.
    pub fn doom(mut self, failure: Option<Failure>) -> Self {
        self.doomed = failure;
        self
    }

    /// Runs until the job ends or `signals.stop` is cancelled.
    ///
    /// # Errors
    /// Fails if the job cannot be stored in the database. It then has to be read again and driven again.
    pub async fn run(mut self, mut inbox: Inbox, signals: Signals) -> Result<(), crate::Error> {
        self.signals = Some(signals.clone());
        self.forget_lost_work(&signals).await;
        if signals.stop.is_cancelled() {
            return Ok(());
        }
        let driven = self.drive(&mut inbox, &signals).await;
        self.stop_steps(&mut inbox).await;
        match driven {
            Ok(Outcome::Stopped) => return Ok(()),
            Ok(Outcome::Ended) => {}
            Err(_) if signals.stop.is_cancelled() => return Ok(()),
            Err(error) if error.is_of_a_full_disk() => self.end_without_room(&error).await?,
            Err(error) => return Err(error),
        }
        if conclude_in_time(&self.context, &self.record, &signals).await {
            self.remove_work();
        }
        Ok(())
    }

    async fn drive(&mut self, inbox: &mut Inbox, signals: &Signals) -> Result<Outcome, crate::Error> {
        let first = match self.doomed.take() {
            // A job whose end is decided only has to be taken back.
            _ if self.record.machine.ending().is_some() => Event::Started,
            _ if signals.cancel.is_cancelled() => Event::CancelRequested,
            Some(failure) => Event::GivenUp(failure),
            None => Event::Started,
        };
        let mut ended = self.apply(first).await?;
        let mut status = tokio::time::interval(status_interval(&self.record.submission.request));
        status.tick().await;
        while !ended {
            tokio::select! {
                biased;
                () = signals.cancel.cancelled(), if self.record.machine.ending().is_none() => {
                    ended = self.apply(Event::CancelRequested).await?;
                }
                () = signals.stop.cancelled() => return Ok(Outcome::Stopped),
                Some(report) = inbox.0.recv() => ended = self.take_in(report).await?,
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
        let is_cancelled = self.signals.as_ref().is_some_and(|signals| signals.cancel.is_cancelled());
        self.record.machine.apply(match is_cancelled {
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
    async fn forget_lost_work(&mut self, signals: &Signals) {
        let stage = self.record.stage();
        if self.record.machine.ending().is_some() {
            return;
        }
        if stage != Stage::Transcoding && stage != Stage::Uploading {
            // A job that was started before may have been started over after it had published.
            if self.record.times.started_ms.is_some() {
                self.forget_published(signals).await;
            }
            return;
        }
        let done: BTreeSet<&TaskId> = self.record.machine.done().collect();
        let makes_files =
            |task: &&Task| done.contains(&task.id) && !matches!(task.kind, TaskKind::Verify { .. });
        let with_files: Vec<TaskId> =
            self.record.tasks().iter().filter(makes_files).map(|task| task.id.clone()).collect();
        let caption_files = self.record.plan.as_ref().map_or(0, |plan| plan.caption_files.len());
        let mut read = self.context.input_files();
        read.extend((0..caption_files).map(|index| self.context.work.caption_file(index)));
        let images = self.record.plan.iter().flat_map(|plan| &plan.images).enumerate();
        read.extend(images.map(|(index, url)| self.context.work.image(index, url)));
        let work = self.context.work.clone();
        // All bytes are compared with their hashes.
        let has_all = tokio::task::spawn_blocking(move || work.has_all(&read, with_files.iter()));
        if !has_all.await.unwrap_or(false) {
            tracing::warn!(job.id = %self.record.id, "files of an interrupted job are missing or damaged: starting it over");
            if self.forget_published(signals).await {
                self.record.machine.start_over();
                self.record.outputs.clear();
            }
        }
    }

    /// Takes back what the job has published, because its next files will be others. Returns whether it did. A job for
    /// which that fails ends in ERROR: it could otherwise complete with files of two runs.
    async fn forget_published(&mut self, signals: &Signals) -> bool {
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
                let tasks = prepared.plan.tasks.clone();
                self.record.inputs = prepared.inputs;
                self.record.plan = Some(Arc::new(prepared.plan));
                self.tasks_are_stored = false;
                self.apply(Event::Planned(tasks)).await
            }
            Report::TaskDone { task, cpu_ms, verified } => {
                self.record.child_cpu_ms += cpu_ms;
                tracing::debug!(job.id = %self.record.id, %task, cpu_ms, "task done");
                if let Some(output) = verified {
                    self.record.outputs.retain(|other| other.output != output.output);
                    self.record.outputs.push(output);
                    self.record.outputs.sort_by_key(|output| output.output);
                }
                self.apply(Event::TaskDone(task)).await
            }
            Report::Published => self.apply(Event::Published).await,
            Report::TakenBack => self.apply(Event::TakenBack).await,
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
                    self.start(step, Start { attempt, not_before }, record);
                }
                Command::StopAll => self.context.cancel.cancel(),
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
            if !patience.wait_for_room(&self.context.work, interrupted(self.signals.as_ref())).await {
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
        let (database, tasks_are_stored) = (self.database.clone(), self.tasks_are_stored);
        let record = if tasks_are_stored { self.record.without_tasks() } else { self.record.clone() };
        let stored = tokio::task::spawn_blocking(move || match tasks_are_stored {
            true => database.update(&record, &events),
            false => database.update_with_tasks(&record, &events),
        });
        let stored = stored.await.map_err(|error| crate::Error::storage("store a job", error))?;
        self.tasks_are_stored |= stored.is_ok();
        stored
    }

    fn live(&self) -> Progress {
        *self.context.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn current(&self) -> JobRecord {
        JobRecord { progress: self.live(), ..self.record.clone() }
    }

    /// Starts a step. Its report arrives through the inbox.
    fn start(&mut self, step: Step, start: Start, record: Arc<JobRecord>) {
        let (context, reports, settings) =
            (self.context.clone(), self.reports.clone(), self.settings.clone());
        // A store that does not answer must not hold up the process: the next start does these again.
        let signals = self.signals.clone().filter(|_| matches!(step, Step::Publish | Step::TakeBack));
        self.steps.spawn(async move {
            let trial = Trial { context: &context, settings: &settings, record: &record, step };
            if let Some(report) = trial.run(start, signals.as_ref()).await {
                // Sending fails only after the job has ended, when the driver is gone.
                let _ = reports.send(report).await;
            }
        });
    }

    /// Ends all steps and waits for them; each step kills its child processes before it ends.
    async fn stop_steps(&mut self, inbox: &mut Inbox) {
        self.context.cancel.cancel();
        inbox.0.close();
        while self.steps.join_next().await.is_some() {}
    }
}

/// Completes when the job is cancelled or the process stops.
async fn interrupted(signals: Option<&Signals>) {
    let Some(signals) = signals else { return std::future::pending().await };
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

/// Like [`conclude`], but leaves it to the next start if the process stops.
pub(crate) async fn conclude_in_time(context: &JobContext, record: &JobRecord, signals: &Signals) -> bool {
    tokio::select! {
        is_concluded = conclude(context, record) => is_concluded,
        () = signals.out_of_time() => false,
    }
}

/// Receives the reports of a driver's steps.
pub(crate) struct Inbox(mpsc::Receiver<Report>);

/// Returns the interval between STATUS_UPDATE events: the request's (such as `SECONDS_30`), by default one minute.
fn status_interval(request: &Value) -> Duration {
    let named = request.get("statusUpdateInterval").and_then(Value::as_str);
    let seconds =
        named.and_then(|text| text.strip_prefix("SECONDS_")).and_then(|text| text.parse().ok()).unwrap_or(60);
    Duration::from_secs(u64::max(seconds, 1))
}

/// Creates the progress that a driver shares with its readers.
pub(crate) fn shared_progress(record: &JobRecord) -> Arc<Mutex<Progress>> {
    Arc::new(Mutex::new(record.progress))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::sample_record;
    use crate::steps::sample_context;

    #[tokio::test]
    async fn full_disk_removes_kept_encodes_before_failing() {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::open(&folder.path().join("jobs.sqlite")).unwrap());
        let record = sample_record("1-a", 1);
        database.insert(&record, &[], 1).unwrap();
        let context = sample_context(folder.path(), &record);
        let (mut driver, _inbox) = Driver::new(record, database.clone(), context, JobSettings::default());
        let kept = folder.path().join("results/old");
        std::fs::create_dir_all(&kept).unwrap();
        std::fs::write(kept.join("video.mp4"), "an encode").unwrap();
        driver.store(Vec::new()).await.unwrap();
        assert!(kept.exists());
        let pages: i64 = database.lock().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        database.lock().pragma_update(None, "max_page_count", pages).unwrap();
        driver.record.submission.messages = vec!["a long message".repeat(1000)];
        let error = driver.store(Vec::new()).await.unwrap_err();
        assert!(error.is_of_a_full_disk() && !kept.exists(), "{error:?}");
    }
}
