//! Calls S3: reads and writes small objects (up to 16 MiB), lists keys, manages buckets and notifications.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::escape::escaped;
use crate::{Error, Operation, Request, SignedClient};

/// The checksums that S3 may store for an object, best first, named as in `x-amz-checksum-NAME`.
const CHECKSUMS: [&str; 5] = ["sha256", "crc64nvme", "crc32c", "crc32", "sha1"];

/// Metadata of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectHead {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Entity tag, without quotes.
    pub e_tag: Option<String>,
    /// Name and value (Base64) of the best checksum that S3 has; `None` if it has none.
    pub checksum: Option<(String, String)>,
}

/// A client of S3. It uses path-style URLs, which every S3 implementation supports.
#[derive(Clone)]
pub struct S3(SignedClient);

impl S3 {
    /// Creates a client that sends through `client`, which must sign for `s3`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Returns the object's bytes, at most 16 MiB.
    ///
    /// # Errors
    /// Fails with status 404 if there is no such object.
    pub async fn get_object(&self, bucket: &str, key: &str) -> Result<Bytes, Error> {
        let request = Request::get(path(bucket, key));
        Ok(self.0.send(Operation::GetObject, &request, true).await?.body)
    }

    /// Returns the object's metadata.
    ///
    /// # Errors
    /// Fails with status 404 if there is no such object.
    pub async fn head_object(&self, bucket: &str, key: &str) -> Result<ObjectHead, Error> {
        let mut request = Request { method: Method::HEAD, ..Request::get(path(bucket, key)) };
        request.headers.push(("x-amz-checksum-mode".to_owned(), "ENABLED".to_owned()));
        head(&self.0.send(Operation::HeadObject, &request, true).await?.headers)
    }

    /// Writes an object, replacing an existing one.
    ///
    /// # Errors
    /// Fails if S3 refuses the object or cannot be reached.
    pub async fn put_object(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), Error> {
        let request = Request { method: Method::PUT, ..Request::get(path(bucket, key)) };
        self.0.send(Operation::PutObject, &request.with_body(content_type, body), true).await.map(drop)
    }

    /// Creates a bucket in `region`. Succeeds if the caller already owns it.
    ///
    /// # Errors
    /// Fails if the name belongs to somebody else, or the caller has no permission.
    pub async fn create_bucket(&self, bucket: &str, region: &str) -> Result<(), Error> {
        let request = Request { method: Method::PUT, ..Request::get(format!("/{}", escaped(bucket))) };
        // S3 rejects us-east-1 as a location constraint, but wants one for every other region.
        let request = if region == "us-east-1" {
            request
        } else {
            let body = format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}\
                 </LocationConstraint></CreateBucketConfiguration>"
            );
            request.with_body("application/xml", body)
        };
        match self.0.send(Operation::CreateBucket, &request, true).await {
            Err(error) if error.error_type() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            other => other.map(drop),
        }
    }

    /// Deletes an empty bucket. Succeeds if there is no such bucket.
    ///
    /// # Errors
    /// Fails with status 409 if the bucket is not empty.
    pub async fn delete_bucket(&self, bucket: &str) -> Result<(), Error> {
        let request = Request { method: Method::DELETE, ..Request::get(format!("/{}", escaped(bucket))) };
        gone_is_fine(self.0.send(Operation::DeleteBucket, &request, true).await.map(drop))
    }

    /// Deletes an object. Succeeds if there is no such object.
    ///
    /// # Errors
    /// Fails if the caller has no permission.
    pub async fn delete_object(&self, bucket: &str, key: &str) -> Result<(), Error> {
        let request = Request { method: Method::DELETE, ..Request::get(path(bucket, key)) };
        gone_is_fine(self.0.send(Operation::DeleteObject, &request, true).await.map(drop))
    }

    /// Returns up to 1,000 keys that sort after `after`, in order; empty if `after` is the last key.
    ///
    /// # Errors
    /// Fails with status 404 if there is no such bucket.
    pub async fn keys_after(&self, bucket: &str, after: &str) -> Result<Vec<String>, Error> {
        self.keys_below(bucket, "", after).await
    }

    /// Like [`S3::keys_after`], but only returns keys that begin with `prefix`.
    ///
    /// # Errors
    /// Fails with status 404 if there is no such bucket.
    pub async fn keys_below(&self, bucket: &str, prefix: &str, after: &str) -> Result<Vec<String>, Error> {
        let (prefix, after) = (escaped(prefix), escaped(after));
        let query = format!("encoding-type=url&list-type=2&prefix={prefix}&start-after={after}");
        let request = Request::get(format!("/{}?{query}", escaped(bucket)));
        let response = self.0.send(Operation::ListObjects, &request, true).await?;
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        Ok(keys.map(decoded).collect())
    }

    /// Returns the bucket's notification configuration as XML.
    ///
    /// # Errors
    /// Fails with status 404 if there is no such bucket.
    pub async fn bucket_notification(&self, bucket: &str) -> Result<String, Error> {
        let request = Request::get(format!("/{}?notification=", escaped(bucket)));
        let response = self.0.send(Operation::GetBucketNotification, &request, true).await?;
        String::from_utf8(response.body.into())
            .map_err(|_| Error::answer("s3 GetBucketNotificationConfiguration", "it is not UTF-8"))
    }

    /// Replaces the bucket's notification configuration.
    ///
    /// # Errors
    /// Fails if S3 refuses the configuration or cannot be reached.
    pub async fn put_bucket_notification(&self, bucket: &str, xml: &str) -> Result<(), Error> {
        let path = format!("/{}?notification=", escaped(bucket));
        let request = Request { method: Method::PUT, ..Request::get(path) };
        let request = request.with_body("application/xml", xml.to_owned());
        self.0.send(Operation::PutBucketNotification, &request, true).await.map(drop)
    }
}

