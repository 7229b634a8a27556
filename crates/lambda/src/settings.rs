//! Reads a function's settings from environment variables and the package's files, checks them and creates clients.
//! Settings are read only at the start, so a wrong one ends the function before its first event.

use std::path::Path;
use std::sync::Arc;

use abanico_aws::{EnvironmentCredentials, SignedClient, endpoint};
use abanico_trigger::{DestinationTemplate, SkipRules, TriggerConfig};
use serde_json::{Value, json};

use crate::Error;

/// Job file in the package that is used for uploads unless `ABANICO_JOB` names another one.
const DEFAULT_JOB: &str = "jobs/three-mp4.json";

/// Name of the user metadata entry that holds the stack's name. It has no dot, because EventBridge patterns treat a
/// dot as a step into a nested object.
const STACK_LABEL: &str = "abanico-stack";

/// The source of settings.
pub struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl<'a> Environment<'a> {
    /// Reads variables with `variable`.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(variable)
    }

    /// Returns the value of `name`, or `None` if it is unset or empty.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// Returns the value of `name`.
    ///
    /// # Errors
    /// Returns [`Error::Setting`] if it is not set.
    pub fn required(&self, name: &str) -> Result<String, Error> {
        self.optional(name)
            .ok_or_else(|| Error::Setting(format!("the environment variable `{name}` is not set")))
    }

    /// Creates a client that signs for `service` with the function's role.
    ///
    /// # Errors
    /// Returns [`Error::Setting`] if the region is not set or the endpoint is not a URL.
    pub fn client(&self, service: &str) -> Result<SignedClient, Error> {
        let region = self.required("AWS_REGION")?;
        let at = endpoint(service, &region, self.0).map_err(|error| Error::Setting(error.to_string()))?;
        SignedClient::new(service, &region, at, Arc::new(EnvironmentCredentials))
            .map_err(|error| Error::Setting(error.to_string()))
    }

    /// Returns the configuration that turns uploads into jobs.
    ///
    /// # Errors
    /// Returns [`Error::Setting`], which names the wrong variable or file.
    pub fn trigger(&self) -> Result<TriggerConfig, Error> {
        let mut config = TriggerConfig::new(self.required("ABANICO_ROLE_ARN")?, self.job()?);
        config.queue = self.optional("ABANICO_QUEUE");
        let destination = self.required("ABANICO_DESTINATION")?;
        config.destination = DestinationTemplate::parse(&destination)
            .map_err(|error| Error::Setting(format!("`ABANICO_DESTINATION`: {error}")))?;
        config.skip = SkipRules {
            only_suffixes: self.list("ABANICO_ONLY_SUFFIXES"),
            skip_prefixes: self.list("ABANICO_SKIP_PREFIXES"),
        };
        Ok(config)
    }

    fn job(&self) -> Result<Value, Error> {
        let root = self.required("LAMBDA_TASK_ROOT")?;
        let name = self.optional("ABANICO_JOB").unwrap_or_else(|| DEFAULT_JOB.to_owned());
        let bad = |why: String| Error::Setting(format!("the job file `{name}` of `ABANICO_JOB` {why}"));
        let text = std::fs::read_to_string(Path::new(&root).join(&name))
            .map_err(|error| bad(format!("is not in the package: {error}")))?;
        let job: Value = serde_json::from_str(&text).map_err(|error| bad(format!("is not JSON: {error}")))?;
        if !job.get("settings").is_some_and(Value::is_object) {
            return Err(bad(
                "has no `settings`; it must be a CreateJob request with camelCase names".to_owned()
            ));
        }
        Ok(self.marked(job))
    }

    /// Adds the stack's name to the job's user metadata. The EventBridge rule of `job-finished` recognises the stack's
    /// jobs by it.
    fn marked(&self, mut job: Value) -> Value {
        if let (Some(stack), Some(job)) = (self.optional("ABANICO_STACK"), job.as_object_mut()) {
            let metadata = job.entry("userMetadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert(STACK_LABEL.to_owned(), json!(stack));
            }
        }
        job
    }

    /// Returns the items of a comma-separated list.
    fn list(&self, name: &str) -> Vec<String> {
        let text = self.optional(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a package folder with a job file.
    fn package(job: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("jobs")).unwrap();
        std::fs::write(folder.path().join(DEFAULT_JOB), job).unwrap();
        folder
    }

    fn trigger(folder: &Path, changed: (&str, &str)) -> Result<TriggerConfig, String> {
        let variable = |name: &str| {
            let value = match name {
                _ if name == changed.0 => changed.1,
                "LAMBDA_TASK_ROOT" => folder.to_str().unwrap(),
                "ABANICO_ROLE_ARN" => "arn:aws:iam::1:role/r",
                "ABANICO_DESTINATION" => "s3://out/{key}/",
                "ABANICO_ONLY_SUFFIXES" => ".mp4, .mov,",
                _ => return None,
            };
            Some(value.to_owned())
        };
        Environment::new(&variable).trigger().map_err(|error| error.to_string())
    }

    #[test]
    fn all_settings_are_read() {
        let folder = package(r#"{"settings": {}}"#);
        let config = trigger(folder.path(), ("ABANICO_QUEUE", "fast")).unwrap();
        assert_eq!(config.queue.as_deref(), Some("fast"));
        assert_eq!(config.skip.only_suffixes, [".mp4", ".mov"]);
        assert!(config.skip.skip_prefixes.is_empty());
    }

    #[test]
    fn jobs_are_marked_with_their_stack() {
        let folder = package(r#"{"settings": {}, "userMetadata": {"k": "v"}}"#);
        let config = trigger(folder.path(), ("ABANICO_STACK", "films")).unwrap();
        assert_eq!(config.template["userMetadata"], json!({"k": "v", "abanico-stack": "films"}));
    }

    #[test]
    fn every_error_names_its_variable() {
        let folder = package(r#"{"settings": {}}"#);
        for (changed, named) in [
            (("ABANICO_ROLE_ARN", ""), "ABANICO_ROLE_ARN"),
            (("ABANICO_DESTINATION", ""), "ABANICO_DESTINATION"),
            (("ABANICO_DESTINATION", "s3://out/{name}/"), "unknown variable `name`"),
            (("ABANICO_JOB", "jobs/own.json"), "`jobs/own.json` of `ABANICO_JOB` is not in the package"),
            (("LAMBDA_TASK_ROOT", ""), "LAMBDA_TASK_ROOT"),
        ] {
            let error = trigger(folder.path(), changed).unwrap_err();
            assert!(error.contains(named), "{changed:?}: {error}");
        }
    }

    #[test]
    fn job_file_must_be_a_request() {
        for (job, why) in [("{", "is not JSON"), (r#"{"Settings": {}}"#, "has no `settings`")] {
            let folder = package(job);
            let error = trigger(folder.path(), ("", "")).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
