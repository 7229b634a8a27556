//! The places for connections. When all are taken, the oldest connection without an authenticated request makes room,
//! so strangers cannot keep anybody out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Places that connections with authenticated requests do not get: a health check always finds one.
const FOR_STRANGERS: usize = 16;
/// How long a connection has for its first authenticated request before it may have to make room. Without it, whoever
/// opens connections quickly enough would push everybody out before a first request is read.
const GRACE: Duration = Duration::from_secs(1);

/// All places. Clones share them.
#[derive(Clone)]
pub(crate) struct Places {
    inner: Arc<Inner>,
}

struct Inner {
    count: usize,
    ledger: Mutex<Ledger>,
    /// Notified when a place becomes free.
    freed: Notify,
}

#[derive(Default)]
struct Ledger {
    /// Number of the newest connection.
    newest: u64,
    taken: usize,
    kept: usize,
    /// Connections that may have to make room, by their number.
    strangers: BTreeMap<u64, Stranger>,
}

struct Stranger {
    since: Instant,
    leave: CancellationToken,
    /// Whether it reads what is open to everyone.
    is_guest: bool,
}

/// The place of one connection. It is free again when this is dropped.
pub(crate) struct Place {
    inner: Arc<Inner>,
    number: u64,
    /// Cancelled when the connection has to make room.
    pub(crate) leave: CancellationToken,
}

