//! What becomes of each header, parameter and element that a served operation's request may have.
//!
//! A member of AWS's model without a rule fails a test, so a new one cannot be ignored unseen.

use s3s::S3ErrorCode;

use crate::error::Error;

use Refusal::{Acl, BucketAcl, Directive, Encryption, Lock, NotImplemented, StorageClass, Version};
use Rule::{Harmless, Honoured, Only, Owner, Refused};

/// What becomes of a member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// The operation acts on it, or refuses it itself.
    Honoured,
    /// It changes nothing here, for this reason.
    Harmless(#[cfg_attr(not(test), expect(dead_code, reason = "a reason is for readers"))] &'static str),
    /// Served with one of these values, refused with any other.
    Only(&'static [&'static str], Refusal),
    /// Refused with any value.
    Refused(Refusal),
    /// Names the account that must own the bucket.
    Owner,
}

/// Why a member is refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// AWS would do it, and this endpoint does not.
    NotImplemented,
    /// As AWS refuses ACLs of objects in buckets whose owner owns all objects.
    Acl,
    /// As AWS refuses ACLs of such buckets.
    BucketAcl,
    /// As AWS refuses storage classes that it does not have.
    StorageClass,
    /// As AWS refuses locks in buckets without object lock.
    Lock,
    /// As AWS refuses versions that cannot be.
    Version,
    /// As AWS refuses directives that are neither COPY nor REPLACE.
    Directive,
    /// AWS would do it with keys of KMS; other methods it refuses.
    Encryption,
    /// As AWS refuses a request for another account's bucket.
    Owner,
}

