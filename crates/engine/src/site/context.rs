//! What the steps of jobs work with: the parts that all jobs share, and those of one job.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abanico_ffmpeg::Capabilities;
use abanico_plan::{Artifact, Plan};
use abanico_store::{ObjectStore, Publication, WebInputs};
use abanico_tasks::results::Results;
use abanico_tasks::{InputHashes, Machine, TaskSink, Workbench};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::jobs::job::{JobRecord, Progress};
use crate::jobs::tallies::Tallies;
use crate::site::claims::Claims;
use crate::site::encoders::Urgency;
use crate::site::room::FullDisk;
use crate::site::turns::Turns;
use crate::site::work_folder::WorkFolder;

/// The parts that the steps of all jobs share, with the machine's turns as one job gets them.
#[derive(Clone)]
pub(crate) struct Workshop {
    /// Store of all objects.
    pub store: Arc<dyn ObjectStore>,
    /// Reads inputs from the web.
    pub web: WebInputs,
    /// What tasks work with.
    pub machine: Machine,
    /// Gives tasks their turns on the machine.
    pub turns: Turns,
    /// Capabilities of the installed ffmpeg.
    pub capabilities: Capabilities,
    /// Whether long inputs are encoded in chunks.
    pub chunks: bool,
    /// Encoders that long inputs are cut for: the machine's processors, or those of a fleet.
    pub encoders: u32,
    /// How long a job waits for room on a full disk before it fails.
    pub room_patience: Duration,
    /// When the disk of the work folders was last seen full.
    pub full_disk: FullDisk,
    /// Destinations at which jobs are publishing.
    pub claims: Claims,
    /// What is counted.
    pub tallies: Arc<Tallies>,
}

impl Workshop {
    /// Returns the workshop for the steps of a job of this urgency.
    pub fn for_job(&self, urgency: Urgency) -> Self {
        Self { turns: self.turns.for_job(urgency), ..self.clone() }
    }

    /// Removes kept encodes while the disk has less free space than it should. A check costs next to nothing.
    pub async fn keep_room(&self) {
        self.let_go(Results::keep_room).await;
    }

    /// Removes all kept encodes, because the disk was full. Returns true if that freed space, so that a retry may
    /// succeed.
    pub async fn give_up_kept(&self) -> bool {
        self.let_go(Results::give_up).await > 0
    }

    /// Removes all kept encodes that free space. Returns the bytes freed.
    pub async fn give_up_all_kept(&self) -> u64 {
        self.let_go(Results::give_up).await
    }

    /// Removes kept encodes that nobody used for this long. Returns the bytes freed.
    pub async fn expire_kept(&self, age: Option<Duration>) -> u64 {
        let Some(age) = age else { return 0 };
        self.let_go(move |results| results.expire(age)).await
    }

    async fn let_go(&self, some: impl FnOnce(&Results) -> std::io::Result<u64> + Send + 'static) -> u64 {
        let Some(results) = self.machine.results.clone() else { return 0 };
        match tokio::task::spawn_blocking(move || some(&results)).await {
            Ok(Ok(0)) | Err(_) => 0,
            Ok(Ok(size_bytes)) => {
                tracing::info!(size_bytes, "removed kept encodes");
                size_bytes
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot remove kept encodes");
                0
            }
        }
    }
}

/// The parts that the steps of one job share.
#[derive(Clone)]
pub(crate) struct JobContext {
    /// What all jobs share, with the encoders as this job sees them.
    pub workshop: Arc<Workshop>,
    /// Policy on where inputs may come from, in PutPolicy's form; null allows all.
    pub policy: Value,
    /// The job's work folder.
    pub work: WorkFolder,
    /// URLs of the inputs, in the job's order.
    pub input_urls: Vec<String>,
    /// Live progress, which others read.
    pub progress: Arc<Mutex<Progress>>,
    /// CPU time of child processes that produced nothing, in milliseconds, not yet in any report.
    pub lost_cpu_ms: Arc<AtomicU64>,
    /// Hashes of the inputs' bytes, computed on first use.
    pub input_hashes: InputHashes,
    /// Called when the progress has changed.
    pub changed: Arc<dyn Fn() + Send + Sync>,
    /// Ends every step of the job, except taking back.
    pub cancel: CancellationToken,
    /// Held while outputs are published or taken back.
    pub publishing: Arc<tokio::sync::Mutex<()>>,
}

