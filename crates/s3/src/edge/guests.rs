//! Lets strangers read what a bucket's policy opens to everyone, and nothing else.
//!
//! It reads no body and changes nothing. Whatever it does not know is refused.

use http::HeaderMap;
use http::header::RANGE;
use s3s::access::S3AccessContext;
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::ACCOUNT;
use crate::LocalS3;
use crate::edge::door::query_names;
use crate::edge::ranges::has_odd_range;
use crate::edge::service::OnAdmission;
use crate::edge::sieve::sieve;
use crate::index::record::find_object;

/// Begins parameters that set headers of the answer. S3 takes them from signed requests alone.
const RESPONSE: &str = "response-";

/// Returns the refusal that every stranger gets: it does not say whether there is something to see.
pub(crate) fn denied() -> S3Error {
    S3Error::with_message(S3ErrorCode::AccessDenied, "Access Denied")
}

/// Removes a `Range` that is to be ignored. It is not signed, so nothing else changes.
pub(crate) fn drop_odd_range(headers: &mut HeaderMap) {
    if has_odd_range(headers) {
        headers.remove(RANGE);
    }
}

impl LocalS3 {
    /// Whether strangers may read anything of a bucket.
    pub(crate) fn is_open(&self, bucket: &str) -> bool {
        self.open_policy(bucket).is_some()
    }

    /// Admits a request without a signature if a policy lets everyone do what it asks.
    pub(crate) async fn admit_guest(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name().to_owned();
        let (bucket, key) = match context.s3_path() {
            S3Path::Object { bucket, key } => (bucket.to_string(), Some(key.to_string())),
            S3Path::Bucket { bucket } => (bucket.to_string(), None),
            S3Path::Root => return Err(denied()),
        };
        let policy = self.open_policy(&bucket).ok_or_else(denied)?;
        let is_allowed = match (operation.as_str(), &key) {
            ("GetObject" | "HeadObject", Some(key)) => policy.is_readable(key),
            ("ListObjects" | "ListObjectsV2" | "HeadBucket", None) => policy.is_listable(),
            _ => false,
        };
        let names = query_names(context.uri().query());
        // Versions need a permission of their own.
        if !is_allowed || names.iter().any(|(name, _)| name == "versionId") {
            return Err(denied());
        }
        if names.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with(RESPONSE)) {
            let message = "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
        sieve(&operation, context.uri().query(), context.headers(), ACCOUNT)?;
        if let Some(key) = key
            && !policy.is_listable()
        {
            // Who may not list a bucket does not learn which keys it lacks.
            let read = self.inner.index.read(move |reader| Ok(find_object(reader, &bucket, &key)?.is_some()));
            if !read.await? {
                return Err(denied());
            }
        }
        OnAdmission::tell_guest(context.extensions_mut());
        Ok(())
    }
}
