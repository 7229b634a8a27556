//! Forwards jobs to another service and mirrors their progress until they end.
//!
//! One of our jobs never becomes two jobs there: our job's id is the request token, and before the engine requests a
//! job again, it searches for it among the service's jobs. If the service does not respond, the engine retries until
//! the job ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use abanico_process::clock;
use abanico_store::{NewFile, ObjectAttributes, ObjectStore, ObjectUrl};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Error;
use crate::database::Database;
use crate::driver::{Signals, conclude_in_time};
use crate::events;
use crate::failure::{self, codes};
use crate::job::JobRecord;
use crate::job_machine::{Failure, Stage};
use crate::steps::JobContext;
use crate::steps::publish::{stage, switch, take_back};

/// User metadata key by which a forwarded job is found again.
const FORWARDED_LABEL: &str = "abanico-forwarded";
/// Longest pause between two polls of a job, and between two attempts when the service does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Pages of jobs to search for a lost one.
const SEARCHED_PAGES: usize = 25;

/// Why a request to the other service failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteError {
    /// The service's message, or the reason why it was not reached.
    pub message: String,
    /// Whether a retry may succeed.
    pub is_retryable: bool,
    /// Whether the service says that the requested object does not exist.
    pub is_not_found: bool,
}

/// A MediaConvert-compatible service. Requests and answers are in wire form (camelCase).
#[async_trait]
pub trait RemoteJobs: Send + Sync {
    /// Creates a job and returns it.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn create(&self, request: &Value) -> Result<Value, RemoteError>;
    /// Returns a job.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn get(&self, id: &str) -> Result<Value, RemoteError>;
    /// Cancels a job.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn cancel(&self, id: &str) -> Result<(), RemoteError>;
    /// Returns a page of the newest jobs: `jobs` and perhaps `nextToken`.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn newest(&self, next_token: Option<&str>) -> Result<Value, RemoteError>;
    /// Returns the keys below a prefix in one of the service's buckets.
    ///
    /// # Errors
    /// Returns a [`RemoteError`] if the service refuses or is not reached.
    async fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, RemoteError>;
}

/// How jobs are handed on.
#[derive(Clone)]
pub struct Forwarding {
    /// The other service.
    pub jobs: Arc<dyn RemoteJobs>,
    /// Store of the service's objects.
    pub store: Arc<dyn ObjectStore>,
    /// Role that jobs there name.
    pub role: String,
    /// Queue of the service; `None` for its default.
    pub queue: Option<String>,
    /// The service's buckets by the names of ours; other buckets keep their name.
    pub buckets: BTreeMap<String, String>,
    /// Whether inputs are copied there first and outputs copied back afterwards.
    pub copies: bool,
    /// First pause between two polls of a job; it grows to a minute.
    pub pause: Duration,
}

impl std::fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarding")
            .field("role", &self.role)
            .field("buckets", &self.buckets)
            .finish_non_exhaustive()
    }
}

/// The state of the job at the other service, as far as it is known.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Forwarded {
    /// Whether the job was requested; the answer may be lost.
    pub is_asked_for: bool,
    /// Id of the job there.
    pub id: Option<String>,
    /// `outputGroupDetails` of the finished job, as in the COMPLETE event, with our buckets.
    pub outputs: Option<Value>,
}

/// Why mirroring a job stopped.
enum End {
    /// The job has ended.
    Over,
    /// The other service has done the job, which this is; its outputs are to be copied.
    Made(Value),
    /// The process is stopping; the next start continues.
    Stopped,
}

/// Forwards and mirrors one job.
pub(crate) struct Forwarder {
    pub record: JobRecord,
    pub database: Arc<Database>,
    pub context: JobContext,
    pub forwarding: Forwarding,
}

