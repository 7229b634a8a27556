//! `aws deploy`: creates or updates the stack, after showing the changes.

use std::path::Path;
use std::process::ExitCode;

use abanico_deployment::{
    Account, Artifacts, Change, ChangeSet, DeployOptions, Job, Packages, Stack, StackState, built_in_job,
};
use abanico_model::{keys, validate};
use anyhow::Context;
use serde_json::Value;

use super::{confirmed, connect, hinted, tell};
use crate::arguments::{AwsDeploy, AwsPlace};
use crate::failure::{Hinted, WRONG_USAGE};
use crate::output;

/// Deploys the stack, or only shows the changes.
pub async fn run(place: &AwsPlace, deploy: AwsDeploy) -> anyhow::Result<ExitCode> {
    let options = options(&deploy)?;
    let own_job = match &options.job {
        Some(Job::Own(job)) => Some(job),
        _ => None,
    };
    let packages = Packages::find(&deploy.functions, deploy.arch.into(), own_job).map_err(hinted)?;
    let account = connect(place).await?;
    let artifacts = Artifacts::of(&account).map_err(hinted)?;
    let parameters = options.parameters(artifacts.bucket(), &packages.prefix).map_err(hinted)?;
    output::note(format!("account {}, region {}, stack {}", account.id(), account.region(), place.stack));
    let sent = artifacts.upload(&packages).await.map_err(hinted)?;
    output::note(format!(
        "functions: {sent} of {} files sent to {}",
        packages.files.len(),
        artifacts.bucket()
    ));
    let stack = Stack::of(&account, &place.stack).map_err(hinted)?;
    if stack.state().await.map_err(hinted)?.is_none() {
        refuse_left_over_buckets(&account, &place.stack, &options).await?;
    }
    let planned = stack.plan(&parameters).await.map_err(hinted)?;
    if planned.changes.is_empty() {
        stack.discard(&planned).await.map_err(hinted)?;
        output::note("nothing to change");
        return Ok(ExitCode::SUCCESS);
    }
    show(&planned);
    if deploy.dry_run {
        stack.discard(&planned).await.map_err(hinted)?;
        output::note("dry run: nothing was changed");
        return Ok(ExitCode::SUCCESS);
    }
    match confirmed("Make these changes? [y/N]", "y", deploy.yes).await {
        Ok(true) => {}
        refused => {
            stack.discard(&planned).await.map_err(hinted)?;
            refused?;
            output::note("nothing was changed");
            return Ok(ExitCode::SUCCESS);
        }
    }
    let state = stack.execute(&planned, tell).await.map_err(hinted)?;
    done(&state);
    Ok(ExitCode::SUCCESS)
}

/// Fails if a bucket that the stack would create already exists. Buckets outlive their stack, so a new stack of the
/// same name cannot create them again; this check explains that before CloudFormation fails.
async fn refuse_left_over_buckets(
    account: &Account,
    stack: &str,
    options: &DeployOptions,
) -> anyhow::Result<()> {
    let s3 = account.s3().map_err(hinted)?;
    let sides =
        [("upload", "uploads", &options.upload_bucket), ("output", "renditions", &options.output_bucket)];
    for (side, word, chosen) in sides {
        let name = match chosen {
            Some((_, true)) => continue,
            Some((name, false)) => name.clone(),
            None => format!("{stack}-{word}-{}-{}", account.id(), account.region()),
        };
        if s3.keys_after(&name, "").await.is_ok() {
            let hint = format!(
                "use it with --existing-{side}-bucket {name}, choose another name with --{side}-bucket, or remove the bucket"
            );
            let message = format!("the bucket `{name}` already exists, perhaps from an earlier stack");
            return Err(Hinted::new(WRONG_USAGE, message, hint).into());
        }
    }
    Ok(())
}

