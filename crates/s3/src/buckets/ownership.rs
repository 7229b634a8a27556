//! The ownership controls of buckets. The owner of a bucket owns all objects in it and there are no ACLs, which is what
//! BucketOwnerEnforced says; other controls are refused.

use s3s::S3ErrorCode;
use s3s::dto::{
    DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput, GetBucketOwnershipControlsInput,
    GetBucketOwnershipControlsOutput, ObjectOwnership, OwnershipControls, OwnershipControlsRule,
    PutBucketOwnershipControlsInput, PutBucketOwnershipControlsOutput,
};

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::objects::tagging::malformed;

/// Refuses controls under which others could own objects.
fn check(controls: &OwnershipControls) -> Result<()> {
    let [rule] = controls.rules.as_slice() else { return Err(malformed()) };
    match rule.object_ownership.as_str() {
        ObjectOwnership::BUCKET_OWNER_ENFORCED => Ok(()),
        wanted @ (ObjectOwnership::BUCKET_OWNER_PREFERRED | ObjectOwnership::OBJECT_WRITER) => {
            let message = format!(
                "A header you provided implies functionality that is not implemented: ObjectOwnership {wanted}, because \
                 there are no ACLs; BucketOwnerEnforced is"
            );
            Err(Error::refused(S3ErrorCode::NotImplemented, message))
        }
        _ => Err(malformed()),
    }
}

impl LocalS3 {
    pub(crate) async fn ownership(
        &self,
        input: GetBucketOwnershipControlsInput,
    ) -> Result<GetBucketOwnershipControlsOutput> {
        if self.settings(input.bucket).await?.has_no_ownership_controls {
            let code = S3ErrorCode::OwnershipControlsNotFoundError;
            return Err(Error::refused(code, "The bucket ownership controls were not found"));
        }
        let object_ownership = ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED);
        let rules = vec![OwnershipControlsRule { object_ownership }];
        Ok(GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) })
    }

    pub(crate) async fn put_ownership(
        &self,
        input: PutBucketOwnershipControlsInput,
    ) -> Result<PutBucketOwnershipControlsOutput> {
        self.require_bucket(&input.bucket).await?;
        check(&input.ownership_controls)?;
        self.set_ownership(input.bucket, true).await?;
        Ok(PutBucketOwnershipControlsOutput::default())
    }

    /// Forgets the controls, so that they are not found. ACLs are refused all the same.
    pub(crate) async fn delete_ownership(
        &self,
        input: DeleteBucketOwnershipControlsInput,
    ) -> Result<DeleteBucketOwnershipControlsOutput> {
        self.set_ownership(input.bucket, false).await?;
        Ok(DeleteBucketOwnershipControlsOutput::default())
    }

    async fn set_ownership(&self, bucket: String, has_controls: bool) -> Result<()> {
        self.set(bucket, move |settings| {
            settings.has_no_ownership_controls = !has_controls;
            Ok(())
        })
        .await
    }
}
