//! Tests of the state machine: applies events and checks the commands that follow.

use super::*;

mod histories;

fn id(name: &str) -> TaskId {
    serde_json::from_value(name.into()).unwrap()
}

fn task(name: &str, after: &[&str]) -> Waiting {
    Waiting { task: id(name), after: after.iter().map(|before| id(before)).collect() }
}

/// Returns the tasks `audio` and `video`, then `package`, then `verify`.
fn tasks() -> Vec<Waiting> {
    vec![
        task("audio", &[]),
        task("video", &[]),
        task("package", &["audio", "video"]),
        task("verify", &["package"]),
    ]
}

fn run(name: &str, attempt: u32) -> Command {
    run_step(Step::Task(id(name)), attempt)
}

fn run_step(step: Step, attempt: u32) -> Command {
    Command::Run { step, attempt, not_before: backoff(attempt) }
}

fn failed(step: Step, attempt: u32, is_retryable: bool) -> Event {
    Event::Failed { step, attempt, failure: failure(is_retryable) }
}

/// Returns the machine as a driver finds it that starts after the last one was killed.
fn restarted(machine: &JobMachine) -> JobMachine {
    serde_json::from_str(&serde_json::to_string(machine).unwrap()).unwrap()
}

fn failure(is_retryable: bool) -> Failure {
    Failure::new(1999, "it broke", is_retryable)
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
    assert_eq!(machine.apply(Event::Started), [run_step(Step::Prepare, 1)]);
    assert_eq!(machine.stage(), Stage::Probing);
    assert_eq!(machine.apply(Event::Planned(tasks())), [run("audio", 1), run("video", 1)]);
    assert_eq!(machine.apply(Event::TaskDone(id("audio"))), []);
    assert_eq!(machine.apply(Event::TaskDone(id("video"))), [run("package", 1)]);
    assert_eq!(machine.apply(Event::TaskDone(id("package"))), [run("verify", 1)]);
    assert_eq!(machine.apply(Event::TaskDone(id("verify"))), [run_step(Step::Publish, 1)]);
    assert_eq!(machine.stage(), Stage::Uploading);
    assert_eq!(machine.apply(Event::Published), [Command::Finish]);
    assert_eq!(machine.stage(), Stage::Complete);
}

#[test]
fn retryable_failure_is_tried_three_times() {
    let mut machine = transcoding();
    let step = Step::Task(id("video"));
    assert_eq!(machine.apply(failed(step.clone(), 1, true)), [run("video", 2)]);
    assert_eq!(machine.apply(failed(step.clone(), 2, true)), [run("video", 3)]);
    assert_eq!(machine.apply(failed(step, 3, true)), [Command::StopAll, Command::Finish]);
    assert_eq!((machine.stage(), machine.failure().map(|failure| failure.code)), (Stage::Error, Some(1999)));
    assert_eq!(machine.retries(), 2);
}

#[test]
fn permanent_failure_ends_job_at_once() {
    let mut machine = transcoding();
    let commands = machine.apply(failed(Step::Task(id("audio")), 1, false));
    assert_eq!(commands, [Command::StopAll, Command::Finish]);
}

