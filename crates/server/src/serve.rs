//! Accepts connections on a socket and serves a router until stopped. Limits the number of connections and the time
//! that strangers may take. Defines no routes.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abanico_s3::{Admitted, OnAdmission};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::entry::admission::{Admissions, GuardedBody, STRANGER_TIMEOUT};
use crate::entry::places::{Place, Places};

/// How long a client that had an authenticated request may take to send the head of the next one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may last without an authenticated request. Longer ones close after their current answer.
const STRANGER_LIFETIME: Duration = Duration::from_secs(30);
/// How long that answer may take to be read.
const STRANGER_GRACE: Duration = Duration::from_secs(10);
/// Most bytes of a connection that are in memory before they are handled; also the longest head of a request.
const BUFFER_MAX_BYTES: usize = 64 * 1024;
/// How long requests may keep running once the server stops.
const GRACE: Duration = Duration::from_secs(20);
/// First and longest pause after a failed accept, for example when file descriptors run out.
const ACCEPT_PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How many strangers make room when the system has no descriptor for a new connection.
const MAKE_ROOM_FOR: usize = 8;
/// How often a failed accept is logged at most.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Most connections at once. Further ones make the oldest one without an authenticated request leave, or wait.
    pub max_connections: usize,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { max_connections: 1024 }
    }
}

/// Serves `router` on `listener` until `stop`, within the default limits.
///
/// # Errors
/// As [`serve_within`].
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    serve_within(listener, router, ServeLimits::default(), stop).await
}

/// Serves `router` on `listener` until `stop`. Then accepts no more connections, closes idle ones, and gives running
/// requests up to 20 seconds to finish.
///
/// # Errors
/// Fails if the socket's own address cannot be read. Failures of single connections are only logged.
pub async fn serve_within(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    stop: CancellationToken,
) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "listening");
    let (places, admissions, connections) =
        (Places::new(limits.max_connections), Admissions::new(), TaskTracker::new());
    let mut troubles = Troubles::default();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok(newcomer) => {
                troubles.are_over();
                let (router, admissions, stop) = (router.clone(), admissions.clone(), stop.clone());
                connections.spawn(async move {
                    let peer = newcomer.peer;
                    let ended = connection(newcomer, router, &admissions, &stop).await;
                    if let Err(error) = ended {
                        tracing::debug!(%error, %peer, "a connection ended early");
                    }
                });
            }
            Err(error) => {
                places.make_room(MAKE_ROOM_FOR);
                tokio::time::sleep(troubles.pause(&error)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!("some requests did not finish in time; closing their connections");
    }
    Ok(())
}

/// A connection that has a place.
struct Newcomer {
    socket: TcpStream,
    peer: SocketAddr,
    place: Arc<Place>,
}

/// Accepts a connection, then finds it a place: who is told to leave would otherwise leave for nobody.
async fn accept(listener: &TcpListener, places: &Places) -> io::Result<Newcomer> {
    let (socket, peer) = listener.accept().await?;
    Ok(Newcomer { socket, peer, place: Arc::new(places.take().await) })
}

/// Failed accepts in a row.
#[derive(Default)]
struct Troubles {
    pause: Option<Duration>,
    told: Option<Instant>,
}

impl Troubles {
    fn are_over(&mut self) {
        self.pause = None;
    }

    /// Returns how long to wait before the next attempt: longer each time.
    fn pause(&mut self, error: &io::Error) -> Duration {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            tracing::warn!(%error, "cannot accept a connection");
            self.told = Some(Instant::now());
        }
        let pause = self.pause.map_or(ACCEPT_PAUSES.0, |pause| (2 * pause).min(ACCEPT_PAUSES.1));
        self.pause = Some(pause);
        pause
    }
}

