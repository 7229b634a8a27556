//! ffmpeg and ffprobe as child processes.
//!
//! In: files and tasks. Out: facts about media and finished files. Never: a job, a network address.

mod error;

pub use error::{Error, ErrorKind};
