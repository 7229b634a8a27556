//! Uploads by browser forms (POST Object): verifies a form's signature and policy from its fields, and only then lets
//! the file through to the folder of blobs, in chunks.
//!
//! It is not in `s3s`, whose forms are in memory as a whole before their signatures are looked at.

mod fields;
mod policy;
mod signature;

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, percent_decode_str, utf8_percent_encode};
use s3s::dto::{StreamingBlob, Timestamp, TimestampFormat};
use s3s::{Body, S3ErrorCode};
use time::OffsetDateTime;

use crate::blobs::checksums::{Checksums, wanted};
use crate::blobs::receive::{Claims, receive};
use crate::edge::answers::{IN_PATH, address_of};
use crate::edge::sieve::sieve_field;
use crate::error::{Error, Result};
use crate::index::commit::NewObject;
use crate::index::record::{Attributes, require_bucket};
use crate::objects::conditions::WriteConditions;
use crate::objects::put::{check_key, checked_metadata, without_chunking};
use crate::{ACCOUNT, LocalS3};

use fields::{FIELDS_MAX_BYTES, FileContent, FilePart, FormError, boundary, read_fields};
use policy::Policy;

/// How long the fields may take to arrive.
const FIELDS_TIMEOUT: Duration = Duration::from_secs(10);
/// S3's limit on objects that are uploaded in one piece: 5 GiB.
const FILE_MAX_BYTES: u64 = 5 << 30;
/// What a form may have beside its file: the fields before it and what follows it.
const AROUND_FILE_MAX_BYTES: u64 = 2 * FIELDS_MAX_BYTES as u64;
/// Characters that are percent-encoded in a value of a query.
const IN_QUERY: &AsciiSet = &IN_PATH.add(b'/');
/// Stands for the name of the file on the sender's machine.
const FILE_NAME: &str = "${filename}";

/// The fields of a form, each once.
struct Fields(Vec<(String, String)>);

