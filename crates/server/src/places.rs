//! The places for connections. When all are taken, the oldest connection without an authenticated request makes room,
//! so strangers cannot keep anybody out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Places that connections with authenticated requests do not get: a health check always finds one.
const FOR_STRANGERS: usize = 16;

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
    strangers: BTreeMap<u64, CancellationToken>,
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

    /// Takes a place. If all are taken, the oldest stranger is told to leave, and this waits until one has left.
    pub(crate) async fn take(&self) -> Place {
        loop {
            let freed = self.inner.freed.notified();
            match self.try_take() {
                Some(place) => return place,
                None => freed.await,
            }
        }
    }

    fn try_take(&self) -> Option<Place> {
        let mut ledger = self.inner.ledger();
        if ledger.taken >= self.inner.count {
            ledger.send_away();
            return None;
        }
        ledger.taken += 1;
        ledger.newest += 1;
        let (number, leave) = (ledger.newest, CancellationToken::new());
        ledger.strangers.insert(number, leave.clone());
        Some(Place { inner: self.inner.clone(), number, leave })
    }

    /// Tells the oldest `count` strangers to leave, for example because file descriptors ran out.
    pub(crate) fn make_room(&self, count: usize) {
        let mut ledger = self.inner.ledger();
        for _ in 0..count {
            ledger.send_away();
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
    fn send_away(&mut self) {
        if let Some((_, leave)) = self.strangers.pop_first() {
            leave.cancel();
        }
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

    #[tokio::test]
    async fn oldest_stranger_makes_room_and_kept_ones_stay() {
        let places = Places::new(2 * FOR_STRANGERS);
        let mut taken = Vec::new();
        for _ in 0..2 * FOR_STRANGERS {
            taken.push(places.take().await);
        }
        taken[0].keep();
        assert!(places.try_take().is_none());
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

    #[tokio::test]
    async fn some_places_are_never_kept() {
        let places = Places::new(2 * FOR_STRANGERS);
        let mut taken = Vec::new();
        for _ in 0..2 * FOR_STRANGERS {
            let place = places.take().await;
            place.keep();
            taken.push(place);
        }
        assert_eq!(taken.iter().filter(|place| place.is_strange()).count(), FOR_STRANGERS);
        taken.clear();
        let ledger = places.inner.ledger();
        assert_eq!((ledger.taken, ledger.kept), (0, 0));
    }
}
