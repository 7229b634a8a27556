//! Runs a real engine on real clips in a temporary folder.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part of this, and a failed set-up fails the test"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use abanico_engine::{Engine, EngineOptions, JobId, JobRecord, ResultsOptions, Sandboxing, submission};
use abanico_ffmpeg::Tools;
use abanico_store::{FolderBucket, ObjectStore, Router};
use serde_json::{Value, json};

/// Folder with the input, the outputs and the engine's data.
pub struct Bench {
    /// Removed on drop.
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn engine(&self) -> Engine {
        self.engine_with(None, self.store()).await
    }

    /// Opens an engine that keeps finished encodes as `results` says, over this store.
    pub async fn engine_with(
        &self,
        results: Option<ResultsOptions>,
        store: impl ObjectStore + 'static,
    ) -> Engine {
        let options = EngineOptions {
            folder: self.path("engine"),
            cores: 2,
            chunks: true,
            results,
            max_active_jobs: 4,
            sandboxing: Sandboxing::off(),
            web: abanico_store::WebInputs::default(),
            room_patience: Duration::ZERO,
            retention: abanico_engine::Retention::default(),
        };
        Engine::open(options, Arc::new(store), Tools::find(None, None).unwrap()).await.unwrap()
    }

    /// Returns the buckets `in` and `out`, which are folders.
    pub fn store(&self) -> Router {
        let bucket = |name: &str| {
            std::fs::create_dir_all(self.path(name)).unwrap();
            Arc::new(FolderBucket::new(&self.path(name)).unwrap())
        };
        Router::new().with_bucket("in", bucket("in")).with_bucket("out", bucket("out"))
    }

    /// Returns the path of an input.
    pub fn input(&self, name: &str) -> PathBuf {
        std::fs::create_dir_all(self.path("in")).unwrap();
        self.path("in").join(name)
    }

    /// Returns the names of all published files, sorted.
    pub fn published(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path("out/made")) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn request(&self, input: &str, template: &str) -> Value {
        json!({"role": "arn:aws:iam::000000000000:role/r", "jobTemplate": template, "settings": {
            "inputs": [{"fileInput": format!("s3://in/{input}")}],
            "outputGroups": [{"outputGroupSettings": {"fileGroupSettings": {"destination": "s3://out/made/"}}}]}})
    }
}

/// Waits for a job's end, at most two minutes.
pub async fn finished(engine: &Engine, id: &JobId) -> JobRecord {
    let mut changes = engine.changes();
    let wait = async {
        loop {
            let record = engine.get(id).await.unwrap();
            if record.stage().is_final() {
                return record;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.expect("the job ends within two minutes")
}

/// Submits a request.
pub async fn submit(engine: &Engine, request: Value) -> JobRecord {
    engine.create_job(submission::from_request(request).unwrap()).await.unwrap()
}
