//! What takes room, and which uploads count as left incomplete.

use super::*;
use abanico_process::clock::wall_ms;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

impl Fixture {
    /// Makes an upload and its parts as old as this.
    async fn age(&self, id: &str, upload_ms: i64, parts_ms: i64) {
        let id = id.to_owned();
        let write = self.s3.inner.index.write(move |transaction| {
            let now = wall_ms();
            transaction
                .execute("UPDATE uploads SET created_ms = ?2 WHERE id = ?1", (&id, now - upload_ms))?;
            transaction
                .execute("UPDATE parts SET modified_ms = ?2 WHERE upload = ?1", (&id, now - parts_ms))?;
            Ok(())
        });
        write.await.unwrap();
    }

    async fn open_keys(&self) -> Vec<String> {
        let read = self.s3.inner.index.read(|reader| {
            let mut statement = reader.prepare("SELECT key FROM uploads ORDER BY key")?;
            let keys = statement.query_map([], |row| row.get(0))?;
            Ok(keys.collect::<rusqlite::Result<_>>()?)
        });
        read.await.unwrap()
    }
}

#[tokio::test]
async fn only_uploads_that_got_nothing_for_days_are_aborted() {
    let fixture = fixture().await;
    let ages = [
        ("left", 8, 8),
        ("slow", 30, 6),
        ("new", 1, 1),
        // The clock was ahead when they began, or is set back now.
        ("future", -30, -30),
    ];
    for (key, upload_days, part_days) in ages {
        let id = fixture.begin(key).await;
        fixture.part(key, &id, 1, "part").await.unwrap();
        fixture.age(&id, upload_days * DAY_MS, part_days * DAY_MS).await;
    }
    let empty = fixture.begin("left empty").await;
    fixture.age(&empty, 8 * DAY_MS, 0).await;
    let found = fixture.s3.storage_use().await.unwrap().uploads;
    assert_eq!((found.count, found.bytes, found.removable_bytes), (5, 16, 4));
    assert_eq!(fixture.s3.abort_stale_uploads().await.unwrap(), 2);
    assert_eq!(fixture.open_keys().await, ["future", "new", "slow"]);
    assert_eq!(fixture.files(), (3, 0), "the part's blob is gone");
    assert_eq!(fixture.s3.abort_stale_uploads().await.unwrap(), 0);
}

#[tokio::test]
async fn upload_with_many_parts_goes_bit_by_bit() {
    let fixture = fixture().await;
    let id = fixture.begin("film").await;
    for number in 1..=230 {
        fixture.part("film", &id, number, "x").await.unwrap();
    }
    fixture.age(&id, 8 * DAY_MS, 8 * DAY_MS).await;
    assert_eq!(fixture.s3.abort_stale_uploads().await.unwrap(), 1);
    assert_eq!((fixture.open_keys().await.len(), fixture.files()), (0, (0, 0)));
}

#[tokio::test]
async fn no_upload_is_aborted_without_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { upload_days: 0, ..Options::default() };
    let s3 = LocalS3::open(folder.path(), options).unwrap();
    s3.ensure_bucket(BUCKET).await.unwrap();
    let fixture = Fixture { s3, folder };
    let id = fixture.begin("film").await;
    fixture.age(&id, 999 * DAY_MS, 0).await;
    assert_eq!(fixture.s3.abort_stale_uploads().await.unwrap(), 0);
    assert_eq!(fixture.s3.storage_use().await.unwrap().uploads.removable_bytes, 0);
}

#[tokio::test]
async fn buckets_tell_their_objects_and_bytes() {
    let fixture = fixture().await;
    fixture.s3.ensure_bucket("empty").await.unwrap();
    fixture.put("a", "12345").await;
    fixture.s3.copy(copy_input("a", "b")).await.unwrap();
    let uses = fixture.s3.bucket_uses().await.unwrap();
    let told: Vec<_> =
        uses.iter().map(|bucket| (bucket.name.as_str(), bucket.objects, bucket.bytes)).collect();
    assert_eq!(told, [("empty", 0, 0), (BUCKET, 2, 10)]);
    assert!(fixture.s3.storage_use().await.unwrap().index_bytes > 0);
}
