//! `abanico serve`: runs S3, the triggers and the MediaConvert API in one process on one port, until it is stopped or
//! until the client's command ends.
//!
//! Every API request must be authenticated. On SIGTERM, SIGINT or SIGHUP the server takes no new jobs and gives running
//! ones a grace period, in which it still answers and which a second SIGINT ends; interrupted jobs continue at the next
//! start.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use abanico_engine::{Engine, EngineOptions};
use abanico_s3::{EVENT_BUS, LocalS3, Options, Trigger, WEBHOOK};
use abanico_server::{
    Access, Credentials, EngineSubmitter, EventBus, EventSink as _, HttpRouter, Receivers, RetryPolicy,
    ServeLimits, Server, ServerParts, deliver_events, deliver_object_events, run_triggers, s3_fallback,
};
use abanico_store::{RemoteOptions, RemoteS3, Router};
use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client_command;
use super::local::{cores, results, toolbox};
use super::own_user::become_user;
use crate::arguments::{Chunks, Serve};
use crate::config::{Config, EventBusConfig, TriggerConfig, WebhookConfig};
use crate::credentials::{self, KeyPair};
use crate::descriptors;
use crate::failure::{Hinted, WORK_FAILED, WRONG_USAGE};
use crate::output;
use crate::running_server::Announcement;
use crate::signals::Signals;

mod done_by;
mod triggers;
mod upkeep;

/// Most connections to the listener for monitoring at once.
const MONITORS: usize = 32;

/// Serves until SIGTERM, SIGINT or SIGHUP, or until the client's command ends.
pub async fn run(arguments: Serve) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(arguments.config.as_deref())?;
    let is_for_command = !arguments.command.is_empty();
    if is_for_command && config.listen == Config::default().listen {
        // The command learns the address from its environment, so it need not wait for a port that others use.
        config.listen.set_port(0);
    }
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.data = arguments.data.unwrap_or(config.data);
    let grace = Duration::from_secs(config.engine.grace_seconds);
    become_user(config.user.as_deref(), &config.data, !is_for_command)?;
    let running = start(&config).await?;
    if is_for_command {
        return serve_command(running, &arguments.command).await;
    }
    let mut signals = Signals::listen()?;
    greet(&running);
    signals.first().await;
    tracing::info!(grace_seconds = grace.as_secs(), "stopping: taking no new jobs");
    running.stop(grace).await;
    tracing::info!("stopped; interrupted jobs continue at the next start");
    Ok(ExitCode::SUCCESS)
}

/// Runs the client's command, stops the server and returns the command's exit status. Jobs that the command did not
/// wait for are interrupted.
async fn serve_command(running: Running, command: &[OsString]) -> anyhow::Result<ExitCode> {
    let ended = client_command::run(command, &running.variables()).await;
    let counts = running.engine.counts().await;
    running.stop(Duration::ZERO).await;
    let unfinished: u64 = counts?.iter().filter(|(stage, _)| !stage.is_final()).map(|(_, count)| count).sum();
    if unfinished > 0 {
        let jobs = if unfinished == 1 { "1 job was".to_owned() } else { format!("{unfinished} jobs were") };
        output::note(format!(
            "note: {jobs} not finished; the next `abanico serve` with this data folder goes on"
        ));
    }
    ended
}

/// A server that runs in this process.
pub struct Running {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The key pair that clients sign with.
    pub keys: KeyPair,
    /// The region that it reports.
    pub region: String,
    /// The engine that runs the jobs.
    pub engine: Engine,
    s3: LocalS3,
    jobs: std::path::PathBuf,
    draining: CancellationToken,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _announcement: Announcement,
}

