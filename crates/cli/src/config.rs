//! Reads the configuration from `abanico.toml`, fills in the defaults, and takes the settings of the engine and of
//! retention from the environment too. An unknown key is an error that names the key. Secrets are never printed.

mod environment;
mod notifications;
mod retention;
mod s3;
mod sandbox;
mod temporal;
mod web_inputs;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

pub use notifications::{NotificationsConfig, WebhookConfig};
pub use retention::RetentionConfig;
pub use s3::S3Config;
pub use sandbox::SandboxMode;
pub use temporal::TemporalConfig;
pub use web_inputs::WebInputsConfig;

use crate::arguments::Chunks;
use crate::failure::{Hinted, WRONG_USAGE};

/// Name of the function that the default trigger starts.
pub const FUNCTION: &str = "transcode-video";

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on.
    #[serde(deserialize_with = "crate::arguments::listen::deserialize")]
    pub listen: SocketAddr,
    /// Folder for all data.
    pub data: PathBuf,
    /// Folder for finished encodes, for commands that keep them outside the data folder.
    #[serde(skip)]
    pub kept_encodes: Option<PathBuf>,
    /// Names besides those of loopback under which clients reach the console and monitoring.
    pub hosts: Vec<String>,
    /// Addresses of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Region named in ARNs and events.
    pub region: String,
    /// Most connections at once; by default as many as the file descriptors allow, up to 1,024.
    pub max_connections: Option<u64>,
    /// How many days files that nothing uses stay in the quarantine.
    pub quarantine_days: u32,
    /// How long what is finished is kept.
    pub retention: RetentionConfig,
    /// User that a server started by root becomes.
    pub user: Option<String>,
    /// The engine, as a table or just a name.
    #[serde(deserialize_with = "engine")]
    pub engine: EngineConfig,
    /// The service that jobs are forwarded to if the engine is `mediaconvert`.
    pub mediaconvert: Option<MediaConvertConfig>,
    /// The fleet that does the tasks of jobs if the engine is `temporal`.
    pub temporal: Option<TemporalConfig>,
    /// How the S3 endpoint is reached.
    pub s3: S3Config,
    /// Buckets. Missing local ones are created.
    #[serde(rename = "bucket")]
    pub buckets: Vec<BucketConfig>,
    /// Who may read the metrics from another machine.
    pub metrics: MetricsConfig,
    /// Web hosts that inputs may come from; none by default.
    pub web_inputs: WebInputsConfig,
    /// Triggers: which uploads start which jobs.
    #[serde(rename = "trigger")]
    pub triggers: Vec<TriggerConfig>,
    /// Where the notifications of buckets may go; nowhere outside by default.
    pub notifications: NotificationsConfig,
    /// Webhooks that receive the events of jobs or objects.
    #[serde(rename = "webhook")]
    pub webhooks: Vec<WebhookConfig>,
    /// EventBridge buses that receive the events of jobs.
    #[serde(rename = "event_bus")]
    pub event_buses: Vec<EventBusConfig>,
}

/// Settings of the engine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// What runs the jobs.
    pub kind: EngineKind,
    /// Number of processors to use; all by default.
    pub cores: Option<u32>,
    /// Whether to encode videos in chunks.
    pub chunks: Chunks,
    /// Maximum size in GiB of the finished encodes that are kept for later jobs; 0 keeps none.
    pub results_gib: u64,
    /// Maximum number of jobs that run at the same time.
    pub max_active_jobs: usize,
    /// How long running jobs may continue after the signal to stop, in seconds.
    pub grace_seconds: u64,
    /// How long a job waits for room on a full disk before it fails, in seconds.
    pub room_seconds: u64,
    /// How ffmpeg is sandboxed.
    pub sandbox: SandboxMode,
}

/// Who may read the metrics from another machine.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Bearer token that opens the metrics and nothing else.
    pub token: Option<String>,
    /// Address of a listener that serves only health and metrics, to everyone who reaches it.
    #[serde(deserialize_with = "crate::arguments::listen::deserialize_option")]
    pub listen: Option<SocketAddr>,
}

impl std::fmt::Debug for MetricsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "REDACTED");
        f.debug_struct("MetricsConfig").field("token", &token).field("listen", &self.listen).finish()
    }
}

