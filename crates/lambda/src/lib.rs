//! The Lambda functions of the pipeline: handle events of S3, EventBridge and CloudFormation, and create jobs,
//! manifests and notifications. The programs in `bin/` only read their environment and pass events on.
//!
//! A repeated event creates no second job while MediaConvert remembers the token, and every failure is
//! reported.

pub mod bucket_notification;
mod error;
pub mod job_finished;
pub mod log;
pub mod manifest;
pub mod settings;
pub mod transcode_video;

pub use error::Error;

use std::future::Future;
use std::sync::Arc;

use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

/// Sets up a function and lets it handle events until Lambda ends the process.
///
/// # Errors
/// Fails if the function cannot be set up or the runtime API is unreachable.
pub async fn serve<Function, Handling>(
    set_up: impl FnOnce() -> Result<Function, Error>,
    handle: impl Fn(Arc<Function>, Value) -> Handling,
) -> Result<(), lambda_runtime::Error>
where
    Handling: Future<Output = Result<Value, Error>>,
{
    let function = Arc::new(set_up().inspect_err(|error| {
        log::error("the function cannot start", json!({"reason": error.with_causes()}));
    })?);
    let answer = |event: LambdaEvent<Value>| {
        let handling = handle(function.clone(), event.payload);
        async move {
            handling.await.map_err(|error| {
                let text = error.with_causes();
                log::error("the invocation failed", json!({"reason": text, "mayPass": error.is_retryable()}));
                lambda_runtime::Error::from(text)
            })
        }
    };
    lambda_runtime::run(lambda_runtime::service_fn(answer)).await
}
