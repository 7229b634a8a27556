//! Refuses requests to the console's API that do not come from the console's own page. A page from elsewhere, also
//! from another port of the same host, can make a browser send requests with cookies, but not choose their headers.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};

use crate::api::error_table::{Error, ErrorKind};

/// Header that only the console's page sends: its session's token, or [`LOGIN`]. Browsers ask the server before they
/// let a page from elsewhere send it, and this server never agrees.
pub(crate) const CONSOLE_HEADER: &str = "x-abanico-console";
/// Value of [`CONSOLE_HEADER`] before there is a session.
#[cfg(test)]
pub(crate) const LOGIN: &str = "login";

/// Lets a request pass if it does not come from another origin, and carries a header that pages from elsewhere cannot
/// send: [`CONSOLE_HEADER`] or `Authorization`.
pub(crate) async fn require_same_origin(request: Request, next: Next) -> Response {
    match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(headers: &HeaderMap) -> Result<(), Error> {
    refuse_other_origins(headers)?;
    if headers.contains_key(CONSOLE_HEADER) || headers.contains_key(header::AUTHORIZATION) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::MissingAuthentication,
        format!(
            "the request has neither `Authorization` nor `{CONSOLE_HEADER}`; log in on the console's page"
        ),
    ))
}

/// Checks what the browser says about where a request comes from. Programs that are not browsers say nothing.
fn refuse_other_origins(headers: &HeaderMap) -> Result<(), Error> {
    let refused = |name: &str, value: &[u8]| {
        let value = String::from_utf8_lossy(value);
        let what =
            format!("the request comes from elsewhere (`{name}: {value}`); use the console's own page");
        Error::new(ErrorKind::Forbidden, what)
    };
    let sites = headers.get_all("sec-fetch-site").iter();
    if let Some(site) = sites.map(http::HeaderValue::as_bytes).find(|site| *site != b"same-origin") {
        return Err(refused("Sec-Fetch-Site", site));
    }
    let host = headers.get(header::HOST).map(http::HeaderValue::as_bytes);
    for origin in headers.get_all(header::ORIGIN) {
        // The scheme is not compared: behind a proxy, it is not this server's.
        let origin = origin.as_bytes();
        let named = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
        let is_own = named.zip(host).is_some_and(|(named, host)| named.eq_ignore_ascii_case(host));
        if !is_own {
            return Err(refused("Origin", origin));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(pairs: &[(&'static str, &'static str)]) -> Result<(), ErrorKind> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
        }
        check(&headers).map_err(|error| error.kind())
    }

    #[test]
    fn only_own_pages_and_programs_pass() {
        let (host, token) = (("host", "127.0.0.1:4566"), (CONSOLE_HEADER, LOGIN));
        assert_eq!(outcome(&[host, token]), Ok(()));
        assert_eq!(outcome(&[host, ("authorization", "Bearer x")]), Ok(()));
        let own = [host, token, ("origin", "http://127.0.0.1:4566"), ("sec-fetch-site", "same-origin")];
        assert_eq!(outcome(&own), Ok(()));
        assert_eq!(outcome(&[host]), Err(ErrorKind::MissingAuthentication));
        for elsewhere in ["http://127.0.0.1:9999", "http://127.0.0.1", "null", "", "ftp://127.0.0.1:4566"] {
            assert_eq!(
                outcome(&[host, token, ("origin", elsewhere)]),
                Err(ErrorKind::Forbidden),
                "{elsewhere}"
            );
        }
        for site in ["same-site", "cross-site", "none", ""] {
            assert_eq!(
                outcome(&[host, token, ("sec-fetch-site", site)]),
                Err(ErrorKind::Forbidden),
                "{site}"
            );
            let bearer = ("authorization", "Bearer x");
            assert_eq!(
                outcome(&[host, bearer, ("sec-fetch-site", site)]),
                Err(ErrorKind::Forbidden),
                "{site}"
            );
        }
        let twice = [host, token, ("origin", "http://127.0.0.1:4566"), ("origin", "http://evil.example")];
        assert_eq!(outcome(&twice), Err(ErrorKind::Forbidden));
        assert_eq!(outcome(&[token, ("origin", "http://127.0.0.1:4566")]), Err(ErrorKind::Forbidden));
    }
}
