//! The step prepare: in a job's settings, out its input as a local file, its facts and the plan.
//! Never an input from a place that no back end serves.

use std::collections::BTreeMap;

use abanico_media::MediaInfo;
use abanico_model::generated::JobSettings;
use abanico_plan::{Plan, PlanRequest, plan};
use abanico_store::ObjectUrl;

use super::JobContext;
use crate::failure;
use crate::job_machine::Failure;

/// What preparing found out.
pub(crate) struct Prepared {
    /// Facts of the input.
    pub input: MediaInfo,
    /// What will be done.
    pub plan: Plan,
}

/// Fetches, probes, plans.
pub(crate) async fn prepare(
    context: &JobContext,
    settings: &JobSettings,
    user_metadata: &BTreeMap<String, String>,
) -> Result<Prepared, Failure> {
    fetch(context).await?;
    context.update(|progress| progress.probing_percent = 50);
    let input = probe(context).await?;
    let capabilities = &context.workshop.capabilities;
    let request = PlanRequest { settings, user_metadata, input: &input, capabilities };
    let plan = plan(request).map_err(|error| failure::from_plan(&error))?;
    context.update(|progress| progress.probing_percent = 100);
    Ok(Prepared { input, plan })
}

/// Fetches anew at every try: what an interrupted try left may be half a file.
async fn fetch(context: &JobContext) -> Result<(), Failure> {
    let url: ObjectUrl = context.input_url.parse().map_err(|error: abanico_store::ParseObjectUrlError| {
        Failure { code: 1010, message: error.to_string(), is_retryable: false }
    })?;
    let destination = context.work.input();
    let disk = |error| failure::from_disk("prepare the work folder", &error);
    if let Some(folder) = destination.parent() {
        std::fs::create_dir_all(folder).map_err(disk)?;
    }
    match std::fs::remove_file(&destination) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk(error)),
        _ => {}
    }
    let fetched = context.workshop.store.fetch(&url, &destination);
    tokio::select! {
        fetched = fetched => fetched.map(drop).map_err(|error| failure::from_store(&error)),
        () = context.cancel.cancelled() => Err(failure::broken("fetching was cancelled and went on")),
    }
}

async fn probe(context: &JobContext) -> Result<MediaInfo, Failure> {
    let _permit =
        context.workshop.light.acquire().await.map_err(|_| failure::broken("the light permits are gone"))?;
    let path = context.work.input();
    let probed = abanico_ffmpeg::probe(&context.workshop.tools, &path, &context.cancel).await;
    probed.map_err(|error| failure::from_probe(&context.input_url, &path.display().to_string(), &error))
}
