//! The embedded executor: does the steps of a job on this machine. It owns the turns of encodes, second attempts at
//! stragglers, and waiting for room on a full disk.
//!
//! A step is stateless: everything it needs is passed to it. Crate `tasks` does the tasks.

mod attempts;
mod encode;
pub(crate) mod meter;
pub(crate) mod prepare;
mod sink;
pub(crate) mod stragglers;

use std::collections::BTreeSet;
use std::sync::Arc;

use abanico_model::generated::JobSettings;
use abanico_plan::{Plan, Task, TaskId, TaskKind};
use async_trait::async_trait;

use crate::executor::trials::Trials;
use crate::executor::{Attempt, Executor, Report};
use crate::failure;
use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::{Failure, Step};
use crate::site::context::JobContext;
use crate::site::publish::{publish, take_back};

use self::meter::Meter;
use self::prepare::prepare;
use self::sink::JobSink;
use self::stragglers::Paces;

/// Does one job on this machine.
pub(crate) struct Embedded {
    steps: Steps,
    trials: Trials,
}

/// What the steps of one job share. Clones share it too.
#[derive(Clone)]
struct Steps {
    context: JobContext,
    settings: Arc<JobSettings>,
    /// Counts the encoded frames.
    meter: Meter,
    /// How fast the job's chunks are encoded.
    paces: Paces,
}

impl Embedded {
    /// Makes the executor of a job. `context.cancel` must be fresh: it ends the job's steps.
    pub fn new(context: JobContext, settings: JobSettings, trials: Trials) -> Self {
        let settings = Arc::new(settings);
        let steps = Steps { context, settings, meter: Meter::default(), paces: Paces::default() };
        Self { steps, trials }
    }
}

#[async_trait]
impl Executor for Embedded {
    fn start(&mut self, attempt: Attempt, record: Arc<JobRecord>) {
        let steps = self.steps.clone();
        self.trials.start(attempt, move |step| {
            let (steps, record) = (steps.clone(), record.clone());
            async move { steps.run(&record, &step).await }
        });
    }

    fn cancel(&self) {
        self.steps.context.cancel.cancel();
    }

    async fn stop(&mut self) {
        self.trials.stop().await;
    }

    async fn has_all(&self, record: &JobRecord) -> bool {
        self.steps.has_all(record).await
    }

    async fn end(&self, _record: &JobRecord) -> bool {
        true
    }
}

impl Steps {
    async fn run(&self, record: &JobRecord, step: &Step) -> Result<Report, Failure> {
        let plan = || record.plan.as_ref().ok_or_else(|| failure::broken("a step without a plan"));
        match step {
            Step::Prepare => {
                let ready = prepare(&self.context, &self.settings, record).await?;
                Ok(Report::Prepared(Box::new(ready.prepared)))
            }
            Step::Task(task) => self.run_task(plan()?, task).await,
            Step::Publish => publish(&self.context, plan()?).await.map(|()| Report::Published),
            Step::TakeBack => take_back(&self.context).await.map(|()| Report::TakenBack),
        }
    }

    async fn run_task(&self, plan: &Arc<Plan>, id: &TaskId) -> Result<Report, Failure> {
        let task = plan.task(id).ok_or_else(|| failure::broken("the plan has no such task"))?;
        let context = &self.context;
        let sink = JobSink::metered(context, &self.meter, plan);
        let bench = context.bench(Some(plan), Arc::new(sink));
        let outcome = match &task.kind {
            TaskKind::AnalyseVideo(encode) | TaskKind::EncodeVideo(encode) => {
                self.meter.begin(plan, |done| context.work.tasks().task(done.as_str()).exists());
                encode::run(context, &self.paces, &bench, task, encode).await?
            }
            _ => abanico_tasks::run(task, &bench).await?,
        };
        Ok(Report::TaskDone { task: id.clone(), cpu_ms: outcome.cpu_ms, verified: outcome.output })
    }

    /// After a crash of the machine, files may be missing or damaged: all bytes are compared with their hashes.
    async fn has_all(&self, record: &JobRecord) -> bool {
        let done: BTreeSet<&TaskId> = record.machine.done().collect();
        let makes_files =
            |task: &&Task| done.contains(&task.id) && !matches!(task.kind, TaskKind::Verify { .. });
        let with_files: Vec<TaskId> =
            record.tasks().iter().filter(makes_files).map(|task| task.id.clone()).collect();
        let work = &self.context.work;
        let mut read = self.context.input_files();
        let caption_files = record.plan.as_ref().map_or(0, |plan| plan.caption_files.len());
        read.extend((0..caption_files).map(|index| work.caption_file(index)));
        let images = record.plan.iter().flat_map(|plan| &plan.images).enumerate();
        read.extend(images.map(|(index, url)| work.image(index, url)));
        let work = work.clone();
        let has_all = tokio::task::spawn_blocking(move || work.has_all(&read, with_files.iter()));
        has_all.await.unwrap_or(false)
    }
}
