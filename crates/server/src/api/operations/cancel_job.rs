//! CancelJob: asks the engine to cancel a job and answers with status 202 once that is decided. Does not wait until the
//! job has stopped.

use abanico_engine::JobId;
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::error_table::Error;
use crate::edge::Edge;

pub(crate) async fn cancel_job(
    State(edge): State<Edge>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Error> {
    let id = JobId::new(id);
    edge.engine.cancel(&id).await?;
    tracing::info!(job.id = %id, "cancelling a job on request");
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}
