//! Gives the tasks of this machine's jobs their turns: encodes by the urgency of their jobs, light work in the order of
//! arrival.

use std::sync::{Arc, Mutex, PoisonError};

use abanico_tasks::{Capacity, Failure, Turn};
use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::encoders::{Encoders, Load, Permits, Urgency};
use crate::failure;

/// The machine as one job sees it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    /// One permit per processor. An encode of a whole input takes them all, so that two never compete for caches.
    encoders: Encoders,
    /// Permits for light work. Served in order of arrival, so that no job waits forever.
    light: Arc<Semaphore>,
}

impl Turns {
    /// Creates the turns of a machine with this many processors, for jobs of the lowest urgency.
    pub fn new(processors: u32) -> Self {
        Self { encoders: Encoders::new(processors), light: Arc::new(Semaphore::new(processors as usize)) }
    }

    /// Returns the same machine for a job of this urgency.
    pub fn for_job(&self, urgency: Urgency) -> Self {
        Self { encoders: self.encoders.for_job(urgency), light: self.light.clone() }
    }

    /// Returns how busy the encoders are.
    pub fn load(&self) -> Load {
        self.encoders.load()
    }

    /// Waits for a permit for light work.
    pub async fn for_light_work(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = self.light.clone().acquire_owned().await;
        permit.map_err(|_| failure::broken("the light permits are gone"))
    }

    /// Takes this many processors if they are idle and no encode waits for any; the result gives them to the next encode
    /// that asks it.
    pub fn idle(&self, wanted: u32) -> Option<IdleTurns> {
        let permits = self.encoders.acquire_idle(wanted)?;
        Some(IdleTurns { turns: self.clone(), permits: Mutex::new(Some(permits)) })
    }
}

#[async_trait]
impl Capacity for Turns {
    async fn encoders(&self, wanted: u32, turn: u32) -> Result<Turn, Failure> {
        let permits = self.encoders.acquire_many(wanted, turn).await;
        permits.map(Turn::until_dropped).map_err(|_| failure::broken("more processors than there are"))
    }

    async fn light(&self) -> Result<Turn, Failure> {
        self.for_light_work().await.map(Turn::until_dropped)
    }
}

/// Processors that were taken before the encode that needs them.
pub(crate) struct IdleTurns {
    turns: Turns,
    permits: Mutex<Option<Permits>>,
}

#[async_trait]
impl Capacity for IdleTurns {
    async fn encoders(&self, wanted: u32, turn: u32) -> Result<Turn, Failure> {
        let taken = self.permits.lock().unwrap_or_else(PoisonError::into_inner).take();
        match taken {
            Some(permits) => Ok(Turn::until_dropped(permits)),
            None => self.turns.encoders(wanted, turn).await,
        }
    }

    async fn light(&self) -> Result<Turn, Failure> {
        self.turns.light().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_processors_go_to_the_encode_they_were_taken_for() {
        let turns = Turns::new(2);
        let idle = turns.idle(1).unwrap();
        assert!(turns.idle(2).is_none(), "one is taken");
        let turn = idle.encoders(1, 0).await.unwrap();
        assert_eq!(turns.load().in_use, 1);
        drop(turn);
        assert_eq!(turns.load().in_use, 0);
        let both = turns.encoders(2, 0).await.unwrap();
        assert!(turns.idle(1).is_none());
        drop((both, idle));
        assert!(turns.encoders(3, 0).await.is_err());
    }
}
