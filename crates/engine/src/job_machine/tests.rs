//! Tests of the state machine: applies events and checks the commands that follow.

use abanico_plan::TaskKind;
use proptest::prelude::*;

use super::*;

fn id(name: &str) -> TaskId {
    TaskId::new(name)
}

/// Returns the tasks `audio` and `video`, then `package`, then `verify`.
fn tasks() -> Vec<Task> {
    let task = |name: &str, after: &[&str]| Task {
        id: id(name),
        kind: TaskKind::Verify { output: 0 },
        after: after.iter().map(|before| id(before)).collect(),
    };
    vec![
        task("audio", &[]),
        task("video", &[]),
        task("package", &["audio", "video"]),
        task("verify", &["package"]),
    ]
}

fn run(name: &str, attempt: u32) -> Command {
    Command::Run { step: Step::Task(id(name)), attempt }
}

fn failure(is_retryable: bool) -> Failure {
    Failure { code: 1999, message: "it broke".into(), is_retryable }
}

fn transcoding() -> JobMachine {
    let mut machine = JobMachine::default();
    machine.apply(Event::Started);
    machine.apply(Event::Planned(tasks()));
    machine
}

#[test]
fn job_runs_from_submission_to_completion() {
    let mut machine = JobMachine::default();
    assert_eq!(machine.apply(Event::Started), [Command::Run { step: Step::Prepare, attempt: 1 }]);
    assert_eq!(machine.stage(), Stage::Probing);
    assert_eq!(machine.apply(Event::Planned(tasks())), [run("audio", 1), run("video", 1)]);
    assert_eq!(machine.apply(Event::TaskDone(id("audio"))), []);
    assert_eq!(machine.apply(Event::TaskDone(id("video"))), [run("package", 1)]);
    assert_eq!(machine.apply(Event::TaskDone(id("package"))), [run("verify", 1)]);
    assert_eq!(
        machine.apply(Event::TaskDone(id("verify"))),
        [Command::Run { step: Step::Publish, attempt: 1 }]
    );
    assert_eq!(machine.stage(), Stage::Uploading);
    assert_eq!(machine.apply(Event::Published), [Command::Finish]);
    assert_eq!(machine.stage(), Stage::Complete);
}

#[test]
fn retryable_failure_is_tried_three_times() {
    let mut machine = transcoding();
    let step = Step::Task(id("video"));
    assert_eq!(machine.apply(Event::Failed(step.clone(), failure(true))), [run("video", 2)]);
    assert_eq!(machine.apply(Event::Failed(step.clone(), failure(true))), [run("video", 3)]);
    assert_eq!(machine.apply(Event::Failed(step, failure(true))), [Command::StopAll, Command::Finish]);
    assert_eq!((machine.stage(), machine.failure().map(|failure| failure.code)), (Stage::Error, Some(1999)));
    assert_eq!(machine.retries(), 2);
}

#[test]
fn permanent_failure_ends_job_at_once() {
    let mut machine = transcoding();
    let commands = machine.apply(Event::Failed(Step::Task(id("audio")), failure(false)));
    assert_eq!(commands, [Command::StopAll, Command::Finish]);
}

#[test]
fn cancelling_stops_steps_and_ignores_late_events() {
    let mut machine = transcoding();
    assert_eq!(machine.apply(Event::CancelRequested), [Command::StopAll, Command::Finish]);
    assert_eq!(machine.apply(Event::TaskDone(id("video"))), []);
    assert_eq!(machine.apply(Event::Failed(Step::Publish, failure(true))), []);
    assert_eq!(machine.stage(), Stage::Canceled);
}

fn uploading() -> JobMachine {
    let mut machine = transcoding();
    for task in ["audio", "video", "package", "verify"] {
        machine.apply(Event::TaskDone(id(task)));
    }
    assert_eq!(machine.stage(), Stage::Uploading);
    machine
}

const fn take_back(attempt: u32) -> Command {
    Command::Run { step: Step::TakeBack, attempt }
}

