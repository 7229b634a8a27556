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
        let (mut done, mut total, mut cost_done, mut cost) = (0, 0, 0, 0);
        for (task, frames, price) in encodes(plan) {
            let own = delivered.get(&task.id).copied().unwrap_or(0).min(frames);
            (cost_done, cost) = (cost_done + own * price, cost + frames * price);
            if price == ENCODE_COST {
                (done, total) = (done + own, total + frames);
            }
        }
        let percent = u8::try_from(cost_done * MOST_PERCENT / cost.max(1)).unwrap_or(0);
        context.update(|live| {
            (live.frames_done, live.frames_total) = (live.frames_done.max(done), total);
            live.transcoding_percent = live.transcoding_percent.max(percent);
        });
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
