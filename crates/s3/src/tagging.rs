//! Parses, stores, returns and deletes the tags of objects. It changes nothing else about an object.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use rusqlite::{Transaction, params};
use s3s::S3ErrorCode;
use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutObjectTaggingInput, PutObjectTaggingOutput, Tag, Tagging,
};
use s3s::xml::{Deserialize as _, Deserializer};

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::record::{object, to_text};

/// S3's limits.
const TAGS_MAX: usize = 10;
const KEY_MAX_CHARS: usize = 128;
const VALUE_MAX_CHARS: usize = 256;

type Tags = Vec<(String, String)>;

/// Parses the `x-amz-tagging` header, which has the form of a query string.
pub(crate) fn parse_tags(header: Option<&str>) -> Result<Tags> {
    let pairs = header.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let text = percent_decode_str(&text).decode_utf8().map(|text| text.into_owned());
        text.map_err(|_| Error::refused(S3ErrorCode::InvalidTag, "a tag is not valid UTF-8"))
    };
    let pairs = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(key)?, decode(value)?))
    });
    checked(pairs.collect::<Result<_>>()?)
}

/// Parses the document with tags that a form may have.
pub(crate) fn parse_tag_document(text: &str) -> Result<Tags> {
    let malformed = || {
        let message =
            "The XML you provided was not well-formed or did not validate against our published schema";
        Error::refused(S3ErrorCode::MalformedXML, message)
    };
    let mut document = Deserializer::new(text.as_bytes());
    let tagging = Tagging::deserialize(&mut document).map_err(|_| malformed())?;
    let tags = tagging.tag_set.into_iter();
    checked(tags.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect())
}

fn checked(tags: Tags) -> Result<Tags> {
    let wrong = |message: &str| Err(Error::refused(S3ErrorCode::InvalidTag, message));
    if tags.len() > TAGS_MAX {
        return Err(Error::refused(S3ErrorCode::InvalidTag, "an object can have at most 10 tags"));
    }
    let mut keys = HashSet::new();
    for (key, value) in &tags {
        if key.is_empty() || key.chars().count() > KEY_MAX_CHARS || value.chars().count() > VALUE_MAX_CHARS {
            return wrong("a tag's key must have 1 to 128 characters, its value at most 256");
        }
        if !keys.insert(key) {
            return wrong("a tag key occurs more than once");
        }
    }
    Ok(tags)
}

fn set_tags(transaction: &Transaction<'_>, bucket: &str, key: &str, tags: Tags) -> Result<()> {
    let mut record = object(transaction, bucket, key)?.record;
    record.attributes.tags = tags;
    transaction
        .prepare_cached("UPDATE objects SET record = ?3 WHERE bucket = ?1 AND key = ?2")?
        .execute(params![bucket, key, to_text(&record)])?;
    Ok(())
}

impl LocalS3 {
    pub(crate) async fn tags(&self, input: GetObjectTaggingInput) -> Result<GetObjectTaggingOutput> {
        let found = self.inner.index.read(move |reader| object(reader, &input.bucket, &input.key)).await?;
        let tags = found.record.attributes.tags.into_iter();
        let tag_set = tags.map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
        Ok(GetObjectTaggingOutput { tag_set, version_id: None })
    }

    pub(crate) async fn put_tags(&self, input: PutObjectTaggingInput) -> Result<PutObjectTaggingOutput> {
        let tags = input.tagging.tag_set.into_iter();
        let tags =
            checked(tags.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect())?;
        let write =
            self.inner.index.write(move |transaction| set_tags(transaction, &input.bucket, &input.key, tags));
        write.await?;
        Ok(PutObjectTaggingOutput::default())
    }

    pub(crate) async fn delete_tags(
        &self,
        input: DeleteObjectTaggingInput,
    ) -> Result<DeleteObjectTaggingOutput> {
        let write = self
            .inner
            .index
            .write(move |transaction| set_tags(transaction, &input.bucket, &input.key, Tags::new()));
        write.await?;
        Ok(DeleteObjectTaggingOutput::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_parses_as_a_query_within_limits() {
        let tags = parse_tags(Some("a=1&b+c=d%26e&f")).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(tags, [pair("a", "1"), pair("b c", "d&e"), pair("f", "")]);
        assert_eq!(parse_tags(None).unwrap(), []);
        for wrong in ["a=1&a=2", "=1", &"k".repeat(129), &format!("k={}", "v".repeat(257)), "%ff=1"] {
            assert_eq!(parse_tags(Some(wrong)).unwrap_err().s3_code(), "InvalidTag", "{wrong}");
        }
        let many: Vec<_> = (0..11).map(|index| format!("k{index}=v")).collect();
        assert!(parse_tags(Some(&many.join("&"))).is_err());
    }
}
