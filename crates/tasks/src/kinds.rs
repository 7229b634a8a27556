//! One module for each kind of task, which does it.

pub(crate) mod audio;
pub(crate) mod captions;
pub(crate) mod capture;
pub(crate) mod manifests;
pub(crate) mod package;
pub(crate) mod segment;
pub(crate) mod unbroken;
pub(crate) mod verify;
pub(crate) mod video;
