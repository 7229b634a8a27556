//! Writes the metrics of the disk and of what the buckets have. Buckets beyond the first hundred count together.

use std::time::{Duration, Instant};

use abanico_engine::DiskOutlook;
use abanico_s3::{BucketUse, LocalS3};
use tokio::sync::Mutex;

use super::text::Text;

/// Most buckets that have labels of their own.
const MOST_BUCKETS: usize = 100;
/// How long a look at the buckets is good enough: each one reads every object's row.
const FRESH: Duration = Duration::from_secs(60);
/// Name of the buckets that are counted together. No bucket can have it.
const OTHERS: &str = "(others)";

/// The last look at the buckets.
#[derive(Default)]
pub(crate) struct Buckets(Mutex<Option<(Instant, Vec<BucketUse>)>>);

impl Buckets {
    /// Returns what the buckets have, at most a minute old.
    ///
    /// # Errors
    /// Fails if the objects' index cannot be read.
    pub(super) async fn look(&self, s3: &LocalS3) -> Result<Vec<BucketUse>, abanico_s3::Error> {
        let mut last = self.0.lock().await;
        if let Some((at, uses)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(uses.clone());
        }
        let uses = bounded(s3.bucket_uses().await?);
        *last = Some((Instant::now(), uses.clone()));
        Ok(uses)
    }
}

fn bounded(mut uses: Vec<BucketUse>) -> Vec<BucketUse> {
    let others = uses.split_off(uses.len().min(MOST_BUCKETS));
    if !others.is_empty() {
        let objects = others.iter().map(|bucket| bucket.objects).sum();
        let bytes = others.iter().map(|bucket| bucket.bytes).sum();
        uses.push(BucketUse { name: OTHERS.to_owned(), objects, bytes });
    }
    uses
}

/// Writes what the buckets have.
pub(super) fn write_buckets(text: &mut Text, buckets: &[BucketUse]) {
    text.head("abanico_bucket_objects", "gauge", "Objects by bucket, at most a minute old.");
    for bucket in buckets {
        text.sample("abanico_bucket_objects", &[("bucket", &bucket.name)], bucket.objects);
    }
    text.head("abanico_bucket_bytes", "gauge", "Size of all objects by bucket, at most a minute old.");
    for bucket in buckets {
        text.sample("abanico_bucket_bytes", &[("bucket", &bucket.name)], bucket.bytes);
    }
}

/// Writes what is known about the disk of the data folder.
pub(super) fn write_disk(text: &mut Text, disk: &DiskOutlook) {
    text.head("abanico_disk_free_bytes", "gauge", "Free bytes on the disk of the data folder.");
    text.sample("abanico_disk_free_bytes", &[], disk.free_bytes);
    text.head("abanico_disk_size_bytes", "gauge", "Size of the disk of the data folder.");
    text.sample("abanico_disk_size_bytes", &[], disk.size_bytes);
    text.head(
        "abanico_disk_needed_bytes",
        "gauge",
        "What running and waiting jobs are going to need, by estimate.",
    );
    text.sample("abanico_disk_needed_bytes", &[], disk.needed_bytes);
    text.head(
        "abanico_disk_full_in_seconds",
        "gauge",
        "When the disk is full at the pace of the last hour; absent if it does not fill.",
    );
    if let Some(full_in) = disk.full_in {
        text.sample("abanico_disk_full_in_seconds", &[], full_in.as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_buckets_make_no_more_labels() {
        let bucket = |number: u64| BucketUse { name: format!("b{number:04}"), objects: 1, bytes: 2 };
        let uses = bounded((0..250).map(bucket).collect());
        assert_eq!(uses.len(), MOST_BUCKETS + 1);
        assert_eq!(uses[MOST_BUCKETS], BucketUse { name: OTHERS.to_owned(), objects: 150, bytes: 300 });
        assert_eq!(bounded((0..3).map(bucket).collect()).len(), 3);
    }

    #[test]
    fn pace_is_told_only_if_the_disk_fills() {
        let told = |full_in| {
            let mut text = Text::default();
            write_disk(&mut text, &DiskOutlook { full_in, ..DiskOutlook::default() });
            text.0.contains("\nabanico_disk_full_in_seconds ")
        };
        assert!(told(Some(Duration::from_secs(9))) && !told(None));
    }
}