impl Running {
    /// Returns the variables that make AWS's SDKs use this server.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", self.keys.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.keys.secret_access_key.clone()),
            // Most SDKs read AWS_REGION; Python's reads AWS_DEFAULT_REGION.
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
        ]
    }

    /// Takes no new jobs, gives running ones `grace` to finish, and stops everything. During the grace the port still
    /// answers, so that clients can follow the jobs that end.
    pub async fn stop(mut self, grace: Duration) {
        self.draining.cancel();
        self.engine.shutdown(grace).await;
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        if let Err(error) = close(&self.s3, self.jobs).await {
            let error = error.as_ref() as &dyn std::error::Error;
            tracing::warn!(error, "cannot empty the databases' logs; back up the `-wal` files with them");
        }
    }
}

/// Moves all changes from the databases' logs into their files, so that a copy of the files alone is whole.
async fn close(s3: &LocalS3, jobs: std::path::PathBuf) -> anyhow::Result<()> {
    s3.close().await?;
    tokio::task::spawn_blocking(move || abanico_s3::checkpoint_database(&jobs)).await??;
    Ok(())
}

/// Starts everything. Once this returns, the port accepts connections.
pub async fn start(config: &Config) -> anyhow::Result<Running> {
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("cannot create the data folder `{}`", config.data.display()))?;
    let data = config.data.canonicalize()?;
    let keys = credentials::load(&data)?;
    let descriptors = descriptors::raise();
    let toolbox = toolbox(config.engine.sandbox)?;
    warn_of(&toolbox.weaknesses);
    let hint =
        "stop the program that uses it, perhaps another abanico, or choose another address with --listen";
    let listener = bound(config.listen, hint).await?;
    let monitor = match config.metrics.listen {
        Some(address) => Some(bound(address, "choose another address for `listen` under [metrics]").await?),
        None => None,
    };
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "listening for other machines without TLS: put a TLS proxy in front");
    }
    let s3 = open_s3(config, data.join("s3")).await?;
    let kept_encodes = config.kept_encodes.clone().unwrap_or_else(|| data.join("engine").join("results"));
    let options = EngineOptions {
        folder: data.join("engine"),
        cores: config.engine.cores.unwrap_or_else(cores),
        chunks: config.engine.chunks == Chunks::Auto,
        results: Some(results(kept_encodes, config.engine.results_gib)),
        max_active_jobs: config.engine.max_active_jobs,
        sandboxing: toolbox.sandboxing.clone(),
        web: config.web_inputs.open()?,
        room_patience: Duration::from_secs(config.engine.room_seconds),
        retention: config.retention.of_engine(),
    };
    let store = Arc::new(router(config, &s3));
    let functions = triggers::functions(config)?;
    triggers::need_destinations(&functions, &store).await?;
    let (draining, stop) = (CancellationToken::new(), CancellationToken::new());
    let done_by = done_by::done_by(config, &s3, &store, &stop).await?;
    let engine = Engine::open_with(options, store, toolbox.tools.clone(), done_by)
        .await
        .context("cannot start the engine")?;
    let pair = (keys.access_key_id.clone(), keys.secret_access_key.clone());
    let outbox = Arc::new(s3.outbox());
    let mut tasks = JoinSet::new();
    let receivers = receivers(config, &engine, &mut tasks, &stop)?;
    let destinations = config.notifications.open(&config.region, &config.webhooks)?;
    tasks.spawn(deliver_object_events(outbox.clone(), destinations, stop.clone()));
    let parts = ServerParts {
        engine: engine.clone(),
        credentials: Credentials::new([pair.clone()]),
        access: Access {
            hosts: config.hosts.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            base_domains: config.s3.domains(&config.hosts)?,
        },
        metrics_token: config.metrics.token.clone(),
        s3: s3_fallback(s3.service(vec![pair])),
        outbox: outbox.clone(),
        objects: Some(s3.clone()),
        receivers: Arc::new(receivers),
        warnings: toolbox.weaknesses.clone(),
        draining: draining.clone(),
        stop: stop.clone(),
    };
    let submitter = Arc::new(EngineSubmitter::new(engine.clone()));
    tasks.spawn(run_triggers(outbox, functions, submitter, draining.clone()));
    let (upkeep, until) = (upkeep::keep_in_order(s3.clone(), engine.clone()), stop.clone());
    tasks.spawn(async move {
        until.run_until_cancelled(upkeep).await;
    });
    let (router, monitoring) = Server::with_monitoring(parts);
    let limits =
        ServeLimits { max_connections: descriptors::connections(config.max_connections, descriptors) };
    tasks.spawn(served(listener, router, limits, stop.clone()));
    if let Some(listener) = monitor {
        tasks.spawn(served(listener, monitoring, ServeLimits { max_connections: MONITORS }, stop.clone()));
    }
    let jobs = data.join("engine").join("jobs.sqlite");
    let region = config.region.clone();
    let _announcement = Announcement::write(&data, address)?;
    Ok(Running { address, keys, region, engine, s3, jobs, draining, stop, tasks, _announcement })
}

