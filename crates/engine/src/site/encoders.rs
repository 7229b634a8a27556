//! Hands out permits for the encoders. The most urgent job is served first, and within a job the chunk that comes
//! first in the input. No more permits are handed out than exist, and none is lost when a waiting encode gives up.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::jobs::job::JobRecord;

/// Decides which of two running jobs goes first: the one with the higher priority, then the one that began earlier.
/// The smaller value goes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Urgency {
    priority: Reverse<i32>,
    began_ms: i64,
    name: String,
}

impl Urgency {
    /// Returns how urgent a job is, if it starts or resumes at `now_ms`.
    pub(crate) fn of(record: &JobRecord, now_ms: i64) -> Self {
        let began_ms = record.times.started_ms.unwrap_or(now_ms);
        Self::new(record.submission.priority, began_ms, record.id.as_str())
    }

    fn least() -> Self {
        Self { priority: Reverse(i32::MIN), began_ms: i64::MAX, name: String::new() }
    }

    /// Returns the urgency of a job with a priority (more is more urgent) that began so many milliseconds after 1970.
    /// Its name, such as its id, decides between jobs that are alike.
    pub fn new(priority: i32, began_ms: i64, name: impl Into<String>) -> Self {
        Self { priority: Reverse(priority), began_ms, name: name.into() }
    }
}

/// The encoders of the machine as one job sees them: one permit per processor, shared by all clones, and the urgency
/// with which the job is served.
///
/// tokio's semaphore serves in order of arrival. With it, the chunks of several inputs would interleave, and all of
/// them would finish as late as the last.
#[derive(Clone, Debug)]
pub struct Encoders {
    pool: Arc<Pool>,
    urgency: Urgency,
}

/// More permits were requested than exist, so the wait would never end.
#[derive(Debug)]
pub struct MoreThanThereAre;

/// How busy the encoders are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// All permits.
    pub permits: u32,
    /// Permits that encodes have.
    pub in_use: u32,
    /// Encodes that wait.
    pub waiting: u64,
}

#[derive(Debug)]
struct Pool {
    permits: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: u32,
    arrivals: u64,
    waiting: BTreeMap<Place, Waiting>,
}

/// Position in the queue. The order of the fields is the order of the queue.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place {
    urgency: Urgency,
    /// Turn within the job; the smaller goes first.
    turn: u32,
    /// Number of the arrival, so that no two places are the same.
    arrival: u64,
}

#[derive(Debug)]
struct Waiting {
    wanted: u32,
    granted: Arc<Notify>,
}

impl Encoders {
    /// Creates encoders with this many permits, all of them free, at the lowest urgency.
    pub fn new(permits: u32) -> Self {
        let state = State { free: permits, arrivals: 0, waiting: BTreeMap::new() };
        Self { pool: Arc::new(Pool { permits, state: Mutex::new(state) }), urgency: Urgency::least() }
    }

    /// Returns the same encoders for a job of this urgency.
    pub fn for_job(&self, urgency: Urgency) -> Self {
        Self { pool: self.pool.clone(), urgency }
    }

    /// Waits until this many permits can be taken at once. Among the encodes of a job, those with the smaller `turn`
    /// go first. Dropping the result gives the permits back; dropping the future leaves the queue.
    ///
    /// No encode overtakes the one at the head of the queue, even while too few permits are free for it. Otherwise, an
    /// encode that needs all processors would never begin. A free permit that no more urgent encode waits for is
    /// available to every encode.
    ///
    /// # Errors
    /// Fails if more permits are requested than exist.
    pub async fn acquire_many(&self, wanted: u32, turn: u32) -> Result<Permits, MoreThanThereAre> {
        if wanted > self.pool.permits {
            return Err(MoreThanThereAre);
        }
        let granted = Arc::new(Notify::new());
        let permits = self.pool.enter(&self.urgency, turn, Waiting { wanted, granted: granted.clone() });
        granted.notified().await;
        Ok(permits)
    }

