//! GetPolicy, PutPolicy and DeletePolicy: read and set which kinds of URLs inputs may use. A job with a disallowed
//! input fails with error 3457. Jobs that already run are not affected.

use abanico_engine::ItemKind;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::request_body::checked;
use crate::api::error_table::Error;
use crate::edge::Edge;

const NAME: &str = "";

pub(crate) async fn get(State(edge): State<Edge>) -> Result<Json<Value>, Error> {
    let kept = edge.engine.item(ItemKind::Policy, NAME).await?.unwrap_or_else(|| json!({}));
    Ok(Json(json!({ "policy": whole(&kept) })))
}

pub(crate) async fn put(State(edge): State<Edge>, body: Bytes) -> Result<Json<Value>, Error> {
    let request = checked(body, "PutPolicyRequest", None).await?;
    let policy = whole(&request["policy"]);
    edge.engine.put_item(ItemKind::Policy, NAME, policy.clone()).await?;
    Ok(Json(json!({ "policy": policy })))
}

pub(crate) async fn delete(State(edge): State<Edge>) -> Result<(StatusCode, Json<Value>), Error> {
    edge.engine.remove_item(ItemKind::Policy, NAME).await?;
    Ok((StatusCode::OK, Json(json!({}))))
}

/// Fills in a policy's missing members with `ALLOWED`.
fn whole(policy: &Value) -> Value {
    let member = |name: &str| policy.get(name).cloned().filter(Value::is_string).unwrap_or(json!("ALLOWED"));
    json!({"httpInputs": member("httpInputs"), "httpsInputs": member("httpsInputs"), "s3Inputs": member("s3Inputs")})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_members_are_allowed() {
        let policy = whole(&json!({"httpInputs": "DISALLOWED", "s3Inputs": null}));
        assert_eq!(
            policy,
            json!({"httpInputs": "DISALLOWED", "httpsInputs": "ALLOWED", "s3Inputs": "ALLOWED"})
        );
    }
}