#[test]
fn cancelling_stops_steps_and_ignores_late_events() {
    let mut machine = transcoding();
    assert_eq!(machine.apply(Event::CancelRequested), [Command::StopAll, Command::Finish]);
    assert_eq!(machine.apply(Event::TaskDone(id("video"))), []);
    assert_eq!(machine.apply(failed(Step::Publish, 1, true)), []);
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

fn take_back(attempt: u32) -> Command {
    run_step(Step::TakeBack, attempt)
}

#[test]
fn job_that_ends_while_it_publishes_is_taken_back_first() {
    let broken = failed(Step::Publish, 1, false);
    for (event, ending) in [(Event::CancelRequested, Stage::Canceled), (broken, Stage::Error)] {
        let mut machine = uploading();
        let commands = machine.apply(event);
        assert_eq!(commands.last(), Some(&take_back(1)), "{ending:?}");
        assert_eq!((machine.stage(), machine.ending()), (Stage::Uploading, Some(ending)));
        for late in [Event::Published, Event::CancelRequested, failed(Step::Publish, 1, true)] {
            assert_eq!(machine.apply(late), [], "{ending:?}");
        }
        machine.start_over();
        let mut restarted = restarted(&machine);
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
        assert_eq!(machine.apply(failed(Step::TakeBack, attempt - 1, false)), [take_back(attempt)]);
    }
    let last = failed(Step::TakeBack, MAX_TAKE_BACK_ATTEMPTS, true);
    assert_eq!(machine.apply(last), [Command::Finish]);
    assert_eq!((machine.stage(), machine.retries()), (Stage::Canceled, 0));
}

#[test]
fn snapshot_of_an_earlier_version_is_read() {
    let snapshot = |stage: &str, done: &[&str], running: serde_json::Value, attempts: serde_json::Value| {
        serde_json::from_value::<JobMachine>(serde_json::json!({
            "stage": stage, "done": done, "running": running, "attempts": attempts, "failure": null,
            "tasks": {"audio": [], "package": ["audio", "video"], "verify": ["package"], "video": []},
        }))
        .unwrap()
    };
    let all = ["audio", "package", "verify", "video"];
    let attempts = serde_json::json!([["prepare", 1], [{"task": "audio"}, 1], ["publish", 1]]);
    assert_eq!(snapshot("UPLOADING", &all, serde_json::json!(["publish"]), attempts), uploading());
    let attempts = serde_json::json!([["prepare", 1], [{"task": "audio"}, 3], [{"task": "video"}, 2]]);
    let mut machine = snapshot("TRANSCODING", &["audio"], serde_json::json!([{"task": "video"}]), attempts);
    assert_eq!((machine.retries(), machine.apply(Event::Started)), (3, vec![run("video", 2)]));
    assert_eq!(machine.apply(Event::TaskDone(id("video"))), [run("package", 1)]);
    let ended = r#"{"stage": "CANCELED", "tasks": {}, "done": [], "running": [], "attempts": [["publish", 2]],
        "failure": null, "ending": null}"#;
    let ended: JobMachine = serde_json::from_str(ended).unwrap();
    assert_eq!((ended.stage(), ended.retries()), (Stage::Canceled, 1));
}

#[test]
fn tasks_may_be_kept_elsewhere() {
    let mut machine = transcoding();
    machine.apply(Event::TaskDone(id("video")));
    let mut apart = restarted(&machine.without_tasks());
    assert_eq!(apart, machine.without_tasks());
    assert!(!serde_json::to_string(&apart).unwrap().contains("video"));
    let mut lost = apart.clone();
    apart.take_up(tasks()).unwrap();
    assert_eq!(apart, machine);
    assert_eq!(apart.apply(Event::Started), [run("audio", 1)]);
    assert_eq!(lost.apply(Event::Started), [run_step(Step::Prepare, 1)], "without its tasks it starts over");
    let mut none_done = restarted(&transcoding().without_tasks());
    none_done.take_up(tasks()).unwrap();
    assert_eq!(none_done.apply(Event::Started), [run("audio", 1), run("video", 1)]);
    let mut published = restarted(&uploading().without_tasks());
    assert_eq!(published.apply(Event::Started), [run_step(Step::Publish, 1)]);
}

#[test]
fn plan_that_could_never_end_fails_the_job() {
    for (wrong, why) in [
        (vec![task("a", &["b"]), task("b", &["a"]), task("c", &[])], "task `a` waits for itself"),
        (vec![task("a", &["b"])], "comes after `b`, which does not exist"),
        (vec![task("a", &[]), task("a", &[])], "two tasks are called `a`"),
    ] {
        let mut machine = JobMachine::default();
        machine.apply(Event::Started);
        assert_eq!(machine.apply(Event::Planned(wrong)), [Command::Finish]);
        let message = &machine.failure().unwrap().message;
        assert!(machine.stage() == Stage::Error && message.contains(why), "{message}");
    }
}

