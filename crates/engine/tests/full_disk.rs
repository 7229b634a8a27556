//! Tests that kept encodes are removed before a job fails because the disk is full.

#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use abanico_artifacts::{FileName, LocalArtifacts, NamedFile};
use abanico_engine::{ResultsOptions, Stage};
use abanico_store::steered::{Call, SteeredStore, Steers};
use abanico_store::{Error, ErrorKind, ObjectUrl};
use abanico_testkit::Clip;
use common::{Bench, finished, submit};

/// A disk that is full until the first attempt has failed.
#[derive(Default)]
struct FullAtFirst {
    was_full: AtomicBool,
}

#[async_trait::async_trait]
impl Steers for FullAtFirst {
    type Held = ();

    async fn before(&self, call: Call) -> Result<(), Error> {
        if call == Call::Fetch && !self.was_full.swap(true, Ordering::Relaxed) {
            // No other attempt would be made for its own sake: only the cause says that room is missing.
            let failed = Error::about(&ObjectUrl::s3("in", "a.mp4"), ErrorKind::Denied, "it cannot be read");
            return Err(failed.because(std::io::Error::from_raw_os_error(28)));
        }
        Ok(())
    }
}

/// Key of an encode that was kept before.
const OLD: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn kept(bench: &Bench, spare_bytes: u64) -> ResultsOptions {
    let folder = bench.path("results");
    let made = bench.path("made.mp4");
    std::fs::write(&made, "an encode").unwrap();
    let files = [NamedFile { name: FileName::new("video.mp4").unwrap(), path: made.clone() }];
    LocalArtifacts::open(&folder).unwrap().put_now(&OLD.parse().unwrap(), &files).unwrap();
    std::fs::remove_file(made).unwrap();
    ResultsOptions { folder, most_bytes: 1 << 20, spare_bytes }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_removes_kept_encodes_and_retries() {
    for keeps in [true, false] {
        let bench = Bench::new();
        Clip { width: 320, height: 180, frames: 10, ..Clip::default() }.write(&bench.input("a.mp4"));
        let results = keeps.then(|| kept(&bench, 0));
        let store = SteeredStore { store: Arc::new(bench.store()), steering: FullAtFirst::default() };
        let engine = bench.engine_with(results, store).await;
        let job = submit(&engine, bench.request("a.mp4", "ladder")).await;
        let record = finished(&engine, &job.id).await;
        let stage = if keeps { Stage::Complete } else { Stage::Error };
        // Room that was freed at once costs no attempt.
        assert_eq!((record.stage(), record.machine.retries()), (stage, 0), "{:?}", record.machine.failure());
        assert!(!bench.path("results").join(OLD).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn low_disk_space_removes_kept_encodes() {
    for (spare_bytes, stays) in [(0, true), (u64::MAX, false)] {
        let bench = Bench::new();
        let engine = bench.engine_with(Some(kept(&bench, spare_bytes)), bench.store()).await;
        // The engine checks at once, and then every few seconds.
        let gone = async {
            while bench.path("results").join(OLD).exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = Duration::from_secs(if stays { 1 } else { 30 });
        assert_eq!(tokio::time::timeout(limit, gone).await.is_err(), stays, "{spare_bytes}");
        drop(engine);
    }
}
