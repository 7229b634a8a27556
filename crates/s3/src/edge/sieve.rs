//! Decides from the head of a signed request whether this endpoint serves all that the request asks for.
//!
//! What AWS's model knows and this endpoint does not serve is refused before anything is read or changed. Elements of
//! documents are judged while they are read.

mod generated;
mod rules;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use s3s::S3ErrorCode;

use crate::blobs::checksums::Algorithm;
use crate::edge::door::query_names;
use crate::error::{Error, Result};

use generated::{OPERATIONS, SUBRESOURCES};
use rules::{Refusal, Rule};

/// One operation of AWS's model.
pub(crate) struct Operation {
    /// Name in AWS's model.
    pub name: &'static str,
    /// Names in the query that tell it from others with the same method and path.
    pub marks: &'static [&'static str],
    /// Headers of its requests, in lower case.
    pub headers: &'static [&'static str],
    /// Names in the query that carry values.
    pub queries: &'static [&'static str],
    /// Elements of its document, as paths.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests ask whether each has a rule"))]
    pub document: &'static [&'static str],
}

/// The operations that are served. `docs/COMPATIBILITY.md` lists the same ones.
pub(crate) const SERVED: &[&str] = &[
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateMultipartUpload",
    "DeleteBucket",
    "DeleteBucketCors",
    "DeleteBucketEncryption",
    "DeleteBucketLifecycle",
    "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy",
    "DeleteBucketReplication",
    "DeleteBucketTagging",
    "DeleteBucketWebsite",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjects",
    "DeletePublicAccessBlock",
    "GetBucketAccelerateConfiguration",
    "GetBucketAcl",
    "GetBucketAnalyticsConfiguration",
    "GetBucketCors",
    "GetBucketEncryption",
    "GetBucketIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration",
    "GetBucketLifecycleConfiguration",
    "GetBucketLocation",
    "GetBucketLogging",
    "GetBucketMetricsConfiguration",
    "GetBucketNotificationConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPolicyStatus",
    "GetBucketReplication",
    "GetBucketRequestPayment",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetBucketWebsite",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectLockConfiguration",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetPublicAccessBlock",
    "HeadBucket",
    "HeadObject",
    "ListBucketAnalyticsConfigurations",
    "ListBucketIntelligentTieringConfigurations",
    "ListBucketInventoryConfigurations",
    "ListBucketMetricsConfigurations",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
    "PutBucketAcl",
    "PutBucketCors",
    "PutBucketLifecycleConfiguration",
    "PutBucketNotificationConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutObject",
    "PutObjectAcl",
    "PutObjectTagging",
    "PutPublicAccessBlock",
    "UploadPart",
    "UploadPartCopy",
];

/// Names in a query that choose an upload, a part or a version. An operation that does not know them would act on
/// something else than the client means.
const SELECTORS: [&str; 3] = ["uploadId", "partNumber", "versionId"];
/// Begins the headers with checksums.
const CHECKSUM: &str = "x-amz-checksum-";
/// What follows [`CHECKSUM`] in headers that are no checksums.
const ABOUT_CHECKSUMS: [&str; 3] = ["algorithm", "mode", "type"];

/// Refuses a request that asks for more than is served. `operation` is its name in AWS's model; `account` is the owner of
/// all buckets.
///
/// # Errors
/// Fails with AWS's error, and with `NotImplemented` where AWS would do what is asked.
pub(crate) fn sieve(operation: &str, query: Option<&str>, headers: &HeaderMap, account: &str) -> Result<()> {
    let known = OPERATIONS.iter().find(|known| known.name == operation);
    let Some(known) = known.filter(|known| SERVED.contains(&known.name)) else {
        return Err(Error::refused(S3ErrorCode::NotImplemented, format!("{operation} is not implemented")));
    };
    for (name, value) in query_names(query) {
        let name = name.as_str();
        if is_subresource(name) && !known.marks.contains(&name) {
            let message = format!("{operation} with the subresource `{name}` is not implemented");
            return Err(Error::refused(S3ErrorCode::NotImplemented, message));
        }
        if known.queries.contains(&name) {
            judge(known.name, name, &value, account)?;
        } else if SELECTORS.contains(&name) {
            let message = format!("This operation does not accept the parameter `{name}`");
            return Err(Error::refused(S3ErrorCode::InvalidArgument, message));
        }
        // Some clients put the headers of a presigned request into its query.
        let header = name.to_ascii_lowercase();
        if known.headers.contains(&header.as_str()) {
            judge(known.name, &header, &value, account)?;
        }
    }
    check_digests(headers)?;
    for (name, value) in headers {
        let name = name.as_str();
        if known.headers.contains(&name) && !value.is_empty() {
            judge(known.name, name, &String::from_utf8_lossy(value.as_bytes()), account)?;
        }
    }
    Ok(())
}