impl Forwarder {
    /// Hands the job on and mirrors it until it ends or `signals.stop` is cancelled.
    pub async fn run(mut self, signals: Signals) -> Result<(), Error> {
        self.enter(Stage::Probing, None).await?;
        let end = tokio::select! {
            end = self.look_after() => end,
            () = signals.stop.cancelled() => Ok(End::Stopped),
            () = signals.cancel.cancelled() => self.cancelled_before_an_answer().await,
        };
        let end = match end {
            Ok(End::Made(job)) => self.bring_back(&job, &signals).await,
            end => end,
        };
        match end {
            Ok(End::Stopped) => return Ok(()),
            Ok(End::Over | End::Made(_)) => {}
            Err(Trouble::Job(failure)) => {
                self.take_back().await;
                self.enter(Stage::Error, Some(failure)).await?;
            }
            Err(Trouble::Storage(error)) => return Err(error),
        }
        if !conclude_in_time(&self.context, &self.record, &signals).await {
            return Ok(());
        }
        if let Err(error) = self.context.work.remove() {
            tracing::warn!(job.id = %self.record.id, %error, "cannot remove the job's work folder");
        }
        Ok(())
    }

    async fn cancelled_before_an_answer(&mut self) -> Result<End, Trouble> {
        if let Some(id) = self.record.forwarded.id.clone()
            && let Err(error) = self.forwarding.jobs.cancel(&id).await
        {
            tracing::warn!(job.id = %self.record.id, remote = id, reason = error.message, "the other service did not cancel its job");
        }
        self.enter(Stage::Canceled, None).await?;
        Ok(End::Over)
    }

    /// Takes back outputs before the job's end is told. If that fails, it is tried again afterwards.
    async fn take_back(&self) {
        if let Err(failure) = take_back(&self.context).await {
            tracing::warn!(job.id = %self.record.id, reason = failure.message, "cannot take back outputs: trying again");
        }
    }

