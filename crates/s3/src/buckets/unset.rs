//! Answers reads of what no bucket here has, as S3 answers for a bucket where it was never set. Terraform and others read
//! all of it. Deleting what was never set changes nothing.
//!
//! Nothing is stored. Setting any of it is refused before it gets here.

use s3s::S3ErrorCode;
use s3s::dto::*;

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::index::record::object;

/// Makes a method for each read that S3 answers with an error.
macro_rules! missing {
    ($($method:ident($input:ident) -> $output:ident: $code:literal, $message:literal;)*) => {
        impl LocalS3 {$(
            pub(crate) async fn $method(&self, input: $input) -> Result<$output> {
                self.require_bucket(&input.bucket).await?;
                Err(Error::refused(code($code), $message))
            }
        )*}
    };
}

/// Makes a method for each read or deletion that S3 answers with success.
macro_rules! answered {
    ($($method:ident($input:ident) -> $output:ident: $answer:expr;)*) => {
        impl LocalS3 {$(
            pub(crate) async fn $method(&self, input: $input) -> Result<$output> {
                self.require_bucket(&input.bucket).await?;
                Ok($answer)
            }
        )*}
    };
}

fn code(name: &'static str) -> S3ErrorCode {
    S3ErrorCode::from_bytes(name.as_bytes()).unwrap_or(S3ErrorCode::Custom(name.into()))
}

missing! {
    no_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput:
        "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration";
    no_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput:
        "ReplicationConfigurationNotFoundError", "The replication configuration was not found";
    no_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput:
        "ServerSideEncryptionConfigurationNotFoundError",
        "The server side encryption configuration was not found";
    no_lock(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput:
        "ObjectLockConfigurationNotFoundError",
        "Object Lock configuration does not exist for this bucket";
    no_analytics(GetBucketAnalyticsConfigurationInput) -> GetBucketAnalyticsConfigurationOutput:
        "NoSuchConfiguration", "The specified configuration does not exist.";
    no_tiering(GetBucketIntelligentTieringConfigurationInput)
        -> GetBucketIntelligentTieringConfigurationOutput:
        "NoSuchConfiguration", "The specified configuration does not exist.";
    no_inventory(GetBucketInventoryConfigurationInput) -> GetBucketInventoryConfigurationOutput:
        "NoSuchConfiguration", "The specified configuration does not exist.";
    no_metrics(GetBucketMetricsConfigurationInput) -> GetBucketMetricsConfigurationOutput:
        "NoSuchConfiguration", "The specified configuration does not exist.";
}

answered! {
    no_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput: GetBucketLoggingOutput::default();
    no_acceleration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput:
        GetBucketAccelerateConfigurationOutput::default();
    owner_pays(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput:
        GetBucketRequestPaymentOutput { payer: Some(Payer::from_static(Payer::BUCKET_OWNER)) };
    list_no_analytics(ListBucketAnalyticsConfigurationsInput) -> ListBucketAnalyticsConfigurationsOutput:
        ListBucketAnalyticsConfigurationsOutput { is_truncated: Some(false), ..Default::default() };
    list_no_tiering(ListBucketIntelligentTieringConfigurationsInput)
        -> ListBucketIntelligentTieringConfigurationsOutput:
        ListBucketIntelligentTieringConfigurationsOutput { is_truncated: Some(false), ..Default::default() };
    list_no_inventory(ListBucketInventoryConfigurationsInput) -> ListBucketInventoryConfigurationsOutput:
        ListBucketInventoryConfigurationsOutput { is_truncated: Some(false), ..Default::default() };
    list_no_metrics(ListBucketMetricsConfigurationsInput) -> ListBucketMetricsConfigurationsOutput:
        ListBucketMetricsConfigurationsOutput { is_truncated: Some(false), ..Default::default() };
    forget_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput: DeleteBucketWebsiteOutput {};
    forget_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput:
        DeleteBucketReplicationOutput {};
    forget_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput:
        DeleteBucketEncryptionOutput {};
}

impl LocalS3 {
    pub(crate) async fn no_retention(
        &self,
        input: GetObjectRetentionInput,
    ) -> Result<GetObjectRetentionOutput> {
        self.is_unlocked(input.bucket, input.key).await
    }

    pub(crate) async fn no_legal_hold(
        &self,
        input: GetObjectLegalHoldInput,
    ) -> Result<GetObjectLegalHoldOutput> {
        self.is_unlocked(input.bucket, input.key).await
    }

    async fn is_unlocked<T>(&self, bucket: String, key: String) -> Result<T> {
        self.inner.index.read(move |reader| object(reader, &bucket, &key)).await?;
        Err(Error::refused(S3ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration"))
    }
}
