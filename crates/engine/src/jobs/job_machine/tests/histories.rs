//! Properties of the state machine over random histories: whatever the plan, and in whatever order attempts end, reports
//! come late or twice and drivers are killed, jobs reach the same end and obey the same rules on the way.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use super::{failure, restarted, task};

/// What happens next in a history.
#[derive(Clone, Debug)]
enum Turn {
    /// One of the running attempts succeeds.
    Succeed(usize),
    /// One of the running attempts fails for now.
    Fail(usize),
    /// A report that the machine has had comes again.
    Repeat(usize),
    /// `Started` comes again, though the driver still runs.
    StartAgain,
    /// The driver is killed with all that runs, and another one starts from the snapshot.
    Restart,
    /// The same, with the tasks kept beside the snapshot.
    RestartWithTasksApart,
}

/// A driver that checks every command that it is given.
struct Driver {
    machine: JobMachine,
    plan: Vec<Waiting>,
    /// The attempts that run.
    running: Vec<(Step, u32)>,
    /// All reports so far, of this driver and of those before it.
    reports: Vec<Event>,
    /// What happened to each step: how often it began, failed and was interrupted.
    begun: BTreeMap<Step, u32>,
    finished: u32,
}

impl Driver {
    fn of(plan: Vec<Waiting>) -> Self {
        let (machine, finished) = (JobMachine::default(), 0);
        let (running, reports, begun) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut driver = Self { machine, plan, running, reports, begun, finished };
        driver.apply(Event::Started);
        driver
    }

    fn apply(&mut self, event: Event) {
        let is_ended = self.machine.stage().is_final();
        for command in self.machine.apply(event) {
            assert!(!is_ended, "nothing follows the end");
            match command {
                Command::Run { step, attempt, not_before } => {
                    assert!(self.running.iter().all(|(running, _)| *running != step), "{step:?} runs twice");
                    assert_eq!(not_before, backoff(attempt));
                    if let Step::Task(task) = &step {
                        let after: Vec<TaskId> = self.plan_of(task).after.clone();
                        assert!(self.is_done(&after), "{task} runs too early");
                    }
                    if step == Step::Publish {
                        assert_eq!(self.machine.done().count(), self.plan.len(), "published too early");
                    }
                    *self.begun.entry(step.clone()).or_default() += 1;
                    self.running.push((step, attempt));
                }
                Command::StopAll => self.running.clear(),
                Command::Finish => self.finished += 1,
            }
        }
    }

    fn plan_of(&self, id: &TaskId) -> &Waiting {
        self.plan.iter().find(|task| task.task == *id).unwrap()
    }

    fn is_done(&self, tasks: &[TaskId]) -> bool {
        tasks.iter().all(|task| self.machine.done().any(|done| done == task))
    }

    /// Ends the attempt at this place with a report.
    fn end(&mut self, place: usize, is_well: bool) {
        if self.running.is_empty() {
            return;
        }
        let (step, attempt) = self.running.remove(place % self.running.len());
        let event = match step {
            _ if !is_well => Event::Failed { step, attempt, failure: failure(true) },
            Step::Prepare => Event::Planned(self.plan.clone()),
            Step::Task(task) => Event::TaskDone(task),
            Step::Publish => Event::Published,
            Step::TakeBack => Event::TakenBack,
        };
        self.reports.push(event.clone());
        self.apply(event);
    }

    /// Repeats a report about an attempt that does not run. Returns the machine before it.
    fn repeat(&mut self, place: usize) {
        if self.reports.is_empty() {
            return;
        }
        let event = self.reports[place % self.reports.len()].clone();
        let is_of = |step: Step| self.running.iter().any(|(running, _)| *running == step);
        let is_new = match &event {
            Event::Planned(_) => is_of(Step::Prepare),
            Event::TaskDone(task) => is_of(Step::Task(task.clone())),
            Event::Published => is_of(Step::Publish),
            Event::Failed { step, attempt, .. } => self.running.contains(&(step.clone(), *attempt)),
            _ => true,
        };
        // Nobody could tell such a report from one about the attempt that runs.
        if !is_new {
            let before = self.machine.clone();
            self.apply(event);
            assert_eq!(self.machine, before, "a late report changes nothing");
        }
    }

    fn restart(&mut self, are_apart: bool) {
        let before = self.machine.clone();
        self.machine = match are_apart {
            true => restarted(&before.without_tasks()),
            false => restarted(&before),
        };
        self.machine.take_up(self.plan.clone()).unwrap();
        assert_eq!(self.machine, before, "the snapshot has everything");
        self.running.clear();
        self.apply(Event::Started);
    }

