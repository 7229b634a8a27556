//! Parses what a request claims about its own signature, from the header or the query. Does not verify it.

use http::request::Parts;

use super::canonical_request::query_pairs;
use super::signing_time::read_time;
use super::{Scope, SigV4Error};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Longest lifetime of a presigned URL in seconds: a week.
const MAX_EXPIRES_S: i64 = 7 * 24 * 3600;

/// The claim of a request. Has no `Debug`, because a signature in a log could be replayed.
pub(super) struct Claim {
    pub(super) scope: Scope,
    /// Lower-case names in the order of the claim.
    pub(super) signed_headers: Vec<String>,
    /// Hexadecimal, as sent.
    pub(super) signature: String,
    /// In seconds since 1970.
    pub(super) signed_at_s: i64,
    /// Lifetime of a presigned URL in seconds; `None` for a header.
    pub(super) expires_s: Option<i64>,
}

/// Parses the claim of a request from its `Authorization` header or its query. Fails if both have one.
pub(super) fn read_claim(parts: &Parts) -> Result<Claim, SigV4Error> {
    match (authorization(parts)?, is_presigned(parts)) {
        (Some(_), true) => {
            Err(SigV4Error::malformed("request is signed both in its header and in its query; sign it once"))
        }
        (Some(fields), false) => header_claim(parts, fields),
        (None, true) => query_claim(parts),
        (None, false) => Err(SigV4Error::missing_authentication()),
    }
}

/// Parses only the scope, from the header or the query.
pub(super) fn read_scope(parts: &Parts) -> Option<Scope> {
    match authorization(parts).ok()? {
        Some(fields) => read_credential(&header_field(fields, "Credential").ok()?).ok(),
        None => read_credential(&query_field(parts, "X-Amz-Credential").ok()?).ok(),
    }
}

/// Returns the fields of the `Authorization` header, or `None` if there is no such header or it uses another scheme.
fn authorization(parts: &Parts) -> Result<Option<&str>, SigV4Error> {
    let mut values = parts.headers.get_all(http::header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(SigV4Error::malformed("request has more than one `Authorization` header"));
    }
    let value =
        value.to_str().map_err(|_| SigV4Error::malformed("`Authorization` header is not plain text"))?;
    Ok(value.trim().strip_prefix(ALGORITHM).filter(|rest| rest.starts_with([' ', '\t'])))
}

fn is_presigned(parts: &Parts) -> bool {
    query_pairs(parts.uri.query()).iter().any(|(name, _)| name == b"X-Amz-Signature")
}

fn header_claim(parts: &Parts, fields: &str) -> Result<Claim, SigV4Error> {
    let stated = parts.headers.get("x-amz-date").or_else(|| parts.headers.get(http::header::DATE));
    let signed_at_s = stated.and_then(|value| value.to_str().ok()).and_then(read_time).ok_or_else(|| {
        SigV4Error::malformed("`X-Amz-Date` header is missing or is not `YYYYMMDDThhmmssZ`")
    })?;
    Ok(Claim {
        scope: read_credential(&header_field(fields, "Credential")?)?,
        signed_headers: read_signed_headers(&header_field(fields, "SignedHeaders")?)?,
        signature: header_field(fields, "Signature")?,
        signed_at_s,
        expires_s: None,
    })
}

fn query_claim(parts: &Parts) -> Result<Claim, SigV4Error> {
    if query_field(parts, "X-Amz-Algorithm")? != ALGORITHM {
        return Err(SigV4Error::malformed(format!("`X-Amz-Algorithm` is not `{ALGORITHM}`")));
    }
    let signed_at_s = read_time(&query_field(parts, "X-Amz-Date")?)
        .ok_or_else(|| SigV4Error::malformed("`X-Amz-Date` is not `YYYYMMDDThhmmssZ`"))?;
    let expires_s = query_field(parts, "X-Amz-Expires")?
        .parse()
        .ok()
        .filter(|expires_s| (1..=MAX_EXPIRES_S).contains(expires_s))
        .ok_or_else(|| SigV4Error::malformed(format!("`X-Amz-Expires` is not in 1..{MAX_EXPIRES_S}")))?;
    Ok(Claim {
        scope: read_credential(&query_field(parts, "X-Amz-Credential")?)?,
        signed_headers: read_signed_headers(&query_field(parts, "X-Amz-SignedHeaders")?)?,
        signature: query_field(parts, "X-Amz-Signature")?,
        signed_at_s,
        expires_s: Some(expires_s),
    })
}

/// Returns the only value of `name` in `Credential=…, SignedHeaders=…, Signature=…`.
fn header_field(fields: &str, name: &str) -> Result<String, SigV4Error> {
    let values = fields.split(',').filter_map(|field| field.trim().split_once('='));
    one(values.filter(|(given, _)| *given == name).map(|(_, value)| value.to_owned()), name)
}

/// Returns the only value of `name` in the query.
fn query_field(parts: &Parts, name: &str) -> Result<String, SigV4Error> {
    let pairs = query_pairs(parts.uri.query()).into_iter().filter(|(given, _)| given == name.as_bytes());
    one(pairs.map(|(_, value)| String::from_utf8_lossy(&value).into_owned()), name)
}

fn one(mut values: impl Iterator<Item = String>, name: &str) -> Result<String, SigV4Error> {
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(SigV4Error::malformed(format!("signature lacks `{name}`"))),
        (Some(_), Some(_)) => Err(SigV4Error::malformed(format!("signature states `{name}` twice"))),
    }
}

/// Parses `KEY/DATE/REGION/SERVICE/aws4_request`.
fn read_credential(text: &str) -> Result<Scope, SigV4Error> {
    let members: Vec<&str> = text.split('/').collect();
    match members[..] {
        [access_key, date, region, service, "aws4_request"]
            if members.iter().all(|text| !text.is_empty()) =>
        {
            Ok(Scope {
                access_key: access_key.to_owned(),
                date: date.to_owned(),
                region: region.to_owned(),
                service: service.to_owned(),
            })
        }
        _ => Err(SigV4Error::malformed("`Credential` is not `KEY/YYYYMMDD/REGION/SERVICE/aws4_request`")),
    }
}

/// Parses `host;x-amz-date`. Requires `host`, because without it a request could be replayed against another server.
fn read_signed_headers(text: &str) -> Result<Vec<String>, SigV4Error> {
    let names: Vec<String> = text.split(';').map(str::to_ascii_lowercase).collect();
    if names.iter().any(|name| name == "host") {
        Ok(names)
    } else {
        Err(SigV4Error::malformed("`SignedHeaders` lacks `host`"))
    }
}
