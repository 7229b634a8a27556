//! The embedded engine: takes submissions and drives each job to its end, even across crashes and restarts.
//!
//! It drives at most [`EngineOptions::max_active_jobs`] jobs at once; the others wait on disk. It speaks no HTTP.

mod done_by;
mod figures;
mod outlook;
pub(crate) mod probing;
mod retention;
mod storage;
mod stored_resources;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use abanico_ffmpeg::{Tools, capabilities};
use abanico_model::arn::{ResourceKind, resource_name};
use abanico_model::parse;
use abanico_model::problem::{Problem, Problems};
use abanico_plan::{PLAN_VERSION, TaskId};
use abanico_store::{ObjectStore, WebInputs};
use abanico_tasks::results::Results;
use abanico_tasks::{Machine, Sandboxing};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::driver::Driver;
use crate::embedded::Embedded;
use crate::engine::outlook::Outlook;
use crate::error::{Error, ErrorKind};
use crate::executor::trials::Trials;
use crate::executor::{Executor, REPORTS, Signals};
use crate::failure;
use crate::fleet::OnFleet;
use crate::forwarding::Elsewhere;
use crate::jobs::hops;
use crate::jobs::ids::JobId;
use crate::jobs::job::{Forwarded, JobRecord, JobTimes, Progress, Submission};
use crate::jobs::job_machine::{JobMachine, Stage, Waiting};
use crate::records::database::{Database, Inserted, ListFilter, StoredEvent};
use crate::records::items::ItemKind;
use crate::requests::destinations;
use crate::requests::quotas;
use crate::requests::resource_checks;
use crate::requests::submission::{self, Catalogue, Refusal};
use crate::site::claims::Claims;
use crate::site::context::{JobContext, Workshop, shared_progress};
use crate::site::encoders::Urgency;
use crate::site::room::FullDisk;
use crate::site::turns::Turns;
use crate::site::work_folder::WorkFolder;
use abanico_process::clock;

pub use done_by::DoneBy;
pub use figures::Figures;
pub use outlook::DiskOutlook;
pub use retention::{Expired, Retention};
pub use storage::{EngineStorage, Held, free_stopped};
pub use upkeep::Troubles;

/// How long a request to cancel waits for the decision.
const DECISION_WAIT: Duration = Duration::from_secs(10);

/// Options of an [`Engine`].
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Folder of the database and of work in progress; created if missing.
    pub folder: PathBuf,
    /// Processors to use, at least 1.
    pub cores: u32,
    /// Whether long inputs are encoded in chunks.
    pub chunks: bool,
    /// Keeps finished encodes for later jobs that need the same; `None` keeps none.
    pub results: Option<ResultsOptions>,
    /// Most jobs to drive at once, at least 1. Their encodes still take turns.
    pub max_active_jobs: usize,
    /// How ffmpeg is sandboxed.
    pub sandboxing: Sandboxing,
    /// Reads inputs from the web; the default reads none.
    pub web: WebInputs,
    /// How long a job waits for room on a full disk before it fails.
    pub room_patience: Duration,
    /// How long what is finished is kept.
    pub retention: Retention,
}

/// How finished encodes are kept for reuse.
#[derive(Clone, Debug)]
pub struct ResultsOptions {
    /// Folder of the kept encodes; created if missing. Best on the same file system as [`EngineOptions::folder`], so
    /// that files are linked instead of copied.
    pub folder: PathBuf,
    /// Most bytes to keep; the least recently used encodes are removed first. 0 keeps none.
    pub most_bytes: u64,
    /// Bytes of that disk to leave free. When it has less, kept encodes are removed before a job fails for lack of
    /// space.
    pub spare_bytes: u64,
}

/// A handle to the engine. All clones share one engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    options: EngineOptions,
    database: Arc<Database>,
    workshop: Workshop,
    done_by: DoneBy,
    active: Mutex<BTreeMap<JobId, Active>>,
    /// Notified of a new job or a free slot.
    wake: Notify,
    /// Counts changes of jobs, events and progress.
    changes: watch::Sender<u64>,
    stop: CancellationToken,
    tracker: TaskTracker,
    outlook: Outlook,
}