    async fn look_after(&mut self) -> Result<End, Trouble> {
        if self.record.forwarded.id.is_none() {
            if self.forwarding.copies {
                self.copy_input().await?;
            }
            self.hand_on().await?;
        }
        let mut pause = self.forwarding.pause;
        loop {
            let id = self.record.forwarded.id.clone().unwrap_or_default();
            match self.forwarding.jobs.get(&id).await {
                Ok(job) => {
                    if let Some(end) = self.mirror(&job).await? {
                        return Ok(end);
                    }
                }
                Err(error) if error.is_not_found => {
                    let message = format!(
                        "the job `{id}` at the other service does not exist any more: submit the job again"
                    );
                    return Err(Failure::new(codes::UNKNOWN, message, false).into());
                }
                Err(error) => self.not_reached(&error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(LONGEST_PAUSE);
        }
    }

    fn not_reached(&self, error: &RemoteError) {
        tracing::warn!(job.id = %self.record.id, reason = error.message, "the other service does not answer: trying again");
    }

    /// Finds or creates the job at the other service.
    async fn hand_on(&mut self) -> Result<(), Trouble> {
        let request = request(&self.record, &self.forwarding);
        let was_asked_for = std::mem::replace(&mut self.record.forwarded.is_asked_for, true);
        self.store(Vec::new()).await?;
        let mut pause = self.forwarding.pause;
        let mut may_be_there = was_asked_for;
        loop {
            let found = if may_be_there { self.find().await } else { Ok(None) };
            let created = match found {
                Ok(Some(job)) => Ok(job),
                Ok(None) => self.forwarding.jobs.create(&request).await,
                Err(error) => Err(error),
            };
            match created {
                Ok(job) => {
                    let id = job.get("id").and_then(Value::as_str).unwrap_or_default();
                    tracing::info!(job.id = %self.record.id, remote = id, "handed a job on to the other service");
                    self.record.forwarded.id = Some(id.to_owned());
                    self.store(Vec::new()).await?;
                    return Ok(());
                }
                Err(error) if !error.is_retryable => {
                    let message = format!("the other service refused the job: {}", error.message);
                    return Err(Failure::new(codes::SETTINGS, message, false).into());
                }
                Err(error) => self.not_reached(&error),
            }
            may_be_there = true;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Finds the job there that carries our job's id; it must be among the newest five hundred.
    async fn find(&self) -> Result<Option<Value>, RemoteError> {
        let mut token: Option<String> = None;
        for _ in 0..SEARCHED_PAGES {
            let page = self.forwarding.jobs.newest(token.as_deref()).await?;
            let jobs = page.get("jobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let ours = json!(self.record.id.as_str());
            let pointer = format!("/userMetadata/{FORWARDED_LABEL}");
            if let Some(job) = jobs.iter().find(|job| job.pointer(&pointer) == Some(&ours)) {
                return Ok(Some(job.clone()));
            }
            token = page.get("nextToken").and_then(Value::as_str).map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        Ok(None)
    }

    /// Mirrors the state of the job there. Returns how mirroring ends, if it does.
    async fn mirror(&mut self, job: &Value) -> Result<Option<End>, Trouble> {
        let text = |name: &str| job.get(name).and_then(Value::as_str).unwrap_or_default();
        let percent = job.get("jobPercentComplete").and_then(Value::as_u64).unwrap_or(0).min(100);
        self.context.update(|progress| {
            progress.probing_percent = if percent > 0 { 100 } else { progress.probing_percent };
            progress.transcoding_percent = u8::try_from(percent).unwrap_or(100);
        });
        match (text("status"), text("currentPhase")) {
            ("COMPLETE", _) if self.forwarding.copies => Ok(Some(End::Made(job.clone()))),
            ("COMPLETE", _) => {
                self.complete(job).await?;
                Ok(Some(End::Over))
            }
            ("ERROR", _) => {
                let code =
                    job.get("errorCode").and_then(Value::as_u64).and_then(|code| u32::try_from(code).ok());
                let (code, message) = (code.unwrap_or(codes::UNKNOWN), text("errorMessage").to_owned());
                Err(Failure::new(code, message, false).into())
            }
            ("CANCELED", _) => {
                self.enter(Stage::Canceled, None).await?;
                Ok(Some(End::Over))
            }
            ("PROGRESSING", "UPLOADING") => {
                self.enter(Stage::Uploading, None).await.map(|()| None).map_err(Trouble::from)
            }
            ("PROGRESSING", "TRANSCODING") => {
                self.enter(Stage::Transcoding, None).await.map(|()| None).map_err(Trouble::from)
            }
            _ => Ok(None),
        }
    }

    async fn complete(&mut self, job: &Value) -> Result<(), Trouble> {
        let settings = &self.record.submission.settings;
        let details = job.get("outputGroupDetails").cloned().unwrap_or_else(|| json!([]));
        let details = named_groups(&details, settings, &self.forwarding.buckets);
        self.context.update(|progress| {
            (progress.probing_percent, progress.transcoding_percent, progress.uploading_percent) =
                (100, 100, 100);
        });
        self.record.forwarded.outputs = Some(details);
        Ok(self.enter(Stage::Complete, None).await?)
    }

    async fn copy_input(&self) -> Result<(), Trouble> {
        // The other service reads web inputs itself.
        for url in self.context.input_urls.iter().filter(|url| !abanico_store::is_web_url(url)) {
            let there = moved(url, &self.forwarding.buckets);
            self.copy_there(&parsed(url)?, &parsed(&there)?).await?;
        }
        Ok(())
    }

    /// Copies the outputs of the finished job to their destinations here, and makes them visible together.
    async fn bring_back(&mut self, job: &Value, signals: &Signals) -> Result<End, Trouble> {
        self.enter(Stage::Uploading, None).await?;
        let mut urls = BTreeSet::new();
        for (from, to) in self.outputs_there().await? {
            if signals.stop.is_cancelled() {
                return Ok(End::Stopped);
            }
            if signals.cancel.is_cancelled() {
                break;
            }
            let source = self.fetched(&self.forwarding.store, &from).await?;
            urls.insert(to.to_string());
            let attributes = ObjectAttributes::default();
            stage(&self.context, &[NewFile { source, url: to, attributes, turn: 0 }]).await?;
        }
        if !signals.cancel.is_cancelled() {
            let switched = switch(&self.context, urls);
            tokio::select! {
                switched = switched => switched?,
                () = signals.stop.cancelled() => return Ok(End::Stopped),
            }
        }
        if signals.cancel.is_cancelled() {
            self.take_back().await;
            return self.cancelled_before_an_answer().await;
        }
        self.complete(job).await?;
        Ok(End::Over)
    }

    /// Returns everything below the destinations there, and its URL here.
    async fn outputs_there(&self) -> Result<Vec<(ObjectUrl, ObjectUrl)>, Trouble> {
        let mut all = Vec::new();
        for ours in destinations(&self.record.submission.settings) {
            let there = moved(&ours, &self.forwarding.buckets);
            let (Some((bucket, prefix)), Some((our_bucket, _))) =
                (bucket_and_key(&there), bucket_and_key(&ours))
            else {
                continue;
            };
            // A doubled dollar sign stands for one.
            let keys = self.forwarding.jobs.keys(bucket, &prefix.replace("$$", "$")).await;
            let keys = keys.map_err(|error| copying(&there, &error.message))?;
            let here = |key: String| (ObjectUrl::s3(bucket, key.as_str()), ObjectUrl::s3(our_bucket, key));
            all.extend(keys.into_iter().map(here));
        }
        Ok(all)
    }

    /// Copies one object to the other service.
    async fn copy_there(&self, from: &ObjectUrl, to: &ObjectUrl) -> Result<(), Trouble> {
        let file = self.fetched(&self.context.workshop.store, from).await?;
        let published = self.forwarding.store.publish(&file, to, &ObjectAttributes::default()).await;
        published.map_err(|error| failure::from_store(&error))?;
        Ok(())
    }

    /// Fetches one object. The next one takes its place.
    async fn fetched(&self, store: &Arc<dyn ObjectStore>, from: &ObjectUrl) -> Result<PathBuf, Trouble> {
        let file = self.context.work.input(0);
        let folder = self.context.work.root();
        std::fs::create_dir_all(folder)
            .map_err(|error| failure::from_disk("create the work folder", &error))?;
        // An interrupted copy may have left half a file.
        let _ = std::fs::remove_file(&file);
        store.fetch(from, &file).await.map_err(|error| failure::from_store(&error))?;
        Ok(file)
    }

    /// Enters a stage, unless the job is already there or beyond, and stores that with its event.
    async fn enter(&mut self, stage: Stage, failure: Option<Failure>) -> Result<(), Error> {
        let before = self.record.stage();
        if !self.record.machine.mirror(stage, failure) {
            return Ok(());
        }
        let now_ms = self.record.times.not_before(clock::now_ms());
        self.record.times.started_ms.get_or_insert(now_ms);
        if stage.is_final() {
            self.record.times.finished_ms.get_or_insert(now_ms);
        }
        let announced = events::entered(&self.record, before, now_ms);
        self.store(announced).await?;
        self.context.workshop.tallies.note_move(before, &self.record);
        Ok(())
    }

    async fn store(&mut self, events: Vec<Value>) -> Result<(), Error> {
        self.record.progress =
            *self.context.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (database, record) = (self.database.clone(), self.record.clone());
        let stored = tokio::task::spawn_blocking(move || database.update(&record, &events)).await;
        stored.map_err(|error| Error::storage("store a job", error))??;
        (self.context.changed)();
        Ok(())
    }
}

/// Why a job can no longer be mirrored.
enum Trouble {
    Job(Failure),
    Storage(Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Job(failure)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

/// Builds the request to the other service: complete settings with its buckets, its role and queue, and our job's id.
fn request(record: &JobRecord, forwarding: &Forwarding) -> Value {
    let submission = &record.submission;
    let mut settings = submission.settings.clone();
    for input in settings.get_mut("inputs").and_then(Value::as_array_mut).into_iter().flatten() {
        move_member(input, "fileInput", &forwarding.buckets);
    }
    for group in settings.get_mut("outputGroups").and_then(Value::as_array_mut).into_iter().flatten() {
        let kinds = group.get_mut("outputGroupSettings").and_then(Value::as_object_mut);
        for settings in kinds.into_iter().flat_map(|kinds| kinds.values_mut()) {
            move_member(settings, "destination", &forwarding.buckets);
        }
    }
    let mut metadata = submission.user_metadata.clone();
    metadata.insert(FORWARDED_LABEL.to_owned(), record.id.to_string());
    let mut request = json!({
        "settings": settings,
        "role": forwarding.role,
        "userMetadata": metadata,
        "priority": submission.priority,
        "clientRequestToken": record.id.as_str(),
    });
    for name in ["tags", "accelerationSettings", "statusUpdateInterval", "billingTagsSource"] {
        if let Some(value) = submission.request.get(name) {
            request[name] = value.clone();
        }
    }
    if let Some(queue) = &forwarding.queue {
        request["queue"] = json!(queue);
    }
    request
}

fn move_member(object: &mut Value, name: &str, buckets: &BTreeMap<String, String>) {
    let Some(url) = object.get(name).and_then(Value::as_str).map(str::to_owned) else { return };
    object[name] = json!(moved(&url, buckets));
}

/// Returns the URL with the other service's bucket.
fn moved(url: &str, buckets: &BTreeMap<String, String>) -> String {
    let other = bucket_and_key(url).and_then(|(bucket, key)| Some((buckets.get(bucket)?, key)));
    other.map_or_else(|| url.to_owned(), |(bucket, key)| format!("s3://{bucket}/{key}"))
}

fn bucket_and_key(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("s3://")?.split_once('/')
}

/// Returns the destinations of all output groups.
fn destinations(settings: &Value) -> Vec<String> {
    let groups = settings.get("outputGroups").and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |group: Value| {
        let kinds = group.get("outputGroupSettings").and_then(Value::as_object).cloned().unwrap_or_default();
        kinds.values().find_map(|one| one.get("destination")?.as_str().map(str::to_owned))
    };
    groups.into_iter().filter_map(of).collect()
}

/// Returns the details of a finished job in the form of the COMPLETE event, with our buckets.
fn named_groups(details: &Value, settings: &Value, buckets: &BTreeMap<String, String>) -> Value {
    let back: BTreeMap<String, String> =
        buckets.iter().map(|(ours, theirs)| (theirs.clone(), ours.clone())).collect();
    let mut groups = details.as_array().cloned().unwrap_or_default();
    for (index, group) in groups.iter_mut().enumerate() {
        let kind = settings.pointer(&format!("/outputGroups/{index}/outputGroupSettings/type"));
        let kind = kind.and_then(Value::as_str).unwrap_or("FILE_GROUP_SETTINGS");
        group["type"] = json!(kind.trim_end_matches("_SETTINGS"));
        rename(group, &back);
    }
    Value::Array(groups)
}

/// Replaces the bucket in every URL below `value`.
fn rename(value: &mut Value, buckets: &BTreeMap<String, String>) {
    match value {
        Value::String(text) if text.starts_with("s3://") => *text = moved(text, buckets),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, buckets)),
        Value::Object(members) => members.values_mut().for_each(|member| rename(member, buckets)),
        _ => {}
    }
}

fn parsed(url: &str) -> Result<ObjectUrl, Failure> {
    url.parse().map_err(|error| failure::from_url(codes::NOT_READABLE, &error))
}

fn copying(url: &str, reason: &str) -> Failure {
    Failure::new(codes::UNKNOWN, format!("cannot copy `{url}`: {reason}"), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets() -> BTreeMap<String, String> {
        [("uploads".to_owned(), "aws-uploads".to_owned()), ("renditions".to_owned(), "aws-out".to_owned())]
            .into()
    }

    #[test]
    fn only_named_buckets_are_replaced() {
        assert_eq!(moved("s3://uploads/a/b c.mp4", &buckets()), "s3://aws-uploads/a/b c.mp4");
        assert_eq!(moved("s3://other/a.mp4", &buckets()), "s3://other/a.mp4");
        assert_eq!(moved("https://h/uploads/a", &buckets()), "https://h/uploads/a");
    }

    #[test]
    fn finished_groups_get_type_and_our_buckets() {
        let details = json!([{"outputDetails": [{"outputFilePaths": ["s3://aws-out/a.m3u8"], "durationInMs": 5}],
            "playlistFilePaths": ["s3://aws-out/m.m3u8"]}]);
        let settings = json!({"outputGroups": [{"outputGroupSettings": {"type": "HLS_GROUP_SETTINGS"}}]});
        let expected = json!([{"outputDetails": [{"outputFilePaths": ["s3://renditions/a.m3u8"], "durationInMs": 5}],
            "playlistFilePaths": ["s3://renditions/m.m3u8"], "type": "HLS_GROUP"}]);
        assert_eq!(named_groups(&details, &settings, &buckets()), expected);
    }

    #[test]
    fn destinations_of_every_group_are_found() {
        let settings = json!({"outputGroups": [
            {"outputGroupSettings": {"type": "FILE_GROUP_SETTINGS", "fileGroupSettings": {"destination": "s3://a/"}}},
            {"outputGroupSettings": {"type": "HLS_GROUP_SETTINGS", "hlsGroupSettings": {"destination": "s3://b/x"}}}]});
        assert_eq!(destinations(&settings), ["s3://a/", "s3://b/x"]);
    }
}
