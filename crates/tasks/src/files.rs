//! The files of tasks: their folders, their hashes, what is packaged, and what is read of sources.

pub(crate) mod codec_names;
pub(crate) mod folders;
pub mod packaged_files;
pub(crate) mod source_files;
pub mod sums;
