//! Keeps the console's sessions in memory: who logged in, until when, and whether they logged out. A restart ends
//! them all.
//!
//! A session has two secrets, and neither is enough alone. The browser sends the cookie by itself, also to other
//! ports of the host. The token is known only to the console's page, which sends it in a header.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use crate::entry::same_origin::CONSOLE_HEADER;

/// How long a browser stays logged in.
const SESSION: Duration = Duration::from_secs(12 * 60 * 60);
/// Most sessions at once. A further login ends the oldest one.
const MOST_SESSIONS: usize = 64;
/// Random bytes in a secret.
const SECRET_BYTES: usize = 32;

/// A point in time by both clocks. The first cannot be set, and the second goes on while the machine sleeps, so a
/// session ends when either says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// Returns the time since `earlier` by the clock that counted more.
    fn since(self, earlier: Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        self.monotonic.saturating_duration_since(earlier.monotonic).max(wall)
    }
}

/// How long an authenticated request may run: until the session that it belongs to ends. Without a session, forever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifetime {
    session: Option<(CancellationToken, Duration)>,
}

impl Lifetime {
    /// Waits until the session ends.
    pub(crate) async fn over(self) {
        match self.session {
            None => std::future::pending().await,
            Some((closed, left)) => {
                let _either = tokio::time::timeout(left, closed.cancelled()).await;
            }
        }
    }
}

/// The secrets of a new session.
pub(crate) struct Opened {
    /// Value of a `Set-Cookie` header.
    pub(crate) set_cookie: String,
    /// What the page must send in the header [`CONSOLE_HEADER`].
    pub(crate) token: String,
}

struct Session {
    cookie: String,
    token: String,
    since: Moment,
    closed: CancellationToken,
}

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<VecDeque<Session>>,
}

impl Sessions {
    /// Opens a session. `is_tls` says whether the browser came over TLS, so that the cookie is never sent without it.
    ///
    /// # Errors
    /// Fails if the system has no random numbers.
    pub(crate) fn open(&self, is_tls: bool, now: Moment) -> io::Result<Opened> {
        let (cookie, token) = (random_secret()?, random_secret()?);
        let set_cookie = cookie_header(is_tls, &cookie, SESSION);
        let mut open = self.lock();
        open.retain(|session| now.since(session.since) < SESSION);
        if open.len() >= MOST_SESSIONS {
            end(open.pop_front());
        }
        let closed = CancellationToken::new();
        open.push_back(Session { cookie, token: token.clone(), since: now, closed });
        Ok(Opened { set_cookie, token })
    }

    /// Returns how long the session that these headers prove will last, or `None` if they prove none.
    pub(crate) fn of(&self, headers: &HeaderMap, is_tls: bool, now: Moment) -> Option<Lifetime> {
        let (cookie, token) = shown(headers, is_tls)?;
        let open = self.lock();
        let session = find(&open, cookie, token).and_then(|index| open.get(index))?;
        let left = SESSION.checked_sub(now.since(session.since)).filter(|left| !left.is_zero())?;
        Some(Lifetime { session: Some((session.closed.clone(), left)) })
    }

    /// Ends the session that these headers prove, and what still runs in it. Returns false if they prove none.
    pub(crate) fn close(&self, headers: &HeaderMap, is_tls: bool) -> bool {
        let Some((cookie, token)) = shown(headers, is_tls) else { return false };
        let mut open = self.lock();
        let found = find(&open, cookie, token);
        end(found.and_then(|index| open.remove(index)));
        found.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(session: Option<Session>) {
    if let Some(session) = session {
        session.closed.cancel();
    }
}

/// Returns the session's index. Compares with every session in constant time.
fn find(open: &VecDeque<Session>, cookie: &str, token: &str) -> Option<usize> {
    let mut found = None;
    for (index, session) in open.iter().enumerate() {
        let same = session.cookie.as_bytes().ct_eq(cookie.as_bytes())
            & session.token.as_bytes().ct_eq(token.as_bytes());
        if bool::from(same) {
            found = Some(index);
        }
    }
    found
}

/// Returns the value of a `Set-Cookie` header that removes the cookie.
pub(crate) fn removed_cookie(is_tls: bool) -> String {
    cookie_header(is_tls, "", Duration::ZERO)
}

/// Over TLS, the prefix `__Host-` makes browsers refuse the cookie from other hosts and from pages without TLS.
fn cookie_name(is_tls: bool) -> &'static str {
    if is_tls { "__Host-abanico" } else { "abanico_session" }
}

fn cookie_header(is_tls: bool, value: &str, age: Duration) -> String {
    let (name, age_s) = (cookie_name(is_tls), age.as_secs());
    // The prefix requires the path `/`. Without it, the cookie stays away from objects.
    let place = if is_tls { "Path=/; Secure" } else { "Path=/_abanico/" };
    format!("{name}={value}; {place}; Max-Age={age_s}; HttpOnly; SameSite=Strict")
}

fn shown(headers: &HeaderMap, is_tls: bool) -> Option<(&str, &str)> {
    let token = headers.get(CONSOLE_HEADER)?.to_str().ok()?;
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';'));
    let cookie = pairs.find_map(|pair| pair.trim().strip_prefix(cookie_name(is_tls))?.strip_prefix('='))?;
    Some((cookie, token))
}

