//! The step publish: in verified files and their URLs, out objects in their places.
//! Never before every output of the job is verified; publishing again is harmless.

use abanico_plan::PlannedOutput;
use abanico_store::{ObjectAttributes, ObjectUrl};
use tokio::sync::mpsc;

use super::verify::finished_file;
use super::{JobContext, Report};
use crate::failure;
use crate::job_machine::Failure;

/// Publishes all outputs in the job's order; each one is reported as it stands in its place.
pub(crate) async fn publish(
    context: &JobContext,
    job: &str,
    outputs: &[PlannedOutput],
    reports: &mpsc::Sender<Report>,
) -> Result<(), Failure> {
    let files: Vec<_> =
        (0..).zip(outputs).map(|(index, planned)| (finished_file(context, index), planned)).collect();
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let total: u64 = files.iter().map(|(path, _)| size(path)).sum();
    let mut sent = 0;
    for (path, planned) in &files {
        if context.cancel.is_cancelled() {
            return Err(failure::broken("publishing was cancelled and went on"));
        }
        let url: ObjectUrl = planned.url.parse().map_err(|error: abanico_store::ParseObjectUrlError| {
            Failure { code: 1040, message: error.to_string(), is_retryable: false }
        })?;
        let attributes = ObjectAttributes {
            content_type: Some(planned.content_type.clone()),
            metadata: [("abanico-job".to_owned(), job.to_owned())].into(),
        };
        let published = context.workshop.store.publish(path, &url, &attributes).await;
        published.map_err(|error| failure::from_store(&error))?;
        sent += size(path);
        context.update(|progress| {
            progress.uploading_percent = u8::try_from(sent * 100 / total.max(1)).unwrap_or(100)
        });
        // The driver is gone only when the job has ended.
        let _ = reports.send(Report::OnePublished(planned.url.clone())).await;
    }
    Ok(())
}

/// Takes back what a job published before it failed or was cancelled.
pub(crate) async fn take_back(context: &JobContext, urls: &[String]) {
    for text in urls {
        let Ok(url) = text.parse::<ObjectUrl>() else { continue };
        if let Err(error) = context.workshop.store.delete(&url).await {
            tracing::error!(%url, %error, "cannot take back an output of a job that did not complete: delete it by hand");
        }
    }
}
