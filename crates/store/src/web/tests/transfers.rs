//! Tests of fetching one file, including every failure during the transfer.

use super::*;

const FILM: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

#[tokio::test]
async fn file_is_fetched_whole_with_its_tag() {
    let server = ScriptedServer::start(|_| vec![Answer::of("200 OK", &[("ETag", "\"v1\"")], FILM)]).await;
    let place = Place::new();
    let fetched = inputs_from(&server).fetch(&server.url("/film.mp4?id=7"), &place.file()).await.unwrap();
    assert_eq!((fetched.size_bytes, fetched.e_tag.as_deref()), (36, Some("\"v1\"")));
    assert_eq!(std::fs::read(place.file()).unwrap(), FILM);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("GET /film.mp4?id=7 HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(
        requests[0].contains("accept-encoding: identity") && !requests[0].contains("range:"),
        "{}",
        requests[0]
    );
}

#[tokio::test]
async fn interrupted_transfer_resumes_where_it_stopped() {
    let (first, second) = FILM.split_at(10);
    let script = vec![
        Answer::of_length("200 OK", &[("ETag", "\"v1\"")], first, FILM.len()),
        Answer::of_length(
            "206 Partial Content",
            &[("ETag", "\"v1\""), ("Content-Range", "bytes 10-35/36")],
            &second[..5],
            second.len(),
        ),
        // A stall is an interruption as well.
        Answer::of_length(
            "206 Partial Content",
            &[("ETag", "\"v1\""), ("Content-Range", "bytes 15-35/36")],
            &second[5..8],
            second.len() - 5,
        )
        .and_hang(),
        Answer::of("206 Partial Content", &[("Content-Range", "bytes 18-35/36")], &second[8..]),
    ];
    let server = ScriptedServer::start(|_| script).await;
    let mut options = options(&[server.address().to_string()]);
    options.limits.stall = Duration::from_secs(2);
    let (inputs, place) = (WebInputs::new(options).unwrap(), Place::new());
    let fetched = inputs.fetch(&server.url("/film"), &place.file()).await.unwrap();
    assert_eq!((std::fs::read(place.file()).unwrap().as_slice(), fetched.size_bytes), (FILM, 36));
    // The last answer had no tag.
    assert_eq!(fetched.e_tag.as_deref(), Some("\"v1\""));
    let requests = server.requests();
    let ranges: Vec<bool> = ["range: bytes=10-", "range: bytes=15-", "range: bytes=18-"]
        .iter()
        .zip(&requests[1..])
        .map(|(range, request)| request.contains(range) && request.contains("if-range: \"v1\""))
        .collect();
    assert_eq!(ranges, [true, true, true], "{requests:?}");
}

#[tokio::test]
async fn transfer_without_a_strong_tag_starts_over() {
    for headers in [&[][..], &[("ETag", "W/\"v1\"")][..]] {
        let script = vec![
            Answer::of_length("200 OK", headers, &FILM[..20], FILM.len()),
            Answer::of("200 OK", headers, FILM),
        ];
        let server = ScriptedServer::start(|_| script).await;
        assert_eq!(Place::new().fetch(&inputs_from(&server), &server.url("/film")).await.unwrap(), FILM);
        assert!(!server.requests()[1].contains("range:"), "{:?}", server.requests());
    }
}

#[tokio::test]
async fn two_versions_are_never_mixed() {
    let other = b"OTHER FILM";
    let part =
        |tag, range| Answer::of("206 Partial Content", &[("ETag", tag), ("Content-Range", range)], b"FILM");
    for second in [
        Answer::of("200 OK", &[("ETag", "\"v2\"")], other),
        part("\"v2\"", "bytes 10-13/14"),
        part("\"v1\"", "bytes 6-9/10"),
        Answer::of("206 Partial Content", &[("ETag", "\"v1\"")], b"FILM"),
        Answer::of("416 Range Not Satisfiable", &[], b""),
    ] {
        let script = vec![
            Answer::of_length("200 OK", &[("ETag", "\"v1\"")], &FILM[..10], FILM.len()),
            second,
            Answer::of("200 OK", &[("ETag", "\"v2\"")], other),
        ];
        let server = ScriptedServer::start(|_| script).await;
        assert_eq!(Place::new().fetch(&inputs_from(&server), &server.url("/film")).await.unwrap(), other);
    }
}

