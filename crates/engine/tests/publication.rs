//! Tests that a job's outputs become visible together or not at all: the process is killed, or the job is cancelled,
//! at every step between staging and settling.

#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use abanico_engine::{Engine, ErrorKind as EngineErrorKind, JobId, Stage};
use abanico_store::steered::{Call, SteeredStore, Steers};
use abanico_store::{Error, ErrorKind, ObjectUrl};
use abanico_testkit::Clip;
use common::{Bench, finished, submit};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Steps of a publication at which the store can stop.
const BEFORE_STAGE: &str = "before stage";
const AFTER_STAGE: &str = "after stage";
const BEFORE_SWITCH: &str = "before switch";
const AFTER_SWITCH: &str = "after switch";
const BEFORE_SETTLE: &str = "before settle";
const AFTER_SETTLE: &str = "after settle";
const BEFORE_TAKE_BACK: &str = "before take back";
const AFTER_TAKE_BACK: &str = "after take back";

/// How a test steers a store: where it stops, whether it goes on, and how often a call fails.
#[derive(Clone)]
struct Steering {
    stops_at: &'static str,
    reached: Arc<watch::Sender<bool>>,
    goes_on: Arc<watch::Sender<bool>>,
    failing_switches: Arc<AtomicU32>,
    failing_take_backs: Arc<AtomicU32>,
}

impl Steering {
    fn stopping_at(stops_at: &'static str) -> Self {
        Self {
            stops_at,
            reached: Arc::new(watch::Sender::new(false)),
            goes_on: Arc::new(watch::Sender::new(false)),
            failing_switches: Arc::default(),
            failing_take_backs: Arc::default(),
        }
    }

    /// Waits until the store has stopped.
    async fn is_there(&self) {
        let reached = async { self.reached.subscribe().wait_for(|reached| *reached).await.map(|_| ()) };
        tokio::time::timeout(std::time::Duration::from_secs(120), reached).await.unwrap().unwrap();
    }

    fn go_on(&self) {
        self.goes_on.send_replace(true);
    }

    async fn point(&self, name: &str) {
        if name == self.stops_at {
            self.reached.send_replace(true);
            let _ = self.goes_on.subscribe().wait_for(|goes_on| *goes_on).await;
        }
    }
}

fn fails(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait::async_trait]
impl Steers for Steering {
    type Held = ();

