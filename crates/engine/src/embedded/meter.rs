//! Measures a job's progress by the frames that its encodes deliver, however many run at once. Progress never
//! decreases, and the last percent is left for packaging and verifying.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abanico_plan::{Plan, Task, TaskId, TaskKind};

use crate::site::context::JobContext;

/// Relative cost of a frame in a first pass, and in an encode of all renditions. A rough ratio, which differs from
/// input to input.
const FIRST_PASS_COST: u64 = 1;
const ENCODE_COST: u64 = 6;
/// Percentage that the encodes count for.
const MOST_PERCENT: u64 = 99;

/// Frames that each encode of a job has delivered.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<BTreeMap<TaskId, u64>>>);

impl Meter {
    fn delivered(&self) -> MutexGuard<'_, BTreeMap<TaskId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the frames of the tasks that earlier runs of the program finished: those for which `is_finished` is
    /// true.
    pub fn begin(&self, plan: &Plan, is_finished: impl Fn(&TaskId) -> bool) {
        let mut delivered = self.delivered();
        for (task, frames, _) in encodes(plan) {
            if is_finished(&task.id) {
                delivered.insert(task.id.clone(), frames);
            }
        }
    }

    /// Records that a task is done, and updates the job's progress.
    pub fn finish(&self, context: &JobContext, plan: &Plan, task: &TaskId) {
        if let Some((_, frames, _)) = encodes(plan).find(|(encode, ..)| encode.id == *task) {
            self.note(context, plan, task, frames);
        }
    }

    /// Records the frames that one encode has delivered, and updates the job's progress. Of two attempts at one encode, the
    /// one that is farther counts.
    pub fn note(&self, context: &JobContext, plan: &Plan, task: &TaskId, frames: u64) {
        let mut delivered = self.delivered();
        let own = delivered.entry(task.clone()).or_default();
        *own = frames.max(*own);
        let reading = Reading::of(plan, &delivered);
        context.update(|live| {
            (live.frames_done, live.frames_total) = (live.frames_done.max(reading.done), reading.total);
            live.transcoding_percent = live.transcoding_percent.max(reading.percent);
        });
    }
}

/// The state of the meter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Reading {
    /// Frames done, weighted by their cost.
    done: u64,
    /// Frames of all encodes, without first passes.
    total: u64,
    /// Progress in percent.
    percent: u8,
}

impl Reading {
    /// Derives frames and percentage from one sum, so that they agree.
    fn of(plan: &Plan, delivered: &BTreeMap<TaskId, u64>) -> Self {
        let (mut total, mut cost_done, mut cost) = (0, 0, 0);
        for (task, frames, price) in encodes(plan) {
            let own = delivered.get(&task.id).copied().unwrap_or(0).min(frames);
            (cost_done, cost) = (cost_done + own * price, cost + frames * price);
            if price == ENCODE_COST {
                total += frames;
            }
        }
        let share = |whole: u64| cost_done * whole / cost.max(1);
        Self { done: share(total), total, percent: u8::try_from(share(MOST_PERCENT)).unwrap_or(0) }
    }
}

/// Returns the video encodes, each with its frames and the cost of a frame.
fn encodes(plan: &Plan) -> impl Iterator<Item = (&Task, u64, u64)> {
    plan.tasks.iter().filter_map(|task| match &task.kind {
        TaskKind::AnalyseVideo(encode) => Some((task, encode.most_frames(), FIRST_PASS_COST)),
        TaskKind::EncodeVideo(encode) => Some((task, encode.most_frames(), ENCODE_COST)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn task(id: &str, kind: &str, frames: u64) -> Value {
        let branch = json!({"rate": "25/1", "frames": frames, "clip_frames": [frames], "from_fields": false,
            "keeps_range": false, "renditions": []});
        json!({"id": id, "kind": {kind: {"clips": [], "branches": [branch]}}, "reads": []})
    }

    fn id(name: &str) -> TaskId {
        serde_json::from_value(json!(name)).unwrap()
    }

    fn plan(tasks: &[Value]) -> Plan {
        serde_json::from_value(json!({"tasks": tasks, "outputs": [], "notes": []})).unwrap()
    }

    fn reading(plan: &Plan, delivered: &[(&str, u64)]) -> (u64, u64, u8) {
        let delivered = delivered.iter().map(|(task, frames)| (id(task), *frames)).collect();
        let Reading { done, total, percent } = Reading::of(plan, &delivered);
        (done, total, percent)
    }

    #[test]
    fn first_pass_frames_count_by_their_cost() {
        let plan = plan(&[
            task("analysis-0000", "analyse_video", 400),
            task("analysis-0001", "analyse_video", 300),
            task("chunk-0000", "encode_video", 400),
            task("chunk-0001", "encode_video", 300),
        ]);
        assert_eq!(reading(&plan, &[]), (0, 700, 0));
        // Half of the first passes is a fourteenth of the work.
        assert_eq!(reading(&plan, &[("analysis-0000", 350)]), (50, 700, 7));
        let first = [("analysis-0000", 400), ("analysis-0001", 300)];
        assert_eq!(reading(&plan, &first), (100, 700, 14));
        assert_eq!(reading(&plan, &[&first[..], &[("chunk-0001", 300)]].concat()), (357, 700, 50));
        let all = [&first[..], &[("chunk-0000", 999), ("chunk-0001", 300)]].concat();
        assert_eq!(reading(&plan, &all), (700, 700, 99), "an encoder may report more frames than planned");
    }

    #[test]
    fn frames_without_first_pass_count_fully() {
        let plan = plan(&[task("video", "encode_video", 90)]);
        assert_eq!(reading(&plan, &[("video", 31)]), (31, 90, 34));
    }

    #[test]
    fn job_without_video_has_no_progress() {
        assert_eq!(reading(&plan(&[]), &[]), (0, 0, 0));
    }
}
