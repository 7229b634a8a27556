//! Stores, returns and deletes the tags of buckets. They have no effect.

use s3s::S3ErrorCode;
use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, GetBucketTaggingInput, GetBucketTaggingOutput,
    PutBucketTaggingInput, PutBucketTaggingOutput, Tag,
};

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::tagging::{Tags, checked};

/// S3's limit on the tags of a bucket.
const TAGS_MAX: usize = 50;

impl LocalS3 {
    pub(crate) async fn bucket_tags(&self, input: GetBucketTaggingInput) -> Result<GetBucketTaggingOutput> {
        let tags = self.settings(input.bucket).await?.tags;
        if tags.is_empty() {
            return Err(Error::refused(S3ErrorCode::NoSuchTagSet, "The TagSet does not exist"));
        }
        let tags = tags.into_iter();
        let tag_set = tags.map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
        Ok(GetBucketTaggingOutput { tag_set })
    }

    pub(crate) async fn put_bucket_tags(
        &self,
        input: PutBucketTaggingInput,
    ) -> Result<PutBucketTaggingOutput> {
        let tags = input.tagging.tag_set.into_iter();
        let tags = tags.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect();
        self.set_bucket_tags(input.bucket, checked(tags, TAGS_MAX)?).await?;
        Ok(PutBucketTaggingOutput {})
    }

    pub(crate) async fn delete_bucket_tags(
        &self,
        input: DeleteBucketTaggingInput,
    ) -> Result<DeleteBucketTaggingOutput> {
        self.set_bucket_tags(input.bucket, Tags::new()).await?;
        Ok(DeleteBucketTaggingOutput {})
    }

    async fn set_bucket_tags(&self, bucket: String, tags: Tags) -> Result<()> {
        self.set(bucket, move |settings| {
            settings.tags = tags;
            Ok(())
        })
        .await
    }
}
