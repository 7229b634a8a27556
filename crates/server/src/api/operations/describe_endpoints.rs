//! DescribeEndpoints: returns the server's own address as the caller knows it. Not throttled, because old clients
//! call it before everything else.

use axum::Json;
use http::{HeaderMap, header};
use serde_json::{Value, json};

pub(crate) async fn describe_endpoints(headers: HeaderMap) -> Json<Value> {
    Json(json!({"endpoints": [{"url": own_url(&headers)}]}))
}

/// Returns the address that the caller used: `http`, unless a proxy in front says `https`.
fn own_url(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = if text("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    format!("{scheme}://{}", text(header::HOST.as_str()).unwrap_or("localhost"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn endpoint_is_the_address_the_caller_used() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:4566"));
        assert_eq!(own_url(&headers), "http://127.0.0.1:4566");
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(own_url(&headers), "https://127.0.0.1:4566");
    }
}