/// Whether a name in a query makes a request another operation.
pub(crate) fn is_subresource(name: &str) -> bool {
    SUBRESOURCES.contains(&name)
}

/// Refuses an element of a document, given as the path from its root. `s3s` skips elements that it does not know.
///
/// # Errors
/// Fails if AWS knows the element and this endpoint does not act on it.
pub(crate) fn sieve_element(path: &str) -> Result<()> {
    match rules::of("*", path) {
        Some(Rule::Refused(refusal)) => Err(refusal.error(path, "")),
        _ => Ok(()),
    }
}

/// Refuses a field of a form that asks for more than is served, as the same header of a PutObject.
///
/// # Errors
/// Fails as [`sieve`] does.
pub(crate) fn sieve_field(name: &str, value: &str, account: &str) -> Result<()> {
    let name = if name == "acl" { "x-amz-acl" } else { name };
    if let Some(checksum) = name.strip_prefix(CHECKSUM) {
        return check_checksum(checksum);
    }
    if value.is_empty() { Ok(()) } else { judge("PutObject", name, value, account) }
}

fn judge(operation: &str, name: &str, value: &str, account: &str) -> Result<()> {
    match rules::of(operation, name) {
        Some(Rule::Only(values, refusal)) if !values.contains(&value) => Err(refusal.error(name, value)),
        Some(Rule::Refused(refusal)) => Err(refusal.error(name, value)),
        Some(Rule::Owner) if value != account => Err(Refusal::Owner.error(name, value)),
        _ => Ok(()),
    }
}

/// Refuses digests that are not digests, and checksums that this endpoint cannot compute and so not compare.
fn check_digests(headers: &HeaderMap) -> Result<()> {
    for value in headers.get_all("content-md5") {
        if BASE64.decode(value.as_bytes()).is_ok_and(|digest| digest.len() == 16) {
            continue;
        }
        let message = "The Content-MD5 you specified was an invalid.";
        return Err(Error::refused(S3ErrorCode::InvalidDigest, message));
    }
    for name in headers.keys().filter_map(|name| name.as_str().strip_prefix(CHECKSUM)) {
        check_checksum(name)?;
    }
    for trailer in headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok()) {
        for name in trailer.split(',').map(|name| name.trim().to_ascii_lowercase()) {
            name.strip_prefix(CHECKSUM).map_or(Ok(()), check_checksum)?;
        }
    }
    Ok(())
}