struct Active {
    cancel: CancellationToken,
    progress: Arc<Mutex<Progress>>,
}

impl Engine {
    /// Opens the engine's folder, resumes interrupted jobs and starts accepting new ones. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// Fails if the folder or its database cannot be used, or if ffmpeg cannot be asked for its capabilities.
    pub async fn open(
        options: EngineOptions,
        store: Arc<dyn ObjectStore>,
        tools: Tools,
    ) -> Result<Self, Error> {
        Self::open_with(options, store, tools, DoneBy::ThisMachine).await
    }

    /// Like [`Engine::open`], but jobs are done by whom `done_by` names.
    ///
    /// # Errors
    /// As for [`Engine::open`].
    pub async fn open_with(
        options: EngineOptions,
        store: Arc<dyn ObjectStore>,
        tools: Tools,
        done_by: DoneBy,
    ) -> Result<Self, Error> {
        let works = options.folder.join("work");
        std::fs::create_dir_all(&works)
            .map_err(|error| Error::storage("create the engine's folder", error))?;
        let database = Arc::new(Database::open(&options.folder.join("jobs.sqlite"))?);
        let capabilities = capabilities(&tools)
            .await
            .map_err(|error| Error::storage("query ffmpeg's capabilities", error))?;
        let cores = options.cores.max(1);
        let kept = options.results.as_ref();
        let opened =
            kept.map(|kept| Results::open(&kept.folder, kept.most_bytes, kept.spare_bytes)).transpose();
        let results =
            opened.map_err(|error| Error::storage("open the folder of kept encodes", error))?.flatten();
        let workshop = Workshop {
            store,
            web: options.web.clone(),
            machine: Machine {
                tools,
                ffmpeg_version: capabilities.version.clone(),
                sandboxing: options.sandboxing.clone(),
                cores,
                results: results.map(Arc::new),
            },
            turns: Turns::new(cores),
            capabilities,
            chunks: options.chunks,
            encoders: done_by.encoders().unwrap_or(cores),
            room_patience: options.room_patience,
            full_disk: FullDisk::default(),
            claims: Claims::default(),
            tallies: Arc::default(),
        };
        let engine = Self {
            shared: Arc::new(Shared {
                options,
                database,
                workshop,
                done_by,
                active: Mutex::default(),
                wake: Notify::new(),
                changes: watch::Sender::new(0),
                stop: CancellationToken::new(),
                tracker: TaskTracker::new(),
                outlook: Outlook::default(),
            }),
        };
        engine.claim_again(&works)?;
        engine.conclude_at_start().await;
        probing::probe_folders(&engine.shared.options.folder).remove_abandoned();
        engine.resume()?;
        let concluder = engine.clone();
        engine.shared.tracker.spawn(async move { concluder.conclude_every_minute().await });
        let scheduler = engine.clone();
        engine.shared.tracker.spawn(async move { scheduler.schedule().await });
        let inspector = engine.clone();
        engine.shared.tracker.spawn(async move { inspector.inspect().await });
        Ok(engine)
    }

    /// Checks and completes a request. If jobs are forwarded, settings that abanico's own encoders do not support are
    /// left for the other service to judge.
    ///
    /// # Errors
    /// As for [`submission::from_request`]; also fails if a named queue does not exist.
    pub async fn submission(&self, request: Value) -> Result<Submission, Refusal> {
        let unreadable = |error: Error| Refusal::Broken(error.to_string());
        let catalogue = self.catalogue(&request).await.map_err(unreadable)?;
        let shared = self.shared.clone();
        // Checking a large request takes longer than other requests should wait.
        let checked = tokio::task::spawn_blocking(move || match shared.done_by.forwarding() {
            Some(_) => submission::from_request_for_others(request, &catalogue),
            None => submission::from_request_to_read(request, &catalogue, &shared.workshop.web),
        });
        let submission = checked.await.map_err(|error| Refusal::Broken(error.to_string()))??;
        if self.shared.done_by.forwarding().is_some() {
            return Ok(submission);
        }
        let destinations = hops::destinations(&submission);
        for arn in std::iter::once(&submission.queue).chain(&destinations) {
            let queue = resource_name(arn, ResourceKind::Queue);
            let known = match self.resource(ResourceKind::Queue, &queue).await {
                Ok(known) => known.is_some(),
                // The queue exists, although its record cannot be read.
                Err(error) if error.kind() == ErrorKind::PutAside => true,
                Err(error) => return Err(unreadable(error)),
            };
            if !known && queue != "Default" {
                return Err(Refusal::NotFound(format!("The specified queue was not found: queueArn={arn}")));
            }
        }
        if let Some(index) = destinations.iter().position(|arn| *arn == submission.queue) {
            let why = "Should be a different queue from the one that the job is submitted to";
            let problem = Problem::new(format!("/hopDestinations/{index}/queue"), why);
            return Err(Refusal::Invalid(Problems(vec![problem])));
        }
        let unusable =
            destinations::unusable(&submission.settings, self.shared.workshop.store.as_ref()).await;
        Problems(unusable).into_result().map_err(Refusal::Invalid)?;
        Ok(submission)
    }

