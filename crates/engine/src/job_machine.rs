//! The course of one job as a pure state machine: in what happened, out what to do next.
//!
//! Never: I/O, a clock, randomness. The embedded loop, and any other driver, replays the same events to the same end.

use std::collections::{BTreeMap, BTreeSet};

use abanico_plan::{Task, TaskId};
use serde::{Deserialize, Serialize};

/// How often one step is tried before the job fails.
pub const MAX_ATTEMPTS: u32 = 3;

/// Where a job stands; the words are MediaConvert's phases between its states.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Stage {
    /// Waits for its turn.
    Submitted,
    /// The input is fetched, probed and planned.
    Probing,
    /// Tasks of the plan run.
    Transcoding,
    /// Verified outputs are published.
    Uploading,
    /// All outputs stand in their place.
    Complete,
    /// It failed; nothing of it is visible.
    Error,
    /// The user stopped it; nothing of it is visible.
    Canceled,
}

impl Stage {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Error | Self::Canceled)
    }
}

/// Why a job ended in [`Stage::Error`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// MediaConvert's error code, such as 1010.
    pub code: u32,
    /// What is wrong with which thing, and the remedy.
    pub message: String,
    /// Whether another try may do.
    pub is_retryable: bool,
}

/// One unit of work outside the machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Fetch, probe and plan.
    Prepare,
    /// Run a task of the plan.
    Task(TaskId),
    /// Publish all outputs.
    Publish,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The job's turn has come, first or after a restart of the driver.
    Started,
    /// The plan stands; its tasks.
    Planned(Vec<Task>),
    /// A task of the plan is done, its files are in place.
    TaskDone(TaskId),
    /// Every output stands in its place.
    Published,
    /// A step failed.
    Failed(Step, Failure),
    /// The user wants the job stopped.
    CancelRequested,
}

/// What the driver must do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Start a step; `attempt` counts from 1.
    Run {
        /// The step.
        step: Step,
        /// Which try this is.
        attempt: u32,
    },
    /// Stop every running step.
    StopAll,
    /// The job has reached its end: clean up.
    Finish,
}

/// State of one job. Serialised, it is the job's snapshot: a machine read back goes on where the other stopped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobMachine {
    stage: Stage,
    tasks: BTreeMap<TaskId, BTreeSet<TaskId>>,
    done: BTreeSet<TaskId>,
    running: BTreeSet<Step>,
    attempts: Vec<(Step, u32)>,
    failure: Option<Failure>,
}

impl Default for JobMachine {
    fn default() -> Self {
        Self {
            stage: Stage::Submitted,
            tasks: BTreeMap::new(),
            done: BTreeSet::new(),
            running: BTreeSet::new(),
            attempts: Vec::new(),
            failure: None,
        }
    }
}

impl JobMachine {
    /// Where the job stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Why it failed, in [`Stage::Error`].
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Tasks that are done; none any more at the job's end.
    pub fn done(&self) -> &BTreeSet<TaskId> {
        &self.done
    }

    /// Tries beyond the first of all steps so far.
    pub fn retries(&self) -> u32 {
        self.attempts.iter().map(|(_, attempts)| attempts.saturating_sub(1)).sum()
    }

    /// Forgets all work, because its files are gone: the next [`Event::Started`] begins anew.
    pub fn start_over(&mut self) {
        if !self.stage.is_final() {
            *self = Self { attempts: std::mem::take(&mut self.attempts), ..Self::default() };
        }
    }

    /// Enters the stage of a job that another service does; false when the job is there or beyond already.
    pub(crate) fn mirror(&mut self, stage: Stage, failure: Option<Failure>) -> bool {
        let is_news = !self.stage.is_final() && stage > self.stage;
        if is_news {
            self.stage = stage;
            self.failure = failure;
        }
        is_news
    }