impl Refusal {
    /// Makes the error for a member and its value. The value is never shown: it may be a key.
    pub(super) fn error(self, name: &str, value: &str) -> Error {
        let (code, message) = match self {
            Self::NotImplemented => (S3ErrorCode::NotImplemented, not_implemented(name)),
            Self::Acl => {
                (S3ErrorCode::AccessControlListNotSupported, "The bucket does not allow ACLs".to_owned())
            }
            Self::BucketAcl => (
                S3ErrorCode::InvalidBucketAclWithObjectOwnership,
                "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting".to_owned(),
            ),
            Self::StorageClass => (
                S3ErrorCode::InvalidStorageClass,
                "The storage class you specified is not valid: only STANDARD is".to_owned(),
            ),
            Self::Lock => {
                (S3ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration".to_owned())
            }
            Self::Version if value.is_empty() => {
                (S3ErrorCode::InvalidArgument, "Version id cannot be the empty string".to_owned())
            }
            Self::Version => (S3ErrorCode::InvalidArgument, "Invalid version id specified".to_owned()),
            Self::Directive => (S3ErrorCode::InvalidArgument, format!("`{name}` must be COPY or REPLACE")),
            Self::Encryption if value.starts_with("aws:") => {
                (S3ErrorCode::NotImplemented, not_implemented(name))
            }
            Self::Encryption => {
                (S3ErrorCode::InvalidArgument, "The encryption method specified is not supported".to_owned())
            }
            Self::Owner => (S3ErrorCode::AccessDenied, "Access Denied".to_owned()),
        };
        Error::refused(code, message)
    }
}

fn not_implemented(name: &str) -> String {
    format!("A header you provided implies functionality that is not implemented: `{name}`")
}

const NO_LOCKS: Rule = Harmless("no object is ever locked");
const NO_CHARGE: Rule = Harmless("nobody is charged");
const NO_OLD_VERSIONS: Rule = Harmless("no object has older versions or delete markers");
const NO_VERSIONS: Rule = Harmless("AWS asks for it only where buckets have versions");
/// Buckets have one owner, so these leave an object as it is.
const OWNERS_ACLS: &[&str] = &["private", "bucket-owner-read", "bucket-owner-full-control"];
/// Algorithms that documents are compared with.
const ALGORITHMS: &[&str] = &["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];

/// Returns the rule of an operation's member; `None` if it has none.
pub(super) fn of(operation: &str, member: &str) -> Option<Rule> {
    let find = |wanted: &str| ALL.iter().find(|(known, name, _)| *known == wanted && *name == member);
    find(operation).or_else(|| find("*")).map(|(_, _, rule)| *rule)
}

/// All rules: the operation or `*` for all others, the member, and what becomes of it.
pub(super) const ALL: &[(&str, &str, Rule)] = &[
    // What is stored with an object.
    ("*", "cache-control", Honoured),
    ("*", "content-disposition", Honoured),
    ("*", "content-encoding", Honoured),
    ("*", "content-language", Honoured),
    ("*", "content-type", Honoured),
    ("*", "expires", Honoured),
    ("*", "x-amz-meta-", Honoured),
    ("*", "x-amz-tagging", Honoured),
    ("*", "x-amz-storage-class", Only(&["STANDARD"], StorageClass)),
    ("*", "x-amz-website-redirect-location", Refused(NotImplemented)),
    ("*", "x-amz-write-offset-bytes", Refused(NotImplemented)),
    // Bodies and their digests.
    ("*", "content-length", Honoured),
    ("*", "content-md5", Honoured),
    ("*", "x-amz-sdk-checksum-algorithm", Honoured),
    ("DeleteObjects", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutBucketCors", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutObjectTagging", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutBucketAcl", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutBucketLifecycleConfiguration", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutBucketOwnershipControls", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutBucketPolicy", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutBucketTagging", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutBucketVersioning", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutObjectAcl", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("PutPublicAccessBlock", "x-amz-sdk-checksum-algorithm", Only(ALGORITHMS, NotImplemented)),
    ("*", "x-amz-checksum-algorithm", Honoured),
    ("*", "x-amz-checksum-mode", Honoured),
    ("*", "x-amz-checksum-type", Honoured),
    ("*", "x-amz-checksum-crc32", Honoured),
    ("*", "x-amz-checksum-crc32c", Honoured),
    ("*", "x-amz-checksum-crc64nvme", Honoured),
    ("*", "x-amz-checksum-sha1", Honoured),
    ("*", "x-amz-checksum-sha256", Honoured),
    ("*", "x-amz-checksum-sha512", Refused(NotImplemented)),
    ("*", "x-amz-checksum-md5", Refused(NotImplemented)),
    ("*", "x-amz-checksum-xxhash64", Refused(NotImplemented)),
    ("*", "x-amz-checksum-xxhash3", Refused(NotImplemented)),
    ("*", "x-amz-checksum-xxhash128", Refused(NotImplemented)),
    // Conditions.
    ("*", "if-match", Honoured),
    ("*", "if-none-match", Honoured),
    ("*", "if-modified-since", Honoured),
    ("*", "if-unmodified-since", Honoured),
    ("*", "x-amz-if-match-last-modified-time", Honoured),
    ("*", "x-amz-if-match-size", Honoured),
    ("*", "x-amz-if-match-initiated-time", Refused(NotImplemented)),
    // Copies.
    ("*", "x-amz-copy-source", Honoured),
    ("*", "x-amz-copy-source-range", Honoured),
    ("*", "x-amz-copy-source-if-match", Honoured),
    ("*", "x-amz-copy-source-if-none-match", Honoured),
    ("*", "x-amz-copy-source-if-modified-since", Honoured),
    ("*", "x-amz-copy-source-if-unmodified-since", Honoured),
    ("*", "x-amz-metadata-directive", Only(&["COPY", "REPLACE"], Directive)),
    ("*", "x-amz-tagging-directive", Only(&["COPY", "REPLACE"], Directive)),
    ("*", "x-amz-object-annotation-directive", Harmless("no object has annotations")),
    // Access.
    ("*", "x-amz-acl", Only(OWNERS_ACLS, Acl)),
    ("CreateBucket", "x-amz-acl", Only(&["private"], BucketAcl)),
    ("PutBucketAcl", "x-amz-acl", Only(&["private"], Acl)),
    ("*", "x-amz-grant-full-control", Refused(Acl)),
    ("*", "x-amz-grant-write", Refused(Acl)),
    ("*", "x-amz-grant-read", Refused(Acl)),
    ("*", "x-amz-grant-read-acp", Refused(Acl)),
    ("*", "x-amz-grant-write-acp", Refused(Acl)),
    ("CreateBucket", "x-amz-grant-full-control", Refused(BucketAcl)),
    ("CreateBucket", "x-amz-grant-read", Refused(BucketAcl)),
    ("CreateBucket", "x-amz-grant-read-acp", Refused(BucketAcl)),
    ("CreateBucket", "x-amz-grant-write", Refused(BucketAcl)),
    ("CreateBucket", "x-amz-grant-write-acp", Refused(BucketAcl)),
    ("*", "x-amz-expected-bucket-owner", Owner),
    ("*", "x-amz-source-expected-bucket-owner", Owner),
    ("*", "x-amz-request-payer", NO_CHARGE),
    ("*", "x-amz-object-ownership", Only(&["BucketOwnerEnforced"], NotImplemented)),
    ("*", "x-amz-bucket-namespace", Only(&["global"], NotImplemented)),
    ("*", "x-amz-confirm-remove-self-bucket-access", Harmless("no policy takes anything from the owner")),
    // Encryption.
    ("*", "x-amz-server-side-encryption", Only(&["AES256"], Encryption)),
    ("*", "x-amz-server-side-encryption-aws-kms-key-id", Refused(NotImplemented)),
    ("*", "x-amz-server-side-encryption-context", Refused(NotImplemented)),
    ("*", "x-amz-server-side-encryption-bucket-key-enabled", Only(&["false"], NotImplemented)),
    ("*", "x-amz-server-side-encryption-customer-algorithm", Refused(NotImplemented)),
    ("*", "x-amz-server-side-encryption-customer-key", Refused(NotImplemented)),
    ("*", "x-amz-server-side-encryption-customer-key-md5", Refused(NotImplemented)),
    ("*", "x-amz-copy-source-server-side-encryption-customer-algorithm", Refused(NotImplemented)),
    ("*", "x-amz-copy-source-server-side-encryption-customer-key", Refused(NotImplemented)),
    ("*", "x-amz-copy-source-server-side-encryption-customer-key-md5", Refused(NotImplemented)),
    // Locks and versions.
    ("*", "x-amz-object-lock-mode", Refused(Lock)),
    ("*", "x-amz-object-lock-retain-until-date", Refused(Lock)),
    ("*", "x-amz-object-lock-legal-hold", Refused(Lock)),
    ("*", "x-amz-object-lock-event-hold", Refused(Lock)),
    ("*", "x-amz-object-lock-event-hold-duration-days", Refused(Lock)),
    ("*", "x-amz-object-lock-event-hold-duration-years", Refused(Lock)),
    ("*", "x-amz-bucket-object-lock-enabled", Only(&["false", "False"], NotImplemented)),
    ("*", "x-amz-bypass-governance-retention", NO_LOCKS),
    ("*", "x-amz-mfa", NO_VERSIONS),
    ("*", "versionId", Only(&["null"], Version)),
    // Reading and listing.
    ("*", "range", Honoured),
    ("*", "partNumber", Honoured),
    ("*", "response-cache-control", Honoured),
    ("*", "response-content-disposition", Honoured),
    ("*", "response-content-encoding", Honoured),
    ("*", "response-content-language", Honoured),
    ("*", "response-content-type", Honoured),
    ("*", "response-expires", Honoured),
    ("*", "x-amz-max-parts", Honoured),
    ("*", "x-amz-part-number-marker", Honoured),
    ("*", "x-amz-object-attributes", Honoured),
    ("*", "x-amz-optional-object-attributes", Harmless("no object is archived, so there is nothing to tell")),
    ("*", "id", Honoured),
    ("*", "bucket-region", Honoured),
    ("*", "continuation-token", Honoured),
    ("*", "delimiter", Honoured),
    ("*", "encoding-type", Honoured),
    ("*", "fetch-owner", Honoured),
    ("*", "key-marker", Honoured),
    ("*", "marker", Honoured),
    ("*", "max-buckets", Honoured),
    ("*", "max-keys", Honoured),
    ("*", "max-parts", Honoured),
    ("*", "max-uploads", Honoured),
    ("*", "part-number-marker", Honoured),
    ("*", "prefix", Honoured),
    ("*", "start-after", Honoured),
    ("*", "upload-id-marker", Honoured),
    ("*", "version-id-marker", Honoured),
    // Uploads in parts.
    ("*", "uploadId", Honoured),
    ("*", "x-amz-mp-object-size", Honoured),
    ("*", "CompleteMultipartUpload.Part.ETag", Honoured),
    ("*", "CompleteMultipartUpload.Part.PartNumber", Honoured),
    ("*", "CompleteMultipartUpload.Part.ChecksumCRC32", Honoured),
    ("*", "CompleteMultipartUpload.Part.ChecksumCRC32C", Honoured),
    ("*", "CompleteMultipartUpload.Part.ChecksumCRC64NVME", Honoured),
    ("*", "CompleteMultipartUpload.Part.ChecksumSHA1", Honoured),
    ("*", "CompleteMultipartUpload.Part.ChecksumSHA256", Honoured),
    ("*", "CompleteMultipartUpload.Part.ChecksumSHA512", Refused(NotImplemented)),
    ("*", "CompleteMultipartUpload.Part.ChecksumMD5", Refused(NotImplemented)),
    ("*", "CompleteMultipartUpload.Part.ChecksumXXHASH64", Refused(NotImplemented)),
    ("*", "CompleteMultipartUpload.Part.ChecksumXXHASH3", Refused(NotImplemented)),
    ("*", "CompleteMultipartUpload.Part.ChecksumXXHASH128", Refused(NotImplemented)),
    // Lifecycles.
    ("*", "x-amz-transition-default-minimum-object-size", Harmless("there are no transitions")),
    ("*", "LifecycleConfiguration.Rule.Expiration.Date", Honoured),
    ("*", "LifecycleConfiguration.Rule.Expiration.Days", Honoured),
    ("*", "LifecycleConfiguration.Rule.ID", Honoured),
    ("*", "LifecycleConfiguration.Rule.Prefix", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.Prefix", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.Tag.Key", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.Tag.Value", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.ObjectSizeGreaterThan", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.ObjectSizeLessThan", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.And.Prefix", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.And.Tag.Key", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.And.Tag.Value", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.And.ObjectSizeGreaterThan", Honoured),
    ("*", "LifecycleConfiguration.Rule.Filter.And.ObjectSizeLessThan", Honoured),
    ("*", "LifecycleConfiguration.Rule.Status", Honoured),
    ("*", "LifecycleConfiguration.Rule.AbortIncompleteMultipartUpload.DaysAfterInitiation", Honoured),
    ("*", "LifecycleConfiguration.Rule.Expiration.ExpiredObjectDeleteMarker", NO_OLD_VERSIONS),
    ("*", "LifecycleConfiguration.Rule.NoncurrentVersionExpiration.NoncurrentDays", NO_OLD_VERSIONS),
    ("*", "LifecycleConfiguration.Rule.NoncurrentVersionExpiration.NewerNoncurrentVersions", NO_OLD_VERSIONS),
    ("*", "LifecycleConfiguration.Rule.Transition.Date", Refused(NotImplemented)),
    ("*", "LifecycleConfiguration.Rule.Transition.Days", Refused(NotImplemented)),
    ("*", "LifecycleConfiguration.Rule.Transition.StorageClass", Refused(NotImplemented)),
    ("*", "LifecycleConfiguration.Rule.NoncurrentVersionTransition.NoncurrentDays", Refused(NotImplemented)),
    ("*", "LifecycleConfiguration.Rule.NoncurrentVersionTransition.StorageClass", Refused(NotImplemented)),
    (
        "*",
        "LifecycleConfiguration.Rule.NoncurrentVersionTransition.NewerNoncurrentVersions",
        Refused(NotImplemented),
    ),
    // Access control lists and public-access blocks.
    ("*", "AccessControlPolicy.AccessControlList.Grant.Grantee.DisplayName", Honoured),
    ("*", "AccessControlPolicy.AccessControlList.Grant.Grantee.EmailAddress", Honoured),
    ("*", "AccessControlPolicy.AccessControlList.Grant.Grantee.ID", Honoured),
    ("*", "AccessControlPolicy.AccessControlList.Grant.Grantee.xsi:type", Honoured),
    ("*", "AccessControlPolicy.AccessControlList.Grant.Grantee.URI", Honoured),
    ("*", "AccessControlPolicy.AccessControlList.Grant.Permission", Honoured),
    ("*", "AccessControlPolicy.Owner.DisplayName", Honoured),
    ("*", "AccessControlPolicy.Owner.ID", Honoured),
    ("*", "PublicAccessBlockConfiguration.BlockPublicAcls", Honoured),
    ("*", "PublicAccessBlockConfiguration.IgnorePublicAcls", Honoured),
    ("*", "PublicAccessBlockConfiguration.BlockPublicPolicy", Honoured),
    ("*", "PublicAccessBlockConfiguration.RestrictPublicBuckets", Honoured),
    // Other documents.
    ("*", "Delete.Object.Key", Honoured),
    ("*", "Delete.Object.VersionId", Honoured),
    ("*", "Delete.Object.ETag", Honoured),
    ("*", "Delete.Object.LastModifiedTime", Honoured),
    ("*", "Delete.Object.Size", Honoured),
    ("*", "Delete.Quiet", Honoured),
    ("*", "CORSConfiguration.CORSRule.ID", Honoured),
    ("*", "CORSConfiguration.CORSRule.AllowedHeader", Honoured),
    ("*", "CORSConfiguration.CORSRule.AllowedMethod", Honoured),
    ("*", "CORSConfiguration.CORSRule.AllowedOrigin", Honoured),
    ("*", "CORSConfiguration.CORSRule.ExposeHeader", Honoured),
    ("*", "CORSConfiguration.CORSRule.MaxAgeSeconds", Honoured),
    ("*", "Tagging.TagSet.Tag.Key", Honoured),
    ("*", "Tagging.TagSet.Tag.Value", Honoured),
    ("*", "CreateBucketConfiguration.LocationConstraint", Honoured),
    ("*", "CreateBucketConfiguration.Location.Type", Refused(NotImplemented)),
    ("*", "CreateBucketConfiguration.Location.Name", Refused(NotImplemented)),
    ("*", "CreateBucketConfiguration.Bucket.DataRedundancy", Refused(NotImplemented)),
    ("*", "CreateBucketConfiguration.Bucket.Type", Refused(NotImplemented)),
    ("*", "CreateBucketConfiguration.Tags.Tag.Key", Honoured),
    ("*", "CreateBucketConfiguration.Tags.Tag.Value", Honoured),
    ("*", "OwnershipControls.Rule.ObjectOwnership", Honoured),
    ("*", "VersioningConfiguration.Status", Honoured),
    ("*", "VersioningConfiguration.MfaDelete", Honoured),
    ("*", "NotificationConfiguration.TopicConfiguration.Id", Honoured),
    ("*", "NotificationConfiguration.TopicConfiguration.Topic", Honoured),
    ("*", "NotificationConfiguration.TopicConfiguration.Event", Honoured),
    ("*", "NotificationConfiguration.TopicConfiguration.Filter.S3Key.FilterRule.Name", Honoured),
    ("*", "NotificationConfiguration.TopicConfiguration.Filter.S3Key.FilterRule.Value", Honoured),
    ("*", "NotificationConfiguration.QueueConfiguration.Id", Honoured),
    ("*", "NotificationConfiguration.QueueConfiguration.Queue", Honoured),
    ("*", "NotificationConfiguration.QueueConfiguration.Event", Honoured),
    ("*", "NotificationConfiguration.QueueConfiguration.Filter.S3Key.FilterRule.Name", Honoured),
    ("*", "NotificationConfiguration.QueueConfiguration.Filter.S3Key.FilterRule.Value", Honoured),
    ("*", "NotificationConfiguration.CloudFunctionConfiguration.Id", Honoured),
    ("*", "NotificationConfiguration.CloudFunctionConfiguration.CloudFunction", Honoured),
    ("*", "NotificationConfiguration.CloudFunctionConfiguration.Event", Honoured),
    ("*", "NotificationConfiguration.CloudFunctionConfiguration.Filter.S3Key.FilterRule.Name", Honoured),
    ("*", "NotificationConfiguration.CloudFunctionConfiguration.Filter.S3Key.FilterRule.Value", Honoured),
    ("*", "NotificationConfiguration.EventBridgeConfiguration", Honoured),
    ("*", "x-amz-skip-destination-validation", Honoured),
];
