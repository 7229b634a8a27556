//! The processors of a worker's machine, shared by its tasks in the order in which they ask.

use std::sync::Arc;

use abanico_tasks::{Capacity, Failure, Turn, failure};
use async_trait::async_trait;
use tokio::sync::Semaphore;

/// One permit for each processor.
#[derive(Debug)]
pub(crate) struct Processors {
    encoders: Arc<Semaphore>,
    light: Arc<Semaphore>,
    most: u32,
}

impl Processors {
    /// Shares this many processors.
    pub fn new(processors: u32) -> Self {
        let most = processors.max(1);
        let permits = || Arc::new(Semaphore::new(most as usize));
        Self { encoders: permits(), light: permits(), most }
    }
}

#[async_trait]
impl Capacity for Processors {
    async fn encoders(&self, wanted: u32, _turn: u32) -> Result<Turn, Failure> {
        // A film may be planned for larger machines.
        let permits = self.encoders.clone().acquire_many_owned(wanted.clamp(1, self.most)).await;
        permits.map(Turn::until_dropped).map_err(|_| failure::broken("the processors are gone"))
    }

    async fn light(&self) -> Result<Turn, Failure> {
        let permit = self.light.clone().acquire_owned().await;
        permit.map(Turn::until_dropped).map_err(|_| failure::broken("the processors are gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn encodes_share_the_processors() {
        let processors = Processors::new(2);
        let one = processors.encoders(1, 0).await.unwrap();
        let _other = processors.encoders(1, 0).await.unwrap();
        assert_eq!(processors.encoders.available_permits(), 0);
        processors.light().await.unwrap();
        drop(one);
        assert_eq!(processors.encoders.available_permits(), 1);
    }

    #[tokio::test]
    async fn film_planned_for_more_processors_takes_all() {
        let processors = Processors::new(2);
        let _all = processors.encoders(16, 0).await.unwrap();
        assert_eq!(processors.encoders.available_permits(), 0);
    }
}
