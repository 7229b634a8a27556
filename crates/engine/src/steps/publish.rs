//! The publish step: copies packaged and verified files to their destinations. Files that refer to others come last.
//! The step starts only when every output of the job is verified. Running it twice is harmless.

use std::path::PathBuf;

use abanico_plan::Plan;
use abanico_store::{ObjectAttributes, ObjectUrl};
use tokio::sync::mpsc;

use super::packaged_files::{PackagedFile, listed};
use super::{JobContext, Report, seal};
use crate::failure;
use crate::job_machine::Failure;

/// Number of files published between two reports to the driver. Each report costs a write to disk.
const FILES_A_NOTE: usize = 50;

/// Publishes the files of all packaging tasks: media first, then playlists, then the playlists of groups, each in the
/// plan's order.
pub(crate) async fn publish(
    context: &JobContext,
    job: &str,
    plan: &Plan,
    reports: &mpsc::Sender<Report>,
) -> Result<(), Failure> {
    let files = packaged(context, plan)?;
    seal::check(&files, &context.cancel).await?;
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let total: u64 = files.iter().map(|(path, _)| size(path)).sum();
    let mut sent = 0;
    for some in files.chunks(FILES_A_NOTE) {
        let mut urls = Vec::with_capacity(some.len());
        let mut published = Ok(());
        for (path, file) in some {
            published = publish_one(context, job, path, file).await;
            if published.is_err() {
                break;
            }
            urls.push(file.url.clone());
            sent += size(path);
            context.update(|progress| {
                progress.uploading_percent = u8::try_from(sent * 100 / total.max(1)).unwrap_or(100)
            });
        }
        // Sending fails only after the job has ended, when the driver is gone.
        let _ = reports.send(Report::Published(urls)).await;
        published?;
    }
    Ok(())
}

fn packaged(context: &JobContext, plan: &Plan) -> Result<Vec<(PathBuf, PackagedFile)>, Failure> {
    let mut files = Vec::new();
    for task in plan.tasks.iter().filter(|task| task.kind.is_packaging()) {
        let made = listed(&context.work.task(&task.id));
        files.extend(made.map_err(|error| failure::from_disk("read the list of packaged files", &error))?);
    }
    files.sort_by_key(|(_, file)| file.turn);
    Ok(files)
}

async fn publish_one(
    context: &JobContext,
    job: &str,
    path: &std::path::Path,
    file: &PackagedFile,
) -> Result<(), Failure> {
    if context.cancel.is_cancelled() {
        return Err(failure::broken("publishing continued after it was cancelled"));
    }
    let url: ObjectUrl = file.url.parse().map_err(|error: abanico_store::ParseObjectUrlError| Failure {
        code: 1040,
        message: error.to_string(),
        is_retryable: false,
    })?;
    let attributes = ObjectAttributes {
        content_type: Some(file.content_type.clone()),
        content_encoding: file.is_gzip.then(|| "gzip".to_owned()),
        metadata: [("abanico-job".to_owned(), job.to_owned())].into(),
    };
    let published = context.workshop.store.publish(path, &url, &attributes).await;
    published.map(drop).map_err(|error| failure::from_store(&error))
}

/// Deletes what a job published before it failed or was cancelled.
pub(crate) async fn take_back(context: &JobContext, urls: &[String]) {
    for text in urls {
        let Ok(url) = text.parse::<ObjectUrl>() else { continue };
        if let Err(error) = context.workshop.store.delete(&url).await {
            tracing::error!(%url, %error, "cannot delete an output of a job that did not complete: delete it by hand");
        }
    }
}