/// Starts the delivery of the events of jobs, and returns all configured receivers.
fn receivers(
    config: &Config,
    engine: &Engine,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> anyhow::Result<Receivers> {
    let mut receivers = Receivers::default();
    let policy = RetryPolicy::default();
    for hook in config.webhooks.iter().filter(|hook| hook.jobs) {
        let hook = hook.open()?;
        let seat = receivers.add(&hook);
        tasks.spawn(deliver_events(engine.clone(), hook, policy, seat, stop.clone()));
    }
    for bus in &config.event_buses {
        let sink = event_bus(bus, &config.region).with_context(|| format!("event bus `{}`", bus.name))?;
        let seat = receivers.add(&sink);
        tasks.spawn(deliver_events(engine.clone(), sink, policy, seat, stop.clone()));
    }
    for hook in config.webhooks.iter().filter(|hook| !hook.objects.is_empty()) {
        let hook = hook.open()?;
        receivers.call(format!("{WEBHOOK}{}", hook.id()), hook.name());
    }
    if let Some(endpoint) = &config.notifications.events_endpoint {
        receivers.call(EVENT_BUS, format!("event bus {} at {endpoint}", config.notifications.event_bus));
    }
    Ok(receivers)
}

async fn bound(address: SocketAddr, hint: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let message = format!("cannot listen on {address}");
        anyhow::Error::new(error).context(Hinted::new(WRONG_USAGE, message, hint))
    })
}

async fn served(listener: TcpListener, router: HttpRouter, limits: ServeLimits, stop: CancellationToken) {
    if let Err(error) = abanico_server::serve_within(listener, router, limits, stop).await {
        tracing::error!(%error, "the server failed");
    }
}

/// Warns of what the sandbox does not hold, in more lines than can be missed.
fn warn_of(weaknesses: &[String]) {
    if weaknesses.is_empty() {
        return;
    }
    let rule = "=".repeat(60);
    tracing::warn!("{rule}");
    tracing::warn!("THE SANDBOX AROUND FFMPEG IS NOT WHOLE ON THIS MACHINE");
    for weakness in weaknesses {
        tracing::warn!("{weakness}");
    }
    tracing::warn!("take videos only from people you trust, or see docs/SECURITY.md");
    tracing::warn!("with `sandbox = \"required\"` under [engine], abanico does not start like this");
    tracing::warn!("{rule}");
}

