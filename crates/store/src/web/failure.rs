//! Turns an HTTP status or an error of the HTTP client into an error of the store.
//!
//! The client's errors contain the URL with its secrets, so the URL is removed from them.

use abanico_process::with_causes;
use reqwest::StatusCode;

use super::resolver::ForbiddenAddress;
use crate::{Error, WebErrorKind};

/// Makes the error for a status that brings no file.
pub(crate) fn from_status(place: &str, status: StatusCode) -> Error {
    let kind = match status.as_u16() {
        401 => WebErrorKind::Unauthenticated,
        403 => WebErrorKind::Refused,
        404 | 410 => WebErrorKind::Missing,
        408 | 425 | 429 => WebErrorKind::Busy,
        500..=599 => WebErrorKind::ServerFailed,
        _ => WebErrorKind::Unusable,
    };
    Error::web(place, kind, format!("the server answered `{status}`"))
}

/// Makes the error for a request that could not be sent or was not answered.
pub(crate) fn from_sending(place: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    if let Some(forbidden) = cause::<ForbiddenAddress>(&error) {
        return Error::web(place, WebErrorKind::Disallowed, forbidden);
    }
    let told = with_causes(&error).to_ascii_lowercase();
    // The crate does not depend on the TLS library, so it cannot match on the library's error types.
    if error.is_connect() && told.contains("certificate") {
        let what =
            "the server's certificate is not trusted: add its authority to `ca_file` in `[web_inputs]`";
        return Error::web(place, WebErrorKind::Untrusted, what).because(error);
    }
    if error.is_connect() {
        return Error::web(place, WebErrorKind::NotConnected, "cannot connect to the server").because(error);
    }
    if error.is_timeout() || cause::<std::io::Error>(&error).is_some() || told.contains("connection closed") {
        let what = "the server ended the connection without an answer";
        return Error::web(place, WebErrorKind::Interrupted, what).because(error);
    }
    Error::web(place, WebErrorKind::Unknown, "the server did not send an HTTP response").because(error)
}

/// Makes the error for a body that broke off.
pub(crate) fn from_body(place: &str, error: reqwest::Error) -> Error {
    interrupted(place, "the transfer broke off").because(error.without_url())
}

/// Makes the error for a connection that broke or stalled.
pub(crate) fn interrupted(place: &str, what: &str) -> Error {
    Error::web(place, WebErrorKind::Interrupted, what)
}

fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn status_decides_whether_a_retry_helps() {
        for (status, kind, retryable) in [
            (401, WebErrorKind::Unauthenticated, false),
            (403, WebErrorKind::Refused, false),
            (404, WebErrorKind::Missing, false),
            (410, WebErrorKind::Missing, false),
            (418, WebErrorKind::Unusable, false),
            (429, WebErrorKind::Busy, true),
            (500, WebErrorKind::ServerFailed, true),
            (503, WebErrorKind::ServerFailed, true),
        ] {
            let error = from_status("http://h/x", StatusCode::from_u16(status).unwrap());
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Web(kind), retryable), "{status}");
            assert!(error.to_string().contains(&format!("`http://h/x`: the server answered `{status}")));
        }
    }
}