    /// Returns how busy the encoders are.
    pub fn load(&self) -> Load {
        let state = self.pool.state();
        let (permits, waiting) = (self.pool.permits, state.waiting.len() as u64);
        Load { permits, in_use: permits.saturating_sub(state.free), waiting }
    }

    /// Takes this many permits if they are free and no encode waits for any. Otherwise returns `None` without waiting.
    pub fn acquire_idle(&self, wanted: u32) -> Option<Permits> {
        let mut state = self.pool.state();
        if !state.waiting.is_empty() || wanted > state.free {
            return None;
        }
        state.free -= wanted;
        let place = state.place(&self.urgency, 0);
        Some(Permits { pool: self.pool.clone(), place, count: wanted })
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, urgency: &Urgency, turn: u32, waiting: Waiting) -> Permits {
        let wanted = waiting.wanted;
        let mut state = self.state();
        let place = state.place(urgency, turn);
        state.waiting.insert(place.clone(), waiting);
        state.hand_out();
        Permits { pool: self.clone(), place, count: wanted }
    }
}

impl State {
    /// Creates the position of a new arrival.
    fn place(&mut self, urgency: &Urgency, turn: u32) -> Place {
        self.arrivals += 1;
        Place { urgency: urgency.clone(), turn, arrival: self.arrivals }
    }

    /// Grants free permits to those at the head of the queue.
    fn hand_out(&mut self) {
        while let Some(first) = self.waiting.first_entry() {
            if first.get().wanted > self.free {
                return;
            }
            let first = first.remove();
            self.free -= first.wanted;
            first.granted.notify_one();
        }
    }
}

/// Permits, or a position in the queue for them. Given back, or left, on drop.
#[derive(Debug)]
pub struct Permits {
    pool: Arc<Pool>,
    place: Place,
    count: u32,
}

impl Drop for Permits {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        let has_waited_in_vain = state.waiting.remove(&self.place).is_some();
        if !has_waited_in_vain {
            state.free += self.count;
        }
        state.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Asked<'a> = Pin<Box<dyn Future<Output = Result<Permits, MoreThanThereAre>> + 'a>>;

    fn job(pool: &Encoders, priority: i32, began_ms: i64) -> Encoders {
        pool.for_job(Urgency::new(priority, began_ms, "1-a"))
    }

