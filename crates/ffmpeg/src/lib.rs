//! Runs ffmpeg and ffprobe as child processes.
//!
//! Builds the commands for planned tasks, runs them in a sandbox, and measures media files. It knows nothing
//! of jobs or network addresses.

mod audio_graph;
mod capabilities;
pub mod command;
mod encoder_args;
mod error;
mod facts;
mod filter_graph;
mod first_pass;
mod graph_text;
mod inspect;
mod overlays;
mod probe;
mod progress;
mod quality;
mod run;
pub mod sandbox;
mod tools;
mod upright;
mod words;

pub use abanico_plan::Capabilities;
pub use abanico_process::{Exit, Lack};
pub use capabilities::capabilities;
pub use error::{Error, ErrorKind};
pub use facts::{AudioFacts, OutputFacts, VideoFacts, output_facts};
pub use first_pass::{AtRateFactor, FirstPass, Spending, chunk_rates, mean_at_rate_factor};
pub use inspect::{Buffer, BufferModel, BufferReport, CodedFrame, Groups, Inspection, inspect};
pub use probe::probe;
pub use progress::{Progress, ProgressParser};
pub use quality::{Levels, read_qualities, stretch_frames};
pub use run::{Finished, Invocation, Limits, RunError, RunErrorKind, command_line, run};
pub use tools::{Launcher, Tools};
pub use upright::mark_upright;
