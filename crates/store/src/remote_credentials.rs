//! Finds out whether there can be credentials for a remote S3 at all. Without any, every request would first ask the
//! metadata service of a machine at Amazon again and again, and fail after minutes.
//!
//! It reads no credential.

use std::time::Duration;

/// Environment variables that say where credentials are, or that none are needed.
const SOURCES: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
];
/// Environment variable with another address of the metadata service, and the usual address.
const METADATA_ENDPOINT: &str = "AWS_METADATA_ENDPOINT";
const USUAL_METADATA_ENDPOINT: &str = "http://169.254.169.254";
/// The metadata service is on the machine itself.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Returns whether the environment or the metadata service may have credentials.
pub(crate) async fn may_exist() -> bool {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if SOURCES.iter().any(is_set) {
        return true;
    }
    let endpoint = std::env::var(METADATA_ENDPOINT).unwrap_or_else(|_| USUAL_METADATA_ENDPOINT.to_owned());
    is_reached(&endpoint).await
}

async fn is_reached(endpoint: &str) -> bool {
    let Ok(url) = endpoint.parse::<reqwest::Url>() else { return false };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    let connecting = tokio::net::TcpStream::connect((host, port));
    matches!(tokio::time::timeout(LONGEST_WAIT, connecting).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn metadata_service_is_asked_only_whether_it_is_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        assert!(is_reached(&endpoint).await);
        drop(listener);
        assert!(!is_reached(&endpoint).await);
        assert!(!is_reached("no address").await);
    }
}
