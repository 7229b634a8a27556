//! Makes download links for the console: turns an `s3://` URL into a presigned link to this server. The link always
//! saves the object as a file, so that no object opens as a page. Never serves the object itself.

use std::time::SystemTime;

use axum::Json;
use axum::extract::{Query, State};
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::error_table::Error;
use crate::edge::Edge;
use crate::entry::sigv4::presigned_get;

/// How long a link is valid, in seconds.
const EXPIRES_S: u32 = 15 * 60;

#[derive(Deserialize)]
pub(crate) struct Params {
    url: String,
}

pub(crate) async fn download(
    State(edge): State<Edge>,
    headers: HeaderMap,
    params: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Error> {
    let Query(Params { url }) = params.map_err(|rejection| Error::bad_request(rejection.body_text()))?;
    let path = url.strip_prefix("s3://").filter(|path| path.contains('/'));
    let path = path.ok_or_else(|| {
        Error::bad_request(format!("`{url}` is not an object URL such as `s3://bucket/key`"))
    })?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.ok_or_else(|| Error::bad_request("the request has no `Host` header"))?;
    let (key, secret) =
        edge.credentials.first().ok_or_else(|| Error::not_found("no credentials to sign a link with"))?;
    let as_file = [("response-content-disposition", "attachment")];
    let link = presigned_get(key, secret, host, &format!("/{path}"), EXPIRES_S, &as_file, SystemTime::now());
    Ok(Json(json!({ "url": link })))
}
