//! The fleet that does the tasks of jobs if the engine is `temporal`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// How jobs are given to a fleet.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TemporalConfig {
    /// URL of Temporal's gRPC endpoint.
    pub address: String,
    /// Temporal's namespace.
    pub namespace: String,
    /// File with the API key; ABANICO_TEMPORAL_API_KEY has it otherwise.
    pub api_key_file: Option<PathBuf>,
    /// PEM file of the authority that signed the service's certificate.
    pub tls_authority: Option<PathBuf>,
    /// PEM file of the own certificate.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the own certificate's key.
    pub tls_key: Option<PathBuf>,
    /// How the names of task queues begin.
    pub queue_prefix: String,
    /// Folder of the artifacts: `s3://bucket/prefix/`. A missing local bucket is created.
    pub artifacts: String,
    /// Encoders that long videos are cut for: the processors of all workers together.
    pub encoders: u32,
    /// A worker that is silent for this many seconds has lost its task.
    pub heartbeat_seconds: u64,
    /// Shares of MediaConvert's queues by their names, where their jobs compete; 1 for a queue that is not named.
    pub weights: BTreeMap<String, f32>,
}

impl Default for TemporalConfig {
    fn default() -> Self {
        Self {
            address: "http://127.0.0.1:7233".to_owned(),
            namespace: "default".to_owned(),
            api_key_file: None,
            tls_authority: None,
            tls_certificate: None,
            tls_key: None,
            queue_prefix: "abanico".to_owned(),
            artifacts: "s3://abanico-artifacts/jobs/".to_owned(),
            encoders: 16,
            heartbeat_seconds: 30,
            weights: BTreeMap::new(),
        }
    }
}