    fn turn(&mut self, turn: &Turn) {
        match turn {
            Turn::Succeed(place) => self.end(*place, true),
            Turn::Fail(place) => self.end(*place, false),
            Turn::Repeat(place) => self.repeat(*place),
            Turn::StartAgain => self.apply(Event::Started),
            Turn::Restart => self.restart(false),
            Turn::RestartWithTasksApart => self.restart(true),
        }
    }

    /// Lets everything that runs succeed, until the end.
    fn run_to_the_end(&mut self) {
        for _ in 0..=(self.plan.len() + 3) * 2 {
            self.end(0, true);
        }
        assert!(self.running.is_empty() && self.machine.stage().is_final(), "{:?}", self.machine);
        assert_eq!(self.finished, 1, "a job ends once");
    }
}

/// Plans in which every task may come after any earlier ones. Names do not follow the order.
fn plans() -> impl Strategy<Value = Vec<Waiting>> {
    proptest::collection::vec(any::<u16>(), 0..12).prop_map(|choices| {
        let name = |place: usize| format!("task-{}", (place * 7) % 13);
        let all: Vec<String> = (0..choices.len()).map(name).collect();
        let planned = choices.iter().enumerate().map(|(place, choice)| {
            let before: Vec<&str> =
                (0..place).filter(|bit| choice >> bit & 1 == 1).map(|bit| all[bit].as_str()).collect();
            task(&all[place], &before)
        });
        planned.collect()
    })
}

/// Turns without failures for good.
fn turns(most: usize) -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        6 => any::<usize>().prop_map(Turn::Succeed),
        2 => any::<usize>().prop_map(Turn::Fail),
        3 => any::<usize>().prop_map(Turn::Repeat),
        1 => Just(Turn::StartAgain),
        1 => Just(Turn::Restart),
        1 => Just(Turn::RestartWithTasksApart),
    ];
    proptest::collection::vec(turn, 0..most)
}

proptest! {
    /// Whatever happens on the way, every task is done, published and complete at the end, unless one step failed three
    /// times.
    #[test]
    fn every_history_has_the_same_end((plan, turns) in (plans(), turns(80))) {
        let mut driver = Driver::of(plan);
        turns.iter().for_each(|turn| driver.turn(turn));
        driver.run_to_the_end();
        let mut failures = BTreeMap::new();
        for report in &driver.reports {
            if let Event::Failed { step, .. } = report {
                *failures.entry(step.clone()).or_insert(0) += 1;
            }
        }
        let has_failed = failures.values().any(|count| *count >= MAX_ATTEMPTS);
        prop_assert_eq!(driver.machine.stage(), if has_failed { Stage::Error } else { Stage::Complete });
        if !has_failed {
            for task in &driver.plan {
                prop_assert!(driver.reports.contains(&Event::TaskDone(task.task.clone())));
            }
            prop_assert_eq!(driver.machine.retries(), failures.values().sum::<u32>());
        }
    }

    /// A cancellation takes effect at once, also while an attempt waits for its time, and nothing undoes it.
    #[test]
    fn every_cancelled_job_ends_cancelled((plan, before, after) in (plans(), turns(40), turns(20))) {
        let mut driver = Driver::of(plan);
        before.iter().for_each(|turn| driver.turn(turn));
        let was = driver.machine.stage();
        driver.apply(Event::CancelRequested);
        let running: Vec<Step> = driver.running.iter().map(|(step, _)| step.clone()).collect();
        match was {
            Stage::Complete | Stage::Error => prop_assert_eq!(driver.machine.stage(), was),
            Stage::Uploading => prop_assert_eq!(running, [Step::TakeBack]),
            _ => prop_assert_eq!((driver.machine.stage(), running), (Stage::Canceled, vec![])),
        }
        after.iter().for_each(|turn| driver.turn(turn));
        driver.run_to_the_end();
        prop_assert!(was.is_final() || driver.machine.stage() != Stage::Complete);
    }

    /// A step begins once for each of its failures and for each restart, and no more.
    #[test]
    fn nothing_runs_more_often_than_it_must((plan, turns) in (plans(), turns(80))) {
        let mut driver = Driver::of(plan);
        turns.iter().for_each(|turn| driver.turn(turn));
        let restarts =
            turns.iter().filter(|turn| matches!(turn, Turn::Restart | Turn::RestartWithTasksApart)).count();
        for (step, begun) in &driver.begun {
            let is_of = |event: &&Event| matches!(event, Event::Failed { step: failed, .. } if failed == step);
            let failures = driver.reports.iter().filter(is_of).count();
            prop_assert!(*begun as usize <= 1 + failures + restarts, "{step:?} began {begun} times");
        }
    }
}