impl Places {
    /// Makes `count` places, but at least twice what is set aside.
    pub(crate) fn new(count: usize) -> Self {
        let inner = Inner {
            count: count.max(2 * FOR_STRANGERS),
            ledger: Mutex::new(Ledger::default()),
            freed: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes a place. If all are taken, the oldest stranger is told to leave as soon as its grace is over, and this waits
    /// until somebody has left.
    pub(crate) async fn take(&self) -> Place {
        loop {
            let freed = self.inner.freed.notified();
            match self.try_take() {
                Ok(place) => return place,
                Err(Some(grace_over)) => drop(timeout_at(grace_over, freed).await),
                Err(None) => freed.await,
            }
        }
    }

    /// Takes a place if one is free. Otherwise returns when the next stranger can be told to leave, or `None` where
    /// one has been told, or there is none.
    fn try_take(&self) -> Result<Place, Option<Instant>> {
        let mut ledger = self.inner.ledger();
        if ledger.taken >= self.inner.count {
            return Err(ledger.send_away(Instant::now()));
        }
        ledger.taken += 1;
        ledger.newest += 1;
        let (number, leave) = (ledger.newest, CancellationToken::new());
        ledger
            .strangers
            .insert(number, Stranger { since: Instant::now(), leave: leave.clone(), is_guest: false });
        Ok(Place { inner: self.inner.clone(), number, leave })
    }

    /// Tells the oldest `count` strangers to leave at once, for example because file descriptors ran out.
    pub(crate) fn make_room(&self, count: usize) {
        let mut ledger = self.inner.ledger();
        for _ in 0..count {
            ledger.send_away(Instant::now() + GRACE);
        }
    }
}

impl Inner {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Nothing panics while it holds the lock.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Tells the oldest stranger to leave if its grace is over at `now`. Otherwise returns when it will be.
    fn send_away(&mut self, now: Instant) -> Option<Instant> {
        let oldest = self.strangers.first_entry()?;
        let grace_over = oldest.get().since + GRACE;
        if grace_over > now {
            return Some(grace_over);
        }
        oldest.remove().leave.cancel();
        None
    }
}

impl Place {
    /// Keeps the connection from having to make room: it had an authenticated request.
    pub(crate) fn keep(&self) {
        let mut ledger = self.inner.ledger();
        if ledger.kept < self.inner.count - FOR_STRANGERS && ledger.strangers.remove(&self.number).is_some() {
            ledger.kept += 1;
        }
    }

    /// Notes that the connection reads what is open to everyone. It may last, and still has to make room.
    pub(crate) fn welcome(&self) {
        if let Some(stranger) = self.inner.ledger().strangers.get_mut(&self.number) {
            stranger.is_guest = true;
        }
    }

    /// Whether the connection has read what is open to everyone.
    pub(crate) fn is_guest(&self) -> bool {
        self.inner.ledger().strangers.get(&self.number).is_some_and(|stranger| stranger.is_guest)
    }

    /// Whether the connection may still have to make room.
    pub(crate) fn is_strange(&self) -> bool {
        self.inner.ledger().strangers.contains_key(&self.number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut ledger = self.inner.ledger();
        ledger.taken -= 1;
        let was_strange = ledger.strangers.remove(&self.number).is_some() || self.leave.is_cancelled();
        if !was_strange {
            ledger.kept -= 1;
        }
        drop(ledger);
        self.inner.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn full(places: &Places) -> Vec<Place> {
        let mut taken = Vec::new();
        for _ in 0..2 * FOR_STRANGERS {
            taken.push(places.take().await);
        }
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn oldest_stranger_makes_room_and_kept_ones_stay() {
        let places = Places::new(2 * FOR_STRANGERS);
        let mut taken = full(&places).await;
        taken[0].keep();
        tokio::time::advance(GRACE).await;
        assert!(places.try_take().is_err());
        assert!(
            !taken[0].leave.is_cancelled() && taken[1].leave.is_cancelled() && !taken[2].leave.is_cancelled()
        );
        let waiting = places.clone();
        let next = tokio::spawn(async move { waiting.take().await });
        tokio::task::yield_now().await;
        assert!(taken[2].leave.is_cancelled() && !next.is_finished(), "who is told to leave is still there");
        taken.remove(1);
        assert!(next.await.unwrap().is_strange());
    }

    #[tokio::test(start_paused = true)]
    async fn new_connections_have_time_for_a_first_request() {
        let places = Places::new(2 * FOR_STRANGERS);
        let mut taken = full(&places).await;
        let waiting = places.clone();
        let begin = Instant::now();
        let next = tokio::spawn(async move { waiting.take().await });
        tokio::time::sleep(GRACE / 2).await;
        assert!(taken.iter().all(|place| !place.leave.is_cancelled()));
        taken[0].leave.cancelled().await;
        assert_eq!(begin.elapsed(), GRACE);
        assert!(!taken[1].leave.is_cancelled());
        taken.remove(0);
        next.await.unwrap();
        places.make_room(1);
        assert!(taken[0].leave.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_early_makes_room_early() {
        let places = Places::new(2 * FOR_STRANGERS);
        let mut taken = full(&places).await;
        let waiting = places.clone();
        let begin = Instant::now();
        let next = tokio::spawn(async move { waiting.take().await });
        tokio::time::sleep(GRACE / 4).await;
        taken.pop();
        next.await.unwrap();
        assert_eq!(begin.elapsed(), GRACE / 4);
    }

    #[tokio::test(start_paused = true)]
    async fn guest_is_known_and_still_makes_room() {
        let places = Places::new(2 * FOR_STRANGERS);
        let taken = full(&places).await;
        taken[0].welcome();
        assert!(taken[0].is_guest() && taken[0].is_strange() && !taken[1].is_guest());
        taken[1].welcome();
        taken[1].keep();
        assert!(!taken[1].is_strange(), "a guest may become known");
        tokio::time::advance(GRACE).await;
        assert!(places.try_take().is_err() && taken[0].leave.is_cancelled());
    }

    #[tokio::test]
    async fn some_places_are_never_kept() {
        let places = Places::new(2 * FOR_STRANGERS);
        let mut taken = full(&places).await;
        taken.iter().for_each(Place::keep);
        assert_eq!(taken.iter().filter(|place| place.is_strange()).count(), FOR_STRANGERS);
        taken.clear();
        let ledger = places.inner.ledger();
        assert_eq!((ledger.taken, ledger.kept), (0, 0));
    }
}
