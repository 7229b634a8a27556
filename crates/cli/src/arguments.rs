//! The command line: in words, out one struct for each command. Never a default that `--help` does not show.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "aws")]
pub use aws::{Aws, AwsCommand, AwsDeploy, AwsEstimate, AwsLogs, AwsPlace, AwsRemove, AwsStatus, AwsSubmit};

/// Upload a video, get every rendition: S3, trigger and MediaConvert in one program, with real encoders.
#[derive(Debug, Parser)]
#[command(name = "abanico", version, after_help = EXIT_CODES)]
pub struct Arguments {
    /// How the log on stderr looks.
    #[arg(long, global = true, env = "ABANICO_LOG", default_value = "text", value_enum)]
    pub log: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit status: 0 done, 1 the work failed, 2 wrong usage or configuration, \
3 something is missing on this machine, 130 interrupted.";

/// How the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve S3, the upload trigger and the MediaConvert API on one port.
    Serve(Serve),
    /// Transcode files without a server.
    Transcode(Transcode),
    /// Print the facts of a file as JSON.
    Probe(Probe),
    /// Look closely at a finished file: groups of pictures, bit rate over time, the decoder's buffer, the sound's offset.
    Inspect(Inspect),
    /// Print what would be done with a file: renditions, tasks and ffmpeg commands.
    Plan(Plan),
    /// Check this machine: ffmpeg, encoders, disk, port, clock, sandbox.
    Doctor(Doctor),
    /// Show the whole pipeline once: serve, upload, transcode, and leave playable renditions in a folder.
    Demo(Demo),
    /// List uploads whose job could not be submitted, or replay one.
    DeadLetters(DeadLetters),
    /// Deploy, watch and remove the same pipeline on AWS: S3, Lambda and MediaConvert.
    #[cfg(feature = "aws")]
    Aws(Aws),
    /// Enter the sandbox and become another program.
    #[command(name = "__sandbox", hide = true)]
    Sandbox(Sandbox),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Address to listen on; port 0 takes a free one. Default 127.0.0.1:4566.
    #[arg(long, env = "ABANICO_LISTEN", value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Folder of all data. Default `abanico-data`.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file. Default `abanico.toml` where it exists.
    #[arg(long, env = "ABANICO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Which settings a job has.
#[derive(Debug, Clone, Args)]
pub struct JobChoice {
    /// A system preset by name, for each output one; without, the ladder that follows the source.
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "job")]
    pub preset: Vec<String>,
    /// A MediaConvert job (CreateJob request or its settings) as JSON; its input is replaced.
    #[arg(long, value_name = "FILE")]
    pub job: Option<PathBuf>,
    /// Whether long films are encoded in chunks.
    #[arg(long, value_enum, default_value_t)]
    pub chunks: Chunks,
}

/// Whether films are encoded in chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chunks {
    /// Where a film is long enough and its frames allow it.
    #[default]
    Auto,
    /// Each film is one encode.
    Off,
}

impl Chunks {
    /// How a plan for this machine cuts films.
    pub fn chunking(self, encoders: u32) -> abanico_plan::Chunking {
        match self {
            Self::Auto => abanico_plan::Chunking::For(encoders),
            Self::Off => abanico_plan::Chunking::Off,
        }
    }
}

/// Arguments of `transcode`.
#[derive(Debug, Args)]
pub struct Transcode {
    /// Files or s3://bucket/key.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    #[command(flatten)]
    pub choice: JobChoice,
    /// Folder or s3://bucket/prefix/ for the outputs. Default: this folder.
    #[arg(long, value_name = "DIR|s3://…", default_value = ".")]
    pub out: String,
    /// Replace outputs that exist.
    #[arg(long)]
    pub force: bool,
    /// Folder in which finished encodes are kept: the next run encodes only what is new, whether this one ended or was
    /// killed. Default: none are kept.
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
    /// GiB of finished encodes that are kept at most.
    #[arg(long, value_name = "GIB", default_value_t = 10, requires = "results")]
    pub results_gib: u64,
    /// Print one JSON object a line on stdout: progress, outputs, failures.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// A file.
    pub file: PathBuf,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A file.
    pub file: PathBuf,
    /// Bits a second that a decoder's buffer is filled with; with it the buffer is checked, and one that runs dry gives exit
    /// status 1.
    #[arg(long, value_name = "BITS_A_SECOND")]
    pub max_bit_rate: Option<u64>,
    /// Size of that buffer in bits; two seconds where it is not named.
    #[arg(long, value_name = "BITS", requires = "max_bit_rate")]
    pub buffer: Option<u64>,
    /// How full it is at the start, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub fill: u8,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// A file.
    pub file: PathBuf,
    #[command(flatten)]
    pub choice: JobChoice,
    /// Print the whole plan as JSON.
    #[arg(long)]
    pub json: bool,
    /// Encoders at once that the plan is for. Default: one for each processor of this machine.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub encoders: Option<u32>,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Configuration file to check too.
    #[arg(long, env = "ABANICO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Video to transcode. Default: a clip of ten seconds that the demo makes.
    pub video: Option<PathBuf>,
    /// Folder for the renditions.
    #[arg(long, value_name = "DIR", default_value = "abanico-demo")]
    pub out: PathBuf,
    /// Keep the server's data (uploads, jobs, credentials) in this folder. Default: they are removed at the end.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Arguments of `dead-letters`.
#[derive(Debug, Args)]
pub struct DeadLetters {
    /// Folder of the server's data.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR", default_value = "abanico-data")]
    pub data: PathBuf,
    #[command(subcommand)]
    pub action: Option<DeadLetterAction>,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLetterAction {
    /// List them as JSON lines.
    List,
    /// Deliver one again.
    Replay {
        /// Its id.
        id: i64,
    },
}

/// Arguments of the hidden sandbox command.
#[derive(Debug, Args)]
pub struct Sandbox {
    /// The policy as JSON.
    pub policy: String,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<std::ffi::OsString>,
}
