//! Steps of a job, one file each: fetch → work → keep → report. Stateless: everything a step needs is handed to it.
//!
//! Never: a change of a job's record. That is the driver's.

pub(crate) mod attempts;
pub(crate) mod budgets;
pub(crate) mod captions;
pub(crate) mod capture;
pub(crate) mod encode;
pub(crate) mod manifests;
pub(crate) mod meter;
pub(crate) mod package;
pub(crate) mod packaged_files;
pub(crate) mod prepare;
pub(crate) mod publish;
pub(crate) mod reuse;
pub(crate) mod segment;
pub(crate) mod stitch;
pub(crate) mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use abanico_ffmpeg::{Capabilities, Tools};
use abanico_plan::TaskId;
use abanico_store::{ObjectStore, WebInputs};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::encoders::{Encoders, Urgency};
use crate::failure;
use crate::job::{Progress, PublishedOutput};
use crate::job_machine::{Failure, Step};
use crate::results::Results;
use crate::sandboxing::Sandboxing;
use crate::stragglers::Paces;
use crate::work_folder::WorkFolder;

use self::meter::Meter;

/// What a step tells the driver.
pub(crate) enum Report {
    /// The plan stands.
    Prepared(Box<prepare::Prepared>),
    /// A task is done; `verified` is what verifying measured.
    TaskDone { task: TaskId, cpu_ms: u64, verified: Option<PublishedOutput> },
    /// These files stand in their places, by their URLs.
    Published(Vec<String>),
    /// All do.
    AllPublished,
    /// A step failed.
    Failed(Step, Failure),
}

/// What all steps of all jobs share, with the encoders as one job sees them.
#[derive(Clone)]
pub(crate) struct Workshop {
    /// Where objects are.
    pub store: Arc<dyn ObjectStore>,
    /// What reads inputs from the web.
    pub web: WebInputs,
    /// ffmpeg and ffprobe.
    pub tools: Tools,
    /// What they can do.
    pub capabilities: Capabilities,
    /// How ffmpeg is locked in.
    pub sandboxing: Sandboxing,
    /// One permit for each processor: encodes of whole films take them all, so two never fight for caches.
    pub encoders: Encoders,
    /// Permits for work that is light: probing, sound, packaging, verifying. Served in the order of arrival, so no job waits
    /// for ever.
    pub light: Arc<Semaphore>,
    /// Processors.
    pub cores: u32,
    /// Whether films are encoded in chunks.
    pub chunks: bool,
    /// Encodes that were made before.
    pub results: Option<Arc<Results>>,
}

impl Workshop {
    /// The workshop for the steps of a job of this urgency.
    pub fn for_job(&self, urgency: Urgency) -> Self {
        Self { encoders: self.encoders.for_job(urgency), ..self.clone() }
    }

    /// Lets kept encodes go while the disk has less free than it should; a look costs next to nothing.
    pub async fn keep_room(&self) {
        self.let_go(Results::keep_room).await;
    }

    /// Lets all kept encodes go, because the disk was full. True when that made room, so what failed may do now.
    pub async fn give_up_kept(&self) -> bool {
        self.let_go(Results::give_up).await > 0
    }

    async fn let_go(&self, some: fn(&Results) -> std::io::Result<u64>) -> u64 {
        let Some(results) = self.results.clone() else { return 0 };
        match tokio::task::spawn_blocking(move || some(&results)).await {
            Ok(Ok(0)) | Err(_) => 0,
            Ok(Ok(size_bytes)) => {
                tracing::info!(size_bytes, "kept encodes went, because the disk has little room");
                size_bytes
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot remove kept encodes from a disk that has little room");
                0
            }
        }
    }
}

/// What the steps of one job share.
#[derive(Clone)]
pub(crate) struct JobContext {
    /// What all jobs share, and the encoders.
    pub workshop: Arc<Workshop>,
    /// Where inputs may come from, as PutPolicy has it; null allows all.
    pub policy: Value,
    /// The job's files.
    pub work: WorkFolder,
    /// URLs of the inputs in the job's order.
    pub input_urls: Vec<String>,
    /// Live progress, read by whoever asks.
    pub progress: Arc<Mutex<Progress>>,
    /// How many frames are encoded.
    pub meter: Meter,
    /// How fast its chunks are encoded.
    pub paces: Paces,
    /// Processor time of children that made nothing, in milliseconds, which is in no report yet.
    pub lost_cpu_ms: Arc<AtomicU64>,
    /// Hashes of the inputs' bytes, once somebody asked.
    pub input_hashes: Arc<OnceCell<Vec<String>>>,
    /// Says that somebody may want to look at the progress.
    pub changed: Arc<dyn Fn() + Send + Sync>,
    /// Ends every step of the job.
    pub cancel: CancellationToken,
}

impl JobContext {
    /// The fetched inputs in the job's order; one that is named twice is fetched once.
    pub fn input_files(&self) -> Vec<PathBuf> {
        let first = |url: &String| self.input_urls.iter().position(|other| other == url).unwrap_or(0);
        self.input_urls.iter().map(|url| self.work.input(first(url))).collect()
    }

    /// Hexadecimal BLAKE3 hashes of the inputs' bytes, in the job's order.
    pub async fn input_hashes(&self) -> Result<&[String], Failure> {
        let hash = || async {
            let files = self.input_files();
            let hashed = tokio::task::spawn_blocking(move || {
                let mut known: BTreeMap<PathBuf, String> = BTreeMap::new();
                for file in &files {
                    if !known.contains_key(file) {
                        let mut hasher = blake3::Hasher::new();
                        std::io::copy(&mut std::fs::File::open(file)?, &mut hasher)?;
                        known.insert(file.clone(), hasher.finalize().to_hex().to_string());
                    }
                }
                Ok(files.iter().filter_map(|file| known.get(file).cloned()).collect::<Vec<String>>())
            });
            let hashed = hashed.await.map_err(|_| failure::broken("hashing the input ended early"))?;
            hashed.map_err(|error: std::io::Error| failure::from_disk("read the input", &error))
        };
        Ok(self.input_hashes.get_or_try_init(hash).await?.as_slice())
    }

    /// Notes the processor time of a child that made nothing.
    pub fn lose(&self, cpu_ms: u64) {
        self.lost_cpu_ms.fetch_add(cpu_ms, Ordering::Relaxed);
    }

    /// URL of the first input, by which failures name the job's material.
    pub fn first_input_url(&self) -> &str {
        self.input_urls.first().map_or("", String::as_str)
    }

    /// Changes the live progress.
    pub fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        (self.changed)();
    }
}