    /// Takes in what happened and says what to do. Events that come too late change nothing.
    pub fn apply(&mut self, event: Event) -> Vec<Command> {
        if self.stage.is_final() {
            return Vec::new();
        }
        match event {
            Event::Started => self.start(),
            Event::Planned(tasks) => self.planned(tasks),
            Event::TaskDone(task) => self.task_done(task),
            Event::Published => {
                self.running.remove(&Step::Publish);
                self.finish(Stage::Complete)
            }
            Event::Failed(step, failure) => self.failed(step, failure),
            Event::CancelRequested => self.finish(Stage::Canceled),
        }
    }

    /// Steps that were running when the driver stopped are started again; their attempts do not count, because the
    /// driver's end is not their fault.
    fn start(&mut self) -> Vec<Command> {
        let interrupted = std::mem::take(&mut self.running);
        for step in interrupted {
            if let Some(entry) = self.attempts.iter_mut().find(|(known, _)| *known == step) {
                entry.1 = entry.1.saturating_sub(1);
            }
        }
        match self.stage {
            Stage::Submitted | Stage::Probing => {
                self.stage = Stage::Probing;
                vec![self.run(Step::Prepare)]
            }
            Stage::Uploading => vec![self.run(Step::Publish)],
            _ => self.run_what_is_ready(),
        }
    }

    fn planned(&mut self, tasks: Vec<Task>) -> Vec<Command> {
        self.running.remove(&Step::Prepare);
        if self.stage != Stage::Probing {
            return Vec::new();
        }
        self.stage = Stage::Transcoding;
        self.tasks = tasks.into_iter().map(|task| (task.id, task.after.into_iter().collect())).collect();
        self.run_what_is_ready()
    }

    fn task_done(&mut self, task: TaskId) -> Vec<Command> {
        self.running.remove(&Step::Task(task.clone()));
        if self.tasks.contains_key(&task) {
            self.done.insert(task);
        }
        self.run_what_is_ready()
    }

    fn run_what_is_ready(&mut self) -> Vec<Command> {
        if self.stage != Stage::Transcoding {
            return Vec::new();
        }
        if self.tasks.keys().all(|task| self.done.contains(task)) {
            self.stage = Stage::Uploading;
            return vec![self.run(Step::Publish)];
        }
        let ready: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(task, after)| {
                !self.done.contains(*task) && after.iter().all(|before| self.done.contains(before))
            })
            .map(|(task, _)| task.clone())
            .filter(|task| !self.running.contains(&Step::Task(task.clone())))
            .collect();
        ready.into_iter().map(|task| self.run(Step::Task(task))).collect()
    }

    fn run(&mut self, step: Step) -> Command {
        self.running.insert(step.clone());
        let attempt = match self.attempts.iter_mut().find(|(known, _)| *known == step) {
            Some((_, attempts)) => {
                *attempts += 1;
                *attempts
            }
            None => {
                self.attempts.push((step.clone(), 1));
                1
            }
        };
        Command::Run { step, attempt }
    }

    fn failed(&mut self, step: Step, failure: Failure) -> Vec<Command> {
        self.running.remove(&step);
        let attempts =
            self.attempts.iter().find(|(known, _)| *known == step).map_or(0, |(_, attempts)| *attempts);
        if failure.is_retryable && attempts < MAX_ATTEMPTS {
            return vec![self.run(step)];
        }
        self.failure = Some(failure);
        self.finish(Stage::Error)
    }

    /// Which tasks there were and are done is for going on; all that is told of them later is how often they were tried again.
    fn finish(&mut self, stage: Stage) -> Vec<Command> {
        self.stage = stage;
        self.tasks.clear();
        self.done.clear();
        self.attempts.retain(|(_, attempts)| *attempts > 1);
        let stop = !std::mem::take(&mut self.running).is_empty();
        stop.then_some(Command::StopAll).into_iter().chain([Command::Finish]).collect()
    }
}

#[cfg(test)]
mod tests;