/// Serves one connection until it ends, has to make room, or stays a stranger's for too long.
async fn connection(
    newcomer: Newcomer,
    router: Router,
    admissions: &Admissions,
    stop: &CancellationToken,
) -> Result<(), hyper::Error> {
    let Newcomer { socket, peer, place } = newcomer;
    // Responses are small, or streamed in large pieces. Waiting to fill a packet would only cost time.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY on a connection");
    }
    let has_head = CancellationToken::new();
    let service = hyper::service::service_fn(|request: http::Request<Incoming>| {
        has_head.cancel();
        let admission = admissions.of_request(place.clone());
        let (admitted, body_admission) = (admission.clone(), admission.clone());
        let mut request = request.map(|body| Body::new(GuardedBody::new(body, body_admission)));
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(OnAdmission::new(move |who| match who {
            Admitted::Signer => admitted.admit(),
            Admitted::Guest => admitted.welcome(),
        }));
        request.extensions_mut().insert(admission);
        router.clone().oneshot(request)
    });
    let mut served = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(BUFFER_MAX_BYTES)
            .serve_connection(TokioIo::new(socket), service)
    );
    let mut patience = pin!(tokio::time::sleep(STRANGER_TIMEOUT));
    let (mut is_kept, mut is_known, mut is_closing, mut is_stopping) = (false, false, false, false);
    loop {
        tokio::select! {
            ended = served.as_mut() => return ended,
            () = place.leave.cancelled() => {
                tracing::debug!(%peer, "a connection without an authenticated request made room");
                return Ok(());
            }
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = patience.as_mut(), if !is_kept => {
                let now = tokio::time::Instant::now();
                if !place.is_strange() || place.is_guest() {
                    is_kept = true;
                } else if is_closing || !(is_known || has_head.is_cancelled()) {
                    return Ok(());
                } else if is_known {
                    is_closing = true;
                    served.as_mut().graceful_shutdown();
                    patience.as_mut().reset(now + STRANGER_GRACE);
                } else {
                    is_known = true;
                    patience.as_mut().reset(now + (STRANGER_LIFETIME - STRANGER_TIMEOUT));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Semaphore;

    use super::*;

    async fn started(
        router: Router,
    ) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        (address, stop.clone(), tokio::spawn(serve(listener, router, stop)))
    }

    #[tokio::test]
    async fn running_request_finishes_while_server_stops() {
        let (entered, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (enter, wait) = (entered.clone(), go_on.clone());
        let router = Router::new().route(
            "/",
            get(move || async move {
                enter.add_permits(1);
                wait.acquire().await.unwrap().forget();
                "done"
            }),
        );
        let (address, stop, server) = started(router).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        entered.acquire().await.unwrap().forget();
        stop.cancel();
        go_on.add_permits(1);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn idle_connections_do_not_delay_stop() {
        let (address, stop, server) = started(Router::new().route("/", get(|| async { "ok" }))).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut start = [0; 12];
        client.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        stop.cancel();
        server.await.unwrap().unwrap();
    }

    async fn sent(address: SocketAddr, path: &str, length: usize) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = client.into_split();
        // The sending half stays open until the answer is there: closing it would end the connection.
        let sending = tokio::spawn(async move {
            let _ = writer.write_all(&vec![b'x'; length]).await;
            writer
        });
        let mut answer = Vec::new();
        // The server may close the connection before it has read everything.
        let _ = reader.read_to_end(&mut answer).await;
        let _ = sending.await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn stranger_sends_little_and_an_admitted_client_any_amount() {
        async fn counted(body: Body) -> String {
            let read = axum::body::to_bytes(body, usize::MAX).await;
            read.map_or_else(|error| format!("refused: {error}"), |bytes| format!("read {}", bytes.len()))
        }
        let router = Router::new()
            .route("/stranger", axum::routing::post(counted))
            .route(
                "/known",
                axum::routing::post(async |request: axum::extract::Request| {
                    crate::entry::admission::admit(request.extensions());
                    counted(request.into_body()).await
                }),
            )
            .route(
                "/large",
                axum::routing::post(async |request: axum::extract::Request| {
                    let _large =
                        crate::entry::admission::allow_large_body(request.extensions(), 200_000).await;
                    counted(request.into_body()).await
                }),
            );
        let (address, stop, server) = started(router).await;
        for (path, length) in [("/stranger", 60_000), ("/known", 1_000_000), ("/large", 150_000)] {
            let answer = sent(address, path, length).await;
            assert!(answer.ends_with(&format!("read {length}")), "{path}: {answer}");
        }
        let refused = sent(address, "/stranger", 1_000_000).await;
        assert!(!refused.contains("read "), "{refused}");
        let refused = sent(address, "/large", 1_000_000).await;
        assert!(!refused.contains("read "), "{refused}");
        stop.cancel();
        server.await.unwrap().unwrap();
    }
}
