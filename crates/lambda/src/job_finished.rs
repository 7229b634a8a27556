//! The function `job-finished`: when a MediaConvert job has finished, writes a manifest next to its outputs and sends a
//! notification. Failed jobs are announced on a separate topic.
//!
//! A second delivery of the same event writes the same manifest and sends a second notification; subscribers can
//! recognise it by the job's id.

use abanico_aws::{MediaConvert, ObjectHead, S3, Sns};
use serde_json::{Value, json};

use crate::manifest::{OutputFile, manifest, manifest_url, output_files};
use crate::settings::Environment;
use crate::{Error, log};

/// The function, ready to handle events.
pub struct JobFinished {
    mediaconvert: MediaConvert,
    s3: S3,
    sns: Sns,
    finished_topic: String,
    failed_topic: String,
}

impl JobFinished {
    /// Reads `ABANICO_FINISHED_TOPIC_ARN` and `ABANICO_FAILED_TOPIC_ARN` from the environment.
    ///
    /// # Errors
    /// Returns [`Error::Setting`], which names the missing variable.
    pub fn new(environment: &Environment<'_>) -> Result<Self, Error> {
        Ok(Self {
            mediaconvert: MediaConvert::new(environment.client("mediaconvert")?),
            s3: S3::new(environment.client("s3")?),
            sns: Sns::new(environment.client("sns")?),
            finished_topic: environment.required("ABANICO_FINISHED_TOPIC_ARN")?,
            failed_topic: environment.required("ABANICO_FAILED_TOPIC_ARN")?,
        })
    }

    /// Handles one event and returns what was done.
    ///
    /// # Errors
    /// Fails if the event is not from MediaConvert, or if a service fails; Lambda then repeats the event.
    pub async fn handle(&self, event: &Value) -> Result<Value, Error> {
        let detail = event.get("detail").unwrap_or(&Value::Null);
        let text = |name: &str| detail.get(name).and_then(Value::as_str);
        let (Some(job_id), Some(status)) = (text("jobId"), text("status")) else {
            return Err(Error::Event(
                "the event lacks `detail.jobId` or `detail.status`, so it is not a `MediaConvert Job State Change`".to_owned(),
            ));
        };
        match status {
            "COMPLETE" => self.complete(job_id, detail).await,
            "ERROR" => self.failed(job_id, detail).await,
            other => {
                log::info("ignoring an event", json!({"jobId": job_id, "status": other}));
                Ok(json!({"jobId": job_id, "ignored": other}))
            }
        }
    }

    async fn complete(&self, job_id: &str, detail: &Value) -> Result<Value, Error> {
        let job = self.job(job_id).await?;
        let files = output_files(detail);
        let heads = self.heads(&files).await?;
        let made = manifest(detail, &job, &files, &heads);
        let url = manifest_url(detail);
        if let Some(url) = &url {
            let (bucket, key) = place(url)?;
            let body = format!("{made:#}\n");
            let put = self.s3.put_object(bucket, key, "application/json", body).await;
            put.map_err(Error::aws(format!("cannot write the manifest `{url}`")))?;
        }
        let message = json!({"jobId": job_id, "status": "COMPLETE", "manifest": url, "job": made});
        self.publish(&self.finished_topic, job_id, "COMPLETE", &message).await?;
        log::info("announced a finished job", json!({"jobId": job_id, "manifest": url}));
        Ok(json!({"jobId": job_id, "manifest": url}))
    }

    async fn failed(&self, job_id: &str, detail: &Value) -> Result<Value, Error> {
        let job = self.job(job_id).await?;
        let code = detail.get("errorCode").and_then(Value::as_i64);
        let message = json!({
            "jobId": job_id,
            "status": "ERROR",
            "source": job.pointer("/settings/inputs/0/fileInput"),
            "errorCode": code,
            "errorMessage": detail.get("errorMessage"),
            "whatToDo": what_to_do(code),
            "userMetadata": detail.get("userMetadata"),
        });
        self.publish(&self.failed_topic, job_id, "ERROR", &message).await?;
        log::error("announced a failed job", message);
        Ok(json!({"jobId": job_id, "failed": true}))
    }

    async fn job(&self, job_id: &str) -> Result<Value, Error> {
        let job = self.mediaconvert.get_job(job_id).await;
        job.map_err(Error::aws(format!("cannot read job `{job_id}`")))
    }

    async fn heads(&self, files: &[OutputFile]) -> Result<Vec<ObjectHead>, Error> {
        let mut heads = Vec::with_capacity(files.len());
        for file in files {
            let (bucket, key) = place(&file.url)?;
            let head = self.s3.head_object(bucket, key).await;
            heads.push(
                head.map_err(Error::aws(format!("cannot read the metadata of output `{}`", file.url)))?,
            );
        }
        Ok(heads)
    }

    async fn publish(&self, topic: &str, job_id: &str, status: &str, message: &Value) -> Result<(), Error> {
        let subject = format!("MediaConvert job {job_id}: {status}");
        let text = fitting(message);
        let sent = self.sns.publish(topic, &subject, &text, &[("status", status), ("jobId", job_id)]).await;
        sent.map_err(Error::aws(format!("cannot publish to topic `{topic}`")))
    }
}

/// Returns the message as text. SNS accepts up to 256 KiB; a longer message refers to the manifest instead of
/// containing it.
fn fitting(message: &Value) -> String {
    const MOST_BYTES: usize = 256 * 1024 - 1024;
    let text = message.to_string();
    if text.len() <= MOST_BYTES {
        return text;
    }
    let mut short = message.clone();
    short["job"] = json!("too long for a notification; read the manifest");
    short.to_string()
}

/// Returns advice for the most common error codes (AWS, MediaConvert error codes).
fn what_to_do(code: Option<i64>) -> &'static str {
    match code {
        Some(1010 | 1020 | 1030 | 1076) => {
            "the input cannot be read as video: check that it plays locally, then upload the complete file again"
        }
        Some(1040) => "the job's settings do not fit this input: read the message, then correct the job file",
        Some(1401) => {
            "the role may not read the input or write the output: check its policy and the buckets' policies"
        }
        Some(1404) => {
            "the input or a bucket does not exist: check bucket and key, and that the file was not removed"
        }
        Some(1432 | 1433 | 1434 | 1515) => {
            "MediaConvert cannot use the role: check that it exists, trusts mediaconvert.amazonaws.com and may \
             read the input and write the output"
        }
        _ => "look up the code in MediaConvert's list of error codes; GetJob shows the whole job",
    }
}

fn place(url: &str) -> Result<(&str, &str), Error> {
    let parts = url.strip_prefix("s3://").and_then(|place| place.split_once('/'));
    parts.ok_or_else(|| Error::Event(format!("the output path `{url}` is not an s3:// URL")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_long_message_refers_to_the_manifest() {
        let long = json!({"jobId": "1-a", "manifest": "s3://b/m", "job": "x".repeat(300_000)});
        let text = fitting(&long);
        assert!(text.len() < 1000 && text.contains("read the manifest") && text.contains("s3://b/m"));
        assert_eq!(fitting(&json!({"job": {}})), r#"{"job":{}}"#);
    }

    #[test]
    fn path_that_is_no_s3_url_is_named() {
        assert_eq!(place("s3://b/a/c").unwrap(), ("b", "a/c"));
        assert!(place("file:///x").unwrap_err().to_string().contains("file:///x"));
    }
}
