//! Runs up to two attempts at one encode, and returns what the first to succeed has made. The other is stopped.

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::jobs::job_machine::Failure;

/// How often to check whether a second attempt should begin.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait for the slower attempt to end. It is normally killed long before; only a process blocked by a
/// failing disk takes longer, and such a disk may be why this attempt was the slower one.
const PATIENCE: Duration = Duration::from_secs(10);

/// An attempt, and how to stop it.
pub(crate) struct Attempt<W> {
    /// Its work.
    pub work: W,
    /// Stops this attempt and nothing else.
    pub cancel: CancellationToken,
}

/// Which of two attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    First,
    Second,
}

impl Which {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Returns its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }
}

/// Result of an encode.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Ended<T> {
    /// The result of the first attempt that succeeded.
    pub made: T,
    /// Which attempt that was; `None` if there was only one.
    pub won: Option<Which>,
}

/// Waits for the attempt `first`, and calls `second` every second until it returns another attempt. The first attempt
/// to succeed wins, and the other is stopped. If one fails, the other continues, and `on_failure` is called. If both
/// fail, returns the failure of the first attempt, unless it was only outrun.
pub(crate) async fn first_to_end_well<T, W: Future<Output = Result<T, Failure>>>(
    first: Attempt<W>,
    mut second: impl FnMut() -> Option<Attempt<W>>,
    on_failure: impl Fn(Which, &Failure),
) -> Result<Ended<T>, Failure> {
    let (mut work, cancel) = (pin!(first.work), first.cancel);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let beside = loop {
        tokio::select! {
            biased;
            ended = &mut work => return ended.map(|made| Ended { made, won: None }),
            _ = look.tick() => if let Some(beside) = second() { break beside },
        }
    };
    let (mut other, other_cancel) = (pin!(beside.work), beside.cancel);
    tokio::select! {
        biased;
        ended = &mut work => settle(Which::First, ended, other.as_mut(), &other_cancel, on_failure).await,
        ended = &mut other => settle(Which::Second, ended, work.as_mut(), &cancel, on_failure).await,
    }
}

/// Decides the result when one of two attempts has ended.
async fn settle<T, W: Future<Output = Result<T, Failure>>>(
    which: Which,
    ended: Result<T, Failure>,
    other: Pin<&mut W>,
    other_cancel: &CancellationToken,
    on_failure: impl Fn(Which, &Failure),
) -> Result<Ended<T>, Failure> {
    match ended {
        Ok(made) => {
            other_cancel.cancel();
            // What it used is told by whoever ran it.
            let _ = timeout(PATIENCE, other).await;
            Ok(Ended { made, won: Some(which) })
        }
        Err(failure) => {
            on_failure(which, &failure);
            match other.await {
                Ok(made) => Ok(Ended { made, won: Some(which.other()) }),
                Err(of_other) => Err(match which {
                    Which::First => telling(failure, of_other),
                    Which::Second => telling(of_other, failure),
                }),
            }
        }
    }
}

