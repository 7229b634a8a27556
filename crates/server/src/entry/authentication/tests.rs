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
    let read_all = async |body| read(&http::Extensions::new(), body, 1000).await;
    assert_eq!(read_all(Body::from(vec![0; 1000])).await.unwrap().len(), 1000);
    assert_eq!(read_all(Body::from(vec![0; 1001])).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 100])));
    assert_eq!(read_all(Body::from_stream(endless)).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn slow_body_is_given_up() {
    let slow = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let error = read(&http::Extensions::new(), slow, MAX_API_BODY_BYTES).await.unwrap_err();
    assert!(error.to_string().contains("longer than 10 s"), "{error}");
}