    /// Returns what a job that uses this preset or job template would be refused for. If jobs are forwarded, the other
    /// service judges.
    ///
    /// # Errors
    /// Fails if a template names a preset that does not exist, or the presets cannot be read.
    pub async fn resource_problems(&self, kind: ResourceKind, body: &Value) -> Result<Vec<Problem>, Refusal> {
        if self.shared.done_by.forwarding().is_some() {
            return Ok(Vec::new());
        }
        let catalogue = self.catalogue(body).await.map_err(|error| Refusal::Broken(error.to_string()))?;
        let body = body.clone();
        let checked = tokio::task::spawn_blocking(move || resource_checks::problems(kind, &body, &catalogue));
        checked.await.map_err(|error| Refusal::Broken(error.to_string()))?
    }

    /// Reads the presets and job templates that a request names, and those that these templates name.
    async fn catalogue(&self, request: &Value) -> Result<Catalogue, Error> {
        let (mut presets, templates) = submission::named(request);
        let templates = self.bodies(ResourceKind::JobTemplate, templates).await?;
        presets.extend(templates.values().flat_map(|template| submission::named(template).0));
        Ok(Catalogue { presets: self.bodies(ResourceKind::Preset, presets).await?, templates })
    }

    async fn bodies(
        &self,
        kind: ResourceKind,
        names: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Value>, Error> {
        let mut bodies = BTreeMap::new();
        for name in names {
            if let Some(resource) = self.resource(kind, &name).await? {
                bodies.insert(name, resource.body);
            }
        }
        Ok(bodies)
    }

    pub(crate) fn workshop(&self) -> &Workshop {
        &self.shared.workshop
    }

    pub(crate) fn outlook(&self) -> &Outlook {
        &self.shared.outlook
    }

    pub(crate) fn retention(&self) -> Retention {
        self.shared.options.retention
    }

    /// Returns the engine's folder.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.shared.options.folder
    }

    /// Creates a job, or returns the one that the same token created before. The job is durable when this returns.
    ///
    /// # Errors
    /// Fails with a conflict if the token was used with a different request, and with [`ErrorKind::Expired`] if the job of
    /// an upload is no longer kept. Refuses new jobs while the engine is stopping.
    pub async fn create_job(&self, submission: Submission) -> Result<JobRecord, Error> {
        if self.shared.tracker.is_closed() || self.shared.stop.is_cancelled() {
            return Err(Error::engine_is_stopping());
        }
        let now_ms = clock::now_ms();
        let record = JobRecord {
            id: crate::jobs::ids::job(now_ms),
            submission,
            machine: JobMachine::default(),
            times: JobTimes { submitted_ms: now_ms, ..JobTimes::default() },
            progress: Progress::default(),
            inputs: Vec::new(),
            plan: None,
            outputs: Vec::new(),
            child_cpu_ms: 0,
            transitions: Vec::new(),
            forwarded: Forwarded::default(),
        };
        let inserted = record.clone();
        match self.database(move |database| database.insert(&inserted, &[], now_ms)).await? {
            Inserted::Known(known) => Ok(*known),
            Inserted::Expired(id) => Err(Error::job_has_expired(&id)),
            Inserted::New => {
                tracing::info!(job.id = %record.id, "job submitted");
                self.shared.wake.notify_one();
                self.changed();
                Ok(record)
            }
        }
    }

