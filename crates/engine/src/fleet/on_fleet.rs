//! The executor of a job whose tasks a fleet does. It prepares the job here, puts it up, tells the driver what becomes of
//! the tasks, and fetches and publishes what they made.
//!
//! The fleet decides about attempts by itself, with the same state machine as the driver and from the same reports. So
//! what the driver says about tasks needs no answer: the first of them begins the work, and the rest only agrees.

use std::sync::Arc;
use std::time::Duration;

use abanico_artifacts::{ArtifactStore, ObjectArtifacts};
use abanico_model::generated::JobSettings;
use abanico_plan::{Plan, TaskId};
use abanico_tasks::place_made;
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::lateness::Lateness;
use super::put_up::PutUp;
use super::{FleetError, FleetNews, FleetOptions, FleetReport, FleetWork, RunningTask};
use crate::embedded::meter::Meter;
use crate::embedded::prepare::prepare;
use crate::executor::trials::Trials;
use crate::executor::{Attempt, Executor, Report};
use crate::failure;
use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::{Failure, Step, Waiting};
use crate::site::context::JobContext;
use crate::site::publish::{publish, take_back};

/// Most tasks of a job: Temporal stops a workflow at some 50,000 events, and a task takes three or four.
const MOST_TASKS: usize = 10_000;
/// Pause between two questions for news.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after a question that was not answered.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Pause before the tasks are begun again because the fleet does not know the job.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(5);
/// How often the fleet is asked whether an ended job's work has stopped, and at what interval.
const ENDING_TRIES: u32 = 40;
const ENDING_PAUSE: Duration = Duration::from_millis(500);

/// Has the tasks of one job done by a fleet.
pub(crate) struct OnFleet {
    hands: Hands,
    trials: Trials,
    /// What watches the fleet, once it has been asked for work.
    watch: JoinSet<()>,
}

/// What the steps of one job share.
#[derive(Clone)]
struct Hands {
    context: JobContext,
    settings: Arc<JobSettings>,
    options: FleetOptions,
    reports: mpsc::Sender<Report>,
    meter: Meter,
}

impl OnFleet {
    /// Makes the executor of a job. `context.cancel` must be fresh: it ends the job's steps.
    pub fn new(
        context: JobContext,
        settings: JobSettings,
        options: FleetOptions,
        reports: mpsc::Sender<Report>,
        trials: Trials,
    ) -> Self {
        let (settings, meter) = (Arc::new(settings), Meter::default());
        Self { hands: Hands { context, settings, options, reports, meter }, trials, watch: JoinSet::new() }
    }
}

#[async_trait]
impl Executor for OnFleet {
    fn start(&mut self, attempt: Attempt, record: Arc<JobRecord>) {
        let hands = self.hands.clone();
        if matches!(attempt.step, Step::Task(_)) {
            if self.watch.is_empty() {
                self.watch.spawn(async move { hands.watch(&record).await });
            }
            return;
        }
        self.trials.start(attempt, move |step| {
            let (hands, record) = (hands.clone(), record.clone());
            async move { hands.run(&record, &step).await }
        });
    }

    fn cancel(&self) {
        self.hands.context.cancel.cancel();
    }

    async fn stop(&mut self) {
        self.trials.stop().await;
        self.watch.shutdown().await;
    }

    async fn has_all(&self, _record: &JobRecord) -> bool {
        self.hands.has_all().await
    }

    async fn end(&self, record: &JobRecord) -> bool {
        for _ in 0..ENDING_TRIES {
            if self.hands.options.leave(record).await {
                return true;
            }
            tokio::time::sleep(ENDING_PAUSE).await;
        }
        false
    }
}

impl Hands {
    async fn run(&self, record: &JobRecord, step: &Step) -> Result<Report, Failure> {
        match step {
            Step::Prepare => self.prepare(record).await,
            Step::Task(_) => Err(failure::broken("a task of a fleet was to be done here")),
            Step::Publish => {
                let plan = record.plan.as_ref().ok_or_else(|| failure::broken("a step without a plan"))?;
                self.bring(plan).await?;
                publish(&self.context, plan).await.map(|()| Report::Published)
            }
            Step::TakeBack => take_back(&self.context).await.map(|()| Report::TakenBack),
        }
    }

    async fn prepare(&self, record: &JobRecord) -> Result<Report, Failure> {
        let ready = prepare(&self.context, &self.settings, record).await?;
        refuse_too_many(ready.prepared.plan.tasks.len())?;
        let put_up = PutUp::new(&self.context, &self.options, &ready.prepared.plan, &ready.sources);
        tokio::select! {
            put_up = put_up => put_up.map(drop)?,
            () = self.context.cancel.cancelled() => return Err(cancelled()),
        }
        Ok(Report::Prepared(Box::new(ready.prepared)))
    }

    /// Has the fleet do the tasks, and reports what becomes of them, until all are done or the job is cancelled.
    async fn watch(&self, record: &JobRecord) {
        let Some(plan) = record.plan.as_ref() else { return };
        let Some(put_up) = PutUp::noted(&self.context.work) else {
            return self.fail_all(plan, &without_note()).await;
        };
        let work = FleetWork {
            job: record.id.clone(),
            assignments: put_up.assignments,
            tasks: plan.tasks.iter().map(Waiting::from).collect(),
            ffmpeg_version: self.context.workshop.machine.ffmpeg_version.clone(),
            queue: record.submission.queue.clone(),
            priority: record.submission.priority,
        };
        tokio::select! {
            () = self.follow(&work, plan) => {}
            () = self.context.cancel.cancelled() => {}
        }
    }

