//! For tests of this crate: in nothing, out a real engine in a folder of its own and jobs for it.

use std::sync::Arc;

use abanico_engine::{Engine, EngineOptions, JobId, Sandboxing, submission};
use abanico_ffmpeg::Tools;
use serde_json::{Value, json};

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
    };
    // It serves no place at all: every job fails at its input, after its first event.
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
    /// Makes a job and waits for its end.
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
