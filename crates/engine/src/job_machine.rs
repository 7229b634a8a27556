//! The life of one job as a pure state machine: takes events and returns the commands that follow.
//!
//! It uses no I/O, clock or randomness. The embedded loop, or any other driver, that replays the same events reaches
//! the same end.

use std::collections::{BTreeMap, BTreeSet};

use abanico_plan::{Task, TaskId};
use serde::{Deserialize, Serialize};

/// How often one step is tried before the job fails.
pub const MAX_ATTEMPTS: u32 = 3;

/// How often taking back is tried before the job ends all the same; the engine goes on trying.
pub const MAX_TAKE_BACK_ATTEMPTS: u32 = 5;

/// Stage of a job. The names combine MediaConvert's states with the phases between them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Stage {
    /// The job waits for its turn.
    Submitted,
    /// The inputs are fetched and probed, and the job is planned.
    Probing,
    /// The plan's tasks run.
    Transcoding,
    /// Verified outputs are published.
    Uploading,
    /// All outputs are published.
    Complete,
    /// The job failed; nothing of it is visible.
    Error,
    /// The user cancelled the job; nothing of it is visible.
    Canceled,
}

impl Stage {
    /// Returns whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Error | Self::Canceled)
    }
}

/// Why a job ended in [`Stage::Error`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// MediaConvert's error code, such as 1010.
    pub code: u32,
    /// What is wrong with which file or setting, and the remedy.
    pub message: String,
    /// Whether a retry may succeed.
    pub is_retryable: bool,
}

/// One unit of work outside the machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Fetch and probe the inputs, and plan the job.
    Prepare,
    /// Run a task of the plan.
    Task(TaskId),
    /// Publish all outputs.
    Publish,
    /// Let stand again what stood at the destinations before.
    TakeBack,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The job's turn has come, for the first time or after a restart of the driver.
    Started,
    /// The plan is made; these are its tasks.
    Planned(Vec<Task>),
    /// A task of the plan is done, and its files are in place.
    TaskDone(TaskId),
    /// Every output is published.
    Published,
    /// What stood at the destinations stands there again.
    TakenBack,
    /// A step failed.
    Failed(Step, Failure),
    /// The user wants to cancel the job.
    CancelRequested,
}

/// What the driver must do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Start a step; `attempt` counts from 1.
    Run {
        /// The step.
        step: Step,
        /// Number of the attempt.
        attempt: u32,
    },
    /// Stop every running step.
    StopAll,
    /// The job has ended: clean up.
    Finish,
}

/// State of one job. Its serialised form is the job's snapshot: a machine read back continues where the other
/// stopped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobMachine {
    stage: Stage,
    tasks: BTreeMap<TaskId, BTreeSet<TaskId>>,
    done: BTreeSet<TaskId>,
    running: BTreeSet<Step>,
    attempts: Vec<(Step, u32)>,
    failure: Option<Failure>,
    /// The final stage that the job will have once its outputs are taken back. From now on nothing else can happen.
    #[serde(default)]
    ending: Option<Stage>,
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
            ending: None,
        }
    }
}

impl JobMachine {
    /// Returns the job's stage.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns why the job failed, in [`Stage::Error`].
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Returns the final stage that the job will have, while its outputs are taken back.
    pub fn ending(&self) -> Option<Stage> {
        self.ending
    }

    /// Returns the tasks that are done; empty after the job's end.
    pub fn done(&self) -> &BTreeSet<TaskId> {
        &self.done
    }

    /// Returns the number of attempts beyond the first, summed over all steps so far.
    pub fn retries(&self) -> u32 {
        self.attempts.iter().map(|(_, attempts)| attempts.saturating_sub(1)).sum()
    }

    /// Forgets all work, because its files are missing. The next [`Event::Started`] starts from the beginning.
    pub fn start_over(&mut self) {
        if !self.stage.is_final() && self.ending.is_none() {
            *self = Self { attempts: std::mem::take(&mut self.attempts), ..Self::default() };
        }
    }

