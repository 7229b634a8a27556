//! Pages of objects, and what all back ends check before they list, delete or read a range.

use std::ops::Range;
use std::time::SystemTime;

use crate::{Error, ErrorKind, ObjectMeta, ObjectStore, ObjectUrl};

/// Maximum number of objects in a page, and of those that one deletion takes: S3's own limit.
pub const MOST_LISTED: usize = 1_000;

/// Maximum length of one range, because its bytes are in memory as a whole: 64 MiB.
pub const MOST_RANGE_BYTES: u64 = 64 << 20;

/// An object of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedObject {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// When it was stored, by the back end's clock; S3 tells seconds.
    pub modified: SystemTime,
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObjectPage {
    /// The objects, in the order of the bytes of their URLs.
    pub objects: Vec<ListedObject>,
    /// What to give to [`ObjectStore::list`] for the next page; `None` if there is none.
    pub next: Option<ObjectUrl>,
}

/// What one call of [`ObjectStore::delete_below`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deletion {
    /// How many objects it has deleted.
    pub objects: usize,
    /// Whether no more were there.
    pub is_complete: bool,
}

/// Deletes all objects whose URLs begin with `folder`, which ends with `/`. Returns how many there were.
///
/// If the future is dropped, some of them stay. Nothing else holds it up: somebody who stores objects there for ever
/// keeps it at work for ever.
///
/// # Errors
/// As for [`ObjectStore::delete_below`].
pub async fn delete_all_below(store: &dyn ObjectStore, folder: &ObjectUrl) -> Result<usize, Error> {
    let mut objects = 0;
    loop {
        let deletion = store.delete_below(folder).await?;
        objects += deletion.objects;
        // A page of objects that cannot be deleted would come again and again.
        if deletion.is_complete || deletion.objects == 0 {
            return Ok(objects);
        }
    }
}

/// Returns bucket and key of a folder on an S3 service.
///
/// # Errors
/// Fails if it is no `s3://` URL, or does not end with `/`.
pub fn folder_key(folder: &ObjectUrl) -> Result<(&str, &str), Error> {
    match folder {
        ObjectUrl::S3 { bucket, key } if key.ends_with('/') => Ok((bucket, key)),
        ObjectUrl::S3 { .. } => Err(no_folder(folder)),
        ObjectUrl::File(_) => Err(Error::place_not_served(folder)),
    }
}

pub(crate) fn no_folder(folder: &ObjectUrl) -> Error {
    let what = "only a folder can be listed or emptied: write its URL with a `/` at the end";
    Error::about(folder, ErrorKind::Unsupported, what)
}

/// Refuses a range that is empty or too long to be held in memory.
///
/// # Errors
/// Returns [`ErrorKind::OutOfRange`].
pub fn check_range(url: &ObjectUrl, range: &Range<u64>) -> Result<(), Error> {
    let length = range.end.saturating_sub(range.start);
    if (1..=MOST_RANGE_BYTES).contains(&length) {
        return Ok(());
    }
    let (first, end) = (range.start, range.end);
    let what = format!(
        "bytes {first} to {end} cannot be read at once: ask for at least one byte and at most {MOST_RANGE_BYTES}"
    );
    Err(Error::about(url, ErrorKind::OutOfRange, &what))
}
