//! Measures how long the state machine takes for a whole job, from its start to its end, for several shapes of plans and
//! for 1,000 and 10,000 tasks. Ten times the tasks should take about ten times as long.
//!
//! Run it with `cargo bench -p abanico-engine`. Each number is the fastest of 25 runs: other work on the machine only adds
//! time, and adds more to a longer run.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use abanico_engine::job_machine::{Command, Event, JobMachine, Stage, Step, Waiting};
use abanico_plan::{Artifact, Task, TaskId, TaskKind};

const RUNS: usize = 25;

/// Makes the tasks of a plan with so many of them.
type Shape = fn(usize) -> Vec<Task>;

fn main() {
    println!("{:<34} {:>11} {:>12} {:>6}", "shape of the plan", "1,000 tasks", "10,000 tasks", "ratio");
    let shapes: [(&str, Shape); 3] = [
        ("chunks: first pass, encode, stitch", chunks),
        ("star: one task after all others", star),
        ("chain: each task after the last", chain),
    ];
    for (name, shape) in shapes {
        let [few, many] = [1_000, 10_000].map(|count| fastest(&shape(count)));
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        println!("{name:<34} {:>11} {:>12} {ratio:>6.1}", ms(few), ms(many));
    }
}

fn fastest(tasks: &[Task]) -> Duration {
    (0..RUNS).map(|_| time_of(tasks.to_vec())).min().unwrap_or_default()
}

/// Returns the time that the machine takes for all events of a job.
fn time_of(tasks: Vec<Task>) -> Duration {
    let begin = Instant::now();
    let mut machine = JobMachine::default();
    machine.apply(Event::Started);
    let mut commands =
        VecDeque::from(machine.apply(Event::Planned(tasks.iter().map(Waiting::from).collect())));
    while let Some(command) = commands.pop_front() {
        let event = match command {
            Command::Run { step: Step::Task(task), .. } => Event::TaskDone(task),
            Command::Run { .. } => Event::Published,
            Command::StopAll | Command::Finish => continue,
        };
        commands.extend(machine.apply(event));
    }
    let time = begin.elapsed();
    assert_eq!(machine.stage(), Stage::Complete);
    time
}

fn task(id: TaskId, after: Vec<TaskId>) -> Task {
    let kind = TaskKind::SumFirstPasses { chunks: 0, analyses: Vec::new() };
    Task::new(id, kind, after.into_iter().map(Artifact::Made))
}

/// A long film in chunks: first passes, their sum, encodes, the stitch, packages and verifications.
fn chunks(count: usize) -> Vec<Task> {
    let chunks = u32::try_from((count - 8) / 2).expect("the number of chunks is small");
    let analysis = |chunk| TaskId::analysis(Some(chunk));
    let mut tasks: Vec<Task> = (0..chunks).map(|chunk| task(analysis(chunk), vec![])).collect();
    tasks.push(task(TaskId::first_passes(), (0..chunks).map(analysis).collect()));
    let of_chunk = |chunk| task(TaskId::chunk(chunk), vec![analysis(chunk), TaskId::first_passes()]);
    tasks.extend((0..chunks).map(of_chunk));
    tasks.push(task(TaskId::video(), (0..chunks).map(TaskId::chunk).collect()));
    for output in 0..3 {
        let package = TaskId::package(output);
        tasks.push(task(package.clone(), vec![TaskId::video()]));
        tasks.push(task(TaskId::verify(output), vec![package]));
    }
    tasks
}

fn star(count: usize) -> Vec<Task> {
    let count = u32::try_from(count).expect("the number of tasks is small");
    let mut tasks: Vec<Task> = (1..count).map(|place| task(TaskId::chunk(place), vec![])).collect();
    tasks.push(task(TaskId::video(), (1..count).map(TaskId::chunk).collect()));
    tasks
}

fn chain(count: usize) -> Vec<Task> {
    let count = u32::try_from(count).expect("the number of tasks is small");
    let before = |place: u32| place.checked_sub(1).map(TaskId::chunk).into_iter().collect();
    (0..count).map(|place| task(TaskId::chunk(place), before(place))).collect()
}
