//! Tests of multipart uploads: what a completion refuses, what remains after it, and what is left on disk.

use super::*;
use s3s::dto::{AbortMultipartUploadInput, ListMultipartUploadsInput, ListPartsInput, UploadPartCopyInput};

/// S3's minimum size of every part but the last.
const LEAST: usize = 5 << 20;

fn part_of(byte: u8, length: usize) -> Vec<u8> {
    vec![byte; length]
}

fn abort_input(key: &str, id: &str) -> AbortMultipartUploadInput {
    let (bucket, key, upload_id) = (BUCKET.to_owned(), key.to_owned(), id.to_owned());
    AbortMultipartUploadInput { bucket, key, upload_id, ..Default::default() }
}

impl Fixture {
    /// Returns the numbers of an upload's parts.
    async fn numbers(&self, key: &str, id: &str) -> Vec<i32> {
        let (bucket, key, upload_id) = (BUCKET.to_owned(), key.to_owned(), id.to_owned());
        let input = ListPartsInput { bucket, key, upload_id, ..Default::default() };
        let parts = self.s3.upload_parts(input).await.unwrap().parts.unwrap();
        parts.into_iter().filter_map(|part| part.part_number).collect()
    }

    async fn uploads_under_way(&self) -> usize {
        let input = ListMultipartUploadsInput { bucket: BUCKET.to_owned(), ..Default::default() };
        self.s3.uploads(input).await.unwrap().uploads.unwrap().len()
    }
}

#[tokio::test]
async fn parts_with_gaps_join_in_number_order() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    // The parts are sent in a different order than they are joined.
    let last = fixture.part("k", &id, 10_000, "end").await.unwrap();
    let second = fixture.part("k", &id, 70, part_of(2, LEAST)).await.unwrap();
    let first = fixture.part("k", &id, 3, part_of(1, LEAST)).await.unwrap();
    let parts = vec![listed(3, &first), listed(70, &second), listed(10_000, &last)];
    let etag = fixture.complete("k", &id, parts).await.unwrap().e_tag.unwrap();
    assert!(etag.value().ends_with("-3"), "{}", etag.value());
    let whole = [part_of(1, LEAST), part_of(2, LEAST), b"end".to_vec()].concat();
    assert!(fixture.bytes("k").await.unwrap() == whole);
    let mut by_part = Fixture::get_input("k");
    by_part.part_number = Some(10_000);
    assert_eq!(fixture.get(by_part).await.unwrap(), b"end");
}

#[tokio::test]
async fn etag_is_the_md5_of_the_part_md5s() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    let etag = fixture.part("k", &id, 1, "").await.unwrap();
    assert_eq!(etag, "d41d8cd98f00b204e9800998ecf8427e", "MD5 of no bytes");
    let told = fixture.complete("k", &id, vec![listed(1, &etag)]).await.unwrap();
    // MD5 of the sixteen bytes above, as `printf d41d…427e | xxd -r -p | md5sum` prints it.
    assert_eq!(told.e_tag.unwrap().value(), "59adb24ef3cdbe0297f05b395827453f-1");
    assert!(fixture.bytes("k").await.unwrap().is_empty());
}

#[tokio::test]
async fn refused_completion_leaves_the_upload_unchanged() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    let small = fixture.part("k", &id, 1, "small").await.unwrap();
    let last = fixture.part("k", &id, 2, "last").await.unwrap();
    let wrong = "0".repeat(32);
    let mut wrong_sum = listed(1, &small);
    wrong_sum.checksum_crc64nvme = Some("AAAAAAAAAAA=".to_owned());
    let no_etag = CompletedPart { part_number: Some(1), ..Default::default() };
    let cases = [
        ("MalformedXML", vec![]),
        ("InvalidPartOrder", vec![listed(2, &last), listed(1, &small)]),
        ("InvalidPartOrder", vec![listed(1, &small), listed(1, &small)]),
        ("InvalidPart", vec![listed(1, &wrong)]),
        ("InvalidPart", vec![listed(1, &small), listed(3, &last)]),
        ("InvalidPart", vec![wrong_sum]),
        ("InvalidPart", vec![no_etag]),
        ("EntityTooSmall", vec![listed(1, &small), listed(2, &last)]),
    ];
    for (expected, parts) in cases {
        let numbers: Vec<_> = parts.iter().map(|part| part.part_number).collect();
        assert_eq!(code(fixture.complete("k", &id, parts).await), expected, "{numbers:?}");
    }
    assert_eq!(code(fixture.bytes("k").await), "NoSuchKey");
    assert_eq!(fixture.numbers("k", &id).await, [1, 2]);
    assert_eq!(code(fixture.complete("k", &id, vec![listed(2, &last)]).await), "success");
    assert_eq!(fixture.bytes("k").await.unwrap(), b"last");
}