#[tokio::test]
async fn server_that_always_breaks_off_is_abandoned() {
    let server =
        ScriptedServer::start(|_| vec![Answer::of_length("200 OK", &[], &FILM[..1], FILM.len())]).await;
    let error = Place::new().fetch(&inputs_from(&server), &server.url("/film")).await.unwrap_err();
    assert_eq!((web_kind(&error), error.is_retryable()), (WebErrorKind::Interrupted, true));
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn silent_server_is_abandoned() {
    let silent = [Answer::raw(b"").and_hang(), Answer::of_length("200 OK", &[], b"", 9).and_hang()];
    for answer in silent {
        let server = ScriptedServer::start(|_| vec![answer]).await;
        let mut options = options(&[server.address().to_string()]);
        (options.limits.connect, options.limits.stall) = (Duration::from_secs(2), Duration::from_millis(500));
        let inputs = WebInputs::new(options).unwrap();
        let error = Place::new().fetch(&inputs, &server.url("/film")).await.unwrap_err();
        assert_eq!((web_kind(&error), error.is_retryable()), (WebErrorKind::Interrupted, true), "{error}");
    }
}

#[tokio::test]
async fn time_of_a_whole_transfer_is_limited() {
    let server =
        ScriptedServer::start(|_| vec![Answer::of_length("200 OK", &[], &FILM[..1], FILM.len()).and_hang()])
            .await;
    let mut options = options(&[server.address().to_string()]);
    options.limits = WebLimits { whole: Duration::from_millis(400), ..WebLimits::default() };
    let error =
        Place::new().fetch(&WebInputs::new(options).unwrap(), &server.url("/film")).await.unwrap_err();
    assert_eq!((web_kind(&error), error.is_retryable()), (WebErrorKind::OverLimit, false));
}

#[tokio::test]
async fn oversized_file_is_refused_announced_or_not() {
    let untold = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", FILM].concat();
    for (answer, bytes) in [(Answer::of("200 OK", &[], FILM), 35), (Answer::raw(&untold), 35)] {
        let server = ScriptedServer::start(|_| vec![answer.clone()]).await;
        let mut options = options(&[server.address().to_string()]);
        options.limits.most_bytes = bytes;
        let inputs = WebInputs::new(options.clone()).unwrap();
        let error = Place::new().fetch(&inputs, &server.url("/film")).await.unwrap_err();
        assert_eq!(web_kind(&error), WebErrorKind::OverLimit);
        assert!(
            error.to_string().contains("more than 35 bytes") && error.to_string().contains("`max_bytes`")
        );
        options.limits.most_bytes = bytes + 1;
        let inputs = WebInputs::new(options).unwrap();
        assert_eq!(Place::new().fetch(&inputs, &server.url("/film")).await.unwrap(), FILM);
    }
}

#[tokio::test]
async fn aborted_fetch_removes_the_file() {
    let server =
        ScriptedServer::start(|_| vec![Answer::of_length("200 OK", &[], &FILM[..9], FILM.len()).and_hang()])
            .await;
    let (inputs, place) = (inputs_from(&server), Place::new());
    let (url, file) = (server.url("/film"), place.file());
    let task = tokio::spawn({
        let file = file.clone();
        async move { inputs.fetch(&url, &file).await }
    });
    let begun = async {
        while std::fs::metadata(&file).map_or(0, |meta| meta.len()) < 9 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), begun).await.expect("the transfer begins");
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(!file.exists());
}

#[tokio::test]
async fn answers_without_a_file_have_their_kind() {
    for (answer, kind) in [
        (Answer::of("401 Unauthorized", &[], b"x"), WebErrorKind::Unauthenticated),
        (Answer::of("403 Forbidden", &[], b"x"), WebErrorKind::Refused),
        (Answer::of("404 Not Found", &[], b"x"), WebErrorKind::Missing),
        (Answer::of("503 Service Unavailable", &[], b"x"), WebErrorKind::ServerFailed),
        (Answer::of("204 No Content", &[], b""), WebErrorKind::Unusable),
        (Answer::of("304 Not Modified", &[], b""), WebErrorKind::Unusable),
        (
            Answer::of("206 Partial Content", &[("Content-Range", "bytes 0-0/2")], b"x"),
            WebErrorKind::Unusable,
        ),
        (Answer::of("200 OK", &[("Content-Encoding", "gzip")], b"x"), WebErrorKind::Unusable),
        (Answer::raw(b""), WebErrorKind::Interrupted),
        (Answer::raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), WebErrorKind::Unknown),
    ] {
        let server = ScriptedServer::start(|_| vec![answer]).await;
        let error = Place::new().fetch(&inputs_from(&server), &server.url("/film")).await.unwrap_err();
        assert_eq!(web_kind(&error), kind, "{error}");
        assert_eq!(server.requests().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn closed_port_is_a_failed_connection() {
    let server = ScriptedServer::start(|_| vec![Answer::raw(b"")]).await;
    let (inputs, url) = (inputs_from(&server), server.url("/film"));
    server.stop().await;
    let error = Place::new().fetch(&inputs, &url).await.unwrap_err();
    assert_eq!((web_kind(&error), error.is_retryable()), (WebErrorKind::NotConnected, true), "{error}");
}

#[tokio::test]
async fn name_of_this_machine_is_refused() {
    let server = ScriptedServer::start(|_| vec![Answer::of("200 OK", &[], FILM)]).await;
    let host = format!("localhost:{}", server.address().port());
    let url = format!("http://{host}/film");
    let closed = WebOptions { allow_private_addresses: false, ..options(std::slice::from_ref(&host)) };
    let error = Place::new().fetch(&WebInputs::new(closed).unwrap(), &url).await.unwrap_err();
    assert_eq!((web_kind(&error), error.is_retryable()), (WebErrorKind::Disallowed, false), "{error}");
    assert!(error.to_string().contains("`localhost`"), "{error}");
    assert!(server.requests().is_empty());
    let open = WebInputs::new(options(&[host])).unwrap();
    assert_eq!(Place::new().fetch(&open, &url).await.unwrap(), FILM);
}
