//! Finds encodes of a fleet that are late, by the rule of the embedded engine: [`Paces`] compares those that are alike.
//! It reads no clock; workers tell how long their tasks have run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use abanico_plan::{Pass, Plan, TaskId, TaskKind, VideoEncode};

use super::RunningTask;
use crate::embedded::stragglers::{Alike, Course, Paces, Underway};

/// The running encodes of one job.
#[derive(Default)]
pub(super) struct Lateness {
    paces: Paces,
    underway: BTreeMap<TaskId, Underway>,
    /// Those that have had a second attempt.
    doubled: BTreeSet<TaskId>,
}

impl Lateness {
    /// Returns the tasks among those that run that should begin a second time, each once.
    pub fn late(&mut self, plan: &Plan, running: &BTreeMap<TaskId, RunningTask>) -> Vec<TaskId> {
        self.underway.retain(|task, _| running.contains_key(task));
        let chunks = running.iter().filter_map(|(task, running)| Some((task, chunk(plan, task)?, running)));
        let chunks: Vec<_> = chunks.collect();
        for (task, encode, _) in &chunks {
            if !self.underway.contains_key(task) {
                self.underway.insert((*task).clone(), self.paces.begin(alike(encode)));
            }
        }
        let mut late = Vec::new();
        for (task, encode, running) in chunks {
            let course = Course { frames: encode.most_frames(), delivered: running.frames, ran: running.ran };
            let is_late = self.underway.get(task).is_some_and(|underway| underway.is_straggler(course));
            if is_late && self.doubled.insert(task.clone()) {
                late.push(task.clone());
            }
        }
        late
    }

    /// Notes that a task is done, after this time.
    pub fn done(&mut self, plan: &Plan, task: &TaskId, ran: Duration) {
        let Some(encode) = chunk(plan, task) else { return };
        let underway = self.underway.remove(task).unwrap_or_else(|| self.paces.begin(alike(encode)));
        underway.note(encode.most_frames(), ran);
    }

    /// Notes that a task has failed; its next attempt may be late again.
    pub fn failed(&mut self, task: &TaskId) {
        self.underway.remove(task);
        self.doubled.remove(task);
    }
}

/// Returns the encode of a task if it is one of a chunk.
fn chunk<'a>(plan: &'a Plan, task: &TaskId) -> Option<&'a VideoEncode> {
    match &plan.task(task)?.kind {
        TaskKind::AnalyseVideo(encode) | TaskKind::EncodeVideo(encode) => {
            encode.chunk.is_some().then_some(encode)
        }
        _ => None,
    }
}

fn alike(encode: &VideoEncode) -> Alike {
    Alike {
        analyses: encode.renditions().any(|(_, one)| matches!(one.pass, Pass::First | Pass::Sample(_))),
        renditions: encode.encoded().map(|(_, one)| one.index).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plan(chunks: u32) -> Plan {
        let task = |number: u32| -> Value {
            let branch = json!({"rate": "25/1", "frames": 100, "clip_frames": [100], "from_fields": false,
                "keeps_range": false, "renditions": []});
            json!({"id": format!("chunk-{number:04}"), "reads": [],
                "kind": {"encode_video": {"clips": [], "branches": [branch], "chunk": number}}})
        };
        let tasks: Vec<Value> = (0..chunks).map(task).collect();
        serde_json::from_value(json!({"tasks": tasks, "outputs": [], "notes": []})).unwrap()
    }

    fn running(tasks: &[(u32, u64, u64)]) -> BTreeMap<TaskId, RunningTask> {
        let one = |(number, frames, seconds): &(u32, u64, u64)| {
            let ran = Duration::from_secs(*seconds);
            (TaskId::chunk(*number), RunningTask { frames: *frames, ran, worker: "w".to_owned() })
        };
        tasks.iter().map(one).collect()
    }

    #[test]
    fn late_chunk_begins_a_second_time_once() {
        let (plan, mut lateness) = (plan(4), Lateness::default());
        assert!(lateness.late(&plan, &running(&[(0, 90, 9), (1, 5, 9)])).is_empty(), "nobody has ended");
        for number in [0, 2, 3] {
            lateness.done(&plan, &TaskId::chunk(number), Duration::from_secs(10));
        }
        assert!(lateness.late(&plan, &running(&[(1, 5, 19)])).is_empty(), "it is not late yet");
        assert_eq!(lateness.late(&plan, &running(&[(1, 5, 21)])), [TaskId::chunk(1)]);
        assert!(lateness.late(&plan, &running(&[(1, 5, 22)])).is_empty(), "it has begun already");
        lateness.failed(&TaskId::chunk(1));
        assert_eq!(lateness.late(&plan, &running(&[(1, 5, 30)])), [TaskId::chunk(1)]);
    }

    #[test]
    fn other_tasks_are_never_late() {
        let (plan, mut lateness) = (plan(1), Lateness::default());
        lateness.done(&plan, &TaskId::video(), Duration::from_secs(1));
        let ran = Duration::from_secs(9999);
        let video =
            BTreeMap::from([(TaskId::video(), RunningTask { frames: 0, ran, worker: String::new() })]);
        assert!(lateness.late(&plan, &video).is_empty());
    }
}
