//! Creates MediaConvert jobs, follows them to their end, lists them in pages, searches and cancels them.
//!
//! Returns what the jobs report, and downloads their outputs to the folder.

use std::path::Path;
use std::time::{Duration, Instant};

use aws_sdk_mediaconvert::Client;
use aws_sdk_mediaconvert::types::{Job, JobStatus, Order, ProbeInputFile};
use serde_json::{Value, json};

use crate::objects::FILM;
use crate::resources::{QUEUE, TEMPLATE};
use crate::settings::{input_alone, three_outputs};
use crate::{BUCKET, Clients, Outcome, ROLE};

const RENDITIONS: &str = "renditions";
const END_OF_JOB: Duration = Duration::from_secs(180);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const WAITING: usize = 5;

pub(crate) async fn seen(clients: &Clients, folder: &Path) -> Outcome<Value> {
    let client = &clients.mediaconvert;
    let film = format!("s3://{BUCKET}/{FILM}");
    Ok(json!({
        "probe": probed(client, &film).await?,
        "made": made(clients, &film, folder).await?,
        "waiting": waiting(client).await?,
    }))
}

async fn probed(client: &Client, film: &str) -> Outcome<Value> {
    let answer = client.probe().input_files(ProbeInputFile::builder().file_url(film).build()).send().await?;
    let container = answer.probe_results().first().and_then(|result| result.container());
    let container = container.ok_or("the probe has no container")?;
    Ok(json!({
        "format": container.format().map(|one| one.as_str()),
        "seconds": container.duration(),
        "codecs": container.tracks().iter().filter_map(|track| track.codec()).map(|one| one.as_str()).collect::<Vec<_>>(),
    }))
}

async fn made(clients: &Clients, film: &str, folder: &Path) -> Outcome<Value> {
    let client = &clients.mediaconvert;
    let order = client.create_job().role(ROLE).client_request_token("once").user_metadata("from", "rust");
    let order = order.tags("team", "films").settings(three_outputs(film, "s3://renditions/rust/"));
    let job = order.clone().send().await?.job.ok_or("the answer to CreateJob has no job")?;
    let again = order.send().await?.job.ok_or("the answer to the repeated CreateJob has no job")?;
    let id = job.id().ok_or("the job has no id")?;
    let end = ended(client, id).await?;
    let tags = client.list_tags_for_resource().arn(job.arn().ok_or("the job has no ARN")?).send().await?;
    let timing = end.timing();
    Ok(json!({
        "id": id,
        "first": job.status().map(JobStatus::as_str),
        "sameByToken": again.id() == job.id(),
        "status": end.status().map(JobStatus::as_str),
        "percent": end.job_percent_complete(),
        "labels": end.user_metadata().and_then(|all| all.get("from")),
        "tag": tags.resource_tags().and_then(|all| all.tags()).and_then(|all| all.get("team")),
        "isDated": job.created_at().is_some(),
        "isInOrder": timing.is_some_and(|one| {
            one.submit_time().is_some() && one.submit_time() <= one.start_time() && one.start_time() <= one.finish_time()
        }),
        "outputs": end.output_group_details().iter().flat_map(|group| group.output_details()).map(|output| json!({
            "ms": output.duration_in_ms(),
            "width": output.video_details().and_then(|video| video.width_in_px()),
            "height": output.video_details().and_then(|video| video.height_in_px()),
        })).collect::<Vec<_>>(),
        "keys": downloaded(clients, "rust/", folder).await?,
    }))
}

/// Polls until the job ends. Fails after `END_OF_JOB`.
async fn ended(client: &Client, id: &str) -> Outcome<Job> {
    let begun = Instant::now();
    loop {
        let job = client.get_job().id(id).send().await?.job.ok_or("the answer to GetJob has no job")?;
        match job.status() {
            Some(JobStatus::Complete | JobStatus::Error | JobStatus::Canceled) => return Ok(job),
            _ if begun.elapsed() > END_OF_JOB => return Err(format!("job `{id}` did not end").into()),
            _ => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }
}

/// Downloads every object below a prefix to the folder, named after the last part of its key. Returns the keys.
async fn downloaded(clients: &Clients, prefix: &str, folder: &Path) -> Outcome<Vec<String>> {
    let mut pages =
        clients.s3.list_objects_v2().bucket(RENDITIONS).prefix(prefix).into_paginator().page_size(2).send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page?.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
    }
    for key in &keys {
        let got = clients.s3.get_object().bucket(RENDITIONS).key(key).send().await?;
        let name = key.rsplit('/').next().unwrap_or(key);
        std::fs::write(folder.join(name), got.body.collect().await?.into_bytes())?;
    }
    Ok(keys)
}

/// Creates jobs in a paused queue, lists them in pages, finds one by its input, and cancels them.
async fn waiting(client: &Client) -> Outcome<Value> {
    let mut ids = Vec::new();
    for number in 0..WAITING {
        let input = input_alone(&format!("s3://{BUCKET}/day {number}.mp4"));
        let made =
            client.create_job().role(ROLE).queue(QUEUE).job_template(TEMPLATE).settings(input).send().await?;
        ids.extend(made.job().and_then(|job| job.id().map(str::to_owned)));
    }
    let mut pages =
        client.list_jobs().queue(QUEUE).order(Order::Ascending).into_paginator().page_size(2).send();
    let (mut listed, mut lengths) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page?;
        lengths.push(page.jobs().len());
        listed.extend(page.jobs().iter().filter_map(|job| job.id().map(str::to_owned)));
    }
    let found = client
        .search_jobs()
        .input_file("day 3.mp4")
        .status(JobStatus::Submitted)
        .into_paginator()
        .items()
        .send();
    let found = found.collect::<Result<Vec<_>, _>>().await?;
    let counted = client.get_queue().name(QUEUE).send().await?;
    let is_kept = client.delete_queue().name(QUEUE).send().await;
    for id in &ids {
        client.cancel_job().id(id).send().await?;
    }
    let canceled = ended(client, &ids[0]).await?;
    Ok(json!({
        "isListed": listed == ids,
        "lengths": lengths,
        "found": found.iter().filter_map(|job| job.id()).eq([ids[3].as_str()]),
        "priority": canceled.priority(),
        "template": canceled.job_template(),
        "counted": counted.queue().and_then(|queue| queue.submitted_jobs_count()),
        "queueIsKept": is_kept.is_err_and(|error| error.into_service_error().is_conflict_exception()),
        "canceled": canceled.status().map(JobStatus::as_str),
    }))
}
