//! Configuration: in `abanico.toml`, environment and flags, out one struct with every default filled in.
//! Never a secret printed; an unknown key is an error that names it.

mod web_inputs;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

pub use web_inputs::WebInputsConfig;

use crate::arguments::Chunks;
use crate::failure::{Hinted, WRONG_USAGE};

/// The function that every default trigger starts.
pub const FUNCTION: &str = "transcode-video";

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Folder of all data.
    pub data: PathBuf,
    /// Folder of finished encodes, for commands that keep them outside the data folder.
    #[serde(skip)]
    pub kept_encodes: Option<PathBuf>,
    /// Region that ARNs and events name.
    pub region: String,
    /// The engine: its table, or just its name.
    #[serde(deserialize_with = "engine")]
    pub engine: EngineConfig,
    /// The service that jobs are handed on to where the engine is `mediaconvert`.
    pub mediaconvert: Option<MediaConvertConfig>,
    /// Buckets; local ones are made when they are missing.
    #[serde(rename = "bucket")]
    pub buckets: Vec<BucketConfig>,
    /// Hosts of the web that inputs may come from; none by default.
    pub web_inputs: WebInputsConfig,
    /// What uploads start.
    #[serde(rename = "trigger")]
    pub triggers: Vec<TriggerConfig>,
    /// Who is told about jobs.
    #[serde(rename = "webhook")]
    pub webhooks: Vec<WebhookConfig>,
    /// EventBridge buses that are told about jobs.
    #[serde(rename = "event_bus")]
    pub event_buses: Vec<EventBusConfig>,
}

/// How the engine is set up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Who does the jobs.
    pub kind: EngineKind,
    /// Processors to use; all by default.
    pub cores: Option<u32>,
    /// Whether films are encoded in chunks.
    pub chunks: Chunks,
    /// GiB of finished encodes that are kept for jobs that need the same again; 0 keeps none.
    pub results_gib: u64,
    /// Jobs driven at once.
    pub max_active_jobs: usize,
    /// How long running jobs may go on after SIGTERM, in seconds.
    pub grace_seconds: u64,
    /// Whether ffmpeg runs in the sandbox.
    pub sandbox: bool,
}

/// Who does the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// abanico's own encoders.
    #[default]
    Embedded,
    /// AWS MediaConvert, or a service that is compatible with it.
    MediaConvert,
}

/// `engine = "mediaconvert"` or a table.
fn engine<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<EngineConfig, D::Error> {
    use serde::de::Error;
    // Not an untagged enum: that would swallow which key of the table is wrong.
    let value = toml::Value::deserialize(deserializer)?;
    if value.is_str() {
        let kind = EngineKind::deserialize(value).map_err(D::Error::custom)?;
        return Ok(EngineConfig { kind, ..EngineConfig::default() });
    }
    EngineConfig::deserialize(value).map_err(D::Error::custom)
}

/// The service that jobs are handed on to; credentials come from the usual AWS variables.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaConvertConfig {
    /// Its region.
    pub region: String,
    /// Role that its jobs name.
    pub role: String,
    /// Its queue; its default when absent.
    pub queue: Option<String>,
    /// URL of another service than Amazon's.
    pub endpoint: Option<String>,
    /// URL of another S3 than Amazon's beside it.
    pub s3_endpoint: Option<String>,
    /// Its buckets by the names of ours.
    #[serde(default)]
    pub buckets: std::collections::BTreeMap<String, String>,
    /// Whether inputs are copied there before and outputs back after.
    #[serde(default)]
    pub copy: bool,
    /// First pause between two looks at a job, in seconds.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
}

fn poll_seconds() -> u64 {
    5
}

/// One bucket.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketConfig {
    /// Its name.
    pub name: String,
    /// Whether it is on a real S3; credentials then come from the usual AWS environment.
    #[serde(default)]
    pub remote: bool,
    /// Endpoint of that S3; Amazon's own when absent.
    pub endpoint: Option<String>,
    /// Region of that S3.
    pub region: Option<String>,
}

/// Uploads that start jobs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerConfig {
    /// Its name, unique.
    pub id: String,
    /// Bucket that is watched; a local one.
    pub bucket: String,
    /// Only keys that start so.
    #[serde(default)]
    pub prefix: String,
    /// Only keys that end so.
    #[serde(default)]
    pub suffix: String,
    /// `ladder`, `three-mp4`, or the path of a job template as JSON.
    #[serde(default = "default_template")]
    pub template: String,
    /// Where outputs go, with `{bucket}`, `{key}`, `{stem}`, `{ext}`, `{dir}`.
    #[serde(default = "default_destination")]
    pub destination: String,
    /// Role that the jobs name; of use on AWS only.
    #[serde(default = "default_role")]
    pub role: String,
}

/// Who is told about jobs.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where events are posted.
    pub url: String,
    /// What they are signed with.
    pub secret: String,
}

/// An EventBridge bus that is told about jobs; credentials come from the usual AWS variables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBusConfig {
    /// Name or ARN of the bus.
    pub name: String,
    /// Region; that of the server by default.
    pub region: Option<String>,
    /// URL of another EventBridge than Amazon's.
    pub endpoint: Option<String>,
}

