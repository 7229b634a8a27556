//! What the trigger is set up with: role, queue, job template, destination and what to leave alone. Never read
//! from the environment here: whoever runs the trigger fills it in.

use serde_json::Value;

use crate::DestinationTemplate;

/// Uploads that are left alone. The default leaves none alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SkipRules {
    /// Only keys that end with one of these become jobs, whatever the case; empty means every key.
    pub only_suffixes: Vec<String>,
    /// Keys that start with one of these become no job.
    pub skip_prefixes: Vec<String>,
}

impl SkipRules {
    /// The rule that leaves `key` alone, in words; none when it is to become a job.
    pub fn rule_against(&self, key: &str) -> Option<String> {
        if let Some(prefix) = self.skip_prefixes.iter().find(|prefix| key.starts_with(prefix.as_str())) {
            return Some(format!("keys under `{prefix}` are left alone"));
        }
        let lower = key.to_lowercase();
        let wanted = self.only_suffixes.iter().any(|suffix| lower.ends_with(&suffix.to_lowercase()));
        if wanted || self.only_suffixes.is_empty() {
            return None;
        }
        Some(format!("only keys that end with `{}` become jobs", self.only_suffixes.join("`, `")))
    }
}

/// How uploads become jobs.
#[derive(Clone, PartialEq, Debug)]
pub struct TriggerConfig {
    /// Role that the job runs under, as an ARN.
    pub role_arn: String,
    /// Queue, by name or ARN; none for the default queue.
    pub queue: Option<String>,
    /// CreateJob request in wire form (camelCase) with `settings` and optionally `userMetadata` and other members,
    /// which are kept. Its first input and the destinations of its output groups are filled in.
    pub template: Value,
    /// Where outputs go.
    pub destination: DestinationTemplate,
    /// What to leave alone.
    pub skip: SkipRules,
}

impl TriggerConfig {
    /// Makes a configuration with the default queue, the default destination and no skip rules.
    pub fn new(role_arn: impl Into<String>, template: Value) -> Self {
        Self {
            role_arn: role_arn.into(),
            queue: None,
            template,
            destination: DestinationTemplate::default(),
            skip: SkipRules::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_every_key_become_a_job_without_rules() {
        assert_eq!(SkipRules::default().rule_against("notes.txt"), None);
    }

    #[test]
    fn do_rules_name_what_they_leave_alone() {
        let rules = SkipRules {
            only_suffixes: vec![".mp4".to_owned(), ".MOV".to_owned()],
            skip_prefixes: vec!["drafts/".to_owned()],
        };
        assert_eq!(rules.rule_against("a.MP4"), None);
        assert_eq!(rules.rule_against("a.mov"), None);
        assert_eq!(rules.rule_against("drafts/a.mp4").unwrap(), "keys under `drafts/` are left alone");
        assert_eq!(
            rules.rule_against("a.txt").unwrap(),
            "only keys that end with `.mp4`, `.MOV` become jobs"
        );
    }
}
