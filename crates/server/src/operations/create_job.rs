//! CreateJob: stores a job durably and answers with status 201 and the job. Does not wait for the job to run.

use abanico_engine::Engine;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use crate::edge::Edge;
use crate::error_table::Error;
use crate::job_view;

pub(crate) async fn create_job(
    State(edge): State<Edge>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Error> {
    let job = create(&edge.engine, read(&body)?).await?;
    Ok((StatusCode::CREATED, Json(json!({ "job": job }))))
}

fn read(body: &[u8]) -> Result<Value, Error> {
    let request: Value = serde_json::from_slice(body)
        .map_err(|error| Error::bad_request(format!("the body is not JSON: {error}")))?;
    if request.is_object() { Ok(request) } else { Err(Error::bad_request("the body is not a JSON object")) }
}

async fn create(engine: &Engine, request: Value) -> Result<Value, Error> {
    let submission = engine.submission(request).await?;
    Ok(job_view::job(&engine.create_job(submission).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_must_be_a_json_object() {
        for (body, start) in
            [("{", "the body is not JSON: "), ("[]", "the body is not a JSON object"), ("", "the body")]
        {
            let message = read(body.as_bytes()).unwrap_err().to_string();
            assert!(message.starts_with(start), "{message}");
        }
    }
}