    /// Returns a job with its live progress.
    ///
    /// # Errors
    /// Fails if the job does not exist.
    pub async fn get(&self, id: &JobId) -> Result<JobRecord, Error> {
        let wanted = id.clone();
        let record = self.database(move |database| database.get(&wanted)).await?;
        Ok(self.with_live_progress(record))
    }

    /// Lists up to `limit` jobs.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn list(&self, filter: ListFilter, limit: usize) -> Result<Vec<JobRecord>, Error> {
        let records = self.database(move |database| database.list(&filter, limit)).await?;
        Ok(records.into_iter().map(|record| self.with_live_progress(record)).collect())
    }

    /// Lists up to `limit` jobs, fewer if their settings take more than `most_bytes` together, but at least one. The
    /// second value says whether there are more.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn list_within(
        &self,
        filter: ListFilter,
        limit: usize,
        most_bytes: usize,
    ) -> Result<(Vec<JobRecord>, bool), Error> {
        let listed = self.database(move |database| quotas::list_within(database, filter, limit, most_bytes));
        let (records, has_more) = listed.await?;
        Ok((records.into_iter().map(|record| self.with_live_progress(record)).collect(), has_more))
    }

    /// Counts the jobs in each stage; stages without jobs are left out.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn counts(&self) -> Result<Vec<(Stage, u64)>, Error> {
        self.database(Database::counts).await
    }

    /// Cancels a job: its ffmpeg processes end within two seconds, and nothing of it stays visible. When this returns,
    /// the job's stored record says that it is cancelled, or that the outputs are being taken back for it. A job that another
    /// service does is cancelled there afterwards.
    ///
    /// # Errors
    /// Fails if the job does not exist or ends otherwise, or if the decision is not stored within ten seconds. The job
    /// may still be cancelled then, and the request may be repeated.
    pub async fn cancel(&self, id: &JobId) -> Result<(), Error> {
        let mut changes = self.changes();
        let record = self.get(id).await?;
        if record.stage().is_final() {
            return Err(Error::job_is_over(id));
        }
        let is_active = match self.active().get(id) {
            Some(active) => {
                active.cancel.cancel();
                true
            }
            None => false,
        };
        if !is_active {
            // A waiting job is started only to be ended at once, so that every job ends the same way.
            self.drive(record, true);
        }
        let decided = async {
            loop {
                changes.mark_unchanged();
                let record = self.get(id).await?;
                match record.machine.ending().unwrap_or(record.stage()) {
                    Stage::Canceled => return Ok(()),
                    stage if stage.is_final() => return Err(Error::job_is_over(id)),
                    _ => {}
                }
                tokio::select! {
                    changed = changes.changed() => changed.map_err(|_| Error::cancel_is_undecided(id))?,
                    // The next start does not know of a cancellation that is not stored.
                    () = self.shared.stop.cancelled() => return Err(Error::cancel_is_undecided(id)),
                }
            }
        };
        let waited = tokio::time::timeout(DECISION_WAIT, decided).await;
        waited.unwrap_or_else(|_| Err(Error::cancel_is_undecided(id)))
    }

    /// Returns up to `limit` events after position `seq`, in order.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn events_after(&self, seq: i64, limit: usize) -> Result<Vec<StoredEvent>, Error> {
        self.database(move |database| database.events_after(seq, limit)).await
    }

    /// Returns the number of events after the position `seq`.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn events_waiting(&self, seq: i64) -> Result<u64, Error> {
        self.database(move |database| database.events_waiting(seq)).await
    }

    /// Returns the position of the newest event, 0 if there is none.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn newest_event(&self) -> Result<i64, Error> {
        self.database(Database::newest_event).await
    }

    /// Returns the position up to which `reader` has read; `None` if it never read.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn cursor(&self, reader: &str) -> Result<Option<i64>, Error> {
        let reader = reader.to_owned();
        self.database(move |database| database.cursor(&reader)).await
    }

    /// Durably stores the position up to which `reader` has read.
    ///
    /// # Errors
    /// Fails if the job database cannot be read or written.
    pub async fn set_cursor(&self, reader: &str, seq: i64) -> Result<(), Error> {
        let reader = reader.to_owned();
        self.database(move |database| database.set_cursor(&reader, seq)).await
    }

    /// Returns a receiver that is notified whenever a job, an event or progress changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Stops taking jobs, lets running ones continue for `grace`, then interrupts them; the next start resumes them.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.tracker.close();
        self.shared.wake.notify_one();
        let idle = async {
            let mut changes = self.changes();
            while !self.active().is_empty() {
                if changes.changed().await.is_err() {
                    break;
                }
            }
        };
        if !grace.is_zero() {
            let _ = tokio::time::timeout(grace, idle).await;
        }
        self.shared.stop.cancel();
        self.shared.tracker.wait().await;
    }

    /// Resumes the jobs that were running when the process ended.
    fn resume(&self) -> Result<(), Error> {
        let stages = vec![Stage::Probing, Stage::Transcoding, Stage::Uploading];
        let filter = ListFilter { stages, ..ListFilter::default() };
        for record in self.shared.database.list(&filter, usize::MAX)? {
            tracing::info!(job.id = %record.id, "resuming an interrupted job");
            self.drive(record, false);
        }
        Ok(())
    }

    /// Starts waiting jobs as slots become free.
    async fn schedule(&self) {
        loop {
            if self.shared.tracker.is_closed() || self.shared.stop.is_cancelled() {
                return;
            }
            self.hop().await;
            self.look_at_disk();
            self.shared.workshop.keep_room().await;
            let free = self.shared.options.max_active_jobs.max(1).saturating_sub(self.active().len());
            if free > 0 {
                match self.database(move |database| database.waiting(free)).await {
                    Ok(waiting) => self.start(waiting).await,
                    Err(error) => tracing::error!(%error, "cannot look for waiting jobs"),
                }
            }
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = self.shared.stop.cancelled() => return,
                // Looks again, in case the last look failed.
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
        }
    }

    /// Moves jobs that have waited long enough to the next queue that they name.
    async fn hop(&self) {
        let active: BTreeSet<JobId> = self.active().keys().cloned().collect();
        let hopped =
            self.database(move |database| database.hop(clock::now_ms(), |id| active.contains(id))).await;
        match hopped {
            Ok(0) => {}
            Ok(_) => self.changed(),
            Err(error) => tracing::error!(%error, "cannot move waiting jobs between queues"),
        }
    }

    async fn start(&self, waiting: Vec<JobId>) {
        for id in waiting {
            if self.active().contains_key(&id) {
                continue;
            }
            match self.get(&id).await {
                Ok(record) if record.stage() == Stage::Submitted => self.drive(record, false),
                Ok(_) => {}
                Err(error) => tracing::error!(job.id = %id, %error, "cannot read a waiting job"),
            }
        }
    }

    /// Starts a driver for a job, unless it already has one.
    fn drive(&self, record: JobRecord, cancelled: bool) {
        let id = record.id.clone();
        let (cancel, progress) = (CancellationToken::new(), shared_progress(&record));
        if cancelled {
            cancel.cancel();
        }
        {
            let mut active = self.active();
            if let Some(driven) = active.get(&id) {
                if cancelled {
                    driven.cancel.cancel();
                }
                return;
            }
            active.insert(id.clone(), Active { cancel: cancel.clone(), progress: progress.clone() });
        }
        let engine = self.clone();
        self.shared.tracker.spawn(async move {
            engine.run_to_the_end(record, &cancel, &progress).await;
            engine.active().remove(&id);
            engine.shared.wake.notify_one();
            engine.changed();
        });
    }

    async fn run(
        &self,
        mut record: JobRecord,
        cancel: CancellationToken,
        progress: Arc<Mutex<Progress>>,
    ) -> Result<(), Error> {
        let mut doomed = None;
        let settings = match parse::job_settings(record.submission.settings.clone()) {
            Ok(settings) => settings,
            Err(problems) => {
                doomed = Some(failure::unusable_settings(&problems.to_string()));
                abanico_model::generated::JobSettings::default()
            }
        };
        let inputs = settings.inputs.iter().flatten().map(|input| input.file_input.clone());
        let policy = match self.item(ItemKind::Policy, "").await {
            Ok(policy) => policy,
            Err(error) if error.kind() == ErrorKind::PutAside => {
                doomed = Some(failure::unreadable_policy(&error));
                None
            }
            Err(error) => return Err(error),
        };
        let urls = inputs.map(Option::unwrap_or_default).collect();
        let context = self.context(&record, urls, policy.unwrap_or_default());
        let context = JobContext { progress, ..context };
        let signals = Signals { cancel, stop: self.shared.stop.clone() };
        let (reports, inbox) = mpsc::channel(REPORTS);
        let (own, trials) = (context.clone(), Trials::new(context.clone(), reports.clone(), signals.clone()));
        let executor: Box<dyn Executor> = match self.shared.done_by.clone() {
            DoneBy::ThisMachine => Box::new(Embedded::new(own, settings, trials)),
            DoneBy::OtherService(forwarding) => Box::new(Elsewhere::new(own, forwarding, reports, trials)),
            DoneBy::Fleet(fleet) => Box::new(OnFleet::new(own, settings, fleet, reports, trials)),
        };
        self.take_up_tasks(&mut record).await?;
        let store = Arc::new(self.shared.database.clone());
        Driver::new(record, store, executor, context, signals).doom(doomed).run(inbox).await
    }

    /// Loads the tasks of the job's plan. Without them, the job is planned again from its settings.
    async fn take_up_tasks(&self, record: &mut JobRecord) -> Result<(), Error> {
        if self.shared.done_by.forwarding().is_some() {
            let only = Waiting { task: TaskId::elsewhere(), after: Vec::new() };
            // It depends on nothing, so it can begin.
            let _ = record.machine.take_up(vec![only]);
            return Ok(());
        }
        if record.plan.is_none() {
            return Ok(());
        }
        let id = record.id.clone();
        let tasks = self.database(move |database| database.tasks(&id)).await?;
        let is_current = record.plan.as_ref().is_some_and(|plan| plan.version == PLAN_VERSION);
        let is_running = matches!(record.stage(), Stage::Transcoding | Stage::Uploading);
        let is_unusable = is_running && (tasks.is_empty() || !is_current);
        if is_unusable || record.take_up(tasks).is_err() {
            tracing::warn!(
                job.id = %record.id,
                "the plan of an interrupted job is missing or of another version: starting it over"
            );
            record.machine.start_over();
            record.outputs.clear();
            record.plan = None;
        }
        Ok(())
    }

    fn context(&self, record: &JobRecord, input_urls: Vec<String>, policy: Value) -> JobContext {
        let notifier = self.clone();
        JobContext {
            policy,
            workshop: Arc::new(self.shared.workshop.for_job(Urgency::of(record, clock::now_ms()))),
            work: WorkFolder::of(&self.shared.options.folder.join("work"), &record.id),
            input_urls,
            progress: shared_progress(record),
            lost_cpu_ms: Arc::default(),
            input_hashes: Arc::default(),
            changed: Arc::new(move || notifier.changed()),
            cancel: CancellationToken::new(),
            publishing: Arc::default(),
        }
    }

    fn with_live_progress(&self, record: JobRecord) -> JobRecord {
        let live = self.active().get(&record.id).map(|active| active.progress.clone());
        let progress =
            live.map(|progress| *progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        JobRecord { progress: progress.unwrap_or(record.progress), ..record }
    }

    fn active(&self) -> MutexGuard<'_, BTreeMap<JobId, Active>> {
        self.shared.active.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn is_active(&self, id: &JobId) -> bool {
        self.active().contains_key(id)
    }

    pub(crate) fn changed(&self) {
        self.shared.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) async fn database<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let database = self.shared.database.clone();
        let done = tokio::task::spawn_blocking(move || work(&database)).await;
        done.map_err(|error| Error::storage("reach the job database", error))?
    }
}
