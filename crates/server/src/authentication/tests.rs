use http::HeaderValue;

use super::*;

fn credentials() -> Credentials {
    Credentials::new([
        ("AKIATEST".to_owned(), "wonder secret".to_owned()),
        ("NONE".to_owned(), String::new()),
    ])
}

#[test]
fn only_known_secrets_are_accepted() {
    assert_eq!(credentials().key_of_secret("wonder secret"), Some("AKIATEST"));
    for wrong in ["wonder", "", "wonder secret "] {
        assert_eq!(credentials().key_of_secret(wrong), None, "{wrong}");
    }
    let bearer = |value: &'static str| {
        bearer(&HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]))
    };
    assert_eq!(bearer("Bearer wonder secret").as_deref(), Some("wonder secret"));
    assert_eq!(bearer("Basic wonder secret"), None);
}

#[test]
fn debug_hides_secrets() {
    assert_eq!(format!("{:?}", credentials()), r#"["AKIATEST"]"#);
}

#[tokio::test]
async fn unsigned_request_is_refused_before_reading_body() {
    let unread = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::post("/2017-08-29/jobs").body(unread).unwrap();
    let error = signed(&credentials(), request, Some("mediaconvert"), MAX_API_BODY_BYTES).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingAuthentication);
}

#[tokio::test]
async fn body_over_the_limit_is_refused() {
    let read = async |bytes| read(Body::from(vec![0; bytes]), 1000).await;
    assert_eq!(read(1000).await.unwrap().len(), 1000);
    assert_eq!(read(1001).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 100])));
    let error = super::read(Body::from_stream(endless), 1000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn slow_body_is_given_up() {
    let slow = || Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let small = read(slow(), 1000).await.unwrap_err().to_string();
    assert!(small.contains("longer than 10 s"), "{small}");
    let large = read(slow(), MAX_API_BODY_BYTES).await.unwrap_err().to_string();
    assert!(large.contains("longer than 60 s"), "{large}");
    let many = (0..MOST_LARGE_BODIES + 1).map(|_| read(slow(), MAX_API_BODY_BYTES));
    let refused = futures::future::join_all(many).await;
    let kinds: Vec<_> = refused.into_iter().map(|read| read.unwrap_err().kind()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == ErrorKind::TooMany).count(), 1, "{kinds:?}");
}
