//! The life of one job as a pure state machine: takes events and returns the commands that follow.
//!
//! It uses no I/O, clock or randomness. The embedded loop, or any other driver, that replays the same events reaches
//! the same end. Each event costs as much as the commands that follow from it, however many tasks the job has.
//!
//! A report counts only if it is about an attempt that runs, so events may come twice, late or in any order. What ran when
//! the driver stopped has ended with it: a machine that was read back runs nothing until the next [`Event::Started`].

mod snapshot;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use abanico_plan::{Task, TaskId};
use serde::{Deserialize, Serialize};

use crate::failure;

use snapshot::Snapshot;
use tasks::Tasks;

/// How often one step is tried before the job fails.
pub const MAX_ATTEMPTS: u32 = 3;

/// How often taking back is tried before the job ends all the same; the engine goes on trying.
pub const MAX_TAKE_BACK_ATTEMPTS: u32 = 5;

/// Returns the back-off of an attempt: how long it waits after the failure before it. The first attempt waits for nothing,
/// the second for one second, and each further one four times as long, up to about a minute, because a temporary fault may
/// need a moment to clear.
pub const fn backoff(attempt: u32) -> Duration {
    match attempt {
        0 | 1 => Duration::ZERO,
        2 => Duration::from_secs(1),
        3 => Duration::from_secs(4),
        4 => Duration::from_secs(16),
        _ => Duration::from_secs(64),
    }
}

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

pub use abanico_tasks::Failure;

/// A task of a plan as the machine sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// The task.
    pub task: TaskId,
    /// The tasks that must be done before.
    pub after: Vec<TaskId>,
}

impl From<&Task> for Waiting {
    fn from(task: &Task) -> Self {
        Self { task: task.id.clone(), after: task.after().cloned().collect() }
    }
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
    /// The job's turn has come, for the first time or after a restart of the driver. Runs what does not run yet.
    Started,
    /// The plan is made; these are its tasks.
    Planned(Vec<Waiting>),
    /// A task of the plan is done, and its files are in place.
    TaskDone(TaskId),
    /// Every output is published.
    Published,
    /// What stood at the destinations stands there again.
    TakenBack,
    /// An attempt at a step failed.
    Failed {
        /// The step.
        step: Step,
        /// Number of the attempt, from its command.
        attempt: u32,
        /// Why it failed.
        failure: Failure,
    },
    /// The job cannot go on, whatever its steps do.
    GivenUp(Failure),
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
        /// How much time must pass after the event before the attempt may begin. Meanwhile the step counts as running.
        not_before: Duration,
    },
    /// Stop every running step.
    StopAll,
    /// The job has ended: clean up.
    Finish,
}

/// State of one job. Its serialised form is the job's snapshot: a machine read back continues where the other
/// stopped.
///
/// Machines are equal if they continue alike after a restart; what runs does not count.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Snapshot", into = "Snapshot")]
pub struct JobMachine {
    stage: Stage,
    tasks: Tasks,
    /// The tasks that are done, while all tasks are kept elsewhere.
    put_away: Option<Vec<(usize, usize)>>,
    /// What runs besides tasks.
    running: BTreeSet<Step>,
    /// How often each step was tried again; only steps that were.
    retries: BTreeMap<Step, u32>,
    failure: Option<Failure>,
    /// The final stage that the job will have once its outputs are taken back. From now on nothing else can happen.
    ending: Option<Stage>,
}

impl Default for JobMachine {
    fn default() -> Self {
        Self {
            stage: Stage::Submitted,
            tasks: Tasks::default(),
            put_away: None,
            running: BTreeSet::new(),
            retries: BTreeMap::new(),
            failure: None,
            ending: None,
        }
    }
}

impl PartialEq for JobMachine {
    fn eq(&self, other: &Self) -> bool {
        (self.stage, self.ending) == (other.stage, other.ending)
            && (&self.tasks, &self.put_away) == (&other.tasks, &other.put_away)
            && (&self.retries, &self.failure) == (&other.retries, &other.failure)
    }
}

