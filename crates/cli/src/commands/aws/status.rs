//! `aws status`: shows the stack's state, its recent jobs with their errors, and the number of dead letters.

use std::process::ExitCode;

use abanico_deployment::StackState;
use serde_json::{Value, json};

use super::{connect, deployed, hinted, stack_output};
use crate::arguments::{AwsPlace, AwsStatus};
use crate::output;

/// Key of the user metadata that marks a stack's jobs.
const STACK_LABEL: &str = "abanico-stack";

/// Prints the state.
pub async fn run(place: &AwsPlace, status: AwsStatus) -> anyhow::Result<ExitCode> {
    let account = connect(place).await?;
    let state = deployed(&account, &place.stack).await?;
    let letters = match state.outputs.get("DeadLetterQueueUrl") {
        Some(url) => Some(account.sqs().map_err(hinted)?.depth(url).await?),
        None => None,
    };
    let page = account.mediaconvert().map_err(hinted)?.list_jobs("maxResults=20&order=DESCENDING").await?;
    let jobs: Vec<&Value> = page
        .get("jobs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|job| job.pointer(&format!("/userMetadata/{STACK_LABEL}")) == Some(&json!(place.stack)))
        .collect();
    if status.json {
        output::json(&json!({
            "stack": place.stack, "status": state.status, "outputs": state.outputs,
            "deadLetters": letters, "jobs": jobs.iter().map(|job| summary(job)).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    show(place, &state, letters, &jobs)?;
    Ok(ExitCode::SUCCESS)
}

fn show(place: &AwsPlace, state: &StackState, letters: Option<u64>, jobs: &[&Value]) -> anyhow::Result<()> {
    output::line(format!("stack {}: {} {}", place.stack, state.status, state.reason).trim_end());
    output::line(format!("uploads: s3://{}/", stack_output(state, "UploadBucketName")?));
    output::line(format!("renditions: s3://{}/", stack_output(state, "OutputBucketName")?));
    match letters {
        Some(0) => output::line("dead letters: none"),
        Some(count) => output::line(format!(
            "dead letters: {count}, in the queue {}",
            stack_output(state, "DeadLetterQueueUrl")?
        )),
        None => {}
    }
    if jobs.is_empty() {
        output::line("recent jobs: none of the last 20 jobs belongs to this stack");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|job| {
            let summary = summary(job);
            ["id", "status", "percent", "source", "error"]
                .iter()
                .map(|name| match &summary[*name] {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                })
                .collect()
        })
        .collect();
    for line in output::table(&["job", "status", "%", "source", "error"], &rows) {
        output::line(line);
    }
    Ok(())
}

fn summary(job: &Value) -> Value {
    json!({
        "id": job.get("id"),
        "status": job.get("status"),
        "percent": job.get("jobPercentComplete"),
        "source": job.pointer("/settings/inputs/0/fileInput"),
        "error": job.get("errorMessage"),
    })
}
