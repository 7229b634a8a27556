//! Says what takes room in the data folder, and frees what nobody needs, for the operator and `abanico gc`.
//!
//! It only puts together what the S3 endpoint and the engine tell, and asks them to free it.

use abanico_engine::{Engine, EngineStorage, Expired};
use abanico_s3::{LocalS3, StorageUse};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::error_table::Error;
use crate::edge::Edge;

/// One kind of thing that takes room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomUse {
    /// What it is.
    pub what: String,
    /// How many there are.
    pub count: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Bytes that freeing it now would give back.
    pub freeable_bytes: u64,
}

/// What a request to free room did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Freed {
    /// Finished jobs that were deleted.
    pub jobs: u64,
    /// Events that were deleted.
    pub events: u64,
    /// Incomplete uploads that were aborted.
    pub uploads: u64,
    /// Bytes of kept encodes that were removed.
    pub kept_encode_bytes: u64,
}

/// Returns what takes room, given what the S3 endpoint and the engine tell. Work folders can be freed only beside a
/// running engine, which knows what their jobs have published.
pub fn room_uses(objects: Option<&StorageUse>, engine: &EngineStorage, is_running: bool) -> Vec<RoomUse> {
    let row = |what: &str, count: u64, bytes: u64, freeable_bytes: u64| RoomUse {
        what: what.to_owned(),
        count,
        bytes,
        freeable_bytes,
    };
    let mut rows = Vec::new();
    if let Some(objects) = objects {
        let bucket = |bucket: &abanico_s3::BucketUse| {
            row(&format!("objects in {}", bucket.name), bucket.objects, bucket.bytes, 0)
        };
        rows.extend(objects.buckets.iter().map(bucket));
        let held =
            |what: &str, held: abanico_s3::Held| row(what, held.count, held.bytes, held.removable_bytes);
        rows.push(held("incomplete uploads", objects.uploads));
        rows.push(held("files of removed objects", objects.unused_blobs));
        rows.push(held("quarantine", objects.quarantine));
        rows.push(row("index of objects", 1, objects.index_bytes, 0));
    }
    let held = |what: &str, held: abanico_engine::Held, is_free: bool| {
        row(what, held.count, held.bytes, if is_free { held.own_bytes } else { 0 })
    };
    rows.push(held("kept encodes", engine.kept_encodes, true));
    rows.push(held("work of running and waiting jobs", engine.work, false));
    rows.push(held("work that ended jobs left", engine.left_over, is_running));
    // Deleted records leave room inside the file, which later records take.
    rows.push(row("finished jobs", engine.finished_jobs, engine.database_bytes, 0));
    rows.push(row("events, in the same file", engine.events, 0, 0));
    rows
}

/// Frees what nobody needs beside a running engine.
///
/// # Errors
/// Fails if a database or folder cannot be written.
async fn free(engine: &Engine, objects: Option<&LocalS3>) -> Result<Freed, Error> {
    let Expired { jobs, events, encode_bytes } = engine.free().await?;
    let uploads = match objects {
        Some(s3) => free_objects(s3).await.map_err(|error| Error::internal("cannot free room", error))?,
        None => 0,
    };
    Ok(Freed { jobs, events, uploads, kept_encode_bytes: encode_bytes })
}

/// Aborts stale uploads, removes files that no object uses, and empties the quarantine of what is old. Returns the number
/// of uploads.
///
/// # Errors
/// Fails on a disk error.
pub async fn free_objects(s3: &LocalS3) -> Result<u64, abanico_s3::Error> {
    let uploads = s3.abort_stale_uploads().await?;
    s3.sweep().await?;
    s3.purge_quarantine().await?;
    Ok(uploads)
}

async fn look(edge: &Edge) -> Result<Vec<RoomUse>, Error> {
    let engine = edge.engine.storage().await?;
    let objects = match &edge.objects {
        Some(s3) => {
            let told = s3.storage_use().await;
            Some(told.map_err(|error| Error::internal("cannot look at the objects", error))?)
        }
        None => None,
    };
    Ok(room_uses(objects.as_ref(), &engine, true))
}

pub(crate) async fn show(State(edge): State<Edge>) -> Result<Json<Value>, Error> {
    Ok(Json(json!({"room": look(&edge).await?})))
}

pub(crate) async fn free_now(State(edge): State<Edge>) -> Result<Json<Value>, Error> {
    let freed = free(&edge.engine, edge.objects.as_ref()).await?;
    tracing::info!(
        jobs = freed.jobs,
        events = freed.events,
        uploads = freed.uploads,
        size_bytes = freed.kept_encode_bytes,
        "freed room on request"
    );
    Ok(Json(json!({"freed": freed, "room": look(&edge).await?})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_folders_are_freed_only_by_a_running_engine() {
        let held = abanico_engine::Held { count: 1, bytes: 9, own_bytes: 5 };
        let engine = EngineStorage { left_over: held, work: held, kept_encodes: held, ..Default::default() };
        for (is_running, freeable) in [(true, 5), (false, 0)] {
            let rows = room_uses(None, &engine, is_running);
            let of = |what: &str| rows.iter().find(|row| row.what.contains(what)).unwrap().freeable_bytes;
            assert_eq!((of("ended jobs"), of("running"), of("kept")), (freeable, 0, 5));
        }
    }

    #[test]
    fn each_bucket_has_its_row() {
        let bucket = |name: &str| abanico_s3::BucketUse { name: name.to_owned(), objects: 2, bytes: 7 };
        let objects = StorageUse { buckets: vec![bucket("a"), bucket("b")], ..Default::default() };
        let rows = room_uses(Some(&objects), &EngineStorage::default(), true);
        let names: Vec<&str> = rows.iter().map(|row| row.what.as_str()).collect();
        assert_eq!(names[..2], ["objects in a", "objects in b"]);
        assert_eq!((rows[0].count, rows[0].bytes, rows[0].freeable_bytes), (2, 7, 0));
    }
}
