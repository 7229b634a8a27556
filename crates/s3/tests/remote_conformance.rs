//! Runs the conformance suite of all stores on the remote S3 store, against the endpoint over a real connection.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::io::Write;

use abanico_s3::{LocalS3, Options};
use abanico_store::{ErrorKind, ObjectAttributes, ObjectStore, ObjectUrl, RemoteOptions, RemoteS3};

/// Serves an endpoint with the bucket `bucket` until the runtime ends. Returns its URL.
async fn serve(folder: &std::path::Path) -> String {
    let s3 = LocalS3::open(folder, Options::default()).unwrap();
    s3.ensure_bucket("bucket").await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = s3.service(vec![("key".to_owned(), "secret".to_owned())]);
    let router = axum::Router::new().fallback_service(service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn remote(endpoint: String, secret: &str) -> RemoteS3 {
    RemoteS3::new(RemoteOptions {
        endpoint: Some(endpoint),
        region: Some("us-east-1".to_owned()),
        allow_http: true,
        keys: Some(("key".to_owned(), secret.to_owned())),
        session_token: None,
    })
}

#[tokio::test]
async fn remote_store_passes_the_conformance_suite() {
    let folder = tempfile::tempdir().unwrap();
    let store = remote(serve(folder.path()).await, "secret");
    abanico_store::conformance::run(&store, |name| ObjectUrl::s3("bucket", name)).await;
}

#[tokio::test]
async fn upload_of_several_parts_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = remote(serve(&folder.path().join("s3")).await, "secret");
    let (source, back) = (folder.path().join("source"), folder.path().join("back"));
    let mut file = std::fs::File::create(&source).unwrap();
    for block in 0..25_u8 {
        file.write_all(&vec![block; 1024 * 1024]).unwrap();
    }
    let url = ObjectUrl::s3("bucket", "big.bin");
    store.publish(&source, &url, &ObjectAttributes::default()).await.unwrap();
    assert_eq!(store.fetch(&url, &back).await.unwrap().size_bytes, 25 * 1024 * 1024);
    assert!(std::fs::read(&source).unwrap() == std::fs::read(&back).unwrap());
}

#[tokio::test]
async fn wrong_secret_and_missing_bucket_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let url = serve(folder.path()).await;
    let denied = remote(url.clone(), "wrong").stat(&ObjectUrl::s3("bucket", "k")).await.unwrap_err();
    assert_eq!((denied.kind(), denied.is_retryable()), (ErrorKind::Denied, false));
    let missing = remote(url, "secret").stat(&ObjectUrl::s3("nowhere", "k")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}