/// What runs the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// abanico's own encoders.
    #[default]
    Embedded,
    /// AWS MediaConvert or a compatible service.
    MediaConvert,
    /// A fleet of workers, which get their tasks from Temporal.
    Temporal,
}

/// Deserializes the engine from a name, as in `engine = "mediaconvert"`, or from a table.
fn engine<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<EngineConfig, D::Error> {
    use serde::de::Error;
    // An untagged enum would not say which key of the table is wrong.
    let value = toml::Value::deserialize(deserializer)?;
    if value.is_str() {
        let kind = EngineKind::deserialize(value).map_err(D::Error::custom)?;
        return Ok(EngineConfig { kind, ..EngineConfig::default() });
    }
    EngineConfig::deserialize(value).map_err(D::Error::custom)
}

/// The service that jobs are forwarded to. Credentials come from the usual AWS variables.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaConvertConfig {
    /// Region of the service.
    pub region: String,
    /// Role for the service's jobs.
    pub role: String,
    /// Queue for the jobs; the service's default if absent.
    pub queue: Option<String>,
    /// URL of a service other than Amazon's.
    pub endpoint: Option<String>,
    /// URL of the S3 that the service uses, if it is not Amazon's.
    pub s3_endpoint: Option<String>,
    /// Maps the names of local buckets to the service's buckets.
    #[serde(default)]
    pub buckets: std::collections::BTreeMap<String, String>,
    /// Whether to copy inputs to the service's buckets first, and outputs back afterwards.
    #[serde(default)]
    pub copy: bool,
    /// First pause between two polls of a job, in seconds.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
}

fn poll_seconds() -> u64 {
    5
}

/// A bucket.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketConfig {
    /// Name of the bucket.
    pub name: String,
    /// Whether the bucket is on another S3. Its credentials come from the usual AWS variables.
    #[serde(default)]
    pub remote: bool,
    /// Endpoint of that S3; Amazon's own if absent.
    pub endpoint: Option<String>,
    /// Region of that S3.
    pub region: Option<String>,
}

/// A trigger: which uploads to a bucket start which jobs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerConfig {
    /// Unique name of the trigger.
    pub id: String,
    /// Bucket to watch; it must be local.
    pub bucket: String,
    /// Only keys with this prefix start jobs.
    #[serde(default)]
    pub prefix: String,
    /// Only keys with one of these suffixes start jobs, ignoring case; empty means all keys.
    #[serde(default = "media_suffixes", deserialize_with = "suffixes")]
    pub suffix: Vec<String>,
    /// `ladder`, `three-mp4`, or the path of a job template as JSON.
    #[serde(default = "default_template")]
    pub template: String,
    /// Destination of the outputs; may contain `{bucket}`, `{key}`, `{stem}`, `{ext}` and `{dir}`.
    #[serde(default = "default_destination")]
    pub destination: String,
    /// Role for the jobs; used only on AWS.
    #[serde(default = "default_role")]
    pub role: String,
}

/// An EventBridge bus that receives the events of jobs. Credentials come from the usual AWS variables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBusConfig {
    /// Name or ARN of the bus.
    pub name: String,
    /// Region of the bus; the server's by default.
    pub region: Option<String>,
    /// URL of an EventBridge other than Amazon's.
    pub endpoint: Option<String>,
}

fn media_suffixes() -> Vec<String> {
    abanico_trigger::MEDIA_SUFFIXES.map(str::to_owned).to_vec()
}

