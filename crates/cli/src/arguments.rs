//! Parses the command line, with one struct per command. `--help` shows every default.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "fleet")]
pub mod fleet;
pub mod listen;
#[cfg(feature = "aws")]
pub use aws::{Aws, AwsCommand, AwsDeploy, AwsEstimate, AwsLogs, AwsPlace, AwsRemove, AwsStatus, AwsSubmit};

/// Upload a video, get every rendition: S3, trigger and MediaConvert in one program, with real encoders.
#[derive(Debug, Parser)]
#[command(name = "abanico", version, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Format of the log on stderr.
    #[arg(long, global = true, env = "ABANICO_LOG", default_value = "text", value_enum)]
    pub log: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit status: 0 done, 1 the work failed, 2 wrong usage or configuration, \
3 something is missing on this machine, 129 hung up, 130 interrupted, 143 terminated.";

/// Format of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogFormat {
    /// Human-readable lines.
    Text,
    /// One JSON object per line.
    Json,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve S3, the upload trigger and the MediaConvert API on one port, also for one command.
    Serve(Serve),
    /// Transcode files without a server.
    Transcode(Transcode),
    /// Print a file's measured facts as JSON.
    Probe(Probe),
    /// Examine a file: groups of pictures, bit rate over time, decoder buffer, audio offset.
    Inspect(Inspect),
    /// Print the plan for a file: renditions, tasks and ffmpeg commands.
    Plan(Plan),
    /// Check this machine: ffmpeg, encoders, disk, port, clock, sandbox.
    Doctor(Doctor),
    /// Run the whole pipeline once: serve, upload, transcode, and leave the renditions in a folder.
    Demo(Demo),
    /// List uploads whose job could not be submitted, or replay one.
    DeadLetters(DeadLetters),
    /// List who gets events of a running server and what waits for them, or send events again.
    Receivers(Receivers),
    /// List stored records that cannot be read and were put aside; show, put back or drop one.
    Records(Records),
    /// Say what takes room in the data folder, and free what nobody needs.
    Gc(Gc),
    /// Check the objects of a stopped server, and rebuild a lost index.
    S3(S3),
    /// Back up the data folder, also while the server runs.
    Backup(Backup),
    /// Put a backup in the place of the data folder.
    Restore(Restore),
    /// Deploy, watch and remove the same pipeline on AWS: S3, Lambda and MediaConvert.
    #[cfg(feature = "aws")]
    Aws(Aws),
    /// Do tasks of a fleet on this machine.
    #[cfg(feature = "fleet")]
    Worker(fleet::Worker),
    /// List the workers of a fleet and what each does.
    #[cfg(feature = "fleet")]
    Workers(fleet::Workers),
    /// Plan a job, or do one of its tasks, with an artifact store.
    #[command(name = "__task", hide = true)]
    Task(TaskRun),
    /// Enter the sandbox and replace this process with another program.
    #[command(name = "__sandbox", hide = true)]
    Sandbox(Sandbox),
}

impl Command {
    /// Returns whether the command stays up and logs its work; the others show theirs themselves.
    pub fn stays_up(&self) -> bool {
        match self {
            Self::Serve(serve) => serve.command.is_empty(),
            #[cfg(feature = "fleet")]
            Self::Worker(_) => true,
            _ => false,
        }
    }
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Address and port to listen on. A port alone is one of 127.0.0.1; port 0 picks a free one. Default:
    /// 127.0.0.1:4566.
    #[arg(long, env = "ABANICO_LISTEN", value_name = "ADDR:PORT", value_parser = listen::parse)]
    pub listen: Option<SocketAddr>,
    /// Folder for all data. Default: `abanico-data`.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file. Default: `abanico.toml` if it exists.
    #[arg(long, env = "ABANICO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Command to run against the server, as in `abanico serve -- pytest`. It gets AWS_ENDPOINT_URL, a key pair and the
    /// region as variables. The server takes a free port unless one is set, and stops when the command ends.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// The settings of a job.
#[derive(Debug, Clone, Args)]
pub struct JobChoice {
    /// One system preset per output; repeatable. Default: a ladder that follows the source.
    #[arg(long, value_name = "NAME", conflicts_with = "job")]
    pub preset: Vec<String>,
    /// JSON file with a MediaConvert job: a CreateJob request or only its settings. Its first input and its
    /// destinations are replaced.
    #[arg(long, value_name = "FILE")]
    pub job: Option<PathBuf>,
    /// Whether to encode long videos in chunks.
    #[arg(long, value_enum, default_value_t)]
    pub chunks: Chunks,
}

/// Whether to encode videos in chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chunks {
    /// Use chunks if the video is long enough and its frames allow it.
    #[default]
    Auto,
    /// Encode every video in one piece.
    Off,
}

