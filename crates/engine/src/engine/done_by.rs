//! Who does the jobs of an engine.

use crate::fleet::FleetOptions;
use crate::forwarding::Forwarding;

/// Who does the jobs.
#[derive(Clone, Debug)]
pub enum DoneBy {
    /// This machine.
    ThisMachine,
    /// Another service, which gets whole jobs.
    OtherService(Forwarding),
    /// A fleet, which gets the tasks of jobs that this machine prepares and publishes.
    Fleet(FleetOptions),
}

impl DoneBy {
    /// Returns how whole jobs are handed on, if they are.
    pub(crate) fn forwarding(&self) -> Option<&Forwarding> {
        match self {
            Self::OtherService(forwarding) => Some(forwarding),
            Self::ThisMachine | Self::Fleet(_) => None,
        }
    }

    /// Returns how many encoders a fleet has.
    pub(crate) fn encoders(&self) -> Option<u32> {
        match self {
            Self::Fleet(fleet) => Some(fleet.encoders.max(1)),
            Self::ThisMachine | Self::OtherService(_) => None,
        }
    }
}
