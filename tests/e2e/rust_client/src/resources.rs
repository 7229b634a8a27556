//! Creates, lists in pages, changes and deletes MediaConvert's queues, presets, job templates and tags.

use std::collections::BTreeMap;

use aws_sdk_mediaconvert::Client;
use aws_sdk_mediaconvert::types::{PresetListBy, QueueStatus};
use serde_json::{Value, json};

use crate::Outcome;
use crate::settings::{self, PRESET};

/// A paused queue, whose jobs wait.
pub(crate) const QUEUE: &str = "rust";
/// A template whose output uses the preset.
pub(crate) const TEMPLATE: &str = "rust-template";
/// Two more presets besides `PRESET`, so that lists have several pages.
const MORE: [&str; 2] = ["rust-2", "rust-3"];
const CATEGORY: &str = "rust";

pub(crate) async fn seen(client: &Client) -> Outcome<Value> {
    let queue =
        client.create_queue().name(QUEUE).description("waits").status(QueueStatus::Paused).send().await?;
    let queue = queue.queue().ok_or("the answer to CreateQueue has no queue")?.clone();
    for name in [PRESET].iter().chain(&MORE) {
        let settings = settings::preset(320, 180);
        client.create_preset().name(*name).category(CATEGORY).settings(settings).send().await?;
    }
    client.update_preset().name(PRESET).description("changed").send().await?;
    let preset = client.get_preset().name(PRESET).send().await?;
    let preset = preset.preset().ok_or("the answer to GetPreset has no preset")?;
    let template = client.create_job_template().name(TEMPLATE).category(CATEGORY).priority(-7);
    template.settings(settings::template("s3://renditions/template/")).send().await?;
    let template = client.get_job_template().name(TEMPLATE).send().await?;
    Ok(json!({
        "endpoints": endpoints(client).await?,
        "queue": {
            "arn": queue.arn(),
            "status": queue.status().map(|one| one.as_str()),
            "type": queue.r#type().map(|one| one.as_str()),
            "isDated": queue.created_at().is_some(),
        },
        "preset": {
            "description": preset.description(),
            "type": preset.r#type().map(|one| one.as_str()),
            "isTheSame": preset.settings() == Some(&settings::preset(320, 180)),
        },
        "priority": template.job_template().and_then(|one| one.priority()),
        "lists": lists(client).await?,
        "tags": tags(client, queue.arn().ok_or("the queue has no ARN")?).await?,
    }))
}

/// Returns the endpoints, which older programs ask for before anything else.
#[expect(deprecated, reason = "older programs still call it")]
async fn endpoints(client: &Client) -> Outcome<Vec<String>> {
    let all =
        client.describe_endpoints().into_paginator().items().send().collect::<Result<Vec<_>, _>>().await?;
    Ok(all.iter().filter_map(|one| one.url().map(str::to_owned)).collect())
}

/// Reads every list through the SDK's own paginator, with pages smaller than the list.
async fn lists(client: &Client) -> Outcome<Value> {
    let queues = client.list_queues().into_paginator().page_size(1).items().send();
    let queues = queues.collect::<Result<Vec<_>, _>>().await?;
    let mut pages = client
        .list_presets()
        .category(CATEGORY)
        .list_by(PresetListBy::Name)
        .into_paginator()
        .page_size(2)
        .send();
    let (mut presets, mut lengths) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page?;
        lengths.push(page.presets().len());
        presets.extend(page.presets().iter().filter_map(|one| one.name().map(str::to_owned)));
    }
    let templates =
        client.list_job_templates().category(CATEGORY).into_paginator().page_size(1).items().send();
    let templates = templates.collect::<Result<Vec<_>, _>>().await?;
    Ok(json!({
        "queues": queues.iter().filter_map(|one| one.name()).collect::<Vec<_>>(),
        "presets": presets,
        "presetPages": lengths,
        "templates": templates.iter().filter_map(|one| one.name()).collect::<Vec<_>>(),
    }))
}

async fn tags(client: &Client, arn: &str) -> Outcome<Value> {
    client.tag_resource().arn(arn).tags("a", "1").tags("b", "2").tags("ciudad", "Málaga").send().await?;
    client.untag_resource().arn(arn).tag_keys("a").send().await?;
    let listed = client.list_tags_for_resource().arn(arn).send().await?;
    let listed = listed.resource_tags().ok_or("the answer to ListTagsForResource has no tags")?;
    let tags: BTreeMap<_, _> = listed.tags().into_iter().flatten().collect();
    Ok(json!({"arn": listed.arn(), "tags": tags}))
}

/// Deletes everything that `seen` created. No job may be waiting in the queue.
pub(crate) async fn removed(client: &Client) -> Outcome<Value> {
    client.delete_job_template().name(TEMPLATE).send().await?;
    for name in [PRESET].iter().chain(&MORE) {
        client.delete_preset().name(*name).send().await?;
    }
    client.delete_queue().name(QUEUE).send().await?;
    let queue = client.get_queue().name(QUEUE).send().await;
    let preset = client.get_preset().name(PRESET).send().await;
    let template = client.get_job_template().name(TEMPLATE).send().await;
    Ok(json!({
        "queue": queue.is_err_and(|error| error.into_service_error().is_not_found_exception()),
        "preset": preset.is_err_and(|error| error.into_service_error().is_not_found_exception()),
        "template": template.is_err_and(|error| error.into_service_error().is_not_found_exception()),
    }))
}