impl Eq for JobMachine {}

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

    /// Returns the tasks that are done, in the order of their ids; none after the job's end.
    pub fn done(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.done()
    }

    /// Returns whether this task runs.
    pub fn does(&self, task: &TaskId) -> bool {
        self.tasks.is_running(task)
    }

    /// Returns the tasks whose files no other task needs any more, now that this one is done: those that it read, and
    /// that all others have read, too. Files for the user are still needed for publishing.
    pub fn let_go_by(&self, task: &TaskId) -> Vec<TaskId> {
        self.tasks.let_go_by(task)
    }

    /// Returns all tasks whose files other tasks have read and none needs any more.
    pub fn all_let_go(&self) -> Vec<TaskId> {
        self.tasks.all_let_go()
    }

    /// Returns the number of attempts beyond the first, summed over all steps so far.
    pub fn retries(&self) -> u32 {
        self.retries.values().sum()
    }

    /// Returns a copy without its tasks, which are kept elsewhere: it only knows which of them are done, by their places.
    #[must_use]
    pub fn without_tasks(&self) -> Self {
        let (stage, ending) = (self.stage, self.ending);
        let (retries, failure) = (self.retries.clone(), self.failure.clone());
        Self { stage, put_away: self.done_ranges(), retries, failure, ending, ..Self::default() }
    }

    /// Puts back the tasks that [`Self::without_tasks`] left out.
    ///
    /// # Errors
    /// Fails if some of the tasks could never begin.
    pub fn take_up(&mut self, tasks: Vec<Waiting>) -> Result<(), String> {
        if !matches!(self.stage, Stage::Transcoding | Stage::Uploading) || self.tasks.len() > 0 {
            return Ok(());
        }
        let tasks = Tasks::new(tasks.into_iter().map(|one| (one.task, one.after)))?;
        self.tasks = tasks.with_done(&self.put_away.take().unwrap_or_default());
        Ok(())
    }

    fn done_ranges(&self) -> Option<Vec<(usize, usize)>> {
        match self.tasks.len() {
            0 => self.put_away.clone(),
            _ => Some(self.tasks.done_ranges()),
        }
    }

    /// Forgets all work, because its files are missing. The next [`Event::Started`] starts from the beginning.
    pub fn start_over(&mut self) {
        if !self.stage.is_final() && self.ending.is_none() {
            *self = Self { retries: std::mem::take(&mut self.retries), ..Self::default() };
        }
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
            Event::TaskDone(task) => self.task_done(&task),
            Event::Published if self.running.remove(&Step::Publish) => self.finish(Stage::Complete),
            Event::Published => Vec::new(),
            Event::Failed { step, attempt, failure } => self.failed(step, attempt, failure),
            Event::GivenUp(failure) => self.fail(failure),
            Event::CancelRequested => self.end(Stage::Canceled),
        }
    }

    /// Ends the job without success. If some of it may be visible, that is taken back first.
    fn end(&mut self, stage: Stage) -> Vec<Command> {
        if self.stage != Stage::Uploading {
            return self.finish(stage);
        }
        self.ending = Some(stage);
        let stop = self.stop();
        stop.into_iter().chain(self.run(Step::TakeBack)).collect()
    }

    fn fail(&mut self, failure: Failure) -> Vec<Command> {
        self.failure = Some(failure);
        self.end(Stage::Error)
    }

    /// Applies an event to a job whose end is decided.
    fn taking_back(&mut self, event: Event, ending: Stage) -> Vec<Command> {
        match event {
            Event::Started => self.run(Step::TakeBack).into_iter().collect(),
            Event::Failed { step: Step::TakeBack, attempt, .. } => {
                if !self.has_ended(&Step::TakeBack, attempt) {
                    return Vec::new();
                }
                if attempt < MAX_TAKE_BACK_ATTEMPTS {
                    return self.try_again(Step::TakeBack);
                }
                self.taken_back(ending)
            }
            Event::TakenBack => self.taken_back(ending),
            _ => Vec::new(),
        }
    }

    fn taken_back(&mut self, ending: Stage) -> Vec<Command> {
        self.running.remove(&Step::TakeBack);
        self.ending = None;
        self.finish(ending)
    }

    /// Runs what is due and does not run. Steps that were interrupted have the same number of attempts as before,
    /// because the driver's end is not their fault.
    fn start(&mut self) -> Vec<Command> {
        if self.stage == Stage::Transcoding && self.put_away.is_some() {
            // Nobody has put the tasks back, so nobody knows what to do.
            self.start_over();
        }
        match self.stage {
            Stage::Submitted | Stage::Probing => {
                self.stage = Stage::Probing;
                self.run(Step::Prepare).into_iter().collect()
            }
            Stage::Uploading => self.run(Step::Publish).into_iter().collect(),
            _ => {
                let ready = self.tasks.all_ready();
                self.go_on(ready)
            }
        }
    }

    fn planned(&mut self, tasks: Vec<Waiting>) -> Vec<Command> {
        if !self.running.remove(&Step::Prepare) {
            return Vec::new();
        }
        match Tasks::new(tasks.into_iter().map(|one| (one.task, one.after))) {
            Ok(tasks) => self.tasks = tasks,
            Err(problem) => return self.fail(failure::broken(&problem)),
        }
        self.stage = Stage::Transcoding;
        let ready = self.tasks.all_ready();
        self.go_on(ready)
    }

    fn task_done(&mut self, task: &TaskId) -> Vec<Command> {
        if !self.tasks.is_running(task) {
            return Vec::new();
        }
        let ready = self.tasks.end(task);
        self.go_on(ready)
    }

    /// Runs these tasks, or publishes once all tasks are done.
    fn go_on(&mut self, ready: Vec<TaskId>) -> Vec<Command> {
        if self.tasks.are_done() {
            self.stage = Stage::Uploading;
            return self.run(Step::Publish).into_iter().collect();
        }
        ready.into_iter().filter_map(|task| self.run(Step::Task(task))).collect()
    }

    fn is_running(&self, step: &Step) -> bool {
        match step {
            Step::Task(task) => self.tasks.is_running(task),
            _ => self.running.contains(step),
        }
    }

    /// Runs a step, unless it runs already.
    fn run(&mut self, step: Step) -> Option<Command> {
        if self.is_running(&step) {
            return None;
        }
        match &step {
            Step::Task(task) => self.tasks.begin(task),
            _ => _ = self.running.insert(step.clone()),
        }
        let attempt = self.attempt(&step);
        Some(Command::Run { step, attempt, not_before: backoff(attempt) })
    }

    /// Returns the number of the step's current attempt, or of its first one.
    fn attempt(&self, step: &Step) -> u32 {
        self.retries.get(step).map_or(1, |retries| retries + 1)
    }

    /// Notes that this attempt has ended. Returns false if it does not run.
    fn has_ended(&mut self, step: &Step, attempt: u32) -> bool {
        if !self.is_running(step) || self.attempt(step) != attempt {
            return false;
        }
        match step {
            Step::Task(task) => self.tasks.halt(task),
            _ => _ = self.running.remove(step),
        }
        true
    }

    fn try_again(&mut self, step: Step) -> Vec<Command> {
        *self.retries.entry(step.clone()).or_default() += 1;
        self.run(step).into_iter().collect()
    }

    fn failed(&mut self, step: Step, attempt: u32, failure: Failure) -> Vec<Command> {
        if !self.has_ended(&step, attempt) {
            return Vec::new();
        }
        match failure.is_retryable && attempt < MAX_ATTEMPTS {
            true => self.try_again(step),
            false => self.fail(failure),
        }
    }

    /// Ends the job. The tasks are only needed to continue it; all that is reported later is how often steps were
    /// retried.
    fn finish(&mut self, stage: Stage) -> Vec<Command> {
        self.stage = stage;
        let stop = self.stop();
        (self.tasks, self.put_away) = (Tasks::default(), None);
        self.retries.remove(&Step::TakeBack);
        stop.into_iter().chain([Command::Finish]).collect()
    }

    /// Stops all that runs.
    fn stop(&mut self) -> Option<Command> {
        let runs = self.tasks.any_runs() || !self.running.is_empty();
        self.running.clear();
        runs.then_some(Command::StopAll)
    }
}

#[cfg(test)]
mod tests;
