//! `aws submit`: transcodes a file or an S3 object with the stack and follows the job to its end. A file goes through
//! the upload bucket, like any other upload.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use abanico_aws::MediaConvert;
use abanico_deployment::{Account, StackState, built_in_job};
use abanico_model::generated::JobStatus;
use abanico_process::clock::wall_ms;
use abanico_store::{ObjectAttributes, ObjectStore, ObjectUrl, RemoteOptions, RemoteS3};
use abanico_trigger::{DestinationTemplate, JobSubmitter, Outcome, SubmitError, TriggerConfig};
use anyhow::Context;
use async_trait::async_trait;
use serde_json::{Value, json};

use super::{connect, deployed, hinted, stack_output};
use crate::arguments::{AwsPlace, AwsSubmit};
use crate::failure::{Hinted, WORK_FAILED, WRONG_USAGE};
use crate::output;

/// Pause between two polls of the job.
const PAUSE: Duration = Duration::from_secs(2);
/// How long an upload may take to start a job.
const JOB_LIMIT: Duration = Duration::from_secs(180);

/// Submits the job and follows it to its end.
pub async fn run(place: &AwsPlace, submit: AwsSubmit) -> anyhow::Result<ExitCode> {
    let account = connect(place).await?;
    let state = deployed(&account, &place.stack).await?;
    let service = account.mediaconvert().map_err(hinted)?;
    let id = match submit.input.strip_prefix("s3://") {
        Some(object) => submit_object(place, &state, &service, &submit, object).await?,
        None => submit_file(&account, &state, &service, &submit).await?,
    };
    output::note(format!("job {id}"));
    ended(&followed(&service, &id).await?)
}

/// Uploads the file and waits for the job that the function creates for it.
async fn submit_file(
    account: &Account,
    state: &StackState,
    service: &MediaConvert,
    submit: &AwsSubmit,
) -> anyhow::Result<String> {
    if submit.job.is_some() {
        let hint = "upload the file first, then submit its s3:// URL with --job";
        let what = "--job needs an s3:// URL: a file is transcoded with the stack's own job";
        return Err(Hinted::new(WRONG_USAGE, what, hint).into());
    }
    let path = Path::new(&submit.input);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let prefix = state.parameters.get("UploadPrefix").map(String::as_str).unwrap_or_default();
    let key = submit.key.clone().unwrap_or_else(|| format!("{prefix}{name}"));
    let bucket = stack_output(state, "UploadBucketName")?;
    let size = std::fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?.len();
    let before_s = wall_ms() / 1000 - 1;
    let url = ObjectUrl::s3(bucket, key.as_str());
    output::note(format!("uploading {} to {url}", output::bytes(size)));
    let store = store(account).await?;
    store.publish(path, &url, &ObjectAttributes::default()).await.context("cannot upload the file")?;
    job_of(service, &format!("s3://{bucket}/{key}"), before_s).await
}

async fn store(account: &Account) -> anyhow::Result<RemoteS3> {
    let credentials = account.credentials().await.map_err(hinted)?;
    let endpoint = std::env::var("AWS_ENDPOINT_URL_S3").or_else(|_| std::env::var("AWS_ENDPOINT_URL")).ok();
    Ok(RemoteS3::new(RemoteOptions {
        allow_http: endpoint.as_deref().is_some_and(|url| url.starts_with("http://")),
        endpoint,
        region: Some(account.region().to_owned()),
        keys: Some((credentials.access_key_id, credentials.secret_access_key)),
        session_token: credentials.session_token,
    }))
}