#[tokio::test]
async fn part_below_the_minimum_size_is_refused() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    let below = fixture.part("k", &id, 1, part_of(1, LEAST - 1)).await.unwrap();
    let last = fixture.part("k", &id, 2, "x").await.unwrap();
    let refused = fixture.complete("k", &id, vec![listed(1, &below), listed(2, &last)]).await;
    assert_eq!(code(refused), "EntityTooSmall");
    let least = fixture.part("k", &id, 1, part_of(1, LEAST)).await.unwrap();
    let taken = fixture.complete("k", &id, vec![listed(1, &least), listed(2, &last)]).await;
    assert_eq!(code(taken), "success");
    assert_eq!(fixture.files(), (2, 0), "the replaced part is gone");
}

#[tokio::test]
async fn repeated_completion_gets_the_same_answer() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    let id = fixture.begin("k").await;
    let etag = fixture.part("k", &id, 1, "body").await.unwrap();
    let first = fixture.complete("k", &id, vec![listed(1, &etag)]).await.unwrap();
    fixture.put("k", "newer").await;
    let again = fixture.complete("k", &id, vec![listed(1, &etag)]).await.unwrap();
    assert_eq!((again.e_tag, again.checksum_crc64nvme), (first.e_tag, first.checksum_crc64nvme));
    assert_eq!(fixture.bytes("k").await.unwrap(), b"newer", "a retry replaces nothing");
    assert_eq!(fixture.s3.outbox().due(i64::MAX, 10).await.unwrap().len(), 2);
    assert_eq!((fixture.uploads_under_way().await, fixture.files()), (0, (1, 0)));
}

#[tokio::test]
async fn completed_upload_takes_no_parts_or_aborts() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    let etag = fixture.part("k", &id, 1, "body").await.unwrap();
    fixture.complete("k", &id, vec![listed(1, &etag)]).await.unwrap();
    assert_eq!(code(fixture.part("k", &id, 2, "late").await), "NoSuchUpload");
    assert_eq!(code(fixture.s3.abort(abort_input("k", &id)).await), "NoSuchUpload");
    assert_eq!((fixture.bytes("k").await.unwrap(), fixture.files()), (b"body".to_vec(), (1, 0)));
}

#[tokio::test]
async fn abort_leaves_no_file_and_no_upload() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    for number in 1..=3 {
        fixture.part("k", &id, number, "body").await.unwrap();
    }
    assert_eq!((fixture.files(), fixture.uploads_under_way().await), ((3, 0), 1));
    fixture.s3.abort(abort_input("k", &id)).await.unwrap();
    assert_eq!((fixture.files(), fixture.uploads_under_way().await), ((0, 0), 0));
    assert_eq!(code(fixture.part("k", &id, 1, "late").await), "NoSuchUpload");
    assert_eq!(code(fixture.complete("k", &id, vec![]).await), "NoSuchUpload");
    assert_eq!(fixture.files(), (0, 0));
}

#[tokio::test]
async fn upload_belongs_to_its_key_only() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    let etag = fixture.part("k", &id, 1, "body").await.unwrap();
    assert_eq!(code(fixture.part("other", &id, 1, "x").await), "NoSuchUpload");
    assert_eq!(code(fixture.complete("other", &id, vec![listed(1, &etag)]).await), "NoSuchUpload");
    assert_eq!(code(fixture.s3.abort(abort_input("other", &id)).await), "NoSuchUpload");
    assert_eq!(code(fixture.part("k", &id, 0, "x").await), "InvalidArgument");
    assert_eq!(fixture.files(), (1, 0));
}

#[tokio::test]
async fn failed_completion_keeps_the_upload_across_a_restart() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    let etag = fixture.part("k", &id, 1, "body").await.unwrap();
    // Makes the last statement of the completion fail, after all the others have run in the transaction.
    let wreck =
        "CREATE TRIGGER wreck BEFORE UPDATE OF completed ON uploads BEGIN SELECT RAISE(ABORT, 'x'); END";
    fixture.s3.inner.index.write(move |it| Ok(it.execute_batch(wreck)?)).await.unwrap();
    let failed = fixture.complete("k", &id, vec![listed(1, &etag)]).await.err().unwrap();
    assert_eq!(failed.kind(), crate::ErrorKind::Unavailable);
    assert_eq!((code(fixture.bytes("k").await), fixture.files()), ("NoSuchKey".to_owned(), (1, 0)));
    let Fixture { s3, folder } = fixture;
    drop(s3);
    let fixture = Fixture { s3: open(folder.path()), folder };
    assert_eq!((fixture.numbers("k", &id).await, fixture.files()), (vec![1], (1, 0)));
    fixture.s3.inner.index.write(|it| Ok(it.execute_batch("DROP TRIGGER wreck")?)).await.unwrap();
    fixture.complete("k", &id, vec![listed(1, &etag)]).await.unwrap();
    assert_eq!(fixture.bytes("k").await.unwrap(), b"body");
}

