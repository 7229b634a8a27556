//! AssociateCertificate, DisassociateCertificate and CreateResourceShare: only record the request. Certificates
//! encrypt nothing here, and a share keeps the status INITIATED.

use abanico_engine::{ItemKind, JobId};
use abanico_model::arn::{ResourceKind, resource_name};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use super::request_body::checked;
use crate::api::error_table::Error;
use crate::edge::Edge;

pub(crate) async fn associate(
    State(edge): State<Edge>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Error> {
    let request = checked(body, "AssociateCertificateRequest", None).await?;
    let arn = request.get("arn").and_then(Value::as_str).unwrap_or_default();
    check_certificate(arn)?;
    edge.engine.put_item(ItemKind::Certificate, arn, json!({})).await?;
    Ok((StatusCode::CREATED, Json(json!({}))))
}

pub(crate) async fn disassociate(
    State(edge): State<Edge>,
    Path(arn): Path<String>,
) -> Result<(StatusCode, Json<Value>), Error> {
    check_certificate(&arn)?;
    if edge.engine.remove_item(ItemKind::Certificate, &arn).await? {
        return Ok((StatusCode::ACCEPTED, Json(json!({}))));
    }
    Err(Error::not_found(format!("The specified certificate was not found: certificateArn={arn}")))
}

pub(crate) async fn share(State(edge): State<Edge>, body: Bytes) -> Result<(StatusCode, Json<Value>), Error> {
    let request = checked(body, "CreateResourceShareRequest", None).await?;
    let job = request.get("jobId").and_then(Value::as_str).unwrap_or_default();
    let id = JobId::new(resource_name(job, ResourceKind::Job));
    edge.engine.get(&id).await?;
    edge.engine.put_item(ItemKind::Share, id.as_str(), request.clone()).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// Checks that `arn` looks like an ARN of ACM: `arn:aws:acm:REGION:ACCOUNT:certificate/ID`.
fn check_certificate(arn: &str) -> Result<(), Error> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let is_right = matches!(parts[..], ["arn", partition, "acm", _, _, rest]
        if partition.starts_with("aws") && rest.starts_with("certificate/"));
    if is_right {
        Ok(())
    } else {
        Err(Error::bad_request(format!("/arn: `{arn}` is not the ARN of a certificate in ACM")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_acm_certificate_arns_are_accepted() {
        assert!(check_certificate("arn:aws:acm:us-east-1:123456789012:certificate/1-2").is_ok());
        assert!(check_certificate("arn:aws-cn:acm:cn-north-1:123456789012:certificate/1").is_ok());
        for wrong in ["", "arn:aws:iam::123456789012:role/r", "arn:aws:acm:us-east-1:1:x/1"] {
            assert!(check_certificate(wrong).unwrap_err().to_string().contains("/arn"), "{wrong}");
        }
    }
}
