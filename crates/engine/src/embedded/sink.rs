//! Passes on what tasks report: frames to the job's meter, and processor time that was used for nothing to its account.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abanico_plan::{Plan, TaskId};
use abanico_tasks::TaskSink;

use super::meter::Meter;
use crate::site::context::JobContext;

/// Takes the reports of a job's tasks.
pub(super) struct JobSink {
    context: JobContext,
    /// Counts frames, once there is a plan.
    meter: Option<(Meter, Arc<Plan>)>,
}

impl JobSink {
    /// Takes reports before there is a plan.
    pub fn unmetered(context: &JobContext) -> Self {
        Self { context: context.clone(), meter: None }
    }

    /// Takes the reports of a plan's tasks.
    pub fn metered(context: &JobContext, meter: &Meter, plan: &Arc<Plan>) -> Self {
        Self { context: context.clone(), meter: Some((meter.clone(), plan.clone())) }
    }
}

impl TaskSink for JobSink {
    fn begins(&self, _task: &TaskId, _renditions: &[u32]) {}

    fn delivered(&self, task: &TaskId, frames: u64) {
        if let Some((meter, plan)) = &self.meter {
            meter.note(&self.context, plan, task, frames);
        }
    }

    fn lost(&self, cpu_ms: u64) {
        self.context.lost_cpu_ms.fetch_add(cpu_ms, Ordering::Relaxed);
    }
}
