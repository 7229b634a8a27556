//! The trigger's configuration: role, queue, job template, destination and skip rules. The caller fills it in; this
//! file does not read the environment.

use serde_json::Value;

use crate::DestinationTemplate;

/// Which uploads to skip. The default skips none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SkipRules {
    /// Only keys that end with one of these become jobs, ignoring case; empty means every key.
    pub only_suffixes: Vec<String>,
    /// Keys that start with one of these are skipped.
    pub skip_prefixes: Vec<String>,
}

impl SkipRules {
    /// Returns a description of the rule that skips `key`, or `None` if the key becomes a job.
    pub fn rule_against(&self, key: &str) -> Option<String> {
        if let Some(prefix) = self.skip_prefixes.iter().find(|prefix| key.starts_with(prefix.as_str())) {
            return Some(format!("keys under `{prefix}` are skipped"));
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
    /// ARN of the role that the job runs under.
    pub role_arn: String,
    /// Queue, by name or ARN; `None` for the default queue.
    pub queue: Option<String>,
    /// CreateJob request in wire form (camelCase) with `settings` and, optionally, `userMetadata` and other members,
    /// which are kept. Its first input and the destinations of its output groups are filled in.
    pub template: Value,
    /// Where outputs go.
    pub destination: DestinationTemplate,
    /// Which uploads to skip.
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
    fn every_key_becomes_a_job_without_rules() {
        assert_eq!(SkipRules::default().rule_against("notes.txt"), None);
    }

    #[test]
    fn rules_describe_what_they_skip() {
        let rules = SkipRules {
            only_suffixes: vec![".mp4".to_owned(), ".MOV".to_owned()],
            skip_prefixes: vec!["drafts/".to_owned()],
        };
        assert_eq!(rules.rule_against("a.MP4"), None);
        assert_eq!(rules.rule_against("a.mov"), None);
        assert_eq!(rules.rule_against("drafts/a.mp4").unwrap(), "keys under `drafts/` are skipped");
        assert_eq!(
            rules.rule_against("a.txt").unwrap(),
            "only keys that end with `.mp4`, `.MOV` become jobs"
        );
    }
}
