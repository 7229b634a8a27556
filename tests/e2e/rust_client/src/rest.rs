//! Calls MediaConvert's other operations: updates, job queries, policy, certificates, shares and versions.
//!
//! Takes a finished job and returns the answers. Certificates and the policy are afterwards as before; the job's share, the
//! template's priority and the queue's status are changed.

use aws_sdk_mediaconvert::Client;
use aws_sdk_mediaconvert::types::{InputPolicy, JobsQueryFilter, JobsQueryFilterKey, Policy, QueueStatus};
use serde_json::{Value, json};

use crate::Outcome;
use crate::resources::{QUEUE, TEMPLATE};

const CERTIFICATE: &str = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-1111";

pub(crate) async fn seen(client: &Client, job: &str) -> Outcome<Value> {
    let template = client.update_job_template().name(TEMPLATE).priority(9).send().await?;
    let queue = client.update_queue().name(QUEUE).status(QueueStatus::Active).send().await?;
    let versions = client.list_versions().into_paginator().items().send();
    let versions = versions.collect::<Result<Vec<_>, _>>().await?;
    client.create_resource_share().job_id(job).support_case_id("case-1").send().await?;
    let shared = client.get_job().id(job).send().await?;
    client.associate_certificate().arn(CERTIFICATE).send().await?;
    client.disassociate_certificate().arn(CERTIFICATE).send().await?;
    let twice = client.disassociate_certificate().arn(CERTIFICATE).send().await;
    Ok(json!({
        "priority": template.job_template().and_then(|one| one.priority()),
        "queue": queue.queue().and_then(|one| one.status()).map(|one| one.as_str()),
        "versions": versions.iter().filter(|one| one.version().is_some()).count(),
        "share": shared.job().and_then(|one| one.share_status()).map(|one| one.as_str()),
        "certificateIsGone": twice.is_err_and(|error| error.into_service_error().is_not_found_exception()),
        "policy": policy(client).await?,
        "query": queried(client, job).await?,
    }))
}

/// Returns which inputs the policy allows: after a change, and after its deletion.
async fn policy(client: &Client) -> Outcome<Value> {
    let wish = Policy::builder().http_inputs(InputPolicy::Disallowed).build();
    client.put_policy().policy(wish).send().await?;
    let put = client.get_policy().send().await?;
    client.delete_policy().send().await?;
    let gone = client.get_policy().send().await?;
    let words = |policy: Option<&Policy>| {
        let policy = policy?;
        Some([policy.http_inputs()?.as_str().to_owned(), policy.s3_inputs()?.as_str().to_owned()])
    };
    Ok(json!({"put": words(put.policy()), "gone": words(gone.policy())}))
}

/// Queries the finished jobs with H.264, which must be only `job`.
async fn queried(client: &Client, job: &str) -> Outcome<Value> {
    let codec = JobsQueryFilter::builder().key(JobsQueryFilterKey::VideoCodec).values("H_264").build();
    let status = JobsQueryFilter::builder().key(JobsQueryFilterKey::Status).values("COMPLETE").build();
    let begun = client.start_jobs_query().filter_list(codec).filter_list(status).send().await?;
    let found = client.get_jobs_query_results().id(begun.id().ok_or("the query has no id")?).send().await?;
    Ok(json!({
        "status": found.status().map(|one| one.as_str()),
        "isFound": found.jobs().iter().filter_map(|one| one.id()).eq([job]),
    }))
}