/// Waits for a job with the input `url`, created at `since_s` or later, and returns its id.
async fn job_of(service: &MediaConvert, url: &str, since_s: i64) -> anyhow::Result<String> {
    let begun = Instant::now();
    while begun.elapsed() < JOB_LIMIT {
        let page = service.list_jobs("maxResults=20&order=DESCENDING").await?;
        let jobs = page.get("jobs").and_then(Value::as_array).cloned().unwrap_or_default();
        let ours = jobs.iter().find(|job| {
            let made_s = job.get("createdAt").and_then(Value::as_f64).unwrap_or(0.0);
            job.pointer("/settings/inputs/0/fileInput") == Some(&json!(url)) && made_s >= since_s as f64
        });
        if let Some(id) = ours.and_then(|job| job.get("id")).and_then(Value::as_str) {
            return Ok(id.to_owned());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let hint = "look for its key in `abanico aws logs` and for dead letters in `abanico aws status`; check that the key matches the stack's prefix and suffixes";
    Err(Hinted::new(WORK_FAILED, format!("`{url}` did not start a job within three minutes"), hint).into())
}

/// Creates a job for an existing object, just as the function would.
async fn submit_object(
    place: &AwsPlace,
    state: &StackState,
    service: &MediaConvert,
    submit: &AwsSubmit,
    object: &str,
) -> anyhow::Result<String> {
    let usage = |what: String, hint: &str| anyhow::Error::from(Hinted::new(WRONG_USAGE, what, hint));
    let (bucket, key) =
        object.split_once('/').filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()).ok_or_else(
            || usage(format!("`s3://{object}` does not name an object"), "use the form s3://bucket/key"),
        )?;
    let mut config =
        TriggerConfig::new(stack_output(state, "MediaConvertRoleArn")?, template(place, state, submit)?);
    let destination = state.parameters.get("Destination").filter(|text| !text.is_empty()).cloned();
    let output_bucket = stack_output(state, "OutputBucketName")?;
    let destination = destination.unwrap_or_else(|| format!("s3://{output_bucket}/{{key}}/"));
    config.destination =
        DestinationTemplate::parse(&destination).context("the stack's destination is not valid")?;
    let record = json!({"detail-type": "Object Created", "detail": {
        "bucket": {"name": bucket}, "object": {"key": key, "sequencer": wall_ms().to_string()}}});
    let outcomes = abanico_trigger::handle(&record, &config, &Submitter(service.clone())).await?;
    match outcomes.into_iter().next().map(|one| one.outcome) {
        Some(Outcome::Submitted { job_id }) => Ok(job_id),
        Some(Outcome::Failed(error)) => Err(anyhow::Error::from(error)),
        Some(Outcome::Skipped(reason)) => Err(usage(reason.to_string(), "choose another object")),
        _ => Err(anyhow::anyhow!("no job was created for the object")),
    }
}

/// Returns the job that the user named (a built-in one or a file), or the job that the stack was deployed with.
fn template(place: &AwsPlace, state: &StackState, submit: &AwsSubmit) -> anyhow::Result<Value> {
    let deployed = state.parameters.get("Job").map(String::as_str).unwrap_or("three-mp4");
    let name = submit.job.as_deref().unwrap_or(deployed);
    let text = match built_in_job(name) {
        Some(text) => text.to_owned(),
        None if name == "own" => {
            let hint = "pass the job's file with --job";
            return Err(Hinted::new(
                WRONG_USAGE,
                "the stack uses the user's own job, which only its function can read",
                hint,
            )
            .into());
        }
        None => {
            std::fs::read_to_string(name).with_context(|| format!("cannot read the job file `{name}`"))?
        }
    };
    let value: Value = serde_json::from_str(&text).with_context(|| format!("`{name}` is not JSON"))?;
    let mut job = abanico_model::keys::to_wire(value, "CreateJobRequest");
    if let Some(job) = job.as_object_mut() {
        let metadata = job.entry("userMetadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("abanico-stack".to_owned(), json!(place.stack));
        }
    }
    Ok(job)
}

struct Submitter(MediaConvert);

#[async_trait]
impl JobSubmitter for Submitter {
    async fn create_job(&self, request: Value) -> Result<String, SubmitError> {
        let job = self.0.create_job(&request).await.map_err(|error| SubmitError {
            code: error.error_type().unwrap_or("NoAnswer").to_owned(),
            message: error.to_string(),
            retryable: error.is_retryable(),
        })?;
        Ok(job.get("id").and_then(Value::as_str).unwrap_or_default().to_owned())
    }
}

async fn followed(service: &MediaConvert, id: &str) -> anyhow::Result<Value> {
    let mut told = String::new();
    loop {
        let job = service.get_job(id).await?;
        let status = status(&job);
        let percent = job.get("jobPercentComplete").and_then(Value::as_i64).unwrap_or(0);
        let news = format!("{status} {percent} %");
        if news != told {
            output::note(format!("  {news}"));
            told = news;
        }
        if matches!(status, JobStatus::Complete | JobStatus::Error | JobStatus::Canceled) {
            return Ok(job);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn status(job: &Value) -> JobStatus {
    JobStatus::from(job.get("status").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn ended(job: &Value) -> anyhow::Result<ExitCode> {
    let text = |name: &str| job.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = status(job);
    if status != JobStatus::Complete {
        let code = job.get("errorCode").map(Value::to_string).unwrap_or_default();
        let what = format!("the job ended in {status} {code}: {}", text("errorMessage"));
        return Err(
            Hinted::new(WORK_FAILED, what, "correct what the message names, then submit again").into()
        );
    }
    let groups = job.pointer("/settings/outputGroups").and_then(Value::as_array).cloned().unwrap_or_default();
    for group in groups {
        let settings =
            group.get("outputGroupSettings").and_then(Value::as_object).cloned().unwrap_or_default();
        let destination =
            settings.values().find_map(|one| one.get("destination")?.as_str().map(str::to_owned));
        // A doubled dollar sign stands for one.
        output::line(destination.unwrap_or_default().replace("$$", "$"));
    }
    Ok(ExitCode::SUCCESS)
}
