//! The public-access block of a bucket: it refuses policies that let everyone read, and switches off the one there is.
//!
//! There are no public ACLs, so what it says about them changes nothing.

use s3s::S3ErrorCode;
use s3s::dto::{
    DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput, GetPublicAccessBlockInput,
    GetPublicAccessBlockOutput, PublicAccessBlockConfiguration, PutPublicAccessBlockInput,
    PutPublicAccessBlockOutput,
};
use serde::{Deserialize, Serialize};

use crate::LocalS3;
use crate::error::{Error, Result};

/// A public-access block as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessBlock {
    block_public_acls: bool,
    ignore_public_acls: bool,
    block_public_policy: bool,
    restrict_public_buckets: bool,
}

impl AccessBlock {
    /// The block that every new bucket has, as on AWS: all of it.
    pub(crate) const NEW: Self = Self {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };

    /// Whether public policies are refused.
    pub(crate) fn blocks_policies(&self) -> bool {
        self.block_public_policy
    }

    /// Whether the bucket's policy lets nobody in.
    pub(crate) fn restricts(&self) -> bool {
        self.restrict_public_buckets
    }
}

impl From<PublicAccessBlockConfiguration> for AccessBlock {
    fn from(given: PublicAccessBlockConfiguration) -> Self {
        Self {
            block_public_acls: given.block_public_acls.unwrap_or(false),
            ignore_public_acls: given.ignore_public_acls.unwrap_or(false),
            block_public_policy: given.block_public_policy.unwrap_or(false),
            restrict_public_buckets: given.restrict_public_buckets.unwrap_or(false),
        }
    }
}

impl LocalS3 {
    pub(crate) async fn access_block(
        &self,
        input: GetPublicAccessBlockInput,
    ) -> Result<GetPublicAccessBlockOutput> {
        let missing = || {
            let code = S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into());
            Error::refused(code, "The public access block configuration was not found")
        };
        let block = self.settings(input.bucket).await?.access_block.ok_or_else(missing)?;
        let told = PublicAccessBlockConfiguration {
            block_public_acls: Some(block.block_public_acls),
            ignore_public_acls: Some(block.ignore_public_acls),
            block_public_policy: Some(block.block_public_policy),
            restrict_public_buckets: Some(block.restrict_public_buckets),
        };
        Ok(GetPublicAccessBlockOutput { public_access_block_configuration: Some(told) })
    }

    pub(crate) async fn put_access_block(
        &self,
        input: PutPublicAccessBlockInput,
    ) -> Result<PutPublicAccessBlockOutput> {
        let block = AccessBlock::from(input.public_access_block_configuration);
        self.set_access_block(input.bucket, Some(block)).await?;
        Ok(PutPublicAccessBlockOutput {})
    }

    pub(crate) async fn delete_access_block(
        &self,
        input: DeletePublicAccessBlockInput,
    ) -> Result<DeletePublicAccessBlockOutput> {
        self.set_access_block(input.bucket, None).await?;
        Ok(DeletePublicAccessBlockOutput {})
    }

    async fn set_access_block(&self, bucket: String, block: Option<AccessBlock>) -> Result<()> {
        self.set(bucket, move |settings| {
            settings.access_block = block;
            Ok(())
        })
        .await
    }
}
