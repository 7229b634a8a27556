//! Who does the jobs of a server, by its configuration: this machine, another service or a fleet.

use std::sync::Arc;
use std::time::Duration;

use abanico_engine::{DoneBy, Forwarding};
use abanico_s3::LocalS3;
use abanico_server::MediaConvertJobs;
use abanico_store::{RemoteOptions, RemoteS3, Router};
use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, EngineKind};
use crate::failure::{Hinted, WRONG_USAGE};

/// Returns who does the jobs. What runs for that ends with `stop`.
pub(super) async fn done_by(
    config: &Config,
    s3: &LocalS3,
    store: &Arc<Router>,
    stop: &CancellationToken,
) -> anyhow::Result<DoneBy> {
    match config.engine.kind {
        EngineKind::Embedded => Ok(DoneBy::ThisMachine),
        EngineKind::MediaConvert => Ok(DoneBy::OtherService(forwarding(config)?)),
        EngineKind::Temporal => fleet(config, s3, store, stop).await,
    }
}

#[cfg(feature = "fleet")]
async fn fleet(
    config: &Config,
    s3: &LocalS3,
    store: &Arc<Router>,
    stop: &CancellationToken,
) -> anyhow::Result<DoneBy> {
    use abanico_engine::FleetOptions;
    use abanico_fleet::{Dispatch, TemporalFleet};
    use abanico_store::ObjectUrl;

    use crate::commands::fleet::{connecting_of, not_connected};

    let temporal = config.temporal.clone().unwrap_or_default();
    let wrong = |message: String, hint: &str| Hinted::new(WRONG_USAGE, message, hint);
    let hint = "write it like s3://abanico-artifacts/jobs/";
    let folder = temporal.artifacts.parse().ok().filter(|_| temporal.artifacts.ends_with('/'));
    let Some(ObjectUrl::S3 { bucket, key }) = folder else {
        let message = format!("`{}` in `artifacts` under [temporal] is no folder", temporal.artifacts);
        return Err(wrong(message, hint).into());
    };
    if temporal.encoders == 0 || temporal.heartbeat_seconds == 0 {
        let message = "`encoders` and `heartbeat_seconds` under [temporal] must be at least 1".to_owned();
        return Err(wrong(message, "leave them out for the defaults").into());
    }
    let dispatch = Dispatch {
        queue_prefix: temporal.queue_prefix.clone(),
        heartbeat_timeout: Duration::from_secs(temporal.heartbeat_seconds),
        weights: temporal.weights.clone(),
    };
    let fleet = TemporalFleet::open(&connecting_of(&temporal)?, dispatch, stop.clone()).await;
    let fleet = fleet.map_err(|error| not_connected(&error))?;
    // Workers reach the S3 that has the artifacts, and no other.
    let endpoint_of = |config: &Config, name: &str| {
        let remote = config.buckets.iter().find(|bucket| bucket.remote && bucket.name == name);
        remote.map(|bucket| bucket.endpoint.clone())
    };
    let (place, known) = (endpoint_of(config, &bucket), config.clone());
    if place.is_none() {
        s3.ensure_bucket(&bucket).await.with_context(|| format!("bucket `{bucket}`"))?;
    }
    Ok(DoneBy::Fleet(FleetOptions {
        fleet: Arc::new(fleet),
        store: store.clone(),
        folder: ObjectUrl::s3(bucket, key),
        encoders: temporal.encoders,
        is_reached: Arc::new(move |bucket| endpoint_of(&known, bucket) == place),
    }))
}

#[cfg(not(feature = "fleet"))]
async fn fleet(_: &Config, _: &LocalS3, _: &Arc<Router>, _: &CancellationToken) -> anyhow::Result<DoneBy> {
    let hint =
        "build it with `cargo build --release -p abanico-cli --features fleet`; docs/FLEET.md tells more";
    Err(Hinted::new(WRONG_USAGE, "this abanico was built without the engine `temporal`", hint).into())
}

/// Returns how jobs are forwarded.
fn forwarding(config: &Config) -> anyhow::Result<Forwarding> {
    let Some(service) = &config.mediaconvert else {
        let hint = "add a table [mediaconvert] with region and role; see docs/CONFIGURATION.md";
        return Err(Hinted::new(
            WRONG_USAGE,
            "the engine is mediaconvert, but there is no table [mediaconvert]",
            hint,
        )
        .into());
    };
    let client = |name: &str, endpoint: &Option<String>| {
        let at = match endpoint {
            Some(endpoint) => endpoint.parse().with_context(|| format!("`{endpoint}` is no URL"))?,
            None => abanico_aws::endpoint(name, &service.region, &|name| std::env::var(name).ok())?,
        };
        let credentials = Arc::new(abanico_aws::EnvironmentCredentials);
        anyhow::Ok(abanico_aws::SignedClient::new(name, &service.region, at, credentials)?)
    };
    let jobs = abanico_aws::MediaConvert::new(client("mediaconvert", &service.endpoint)?);
    let s3 = abanico_aws::S3::new(client("s3", &service.s3_endpoint)?);
    let store = RemoteS3::new(RemoteOptions {
        allow_http: service.s3_endpoint.as_deref().is_some_and(|url| url.starts_with("http://")),
        endpoint: service.s3_endpoint.clone(),
        region: Some(service.region.clone()),
        keys: None,
        session_token: None,
    });
    Ok(Forwarding {
        jobs: Arc::new(MediaConvertJobs::new(jobs, s3)),
        store: Arc::new(store),
        role: service.role.clone(),
        queue: service.queue.clone(),
        buckets: service.buckets.clone(),
        copies: service.copy,
        pause: Duration::from_secs(service.poll_seconds.max(1)),
    })
}