#[tokio::test]
async fn completion_with_a_failed_condition_keeps_parts() {
    let fixture = fixture().await;
    fixture.put("k", "old").await;
    let id = fixture.begin("k").await;
    let etag = fixture.part("k", &id, 1, "new").await.unwrap();
    let input = CompleteMultipartUploadInput {
        bucket: BUCKET.to_owned(),
        key: "k".to_owned(),
        upload_id: id.clone(),
        multipart_upload: Some(CompletedMultipartUpload { parts: Some(vec![listed(1, &etag)]) }),
        if_none_match: Some("*".parse().unwrap()),
        ..Default::default()
    };
    assert_eq!(code(fixture.s3.complete(request(input)).await), "PreconditionFailed");
    assert_eq!((fixture.bytes("k").await.unwrap(), fixture.files()), (b"old".to_vec(), (2, 0)));
    assert_eq!(fixture.numbers("k", &id).await, [1]);
}

#[tokio::test]
async fn copied_part_outlives_its_source() {
    let fixture = fixture().await;
    fixture.put("source", "0123456789").await;
    let id = fixture.begin("k").await;
    let copy = |range: &str| {
        let source = CopySource::Bucket { bucket: BUCKET.into(), key: "source".into(), version_id: None };
        let mut input = UploadPartCopyInput::builder();
        input.set_bucket(BUCKET.to_owned());
        input.set_key("k".to_owned());
        input.set_upload_id(id.clone());
        input.set_part_number(1);
        input.set_copy_source(source);
        input.set_copy_source_range(Some(range.to_owned()));
        fixture.s3.copy_part(input.build().unwrap())
    };
    assert_eq!(code(copy("bytes=3-10").await), "InvalidArgument");
    let etag = copy("bytes=3-5").await.unwrap().copy_part_result.unwrap().e_tag.unwrap();
    assert_eq!(fixture.files(), (1, 0), "no byte is copied");
    fixture.complete("k", &id, vec![listed(1, etag.value())]).await.unwrap();
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["source".to_owned()]).await.unwrap();
    assert_eq!(fixture.bytes("k").await.unwrap(), b"345");
    fixture.s3.delete_keys(BUCKET.to_owned(), vec!["k".to_owned()]).await.unwrap();
    assert_eq!(fixture.files(), (0, 0));
}

#[tokio::test]
async fn part_pages_have_no_gap_or_overlap() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    for number in [9, 2, 5, 7, 4] {
        fixture.part("k", &id, number, "x").await.unwrap();
    }
    let (mut told, mut marker) = (Vec::new(), None);
    for _ in 0..5 {
        let input = ListPartsInput {
            bucket: BUCKET.to_owned(),
            key: "k".to_owned(),
            upload_id: id.clone(),
            max_parts: Some(2),
            part_number_marker: marker,
            ..Default::default()
        };
        let page = fixture.s3.upload_parts(input).await.unwrap();
        told.push(page.parts.unwrap().into_iter().filter_map(|part| part.part_number).collect::<Vec<_>>());
        marker = page.next_part_number_marker;
        assert_eq!(page.is_truncated, Some(marker.is_some()));
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(told, [vec![2, 4], vec![5, 7], vec![9]]);
}

#[tokio::test]
async fn lists_tell_who_began_an_upload() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    let owner = crate::objects::list::owner().id;
    let all = ListMultipartUploadsInput { bucket: BUCKET.to_owned(), ..Default::default() };
    let upload = fixture.s3.uploads(all).await.unwrap().uploads.unwrap().remove(0);
    assert_eq!(upload.initiator.unwrap().id, owner);
    assert_eq!(upload.owner.unwrap().id, owner);
    let parts = ListPartsInput {
        bucket: BUCKET.to_owned(),
        key: "k".to_owned(),
        upload_id: id,
        ..Default::default()
    };
    let parts = fixture.s3.upload_parts(parts).await.unwrap();
    assert_eq!((parts.initiator.unwrap().id, parts.owner.unwrap().id), (owner.clone(), owner));
}