fn head(headers: &HeaderMap) -> Result<ObjectHead, Error> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let size = text("content-length").and_then(|text| text.parse().ok());
    let checksum = CHECKSUMS.iter().find_map(|name| {
        let value = text(&format!("x-amz-checksum-{name}"))?;
        Some(((*name).to_owned(), value.to_owned()))
    });
    Ok(ObjectHead {
        size_bytes: size.ok_or_else(|| Error::answer("s3 HeadObject", "it has no length"))?,
        e_tag: text("etag").map(|tag| tag.trim_matches('"').to_owned()),
        checksum,
    })
}

fn gone_is_fine(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(error) if error.status() == Some(404) => Ok(()),
        other => other,
    }
}

/// Decodes a key from a listing with `encoding-type=url`.
fn decoded(key: &str) -> String {
    let spaced = key.replace('+', " ");
    let bytes = spaced.as_bytes();
    let (mut text, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = spaced.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                text.push(byte);
                at += 3;
            }
            None => {
                text.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn path(bucket: &str, key: &str) -> String {
    let key = key.split('/').map(escaped).collect::<Vec<_>>().join("/");
    format!("/{}/{key}", escaped(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_path_keeps_slashes() {
        assert_eq!(path("b", "día 1/a+b?.mp4"), "/b/d%C3%ADa%201/a%2Bb%3F.mp4");
    }

    #[test]
    fn listed_keys_are_decoded() {
        for key in ["a b+c", "día/100%.mp4", "<&>", "plain"] {
            assert_eq!(decoded(&escaped(key)), key);
        }
        assert_eq!(decoded("a+b%2Bc"), "a b+c");
        assert_eq!(decoded("100%"), "100%");
    }

    #[test]
    fn best_checksum_is_used() {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", "7".parse().unwrap());
        headers.insert("etag", "\"abc\"".parse().unwrap());
        headers.insert("x-amz-checksum-crc32", "c".parse().unwrap());
        headers.insert("x-amz-checksum-sha256", "s".parse().unwrap());
        let head = head(&headers).unwrap();
        assert_eq!((head.size_bytes, head.e_tag.as_deref()), (7, Some("abc")));
        assert_eq!(head.checksum, Some(("sha256".to_owned(), "s".to_owned())));
    }
}
