//! Stores, returns and deletes the tags of buckets. They have no effect.

use s3s::S3ErrorCode;
use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, GetBucketTaggingInput, GetBucketTaggingOutput,
    PutBucketTaggingInput, PutBucketTaggingOutput, Tag,
};
use s3s::xml::{DeResult, DeserializeContent, Deserializer};

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::objects::tagging::{Tags, checked, malformed, pairs};

/// S3's limit on the tags of a bucket.
const TAGS_MAX: usize = 50;

/// What `s3s` skips in the document of a CreateBucket.
struct NewTags(Vec<Tag>);

impl<'xml> DeserializeContent<'xml> for NewTags {
    fn deserialize_content(document: &mut Deserializer<'xml>) -> DeResult<Self> {
        fn skip(document: &mut Deserializer<'_>) -> DeResult {
            document.for_each_element(|document, _| skip(document))
        }
        let mut tags = Vec::new();
        document.for_each_element(|document, name| {
            if name != b"Tags" {
                return skip(document);
            }
            tags.extend(document.list_content("Tag")?);
            Ok(())
        })?;
        Ok(Self(tags))
    }
}

/// Returns the tags in the document of a CreateBucket, which may be empty.
///
/// # Errors
/// Fails if they are malformed or beyond S3's limits.
pub(crate) fn new_tags(document: &[u8]) -> Result<Tags> {
    if document.trim_ascii().is_empty() {
        return Ok(Tags::new());
    }
    let read = Deserializer::new(document).element(|document, _| NewTags::deserialize_content(document));
    let NewTags(tags) = read.map_err(|_| malformed())?;
    checked(pairs(tags), TAGS_MAX)
}

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
        let tags = checked(pairs(input.tagging.tag_set), TAGS_MAX)?;
        self.set_bucket_tags(input.bucket, tags).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inside: &str) -> std::result::Result<Tags, String> {
        let text = format!(
            "<?xml version=\"1.0\"?><CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             {inside}</CreateBucketConfiguration>"
        );
        new_tags(text.as_bytes()).map_err(|error| error.s3_code().to_owned())
    }

    #[test]
    fn document_of_a_new_bucket_may_have_tags() {
        let place = "<LocationConstraint>eu-west-1</LocationConstraint><Location><Type>x</Type></Location>";
        let tag = |key: &str| format!("<Tag><Key>{key}</Key><Value>a &amp; b</Value></Tag>");
        let found = read(&format!("{place}<Tags>{}{}</Tags>", tag("one"), tag("two"))).unwrap();
        let pair = |key: &str| (key.to_owned(), "a & b".to_owned());
        assert_eq!(found, [pair("one"), pair("two")]);
        for without in [place, "", "<Tags/>"] {
            assert_eq!(read(without).unwrap(), []);
        }
        assert_eq!(new_tags(b"").unwrap(), []);
    }

    #[test]
    fn tags_of_a_new_bucket_have_limits() {
        let tag = |key: &str| format!("<Tags><Tag><Key>{key}</Key><Value/></Tag></Tags>");
        let wrong = |inside: &str| read(inside).unwrap_err();
        assert_eq!(wrong(&tag("")), "InvalidTag");
        assert_eq!(wrong(&format!("{0}{0}", tag("twice"))), "InvalidTag");
        assert_eq!(wrong(&(0..51).map(|number| tag(&number.to_string())).collect::<String>()), "InvalidTag");
        assert_eq!(wrong("<Tags><Tag><Name>x</Name></Tag></Tags>"), "MalformedXML");
    }
}