impl JobContext {
    /// Returns the publication of the job's outputs.
    pub fn publication(&self) -> Publication {
        Publication::new(self.work.job().as_str(), self.work.publication())
    }

    /// Returns the fetched inputs in the job's order. An input that is named twice is fetched once.
    pub fn input_files(&self) -> Vec<PathBuf> {
        let first = |url: &String| self.input_urls.iter().position(|other| other == url).unwrap_or(0);
        self.input_urls.iter().map(|url| self.work.input(first(url))).collect()
    }

    /// Returns what tasks work with, and whom they report to. Before there is a plan, only inputs are fetched.
    pub fn bench(&self, plan: Option<&Plan>, sink: Arc<dyn TaskSink>) -> Workbench {
        let inputs = (0..).map(Artifact::Input).zip(self.input_files());
        let captions = plan.iter().flat_map(|plan| 0..plan.caption_files.len());
        let captions =
            (0..).map(Artifact::CaptionFile).zip(captions.map(|index| self.work.caption_file(index)));
        let images = plan.iter().flat_map(|plan| plan.images.iter().enumerate());
        let images = (0..).map(Artifact::Image).zip(images.map(|(index, url)| self.work.image(index, url)));
        let files: BTreeMap<Artifact, PathBuf> = inputs.chain(captions).chain(images).collect();
        Workbench {
            machine: Arc::new(self.workshop.machine.clone()),
            capacity: Arc::new(self.workshop.turns.clone()),
            attempt: abanico_tasks::Attempt::default(),
            name: self.work.job().to_string(),
            subject: self.input_urls.first().cloned().unwrap_or_default(),
            folders: self.work.tasks().clone(),
            files: Arc::new(files),
            input_hashes: self.input_hashes.clone(),
            sink,
            cancel: self.cancel.clone(),
        }
    }

    /// Changes the live progress.
    pub fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        (self.changed)();
    }
}

/// Creates the progress that a driver shares with its readers.
pub(crate) fn shared_progress(record: &JobRecord) -> Arc<Mutex<Progress>> {
    Arc::new(Mutex::new(record.progress))
}

/// Returns the context of a job for tests, with all folders below `folder`.
#[cfg(test)]
pub(crate) fn sample_context(folder: &std::path::Path, record: &JobRecord) -> JobContext {
    let workshop = Workshop {
        store: Arc::new(abanico_store::Router::new()),
        web: WebInputs::default(),
        machine: Machine {
            tools: abanico_ffmpeg::Tools::find(None, None).unwrap(),
            ffmpeg_version: String::new(),
            sandboxing: abanico_tasks::Sandboxing::off(),
            cores: 1,
            results: Results::open(&folder.join("results"), 1 << 20, 0).unwrap().map(Arc::new),
        },
        turns: Turns::new(1),
        capabilities: Capabilities {
            version: String::new(),
            encoders: std::collections::BTreeSet::new(),
            filters: std::collections::BTreeSet::new(),
        },
        chunks: false,
        encoders: 1,
        room_patience: Duration::ZERO,
        full_disk: FullDisk::default(),
        claims: Claims::default(),
        tallies: Arc::default(),
    };
    JobContext {
        workshop: Arc::new(workshop),
        policy: Value::Null,
        work: WorkFolder::of(folder, &record.id),
        input_urls: Vec::new(),
        progress: shared_progress(record),
        lost_cpu_ms: Arc::default(),
        input_hashes: Arc::default(),
        changed: Arc::new(|| {}),
        cancel: CancellationToken::new(),
        publishing: Arc::default(),
    }
}
