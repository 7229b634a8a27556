//! The versioning of buckets. There are no versions, so it can be suspended, which is told back and changes nothing, and
//! not enabled.

use s3s::S3ErrorCode;
use s3s::dto::{
    BucketVersioningStatus, GetBucketVersioningOutput, MFADelete, PutBucketVersioningInput,
    PutBucketVersioningOutput, VersioningConfiguration,
};

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::objects::tagging::malformed;

/// Refuses a configuration that would make versions.
fn check(configuration: &VersioningConfiguration) -> Result<()> {
    let missing = |what: &str| {
        let message = format!("A header you provided implies functionality that is not implemented: {what}");
        Err(Error::refused(S3ErrorCode::NotImplemented, message))
    };
    match configuration.mfa_delete.as_ref().map(MFADelete::as_str) {
        None | Some("Disabled") => {}
        Some("Enabled") => return missing("MfaDelete"),
        Some(_) => return Err(malformed()),
    }
    match configuration.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::SUSPENDED) => Ok(()),
        Some(BucketVersioningStatus::ENABLED) => {
            missing("buckets keep no versions of objects, so versioning can be Suspended and not Enabled")
        }
        Some(_) => Err(malformed()),
        None => {
            let code = S3ErrorCode::IllegalVersioningConfigurationException;
            Err(Error::refused(code, "The Versioning element must be specified"))
        }
    }
}

impl LocalS3 {
    pub(crate) async fn versioning(&self, bucket: String) -> Result<GetBucketVersioningOutput> {
        let is_suspended = self.settings(bucket).await?.has_suspended_versions;
        let status =
            is_suspended.then(|| BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED));
        Ok(GetBucketVersioningOutput { status, ..GetBucketVersioningOutput::default() })
    }

    pub(crate) async fn put_versioning(
        &self,
        input: PutBucketVersioningInput,
    ) -> Result<PutBucketVersioningOutput> {
        self.require_bucket(&input.bucket).await?;
        check(&input.versioning_configuration)?;
        self.set(input.bucket, |settings| {
            settings.has_suspended_versions = true;
            Ok(())
        })
        .await?;
        Ok(PutBucketVersioningOutput::default())
    }
}
