//! Arguments of the commands of a fleet.

use std::path::PathBuf;

use clap::Args;

use crate::config::SandboxMode;

/// How a fleet is reached.
#[derive(Debug, Clone, Args)]
pub struct FleetReach {
    /// URL of Temporal.
    #[arg(
        long,
        env = "ABANICO_TEMPORAL_ADDRESS",
        value_name = "URL",
        default_value = "http://127.0.0.1:7233"
    )]
    pub temporal: String,
    /// Namespace of Temporal.
    #[arg(long, env = "ABANICO_TEMPORAL_NAMESPACE", value_name = "NAME", default_value = "default")]
    pub namespace: String,
    /// File with the API key for Temporal. Without it, the variable ABANICO_TEMPORAL_API_KEY is used if it is set.
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// PEM file of the authority that signed Temporal's certificate.
    #[arg(long, value_name = "FILE")]
    pub tls_authority: Option<PathBuf>,
    /// PEM file of a certificate to show to Temporal.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of that certificate's key.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// How the names of task queues begin; the same as the server's `queue_prefix`.
    #[arg(long, value_name = "TEXT", default_value = "abanico")]
    pub queue_prefix: String,
}

/// Arguments of `worker`.
#[derive(Debug, Args)]
pub struct Worker {
    #[command(flatten)]
    pub reach: FleetReach,
    /// Folder of the artifacts: `http://HOST:PORT/BUCKET/jobs/` on abanico's S3 endpoint or another S3, or
    /// `s3://BUCKET/jobs/` on Amazon's. Credentials come from the usual AWS variables.
    #[arg(long, env = "ABANICO_ARTIFACTS", value_name = "URL")]
    pub artifacts: String,
    /// Tasks at once. Default: the number of processors.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub slots: Option<u16>,
    /// Processors to use. Default: all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub cores: Option<u16>,
    /// Name of the worker, shown by `abanico workers`. Default: the name of the machine and the process.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Folder for work in progress. Default: the system's folder for temporary files.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// How long running tasks may go on after the signal to stop, in seconds. Then other workers get them.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub grace_seconds: u64,
    /// How ffmpeg is sandboxed.
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub sandbox: SandboxMode,
    /// Test this machine, say what it can do, and take no tasks.
    #[arg(long)]
    pub check: bool,
}

/// Arguments of `workers`.
#[derive(Debug, Args)]
pub struct Workers {
    #[command(flatten)]
    pub reach: FleetReach,
    /// Version of ffmpeg of the workers. Default: this machine's.
    #[arg(long, value_name = "VERSION")]
    pub ffmpeg_version: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
