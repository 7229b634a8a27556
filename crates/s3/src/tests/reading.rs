//! Tests of GetObject and HeadObject: which bytes they return and what they refuse.

use super::*;
use s3s::dto::{HeadObjectInput, Range};

async fn ten_bytes() -> Fixture {
    let fixture = fixture().await;
    fixture.put("k", "0123456789").await;
    fixture
}

fn ranged(range: Range) -> GetObjectInput {
    GetObjectInput { range: Some(range), ..Fixture::get_input("k") }
}

#[tokio::test]
async fn range_returns_exactly_its_bytes() {
    let fixture = ten_bytes().await;
    let int = |first, last| Range::Int { first, last };
    let cases = [
        (int(0, Some(0)), "0", "bytes 0-0/10"),
        (int(3, Some(5)), "345", "bytes 3-5/10"),
        (int(9, None), "9", "bytes 9-9/10"),
        (int(8, Some(99)), "89", "bytes 8-9/10"),
        (Range::Suffix { length: 2 }, "89", "bytes 8-9/10"),
        (Range::Suffix { length: 99 }, "0123456789", "bytes 0-9/10"),
    ];
    for (range, bytes, content_range) in cases {
        assert_eq!(fixture.get(ranged(range)).await.unwrap(), bytes.as_bytes(), "{range:?}");
        let told = fixture.s3.get(ranged(range)).await.unwrap();
        assert_eq!(told.content_range.as_deref(), Some(content_range));
        assert_eq!(told.content_length, Some(bytes.len() as i64));
    }
    for range in [int(10, None), int(10, Some(11)), int(5, Some(4)), Range::Suffix { length: 0 }] {
        assert_eq!(code(fixture.get(ranged(range)).await), "InvalidRange", "{range:?}");
    }
}

#[tokio::test]
async fn empty_object_has_no_range() {
    let fixture = fixture().await;
    fixture.put("k", "").await;
    assert_eq!(fixture.bytes("k").await.unwrap(), b"");
    assert_eq!(code(fixture.get(ranged(Range::Int { first: 0, last: None })).await), "InvalidRange");
}

#[tokio::test]
async fn range_can_cross_the_parts_of_an_object() {
    let fixture = fixture().await;
    let id = fixture.begin("k").await;
    let first = fixture.part("k", &id, 1, vec![1; 5 << 20]).await.unwrap();
    let second = fixture.part("k", &id, 2, "end").await.unwrap();
    fixture.complete("k", &id, vec![listed(1, &first), listed(2, &second)]).await.unwrap();
    let across = Range::Int { first: (5 << 20) - 2, last: Some(5 << 20) };
    assert_eq!(fixture.get(ranged(across)).await.unwrap(), [1, 1, b'e']);
    let head = |part_number| {
        let (bucket, key) = (BUCKET.to_owned(), "k".to_owned());
        fixture.s3.head(HeadObjectInput { bucket, key, part_number, ..Default::default() })
    };
    let told = head(Some(2)).await.unwrap();
    assert_eq!(
        (told.output.content_length, told.output.parts_count, told.is_partial),
        (Some(3), Some(2), true)
    );
    assert_eq!(code(head(Some(3)).await), "InvalidRange");
    assert!(!head(None).await.unwrap().is_partial);
}

#[tokio::test]
async fn conditions_outrank_the_range() {
    let fixture = ten_bytes().await;
    let etag = "\"781e5e245d69b566979b86e28d23f2c7\"";
    let beyond = || ranged(Range::Int { first: 99, last: None });
    let mut unchanged = beyond();
    unchanged.if_none_match = Some(etag.parse().unwrap());
    assert_eq!(code(fixture.get(unchanged).await), "NotModified");
    let mut other = beyond();
    other.if_match = Some("\"other\"".parse().unwrap());
    assert_eq!(code(fixture.get(other).await), "PreconditionFailed");
    let mut same = beyond();
    same.if_match = Some(etag.parse().unwrap());
    assert_eq!(code(fixture.get(same).await), "InvalidRange");
    let mut missing = Fixture::get_input("none");
    missing.if_none_match = Some("*".parse().unwrap());
    assert_eq!(code(fixture.get(missing).await), "NoSuchKey");
}

/// Changes the first byte of an object's only blob.
fn damage(fixture: &Fixture, key: &str) {
    let found =
        fixture.s3.inner.index.read_now(|reader| crate::index::record::object(reader, BUCKET, key)).unwrap();
    let path = fixture.s3.inner.blobs.path(&found.record.pieces[0].blob);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn damaged_bytes_are_not_sent_to_their_end() {
    let fixture = fixture().await;
    // Several reads: what comes before the last one is on its way already.
    fixture.put("k", vec![7; 600 << 10]).await;
    fixture.put("sound", "sound").await;
    damage(&fixture, "k");
    let mut body = fixture.s3.get(Fixture::get_input("k")).await.unwrap().body.unwrap();
    let (mut sent, mut broken) = (0, None);
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => sent += chunk.len(),
            Err(error) => {
                broken = Some(error.to_string());
                break;
            }
        }
    }
    assert!(sent < 600 << 10 && broken.unwrap().contains("`media/k`"), "{sent} bytes");
    assert_eq!(fixture.bytes("sound").await.unwrap(), b"sound");
}

#[tokio::test]
async fn damaged_bytes_are_no_input_of_a_job() {
    use abanico_store::ObjectStore as _;
    let fixture = ten_bytes().await;
    let place = tempfile::tempdir().unwrap();
    let fetch =
        async |name: &str| fixture.s3.fetch(&"s3://media/k".parse().unwrap(), &place.path().join(name)).await;
    fetch("good").await.unwrap();
    damage(&fixture, "k");
    let error = fetch("bad").await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("not those that were stored"), "{error}");
    assert!(!place.path().join("bad").exists());
}

#[tokio::test]
async fn cut_blob_is_told_at_the_start() {
    let fixture = ten_bytes().await;
    fixture.put("sound", "sound").await;
    let taken =
        || crate::upkeep::stocktaking::take(&fixture.s3.inner.index, &fixture.s3.inner.blobs).unwrap().broken;
    assert!(taken().is_empty());
    let found =
        fixture.s3.inner.index.read_now(|reader| crate::index::record::object(reader, BUCKET, "k")).unwrap();
    let path = fixture.s3.inner.blobs.path(&found.record.pieces[0].blob);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "01234").unwrap();
    assert_eq!(taken(), ["media/k"]);
}
