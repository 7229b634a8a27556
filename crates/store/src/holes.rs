//! Fills a file with some ranges of an object. The file has the object's length, and what was not fetched is a hole that
//! reads as zeros and takes no disk space.
//!
//! It does not know what the bytes mean: the caller says which ones are needed.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::task::spawn_blocking;

use crate::{Error, MOST_RANGE_BYTES, ObjectMeta, ObjectStore, ObjectUrl};

/// How ranges are fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FillOptions {
    /// Two ranges with at most this many bytes between them become one request: a request costs more than these bytes.
    pub merge_bytes: u64,
    /// Maximum length of one request, so that several can run side by side and each fits into memory. At least 1, and
    /// at most [`MOST_RANGE_BYTES`].
    pub request_bytes: u64,
    /// Maximum number of requests at once, at least 1.
    pub requests_at_once: usize,
    /// How often a request is made before its failure is told, at least 1. Only failures that may pass are tried again.
    pub attempts: u32,
    /// Pause before the second attempt. It doubles with each further one.
    pub pause: Duration,
}

impl Default for FillOptions {
    /// 128 KiB to merge, 8 MiB a request, 4 requests at once, 4 attempts, 200 ms.
    fn default() -> Self {
        Self {
            merge_bytes: 128 << 10,
            request_bytes: 8 << 20,
            requests_at_once: 4,
            attempts: 4,
            pause: Duration::from_millis(200),
        }
    }
}

impl FillOptions {
    /// Returns the ranges of the requests that fetch `ranges` of an object of `size_bytes`: in order, without overlaps,
    /// near ones merged, long ones cut. What lies after the object's end is left out.
    pub fn requests(&self, ranges: &[Range<u64>], size_bytes: u64) -> Vec<Range<u64>> {
        let mut sorted: Vec<Range<u64>> = ranges
            .iter()
            .map(|range| range.start..range.end.min(size_bytes))
            .filter(|range| range.start < range.end)
            .collect();
        sorted.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(self.merge_bytes) => {
                    last.end = last.end.max(range.end);
                }
                _ => merged.push(range),
            }
        }
        let length = self.request_bytes.clamp(1, MOST_RANGE_BYTES);
        let cut = |range: Range<u64>| {
            (range.start..range.end)
                .step_by(usize::try_from(length).unwrap_or(usize::MAX))
                .map(move |start| start..range.end.min(start.saturating_add(length)))
        };
        merged.into_iter().flat_map(cut).collect()
    }
}

/// What [`fill`] has fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filled {
    /// Number of bytes that came from the store.
    pub bytes: u64,
    /// Number of ranges that were asked for, without repeated attempts.
    pub requests: usize,
}

/// Makes the file `destination`, which must not exist yet, with the length of `object` and its bytes in `ranges`. `known`
/// are bytes that were read before, with their positions; they are not fetched again if no range has them.
///
/// The object must still be the one that `object` describes: its entity tag goes with each request. In a store without
/// such tags, only a change of the size is noticed, where a range ends after the object. The file is not flushed to
/// disk. If the future fails or is dropped, the file is removed.
///
/// # Errors
/// Returns [`crate::ErrorKind::Changed`] if the object was replaced, and the rest as [`ObjectStore::read_range`]. A
/// failure of the local disk is retryable.
pub async fn fill(
    store: &dyn ObjectStore,
    object: &ObjectMeta,
    ranges: &[Range<u64>],
    known: &[(u64, Bytes)],
    destination: &Path,
    options: &FillOptions,
) -> Result<Filled, Error> {
    let url = &object.url;
    let (path, size_bytes, known) = (destination.to_owned(), object.size_bytes, known.to_vec());
    let begun = spawn_blocking(move || Unfinished::begin(path, size_bytes, &known)).await;
    let begun = begun.map_err(|error| Error::unavailable(url, error))?;
    let unfinished = begun.map_err(|error| Error::unavailable(url, error))?;
    let requests = options.requests(ranges, size_bytes);
    let each = requests.iter().cloned().map(|range| {
        let file = unfinished.file.clone();
        async move {
            let bytes = read_patiently(store, object, range.clone(), options).await?;
            written(url, file, range.start, bytes).await
        }
    });
    let lengths = futures::stream::iter(each).buffer_unordered(options.requests_at_once.max(1));
    let bytes = lengths.try_fold(0, async |sum, length| Ok(sum + length)).await?;
    unfinished.finish();
    Ok(Filled { bytes, requests: requests.len() })
}

async fn written(url: &ObjectUrl, file: Arc<File>, at: u64, bytes: Bytes) -> Result<u64, Error> {
    let length = bytes.len() as u64;
    let write = spawn_blocking(move || file.write_all_at(&bytes, at)).await;
    let done = write.map_err(|error| Error::unavailable(url, error))?;
    done.map(|()| length).map_err(|error| Error::unavailable(url, error))
}

/// Reads a range, and tries again if the failure may pass.
async fn read_patiently(
    store: &dyn ObjectStore,
    object: &ObjectMeta,
    range: Range<u64>,
    options: &FillOptions,
) -> Result<Bytes, Error> {
    let mut pause = options.pause;
    for _ in 1..options.attempts {
        match store.read_range(&object.url, range.clone(), object.e_tag.as_deref()).await {
            Err(error) if error.is_retryable() => tokio::time::sleep(pause).await,
            done => return done,
        }
        pause = pause.saturating_mul(2);
    }
    store.read_range(&object.url, range, object.e_tag.as_deref()).await
}

/// A file that is removed unless it is finished.
struct Unfinished {
    file: Arc<File>,
    path: Option<PathBuf>,
}

impl Unfinished {
    /// Creates the file. Blocking.
    fn begin(path: PathBuf, size_bytes: u64, known: &[(u64, Bytes)]) -> std::io::Result<Self> {
        let file = Arc::new(File::create_new(&path)?);
        let unfinished = Self { file, path: Some(path) };
        unfinished.file.set_len(size_bytes)?;
        for (at, bytes) in known {
            let inside =
                usize::try_from(size_bytes.saturating_sub(*at)).unwrap_or(usize::MAX).min(bytes.len());
            unfinished.file.write_all_at(&bytes[..inside], *at)?;
        }
        Ok(unfinished)
    }

    fn finish(mut self) {
        self.path = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // A write that still runs goes to a file without a name.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: FillOptions = FillOptions {
        merge_bytes: 5,
        request_bytes: 20,
        requests_at_once: 2,
        attempts: 3,
        pause: Duration::from_millis(1),
    };

    /// Returns the requests for ranges of a file of 100 bytes. Both are written as pairs of start and end.
    fn requests(wanted: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let wanted: Vec<Range<u64>> = wanted.iter().map(|(start, end)| *start..*end).collect();
        OPTIONS.requests(&wanted, 100).into_iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn near_ranges_are_merged_and_long_ones_cut() {
        assert_eq!(requests(&[(10, 12), (17, 20)]), [(10, 20)]);
        assert_eq!(requests(&[(10, 12), (18, 20)]), [(10, 12), (18, 20)]);
        assert_eq!(requests(&[(18, 20), (10, 12), (11, 19)]), [(10, 20)]);
        assert_eq!(requests(&[(0, 45)]), [(0, 20), (20, 40), (40, 45)]);
        assert_eq!(requests(&[(90, 200), (150, 160), (7, 7)]), [(90, 100)]);
        assert_eq!(requests(&[(5, 30), (6, 8)]), [(5, 25), (25, 30)]);
    }
}
