//! Runs one step of a job, and turns what it made into a report for the driver. It decides nothing about attempts.

use std::sync::Arc;

use abanico_model::generated::JobSettings;
use abanico_plan::{Plan, TaskId, TaskKind};

use super::prepare::prepare;
use super::publish::{publish, take_back};
use super::{JobContext, Report};
use crate::failure;
use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::{Failure, Step};

/// Runs one step of a job.
pub(crate) async fn run(
    context: &JobContext,
    settings: &JobSettings,
    record: &JobRecord,
    step: &Step,
) -> Result<Report, Failure> {
    match step {
        Step::Prepare => {
            let prepared = prepare(context, settings, record).await?;
            Ok(Report::Prepared(Box::new(prepared)))
        }
        Step::Task(task) => run_task(context, record, task).await,
        Step::Publish => {
            let plan = record.plan.as_ref().ok_or_else(|| failure::broken("publishing without a plan"))?;
            publish(context, plan).await?;
            Ok(Report::Published)
        }
        Step::TakeBack => take_back(context).await.map(|()| Report::TakenBack),
    }
}

async fn run_task(context: &JobContext, record: &JobRecord, id: &TaskId) -> Result<Report, Failure> {
    let plan: &Arc<Plan> = record.plan.as_ref().ok_or_else(|| failure::broken("a task without a plan"))?;
    let task = plan.task(id).ok_or_else(|| failure::broken("the plan has no such task"))?;
    if matches!(task.kind, TaskKind::AnalyseVideo(_) | TaskKind::EncodeVideo(_)) {
        context.meter.begin(plan, |done| context.work.tasks().task(done.as_str()).exists());
    }
    let outcome = abanico_tasks::run(task, &context.bench(Some(plan))).await?;
    Ok(Report::TaskDone { task: id.clone(), cpu_ms: outcome.cpu_ms, verified: outcome.output })
}
