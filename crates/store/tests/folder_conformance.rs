//! Runs the conformance suite on a folder, by `file:` URLs and as a bucket.
#![cfg(feature = "conformance")]

use abanico_store::{FolderBucket, FolderStore, ObjectUrl, conformance};

#[tokio::test]
async fn folder_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new([folder.path().to_owned()]).unwrap();
    conformance::run(&store, |name| ObjectUrl::File(folder.path().join(name))).await;
}

#[tokio::test]
async fn folder_as_a_bucket_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = FolderBucket::new(folder.path()).unwrap();
    conformance::run(&bucket, |name| ObjectUrl::s3("any", name)).await;
}
