//! Tests of PutObject, CopyObject, tags and deletions.

use super::*;
use s3s::dto::{
    Delete, DeleteObjectInput, DeleteObjectsInput, GetObjectTaggingInput, MetadataDirective, ObjectIdentifier,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_one_of_32_writers_creates_the_object() {
    let fixture = fixture().await;
    let writers = (0..32).map(|writer| {
        let s3 = fixture.s3.clone();
        tokio::spawn(async move {
            let mut input = put_input("k", format!("writer {writer}"));
            input.if_none_match = Some("*".parse().unwrap());
            (writer, s3.put(request(input)).await)
        })
    });
    let mut winners = Vec::new();
    for ended in futures::future::join_all(writers).await {
        match ended.unwrap() {
            (writer, Ok(_)) => winners.push(writer),
            (_, Err(error)) => assert_eq!(error.s3_code(), "PreconditionFailed"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(fixture.bytes("k").await.unwrap(), format!("writer {}", winners[0]).into_bytes());
    assert_eq!(fixture.files(), (1, 0), "the files of the losers are gone");
}

#[tokio::test]
async fn wrong_checksum_leaves_no_object_and_no_file() {
    let fixture = fixture().await;
    // Well-formed checksums of other bytes.
    let sums = [
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-checksum-crc32c", "AAAAAA=="),
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
        ("x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("x-amz-checksum-sha256", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ];
    for (header, sum) in sums {
        let refused = fixture.put_claiming("k", header, sum).await;
        assert_eq!(code(refused), "BadDigest", "{header}");
    }
    let mut wrong_md5 = put_input("k", "body");
    wrong_md5.content_md5 = Some("AAAAAAAAAAAAAAAAAAAAAA==".to_owned());
    assert_eq!(code(fixture.s3.put(request(wrong_md5)).await), "BadDigest");
    let mut too_short = put_input("k", "body");
    too_short.content_length = Some(5);
    assert_eq!(code(fixture.s3.put(request(too_short)).await), "IncompleteBody");
    assert_eq!(code(fixture.bytes("k").await), "NoSuchKey");
    assert_eq!(fixture.files(), (0, 0));
}

#[tokio::test]
async fn refused_replacement_keeps_the_old_bytes() {
    let fixture = fixture().await;
    fixture.put("k", "old").await;
    assert_eq!(code(fixture.put_claiming("k", "x-amz-checksum-crc32", "AAAAAA==").await), "BadDigest");
    let mut other = put_input("k", "new");
    other.if_match = Some("\"00000000000000000000000000000000\"".parse().unwrap());
    assert_eq!(code(fixture.s3.put(request(other)).await), "PreconditionFailed");
    assert_eq!(fixture.bytes("k").await.unwrap(), b"old");
    assert_eq!(fixture.files(), (1, 0));
}

#[tokio::test]
async fn keys_are_names_and_never_paths() {
    let fixture = fixture().await;
    let longest = "k".repeat(1_024);
    let keys = ["a", "a/b", "a/", "a//b", "..", "../../escape", ".", "/", "🎬/día 1.mp4", "%2e", &longest];
    for key in keys {
        fixture.put(key, key.to_owned()).await;
    }
    for key in keys {
        assert_eq!(fixture.bytes(key).await.unwrap(), key.as_bytes(), "{key}");
    }
    assert_eq!(fixture.files(), (keys.len(), 0));
    // The limit counts bytes, not characters.
    for key in ["k".repeat(1_025), "é".repeat(513)] {
        assert_eq!(code(fixture.s3.put(request(put_input(&key, "x"))).await), "KeyTooLongError");
    }
}

#[tokio::test]
async fn put_needs_an_existing_bucket() {
    let fixture = fixture().await;
    let mut input = put_input("k", "x");
    input.bucket = "other".to_owned();
    assert_eq!(code(fixture.s3.put(request(input)).await), "NoSuchBucket");
    assert_eq!(fixture.files(), (0, 0));
}

#[tokio::test]
async fn copy_shares_the_blob_and_outlives_its_source() {
    let fixture = fixture().await;
    let mut input = put_input("k", "body");
    input.content_type = Some("video/mp4".to_owned());
    input.tagging = Some("kind=film".to_owned());
    let etag = fixture.s3.put(request(input)).await.unwrap().e_tag;
    let copied = fixture.s3.copy(copy_input("k", "copy")).await.unwrap();
    assert_eq!(copied.copy_object_result.unwrap().e_tag, etag);
    assert_eq!(fixture.files(), (1, 0));
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["k".to_owned()]).await.unwrap();
    assert_eq!(fixture.bytes("copy").await.unwrap(), b"body");
    let found = fixture.s3.get(Fixture::get_input("copy")).await.unwrap();
    assert_eq!((found.content_type.as_deref(), found.tag_count), (Some("video/mp4"), Some(1)));
    drop(found);
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["copy".to_owned()]).await.unwrap();
    assert_eq!(fixture.files(), (0, 0));
}

#[tokio::test]
async fn copy_onto_itself_needs_new_metadata() {
    let fixture = fixture().await;
    fixture.put("k", "body").await;
    assert_eq!(code(fixture.s3.copy(copy_input("k", "k")).await), "InvalidRequest");
    let mut input = copy_input("k", "k");
    input.metadata_directive = Some(MetadataDirective::from_static(MetadataDirective::REPLACE));
    input.content_type = Some("text/plain".to_owned());
    fixture.s3.copy(input).await.unwrap();
    let found = fixture.s3.get(Fixture::get_input("k")).await.unwrap();
    assert_eq!(found.content_type.as_deref(), Some("text/plain"));
    assert_eq!((fixture.bytes("k").await.unwrap(), fixture.files()), (b"body".to_vec(), (1, 0)));
}

#[tokio::test]
async fn copy_checks_the_conditions_on_its_source() {
    let fixture = fixture().await;
    assert_eq!(code(fixture.s3.copy(copy_input("none", "copy")).await), "NoSuchKey");
    fixture.put("k", "body").await;
    let mut input = copy_input("k", "copy");
    input.copy_source_if_match = Some("\"other\"".parse().unwrap());
    assert_eq!(code(fixture.s3.copy(input).await), "PreconditionFailed");
    let mut input = copy_input("k", "copy");
    input.copy_source_if_none_match = Some("*".parse().unwrap());
    assert_eq!(code(fixture.s3.copy(input).await), "PreconditionFailed", "not 304");
    assert_eq!(code(fixture.bytes("copy").await), "NoSuchKey");
}

#[tokio::test]
async fn delete_ignores_missing_objects_but_checks_conditions() {
    let fixture = fixture().await;
    let delete = |key: &str, etag: Option<&str>| {
        let if_match = etag.map(|etag| etag.parse().unwrap());
        let (bucket, key) = (BUCKET.to_owned(), key.to_owned());
        fixture.s3.delete_one(DeleteObjectInput { bucket, key, if_match, ..Default::default() })
    };
    assert_eq!(code(delete("none", None).await), "success");
    fixture.put("k", "body").await;
    assert_eq!(code(delete("k", Some("\"other\"")).await), "PreconditionFailed");
    assert_eq!(fixture.bytes("k").await.unwrap(), b"body");
    assert_eq!(code(delete("k", Some("*")).await), "success");
    assert_eq!((code(fixture.bytes("k").await), fixture.files()), ("NoSuchKey".to_owned(), (0, 0)));
}

#[tokio::test]
async fn delete_objects_reports_each_key() {
    let fixture = fixture().await;
    fixture.put("a", "1").await;
    fixture.put("b", "2").await;
    let too_long = "k".repeat(1_025);
    let objects =
        ["a", "none", &too_long].map(|key| ObjectIdentifier { key: key.to_owned(), ..Default::default() });
    let mut input = DeleteObjectsInput::builder();
    input.set_bucket(BUCKET.to_owned());
    input.set_delete(Delete { objects: objects.to_vec(), quiet: None });
    let told = fixture.s3.delete_many(input.build().unwrap()).await.unwrap();
    let deleted: Vec<_> = told.deleted.unwrap().into_iter().filter_map(|it| it.key).collect();
    assert_eq!(deleted, ["a", "none"]);
    assert_eq!(told.errors.unwrap()[0].code.as_deref(), Some("KeyTooLongError"));
    assert_eq!((code(fixture.bytes("a").await), fixture.files()), ("NoSuchKey".to_owned(), (1, 0)));
}

#[tokio::test]
async fn replacing_an_object_removes_its_tags() {
    let fixture = fixture().await;
    let mut input = put_input("k", "1");
    input.tagging = Some("a=1&b=2".to_owned());
    fixture.s3.put(request(input)).await.unwrap();
    let tags = || async {
        let (bucket, key) = (BUCKET.to_owned(), "k".to_owned());
        let input = GetObjectTaggingInput { bucket, key, ..Default::default() };
        fixture.s3.tags(input).await.unwrap().tag_set.len()
    };
    assert_eq!(tags().await, 2);
    fixture.put("k", "2").await;
    assert_eq!(tags().await, 0);
}

#[tokio::test]
async fn copy_obeys_conditions_on_its_target() {
    let fixture = fixture().await;
    fixture.put("source", "new").await;
    let old = fixture.put("target", "old").await.e_tag.unwrap();
    let copy = |if_match: Option<&str>, if_none_match: Option<&str>| {
        let condition = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let target =
            WriteConditions { if_match: condition(if_match), if_none_match: condition(if_none_match) };
        fixture.s3.copy_if(copy_input("source", "target"), target)
    };
    assert_eq!(code(copy(None, Some("*")).await), "PreconditionFailed");
    assert_eq!(code(copy(Some("\"other\""), None).await), "PreconditionFailed");
    assert_eq!(fixture.bytes("target").await.unwrap(), b"old");
    assert_eq!(code(copy(Some(&format!("\"{}\"", old.value())), None).await), "success");
    assert_eq!(fixture.bytes("target").await.unwrap(), b"new");
}

#[tokio::test]
async fn copy_computes_the_checksum_that_is_wanted() {
    let fixture = fixture().await;
    fixture.put("source", "123456789").await;
    let mut input = copy_input("source", "copy");
    input.checksum_algorithm = Some("CRC32".to_owned().into());
    let result = fixture.s3.copy(input).await.unwrap().copy_object_result.unwrap();
    assert_eq!((result.checksum_crc32.as_deref(), result.checksum_crc64nvme), (Some("y/Q5Jg=="), None));
    let plain = fixture.s3.copy(copy_input("source", "plain")).await.unwrap().copy_object_result.unwrap();
    assert!(plain.checksum_crc64nvme.is_some(), "without a wish, it keeps the source's");
}

#[tokio::test]
async fn other_version_of_a_key_is_not_deleted() {
    let fixture = fixture().await;
    fixture.put("k", "x").await;
    let object = |version: &str| ObjectIdentifier {
        key: "k".to_owned(),
        version_id: Some(version.to_owned()),
        ..Default::default()
    };
    let delete = |version: &str| {
        let delete = Delete { objects: vec![object(version)], quiet: Some(true) };
        let mut input = DeleteObjectsInput::builder();
        input.set_bucket(BUCKET.to_owned());
        input.set_delete(delete);
        fixture.s3.delete_many(input.build().unwrap())
    };
    let errors = delete("3sL4kqtJlcpXroDTDmJ").await.unwrap().errors.unwrap();
    assert_eq!(errors[0].code.as_deref(), Some("NoSuchVersion"));
    assert_eq!(fixture.bytes("k").await.unwrap(), b"x");
    assert!(delete("null").await.unwrap().errors.is_none());
    assert_eq!(code(fixture.bytes("k").await), "NoSuchKey");
}
