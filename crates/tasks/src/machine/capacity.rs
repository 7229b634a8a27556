//! The machine's capacity as tasks see it: a task says how much of the machine it needs, and waits for its turn. Whoever
//! runs the tasks decides whose turn it is; nothing here does.

use std::fmt;

use async_trait::async_trait;

use crate::failure::Failure;

/// Gives tasks their turns on a machine.
#[async_trait]
pub trait Capacity: Send + Sync {
    /// Waits until a task may use this many processors to encode video. Among the encodes of a job, those with the
    /// smaller `turn` go first. Dropping the future gives up the wait.
    ///
    /// # Errors
    /// Fails if the machine never has that many.
    async fn encoders(&self, wanted: u32, turn: u32) -> Result<Turn, Failure>;

    /// Waits until a task may do light work: probing, audio, packaging, verifying.
    ///
    /// # Errors
    /// Fails only if the machine is being taken apart.
    async fn light(&self) -> Result<Turn, Failure>;
}

/// A part of the machine that a task may use until this is dropped.
pub struct Turn {
    #[expect(dead_code, reason = "it is only dropped")]
    permit: Box<dyn Send>,
}

impl Turn {
    /// Wraps what gives the part back when it is dropped.
    pub fn until_dropped(permit: impl Send + 'static) -> Self {
        Self { permit: Box::new(permit) }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

/// The capacity of a machine that does one task at a time: every turn comes at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct WholeMachine;

#[async_trait]
impl Capacity for WholeMachine {
    async fn encoders(&self, _wanted: u32, _turn: u32) -> Result<Turn, Failure> {
        Ok(Turn::until_dropped(()))
    }

    async fn light(&self) -> Result<Turn, Failure> {
        Ok(Turn::until_dropped(()))
    }
}
