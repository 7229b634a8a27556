//! The serialised form of a job's state machine, and how snapshots of older versions are read.
//!
//! What can be told from the rest is not stored: which tasks wait for how many others, and what runs. A machine that is
//! read back runs nothing until the next `Started`.

use std::collections::BTreeMap;

use abanico_plan::TaskId;
use serde::{Deserialize, Serialize};

use super::tasks::Tasks;
use super::{Failure, JobMachine, Stage, Step};

/// State of a job as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Snapshot {
    stage: Stage,
    /// All tasks, each with those that it comes after. Empty if they are kept elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tasks: BTreeMap<TaskId, Vec<TaskId>>,
    /// The tasks that are done: the first and the last place of each unbroken run, in the order of all ids. `None` if the
    /// job has no tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done_ranges: Option<Vec<(usize, usize)>>,
    /// The steps that were tried again, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retries: Vec<(Step, u32)>,
    failure: Option<Failure>,
    #[serde(default)]
    ending: Option<Stage>,
    /// Older versions name the tasks that are done.
    #[serde(default, skip_serializing)]
    done: Vec<TaskId>,
    /// Older versions count all attempts at each step, the first one too.
    #[serde(default, skip_serializing)]
    attempts: Vec<(Step, u32)>,
}

impl From<JobMachine> for Snapshot {
    fn from(machine: JobMachine) -> Self {
        let own = |(id, after): (&TaskId, Vec<&TaskId>)| (id.clone(), after.into_iter().cloned().collect());
        Self {
            stage: machine.stage,
            tasks: machine.tasks.with_after().map(own).collect(),
            done_ranges: machine.done_ranges(),
            retries: machine.retries.into_iter().collect(),
            failure: machine.failure,
            ending: machine.ending,
            done: Vec::new(),
            attempts: Vec::new(),
        }
    }
}

impl TryFrom<Snapshot> for JobMachine {
    type Error = String;

    fn try_from(snapshot: Snapshot) -> Result<Self, String> {
        let has_tasks = !snapshot.tasks.is_empty();
        let mut tasks = Tasks::new(snapshot.tasks)?;
        for task in &snapshot.done {
            tasks.end(task);
        }
        let (tasks, put_away) = match snapshot.done_ranges {
            Some(ranges) if has_tasks => (tasks.with_done(&ranges), None),
            put_away => (tasks, put_away),
        };
        let again = |(step, attempts): (Step, u32)| (step, attempts.saturating_sub(1));
        let retries = snapshot.retries.into_iter().chain(snapshot.attempts.into_iter().map(again));
        Ok(Self {
            stage: snapshot.stage,
            tasks,
            put_away,
            retries: retries.filter(|(_, retries)| *retries > 0).collect(),
            failure: snapshot.failure,
            ending: snapshot.ending,
            ..Self::default()
        })
    }
}
