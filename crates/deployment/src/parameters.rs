//! Turns the user's choices into parameters of the template. Unknown parameters are refused.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Architecture, Error, TEMPLATE, built_in_job};

/// The job to create for each upload.
#[derive(Clone, PartialEq, Debug)]
pub enum Job {
    /// The name of a job in `deploy/jobs/`.
    BuiltIn(String),
    /// The user's own CreateJob request, in wire form.
    Own(Value),
}

/// The user's choices. `None` keeps the value of a deployed stack. For a new stack it means the template's default.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeployOptions {
    /// The job.
    pub job: Option<Job>,
    /// Processor architecture of the functions.
    pub architecture: Architecture,
    /// Name of the upload bucket, and whether it exists already.
    pub upload_bucket: Option<(String, bool)>,
    /// Name of the output bucket, and whether it exists already.
    pub output_bucket: Option<(String, bool)>,
    /// Other parameters by their names in the template.
    pub more: BTreeMap<String, String>,
}

impl DeployOptions {
    /// Returns the template's parameters. The functions' zip files are in this bucket, below this prefix.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) if a job or parameter does not exist.
    pub fn parameters(
        &self,
        code_bucket: &str,
        code_prefix: &str,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut parameters = BTreeMap::new();
        let mut put = |name: &str, value: &str| {
            parameters.insert(name.to_owned(), value.to_owned());
        };
        put("FunctionsBucket", code_bucket);
        put("FunctionsPrefix", code_prefix);
        put("Architecture", self.architecture.name());
        match &self.job {
            None => {}
            Some(Job::Own(_)) => put("Job", "own"),
            Some(Job::BuiltIn(name)) if built_in_job(name).is_some() => put("Job", name),
            Some(Job::BuiltIn(name)) => {
                let hint =
                    "use three-mp4, hls or thumbnails, or the path of a JSON file with a CreateJob request";
                return Err(Error::usage(format!("there is no job `{name}`"), hint));
            }
        }
        for (side, bucket) in [("Upload", &self.upload_bucket), ("Output", &self.output_bucket)] {
            if let Some((name, is_there)) = bucket {
                put(&format!("{side}BucketName"), name);
                put(&format!("UseExisting{side}Bucket"), if *is_there { "true" } else { "false" });
            }
        }
        for (name, value) in &self.more {
            if !names().contains(&name.as_str()) {
                let hint = format!("the template's parameters are {}", names().join(", "));
                return Err(Error::usage(format!("there is no parameter `{name}`"), hint));
            }
            put(name, value);
        }
        Ok(parameters)
    }
}

/// Returns the names of the template's parameters, in the template's order.
pub(crate) fn names() -> Vec<&'static str> {
    let inside = TEMPLATE.split("\nParameters:\n").nth(1).unwrap_or_default();
    let inside = inside.split("\nConditions:\n").next().unwrap_or_default();
    let name = |line: &'static str| {
        let indented = line.strip_prefix("  ")?.strip_suffix(':')?;
        (!indented.starts_with(' ')).then_some(indented)
    };
    inside.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn template_parameters_are_found() {
        let names = names();
        assert!(names.contains(&"FunctionsBucket") && names.contains(&"NotificationEmail"), "{names:?}");
        assert!(names.iter().all(|name| name.chars().all(char::is_alphanumeric)), "{names:?}");
    }

    #[test]
    fn unset_options_are_left_out() {
        let parameters = DeployOptions::default().parameters("code", "p/").unwrap();
        let names: Vec<&str> = parameters.keys().map(String::as_str).collect();
        assert_eq!(names, ["Architecture", "FunctionsBucket", "FunctionsPrefix"]);
    }

    #[test]
    fn choices_become_parameters() {
        let options = DeployOptions {
            job: Some(Job::Own(json!({}))),
            upload_bucket: Some(("mine".to_owned(), true)),
            more: [("UploadPrefix".to_owned(), "in/".to_owned())].into(),
            ..DeployOptions::default()
        };
        let parameters = options.parameters("code", "p/").unwrap();
        assert_eq!(parameters["Job"], "own");
        assert_eq!(
            (&*parameters["UploadBucketName"], &*parameters["UseExistingUploadBucket"]),
            ("mine", "true")
        );
        assert_eq!(parameters["UploadPrefix"], "in/");
    }

    #[test]
    fn unknown_names_are_refused_with_alternatives() {
        let unknown = |options: DeployOptions| options.parameters("c", "p").unwrap_err();
        let job = DeployOptions { job: Some(Job::BuiltIn("four".to_owned())), ..DeployOptions::default() };
        assert!(unknown(job).hint().contains("three-mp4"));
        let more = [("Jobs".to_owned(), "x".to_owned())].into();
        assert!(
            unknown(DeployOptions { more, ..DeployOptions::default() }).hint().contains("NotificationEmail")
        );
    }
}