impl std::fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookConfig").field("url", &self.url).field("secret", &"REDACTED").finish()
    }
}

fn default_template() -> String {
    "ladder".to_owned()
}

fn default_destination() -> String {
    "s3://renditions/{key}/".to_owned()
}

fn default_role() -> String {
    "arn:aws:iam::000000000000:role/abanico".to_owned()
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            kind: EngineKind::default(),
            cores: None,
            chunks: Chunks::default(),
            results_gib: 10,
            max_active_jobs: 4,
            grace_seconds: 10,
            sandbox: true,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let bucket =
            |name: &str| BucketConfig { name: name.to_owned(), remote: false, endpoint: None, region: None };
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4566)),
            data: PathBuf::from("abanico-data"),
            kept_encodes: None,
            region: "us-east-1".to_owned(),
            engine: EngineConfig::default(),
            mediaconvert: None,
            buckets: vec![bucket("uploads"), bucket("renditions")],
            web_inputs: WebInputsConfig::default(),
            triggers: vec![TriggerConfig {
                id: FUNCTION.to_owned(),
                bucket: "uploads".to_owned(),
                prefix: String::new(),
                suffix: String::new(),
                template: default_template(),
                destination: default_destination(),
                role: default_role(),
            }],
            webhooks: Vec::new(),
            event_buses: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file that is named, else `abanico.toml` where there is one, else takes the defaults.
    ///
    /// # Errors
    /// When a named file is missing, or a file has something wrong; the message names the place.
    pub fn load(named: Option<&Path>) -> anyhow::Result<Self> {
        let standard = Path::new("abanico.toml");
        let Some(path) = named.or(standard.is_file().then_some(standard)) else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration `{}`", path.display()))
            .context(Hinted::new(
                WRONG_USAGE,
                "there is no usable configuration",
                "name a file that exists with --config",
            ))?;
        let config = toml::from_str(&text).map_err(|error| {
            let hint = "docs/CONFIGURATION.md has every key with its default";
            Hinted::new(WRONG_USAGE, format!("`{}`: {error}", path.display()), hint)
        })?;
        Self::checked(config)
    }

    fn checked(self) -> anyhow::Result<Self> {
        let mut ids = std::collections::BTreeSet::new();
        for trigger in &self.triggers {
            let known = self.buckets.iter().find(|bucket| bucket.name == trigger.bucket);
            if known.is_none_or(|bucket| bucket.remote) {
                let hint = "add it as a [[bucket]] without `remote`: uploads are seen only where abanico stores them";
                let message = format!(
                    "trigger `{}` watches `{}`, which is no local bucket",
                    trigger.id, trigger.bucket
                );
                return Err(Hinted::new(WRONG_USAGE, message, hint).into());
            }
            if !ids.insert(&trigger.id) {
                let message = format!("two triggers have the id `{}`", trigger.id);
                return Err(Hinted::new(WRONG_USAGE, message, "give each its own").into());
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abanico.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path))
    }

    #[test]
    fn does_an_empty_file_mean_all_defaults() {
        let config = parse("").unwrap();
        assert!(config.listen.ip().is_loopback());
        assert_eq!(config.triggers[0].bucket, "uploads");
        assert_eq!(config.triggers[0].destination, "s3://renditions/{key}/");
    }

    #[test]
    fn is_the_engine_a_name_or_a_table() {
        assert_eq!(parse("engine = \"mediaconvert\"").unwrap().engine.kind, EngineKind::MediaConvert);
        let table = parse("[engine]\nkind = \"mediaconvert\"\ncores = 1").unwrap().engine;
        assert_eq!((table.kind, table.cores), (EngineKind::MediaConvert, Some(1)));
        assert_eq!(parse("[engine]\ncores = 1").unwrap().engine.kind, EngineKind::Embedded);
        let wrong = format!("{:#}", parse("[engine]\nkores = 1").unwrap_err());
        assert!(wrong.contains("kores"), "{wrong}");
        assert!(parse("engine = \"cloud\"").is_err());
    }

    #[test]
    fn is_an_unknown_key_named() {
        let error = parse("lisen = \"127.0.0.1:1\"").unwrap_err();
        assert!(format!("{error:#}").contains("lisen"), "{error:#}");
    }

    #[test]
    fn is_a_trigger_on_a_bucket_that_is_not_ours_refused() {
        let text = "[[bucket]]\nname = \"far\"\nremote = true\n[[trigger]]\nid = \"t\"\nbucket = \"far\"";
        assert!(parse(text).unwrap_err().to_string().contains("`far`"));
    }

    #[test]
    fn does_a_secret_stay_out_of_debug_texts() {
        let text = "[[webhook]]\nurl = \"http://127.0.0.1:1/\"\nsecret = \"hush-hush\"";
        let config = parse(text).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn is_a_missing_file_an_error_with_a_hint() {
        assert!(Config::load(Some(Path::new("no/such/abanico.toml"))).is_err());
    }
}