    async fn before(&self, call: Call) -> Result<(), Error> {
        match call {
            Call::Stage => self.point(BEFORE_STAGE).await,
            Call::Switch => self.point(BEFORE_SWITCH).await,
            Call::Settle => self.point(BEFORE_SETTLE).await,
            Call::TakeBack => {
                self.point(BEFORE_TAKE_BACK).await;
                if fails(&self.failing_take_backs) {
                    return Err(denied("not now"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn after(&self, call: Call) -> Result<(), Error> {
        match call {
            Call::Stage => self.point(AFTER_STAGE).await,
            Call::Switch => {
                self.point(AFTER_SWITCH).await;
                if fails(&self.failing_switches) {
                    return Err(denied("not any more"));
                }
            }
            Call::Settle => self.point(AFTER_SETTLE).await,
            Call::TakeBack => self.point(AFTER_TAKE_BACK).await,
            _ => {}
        }
        Ok(())
    }
}

fn denied(why: &str) -> Error {
    Error::about(&ObjectUrl::s3("out", "made/"), ErrorKind::Denied, why)
}

/// A bench with a short film, and with files of an earlier job at two of the three places.
fn bench() -> Bench {
    let bench = Bench::new();
    Clip { width: 960, height: 540, frames: 8, ..Clip::default() }.write(&bench.input("a.mp4"));
    std::fs::create_dir_all(bench.path("out/made")).unwrap();
    for name in OLD {
        std::fs::write(bench.path("out/made").join(name), format!("old {name}")).unwrap();
    }
    bench
}

const PRESET: &str = "System-Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps";

/// Files that stand at the destination before; the first is replaced by every job here.
const OLD: [&str; 2] = ["a_480p.mp4", "other.mp4"];

/// Returns all files at the destination, hidden ones, too, with their contents.
fn standing(bench: &Bench) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &String| std::fs::read(bench.path("out/made").join(name)).unwrap();
    bench.published().into_iter().map(|name| (name.clone(), read(&name))).collect()
}

fn old() -> BTreeMap<String, Vec<u8>> {
    OLD.iter().map(|name| ((*name).to_owned(), format!("old {name}").into_bytes())).collect()
}

/// Checks that the outputs of a complete job stand there, and nothing else but `other.mp4`.
fn assert_new(bench: &Bench, what: &str) {
    let standing = standing(bench);
    assert_eq!(standing["other.mp4"], b"old other.mp4", "{what}");
    let films: Vec<&Vec<u8>> =
        standing.iter().filter(|(name, _)| *name != "other.mp4").map(|(_, bytes)| bytes).collect();
    assert!(films.len() >= 2, "{what}: {:?}", standing.keys());
    assert!(films.iter().all(|film| film.get(4..8) == Some(b"ftyp")), "{what}: {:?}", standing.keys());
    assert!(standing.keys().all(|name| !name.starts_with('.')), "{what}: {:?}", standing.keys());
}

async fn steered(bench: &Bench, steering: &Steering) -> Engine {
    bench.engine_with(None, SteeredStore { store: Arc::new(bench.store()), steering: steering.clone() }).await
}

async fn started(bench: &Bench, steering: &Steering) -> (Engine, JobId) {
    let engine = steered(bench, steering).await;
    let id = submit(&engine, bench.request("a.mp4", "ladder")).await.id;
    (engine, id)
}

/// Runs a job until the store stops, does something, and kills the process.
fn killed_at(bench: &Bench, steering: &Steering, then: impl AsyncFnOnce(&Engine, &JobId)) -> JobId {
    let runtime = Runtime::new().unwrap();
    let id = runtime.block_on(async {
        let (engine, id) = started(bench, steering).await;
        steering.is_there().await;
        then(&engine, &id).await;
        id
    });
    runtime.shutdown_background();
    id
}

async fn after_restart(bench: &Bench, id: &JobId) -> Stage {
    let engine = bench.engine().await;
    let stage = finished(&engine, id).await.stage();
    engine.shutdown(std::time::Duration::from_secs(60)).await;
    stage
}

fn work_is_gone(bench: &Bench) -> bool {
    std::fs::read_dir(bench.path("engine/work")).unwrap().count() == 0
}

#[test]
fn job_killed_while_it_publishes_completes_after_the_restart() {
    for point in [BEFORE_STAGE, AFTER_STAGE, BEFORE_SWITCH, AFTER_SWITCH, BEFORE_SETTLE, AFTER_SETTLE] {
        let bench = bench();
        let id = killed_at(&bench, &Steering::stopping_at(point), async |_, _| {});
        let stage = Runtime::new().unwrap().block_on(after_restart(&bench, &id));
        assert_eq!(stage, Stage::Complete, "{point}");
        assert_new(&bench, point);
        assert!(work_is_gone(&bench), "{point}");
    }
}

#[test]
fn cancelled_job_that_is_killed_leaves_what_stood_there() {
    for point in [BEFORE_SWITCH, AFTER_SWITCH] {
        let bench = bench();
        let id = killed_at(&bench, &Steering::stopping_at(point), async |engine, id| {
            // The store still stands at its point, so that the outputs cannot be taken back before the kill.
            engine.cancel(id).await.unwrap();
        });
        let stage = Runtime::new().unwrap().block_on(after_restart(&bench, &id));
        assert_eq!((stage, standing(&bench)), (Stage::Canceled, old()), "{point}");
        assert!(work_is_gone(&bench), "{point}");
    }
    for point in [BEFORE_TAKE_BACK, AFTER_TAKE_BACK] {
        let bench = bench();
        let steering = Steering::stopping_at(point);
        let switched = Steering { stops_at: AFTER_SWITCH, ..Steering::stopping_at("") };
        let runtime = Runtime::new().unwrap();
        let id = runtime.block_on(async {
            let inner = SteeredStore { store: Arc::new(bench.store()), steering: switched.clone() };
            let outer = SteeredStore { store: Arc::new(inner), steering: steering.clone() };
            let engine = bench.engine_with(None, outer).await;
            let id = submit(&engine, bench.request("a.mp4", "ladder")).await.id;
            switched.is_there().await;
            engine.cancel(&id).await.unwrap();
            switched.go_on();
            steering.is_there().await;
            id
        });
        runtime.shutdown_background();
        let stage = Runtime::new().unwrap().block_on(after_restart(&bench, &id));
        assert_eq!((stage, standing(&bench)), (Stage::Canceled, old()), "{point}");
    }
}

/// A job whose files are lost starts over. It must not complete with what it had published before.
#[test]
fn job_that_starts_over_is_taken_back_first() {
    for fails in [0, 1] {
        let bench = bench();
        let id = killed_at(&bench, &Steering::stopping_at(AFTER_SWITCH), async |_, _| {});
        std::fs::write(bench.path("out/made/a_480p.mp4"), "of the earlier run").unwrap();
        std::fs::remove_file(bench.path("engine/work").join(id.as_str()).join("input-0")).unwrap();
        let steering = Steering::stopping_at("");
        steering.failing_take_backs.store(fails, Ordering::SeqCst);
        let record = Runtime::new().unwrap().block_on(async {
            let engine = steered(&bench, &steering).await;
            let record = finished(&engine, &id).await;
            engine.shutdown(std::time::Duration::from_secs(60)).await;
            record
        });
        let code = record.machine.failure().map(|failure| failure.code);
        if fails == 0 {
            assert_eq!((record.stage(), code), (Stage::Complete, None));
            assert_new(&bench, "started over");
        } else {
            assert_eq!((record.stage(), code, standing(&bench)), (Stage::Error, Some(1401), old()));
        }
        assert!(work_is_gone(&bench), "{fails}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn job_cancelled_before_it_is_complete_leaves_what_stood_there() {
    for point in [BEFORE_STAGE, AFTER_STAGE, BEFORE_SWITCH, AFTER_SWITCH] {
        let bench = bench();
        let steering = Steering::stopping_at(point);
        let (engine, id) = started(&bench, &steering).await;
        steering.is_there().await;
        engine.cancel(&id).await.unwrap();
        steering.go_on();
        let record = finished(&engine, &id).await;
        assert_eq!((record.stage(), standing(&bench)), (Stage::Canceled, old()), "{point}");
        engine.shutdown(std::time::Duration::from_secs(60)).await;
        assert!(work_is_gone(&bench), "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_job_cannot_be_cancelled_any_more() {
    let bench = bench();
    let steering = Steering::stopping_at(BEFORE_SETTLE);
    let (engine, id) = started(&bench, &steering).await;
    steering.is_there().await;
    assert_eq!(engine.get(&id).await.unwrap().stage(), Stage::Complete);
    assert_eq!(engine.cancel(&id).await.unwrap_err().kind(), EngineErrorKind::Conflict);
    steering.go_on();
    engine.shutdown(std::time::Duration::from_secs(60)).await;
    assert_new(&bench, "settled");
    assert!(work_is_gone(&bench));
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_publication_leaves_what_stood_there() {
    let bench = bench();
    let steering = Steering::stopping_at("");
    steering.failing_switches.store(1, Ordering::SeqCst);
    steering.failing_take_backs.store(1, Ordering::SeqCst);
    let (engine, id) = started(&bench, &steering).await;
    let record = finished(&engine, &id).await;
    assert_eq!((record.stage(), standing(&bench)), (Stage::Error, old()));
    assert_eq!(record.machine.failure().map(|failure| failure.code), Some(1401));
}

#[tokio::test(flavor = "multi_thread")]
async fn second_job_waits_for_the_first_and_replaces_it_whole() {
    for cancels_first in [true, false] {
        let bench = bench();
        let steering = Steering::stopping_at(AFTER_SWITCH);
        let (engine, first) = started(&bench, &steering).await;
        steering.is_there().await;
        let second = submit(&engine, bench.request("a.mp4", "ladder")).await.id;
        let mut changes = engine.changes();
        while engine.get(&second).await.unwrap().stage() != Stage::Uploading {
            changes.changed().await.unwrap();
        }
        if cancels_first {
            engine.cancel(&first).await.unwrap();
        }
        steering.go_on();
        let ended = finished(&engine, &first).await.stage();
        assert_eq!(ended, if cancels_first { Stage::Canceled } else { Stage::Complete });
        assert_eq!(finished(&engine, &second).await.stage(), Stage::Complete);
        engine.shutdown(std::time::Duration::from_secs(60)).await;
        assert_new(&bench, "the second job's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn destination_that_is_missing_or_in_use_fails_before_the_encode() {
    let bench = bench();
    let engine = bench.engine().await;
    std::fs::write(bench.path("out/file"), "a file").unwrap();
    std::fs::copy(bench.input("a.mp4"), bench.path("out/a.mp4")).unwrap();
    for (destination, code) in [("s3://nowhere/made/", 1010), ("s3://out/file/", 1401), ("s3://out/a", 1040)]
    {
        let mut request = bench.request("a.mp4", "three-mp4");
        let group = &mut request["settings"]["outputGroups"][0];
        group["outputGroupSettings"]["fileGroupSettings"]["destination"] = destination.into();
        if code == 1040 {
            request["settings"]["inputs"][0]["fileInput"] = "s3://out/a.mp4".into();
            request.as_object_mut().unwrap().remove("jobTemplate");
            let group = &mut request["settings"]["outputGroups"][0];
            group["outputGroupSettings"]["type"] = "FILE_GROUP_SETTINGS".into();
            group["outputs"] = serde_json::json!([{"preset": PRESET, "extension": "mp4"}]);
        }
        let id = submit(&engine, request).await.id;
        let record = finished(&engine, &id).await;
        let failure = record.machine.failure().map(|failure| failure.code);
        assert_eq!((record.stage(), failure), (Stage::Error, Some(code)), "{destination}");
        assert_eq!(
            (record.child_cpu_ms, record.machine.retries()),
            (0, 0),
            "{destination}: nothing was encoded"
        );
    }
}
