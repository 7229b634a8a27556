//! Tests of publications: objects that become visible together and are taken back together, with their events, blobs
//! and whatever other clients do in between.

use abanico_store::{
    ErrorKind as StoreErrorKind, NewFile, ObjectAttributes, ObjectStore, ObjectUrl, Publication,
};
use s3s::dto::{DeleteObjectInput, HeadObjectInput};

use super::*;
use crate::FsckOptions;
use crate::fsck;
use crate::index::blocking;

/// What a client sees of an object: its content, ETag, type and time.
type Visible = (Vec<u8>, String, Option<String>, String);

impl Fixture {
    /// Stages these keys; each one's content is `ID KEY`.
    async fn stage(&self, id: &str, keys: &[&str]) -> Publication {
        let publication = Publication::new(id, self.folder.path().join("notes"));
        let scratch = tempfile::tempdir().unwrap();
        let attributes =
            ObjectAttributes { content_type: Some("video/mp4".to_owned()), ..ObjectAttributes::default() };
        let mut files = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            let source = scratch.path().join(number.to_string());
            std::fs::write(&source, format!("{id} {key}")).unwrap();
            let url = ObjectUrl::s3(BUCKET, *key);
            files.push(NewFile { source, url, attributes: attributes.clone(), turn: 0 });
        }
        self.s3.stage(&publication, &files).await.unwrap();
        publication
    }

    async fn visible(&self, key: &str) -> Option<Visible> {
        let content = self.bytes(key).await.ok()?;
        let input = HeadObjectInput { bucket: BUCKET.to_owned(), key: key.to_owned(), ..Default::default() };
        let head = self.s3.head(input).await.unwrap().output;
        let time = format!("{:?}", head.last_modified);
        Some((content, head.e_tag.unwrap().value().to_owned(), head.content_type, time))
    }

    async fn text(&self, key: &str) -> String {
        self.bytes(key).await.map_or_else(|_| "nothing".to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    async fn delete(&self, key: &str) {
        let input =
            DeleteObjectInput { bucket: BUCKET.to_owned(), key: key.to_owned(), ..Default::default() };
        self.s3.delete_one(input).await.unwrap();
    }

    /// Returns the number of rows in the tables of publications.
    async fn rows(&self) -> i64 {
        let sql = "SELECT (SELECT COUNT(*) FROM publications) + (SELECT COUNT(*) FROM staged) + (SELECT COUNT(*) FROM replaced)";
        self.s3
            .inner
            .index
            .read(move |reader| Ok(reader.query_row(sql, [], |row| row.get(0))?))
            .await
            .unwrap()
    }

    /// Closes and opens the endpoint, as after a crash: nothing is carried over in memory.
    async fn reopened(self) -> Self {
        let Self { s3, folder } = self;
        drop(s3);
        let s3 = open(folder.path());
        Self { s3, folder }
    }
}

#[tokio::test]
async fn replaced_object_comes_back_exactly() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    let mut input = put_input("a", "old a");
    input.content_type = Some("text/plain".to_owned());
    fixture.s3.put(request(input)).await.unwrap();
    let before = fixture.visible("a").await;
    let publication = fixture.stage("1-a", &["a", "b"]).await;
    let fixture = fixture.reopened().await;
    assert_eq!(
        fixture.visible("a").await,
        before,
        "staging changes nothing, and a restart keeps what is staged"
    );
    assert_eq!(fixture.s3.outbox().due(i64::MAX, 9).await.unwrap().len(), 1);
    fixture.s3.switch(&publication).await.unwrap();
    assert_eq!([fixture.text("a").await, fixture.text("b").await], ["1-a a", "1-a b"]);
    let due = fixture.s3.outbox().due(i64::MAX, 9).await.unwrap();
    assert_eq!(due.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
    assert_eq!(fixture.s3.outbox().reconcile().await.unwrap(), 0, "each version has had its event");
    let fixture = fixture.reopened().await;
    fixture.s3.take_back(&publication).await.unwrap();
    assert_eq!(fixture.visible("a").await, before);
    assert_eq!(fixture.text("b").await, "nothing");
    assert_eq!(fixture.s3.outbox().due(i64::MAX, 9).await.unwrap().len(), 1, "only the old event is left");
    assert_eq!(fixture.s3.outbox().reconcile().await.unwrap(), 0);
    assert_eq!((fixture.files().0, fixture.rows().await), (1, 0));
}

#[tokio::test]
async fn sequencers_of_a_set_are_those_of_single_objects() {
    let fixture = fixture().await;
    fixture.s3.set_triggers(vec![trigger("all", "", "", "encode")]).await.unwrap();
    fixture.put("a", "1").await;
    let publication = fixture.stage("1-a", &["b", "c"]).await;
    fixture.s3.switch(&publication).await.unwrap();
    fixture.put("d", "4").await;
    let due = fixture.s3.outbox().due(i64::MAX, 9).await.unwrap();
    let sequencers: Vec<String> = due
        .iter()
        .map(|entry| {
            entry.event.pointer("/Records/0/s3/object/sequencer").unwrap().as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(sequencers, [1, 2, 3, 4].map(|number| format!("{number:018X}")));
}

#[tokio::test]
async fn settled_publication_leaves_only_its_objects() {
    let fixture = fixture().await;
    fixture.put("a", "old a").await;
    let publication = fixture.stage("1-a", &["a", "b"]).await;
    fixture.s3.switch(&publication).await.unwrap();
    assert_eq!(fixture.files().0, 3, "what was replaced is kept");
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.s3.open_publications().await.unwrap(), ["1-a"]);
    fixture.s3.settle(&publication).await.unwrap();
    assert_eq!((fixture.files().0, fixture.rows().await), (2, 0));
    assert_eq!([fixture.text("a").await, fixture.text("b").await], ["1-a a", "1-a b"]);
}

#[tokio::test]
async fn staged_objects_that_nobody_switches_leave_nothing() {
    let fixture = fixture().await;
    for settles in [true, false] {
        let publication = fixture.stage("1-a", &["a", "b"]).await;
        assert_eq!(fixture.files().0, 2);
        match settles {
            true => fixture.s3.settle(&publication).await.unwrap(),
            false => fixture.s3.take_back(&publication).await.unwrap(),
        }
        assert_eq!((fixture.files().0, fixture.rows().await), (0, 0));
    }
}

#[tokio::test]
async fn what_others_did_since_stays() {
    let fixture = fixture().await;
    for key in ["a", "b", "c"] {
        fixture.put(key, "old").await;
    }
    let publication = fixture.stage("1-a", &["a", "b", "c", "d"]).await;
    fixture.s3.switch(&publication).await.unwrap();
    fixture.put("a", "theirs").await;
    fixture.delete("b").await;
    fixture.s3.copy(copy_input("d", "e")).await.unwrap();
    fixture.s3.take_back(&publication).await.unwrap();
    let mut seen = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        seen.push(fixture.text(key).await);
    }
    assert_eq!(seen, ["theirs", "nothing", "old", "nothing", "1-a d"]);
    assert_eq!((fixture.files().0, fixture.rows().await), (3, 0));
}

#[tokio::test]
async fn taking_back_reaches_through_a_later_publication() {
    for (first_back, second_back, a, b) in
        [(true, true, "old", "nothing"), (true, false, "2-b a", "2-b b"), (false, true, "1-a a", "1-a b")]
    {
        for first_goes_first in [true, false] {
            let fixture = fixture().await;
            fixture.put("a", "old").await;
            let first = fixture.stage("1-a", &["a", "b"]).await;
            let second = fixture.stage("2-b", &["a", "b"]).await;
            fixture.s3.switch(&first).await.unwrap();
            fixture.s3.switch(&second).await.unwrap();
            let mut ends = [(first, first_back), (second, second_back)];
            if !first_goes_first {
                ends.reverse();
            }
            for (publication, is_taken_back) in &ends {
                match is_taken_back {
                    true => fixture.s3.take_back(publication).await.unwrap(),
                    false => fixture.s3.settle(publication).await.unwrap(),
                }
            }
            let seen = (fixture.text("a").await, fixture.text("b").await);
            assert_eq!(seen, (a.to_owned(), b.to_owned()), "{first_back} {second_back} {first_goes_first}");
            let blobs = usize::from(a != "nothing") + usize::from(b != "nothing");
            assert_eq!((fixture.files().0, fixture.rows().await), (blobs, 0));
        }
    }
}

#[tokio::test]
async fn missing_bucket_makes_nothing_visible() {
    let fixture = fixture().await;
    fixture.s3.ensure_bucket("other").await.unwrap();
    let publication = fixture.stage("1-a", &["a"]).await;
    let source = fixture.folder.path().join("source");
    std::fs::write(&source, "x").unwrap();
    let attributes = ObjectAttributes::default();
    let file = |bucket: &str| NewFile {
        source: source.clone(),
        url: ObjectUrl::s3(bucket, "z"),
        attributes: attributes.clone(),
        turn: 0,
    };
    let refused = fixture.s3.stage(&publication, &[file("nowhere")]).await.unwrap_err();
    assert_eq!((refused.kind(), refused.is_retryable()), (StoreErrorKind::NotFound, false));
    assert_eq!(
        fixture.s3.check(&ObjectUrl::s3("nowhere", "z")).await.unwrap_err().kind(),
        StoreErrorKind::NotFound
    );
    fixture.s3.stage(&publication, &[file("other")]).await.unwrap();
    let sql = "DELETE FROM buckets WHERE name = 'other'";
    fixture.s3.inner.index.write(move |it| Ok(it.execute(sql, [])?)).await.unwrap();
    let refused = fixture.s3.switch(&publication).await.unwrap_err();
    assert_eq!((refused.kind(), refused.is_retryable()), (StoreErrorKind::NotFound, false));
    assert_eq!(fixture.text("a").await, "nothing");
    fixture.s3.take_back(&publication).await.unwrap();
    assert_eq!((fixture.files().0, fixture.rows().await), (0, 0));
}

#[tokio::test]
async fn failed_switch_changes_nothing() {
    let fixture = fixture().await;
    fixture.put("b", "old b").await;
    let publication = fixture.stage("1-a", &["a", "b"]).await;
    let wreck = "CREATE TRIGGER wreck BEFORE UPDATE ON publications BEGIN SELECT RAISE(ABORT, 'x'); END";
    fixture.s3.inner.index.write(move |it| Ok(it.execute_batch(wreck)?)).await.unwrap();
    assert!(fixture.s3.switch(&publication).await.is_err());
    assert_eq!([fixture.text("a").await, fixture.text("b").await], ["nothing", "old b"]);
    fixture.s3.inner.index.write(move |it| Ok(it.execute_batch("DROP TRIGGER wreck")?)).await.unwrap();
    fixture.s3.switch(&publication).await.unwrap();
    assert_eq!([fixture.text("a").await, fixture.text("b").await], ["1-a a", "1-a b"]);
}

#[tokio::test]
async fn readers_see_the_old_set_or_the_new_one() {
    let fixture = fixture().await;
    let keys: Vec<String> = (0..200).map(|number| format!("segment {number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let first = fixture.stage("1-a", &keys).await;
    fixture.s3.switch(&first).await.unwrap();
    fixture.s3.settle(&first).await.unwrap();
    let second = fixture.stage("2-b", &keys).await;
    let index = fixture.s3.inner.index.clone();
    let reading = tokio::spawn(blocking(move || {
        let mut counts = std::collections::BTreeSet::new();
        // Reads until it has seen the switch.
        for _ in 0..1_000_000 {
            let sql = "SELECT COUNT(DISTINCT modified_ms) FROM objects";
            let times: i64 = index.read_now(|reader| Ok(reader.query_row(sql, [], |row| row.get(0))?))?;
            counts.insert(times);
            let sql = "SELECT MAX(sequencer) FROM objects";
            let newest: String = index.read_now(|reader| Ok(reader.query_row(sql, [], |row| row.get(0))?))?;
            if newest > format!("{:018X}", 200) {
                break;
            }
        }
        Ok(counts)
    }));
    fixture.s3.switch(&second).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), [1].into(), "never some of each");
}

#[tokio::test]
async fn labels_tell_what_stands_there_after_each_end() {
    for settles in [true, false] {
        let fixture = fixture().await;
        fixture.put("a", "old a").await;
        let publication = fixture.stage("1-a", &["a", "b"]).await;
        fixture.s3.switch(&publication).await.unwrap();
        match settles {
            true => fixture.s3.settle(&publication).await.unwrap(),
            false => fixture.s3.take_back(&publication).await.unwrap(),
        }
        let expected = [fixture.text("a").await, fixture.text("b").await];
        let Fixture { s3, folder } = fixture;
        s3.close().await.unwrap();
        drop(s3);
        let options = FsckOptions { repair: false, verify: true };
        let report = fsck(folder.path(), options).unwrap();
        assert!(report.is_clean(), "{settles}: {:?}", report.findings);
        // The index is lost: the labels alone say what stood there.
        std::fs::remove_file(folder.path().join("index.db")).unwrap();
        fsck(folder.path(), FsckOptions { repair: true, verify: false }).unwrap();
        let fixture = Fixture { s3: open(folder.path()), folder };
        assert_eq!([fixture.text("a").await, fixture.text("b").await], expected, "{settles}");
    }
}

#[tokio::test]
async fn tags_that_were_set_since_do_not_keep_an_object() {
    let fixture = fixture().await;
    fixture.put("a", "old a").await;
    let publication = fixture.stage("1-a", &["a"]).await;
    fixture.s3.switch(&publication).await.unwrap();
    let tag = s3s::dto::Tag { key: Some("k".to_owned()), value: Some("v".to_owned()) };
    let tagging = s3s::dto::Tagging { tag_set: vec![tag] };
    let mut input = s3s::dto::PutObjectTaggingInput::builder();
    input.set_bucket(BUCKET.to_owned());
    input.set_key("a".to_owned());
    input.set_tagging(tagging);
    fixture.s3.put_tags(input.build().unwrap()).await.unwrap();
    fixture.s3.take_back(&publication).await.unwrap();
    assert_eq!((fixture.text("a").await, fixture.files().0), ("old a".to_owned(), 1));
    fixture.s3.sweep().await.unwrap();
    let labels: i64 = {
        let sql = "SELECT COUNT(*) FROM labels";
        let read = fixture.s3.inner.index.read(move |it| Ok(it.query_row(sql, [], |row| row.get(0))?));
        read.await.unwrap()
    };
    assert_eq!(labels, 1, "only the label of the old object is left");
}

/// A repair for any other reason must leave a job what it needs to go on.
#[tokio::test]
async fn repair_keeps_open_publications() {
    for (switches, labels_decide, takes_back) in [
        (false, false, true),
        (false, true, false),
        (true, false, true),
        (true, true, true),
        (true, false, false),
    ] {
        let case = format!("{switches} {labels_decide} {takes_back}");
        let fixture = fixture().await;
        fixture.put("a", "old a").await;
        fixture.put("c", "c").await;
        let publication = fixture.stage("1-a", &["a", "b"]).await;
        if switches {
            fixture.s3.switch(&publication).await.unwrap();
        }
        let Fixture { s3, folder } = fixture;
        s3.close().await.unwrap();
        drop(s3);
        let verify = FsckOptions { repair: false, verify: true };
        assert!(fsck(folder.path(), verify).unwrap().is_clean(), "{case}");
        let index = rusqlite::Connection::open(folder.path().join("index.db")).unwrap();
        if labels_decide {
            index.execute("UPDATE objects SET etag = 'x' WHERE key = 'c'", []).unwrap();
        } else {
            index.execute("UPDATE objects SET label = NULL WHERE key = 'c'", []).unwrap();
        }
        drop(index);
        let report = fsck(folder.path(), FsckOptions { repair: true, verify: false }).unwrap();
        assert!(report.repaired.is_some_and(|repaired| repaired.old_index.is_some()), "{case}");
        let fixture = Fixture { s3: open(folder.path()), folder };
        assert_eq!(fixture.s3.open_publications().await.unwrap(), ["1-a"], "{case}");
        let expected = if takes_back {
            fixture.s3.take_back(&publication).await.unwrap();
            ["old a", "nothing", "c"]
        } else {
            fixture.s3.switch(&publication).await.unwrap();
            fixture.s3.settle(&publication).await.unwrap();
            ["1-a a", "1-a b", "c"]
        };
        let visible = [fixture.text("a").await, fixture.text("b").await, fixture.text("c").await];
        assert_eq!(visible, expected, "{case}");
        assert_eq!(fixture.rows().await, 0, "{case}");
        let blobs = expected.iter().filter(|text| **text != "nothing").count();
        assert_eq!(fixture.files().0, blobs, "{case}");
    }
}

/// The count of a blob that only a publication uses is damaged, so that a sweep would remove it.
#[tokio::test]
async fn blob_of_a_publication_that_is_counted_as_unused_stays() {
    for table in ["replaced", "staged"] {
        let fixture = fixture().await;
        fixture.put("a", "old a").await;
        let publication = fixture.stage("1-a", &["a"]).await;
        if table == "replaced" {
            fixture.s3.switch(&publication).await.unwrap();
        }
        let sql = format!(
            "UPDATE blobs SET refs = 0 WHERE id IN (SELECT json_extract(record, '$.pieces[0].blob') FROM {table})"
        );
        let changed = fixture.s3.inner.index.write(move |it| Ok(it.execute(&sql, [])?)).await.unwrap();
        assert_eq!(changed, 1, "{table}");
        let fixture = fixture.reopened().await;
        assert_eq!((fixture.s3.sweep().await.unwrap(), fixture.files().0), (0, 2), "{table}");
    }
}