    /// Enters the stage of a job that another service does. Returns false if the job is already in this stage or
    /// beyond.
    pub(crate) fn mirror(&mut self, stage: Stage, failure: Option<Failure>) -> bool {
        let is_news = !self.stage.is_final() && stage > self.stage;
        if is_news {
            self.stage = stage;
            self.failure = failure;
        }
        is_news
    }

    /// Applies an event and returns what to do. Events that come too late change nothing.
    pub fn apply(&mut self, event: Event) -> Vec<Command> {
        if self.stage.is_final() {
            return Vec::new();
        }
        if let Some(ending) = self.ending {
            return self.taking_back(event, ending);
        }
        match event {
            Event::TakenBack => Vec::new(),
            Event::Started => self.start(),
            Event::Planned(tasks) => self.planned(tasks),
            Event::TaskDone(task) => self.task_done(task),
            Event::Published => {
                self.running.remove(&Step::Publish);
                self.finish(Stage::Complete)
            }
            Event::Failed(step, failure) => self.failed(step, failure),
            Event::CancelRequested => self.end(Stage::Canceled),
        }
    }

    /// Ends the job without success. If some of it may be visible, that is taken back first.
    fn end(&mut self, stage: Stage) -> Vec<Command> {
        if self.stage != Stage::Uploading {
            return self.finish(stage);
        }
        self.ending = Some(stage);
        let stop = !std::mem::take(&mut self.running).is_empty();
        stop.then_some(Command::StopAll).into_iter().chain([self.run(Step::TakeBack)]).collect()
    }

    /// Applies an event to a job whose end is decided.
    fn taking_back(&mut self, event: Event, ending: Stage) -> Vec<Command> {
        match event {
            Event::Started => {
                self.forget_interrupted();
                vec![self.run(Step::TakeBack)]
            }
            Event::Failed(Step::TakeBack, _)
                if self.attempts_at(&Step::TakeBack) < MAX_TAKE_BACK_ATTEMPTS =>
            {
                vec![self.run(Step::TakeBack)]
            }
            Event::TakenBack | Event::Failed(Step::TakeBack, _) => {
                self.running.remove(&Step::TakeBack);
                self.ending = None;
                self.finish(ending)
            }
            _ => Vec::new(),
        }
    }

    /// Restarts the steps that were running when the driver stopped. Those attempts do not count, because the
    /// driver's end is not their fault.
    fn start(&mut self) -> Vec<Command> {
        self.forget_interrupted();
        match self.stage {
            Stage::Submitted | Stage::Probing => {
                self.stage = Stage::Probing;
                vec![self.run(Step::Prepare)]
            }
            Stage::Uploading => vec![self.run(Step::Publish)],
            _ => self.run_what_is_ready(),
        }
    }

    fn forget_interrupted(&mut self) {
        let interrupted = std::mem::take(&mut self.running);
        for step in interrupted {
            if let Some(entry) = self.attempts.iter_mut().find(|(known, _)| *known == step) {
                entry.1 = entry.1.saturating_sub(1);
            }
        }
    }

    fn attempts_at(&self, step: &Step) -> u32 {
        self.attempts.iter().find(|(known, _)| known == step).map_or(0, |(_, attempts)| *attempts)
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
        if failure.is_retryable && self.attempts_at(&step) < MAX_ATTEMPTS {
            return vec![self.run(step)];
        }
        self.failure = Some(failure);
        self.end(Stage::Error)
    }

    /// Ends the job. The tasks are only needed to continue it; all that is reported later is how often steps were
    /// retried.
    fn finish(&mut self, stage: Stage) -> Vec<Command> {
        self.stage = stage;
        self.tasks.clear();
        self.done.clear();
        self.attempts.retain(|(step, attempts)| *attempts > 1 && *step != Step::TakeBack);
        let stop = !std::mem::take(&mut self.running).is_empty();
        stop.then_some(Command::StopAll).into_iter().chain([Command::Finish]).collect()
    }
}

#[cfg(test)]
mod tests;
