//! Turns at the encoders: in how many permits an encode of which job wants, out the permits, those of the most urgent job first,
//! and among a job's those of the chunk that comes first in the film.
//! Never more permits than there are, and none is lost when an encode that waits is given up.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::job::{JobId, JobRecord};

/// Which of two jobs that both run goes first: the one with the higher priority, then the one that began earlier.
/// The smaller goes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Urgency {
    priority: Reverse<i32>,
    began_ms: i64,
    job: JobId,
}

impl Urgency {
    fn least() -> Self {
        Self { priority: Reverse(i32::MIN), began_ms: i64::MAX, job: JobId::new("") }
    }

    /// Urgency of a job that begins, or goes on, at `now_ms`.
    pub fn of(record: &JobRecord, now_ms: i64) -> Self {
        Self {
            priority: Reverse(record.submission.priority),
            began_ms: record.times.started_ms.unwrap_or(now_ms),
            job: record.id.clone(),
        }
    }
}

/// The encoders of the machine as one job sees them: one permit for each processor, shared by all clones, and the urgency by
/// which the job is served.
///
/// tokio's semaphore serves by the order of arrival. With it the chunks of several films interleave, and all of them are
/// finished as late as the last.
#[derive(Clone, Debug)]
pub(crate) struct Encoders {
    pool: Arc<Pool>,
    urgency: Urgency,
}

/// More permits were asked for than there are: they would never come.
#[derive(Debug)]
pub(crate) struct MoreThanThereAre;

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

/// Place in the line: by the job's urgency, within a job by turn, then by arrival.
type Place = (Urgency, u32, u64);

#[derive(Debug)]
struct Waiting {
    wanted: u32,
    granted: Arc<Notify>,
}

impl Encoders {
    /// Encoders with so many permits, all of them free, for what is least urgent.
    pub fn new(permits: u32) -> Self {
        let state = State { free: permits, arrivals: 0, waiting: BTreeMap::new() };
        Self { pool: Arc::new(Pool { permits, state: Mutex::new(state) }), urgency: Urgency::least() }
    }

    /// The same encoders for a job of this urgency.
    pub fn for_job(&self, urgency: Urgency) -> Self {
        Self { pool: self.pool.clone(), urgency }
    }

    /// Waits for this many permits at once; among the encodes of a job those with the smaller `turn` go first. They are given
    /// back when what this answers is dropped; when the waiting itself is dropped, its place in the line is free.
    ///
    /// The first in the line is waited for: nobody behind it takes the permits that it still lacks, or an encode that needs all
    /// processors would never begin. Permits that nobody more urgent waits for are free for all.
    ///
    /// # Errors
    /// When more are asked for than there are.
    pub async fn acquire_many(&self, wanted: u32, turn: u32) -> Result<Permits, MoreThanThereAre> {
        if wanted > self.pool.permits {
            return Err(MoreThanThereAre);
        }
        let granted = Arc::new(Notify::new());
        let permits = self.pool.enter((&self.urgency, turn), Waiting { wanted, granted: granted.clone() });
        granted.notified().await;
        Ok(permits)
    }

    /// This many permits that nobody needs: they are free, and nobody stands in the line. None when there are no such; this
    /// never stands in the line itself.
    pub fn acquire_idle(&self, wanted: u32) -> Option<Permits> {
        let mut state = self.pool.state();
        if !state.waiting.is_empty() || wanted > state.free {
            return None;
        }
        state.free -= wanted;
        let place = state.place((&self.urgency, 0));
        Some(Permits { pool: self.pool.clone(), place, count: wanted })
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, whose: (&Urgency, u32), waiting: Waiting) -> Permits {
        let wanted = waiting.wanted;
        let mut state = self.state();
        let place = state.place(whose);
        state.waiting.insert(place.clone(), waiting);
        state.hand_out();
        Permits { pool: self.clone(), place, count: wanted }
    }
}

impl State {
    /// A place of its own for one who arrives.
    fn place(&mut self, (urgency, turn): (&Urgency, u32)) -> Place {
        self.arrivals += 1;
        (urgency.clone(), turn, self.arrivals)
    }

    /// Gives free permits to those who are first in the line.
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

/// Permits, or a place in the line for them. Given back, or left, on drop.
#[derive(Debug)]
pub(crate) struct Permits {
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
        let job = JobId::new("1-a");
        pool.for_job(Urgency { priority: Reverse(priority), began_ms, job })
    }

    fn poll(asked: &mut Asked<'_>) -> Option<Permits> {
        match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permits) => Some(permits.unwrap()),
            Poll::Pending => None,
        }
    }

    /// Asks, and stands in the line from now on.
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
    fn does_the_higher_priority_then_the_earlier_job_then_the_earlier_task_go_first() {
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
    fn do_chunks_of_a_film_go_in_its_order() {
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
    fn are_permits_idle_only_where_nobody_waits() {
        let pool = Encoders::new(3);
        let (early, late) = (job(&pool, 0, 1), job(&pool, 0, 9));
        let one = take(&late, 1);
        assert!(early.acquire_idle(3).is_none(), "there are two");
        let idle = early.acquire_idle(1).unwrap();
        let all = ask(&late, 2);
        assert!(early.acquire_idle(1).is_none(), "the last one is waited for, with another");
        drop(all);
        let last = early.acquire_idle(1).unwrap();
        assert!(early.acquire_idle(1).is_none(), "none is free");
        drop((one, idle, last));
        drop(take(&early, 3));
    }

    #[test]
    fn are_permits_that_no_other_waits_for_a_later_jobs() {
        let pool = Encoders::new(3);
        let (early, late) = (job(&pool, 0, 1), job(&pool, -5, 9));
        let _one = take(&early, 1);
        let _another = take(&late, 1);
        let _last = take(&late, 1);
    }

    #[test]
    fn is_an_encode_that_needs_all_permits_not_passed_by() {
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
    fn does_one_who_waits_no_longer_leave_the_line_and_no_permit() {
        let pool = Encoders::new(2);
        let (early, late) = (job(&pool, 0, 1), job(&pool, 0, 9));
        let small = take(&late, 1);
        let all = ask(&early, 2);
        let mut behind = ask(&late, 1);
        drop(all);
        let behind = poll(&mut behind).expect("what stood in the way has gone");
        drop((small, behind));
        // Granted, but given up before anybody looked.
        let held = take(&late, 2);
        let granted = ask(&early, 2);
        drop(held);
        drop(granted);
        assert!(pool.pool.state().waiting.is_empty());
        drop(take(&late, 2));
    }

    #[test]
    fn is_asking_for_more_than_there_are_an_error() {
        let pool = Encoders::new(2);
        let early = job(&pool, 0, 1);
        let mut asked: Asked<'_> = Box::pin(early.acquire_many(3, 0));
        let answer = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Err(MoreThanThereAre))));
    }

    #[test]
    fn does_a_job_that_goes_on_keep_the_time_when_it_began() {
        let mut record = crate::database::sample_record("1-a", 1);
        record.submission.priority = 3;
        assert_eq!(Urgency::of(&record, 70).began_ms, 70);
        record.times.started_ms = Some(50);
        let urgency = Urgency::of(&record, 70);
        assert_eq!((urgency.began_ms, urgency.priority), (50, Reverse(3)));
    }
}