impl Fields {
    /// Replaces `${filename}` everywhere, and refuses a name that occurs twice: two readers could read two values.
    fn expanded(fields: Vec<(String, String)>, file: &str) -> Result<Self> {
        let mut seen = std::collections::HashSet::new();
        for (name, _) in &fields {
            if !seen.insert(name.as_str()) {
                let message = format!("the field `{name}` occurs twice in the form");
                return Err(Error::refused(S3ErrorCode::InvalidArgument, message));
            }
        }
        drop(seen);
        let is_signed = |name: &str| matches!(name, "policy" | "x-amz-signature");
        let expand = |(name, value): (String, String)| {
            let value = if is_signed(&name) { value } else { value.replace(FILE_NAME, file) };
            (name, value)
        };
        Ok(Self(fields.into_iter().map(expand).collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns a field's value if it can stand in a header later.
    fn header(&self, name: &str) -> Result<Option<String>> {
        let Some(value) = self.get(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        if HeaderValue::from_str(value).is_err() {
            let message = format!("the value of the field `{name}` cannot be sent in a header");
            return Err(Error::refused(S3ErrorCode::InvalidArgument, message));
        }
        Ok(Some(value.to_owned()))
    }

    fn attributes(&self) -> Result<Attributes> {
        let mut metadata = std::collections::BTreeMap::new();
        for (field, _) in &self.0 {
            if let Some(name) = field.strip_prefix("x-amz-meta-").filter(|name| !name.is_empty()) {
                if HeaderName::from_bytes(field.as_bytes()).is_err() {
                    let message = format!("the field `{field}` is no name of a header");
                    return Err(Error::refused(S3ErrorCode::InvalidArgument, message));
                }
                metadata.insert(name.to_owned(), self.header(field)?.unwrap_or_default());
            }
        }
        let expires = self.header("expires")?;
        if expires.as_deref().is_some_and(|text| Timestamp::parse(TimestampFormat::HttpDate, text).is_err()) {
            return Err(Error::refused(S3ErrorCode::InvalidArgument, "the field `expires` is no HTTP date"));
        }
        Ok(Attributes {
            content_type: self.header("content-type")?,
            content_encoding: self.header("content-encoding")?.and_then(|value| without_chunking(&value)),
            content_language: self.header("content-language")?,
            content_disposition: self.header("content-disposition")?,
            cache_control: self.header("cache-control")?,
            expires,
            metadata: checked_metadata(metadata)?,
            asks_for_encryption: self.get("x-amz-server-side-encryption").is_some(),
            tags: self.get("tagging").map_or(Ok(Vec::new()), crate::objects::tagging::parse_tag_document)?,
        })
    }

    /// Returns the checksums that the form claims, as if they were headers.
    fn sums(&self) -> HeaderMap {
        let sums = self
            .0
            .iter()
            .filter(|(name, _)| name.starts_with("x-amz-checksum-") && name != "x-amz-checksum-algorithm");
        sums.filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        })
        .collect()
    }
}

/// What becomes of an accepted form.
struct Accepted {
    bucket: String,
    key: String,
    fields: Fields,
    /// Fewest and most bytes of the file.
    size: RangeInclusive<u64>,
}

/// Checks everything that can be checked before the file's first byte.
fn accept(
    bucket: &str,
    fields: Fields,
    secret: &dyn Fn(&str) -> Option<String>,
    announced: Option<u64>,
) -> Result<Accepted> {
    let now = OffsetDateTime::now_utc();
    let policy = signature::signed_policy(&|name| fields.get(name), secret, now)?;
    let policy = Policy::parse(policy)?;
    policy.check(bucket, &fields.0, now)?;
    for (name, value) in &fields.0 {
        sieve_field(name, value, ACCOUNT)?;
    }
    let Some(key) = fields.get("key") else {
        let message = "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.";
        return Err(Error::refused(S3ErrorCode::InvalidArgument, message));
    };
    if key.is_empty() {
        return Err(Error::refused(
            S3ErrorCode::UserKeyMustBeSpecified,
            "User key must have a length greater than 0.",
        ));
    }
    check_key(key)?;
    let (least, most) = policy.size.unwrap_or((0, u64::MAX));
    let size = least..=most.min(FILE_MAX_BYTES);
    if announced.is_some_and(|announced| announced > size.end().saturating_add(AROUND_FILE_MAX_BYTES)) {
        return Err(too_large());
    }
    Ok(Accepted { bucket: bucket.to_owned(), key: key.to_owned(), fields, size })
}

fn too_large() -> Error {
    Error::refused(S3ErrorCode::EntityTooLarge, "Your proposed upload exceeds the maximum allowed size")
}

impl From<FormError> for Error {
    fn from(error: FormError) -> Self {
        let code = match &error {
            FormError::Malformed(_) => S3ErrorCode::MalformedPOSTRequest,
            FormError::TooLong => S3ErrorCode::MaxPostPreDataLengthExceededError,
            FormError::BrokenOff(Some(cause)) if crate::blobs::receive::is_timeout(cause.as_ref()) => {
                S3ErrorCode::RequestTimeout
            }
            FormError::BrokenOff(_) => S3ErrorCode::IncompleteBody,
        };
        Self::refused(code, error.to_string())
    }
}

fn too_small() -> Error {
    Error::refused(
        S3ErrorCode::EntityTooSmall,
        "Your proposed upload is smaller than the minimum allowed size",
    )
}

/// Lets the file through if its `size` in bytes is one of these; stops it at the first byte too many.
fn limited(
    content: FileContent,
    size: RangeInclusive<u64>,
) -> impl Stream<Item = Result<Bytes>> + Send + Sync {
    let (least, most) = size.into_inner();
    futures::stream::try_unfold((content, 0_u64), move |(mut content, length)| async move {
        let Some(chunk) = content.next().await.transpose()? else {
            return if length < least { Err(too_small()) } else { Ok(None) };
        };
        let length = length.saturating_add(chunk.len() as u64);
        if length > most { Err(too_large()) } else { Ok(Some((chunk, (content, length)))) }
    })
}

impl LocalS3 {
    /// Answers an upload by a form. `secret` returns the secret of an access key; `admitted` is called once the form's
    /// signature and policy are right, before anything of its file is read.
    pub(crate) async fn post_form(
        &self,
        parts: &Parts,
        body: Body,
        secret: &(dyn Fn(&str) -> Option<String> + Sync),
        admitted: impl FnOnce(),
    ) -> Result<Response<Body>> {
        let named = self.inner.options.base_domains.bucket_of(&parts.headers);
        let bucket = bucket_of(named, parts.uri.path())?;
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = boundary(kind)?;
        let read = tokio::time::timeout(FIELDS_TIMEOUT, read_fields(Box::pin(body), &boundary)).await;
        let (fields, FilePart { name, content }) = read.map_err(|_| {
            Error::refused(S3ErrorCode::RequestTimeout, "the fields of the form did not arrive within 10 s")
        })??;
        let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let accepted = accept(&bucket, Fields::expanded(fields, &name)?, secret, announced)?;
        admitted();
        self.inner.index.read(move |reader| require_bucket(reader, &bucket)).await?;
        self.store_form(accepted, content, &parts.headers).await
    }

    async fn store_form(
        &self,
        accepted: Accepted,
        content: FileContent,
        headers: &HeaderMap,
    ) -> Result<Response<Body>> {
        let Accepted { bucket, key, fields, size } = accepted;
        let (attributes, sums) = (fields.attributes()?, fields.sums());
        let claims = Claims {
            md5: fields.get("content-md5").map(ToOwned::to_owned),
            checksums: Checksums::claimed(&sums),
            ..Claims::default()
        };
        let stream = StreamingBlob::wrap(limited(content, size));
        let received = receive(&self.inner.blobs, Some(stream), &wanted(&sums)?, claims).await?;
        let new =
            NewObject::received(bucket.clone(), key.clone(), attributes, received, "ObjectCreated:Post");
        let object = self.commit(new, WriteConditions::default()).await?.object;
        let place = address_of(headers, &self.inner.options.base_domains, &bucket, &key);
        let mut response = answer(&fields, &place, &bucket, &key, &object.etag);
        let expiration = self.expiration(&bucket, &key, &object);
        if let Some(expiration) = expiration.and_then(|it| HeaderValue::from_str(&it).ok()) {
            response.headers_mut().insert(HeaderName::from_static("x-amz-expiration"), expiration);
        }
        Ok(response)
    }
}

/// Returns the bucket that a form is sent to: the one that the host names, otherwise the one in the path.
fn bucket_of(named: Option<String>, path: &str) -> Result<String> {
    let decoded = percent_decode_str(path.trim_matches('/')).decode_utf8_lossy().into_owned();
    let is_of_bucket = if named.is_some() { decoded.is_empty() } else { !decoded.is_empty() };
    if !is_of_bucket || decoded.contains('/') {
        let message = "The specified method is not allowed against this resource.";
        return Err(Error::refused(S3ErrorCode::MethodNotAllowed, message));
    }
    Ok(named.unwrap_or(decoded))
}

/// Answers as the form asks: with a redirect, a status, or a short document.
fn answer(fields: &Fields, place: &str, bucket: &str, key: &str, etag: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let redirect = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
    if let Some(target) = redirect.and_then(|url| redirect_target(url, bucket, key, etag)) {
        *response.status_mut() = StatusCode::SEE_OTHER;
        response.headers_mut().insert(LOCATION, target);
    } else {
        if let Ok(value) = HeaderValue::from_str(place) {
            response.headers_mut().insert(LOCATION, value);
        }
        *response.status_mut() = match fields.get("success_action_status") {
            Some("200") => StatusCode::OK,
            Some("201") => StatusCode::CREATED,
            _ => StatusCode::NO_CONTENT,
        };
    }
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        response.headers_mut().insert(http::header::ETAG, value);
    }
    if fields.get("x-amz-server-side-encryption").is_some() {
        let name = HeaderName::from_static("x-amz-server-side-encryption");
        response.headers_mut().insert(name, HeaderValue::from_static("AES256"));
    }
    if response.status() == StatusCode::CREATED {
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{}</Location><Bucket>{}</Bucket>\
             <Key>{}</Key><ETag>&quot;{etag}&quot;</ETag></PostResponse>",
            escaped(place),
            escaped(bucket),
            escaped(key)
        );
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        *response.body_mut() = Body::from(document);
    }
    response
}

/// Returns where a browser goes after its upload; `None` if the form names no web address.
fn redirect_target(url: &str, bucket: &str, key: &str, etag: &str) -> Option<HeaderValue> {
    let parsed: http::Uri = url.parse().ok()?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return None;
    }
    let (url, fragment) =
        url.split_once('#').map_or((url, String::new()), |(url, rest)| (url, format!("#{rest}")));
    let mark = if parsed.query().is_some() { '&' } else { '?' };
    let value = |text: &str| utf8_percent_encode(text, IN_QUERY).to_string();
    let target = format!(
        "{url}{mark}bucket={}&key={}&etag={}{fragment}",
        value(bucket),
        value(key),
        value(&format!("\"{etag}\""))
    );
    HeaderValue::from_str(&target).ok()
}

/// Escapes text for XML. Characters that XML cannot hold become question marks.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(letter))),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('?'),
            _ => out.push(letter),
        }
    }
    out
}
