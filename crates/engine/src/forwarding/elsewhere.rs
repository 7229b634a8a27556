//! The executor of a forwarded job: preparing hands it on, its only task ends when the other service has encoded it, and
//! publishing waits for its end there and copies its outputs back where that is wanted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use abanico_plan::TaskId;
use abanico_process::clock;
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::request::{FORWARDED_LABEL, named_groups, request};
use super::{Forwarding, RemoteError};
use crate::executor::trials::Trials;
use crate::executor::{Attempt, Executor, Report};
use crate::failure::{self, codes};
use crate::jobs::job::{Forwarded, JobRecord};
use crate::jobs::job_machine::{Failure, Stage, Step};
use crate::site::context::JobContext;
use crate::site::publish::{switch, take_back};

/// Longest pause between two polls of a job, and between two attempts when the service does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Pages of jobs to search for a lost one.
const SEARCHED_PAGES: usize = 25;
/// How long a request for a job may still take once the job was cancelled here.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Longest wait for the answer when a job is cancelled there.
const CANCEL_WAIT: Duration = Duration::from_secs(20);
/// After this time, a job that could not be cancelled there has most likely ended.
const CANCEL_FOR_MS: i64 = 24 * 3_600_000;

/// How far a job at the other service has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    Waiting,
    Transcoding,
    Uploading,
    Complete,
}

/// Has one job done by another service.
pub(crate) struct Elsewhere {
    mirror: Mirror,
    trials: Trials,
}

impl Elsewhere {
    /// Makes the executor of a job. `context.cancel` must be fresh: it ends the job's steps.
    pub fn new(
        context: JobContext,
        forwarding: Forwarding,
        reports: mpsc::Sender<Report>,
        trials: Trials,
    ) -> Self {
        Self { mirror: Mirror { context, forwarding, reports }, trials }
    }
}

#[async_trait]
impl Executor for Elsewhere {
    fn start(&mut self, attempt: Attempt, record: Arc<JobRecord>) {
        let mirror = self.mirror.clone();
        self.trials.start(attempt, move |step| {
            let (mirror, record) = (mirror.clone(), record.clone());
            async move { mirror.run(&record, &step).await }
        });
    }

    fn cancel(&self) {
        self.mirror.context.cancel.cancel();
    }

    async fn stop(&mut self) {
        self.trials.stop().await;
    }

    async fn has_all(&self, _record: &JobRecord) -> bool {
        true
    }

    async fn end(&self, record: &JobRecord) -> bool {
        cancel_there(&self.mirror.forwarding, record).await
    }
}

/// Mirrors one job.
#[derive(Clone)]
pub(super) struct Mirror {
    pub context: JobContext,
    pub forwarding: Forwarding,
    reports: mpsc::Sender<Report>,
}

impl Mirror {
    async fn run(&self, record: &JobRecord, step: &Step) -> Result<Report, Failure> {
        match step {
            Step::Prepare => {
                let id = self.handed_on(record).await?;
                let begun = self.reaches(&id, Phase::Transcoding).await?;
                Ok(begun.map_or(Report::CancelledElsewhere, |_| Report::HandedOn))
            }
            Step::Task(_) => {
                let done = self.reaches(id_of(record)?, Phase::Uploading).await?;
                let task = TaskId::elsewhere();
                let report = |_| Report::TaskDone { task, cpu_ms: 0, verified: None };
                Ok(done.map_or(Report::CancelledElsewhere, report))
            }
            Step::Publish => match self.reaches(id_of(record)?, Phase::Complete).await? {
                None => Ok(Report::CancelledElsewhere),
                Some(job) => self.publish(record, &job).await.map(|()| Report::Published),
            },
            Step::TakeBack => take_back(&self.context).await.map(|()| Report::TakenBack),
        }
    }