fn check_checksum(name: &str) -> Result<()> {
    if ABOUT_CHECKSUMS.contains(&name) || Algorithm::named(name).is_ok() {
        return Ok(());
    }
    Err(Refusal::NotImplemented.error(&format!("{CHECKSUM}{name}"), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "000000000000";

    fn code(operation: &str, query: &str, headers: &[(&'static str, &str)]) -> String {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let answer = sieve(operation, Some(query), &headers.collect(), ACCOUNT);
        answer.err().map_or_else(|| "passes".to_owned(), |error| error.s3_code().to_owned())
    }

    fn served() -> impl Iterator<Item = &'static Operation> {
        OPERATIONS.iter().filter(|operation| SERVED.contains(&operation.name))
    }

    #[test]
    fn every_served_operation_is_known() {
        assert_eq!(served().count(), SERVED.len());
        assert!(SERVED.is_sorted());
    }

    #[test]
    fn every_member_is_honoured_harmless_or_refused() {
        let without: Vec<String> = served()
            .flat_map(|operation| {
                let members = operation.headers.iter().chain(operation.queries).chain(operation.document);
                members.map(|member| (operation.name, *member))
            })
            .filter(|(operation, member)| rules::of(operation, member).is_none())
            .map(|(operation, member)| format!("{operation}: {member}"))
            .collect();
        assert!(without.is_empty(), "decide in `sieve/rules.rs` what becomes of {without:#?}");
        let has_reason = |rule: &Rule| !matches!(rule, Rule::Harmless(reason) if reason.is_empty());
        assert!(rules::ALL.iter().all(|(_, _, rule)| has_reason(rule)));
    }

    #[test]
    fn every_rule_has_a_member() {
        for (operation, member, _) in rules::ALL {
            let is_used =
                served().filter(|known| *operation == "*" || known.name == *operation).any(|known| {
                    known.headers.contains(member)
                        || known.queries.contains(member)
                        || known.document.contains(member)
                });
            assert!(is_used, "the rule for {operation} {member} is for nothing that AWS's model has");
        }
    }

    #[test]
    fn every_refused_header_is_refused() {
        for operation in served() {
            for header in operation.headers {
                let refused = match rules::of(operation.name, header).unwrap() {
                    Rule::Refused(_) | Rule::Only(..) | Rule::Owner => true,
                    Rule::Honoured | Rule::Harmless(_) => false,
                };
                let answer = code(operation.name, "", &[(header, "something")]);
                let is_digest = *header == "content-md5";
                assert_eq!(answer != "passes", refused || is_digest, "{} {header}: {answer}", operation.name);
                assert_eq!(code(operation.name, "", &[]), "passes");
            }
        }
    }

    #[test]
    fn foreign_subresource_is_refused() {
        for operation in served() {
            for mark in SUBRESOURCES {
                let answer = code(operation.name, mark, &[]);
                let expected = if operation.marks.contains(mark) { "passes" } else { "NotImplemented" };
                assert_eq!(answer, expected, "{} ?{mark}", operation.name);
            }
        }
        assert_eq!(code("DeleteObject", "%61nnotation=", &[]), "NotImplemented");
        assert_eq!(code("PutBucketWebsite", "website", &[]), "NotImplemented");
        assert_eq!(code("GetObject", "annotations=1&prefix=x", &[]), "passes", "AWS does not know these");
    }

    #[test]
    fn selectors_are_refused_where_they_mean_nothing() {
        assert_eq!(code("PutObject", "uploadId=x", &[]), "InvalidArgument");
        assert_eq!(code("CopyObject", "partNumber=1", &[]), "InvalidArgument");
        assert_eq!(code("PutObject", "versionId=x", &[]), "InvalidArgument");
        assert_eq!(code("DeleteObject", "versionId=x", &[]), "InvalidArgument");
        assert_eq!(code("DeleteObject", "versionId=null", &[]), "passes");
        assert_eq!(code("UploadPart", "uploadId=x&partNumber=1", &[]), "passes");
    }

    #[test]
    fn values_decide_where_some_are_served() {
        let put = |name: &'static str, value| code("PutObject", "", &[(name, value)]);
        assert_eq!(put("x-amz-acl", "private"), "passes");
        assert_eq!(put("x-amz-acl", "public-read"), "AccessControlListNotSupported");
        assert_eq!(put("x-amz-server-side-encryption", "AES256"), "passes");
        assert_eq!(put("x-amz-server-side-encryption", "aws:kms"), "NotImplemented");
        assert_eq!(put("x-amz-server-side-encryption", "rot13"), "InvalidArgument");
        assert_eq!(put("x-amz-storage-class", "STANDARD"), "passes");
        assert_eq!(put("x-amz-storage-class", "GLACIER"), "InvalidStorageClass");
        assert_eq!(put("x-amz-expected-bucket-owner", ACCOUNT), "passes");
        assert_eq!(put("x-amz-expected-bucket-owner", "111111111111"), "AccessDenied");
        assert_eq!(put("x-amz-object-lock-mode", "GOVERNANCE"), "InvalidRequest");
        assert_eq!(
            code("CreateBucket", "", &[("x-amz-acl", "public-read")]),
            "InvalidBucketAclWithObjectOwnership"
        );
        assert_eq!(put("x-amz-acl", ""), "passes", "an empty header is no header");
    }

    #[test]
    fn header_in_the_query_is_a_header() {
        assert_eq!(code("PutObject", "x-amz-acl=public-read", &[]), "AccessControlListNotSupported");
        assert_eq!(code("PutObject", "X-Amz-Storage-Class=GLACIER", &[]), "InvalidStorageClass");
        assert_eq!(code("PutObject", "x-amz-acl=private&X-Amz-Date=x&X-Amz-Signature=x", &[]), "passes");
    }

    #[test]
    fn digests_must_be_digests_and_checksums_known() {
        let put = |name: &'static str, value| code("PutObject", "", &[(name, value)]);
        assert_eq!(put("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), "passes");
        assert_eq!(put("content-md5", ""), "InvalidDigest");
        assert_eq!(put("content-md5", "AAAA"), "InvalidDigest");
        assert_eq!(put("x-amz-checksum-sha256", "x"), "passes");
        assert_eq!(put("x-amz-checksum-xxhash64", "x"), "NotImplemented");
        assert_eq!(put("x-amz-trailer", "x-amz-checksum-crc32"), "passes");
        assert_eq!(put("x-amz-trailer", "x-amz-checksum-sha512"), "NotImplemented");
        assert_eq!(code("DeleteObjects", "delete", &[("x-amz-checksum-sha512", "x")]), "NotImplemented");
    }

    #[test]
    fn fields_of_forms_obey_the_same_rules() {
        let code =
            |name, value| sieve_field(name, value, ACCOUNT).err().map(|error| error.s3_code().to_owned());
        assert_eq!(code("acl", "public-read").as_deref(), Some("AccessControlListNotSupported"));
        assert_eq!(code("x-amz-storage-class", "GLACIER").as_deref(), Some("InvalidStorageClass"));
        assert_eq!(code("x-amz-checksum-sha512", "x").as_deref(), Some("NotImplemented"));
        assert_eq!(code("acl", "private"), None);
        assert_eq!(code("x-amz-meta-a", "x"), None);
    }
}