impl Chunks {
    /// Returns how a plan for this number of parallel encoders cuts videos.
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
    /// Files or s3://bucket/key URLs to transcode.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    #[command(flatten)]
    pub choice: JobChoice,
    /// Folder or s3://bucket/prefix/ URL for the outputs.
    #[arg(long, value_name = "DIR|s3://…", default_value = ".")]
    pub out: String,
    /// Replace existing outputs.
    #[arg(long)]
    pub force: bool,
    /// Folder for finished encodes, which later runs reuse even if this run is killed. Default: keep none.
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
    /// Maximum size of the finished encodes to keep, in GiB.
    #[arg(long, value_name = "GIB", default_value_t = 10, requires = "results")]
    pub results_gib: u64,
    /// Print progress, outputs and failures as JSON lines on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// File to probe.
    pub file: PathBuf,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// File to examine.
    pub file: PathBuf,
    /// Rate at which the decoder's buffer fills, in bits per second. With this option, abanico checks the buffer and
    /// exits with status 1 if it underflows.
    #[arg(long, value_name = "BITS_PER_SECOND")]
    pub max_bit_rate: Option<u64>,
    /// Size of the decoder's buffer in bits. Default: two seconds at the rate of --max-bit-rate.
    #[arg(long, value_name = "BITS", requires = "max_bit_rate")]
    pub buffer: Option<u64>,
    /// How full the decoder's buffer is at the start, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub fill: u8,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// File to plan for.
    pub file: PathBuf,
    #[command(flatten)]
    pub choice: JobChoice,
    /// Print the whole plan as JSON.
    #[arg(long)]
    pub json: bool,
    /// Number of parallel encoders to plan for. Default: one per processor of this machine.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub encoders: Option<u32>,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Configuration file to check as well. Default: `abanico.toml` if it exists.
    #[arg(long, env = "ABANICO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Video to transcode. Default: a ten-second clip that the demo makes.
    pub video: Option<PathBuf>,
    /// Folder for the renditions.
    #[arg(long, value_name = "DIR", default_value = "abanico-demo")]
    pub out: PathBuf,
    /// Folder to keep the server's data in (uploads, jobs, credentials). Default: remove the data at the end.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Arguments of `dead-letters`.
#[derive(Debug, Args)]
pub struct DeadLetters {
    /// Data folder of the server.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR", default_value = "abanico-data")]
    pub data: PathBuf,
    #[command(subcommand)]
    pub action: Option<DeadLetterAction>,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLetterAction {
    /// List the dead letters as JSON lines. This is the default.
    List,
    /// Deliver a dead letter again: at once if the server runs, otherwise when it starts next.
    Replay {
        /// Id of the dead letter.
        id: i64,
    },
}

/// Arguments of `receivers`.
#[derive(Debug, Args)]
pub struct Receivers {
    /// Data folder of the server.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR", default_value = "abanico-data")]
    pub data: PathBuf,
    #[command(subcommand)]
    pub action: Option<ReceiverAction>,
}

/// What to do with receivers of events.
#[derive(Debug, Subcommand)]
pub enum ReceiverAction {
    /// List the receivers as JSON lines. This is the default.
    List,
    /// Send a receiver at once what waits for it, and the events of objects that were given up.
    Redeliver {
        /// Id of the receiver, as `list` prints it.
        id: String,
        /// Number of an event of a job: this one and all after it are sent again. A number beyond the first event that
        /// waits skips those before it.
        #[arg(long, value_name = "NUMBER")]
        from: Option<i64>,
    },
}

/// Arguments of `records`.
#[derive(Debug, Args)]
pub struct Records {
    /// Data folder of the server.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR", default_value = "abanico-data")]
    pub data: PathBuf,
    #[command(subcommand)]
    pub action: Option<RecordAction>,
}

/// What to do with records that were put aside.
#[derive(Debug, Subcommand)]
pub enum RecordAction {
    /// List the records as JSON lines. This is the default.
    List,
    /// Print everything that is stored of a record.
    Show {
        /// Number of the record.
        id: i64,
    },
    /// Put a record back in its place, after you have mended it with sqlite3 or to let a newer version read it.
    PutBack {
        /// Number of the record.
        id: i64,
    },
    /// Delete a record for good.
    Drop {
        /// Number of the record.
        id: i64,
    },
}

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub struct Gc {
    /// Data folder of the server, running or stopped.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR", default_value = "abanico-data")]
    pub data: PathBuf,
    /// Free what can be freed: what the configuration lets expire, all kept encodes, files that no object uses, and what
    /// ended jobs left. Without it, nothing is changed.
    #[arg(long)]
    pub free: bool,
    /// Folder of outputs of `abanico transcode` to look at too, for what killed runs left there; repeatable.
    #[arg(long, value_name = "DIR")]
    pub outputs: Vec<PathBuf>,
    /// Configuration file that says how long things are kept; a running server has its own. Default: `abanico.toml` if it
    /// exists.
    #[arg(long, env = "ABANICO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `s3`.
#[derive(Debug, Args)]
pub struct S3 {
    #[command(subcommand)]
    pub command: S3Command,
}

/// What to do with the objects.
#[derive(Debug, Subcommand)]
pub enum S3Command {
    /// Compare the index with the blobs. Changes nothing without --repair.
    #[command(after_help = FSCK_EXIT_CODES)]
    Fsck(Fsck),
}

const FSCK_EXIT_CODES: &str = "Exit status: 0 nothing is wrong, 1 problems were found (repaired or not), \
2 the check could not run.";

/// Arguments of `s3 fsck`.
#[derive(Debug, Args)]
pub struct Fsck {
    /// Data folder of the stopped server.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR", default_value = "abanico-data")]
    pub data: PathBuf,
    /// Repair what is wrong: rebuild the index and keep the old one, move unused files to the quarantine.
    #[arg(long)]
    pub repair: bool,
    /// Read all bytes too, and compare them with their checksums.
    #[arg(long)]
    pub verify: bool,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// Data folder of the server.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR", default_value = "abanico-data")]
    pub data: PathBuf,
    /// New folder for the backup.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Configuration file to back up as well. Default: `abanico.toml` if it exists.
    #[arg(long, env = "ABANICO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Folder of the backup.
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// Data folder of the stopped server.
    #[arg(long, env = "ABANICO_DATA", value_name = "DIR", default_value = "abanico-data")]
    pub data: PathBuf,
    /// Move a data folder that is not empty away. It stays beside the new one.
    #[arg(long)]
    pub replace: bool,
}

/// Arguments of the hidden command for tasks.
#[derive(Debug, Args)]
pub struct TaskRun {
    /// Folder or s3://bucket/prefix/ URL of the artifact store.
    #[arg(long, value_name = "DIR|s3://…")]
    pub artifacts: String,
    #[command(subcommand)]
    pub command: TaskCommand,
}

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Plan a job, store what its tasks read, and print their assignments, each after those that it depends on.
    Plan {
        /// JSON file with the settings of a MediaConvert job.
        #[arg(long, value_name = "FILE")]
        job: PathBuf,
        /// Empty folder for the fetched inputs.
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
        /// Number of encoders of all machines together.
        #[arg(long, value_name = "NUMBER")]
        encoders: u32,
        /// Store the inputs as artifacts, for machines that cannot read them where they are.
        #[arg(long)]
        store_inputs: bool,
    },
    /// Do the task whose assignment is on stdin, and print its outcome.
    Run {
        /// Empty folder to work in.
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
        /// Folder for inputs that are fetched whole, for all tasks of this machine.
        #[arg(long, value_name = "DIR")]
        sources: Option<PathBuf>,
    },
    /// Put the files of an artifact into a folder.
    Take {
        /// Key of the artifact.
        key: String,
        /// The folder.
        folder: PathBuf,
    },
}

/// Arguments of the hidden sandbox command.
#[derive(Debug, Args)]
pub struct Sandbox {
    /// Policy as JSON.
    pub policy: String,
    /// Program to run, and its arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<std::ffi::OsString>,
}