    /// Returns the id of the job at the other service, which now has it.
    async fn handed_on(&self, record: &JobRecord) -> Result<String, Failure> {
        if let Some(id) = &record.forwarded.id {
            return Ok(id.clone());
        }
        if self.forwarding.copies {
            self.copy_inputs().await?;
        }
        // As long as there is a work folder, a cancellation that did not reach the service is tried again.
        std::fs::create_dir_all(self.context.work.root())
            .map_err(|error| failure::from_disk("create the work folder", &error))?;
        // The answer to a request that was never noted would be lost with this process.
        let asked = Forwarded { is_asked_for: true, ..record.forwarded.clone() };
        self.note(asked.clone()).await?;
        let request = request(record, &self.forwarding);
        let mut may_be_there = record.forwarded.is_asked_for;
        let mut pause = self.forwarding.pause;
        loop {
            let requested = async {
                let found = if may_be_there { self.forwarding.find(record).await? } else { None };
                match found {
                    Some(job) => Ok(job),
                    None => self.forwarding.jobs.create(&request).await,
                }
            };
            // A request on its way is waited for, since the service may have taken it.
            let answer = tokio::select! {
                answer = requested => answer,
                () = self.out_of_time() => return Err(cancelled()),
            };
            match answer {
                Ok(job) => {
                    let id = job.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                    tracing::info!(job.id = %record.id, remote = id, "handed a job on to the other service");
                    self.note(Forwarded { id: Some(id.clone()), ..asked }).await?;
                    return Ok(id);
                }
                Err(error) if !error.is_retryable => {
                    let message = format!("the other service refused the job: {}", error.message);
                    return Err(Failure::new(codes::SETTINGS, message, false));
                }
                Err(error) => self.not_reached(&error),
            }
            may_be_there = true;
            self.wait(pause).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Has the driver store what must be found again.
    async fn note(&self, forwarded: Forwarded) -> Result<(), Failure> {
        let (kept, is_kept) = oneshot::channel();
        let told = self.reports.send(Report::Noted { forwarded, kept }).await;
        told.map_err(|_| cancelled())?;
        is_kept.await.map_err(|_| cancelled())
    }

    /// Waits until the job there has come this far, and returns it; `None` if it was cancelled there.
    async fn reaches(&self, id: &str, wanted: Phase) -> Result<Option<Value>, Failure> {
        let mut pause = self.forwarding.pause;
        loop {
            let seen = tokio::select! {
                seen = self.forwarding.jobs.get(id) => seen,
                () = self.context.cancel.cancelled() => return Err(cancelled()),
            };
            match seen {
                Ok(job) if text(&job, "status") == "CANCELED" => return Ok(None),
                Ok(job) if self.mirrored(&job)? >= wanted => return Ok(Some(job)),
                Ok(_) => {}
                Err(error) if error.is_not_found => {
                    let message = format!(
                        "the job `{id}` at the other service does not exist any more: submit the job again"
                    );
                    return Err(Failure::new(codes::UNKNOWN, message, false));
                }
                Err(error) => self.not_reached(&error),
            }
            self.wait(pause).await?;
            pause = (pause * 5 / 4).min(LONGEST_PAUSE);
        }
    }

    /// Shows the progress of the job there, and returns its phase.
    ///
    /// # Errors
    /// Fails as the job there did.
    fn mirrored(&self, job: &Value) -> Result<Phase, Failure> {
        let phase = match (text(job, "status"), text(job, "currentPhase")) {
            ("ERROR", _) => {
                let code = job.get("errorCode").and_then(Value::as_u64);
                let code = code.and_then(|code| u32::try_from(code).ok()).unwrap_or(codes::UNKNOWN);
                return Err(Failure::new(code, text(job, "errorMessage"), false));
            }
            ("COMPLETE", _) => Phase::Complete,
            ("PROGRESSING", "UPLOADING") => Phase::Uploading,
            ("PROGRESSING", "TRANSCODING") => Phase::Transcoding,
            _ => Phase::Waiting,
        };
        let percent = job.get("jobPercentComplete").and_then(Value::as_u64).unwrap_or(0).min(100);
        self.context.update(|progress| {
            progress.probing_percent = if percent > 0 { 100 } else { progress.probing_percent };
            progress.transcoding_percent = u8::try_from(percent).unwrap_or(100);
        });
        Ok(phase)
    }

    async fn publish(&self, record: &JobRecord, job: &Value) -> Result<(), Failure> {
        if self.forwarding.copies {
            self.bring_back(record).await?;
        }
        let details = job.get("outputGroupDetails").cloned().unwrap_or_else(|| json!([]));
        let details = named_groups(&details, &record.submission.settings, &self.forwarding.buckets);
        self.note(Forwarded { outputs: Some(details), ..record.forwarded.clone() }).await?;
        self.context.update(|progress| {
            (progress.probing_percent, progress.transcoding_percent, progress.uploading_percent) =
                (100, 100, 100);
        });
        Ok(())
    }

    /// Copies the outputs of the finished job to their destinations here, and makes them visible together.
    async fn bring_back(&self, record: &JobRecord) -> Result<(), Failure> {
        // Taking back must not begin before this has ended.
        let _publishing = self.context.publishing.lock().await;
        let mut urls = BTreeSet::new();
        for (from, to) in self.outputs_there(record).await? {
            urls.insert(to.to_string());
            self.copy_here(&from, to).await?;
        }
        switch(&self.context, urls).await
    }

    fn not_reached(&self, error: &RemoteError) {
        let job = self.context.work.job();
        tracing::warn!(job.id = %job, reason = error.message, "the other service does not answer: trying again");
    }

    async fn wait(&self, pause: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.context.cancel.cancelled() => Err(cancelled()),
        }
    }

    /// Completes a while after the job was cancelled or the process was told to stop.
    async fn out_of_time(&self) {
        self.context.cancel.cancelled().await;
        tokio::time::sleep(LAST_WAIT).await;
    }
}

fn cancelled() -> Failure {
    failure::broken("a forwarded job was mirrored after it was cancelled")
}

fn id_of(record: &JobRecord) -> Result<&str, Failure> {
    record.forwarded.id.as_deref().ok_or_else(|| failure::broken("a forwarded job without an id there"))
}

fn text<'a>(job: &'a Value, name: &str) -> &'a str {
    job.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Forwarding {
    /// Finds the job there that carries our job's id; it must be among the newest five hundred.
    async fn find(&self, record: &JobRecord) -> Result<Option<Value>, RemoteError> {
        let mut token: Option<String> = None;
        for _ in 0..SEARCHED_PAGES {
            let page = self.jobs.newest(token.as_deref()).await?;
            let jobs = page.get("jobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let ours = json!(record.id.as_str());
            let pointer = format!("/userMetadata/{FORWARDED_LABEL}");
            if let Some(job) = jobs.iter().find(|job| job.pointer(&pointer) == Some(&ours)) {
                return Ok(Some(job.clone()));
            }
            token = page.get("nextToken").and_then(Value::as_str).map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        Ok(None)
    }

    async fn cancel(&self, record: &JobRecord) -> Result<(), RemoteError> {
        let id = match &record.forwarded.id {
            Some(id) => Some(id.clone()),
            None => self.find(record).await?.map(|job| text(&job, "id").to_owned()),
        };
        let Some(id) = id else { return Ok(()) };
        match self.jobs.cancel(&id).await {
            // Services refuse to cancel a job that is over, each in its own words. There is nothing left to cancel.
            Err(error) if !error.is_retryable && self.is_over(&id).await => Ok(()),
            ended => ended,
        }
    }

    /// Returns whether a job there has ended or does not exist any more.
    async fn is_over(&self, id: &str) -> bool {
        match self.jobs.get(id).await {
            Ok(job) => matches!(text(&job, "status"), "CANCELED" | "COMPLETE" | "ERROR"),
            Err(error) => error.is_not_found,
        }
    }
}

/// Cancels at the other service what was cancelled here. Returns false if that is to be tried again later.
pub(crate) async fn cancel_there(forwarding: &Forwarding, record: &JobRecord) -> bool {
    if record.stage() != Stage::Canceled || !record.forwarded.is_asked_for {
        return true;
    }
    let asked = tokio::time::timeout(CANCEL_WAIT, forwarding.cancel(record)).await;
    let (reason, is_retryable) = match asked {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => (error.message, error.is_retryable),
        Err(_) => ("it does not answer".to_owned(), true),
    };
    tracing::warn!(job.id = %record.id, reason, "the other service did not cancel its job");
    let ended_ms = record.times.finished_ms.unwrap_or(record.times.submitted_ms);
    !is_retryable || clock::now_ms() - ended_ms > CANCEL_FOR_MS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::forwarding::RemoteJobs;
    use crate::records::database::sample_record;

    /// Refuses to cancel its job, which is in this status; it has none without one.
    struct Refusing(Option<&'static str>);

    fn refused(is_not_found: bool) -> RemoteError {
        RemoteError { message: "it says no".to_owned(), is_retryable: false, is_not_found }
    }

    #[async_trait]
    impl RemoteJobs for Refusing {
        async fn create(&self, _: &Value) -> Result<Value, RemoteError> {
            Err(refused(false))
        }

        async fn get(&self, id: &str) -> Result<Value, RemoteError> {
            self.0.map(|status| json!({"id": id, "status": status})).ok_or_else(|| refused(true))
        }

        async fn cancel(&self, _: &str) -> Result<(), RemoteError> {
            Err(refused(self.0.is_none()))
        }

        async fn newest(&self, _: Option<&str>) -> Result<Value, RemoteError> {
            Err(refused(false))
        }

        async fn keys(&self, _: &str, _: &str) -> Result<Vec<String>, RemoteError> {
            Err(refused(false))
        }
    }

    #[tokio::test]
    async fn job_that_is_over_needs_no_cancelling() {
        let mut record = sample_record("1-a", 1);
        record.forwarded.id = Some("2-b".to_owned());
        let over = [None, Some("CANCELED"), Some("COMPLETE"), Some("ERROR")];
        let statuses = over.map(|status| (status, true));
        for (status, is_over) in statuses.into_iter().chain([(Some("PROGRESSING"), false)]) {
            let forwarding = Forwarding {
                jobs: Arc::new(Refusing(status)),
                store: Arc::new(abanico_store::Router::new()),
                role: String::new(),
                queue: None,
                buckets: BTreeMap::new(),
                copies: false,
                pause: Duration::ZERO,
            };
            assert_eq!(forwarding.cancel(&record).await.is_ok(), is_over, "{status:?}");
        }
    }
}