/// Deserializes one suffix, or several as an array. An empty text means all keys.
fn suffixes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    use serde::de::Error;
    let value = toml::Value::deserialize(deserializer)?;
    let all = match value {
        toml::Value::String(one) => vec![one],
        several => Vec::<String>::deserialize(several)
            .map_err(|_| D::Error::custom("`suffix` is a text, or an array of texts"))?,
    };
    Ok(if all.iter().any(String::is_empty) { Vec::new() } else { all })
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
            room_seconds: 600,
            sandbox: SandboxMode::default(),
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
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            region: "us-east-1".to_owned(),
            max_connections: None,
            quarantine_days: 7,
            retention: RetentionConfig::default(),
            user: None,
            engine: EngineConfig::default(),
            mediaconvert: None,
            temporal: None,
            s3: S3Config::default(),
            buckets: vec![bucket("uploads"), bucket("renditions")],
            metrics: MetricsConfig::default(),
            web_inputs: WebInputsConfig::default(),
            triggers: vec![TriggerConfig {
                id: FUNCTION.to_owned(),
                bucket: "uploads".to_owned(),
                prefix: String::new(),
                suffix: media_suffixes(),
                template: default_template(),
                destination: default_destination(),
                role: default_role(),
            }],
            notifications: NotificationsConfig::default(),
            webhooks: Vec::new(),
            event_buses: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file `named`, otherwise `abanico.toml` if it exists. Without a file, takes the defaults. Variables
    /// that begin with `ABANICO_ENGINE_` win over `[engine]`, and those with `ABANICO_RETENTION_` over `[retention]`.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is invalid. The message says where.
    pub fn load(named: Option<&Path>) -> anyhow::Result<Self> {
        let standard = Path::new("abanico.toml");
        let (mut config, table) = match named.or(standard.is_file().then_some(standard)) {
            Some(path) => Self::read(path)?,
            None => (Self::default(), toml::Table::new()),
        };
        let variables: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, text)| (name.to_string_lossy().into_owned(), text.to_string_lossy().into_owned()))
            .collect();
        config.engine = environment::engine(&table, &variables)?;
        config.retention = environment::retention(&table, &variables)?;
        Self::checked(config)
    }

    /// Returns the file's settings, and the file as it stands.
    fn read(path: &Path) -> anyhow::Result<(Self, toml::Table)> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration `{}`", path.display()))
            .context(Hinted::new(
                WRONG_USAGE,
                "there is no usable configuration",
                "give the path of an existing file with --config",
            ))?;
        let wrong = |error: toml::de::Error| {
            let hint = "docs/CONFIGURATION.md lists every key with its default";
            Hinted::new(WRONG_USAGE, format!("`{}`: {error}", path.display()), hint)
        };
        // The text by itself tells the line of an error; a table does not.
        let config = toml::from_str(&text).map_err(wrong)?;
        Ok((config, toml::from_str(&text).map_err(wrong)?))
    }

    fn checked(self) -> anyhow::Result<Self> {
        // A name with a port or a scheme would never match, and nobody would know why.
        if let Some(wrong) = self.hosts.iter().find(|host| host.is_empty() || host.contains(['/', ':', ' ']))
        {
            let hint = "give names alone, such as \"video.example.com\", without scheme and port";
            return Err(Hinted::new(WRONG_USAGE, format!("`{wrong}` in `hosts` is no name"), hint).into());
        }
        self.s3.check(&self.hosts)?;
        let counts = [
            ("cores", self.engine.cores.map_or(1, |cores| cores as usize)),
            ("max_active_jobs", self.engine.max_active_jobs),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            let hint = format!("give at least 1, or leave `{key}` out for the default");
            let message = format!("`{key}` under [engine] is 0, so no job would ever run");
            return Err(Hinted::new(WRONG_USAGE, message, hint).into());
        }
        let local = self.buckets.iter().filter(|bucket| !bucket.remote).map(|bucket| bucket.name.as_str());
        let local: Vec<&str> = local.collect();
        self.webhooks.iter().try_for_each(|hook| hook.check(&local))?;
        let mut ids = std::collections::BTreeSet::new();
        for trigger in &self.triggers {
            let known = self.buckets.iter().find(|bucket| bucket.name == trigger.bucket);
            if known.is_none_or(|bucket| bucket.remote) {
                let hint = "add it as a [[bucket]] without `remote`: uploads are seen only where abanico stores them";
                let message = format!(
                    "trigger `{}` watches `{}`, which is not a local bucket",
                    trigger.id, trigger.bucket
                );
                return Err(Hinted::new(WRONG_USAGE, message, hint).into());
            }
            if !ids.insert(&trigger.id) {
                let message = format!("two triggers have the id `{}`", trigger.id);
                return Err(Hinted::new(WRONG_USAGE, message, "give each trigger its own id").into());
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
    fn empty_file_means_all_defaults() {
        let config = parse("").unwrap();
        assert!(config.listen.ip().is_loopback());
        assert_eq!(config.triggers[0].bucket, "uploads");
        assert_eq!(config.triggers[0].destination, "s3://renditions/{key}/");
    }

    #[test]
    fn base_domains_are_names_without_port() {
        assert_eq!(parse("").unwrap().s3.base_domains, ["localhost", "s3.localhost"]);
        let own = parse("[s3]\nbase_domains = [\"s3.example.com\"]").unwrap();
        assert_eq!(own.s3.base_domains, ["s3.example.com"]);
        let error = parse("[s3]\nbase_domains = [\"http://s3.example.com\"]").unwrap_err();
        assert!(
            format!("{error:#}").contains("`http://s3.example.com` is not the name of a domain"),
            "{error:#}"
        );
    }

    #[test]
    fn engine_is_a_name_or_a_table() {
        assert_eq!(parse("engine = \"mediaconvert\"").unwrap().engine.kind, EngineKind::MediaConvert);
        let table = parse("[engine]\nkind = \"mediaconvert\"\ncores = 1").unwrap().engine;
        assert_eq!((table.kind, table.cores), (EngineKind::MediaConvert, Some(1)));
        assert_eq!(parse("[engine]\ncores = 1").unwrap().engine.kind, EngineKind::Embedded);
        let wrong = format!("{:#}", parse("[engine]\nkores = 1").unwrap_err());
        assert!(wrong.contains("kores"), "{wrong}");
        assert!(parse("engine = \"cloud\"").is_err());
    }

    #[test]
    fn unknown_key_is_named() {
        let error = parse("lisen = \"127.0.0.1:1\"").unwrap_err();
        assert!(format!("{error:#}").contains("lisen"), "{error:#}");
    }

    #[test]
    fn host_is_a_name_alone() {
        assert_eq!(parse("hosts = [\"video.example.com\"]").unwrap().hosts, ["video.example.com"]);
        for wrong in ["https://video.example.com", "video.example.com:443", ""] {
            let error = parse(&format!("hosts = [\"{wrong}\"]")).unwrap_err();
            assert!(error.to_string().contains("`hosts`"), "{error:#}");
        }
        assert!(parse("trusted_proxies = [\"10.0.0.0/8\"]").is_err());
    }

    #[test]
    fn trigger_takes_media_unless_told_otherwise() {
        let suffix = |line: &str| {
            parse(&format!("[[trigger]]\nid = \"t\"\nbucket = \"uploads\"\n{line}"))
                .map(|config| config.triggers[0].suffix.clone())
        };
        assert_eq!(suffix("").unwrap(), abanico_trigger::MEDIA_SUFFIXES);
        assert_eq!(Config::default().triggers[0].suffix, abanico_trigger::MEDIA_SUFFIXES);
        assert_eq!(suffix("suffix = \".mp4\"").unwrap(), [".mp4"]);
        assert_eq!(suffix("suffix = [\".mp4\", \".mov\"]").unwrap(), [".mp4", ".mov"]);
        for all in ["suffix = \"\"", "suffix = []", "suffix = [\".mp4\", \"\"]"] {
            assert!(suffix(all).unwrap().is_empty(), "{all}");
        }
        assert!(format!("{:#}", suffix("suffix = 4").unwrap_err()).contains("`suffix` is a text"));
    }

    #[test]
    fn zero_of_what_jobs_need_is_refused() {
        for key in ["cores", "max_active_jobs"] {
            let error = parse(&format!("[engine]\n{key} = 0")).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }

    #[test]
    fn address_may_be_a_port_alone() {
        for text in ["listen = 4567", "listen = \":4567\"", "listen = \"localhost:4567\""] {
            assert_eq!(parse(text).unwrap().listen, SocketAddr::from(([127, 0, 0, 1], 4567)), "{text}");
        }
        assert!(format!("{:#}", parse("listen = \"4567 \"").unwrap_err()).contains("listen"));
    }

    #[test]
    fn trigger_on_a_remote_bucket_is_refused() {
        let text = "[[bucket]]\nname = \"far\"\nremote = true\n[[trigger]]\nid = \"t\"\nbucket = \"far\"";
        assert!(parse(text).unwrap_err().to_string().contains("`far`"));
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let text = "[[webhook]]\nurl = \"http://127.0.0.1:1/\"\nsecret = \"hush-hush\"";
        let config = parse(text).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn missing_file_is_an_error() {
        assert!(Config::load(Some(Path::new("no/such/abanico.toml"))).is_err());
    }
}
