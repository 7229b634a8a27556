//! Runs the task of one video encode. If the first attempt takes too long, a second one runs beside it. The files of the
//! first attempt that succeeds become the task's files, and those of the other are removed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use abanico_plan::{Pass, Task, TaskId, VideoEncode};
use abanico_tasks::{TaskOutcome, TaskSink, Workbench};

use super::attempts::{Attempt, Ended, Which, first_to_end_well};
use super::stragglers::{Alike, Course, Paces, Underway};
use crate::jobs::job_machine::Failure;
use crate::site::context::JobContext;

/// Runs the encode of a task.
pub(super) async fn run(
    context: &JobContext,
    paces: &Paces,
    bench: &Workbench,
    task: &Task,
    encode: &VideoEncode,
) -> Result<TaskOutcome, Failure> {
    let watch = Arc::new(Watch {
        sink: bench.sink.clone(),
        paces: paces.clone(),
        analyses: encode.renditions().any(|(_, one)| matches!(one.pass, Pass::First | Pass::Sample(_))),
        begun: Mutex::default(),
        delivered: AtomicU64::new(0),
    });
    let encode = Encode { context, watch, bench, task, encode };
    let ended = first_to_end_well(
        encode.attempt(encode.watched(bench.clone())),
        || encode.second_bench().map(|bench| encode.attempt(bench)),
        |which, failure| encode.leave_to_other(which, failure),
    );
    let Ended { made, won } = ended.await?;
    if let Some(which) = won {
        let (job, task, attempt, took_ms) = (&bench.name, &task.id, which.name(), millis(made.took));
        tracing::info!(
            job.id = %job, %task, attempt, took_ms,
            "one of two attempts at an encode won: the other is dropped"
        );
        bench.folders.discard(task.as_str());
    }
    encode.watch.note(encode.encode.most_frames(), made.took);
    Ok(made.outcome)
}

/// An encode. All attempts at it share this data.
struct Encode<'a> {
    context: &'a JobContext,
    watch: Arc<Watch>,
    bench: &'a Workbench,
    task: &'a Task,
    encode: &'a VideoEncode,
}

/// The result of an attempt.
struct Made {
    outcome: TaskOutcome,
    /// Without the wait for a turn.
    took: Duration,
}

impl Encode<'_> {
    /// Returns the workbench with a stop of its own and a sink that watches.
    fn watched(&self, bench: Workbench) -> Workbench {
        Workbench { cancel: bench.cancel.child_token(), sink: self.watch.clone(), ..bench }
    }

    fn attempt(&self, bench: Workbench) -> Attempt<impl Future<Output = Result<Made, Failure>>> {
        let cancel = bench.cancel.clone();
        let begins = Instant::now();
        // Boxed: in a debug build, two of them in one future do not fit on a thread's stack.
        let work = Box::pin(async move {
            let outcome = abanico_tasks::run(self.task, &bench).await?;
            // Only the first attempt waits for its turn.
            let began = if bench.attempt.is_second() { Some(begins) } else { self.watch.began() };
            Ok(Made { outcome, took: began.unwrap_or_else(Instant::now).elapsed() })
        });
        Attempt { work, cancel }
    }

    /// Returns the workbench of a second attempt; `None` if it is not worth one, or no encoders are idle. An encode of a
    /// whole input already uses all of them.
    fn second_bench(&self) -> Option<Workbench> {
        let course = self.watch.course(self.encode.most_frames())?;
        let idle = self.context.workshop.turns.idle(self.encode.threads?)?;
        let (job, task) = (&self.bench.name, &self.task.id);
        let (frames_done, ran_ms) = (course.delivered, millis(course.ran));
        tracing::info!(
            job.id = %job, %task, frames_done, ran_ms,
            "an encode takes too long and is started a second time"
        );
        let bench = self.watched(self.bench.clone());
        Some(Workbench { capacity: Arc::new(idle), attempt: self.bench.attempt.second(), ..bench })
    }

    /// Logs that one of two attempts failed.
    fn leave_to_other(&self, which: Which, failure: &Failure) {
        if !self.bench.cancel.is_cancelled() && !failure.is_outrun() {
            let (job, task) = (&self.bench.name, &self.task.id);
            let (attempt, reason) = (which.name(), &failure.message);
            tracing::warn!(
                job.id = %job, %task, attempt, reason,
                "one of two attempts at an encode failed: the other continues"
            );
        }
    }
}

/// Watches the attempts at an encode, and passes on what they report.
struct Watch {
    sink: Arc<dyn TaskSink>,
    paces: Paces,
    analyses: bool,
    /// When the first attempt got its turn, and its place among the encodes that are alike.
    begun: Mutex<Option<(Instant, Underway)>>,
    /// Largest number of frames that an attempt has delivered.
    delivered: AtomicU64,
}

impl Watch {
    fn begun(&self) -> MutexGuard<'_, Option<(Instant, Underway)>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn began(&self) -> Option<Instant> {
        self.begun().as_ref().map(|(began, _)| *began)
    }

    /// Returns the course of an encode that should start a second time.
    fn course(&self, frames: u64) -> Option<Course> {
        let begun = self.begun();
        let (began, underway) = begun.as_ref()?;
        let delivered = self.delivered.load(Ordering::Relaxed);
        let course = Course { frames, delivered, ran: began.elapsed() };
        underway.is_straggler(course).then_some(course)
    }

    /// Records how long the encode took, unless it was reused.
    fn note(&self, frames: u64, took: Duration) {
        if let Some((_, underway)) = self.begun().take() {
            underway.note(frames, took);
        }
    }
}

impl TaskSink for Watch {
    fn begins(&self, task: &TaskId, renditions: &[u32]) {
        self.begun().get_or_insert_with(|| {
            let alike = Alike { analyses: self.analyses, renditions: renditions.to_vec() };
            (Instant::now(), self.paces.begin(alike))
        });
        self.sink.begins(task, renditions);
    }

    fn delivered(&self, task: &TaskId, frames: u64) {
        let before = self.delivered.fetch_max(frames, Ordering::Relaxed);
        self.sink.delivered(task, before.max(frames));
    }

    fn lost(&self, cpu_ms: u64) {
        self.sink.lost(cpu_ms);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
