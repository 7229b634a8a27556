//! Writes and parses MediaConvert's ARNs and job ids. Callers pass in the time and the random part of an id.

/// Region used when none is configured.
pub const DEFAULT_REGION: &str = "us-east-1";
/// Account used when none is configured.
pub const DEFAULT_ACCOUNT: &str = "000000000000";

/// The kind of resource that a MediaConvert ARN names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// `jobs/<id>`.
    Job,
    /// `queues/<name>`.
    Queue,
    /// `presets/<name>`.
    Preset,
    /// `jobTemplates/<name>`.
    JobTemplate,
}

impl ResourceKind {
    const ALL: [Self; 4] = [Self::Job, Self::Queue, Self::Preset, Self::JobTemplate];

    /// Returns the word before the slash in the ARN, such as `jobs`.
    #[must_use]
    pub fn segment(self) -> &'static str {
        match self {
            Self::Job => "jobs",
            Self::Queue => "queues",
            Self::Preset => "presets",
            Self::JobTemplate => "jobTemplates",
        }
    }
}

/// ARN of one MediaConvert resource. Its `Display` output is the ARN's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arn {
    /// Region, such as `us-east-1`.
    pub region: String,
    /// Account, 12 digits.
    pub account: String,
    /// Kind of the resource.
    pub kind: ResourceKind,
    /// Name of the resource, or id of a job.
    pub name: String,
}

impl Arn {
    /// Returns the ARN of a resource in the default region and account.
    pub fn local(kind: ResourceKind, name: impl Into<String>) -> Self {
        let (region, account) = (DEFAULT_REGION.to_owned(), DEFAULT_ACCOUNT.to_owned());
        Self { region, account, kind, name: name.into() }
    }

    /// Parses an ARN of any partition. Returns `None` unless it is one of MediaConvert's four kinds and has a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let head = (parts.next()?, parts.next()?, parts.next()?);
        if head.0 != "arn" || !head.1.starts_with("aws") || head.2 != "mediaconvert" {
            return None;
        }
        let (region, account) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let (segment, name) = parts.next()?.split_once('/')?;
        let kind = ResourceKind::ALL.into_iter().find(|kind| kind.segment() == segment)?;
        (!name.is_empty()).then(|| Self { region, account, kind, name: name.to_owned() })
    }
}

impl std::fmt::Display for Arn {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { region, account, kind, name } = self;
        write!(out, "arn:aws:mediaconvert:{region}:{account}:{}/{name}", kind.segment())
    }
}

/// Returns the name of a resource that is given by name or by ARN.
#[must_use]
pub fn resource_name(given: &str, kind: ResourceKind) -> String {
    Arn::parse(given).filter(|arn| arn.kind == kind).map_or_else(|| given.to_owned(), |arn| arn.name)
}

/// Returns the name of a preset that is given by name or by ARN, borrowed from `given`.
pub(crate) fn preset_name(given: &str) -> &str {
    match Arn::parse(given) {
        Some(arn) if arn.kind == ResourceKind::Preset => &given[given.len() - arn.name.len()..],
        _ => given,
    }
}

/// Builds a job id, `<epoch_millis>-<suffix>`. Returns `None` unless `suffix` is 6 lower-case letters or digits.
#[must_use]
pub fn job_id(epoch_millis: u64, suffix: &str) -> Option<String> {
    is_suffix(suffix).then(|| format!("{epoch_millis}-{suffix}"))
}

/// Returns whether `text` has the form of a job id.
#[must_use]
pub fn is_job_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(millis, suffix)| {
        !millis.is_empty() && millis.bytes().all(|byte| byte.is_ascii_digit()) && is_suffix(suffix)
    })
}

fn is_suffix(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_survives_a_round_trip() {
        for kind in ResourceKind::ALL {
            let arn = Arn::local(kind, "My name/1");
            assert_eq!(Arn::parse(&arn.to_string()), Some(arn));
        }
        let text = "arn:aws:mediaconvert:us-east-1:000000000000:queues/Default";
        assert_eq!(Arn::local(ResourceKind::Queue, "Default").to_string(), text);
    }

    #[test]
    fn other_arns_are_rejected() {
        for text in ["", "arn:aws:s3:::b", "arn:aws:mediaconvert:r:a:odd/x", "arn:aws:mediaconvert:r:a:jobs/"]
        {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
        assert_eq!(resource_name("arn:aws-cn:mediaconvert:r:a:jobs/j", ResourceKind::Job), "j");
        assert_eq!(resource_name("plain", ResourceKind::Job), "plain");
    }

    #[test]
    fn job_ids_have_the_form_of_mediaconvert() {
        assert_eq!(job_id(1_671_476_818_694, "phptj0").as_deref(), Some("1671476818694-phptj0"));
        assert_eq!(job_id(1, "PHPTJ0"), None);
        assert!(is_job_id("1671476818694-phptj0"));
        assert!(!is_job_id("-phptj0") && !is_job_id("1-phptj") && !is_job_id("1-phptj0-"));
    }
}
