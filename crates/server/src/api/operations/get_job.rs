//! GetJob: returns a job in its current state.

use abanico_engine::{ItemKind, JobId};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::api::error_table::Error;
use crate::api::job_view;
use crate::edge::Edge;

pub(crate) async fn get_job(State(edge): State<Edge>, Path(id): Path<String>) -> Result<Json<Value>, Error> {
    let record = edge.engine.get(&JobId::new(id)).await?;
    let mut job = job_view::job(&record);
    if edge.engine.item(ItemKind::Share, record.id.as_str()).await?.is_some() {
        job["shareStatus"] = json!("INITIATED");
    }
    Ok(Json(json!({ "job": job })))
}
