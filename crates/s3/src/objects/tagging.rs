//! Parses, stores, returns and deletes the tags of objects. It changes nothing else about an object.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use s3s::S3ErrorCode;
use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutObjectTaggingInput, PutObjectTaggingOutput, Tag, Tagging,
};
use s3s::xml::{Deserialize as _, Deserializer};

use crate::LocalS3;
use crate::error::{Error, Result};
use crate::index::blocking;
use crate::index::commit::{TRIES, changed_too_often, note_serial, release_label, use_label};
use crate::index::record::{StoredObject, find_object, object};

/// S3's limits.
const TAGS_MAX: usize = 10;
const KEY_MAX_CHARS: usize = 128;
const VALUE_MAX_CHARS: usize = 256;

pub(crate) type Tags = Vec<(String, String)>;

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
    checked(pairs.collect::<Result<_>>()?, TAGS_MAX)
}

/// Parses the document with tags that a form may have.
pub(crate) fn parse_tag_document(text: &str) -> Result<Tags> {
    let mut document = Deserializer::new(text.as_bytes());
    let tagging = Tagging::deserialize(&mut document).map_err(|_| malformed())?;
    checked(pairs(tagging.tag_set), TAGS_MAX)
}

/// Returns the keys and values of tags.
pub(crate) fn pairs(tags: Vec<Tag>) -> Tags {
    tags.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect()
}

/// Refuses a document in AWS's words.
pub(crate) fn malformed() -> Error {
    let message = "The XML you provided was not well-formed or did not validate against our published schema";
    Error::refused(S3ErrorCode::MalformedXML, message)
}

/// Refuses tags beyond S3's limits. `most` is how many there may be.
pub(crate) fn checked(tags: Tags, most: usize) -> Result<Tags> {
    let wrong = |message: &str| Err(Error::refused(S3ErrorCode::InvalidTag, message));
    if tags.len() > most {
        return wrong(&format!("there can be at most {most} tags"));
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

impl LocalS3 {
    pub(crate) async fn tags(&self, input: GetObjectTaggingInput) -> Result<GetObjectTaggingOutput> {
        let version_id = input.version_id;
        let found = self.inner.index.read(move |reader| object(reader, &input.bucket, &input.key)).await?;
        let tags = found.record.attributes.tags.into_iter();
        let tag_set = tags.map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
        Ok(GetObjectTaggingOutput { tag_set, version_id })
    }

    pub(crate) async fn put_tags(&self, input: PutObjectTaggingInput) -> Result<PutObjectTaggingOutput> {
        let tags = checked(pairs(input.tagging.tag_set), TAGS_MAX)?;
        self.set_tags(input.bucket, input.key, tags).await?;
        Ok(PutObjectTaggingOutput { version_id: input.version_id })
    }

    pub(crate) async fn delete_tags(
        &self,
        input: DeleteObjectTaggingInput,
    ) -> Result<DeleteObjectTaggingOutput> {
        self.set_tags(input.bucket, input.key, Tags::new()).await?;
        Ok(DeleteObjectTaggingOutput { version_id: input.version_id })
    }

    /// Replaces the tags of an object, in its row and in its label.
    async fn set_tags(&self, bucket: String, key: String, tags: Tags) -> Result<()> {
        let s3 = self.clone();
        let run = blocking(move || {
            {
                let _turn = s3.inner.keys.hold(&bucket, &key);
                let mut tries = (0..TRIES).map(|_| s3.set_tags_once(&bucket, &key, &tags));
                tries.find_map(Result::transpose).unwrap_or_else(|| Err(changed_too_often()))?;
            }
            s3.sweep_quietly_now();
            Ok(())
        });
        run.await
    }

    /// Returns `None` if the object changed meanwhile. Hold the key. Blocking.
    fn set_tags_once(&self, bucket: &str, key: &str, tags: &Tags) -> Result<Option<()>> {
        let index = &self.inner.index;
        let old = index.read_now(|reader| object(reader, bucket, key))?;
        let mut new = old.clone();
        new.record.attributes.tags.clone_from(tags);
        self.relabel(bucket, key, &old, new)
    }

    /// Replaces an object's row and label by those of `new`. Returns `None` if the row is no longer `old`. Hold the key.
    /// Blocking.
    pub(crate) fn relabel(
        &self,
        bucket: &str,
        key: &str,
        old: &StoredObject,
        new: StoredObject,
    ) -> Result<Option<()>> {
        let serial = self.next_serial();
        let new = self.labelled(serial, bucket, key, new, None, None)?;
        let stored = self.inner.index.write_now(|transaction| {
            if find_object(transaction, bucket, key)?.as_ref() != Some(old) {
                return Ok(None);
            }
            note_serial(transaction, serial)?;
            use_label(transaction, new.label.as_deref())?;
            release_label(transaction, old.label.as_deref())?;
            new.write(transaction, bucket, key).map(Some)
        });
        if !matches!(stored, Ok(Some(())))
            && let Some(label) = &new.label
        {
            self.inner.blobs.remove_label(label);
        }
        stored
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