/// Returns random letters and digits from the system's random number generator.
pub(crate) fn random_secret() -> io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(opened: &Opened) -> HeaderMap {
        let cookie = opened.set_cookie.split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("theme=dark; {cookie}")).unwrap());
        headers.insert(CONSOLE_HEADER, HeaderValue::from_str(&opened.token).unwrap());
        headers
    }

    fn later(moment: Moment, monotonic: Duration, wall: Duration) -> Moment {
        Moment { monotonic: moment.monotonic + monotonic, wall: moment.wall + wall }
    }

    #[test]
    fn cookie_or_token_alone_prove_nothing() {
        let (sessions, now) = (Sessions::default(), Moment::now());
        let (mine, other) = (sessions.open(false, now).unwrap(), sessions.open(false, now).unwrap());
        let whole = headers(&mine);
        assert!(sessions.of(&whole, false, now).is_some());
        for missing in [header::COOKIE.as_str(), CONSOLE_HEADER] {
            let mut part = whole.clone();
            part.remove(missing);
            assert!(sessions.of(&part, false, now).is_none(), "{missing}");
        }
        let mut mixed = whole.clone();
        mixed.insert(CONSOLE_HEADER, HeaderValue::from_str(&other.token).unwrap());
        assert!(sessions.of(&mixed, false, now).is_none());
        for wrong in ["", "abanico_session=", &other.token[1..]] {
            mixed.insert(CONSOLE_HEADER, HeaderValue::from_str(wrong).unwrap());
            assert!(sessions.of(&mixed, false, now).is_none(), "{wrong}");
        }
    }

    #[test]
    fn session_ends_by_either_clock() {
        let (sessions, now) = (Sessions::default(), Moment::now());
        let whole = headers(&sessions.open(false, now).unwrap());
        let (almost, zero) = (SESSION - Duration::from_secs(1), Duration::ZERO);
        assert!(sessions.of(&whole, false, later(now, almost, almost)).is_some());
        assert!(sessions.of(&whole, false, later(now, SESSION, zero)).is_none(), "the clock was set back");
        assert!(sessions.of(&whole, false, later(now, zero, SESSION)).is_none(), "the machine slept");
        let set_back = Moment { wall: now.wall - SESSION, ..later(now, SESSION, zero) };
        assert!(sessions.of(&whole, false, set_back).is_none());
    }

    #[tokio::test]
    async fn logout_ends_the_session_and_what_runs_in_it() {
        let (sessions, now) = (Sessions::default(), Moment::now());
        let whole = headers(&sessions.open(false, now).unwrap());
        let running = sessions.of(&whole, false, now).unwrap();
        assert!(sessions.close(&whole, false) && !sessions.close(&whole, false));
        assert!(sessions.of(&whole, false, now).is_none());
        tokio::time::timeout(Duration::from_secs(60), running.over()).await.expect("the lifetime ends");
    }

    #[test]
    fn number_of_sessions_is_bounded() {
        let (sessions, now) = (Sessions::default(), Moment::now());
        let opened: Vec<_> =
            (0..=MOST_SESSIONS).map(|_| headers(&sessions.open(false, now).unwrap())).collect();
        assert_eq!(sessions.lock().len(), MOST_SESSIONS);
        assert!(sessions.of(&opened[0], false, now).is_none(), "the oldest one has ended");
        assert!(sessions.of(&opened[1], false, now).is_some());
    }

    #[test]
    fn cookie_over_tls_is_bound_to_the_host() {
        let (sessions, now) = (Sessions::default(), Moment::now());
        let secure = sessions.open(true, now).unwrap();
        let rest = secure.set_cookie.split_once("; ").unwrap().1;
        assert!(secure.set_cookie.starts_with("__Host-abanico="), "{}", secure.set_cookie);
        assert_eq!(rest, "Path=/; Secure; Max-Age=43200; HttpOnly; SameSite=Strict");
        assert!(sessions.of(&headers(&secure), true, now).is_some());
        assert!(sessions.of(&headers(&secure), false, now).is_none());
        let plain = sessions.open(false, now).unwrap().set_cookie;
        assert!(plain.ends_with("; Path=/_abanico/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{plain}");
        assert!(
            removed_cookie(true).starts_with("__Host-abanico=; ")
                && removed_cookie(true).contains("Max-Age=0")
        );
    }
}
