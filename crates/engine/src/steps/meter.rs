//! How far a job's pictures are: in the frames that its encodes deliver, whichever run at once, out the job's progress.
//! Never less than before, and never the last hundredth: that is packaging's and verifying's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abanico_plan::{Plan, Task, TaskId, TaskKind};

use super::JobContext;

/// What a frame of a first pass costs, and one of all renditions: a rough share, which differs from film to film.
const FIRST_PASS_COST: u64 = 1;
const ENCODE_COST: u64 = 6;
/// Hundredths that are the encodes'.
const MOST_PERCENT: u64 = 99;

/// Frames that each encode of a job has delivered.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<BTreeMap<TaskId, u64>>>);

impl Meter {
    fn delivered(&self) -> MutexGuard<'_, BTreeMap<TaskId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what earlier runs of the program have finished, which `is_finished` tells, unless that is known.
    pub fn begin(&self, plan: &Plan, is_finished: impl Fn(&TaskId) -> bool) {
        let mut delivered = self.delivered();
        for (task, frames, _) in encodes(plan) {
            if is_finished(&task.id) {
                delivered.insert(task.id.clone(), frames);
            }
        }
    }

    /// Notes the frames of one encode, and tells the job's progress.
    pub fn note(&self, context: &JobContext, plan: &Plan, task: &TaskId, frames: u64) {
        let mut delivered = self.delivered();
        delivered.insert(task.clone(), frames);
        let reading = Reading::of(plan, &delivered);
        context.update(|live| {
            (live.frames_done, live.frames_total) = (live.frames_done.max(reading.done), reading.total);
            live.transcoding_percent = live.transcoding_percent.max(reading.percent);
        });
    }
}

/// What the meter shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Reading {
    /// Frames done, by what they cost.
    done: u64,
    /// All frames of the film.
    total: u64,
    /// The same in hundredths.
    percent: u8,
}

impl Reading {
    /// Frames and hundredths come from one sum, so they say the same.
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

/// The encodes of pictures with their frames and what each costs.
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
        json!({"id": id, "kind": {kind: {"clips": [], "branches": [branch]}}, "after": []})
    }

    fn plan(tasks: &[Value]) -> Plan {
        serde_json::from_value(json!({"tasks": tasks, "outputs": [], "notes": []})).unwrap()
    }

    fn reading(plan: &Plan, delivered: &[(&str, u64)]) -> (u64, u64, u8) {
        let delivered = delivered.iter().map(|(task, frames)| (TaskId::new(*task), *frames)).collect();
        let Reading { done, total, percent } = Reading::of(plan, &delivered);
        (done, total, percent)
    }

    #[test]
    fn do_frames_of_a_first_pass_count_as_the_part_that_it_is_in_frames_and_hundredths() {
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
        assert_eq!(reading(&plan, &all), (700, 700, 99), "an encoder may tell more frames than are planned");
    }

    #[test]
    fn are_frames_without_a_first_pass_just_those_encoded() {
        let plan = plan(&[task("video", "encode_video", 90)]);
        assert_eq!(reading(&plan, &[("video", 31)]), (31, 90, 34));
    }

    #[test]
    fn is_a_job_without_pictures_at_nothing() {
        assert_eq!(reading(&plan(&[]), &[]), (0, 0, 0));
    }
}