/// Opens the S3 endpoint with its buckets and triggers, and finds uploads that have no job yet.
async fn open_s3(config: &Config, folder: std::path::PathBuf) -> anyhow::Result<LocalS3> {
    let functions = config.triggers.iter().map(|trigger| trigger.id.clone()).collect();
    let options = Options {
        functions,
        region: config.region.clone(),
        quarantine_days: config.quarantine_days,
        base_domains: config.s3.domains(&config.hosts)?,
        upload_days: config.retention.upload_days,
        destinations: config.notifications.allowed(),
    };
    let s3 =
        tokio::task::spawn_blocking(move || LocalS3::open(&folder, options)).await?.map_err(|error| {
            let kind = error.kind();
            let error = anyhow::Error::new(error).context("cannot open the S3 folder");
            match kind {
                abanico_s3::ErrorKind::Damaged => error.context(Hinted::new(
                    WORK_FAILED,
                    "the objects cannot be served",
                    "docs/BACKUP.md says what to do, step by step; until then leave the data folder as it is",
                )),
                abanico_s3::ErrorKind::InUse => error.context(Hinted::new(
                    WRONG_USAGE,
                    "another abanico uses the data folder",
                    "use that one, stop it, or give this one a folder of its own with --data",
                )),
                _ => error,
            }
        })?;
    for bucket in config.buckets.iter().filter(|bucket| !bucket.remote) {
        s3.ensure_bucket(&bucket.name).await.with_context(|| format!("bucket `{}`", bucket.name))?;
    }
    let trigger = |trigger: &TriggerConfig| Trigger {
        id: trigger.id.clone(),
        bucket: trigger.bucket.clone(),
        prefix: trigger.prefix.clone(),
        // The function looks at suffixes: it takes several, in any case, and tells in the log what it skips.
        suffix: String::new(),
        function: trigger.id.clone(),
        events: Vec::new(),
    };
    let triggers = config.triggers.iter().map(trigger);
    let hooks = config.webhooks.iter().filter(|hook| !hook.objects.is_empty()).map(hook_trigger);
    s3.set_triggers(triggers.map(Ok).chain(hooks).collect::<anyhow::Result<_>>()?).await?;
    let found = s3.outbox().reconcile().await?;
    if found > 0 {
        tracing::info!(uploads = found, "found uploads without a job: delivering their events now");
    }
    Ok(s3)
}

/// Returns the rule by which a webhook hears of objects.
fn hook_trigger(hook: &WebhookConfig) -> anyhow::Result<Trigger> {
    Ok(Trigger {
        id: "webhook".to_owned(),
        bucket: hook.bucket.clone(),
        prefix: hook.prefix.clone(),
        suffix: hook.suffix.clone(),
        function: format!("{WEBHOOK}{}", hook.open()?.id()),
        events: hook.objects.clone(),
    })
}

/// Routes remote buckets to their S3 and all other buckets to the local one.
fn router(config: &Config, s3: &LocalS3) -> Router {
    let remote = |router: Router, bucket: &crate::config::BucketConfig| {
        let allow_http = bucket.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let options = RemoteOptions {
            endpoint: bucket.endpoint.clone(),
            region: bucket.region.clone(),
            allow_http,
            keys: None,
            session_token: None,
        };
        router.with_bucket(bucket.name.clone(), Arc::new(RemoteS3::new(options)))
    };
    let remotes = config.buckets.iter().filter(|bucket| bucket.remote);
    remotes.fold(Router::new().with_other_buckets(Arc::new(s3.clone())), remote)
}

/// Prints the settings that SDKs need to stdout, and a hint for people to stderr.
fn greet(running: &Running) {
    let url = format!("http://{}", running.address);
    output::line(format!("listening on {url}"));
    for (name, value) in running.variables() {
        output::line(format!("export {name}={value}"));
    }
    output::note(format!("upload a video: aws s3 cp VIDEO s3://uploads/\nopen in a browser: {url}/"));
}

/// Connects to an EventBridge bus, with credentials from the usual AWS variables.
fn event_bus(config: &EventBusConfig, region: &str) -> anyhow::Result<EventBus> {
    let region = config.region.as_deref().unwrap_or(region);
    let endpoint = match &config.endpoint {
        Some(endpoint) => endpoint.parse().with_context(|| format!("`{endpoint}` is no URL"))?,
        None => abanico_aws::endpoint("events", region, &|name| std::env::var(name).ok())?,
    };
    let credentials = Arc::new(abanico_aws::EnvironmentCredentials);
    let client = abanico_aws::SignedClient::new("events", region, endpoint, credentials)?;
    Ok(EventBus::new(client, config.name.as_str()))
}
