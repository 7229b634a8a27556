//! CreateJob: stores a job durably and answers with status 201 and the job. Does not wait for the job to run.

use abanico_engine::Engine;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::request_body::{parsed, turn};
use crate::api::error_table::Error;
use crate::api::job_view;
use crate::edge::Edge;

pub(crate) async fn create_job(
    State(edge): State<Edge>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Error> {
    let job = create(&edge.engine, body).await?;
    Ok((StatusCode::CREATED, Json(json!({ "job": job }))))
}

async fn create(engine: &Engine, body: Bytes) -> Result<Value, Error> {
    let _turn = turn().await?;
    let submission = engine.submission(parsed(body).await?).await?;
    Ok(job_view::job(&engine.create_job(submission).await?))
}
