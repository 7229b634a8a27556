//! What tasks work with on a machine: their workbench, their turns, and ffmpeg in its cage.

pub(crate) mod attempt;
pub(crate) mod bounds;
pub(crate) mod caged;
pub(crate) mod capacity;
pub(crate) mod made_files;
pub(crate) mod sandboxing;
pub(crate) mod self_test;
pub(crate) mod workbench;
