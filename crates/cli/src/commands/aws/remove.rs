//! `aws remove`: removes the stack. Its buckets stay unless the user passes `--with-buckets`.

use std::process::ExitCode;

use abanico_aws::S3;
use abanico_deployment::Stack;
use anyhow::Context;

use super::{confirmed, connect, deployed, hinted, tell};
use crate::arguments::{AwsPlace, AwsRemove};
use crate::output;

/// Removes the stack.
pub async fn run(place: &AwsPlace, remove: AwsRemove) -> anyhow::Result<ExitCode> {
    let account = connect(place).await?;
    let state = deployed(&account, &place.stack).await?;
    let s3 = account.s3().map_err(hinted)?;
    let made = |side: &str| {
        let is_ours =
            state.parameters.get(&format!("UseExisting{side}Bucket")).map(String::as_str) != Some("true");
        is_ours.then(|| state.outputs.get(&format!("{side}BucketName")).cloned()).flatten()
    };
    let buckets: Vec<String> = [made("Upload"), made("Output")].into_iter().flatten().collect();
    output::note(format!(
        "stack {} in {} of account {} will be removed",
        place.stack,
        account.region(),
        account.id()
    ));
    for bucket in &buckets {
        let count = count(&s3, bucket).await?;
        let fate = if remove.with_buckets { "will be emptied and removed" } else { "stays" };
        output::note(format!("bucket {bucket} with {count} objects {fate}"));
    }
    let (question, expected) = if remove.with_buckets {
        (
            format!("Type the stack's name, {}, to remove it with all videos:", place.stack),
            place.stack.as_str(),
        )
    } else {
        ("Remove it? [y/N]".to_owned(), "y")
    };
    if !confirmed(&question, expected, remove.yes).await? {
        output::note("nothing was removed");
        return Ok(ExitCode::SUCCESS);
    }
    let stack = Stack::of(&account, &place.stack).map_err(hinted)?;
    stack.remove(tell).await.map_err(hinted)?;
    if remove.with_buckets {
        for bucket in &buckets {
            empty(&s3, bucket).await?;
            s3.delete_bucket(bucket).await.with_context(|| format!("cannot remove the bucket `{bucket}`"))?;
            output::note(format!("bucket {bucket} was removed"));
        }
    }
    output::note(format!("stack {} was removed", place.stack));
    Ok(ExitCode::SUCCESS)
}

/// Returns the number of objects in a bucket, or `1000 or more` if they fill a page.
async fn count(s3: &S3, bucket: &str) -> anyhow::Result<String> {
    let keys =
        s3.keys_after(bucket, "").await.with_context(|| format!("cannot list the bucket `{bucket}`"))?;
    Ok(if keys.len() < 1000 { keys.len().to_string() } else { "1000 or more".to_owned() })
}

async fn empty(s3: &S3, bucket: &str) -> anyhow::Result<()> {
    loop {
        let keys =
            s3.keys_after(bucket, "").await.with_context(|| format!("cannot list the bucket `{bucket}`"))?;
        if keys.is_empty() {
            return Ok(());
        }
        for key in keys {
            s3.delete_object(bucket, &key)
                .await
                .with_context(|| format!("cannot remove `s3://{bucket}/{key}`"))?;
        }
    }
}
