//! The commands of a fleet: `abanico worker` takes tasks, `abanico workers` lists who does.

pub mod worker;
pub mod workers;

use std::path::Path;

use abanico_fleet::{ConnectError, Connecting, TlsFiles};
use anyhow::Context;

use crate::arguments::fleet::FleetReach;
use crate::config::TemporalConfig;
use crate::failure::{Hinted, MISSING_HERE, WRONG_USAGE};

/// Variable with the API key for Temporal.
const API_KEY: &str = "ABANICO_TEMPORAL_API_KEY";

/// Returns how Temporal is reached, from the arguments of a command.
fn connecting(reach: &FleetReach) -> anyhow::Result<Connecting> {
    Ok(Connecting {
        address: reach.temporal.clone(),
        namespace: reach.namespace.clone(),
        api_key: api_key(reach.api_key_file.as_deref())?,
        tls: TlsFiles {
            authority: reach.tls_authority.clone(),
            certificate: reach.tls_certificate.clone(),
            key: reach.tls_key.clone(),
        },
    })
}

/// Returns how Temporal is reached, from the configuration of a server.
pub fn connecting_of(config: &TemporalConfig) -> anyhow::Result<Connecting> {
    Ok(Connecting {
        address: config.address.clone(),
        namespace: config.namespace.clone(),
        api_key: api_key(config.api_key_file.as_deref())?,
        tls: TlsFiles {
            authority: config.tls_authority.clone(),
            certificate: config.tls_certificate.clone(),
            key: config.tls_key.clone(),
        },
    })
}

fn api_key(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else { return Ok(std::env::var(API_KEY).ok().filter(|key| !key.is_empty())) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the API key in `{}`", file.display()))?;
    Ok(Some(text.trim().to_owned()))
}

/// Returns the error of a command that cannot reach Temporal.
pub fn not_connected(error: &ConnectError) -> anyhow::Error {
    let (code, hint) = match error {
        ConnectError::Configuration(_) => (WRONG_USAGE, "docs/FLEET.md shows how a fleet is set up"),
        ConnectError::NotReached { .. } => {
            (MISSING_HERE, "start Temporal, or name another address; docs/FLEET.md shows how")
        }
    };
    Hinted::new(code, error.to_string(), hint).into()
}
