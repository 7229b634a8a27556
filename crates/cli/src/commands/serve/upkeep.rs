//! Keeps the data folder in order while the server runs: gives labels to objects of an older version, and sweeps out once
//! an hour what was kept long enough. A clock that jumps, or that is far ahead at the start, makes it wait.

use std::time::{Duration, Instant, SystemTime};

use abanico_engine::Engine;
use abanico_s3::LocalS3;

/// Pause before the first sweep, so that a start is not slower for it.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Pause between two sweeps.
const PAUSE: Duration = Duration::from_secs(3_600);
/// If the clock went this much further than time, what seems old may be new.
const JUMP: Duration = Duration::from_secs(600);

/// Works until it is dropped.
pub(super) async fn keep_in_order(s3: LocalS3, engine: Engine) {
    match s3.write_missing_labels().await {
        Ok(0) => {}
        Ok(objects) => tracing::info!(objects, "wrote the labels of objects that had none"),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot write the labels of all objects"
            );
        }
    }
    if trusts_clock(&s3, Duration::ZERO).await {
        apply_lifecycles(&s3).await;
    }
    let mut pause = FIRST_PAUSE;
    let mut even = Duration::ZERO;
    loop {
        let (began, clock) = (Instant::now(), SystemTime::now());
        tokio::time::sleep(pause).await;
        pause = PAUSE;
        let passed = began.elapsed();
        if has_jumped(SystemTime::now().duration_since(clock).unwrap_or_default(), passed) {
            tracing::warn!("the clock has jumped forward: deleting nothing for an hour");
            even = Duration::ZERO;
            continue;
        }
        even = even.saturating_add(passed);
        if trusts_clock(&s3, even).await {
            sweep(&s3, &engine).await;
        }
    }
}

/// Whether what is old by the clock may be deleted. `even` is how long the clock has gone as time does.
async fn trusts_clock(s3: &LocalS3, even: Duration) -> bool {
    match s3.trusts_clock(even).await {
        Ok(true) => true,
        Ok(false) => {
            tracing::warn!(
                "the clock is far ahead of the last time that this data folder knows: deleting nothing until the \
                 server has run for an hour"
            );
            false
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot tell whether the clock is right; trying again in an hour");
            false
        }
    }
}

/// Whether the clock went much further than time did.
fn has_jumped(clock: Duration, time: Duration) -> bool {
    clock > time + JUMP
}

async fn sweep(s3: &LocalS3, engine: &Engine) {
    if let Err(error) = engine.expire().await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot delete all jobs that were kept long enough");
    }
    apply_lifecycles(s3).await;
    if let Err(error) = s3.abort_stale_uploads().await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot abort all uploads that were left incomplete");
    }
    if let Err(error) = s3.purge_quarantine().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot empty the quarantine");
    }
}

/// Removes what the buckets' lifecycles say.
async fn apply_lifecycles(s3: &LocalS3) {
    if let Err(error) = s3.apply_lifecycles().await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot remove everything that has expired; trying again in an hour");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_runs_ahead_has_jumped() {
        let hour = Duration::from_secs(3_600);
        assert!(!has_jumped(hour, hour) && !has_jumped(Duration::ZERO, hour));
        assert!(has_jumped(2 * hour, hour));
    }
}
