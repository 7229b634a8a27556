//! Lists the receivers of events and what waits for them, and sends events again on request. Never deletes one.

use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::error_table::Error;
use crate::edge::Edge;
use crate::events::receivers::Standing;

/// Where to begin.
#[derive(Deserialize)]
pub(crate) struct Params {
    /// Number of the first event to send again.
    from: Option<i64>,
}

/// Returns how all receivers stand.
pub(crate) async fn standings(edge: &Edge) -> Result<Vec<Standing>, Error> {
    let standings = edge.receivers.standings(&edge.engine, &*edge.outbox).await;
    standings.map_err(|error| Error::internal("cannot list the receivers of events", error))
}

pub(crate) async fn list(State(edge): State<Edge>) -> Result<Json<Value>, Error> {
    Ok(Json(json!({"receivers": standings(&edge).await?})))
}

pub(crate) async fn redeliver(
    State(edge): State<Edge>,
    Path(id): Path<String>,
    params: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
) -> Result<(StatusCode, Json<Value>), Error> {
    let Query(Params { from }) = params.map_err(|rejection| Error::bad_request(rejection.body_text()))?;
    if edge.receivers.redeliver_jobs(&id, from) {
        tracing::info!(receiver = id, "sending the events of jobs again on request");
        return Ok((StatusCode::ACCEPTED, Json(json!({}))));
    }
    if !standings(&edge).await?.iter().any(|standing| standing.id == id) {
        return Err(Error::not_found(format!("receiver `{id}` does not exist")));
    }
    if from.is_some() {
        let message = "`from` is for receivers of the events of jobs: those of objects are removed once they are delivered";
        return Err(Error::bad_request(message.to_owned()));
    }
    let redelivered = edge.outbox.redeliver(&id).await;
    let events = redelivered.map_err(|error| Error::internal("cannot send events again", error))?;
    tracing::info!(receiver = id, events, "sending the events of objects again on request");
    Ok((StatusCode::ACCEPTED, Json(json!({"events": events}))))
}
