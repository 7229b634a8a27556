//! Test helpers of this crate: a real engine in a temporary folder, and job requests for it.

use std::sync::{Arc, Mutex};

use abanico_engine::{Engine, EngineOptions, JobId, Sandboxing, submission};
use abanico_ffmpeg::Tools;
use serde_json::{Value, json};

use crate::events::upload_outbox::{OutboxError, UploadEntry, UploadOutbox};

pub(crate) struct TestEngine {
    pub(crate) engine: Engine,
    _folder: tempfile::TempDir,
}

pub(crate) async fn engine() -> TestEngine {
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        folder: folder.path().to_owned(),
        cores: 1,
        chunks: true,
        results: None,
        max_active_jobs: 2,
        sandboxing: Sandboxing::off(),
        web: abanico_store::WebInputs::default(),
        room_patience: std::time::Duration::ZERO,
        retention: abanico_engine::Retention::default(),
    };
    // It serves no bucket or folder, so every job fails at its input, after its first event.
    let store = Arc::new(abanico_store::Router::new());
    let engine = Engine::open(options, store, Tools::find(None, None).unwrap()).await.unwrap();
    TestEngine { engine, _folder: folder }
}

pub(crate) fn request(input: &str) -> Value {
    json!({
        "Role": "arn:aws:iam::000000000000:role/r", "JobTemplate": "ladder",
        "Settings": {
            "Inputs": [{"FileInput": input}],
            "OutputGroups": [{"OutputGroupSettings": {"FileGroupSettings": {"Destination": "s3://out/a/"}}}],
        },
    })
}

impl TestEngine {
    /// Creates a job and waits until it ends.
    pub(crate) async fn run_failing_job(&self) -> JobId {
        let submission = submission::from_request(request("s3://nowhere/a.mp4")).unwrap();
        let id = self.engine.create_job(submission).await.unwrap().id;
        let mut changes = self.engine.changes();
        while !self.engine.get(&id).await.unwrap().stage().is_final() {
            changes.changed().await.unwrap();
        }
        id
    }
}

/// A queue in which nothing waits, with dead letters of these ids.
#[derive(Default)]
pub(crate) struct DeadLetters(pub(crate) Mutex<Vec<i64>>);

#[async_trait::async_trait]
impl UploadOutbox for DeadLetters {
    async fn due(&self, _: i64, _: usize) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(Vec::new())
    }
    async fn delivered(&self, _: i64) -> Result<(), OutboxError> {
        Ok(())
    }
    async fn retry_at(&self, _: i64, _: i64, _: &str) -> Result<(), OutboxError> {
        Ok(())
    }
    async fn dead_letter(&self, _: i64, _: &str) -> Result<(), OutboxError> {
        Ok(())
    }
    async fn dead_letters(&self) -> Result<Vec<UploadEntry>, OutboxError> {
        let (bucket, key, function) =
            ("uploads".to_owned(), "a.mp4".to_owned(), "transcode-video".to_owned());
        let entry = |id: &i64| UploadEntry {
            id: *id,
            bucket: bucket.clone(),
            key: key.clone(),
            event: json!({}),
            function: function.clone(),
            attempts: 10,
            last_error: Some("no".to_owned()),
            created_ms: 0,
        };
        Ok(self.0.lock().unwrap().iter().map(entry).collect())
    }
    async fn replay(&self, id: i64) -> Result<bool, OutboxError> {
        let mut dead = self.0.lock().unwrap();
        let before = dead.len();
        dead.retain(|other| *other != id);
        Ok(dead.len() < before)
    }
    async fn next_due_ms(&self) -> Result<Option<i64>, OutboxError> {
        Ok(None)
    }
    async fn changed(&self) {
        std::future::pending().await
    }
}