    fn poll(asked: &mut Asked<'_>) -> Option<Permits> {
        match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permits) => Some(permits.unwrap()),
            Poll::Pending => None,
        }
    }

    /// Requests permits that are not free, and waits in the queue for them.
    fn ask(job: &Encoders, wanted: u32) -> Asked<'_> {
        ask_in_turn(job, wanted, 0)
    }

    fn ask_in_turn(job: &Encoders, wanted: u32, turn: u32) -> Asked<'_> {
        let mut asked: Asked<'_> = Box::pin(job.acquire_many(wanted, turn));
        assert!(poll(&mut asked).is_none(), "nothing was free");
        asked
    }

    fn take(job: &Encoders, wanted: u32) -> Permits {
        let mut asked: Asked<'_> = Box::pin(job.acquire_many(wanted, 0));
        poll(&mut asked).expect("permits are free")
    }

    #[test]
    fn most_urgent_job_goes_first() {
        let pool = Encoders::new(1);
        let (late, early, urgent) = (job(&pool, 0, 9), job(&pool, 0, 1), job(&pool, 5, 20));
        let mut held = Some(take(&late, 1));
        let asked = [("late", &late), ("early", &early), ("early again", &early), ("urgent", &urgent)];
        let mut waiting: Vec<_> = asked.map(|(name, job)| (name, ask(job, 1))).into();
        let mut served = Vec::new();
        while !waiting.is_empty() {
            drop(held.take());
            for index in (0..waiting.len()).rev() {
                if let Some(permits) = poll(&mut waiting[index].1) {
                    served.push(waiting.remove(index).0);
                    held = Some(permits);
                }
            }
        }
        assert_eq!(served, ["urgent", "early", "early again", "late"]);
    }

    #[test]
    fn chunks_of_a_job_go_in_order() {
        let pool = Encoders::new(1);
        let (early, late) = (job(&pool, 0, 1), job(&pool, 0, 9));
        let mut held = Some(take(&late, 1));
        let asked = [(&late, 0), (&early, 2), (&early, 1), (&early, 3)];
        let mut waiting: Vec<_> = asked.map(|(job, turn)| (turn, ask_in_turn(job, 1, turn))).into();
        let mut served = Vec::new();
        while !waiting.is_empty() {
            drop(held.take());
            waiting.retain_mut(|(turn, asked)| {
                let permits = poll(asked);
                let waits = permits.is_none();
                if !waits {
                    served.push(*turn);
                    held = permits;
                }
                waits
            });
        }
        assert_eq!(served, [1, 2, 3, 0]);
    }

    #[test]
    fn permits_are_idle_only_if_no_encode_waits() {
        let pool = Encoders::new(3);
        let (early, late) = (job(&pool, 0, 1), job(&pool, 0, 9));
        let one = take(&late, 1);
        assert!(early.acquire_idle(3).is_none(), "only two are free");
        let idle = early.acquire_idle(1).unwrap();
        let all = ask(&late, 2);
        assert!(early.acquire_idle(1).is_none(), "someone waits for the last one");
        drop(all);
        let last = early.acquire_idle(1).unwrap();
        assert!(early.acquire_idle(1).is_none(), "none is free");
        drop((one, idle, last));
        drop(take(&early, 3));
    }

    #[test]
    fn later_job_gets_unclaimed_permits() {
        let pool = Encoders::new(3);
        let (early, late) = (job(&pool, 0, 1), job(&pool, -5, 9));
        let _one = take(&early, 1);
        let _another = take(&late, 1);
        let _last = take(&late, 1);
    }

    #[test]
    fn encode_that_needs_all_permits_is_not_overtaken() {
        let pool = Encoders::new(2);
        let (early, late) = (job(&pool, 0, 1), job(&pool, 0, 9));
        let small = take(&late, 1);
        let mut all = ask(&early, 2);
        let mut behind = ask(&late, 1);
        drop(small);
        assert!(poll(&mut behind).is_none());
        let all = poll(&mut all).unwrap();
        assert!(poll(&mut behind).is_none());
        drop(all);
        assert!(poll(&mut behind).is_some());
    }

    #[test]
    fn dropped_waiter_leaves_queue_and_loses_no_permit() {
        let pool = Encoders::new(2);
        let (early, late) = (job(&pool, 0, 1), job(&pool, 0, 9));
        let small = take(&late, 1);
        let all = ask(&early, 2);
        let mut behind = ask(&late, 1);
        drop(all);
        let behind = poll(&mut behind).expect("nobody is ahead any more");
        drop((small, behind));
        // Granted, but dropped before anyone polled it.
        let held = take(&late, 2);
        let granted = ask(&early, 2);
        drop(held);
        drop(granted);
        assert!(pool.pool.state().waiting.is_empty());
        drop(take(&late, 2));
    }

    #[test]
    fn requesting_too_many_permits_fails() {
        let pool = Encoders::new(2);
        let early = job(&pool, 0, 1);
        let mut asked: Asked<'_> = Box::pin(early.acquire_many(3, 0));
        let answer = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Err(MoreThanThereAre))));
    }

    #[test]
    fn resumed_job_keeps_its_start_time() {
        let mut record = crate::records::database::sample_record("1-a", 1);
        record.submission.priority = 3;
        assert_eq!(Urgency::of(&record, 70), Urgency::new(3, 70, "1-a"));
        record.times.started_ms = Some(50);
        assert_eq!(Urgency::of(&record, 70), Urgency::new(3, 50, "1-a"));
    }
}