#[test]
fn job_that_ends_while_it_publishes_is_taken_back_first() {
    let broken = Event::Failed(Step::Publish, failure(false));
    for (event, ending) in [(Event::CancelRequested, Stage::Canceled), (broken, Stage::Error)] {
        let mut machine = uploading();
        let commands = machine.apply(event);
        assert_eq!(commands.last(), Some(&take_back(1)), "{ending:?}");
        assert_eq!((machine.stage(), machine.ending()), (Stage::Uploading, Some(ending)));
        for late in [Event::Published, Event::CancelRequested, Event::Failed(Step::Publish, failure(true))] {
            assert_eq!(machine.apply(late), [], "{ending:?}");
        }
        machine.start_over();
        let snapshot = serde_json::to_string(&machine).unwrap();
        let mut restarted: JobMachine = serde_json::from_str(&snapshot).unwrap();
        assert_eq!(restarted.apply(Event::Started), [take_back(1)]);
        assert_eq!(restarted.apply(Event::TakenBack), [Command::Finish]);
        assert_eq!((restarted.stage(), restarted.ending(), restarted.retries()), (ending, None, 0));
    }
}

#[test]
fn job_ends_even_if_it_cannot_be_taken_back() {
    let mut machine = uploading();
    machine.apply(Event::CancelRequested);
    for attempt in 2..=MAX_TAKE_BACK_ATTEMPTS {
        assert_eq!(machine.apply(Event::Failed(Step::TakeBack, failure(false))), [take_back(attempt)]);
    }
    assert_eq!(machine.apply(Event::Failed(Step::TakeBack, failure(true))), [Command::Finish]);
    assert_eq!((machine.stage(), machine.retries()), (Stage::Canceled, 0));
}

#[test]
fn snapshot_of_an_earlier_version_is_read() {
    let mut snapshot = serde_json::to_value(uploading()).unwrap();
    snapshot.as_object_mut().unwrap().remove("ending");
    assert_eq!(serde_json::from_value::<JobMachine>(snapshot).unwrap(), uploading());
}

#[test]
fn restart_repeats_only_unfinished_tasks() {
    let mut machine = transcoding();
    machine.apply(Event::TaskDone(id("audio")));
    let snapshot = serde_json::to_string(&machine).unwrap();
    let mut restarted: JobMachine = serde_json::from_str(&snapshot).unwrap();
    assert_eq!(restarted.apply(Event::Started), [run("video", 1)]);
    assert_eq!(restarted.apply(Event::TaskDone(id("video"))), [run("package", 1)]);
}

#[test]
fn starting_over_resets_all_but_ended_jobs() {
    let mut machine = transcoding();
    machine.apply(Event::TaskDone(id("audio")));
    machine.start_over();
    assert_eq!((machine.stage(), machine.done().len()), (Stage::Submitted, 0));
    assert!(matches!(machine.apply(Event::Started)[..], [Command::Run { step: Step::Prepare, .. }]));
    machine.apply(Event::CancelRequested);
    machine.start_over();
    assert_eq!(machine.stage(), Stage::Canceled);
}

#[test]
fn crash_uses_up_no_attempts() {
    let mut machine = transcoding();
    for _ in 0..10 {
        assert!(machine.apply(Event::Started).contains(&run("video", 1)));
    }
}

proptest! {
    /// However tasks end, and whenever the driver is restarted, every task is started before publishing,
    /// none before its predecessors, and the job completes.
    #[test]
    fn any_order_of_endings_completes_the_job(choices in proptest::collection::vec((any::<u8>(), any::<bool>()), 40)) {
        let mut machine = JobMachine::default();
        machine.apply(Event::Started);
        let mut running = commands_to_tasks(machine.apply(Event::Planned(tasks())));
        for (choice, restart) in choices {
            if restart {
                machine = serde_json::from_str(&serde_json::to_string(&machine).unwrap()).unwrap();
                running = commands_to_tasks(machine.apply(Event::Started));
            }
            if running.is_empty() {
                break;
            }
            let ended = running.swap_remove(choice as usize % running.len());
            for before in tasks().into_iter().find(|task| task.id == ended).unwrap().after {
                prop_assert!(machine.done().contains(&before));
            }
            running.extend(commands_to_tasks(machine.apply(Event::TaskDone(ended))));
        }
        prop_assert_eq!(machine.stage(), Stage::Uploading);
        prop_assert_eq!(machine.done().len(), 4);
    }
}

fn commands_to_tasks(commands: Vec<Command>) -> Vec<TaskId> {
    let task = |command| match command {
        Command::Run { step: Step::Task(task), .. } => Some(task),
        _ => None,
    };
    commands.into_iter().filter_map(task).collect()
}
