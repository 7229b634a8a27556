//! Tests of redirects: which targets are followed, and which requests are sent to them.

use super::*;

#[tokio::test]
async fn relative_and_absolute_redirects_are_followed() {
    let script = |address| {
        vec![
            Answer::redirect("b?x=día"),
            Answer::redirect(&format!("http://{address}/c/film#part")),
            Answer::of("200 OK", &[], b"film"),
        ]
    };
    let server = ScriptedServer::start(script).await;
    assert_eq!(Place::new().fetch(&inputs_from(&server), &server.url("/a/film")).await.unwrap(), b"film");
    let requests = server.requests();
    let asked: Vec<_> = requests.iter().filter_map(|request| request.split(' ').nth(1)).collect();
    assert_eq!(asked, ["/a/film", "/a/b?x=d%C3%ADa", "/c/film"]);
}

#[tokio::test]
async fn redirect_to_an_unlisted_host_is_not_followed() {
    let secret = ScriptedServer::start(|_| vec![Answer::of("200 OK", &[], b"secret")]).await;
    let target = secret.url("/x?token=t0k");
    let server = ScriptedServer::start(|_| vec![Answer::redirect(&target)]).await;
    let error = Place::new().fetch(&inputs_from(&server), &server.url("/film")).await.unwrap_err();
    assert_eq!(web_kind(&error), WebErrorKind::Disallowed);
    assert!(error.to_string().contains(&secret.address().to_string()), "{error}");
    assert!(!error.to_string().contains("t0k"), "{error}");
    assert!(secret.requests().is_empty());
}

#[tokio::test]
async fn redirect_to_a_forbidden_target_is_not_followed() {
    for target in ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://169.254.169.254/latest/", "data:,x"] {
        let server = ScriptedServer::start(|_| vec![Answer::redirect(target)]).await;
        let hosts = [server.address().to_string(), "169.254.169.254".to_owned()];
        let inputs = WebInputs::new(options(&hosts)).unwrap();
        let error = Place::new().fetch(&inputs, &server.url("/film")).await.unwrap_err();
        assert_eq!(web_kind(&error), WebErrorKind::Disallowed, "{target}: {error}");
    }
}

#[tokio::test]
async fn endless_redirects_fail() {
    let server = ScriptedServer::start(|_| vec![Answer::redirect("/again")]).await;
    let error = Place::new().fetch(&inputs_from(&server), &server.url("/film")).await.unwrap_err();
    assert_eq!((web_kind(&error), error.is_retryable()), (WebErrorKind::Unusable, false));
    assert_eq!(server.requests().len(), 6);
    let server = ScriptedServer::start(|_| vec![Answer::of("302 Found", &[], b"")]).await;
    let error = Place::new().fetch(&inputs_from(&server), &server.url("/film")).await.unwrap_err();
    assert!(error.to_string().contains("without a valid target"), "{error}");
}

#[tokio::test]
async fn credentials_go_to_their_own_host_only() {
    let other = ScriptedServer::start(|_| vec![Answer::of("200 OK", &[], b"film")]).await;
    let target = other.url("/film");
    let server = ScriptedServer::start(|_| vec![Answer::redirect(&target)]).await;
    let inputs =
        WebInputs::new(options(&[server.address().to_string(), other.address().to_string()])).unwrap();
    let url = format!("http://ann:pa55@{}/film", server.address());
    assert_eq!(Place::new().fetch(&inputs, &url).await.unwrap(), b"film");
    assert!(server.requests()[0].contains("authorization: Basic YW5uOnBhNTU="), "{:?}", server.requests());
    assert!(!other.requests()[0].contains("authorization"), "{:?}", other.requests());
}
