//! Signs a request to an AWS service, sends it and reads the response.
//!
//! Every attempt is signed afresh and has a time limit. Redirects are never followed: a signature is valid for one
//! host.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};

use crate::credentials::CredentialsSource;
use crate::retry::Tries;
use crate::{Credentials, Error, Operation};

/// Time limits for connecting and for a whole attempt.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const TRY_LIMIT: Duration = Duration::from_secs(10);
/// Maximum size of a response body.
const MOST_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A request before it is signed.
#[derive(Clone, Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The percent-encoded path, beginning with `/`, and the query, if any, after `?`.
    pub path_and_query: String,
    /// Headers to send and sign, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// Creates a GET request, which has no body.
    pub fn get(path_and_query: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path_and_query: path_and_query.into(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Creates a POST request with a body of the MIME type `content_type`.
    pub fn post(path_and_query: impl Into<String>, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, ..Self::get(path_and_query) }.with_body(content_type, body)
    }

    pub(crate) fn with_body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.headers.push(("content-type".to_owned(), content_type.to_owned()));
        self.body = body.into();
        self
    }
}

/// A response with a success status.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Signs and sends requests to one service.
#[derive(Clone)]
pub struct SignedClient {
    http: reqwest::Client,
    service: String,
    region: String,
    endpoint: Url,
    credentials: Arc<dyn CredentialsSource>,
}

impl SignedClient {
    /// Creates a client of `service` in `region` at `endpoint`. `service` is the name that signatures use, such as
    /// `mediaconvert`.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Setting`](crate::ErrorKind::Setting) if the TLS library cannot be set up.
    pub fn new(
        service: &str,
        region: &str,
        endpoint: Url,
        credentials: Arc<dyn CredentialsSource>,
    ) -> Result<Self, Error> {
        // Fails without effect if a provider is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(TRY_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Error::setting(format!("the HTTP client cannot be set up: {error}")))?;
        Ok(Self { http, service: service.to_owned(), region: region.to_owned(), endpoint, credentials })
    }

    /// Returns the endpoint.
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// Sends `request` as `operation`. Set `repeatable` if sending it twice does no harm: a failed attempt is then
    /// retried.
    ///
    /// # Errors
    /// Returns the error of the last attempt.
    pub async fn send(
        &self,
        operation: Operation,
        request: &Request,
        repeatable: bool,
    ) -> Result<Response, Error> {
        let tries = if repeatable { Tries::REPEATABLE } else { Tries::ONE };
        self.send_within(operation, request, tries).await
    }

    pub(crate) async fn send_within(
        &self,
        operation: Operation,
        request: &Request,
        tries: Tries,
    ) -> Result<Response, Error> {
        let (begun, mut next) = (Instant::now(), 2);
        loop {
            let error = match self.try_once(operation, request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let pause = tries.pause(next, begun.elapsed(), spread());
            let Some(pause) = pause.filter(|_| error.is_retryable()) else { return Err(error) };
            tokio::time::sleep(pause).await;
            next += 1;
        }
    }

    async fn try_once(&self, operation: Operation, request: &Request) -> Result<Response, Error> {
        let what = format!("{} {}", self.service, operation.name());
        let url = self.url(&request.path_and_query)?;
        let credentials = self.credentials.credentials().await?;
        let signed = self.signed_headers(&url, request, &credentials)?;
        let mut outgoing = self.http.request(request.method.clone(), url).body(request.body.clone());
        for (name, value) in request.headers.iter().chain(&signed) {
            outgoing = outgoing.header(name, value);
        }
        let answer = outgoing.send().await.map_err(|error| Error::unreachable(&what, error.without_url()))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = limited(&what, answer).await?;
        if status.is_success() {
            return Ok(Response { status, headers, body });
        }
        let error_type = error_type(&headers, &body);
        Err(Error::refused(&what, status, error_type, &error_message(&body)))
    }

    fn url(&self, path_and_query: &str) -> Result<Url, Error> {
        let base = self.endpoint.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{path_and_query}"))
            .map_err(|_| Error::setting(format!("`{path_and_query}` does not form a URL with `{base}`")))
    }

    fn signed_headers(
        &self,
        url: &Url,
        request: &Request,
        credentials: &Credentials,
    ) -> Result<Vec<(String, String)>, Error> {
        let identity = aws_credential_types::Credentials::new(
            &credentials.access_key_id,
            &credentials.secret_access_key,
            credentials.session_token.clone(),
            None,
            "abanico",
        )
        .into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::now())
            .settings(self.signing_settings())
            .build()
            .map_err(|error| Error::setting(format!("the request cannot be signed: {error}")))?;
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let (method, uri) = (request.method.as_str(), url.as_str());
        let signable = SignableRequest::new(method, uri, headers, SignableBody::Bytes(&request.body));
        let signed = signable.and_then(|signable| sign(signable, &params.into()));
        let signed =
            signed.map_err(|error| Error::setting(format!("the request cannot be signed: {error}")))?;
        let (instructions, _) = signed.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// S3 signs the path exactly as sent and requires the body's hash in a header. Other services sign the path
    /// encoded a second time.
    fn signing_settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings
    }
}

async fn limited(what: &str, mut answer: reqwest::Response) -> Result<Bytes, Error> {
    let mut body = Vec::new();
    while let Some(part) =
        answer.chunk().await.map_err(|error| Error::unreachable(what, error.without_url()))?
    {
        if body.len() + part.len() > MOST_ANSWER_BYTES {
            return Err(Error::answer(what, "it is larger than 16 MiB"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body.into())
}

/// Returns the error's name. It is in a header, in XML or in JSON, depending on the service.
fn error_type(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let from_header = header.map(|value| value.split(':').next().unwrap_or(value).to_owned());
    from_header.or_else(|| between(body, "<Code>", "</Code>")).or_else(|| {
        let json: serde_json::Value = serde_json::from_slice(body).ok()?;
        let name = json.get("__type")?.as_str()?;
        Some(name.rsplit('#').next().unwrap_or(name).to_owned())
    })
}

fn error_message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let from_json = json.as_ref().and_then(|json| json.get("message").or(json.get("Message"))?.as_str());
    let text = from_json.map(str::to_owned).or_else(|| between(body, "<Message>", "</Message>"));
    text.unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned())
}

fn between(body: &[u8], start: &str, end: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inside, _)| inside.to_owned())
}

/// Returns a byte that differs between attempts and between processes. It need not be hard to guess.
fn spread() -> u8 {
    let nanos =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    nanos.to_le_bytes().into_iter().fold(0, |sum, byte| sum ^ byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_message_found_in_every_format() {
        let mut headers = HeaderMap::new();
        let xml =
            b"<ErrorResponse><Error><Code>NotFound</Code><Message>no topic</Message></Error></ErrorResponse>";
        assert_eq!(error_type(&headers, xml).as_deref(), Some("NotFound"));
        assert_eq!(error_message(xml), "no topic");
        let json = br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no queue"}"#;
        assert_eq!(error_type(&headers, json).as_deref(), Some("QueueDoesNotExist"));
        assert_eq!(error_message(json), "no queue");
        headers.insert("x-amzn-errortype", "BadRequestException:http://x".parse().unwrap());
        assert_eq!(error_type(&headers, br#"{"Message":"m"}"#).as_deref(), Some("BadRequestException"));
        assert_eq!(error_message(b"plain"), "plain");
    }
}
