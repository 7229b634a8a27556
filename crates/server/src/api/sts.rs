//! STS's GetCallerIdentity, by which AWS's tools ask whose credentials they have. Everyone with a key is the owner of the
//! one account.
//!
//! It issues no credentials.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};

use crate::api::absent_services::error_document;
use crate::api::error_table::{Error, ErrorKind, REQUEST_ID, request_id};
use crate::edge::Edge;
use crate::entry::authentication::{read, signed};

/// Largest body of a request, in bytes.
const BODY_MAX_BYTES: usize = 64 * 1024;
const ACCOUNT: &str = "000000000000";
const SPACE: &str = " xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"";

/// Answers a request that is signed for STS.
pub(crate) async fn answer(edge: &Edge, request: Request) -> Response {
    let id = request_id();
    let (status, document) = match identity(edge, request).await {
        Ok(document) => (StatusCode::OK, document.replace("{id}", &id)),
        Err(Refusal { code, status, message }) => {
            tracing::debug!(request.id = %id, code, "a request for sts was refused");
            let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
            (status, error_document(SPACE, fault, code, &message, &id))
        }
    };
    let mut response = (status, document).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Why a request is refused, in STS's words.
struct Refusal {
    code: &'static str,
    status: StatusCode,
    message: String,
}

/// Returns the answer, with `{id}` where the id of the request belongs.
async fn identity(edge: &Edge, request: Request) -> Result<String, Refusal> {
    let request = signed(&edge.credentials, request, Some("sts"), BODY_MAX_BYTES).await.map_err(refusal)?;
    let (parts, body) = request.into_parts();
    let fields = if parts.method == Method::POST {
        let body = read(&parts.extensions, body, BODY_MAX_BYTES).await.map_err(refusal)?;
        String::from_utf8_lossy(&body).into_owned()
    } else {
        parts.uri.query().unwrap_or_default().to_owned()
    };
    let action = fields.split('&').find_map(|field| field.strip_prefix("Action="));
    match action {
        Some("GetCallerIdentity") => Ok(format!(
            "<GetCallerIdentityResponse{SPACE}><GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:root</Arn>\
             <UserId>{ACCOUNT}</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult><ResponseMetadata>\
             <RequestId>{{id}}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        )),
        Some(other) => {
            let message = format!("STS's action `{other}` is not implemented: only GetCallerIdentity is");
            Err(Refusal { code: "NotImplemented", status: StatusCode::NOT_IMPLEMENTED, message })
        }
        None => {
            let message = "Missing Action: the request names none".to_owned();
            Err(Refusal { code: "MissingAction", status: StatusCode::BAD_REQUEST, message })
        }
    }
}

/// Returns what STS says where other services have other codes.
fn refusal(error: Error) -> Refusal {
    let (code, status) = match error.kind() {
        ErrorKind::UnknownKey => ("InvalidClientTokenId", StatusCode::FORBIDDEN),
        ErrorKind::InvalidSignature => ("SignatureDoesNotMatch", StatusCode::FORBIDDEN),
        ErrorKind::MissingAuthentication => ("MissingAuthenticationToken", StatusCode::FORBIDDEN),
        ErrorKind::MalformedAuthentication => ("IncompleteSignature", StatusCode::BAD_REQUEST),
        ErrorKind::TooMany => ("Throttling", StatusCode::TOO_MANY_REQUESTS),
        _ => ("ValidationError", StatusCode::BAD_REQUEST),
    };
    Refusal { code, status, message: error.to_string() }
}