#[test]
fn attempts_wait_longer_each_time() {
    let waits: Vec<u64> = (1..=6).map(|attempt| backoff(attempt).as_secs()).collect();
    assert_eq!(waits, [0, 1, 4, 16, 64, 64]);
}

#[test]
fn report_of_an_attempt_that_does_not_run_changes_nothing() {
    let mut machine = transcoding();
    let video = || Step::Task(id("video"));
    assert_eq!(machine.apply(failed(video(), 1, true)), [run("video", 2)]);
    assert_eq!(machine.apply(failed(video(), 1, true)), [], "the same report twice");
    assert_eq!(machine.apply(Event::TaskDone(id("verify"))), [], "it has not begun");
    assert_eq!(machine.apply(Event::Published), []);
    assert_eq!(machine.apply(failed(Step::Publish, 1, false)), []);
    assert_eq!(machine.apply(Event::Started), [], "all that may run runs");
    assert_eq!(machine.apply(Event::Planned(tasks())), []);
    assert_eq!((machine.stage(), machine.done().count(), machine.retries()), (Stage::Transcoding, 0, 1));
    let failure = failure(false);
    assert_eq!(machine.apply(Event::GivenUp(failure.clone())), [Command::StopAll, Command::Finish]);
    assert_eq!((machine.stage(), machine.failure()), (Stage::Error, Some(&failure)));
}

#[test]
fn restart_repeats_only_unfinished_tasks() {
    let mut machine = transcoding();
    machine.apply(Event::TaskDone(id("audio")));
    let mut restarted = restarted(&machine);
    assert_eq!(restarted.apply(Event::Started), [run("video", 1)]);
    assert_eq!(restarted.apply(Event::TaskDone(id("video"))), [run("package", 1)]);
}

#[test]
fn starting_over_resets_all_but_ended_jobs() {
    let mut machine = transcoding();
    machine.apply(Event::TaskDone(id("audio")));
    machine.start_over();
    assert_eq!((machine.stage(), machine.done().count()), (Stage::Submitted, 0));
    assert!(matches!(machine.apply(Event::Started)[..], [Command::Run { step: Step::Prepare, .. }]));
    machine.apply(Event::CancelRequested);
    machine.start_over();
    assert_eq!(machine.stage(), Stage::Canceled);
}

#[test]
fn crash_uses_up_no_attempts() {
    let mut machine = transcoding();
    for _ in 0..10 {
        machine = restarted(&machine);
        assert!(machine.apply(Event::Started).contains(&run("video", 1)));
    }
}

#[test]
fn files_are_let_go_once_all_have_read_them() {
    let mut machine = JobMachine::default();
    machine.apply(Event::Started);
    machine.apply(Event::Planned(vec![
        task("audio", &[]),
        task("chunk-0000", &[]),
        task("chunk-0001", &[]),
        task("joint-0001", &["chunk-0000", "chunk-0001"]),
        task("video", &["chunk-0000", "chunk-0001", "joint-0001"]),
        task("package-0", &["audio", "video"]),
        task("package-1", &["audio", "video"]),
    ]));
    let mut end = |name: &str| {
        machine.apply(Event::TaskDone(id(name)));
        let let_go = machine.let_go_by(&id(name));
        assert!(let_go.iter().all(|task| restarted(&machine).all_let_go().contains(task)), "{let_go:?}");
        let_go.iter().map(|task| task.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!([end("chunk-0001"), end("chunk-0000"), end("joint-0001")], [""; 3], "`video` reads them, too");
    assert_eq!(end("video"), "chunk-0000 chunk-0001 joint-0001");
    assert_eq!([end("audio"), end("package-1")], [""; 2]);
    assert_eq!(end("package-1"), "", "a late report changes nothing");
    assert_eq!(end("package-0"), "audio video");
    let all = machine.all_let_go();
    assert_eq!(all, ["audio", "chunk-0000", "chunk-0001", "joint-0001", "video"].map(id));
}
