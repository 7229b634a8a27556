//! ffmpeg and ffprobe as child processes.
//!
//! In: files and tasks. Out: facts about media and finished files. Never: a job, a network address.

mod capabilities;
mod error;
mod probe;
mod tools;

pub use capabilities::{Capabilities, capabilities};
pub use error::{Error, ErrorKind};
pub use tools::{Launcher, Tools};
