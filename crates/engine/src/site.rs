//! What jobs have on this machine: their folders, their room on the disk, what they fetch, and how they publish.

pub(crate) mod claims;
pub(crate) mod context;
pub(crate) mod encoders;
pub(crate) mod fetching;
pub(crate) mod publish;
pub(crate) mod room;
pub(crate) mod turns;
pub(crate) mod work_folder;
