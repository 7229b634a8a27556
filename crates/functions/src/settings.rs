//! What a function is set up with: in environment variables and the package's files, out checked settings and clients.
//! Never read after the start: a wrong setting ends the function before its first event.

use std::path::Path;
use std::sync::Arc;

use abanico_aws::{EnvironmentCredentials, SignedClient, endpoint};
use abanico_lambda::{DestinationTemplate, SkipRules, TriggerConfig};
use serde_json::{Value, json};

use crate::Error;

/// The job that uploads become unless `ABANICO_JOB` names another, below the package's folder.
const DEFAULT_JOB: &str = "jobs/three-mp4.json";

/// Name of the user metadata that tells the stack: without a dot, which EventBridge patterns take for a step down.
const STACK_LABEL: &str = "abanico-stack";

/// Where settings come from.
pub struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl<'a> Environment<'a> {
    /// Reads variables through `variable`.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(variable)
    }

    /// The value of `name`; an empty one counts as none.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// The value of `name`.
    ///
    /// # Errors
    /// [`Error::Setting`] when it is not set.
    pub fn required(&self, name: &str) -> Result<String, Error> {
        self.optional(name)
            .ok_or_else(|| Error::Setting(format!("the environment variable `{name}` is not set")))
    }

    /// A client that signs for `service` with the function's role.
    ///
    /// # Errors
    /// [`Error::Setting`] without a region or with an endpoint that is no URL.
    pub fn client(&self, service: &str) -> Result<SignedClient, Error> {
        let region = self.required("AWS_REGION")?;
        let at = endpoint(service, &region, self.0).map_err(|error| Error::Setting(error.to_string()))?;
        SignedClient::new(service, &region, at, Arc::new(EnvironmentCredentials))
            .map_err(|error| Error::Setting(error.to_string()))
    }

    /// How uploads become jobs.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the variable or file that does not fit.
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
            return Err(bad("has no `settings`: give a CreateJob request with camelCase names".to_owned()));
        }
        Ok(self.marked(job))
    }

    /// The job with the stack's name in its user metadata, by which the rule of `job-finished` knows the stack's jobs.
    fn marked(&self, mut job: Value) -> Value {
        if let (Some(stack), Some(job)) = (self.optional("ABANICO_STACK"), job.as_object_mut()) {
            let metadata = job.entry("userMetadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert(STACK_LABEL.to_owned(), json!(stack));
            }
        }
        job
    }

    /// A list with commas between its items.
    fn list(&self, name: &str) -> Vec<String> {
        let text = self.optional(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package with a job, and the variables of a right set-up.
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
    fn is_a_right_setup_read_whole() {
        let folder = package(r#"{"settings": {}}"#);
        let config = trigger(folder.path(), ("ABANICO_QUEUE", "fast")).unwrap();
        assert_eq!(config.queue.as_deref(), Some("fast"));
        assert_eq!(config.skip.only_suffixes, [".mp4", ".mov"]);
        assert!(config.skip.skip_prefixes.is_empty());
    }

    #[test]
    fn are_jobs_marked_with_their_stack() {
        let folder = package(r#"{"settings": {}, "userMetadata": {"k": "v"}}"#);
        let config = trigger(folder.path(), ("ABANICO_STACK", "films")).unwrap();
        assert_eq!(config.template["userMetadata"], json!({"k": "v", "abanico-stack": "films"}));
    }

    #[test]
    fn does_every_error_name_its_variable() {
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
    fn is_a_job_file_that_is_no_request_refused() {
        for (job, why) in [("{", "is not JSON"), (r#"{"Settings": {}}"#, "has no `settings`")] {
            let folder = package(job);
            let error = trigger(folder.path(), ("", "")).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
