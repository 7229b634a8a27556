//! Lists the upload events that the server gave up on, and replays them on request. Never deletes one.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::error_table::Error;
use crate::edge::Edge;
use crate::events::upload_outbox::UploadEntry;

pub(crate) async fn list(State(edge): State<Edge>) -> Result<Json<Value>, Error> {
    let entries = edge
        .outbox
        .dead_letters()
        .await
        .map_err(|error| Error::internal("cannot list dead letters", error))?;
    Ok(Json(json!({"deadLetters": entries.iter().map(view).collect::<Vec<_>>()})))
}

pub(crate) async fn replay(
    State(edge): State<Edge>,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<Value>), Error> {
    let replayed = edge
        .outbox
        .replay(id)
        .await
        .map_err(|error| Error::internal("cannot replay a dead letter", error))?;
    if !replayed {
        return Err(Error::not_found(format!("dead letter `{id}` does not exist")));
    }
    tracing::info!(entry = id, "replaying a dead letter on request");
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

fn view(entry: &UploadEntry) -> Value {
    json!({
        "id": entry.id,
        "bucket": entry.bucket,
        "key": entry.key,
        "function": entry.function,
        "attempts": entry.attempts,
        "reason": entry.last_error,
        "event": entry.event,
    })
}
