use http::HeaderValue;

use super::*;

fn credentials() -> Credentials {
    Credentials::new([
        ("AKIATEST".to_owned(), "wonder secret".to_owned()),
        ("NONE".to_owned(), String::new()),
    ])
}

fn at(s: u64) -> SystemTime {
    UNIX_EPOCH + std::time::Duration::from_secs(s)
}

fn with(name: header::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

#[test]
fn session_lasts_until_its_end() {
    let cookie = credentials().log_in(" wonder secret\n", at(1000)).unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains("wonder"), "{cookie}");
    let headers = with(header::COOKIE, &format!("theme=dark; {}", cookie.split(';').next().unwrap()));
    assert!(credentials().has_session(&headers, at(1000 + SESSION_S - 1)));
    assert!(!credentials().has_session(&headers, at(1000 + SESSION_S)));
}

#[test]
fn clock_set_back_lengthens_no_session() {
    let cookie = credentials().log_in("wonder secret", at(90_000)).unwrap();
    let headers = with(header::COOKIE, cookie.split(';').next().unwrap());
    assert!(credentials().has_session(&headers, at(90_000)));
    assert!(!credentials().has_session(&headers, at(89_999)), "it would last a day longer");
}

#[test]
fn altered_session_is_refused() {
    let cookie = credentials().log_in("wonder secret", at(1000)).unwrap();
    let pair = cookie.split(';').next().unwrap();
    let until = (1000 + SESSION_S).to_string();
    let longer = pair.replace(&until, &(99_000 + SESSION_S).to_string());
    assert_ne!(longer, pair);
    for changed in [longer.as_str(), "abanico_session=", "abanico_session=a.b.c", &pair[..pair.len() - 1]] {
        assert!(!credentials().has_session(&with(header::COOKIE, changed), at(1001)), "{changed}");
    }
}

#[test]
fn session_ends_when_its_secret_changes() {
    let cookie = credentials().log_in("wonder secret", at(1000)).unwrap();
    let headers = with(header::COOKIE, cookie.split(';').next().unwrap());
    let changed = Credentials::new([("AKIATEST".to_owned(), "another".to_owned())]);
    assert!(!changed.has_session(&headers, at(1001)));
}

#[test]
fn only_known_secrets_are_accepted() {
    assert!(credentials().has_bearer(&with(header::AUTHORIZATION, "Bearer wonder secret")));
    for wrong in ["Bearer wonder", "Bearer ", "wonder secret", "Basic wonder secret"] {
        assert!(!credentials().has_bearer(&with(header::AUTHORIZATION, wrong)), "{wrong}");
    }
    assert_eq!(credentials().log_in("", at(1)).unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn debug_hides_secrets() {
    assert_eq!(format!("{:?}", credentials()), r#"["AKIATEST"]"#);
}

#[tokio::test]
async fn unsigned_request_is_refused_before_reading_body() {
    let unread = Body::from_stream(futures::stream::pending::<Result<axum::body::Bytes, std::io::Error>>());
    let request = Request::post("/2017-08-29/jobs").body(unread).unwrap();
    let error = signed(&credentials(), request, Some("mediaconvert")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingAuthentication);
}

#[tokio::test]
async fn body_over_the_limit_is_refused() {
    assert_eq!(
        read(&http::Extensions::new(), Body::from(vec![0; MAX_API_BODY_BYTES])).await.unwrap().len(),
        MAX_API_BODY_BYTES
    );
    let error =
        read(&http::Extensions::new(), Body::from(vec![0; MAX_API_BODY_BYTES + 1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}
