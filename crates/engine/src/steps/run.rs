//! Runs one step of a job: picks the function for it, and turns what it made into a report for the driver. It decides
//! nothing about attempts.

use abanico_model::generated::JobSettings;
use abanico_plan::{TaskId, TaskKind};

use super::prepare::prepare;
use super::publish::{publish, take_back};
use super::verify::verify;
use super::{JobContext, Report, budgets, captions, capture, encode, manifests, package, segment, stitch};
use crate::failure;
use crate::job::JobRecord;
use crate::job_machine::{Failure, Step};

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
    let plan = record.plan.as_ref().ok_or_else(|| failure::broken("a task without a plan"))?;
    let task = plan.task(id).ok_or_else(|| failure::broken("the plan has no such task"))?;
    let finished = match &task.kind {
        TaskKind::AnalyseVideo(encode) | TaskKind::EncodeVideo(encode) => {
            encode::encode_video(context, plan, id, encode).await?
        }
        TaskKind::SumFirstPasses { chunks } => {
            budgets::sum_first_passes(context, plan, id, *chunks).await?;
            return Ok(Report::TaskDone { task: id.clone(), cpu_ms: 0, verified: None });
        }
        TaskKind::StitchVideo(video) => {
            let cpu_ms = stitch::stitch_video(context, plan, id, video).await?;
            return Ok(Report::TaskDone { task: id.clone(), cpu_ms, verified: None });
        }
        TaskKind::EncodeAudio(encode) => encode::encode_audio(context, id, encode).await?,
        TaskKind::Package(output) => {
            let planned = plan.outputs.get(output.output as usize);
            let planned = planned.ok_or_else(|| failure::broken("the plan has no such output"))?;
            package::package(context, id, output, planned).await?
        }
        TaskKind::CaptureFrames(capture) => {
            let (finished, made) = capture::capture_frames(context, id, capture).await?;
            let cpu_ms = finished.cpu_ms();
            return Ok(Report::TaskDone { task: id.clone(), cpu_ms, verified: Some(made) });
        }
        TaskKind::MakeCaptions(captions) => {
            let verified = captions::make_captions(context, plan, id, captions).await?;
            return Ok(Report::TaskDone { task: id.clone(), cpu_ms: 0, verified });
        }
        TaskKind::Segment(output) => {
            let cpu_ms = segment::segment(context, id, output).await?;
            return Ok(Report::TaskDone { task: id.clone(), cpu_ms, verified: None });
        }
        TaskKind::GroupManifests(group) => {
            manifests::group_manifests(context, id, group).await?;
            return Ok(Report::TaskDone { task: id.clone(), cpu_ms: 0, verified: None });
        }
        TaskKind::Verify { output } => {
            let planned = plan.outputs.get(*output as usize);
            let planned = planned.ok_or_else(|| failure::broken("the plan has no such output"))?;
            let verified = verify(context, plan, *output, planned).await?;
            return Ok(Report::TaskDone { task: id.clone(), cpu_ms: 0, verified: Some(verified) });
        }
    };
    Ok(Report::TaskDone { task: id.clone(), cpu_ms: finished.cpu_ms(), verified: None })
}