/// Returns the failure that tells why an encode failed.
fn telling(of_first: Failure, of_second: Failure) -> Failure {
    if of_first.is_outrun() { of_second } else { of_first }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::oneshot;

    use super::*;
    use crate::failure;

    /// Ignores failures.
    fn nobody(_: Which, _: &Failure) {}

    type Answer = Result<&'static str, Failure>;

    /// Returns an attempt, a sender for its result, and a flag that is set once it has ended. The attempt ends when
    /// it gets its result or is stopped.
    fn attempt() -> (Attempt<impl Future<Output = Answer>>, oneshot::Sender<Answer>, Arc<AtomicBool>) {
        let (tell, told) = oneshot::channel::<Answer>();
        let (cancel, has_ended) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let (token, ended) = (cancel.clone(), has_ended.clone());
        let work = async move {
            let answer = tokio::select! {
                biased;
                answer = told => answer.unwrap(),
                () = token.cancelled() => Err(failure::broken("stopped")),
            };
            ended.store(true, Ordering::SeqCst);
            answer
        };
        (Attempt { work, cancel }, tell, has_ended)
    }

    /// Runs two attempts; `tell` gets the senders for their results. Checks that both end, and returns the outcome.
    async fn both(
        tell: impl FnOnce(oneshot::Sender<Answer>, oneshot::Sender<Answer>),
    ) -> Result<Ended<&'static str>, Failure> {
        let (first, tell_first, first_ended) = attempt();
        let (second, tell_second, second_ended) = attempt();
        let (mut second, mut tell) = (Some(second), Some(|| tell(tell_first, tell_second)));
        let made = first_to_end_well(
            first,
            || {
                let second = second.take();
                if second.is_some() {
                    tell.take().unwrap()();
                }
                second
            },
            nobody,
        );
        let made = made.await;
        assert!(first_ended.load(Ordering::SeqCst) && second_ended.load(Ordering::SeqCst));
        made
    }

    fn won(made: &'static str, which: Which) -> Result<Ended<&'static str>, Failure> {
        Ok(Ended { made, won: Some(which) })
    }

    #[tokio::test]
    async fn single_attempt_runs_without_a_second() {
        let (first, tell, _) = attempt();
        let mut tell = Some(tell);
        let mut asked = 0;
        let made = first_to_end_well(
            first,
            || {
                asked += 1;
                if asked == 2 {
                    tell.take().unwrap().send(Ok("first")).unwrap();
                }
                None
            },
            nobody,
        );
        assert_eq!(made.await, Ok(Ended { made: "first", won: None }));
        assert_eq!(asked, 2, "it was asked more than once");
        let (first, tell, _) = attempt();
        tell.send(Err(failure::broken("alone"))).unwrap();
        assert_eq!(first_to_end_well(first, || None, nobody).await, Err(failure::broken("alone")));
    }

    #[tokio::test]
    async fn first_success_wins_and_other_ends() {
        let made = both(|first, second| {
            first.send(Ok("first")).unwrap();
            std::mem::forget(second);
        });
        assert_eq!(made.await, won("first", Which::First));
        let made = both(|first, second| {
            second.send(Ok("second")).unwrap();
            std::mem::forget(first);
        });
        assert_eq!(made.await, won("second", Which::Second));
    }

    #[tokio::test]
    async fn other_attempt_continues_after_one_fails() {
        let fails = || Err(failure::broken("one of two"));
        let made = both(|first, second| {
            first.send(fails()).unwrap();
            tokio::spawn(async move { second.send(Ok("second")).unwrap() });
        });
        assert_eq!(made.await, won("second", Which::Second));
        let made = both(|first, second| {
            second.send(fails()).unwrap();
            tokio::spawn(async move { first.send(Ok("first")).unwrap() });
        });
        assert_eq!(made.await, won("first", Which::First));
    }

    #[tokio::test]
    async fn two_failures_return_that_of_first_attempt() {
        let [one, two] = [failure::broken("first"), failure::broken("second")];
        let (first_fails, second_fails) = (Err(one.clone()), Err(two));
        let (early, late) = (first_fails.clone(), second_fails.clone());
        let made = both(move |first, second| {
            first.send(early).unwrap();
            tokio::spawn(async move { second.send(late).unwrap() });
        });
        assert_eq!(made.await, Err(one.clone()));
        let made = both(move |first, second| {
            second.send(second_fails).unwrap();
            tokio::spawn(async move { first.send(first_fails).unwrap() });
        });
        assert_eq!(made.await, Err(one));
    }

    #[tokio::test]
    async fn failure_of_the_winner_tells_more_than_that_of_the_outrun() {
        let full = || failure::broken("the disk is full");
        let made = both(|first, second| {
            first.send(Err(abanico_tasks::failure::outrun())).unwrap();
            tokio::spawn(async move { second.send(Err(full())).unwrap() });
        });
        assert_eq!(made.await, Err(full()));
        let made = both(|first, second| {
            second.send(Err(abanico_tasks::failure::outrun())).unwrap();
            tokio::spawn(async move { first.send(Err(full())).unwrap() });
        });
        assert_eq!(made.await, Err(full()));
    }
}