    async fn follow(&self, work: &FleetWork, plan: &Arc<Plan>) {
        let (mut known, mut pause, mut has_begun) = (0, PAUSE, false);
        let mut lateness = Lateness::default();
        loop {
            let asked = async {
                if !has_begun {
                    self.options.fleet.begin(work).await?;
                }
                self.options.fleet.news(&work.job, known).await
            };
            match asked.await {
                Ok(Some(news)) => {
                    (has_begun, pause) = (true, PAUSE);
                    known += news.reports.len();
                    let (has_reports, has_ended) = (!news.reports.is_empty(), news.has_ended);
                    if news.is_cancelled {
                        // Nobody listens any more if the job was cancelled here.
                        let _ = self.reports.send(Report::CancelledElsewhere).await;
                        return;
                    }
                    for task in lateness.late(plan, &news.running) {
                        self.double(&task, &news).await;
                    }
                    if !self.pass_on(news, plan, &mut lateness).await || has_ended && !has_reports {
                        return;
                    }
                    if has_reports {
                        continue;
                    }
                }
                Ok(None) => {
                    // Somebody has removed it there. Tasks that are done are found by their artifacts.
                    (known, pause, has_begun) = (0, UNKNOWN_PAUSE, false);
                    tracing::warn!(job.id = %work.job, "the fleet does not know a job: beginning its tasks again");
                }
                Err(FleetError(reason)) => {
                    tracing::warn!(job.id = %work.job, reason, "the fleet does not answer: trying again");
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Has another worker begin a task that runs too long.
    async fn double(&self, task: &TaskId, news: &FleetNews) {
        let Some(running) = news.running.get(task) else { return };
        let (job, frames_done) = (self.context.work.job(), running.frames);
        let ran_ms = u64::try_from(running.ran.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            job.id = %job, %task, worker = running.worker, frames_done, ran_ms,
            "an encode takes too long and is started a second time"
        );
        if let Err(FleetError(reason)) = self.options.fleet.double(job, task, running).await {
            tracing::warn!(job.id = %job, %task, reason, "cannot start an encode a second time");
        }
    }

    /// Tells the driver. Returns false if it does not listen any more.
    async fn pass_on(&self, news: FleetNews, plan: &Arc<Plan>, lateness: &mut Lateness) -> bool {
        let job = self.context.work.job();
        for (task, RunningTask { frames, .. }) in news.running {
            self.meter.note(&self.context, plan, &task, frames);
        }
        for report in news.reports {
            let report = match report {
                FleetReport::Done { task, cpu_ms, ran_ms, output, worker } => {
                    lateness.done(plan, &task, Duration::from_millis(ran_ms));
                    tracing::info!(job.id = %job, %task, worker, "a worker has done a task");
                    self.meter.finish(&self.context, plan, &task);
                    Report::TaskDone { task, cpu_ms, verified: output }
                }
                FleetReport::Failed { task, attempt, failure, worker } => {
                    lateness.failed(&task);
                    tracing::warn!(job.id = %job, %task, attempt, worker, reason = failure.message, "a worker has failed at a task");
                    Report::Failed { step: Step::Task(task), attempt, failure }
                }
            };
            if self.reports.send(report).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn fail_all(&self, plan: &Plan, failure: &Failure) {
        for task in &plan.tasks {
            let step = Step::Task(task.id.clone());
            let failed = Report::Failed { step, attempt: 1, failure: failure.clone() };
            if self.reports.send(failed).await.is_err() {
                return;
            }
        }
    }

    /// Fetches the files for the user that the fleet has made.
    async fn bring(&self, plan: &Plan) -> Result<(), Failure> {
        let put_up = PutUp::noted(&self.context.work).ok_or_else(without_note)?;
        let (store, folders) = (self.artifacts()?, self.context.work.tasks());
        for task in plan.tasks.iter().filter(|task| task.kind.is_packaging()) {
            let key = put_up.packaged.get(&task.id).ok_or_else(without_note)?;
            // An earlier attempt may have left it.
            folders.discard(task.id.as_str());
            tokio::select! {
                placed = place_made(&store, folders, &task.id, key) => placed?,
                () = self.context.cancel.cancelled() => return Err(cancelled()),
            }
        }
        Ok(())
    }

    fn artifacts(&self) -> Result<ObjectArtifacts, Failure> {
        self.options.artifacts(self.context.work.job()).map_err(|error| failure::broken(&error.0))
    }

    /// A store that does not answer has everything for now: what is missing shows when it is read.
    async fn has_all(&self) -> bool {
        let (Some(put_up), Ok(store)) = (PutUp::noted(&self.context.work), self.artifacts()) else {
            return false;
        };
        store.manifest(&put_up.assignments).await.map_or(true, |manifest| manifest.is_some())
    }
}

/// Refuses plans whose tasks would not fit into one workflow.
fn refuse_too_many(tasks: usize) -> Result<(), Failure> {
    if tasks <= MOST_TASKS {
        return Ok(());
    }
    let message = format!(
        "the job has {tasks} tasks, and a fleet takes up to {MOST_TASKS}: give fewer `encoders` under [temporal], so that \
         long videos are cut into fewer chunks"
    );
    Err(Failure::new(failure::codes::SETTINGS, message, false))
}

fn cancelled() -> Failure {
    failure::broken("a job of a fleet went on after it was cancelled")
}

fn without_note() -> Failure {
    failure::broken("the note of where a job's artifacts are is gone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_tasks_are_refused_with_what_to_do() {
        refuse_too_many(MOST_TASKS).unwrap();
        let failure = refuse_too_many(MOST_TASKS + 1).unwrap_err();
        assert!(!failure.is_retryable && failure.message.contains("10001"), "{failure:?}");
        assert!(failure.message.contains("`encoders` under [temporal]"), "{failure:?}");
    }
}