fn options(deploy: &AwsDeploy) -> anyhow::Result<DeployOptions> {
    let bucket = |name: &Option<String>, existing: &Option<String>| {
        existing.clone().map(|name| (name, true)).or(name.clone().map(|name| (name, false)))
    };
    let mut more: std::collections::BTreeMap<String, String> = deploy.param.iter().cloned().collect();
    let named = [
        ("UploadPrefix", &deploy.prefix),
        ("UploadSuffix", &deploy.suffix),
        ("Destination", &deploy.destination),
        ("Queue", &deploy.queue),
        ("NotificationEmail", &deploy.email),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            more.insert(name.to_owned(), value.clone());
        }
    }
    Ok(DeployOptions {
        job: deploy.job.as_deref().map(job).transpose()?,
        architecture: deploy.arch.into(),
        upload_bucket: bucket(&deploy.upload_bucket, &deploy.existing_upload_bucket),
        output_bucket: bucket(&deploy.output_bucket, &deploy.existing_output_bucket),
        more,
    })
}

/// Returns a built-in job by name, or reads a CreateJob request from a file and checks it as far as possible without an
/// input.
fn job(text: &str) -> anyhow::Result<Job> {
    if built_in_job(text).is_some() {
        return Ok(Job::BuiltIn(text.to_owned()));
    }
    let hint = "use three-mp4, hls or thumbnails, or the path of a JSON file with a CreateJob request";
    let wrong = |what: String| anyhow::Error::from(Hinted::new(WRONG_USAGE, what, hint));
    if !Path::new(text).exists() {
        return Err(wrong(format!("`{text}` is neither a built-in job nor a file")));
    }
    let content =
        std::fs::read_to_string(text).with_context(|| format!("cannot read the job file `{text}`"))?;
    let value: Value =
        serde_json::from_str(&content).map_err(|error| wrong(format!("`{text}` is not JSON: {error}")))?;
    let mut request = keys::to_wire(value, "CreateJobRequest");
    if !request.get("settings").is_some_and(Value::is_object) {
        return Err(wrong(format!("`{text}` has no `settings`")));
    }
    check(text, &request).map_err(wrong)?;
    if let Some(request) = request.as_object_mut() {
        // The function fills these in for each upload.
        for name in ["role", "queue", "clientRequestToken"] {
            request.remove(name);
        }
    }
    Ok(Job::Own(request))
}

/// Validates the request, except for the members that the function fills in: role, input and destination.
fn check(name: &str, request: &Value) -> Result<(), String> {
    let Err(problems) = validate::validate(request, "CreateJobRequest") else { return Ok(()) };
    let filled_in = |text: &str| {
        ["role", "fileInput", "inputs", "destination"]
            .iter()
            .any(|member| text.ends_with(&format!(": {member} is a required property")))
    };
    let faults: Vec<String> =
        problems.0.iter().map(ToString::to_string).filter(|text| !filled_in(text)).collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(format!("`{name}` is not a valid job: {}", faults.join(" | ")))
    }
}

fn show(planned: &ChangeSet) {
    let what = if planned.creates { "a new stack" } else { "changes" };
    output::note(format!("{what}: {} resources", planned.changes.len()));
    let rows: Vec<Vec<String>> = planned.changes.iter().map(cells).collect();
    for line in output::table(&["action", "resource", "type", "replaced"], &rows) {
        output::line(line);
    }
}

fn cells(change: &Change) -> Vec<String> {
    [&change.action, &change.resource, &change.kind, &change.replacement].map(Clone::clone).into()
}

fn done(state: &StackState) {
    let rows: Vec<Vec<String>> =
        state.outputs.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    for line in output::table(&["output", "value"], &rows) {
        output::line(line);
    }
    if let Some(bucket) = state.outputs.get("UploadBucketName") {
        output::note(format!("deployed; try it: aws s3 cp film.mp4 s3://{bucket}/"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_file_may_lack_role_input_and_destination() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job.json");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write(built_in_job("hls").unwrap());
        assert!(matches!(job(file.to_str().unwrap()).unwrap(), Job::Own(_)));
        write(
            r#"{"Role": "r", "Settings": {"OutputGroups": [{"Outputs": [{"ContainerSettings": {"Container": "AVI"}}]}]}}"#,
        );
        let error = job(file.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("outputGroupSettings is a required property"), "{error}");
        assert!(!error.contains("fileInput") && !error.contains(": role"), "{error}");
        write("{}");
        assert!(job(file.to_str().unwrap()).unwrap_err().to_string().contains("no `settings`"));
        assert!(job("four-mp4").unwrap_err().to_string().contains("neither a built-in job nor a file"));
        assert_eq!(job("hls").unwrap(), Job::BuiltIn("hls".to_owned()));
    }
}
