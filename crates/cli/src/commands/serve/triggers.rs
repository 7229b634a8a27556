//! The triggers of a configuration: the function that each of them starts, and whether their outputs have a place to go.

use std::collections::BTreeMap;
use std::time::Duration;

use abanico_store::{ErrorKind, ObjectStore, ObjectUrl, Router};

use crate::config::{Config, TriggerConfig};
use crate::failure::{Hinted, WRONG_USAGE};

/// How long a remote bucket may take to answer at the start. One that does not answer is no reason not to start.
const PATIENCE: Duration = Duration::from_secs(3);

/// Returns the functions that uploads start, by name.
pub(super) fn functions(config: &Config) -> anyhow::Result<BTreeMap<String, abanico_trigger::TriggerConfig>> {
    config.triggers.iter().map(|trigger| Ok((trigger.id.clone(), function(trigger)?))).collect()
}

fn function(trigger: &TriggerConfig) -> anyhow::Result<abanico_trigger::TriggerConfig> {
    let wrong = |what: String| {
        Hinted::new(WRONG_USAGE, format!("trigger `{}`: {what}", trigger.id), "see docs/CONFIGURATION.md")
    };
    let template = match abanico_model::templates::template(&trigger.template) {
        Some(settings) => serde_json::json!({
            "settings": settings,
            "userMetadata": abanico_model::templates::template_metadata(&trigger.template),
        }),
        None => {
            let text = std::fs::read_to_string(&trigger.template).map_err(|error| {
                wrong(format!("template `{}` is neither built in nor a file: {error}", trigger.template))
            })?;
            let value: serde_json::Value = serde_json::from_str(&text)
                .map_err(|error| wrong(format!("template `{}` is not JSON: {error}", trigger.template)))?;
            abanico_model::keys::to_wire(value, "CreateJobTemplateRequest")
        }
    };
    let destination = abanico_trigger::DestinationTemplate::parse(&trigger.destination)
        .map_err(|error| wrong(error.to_string()))?;
    let mut function = abanico_trigger::TriggerConfig::new(trigger.role.clone(), template);
    function.destination = destination;
    function.skip.only_suffixes = trigger.suffix.clone();
    Ok(function)
}

/// Refuses a trigger whose outputs would go to a bucket that does not exist: each of its uploads would become a job that
/// fails.
pub(super) async fn need_destinations(
    functions: &BTreeMap<String, abanico_trigger::TriggerConfig>,
    store: &Router,
) -> anyhow::Result<()> {
    for (id, function) in functions {
        let Some(bucket) = function.destination.fixed_bucket() else { continue };
        let url: ObjectUrl = format!("s3://{bucket}/abanico").parse()?;
        let Ok(checked) = tokio::time::timeout(PATIENCE, store.check(&url)).await else {
            tracing::warn!(trigger = id, bucket, "the bucket of a trigger's outputs does not answer");
            continue;
        };
        match checked {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let message = format!("trigger `{id}` writes to bucket `{bucket}`, which does not exist");
                let hint = format!(
                    "add it: [[bucket]] with name = \"{bucket}\", or change the trigger's destination"
                );
                return Err(Hinted::new(WRONG_USAGE, message, hint).into());
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    trigger = id,
                    bucket,
                    error,
                    "cannot write to the bucket of a trigger's outputs"
                );
            }
        }
    }
    Ok(())
}
