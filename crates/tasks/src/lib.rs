//! Does the tasks of a plan: takes one task with a workbench, and gives finished files in the task's folder. A task's
//! specification holds all its values and names all that it reads, so this crate knows no job, no plan, no record and no
//! database.
//!
//! [`run`] does one task. The files of a task are either complete or absent, and nothing is written outside the folders
//! of the workbench.

mod assignment;
mod attempt;
mod audio;
mod bounds;
mod caged;
mod capacity;
mod captions;
mod capture;
mod codec_names;
pub mod failure;
mod folders;
mod made_files;
mod manifests;
mod package;
pub mod packaged_files;
pub mod results;
mod reuse;
mod run;
mod sandboxing;
mod segment;
mod source_files;
pub mod sums;
mod unbroken;
mod verify;
mod video;
mod workbench;

pub use assignment::{
    Assignment, FetchedArtifact, Reading, Site, assignments, key_of_fetched, store_fetched,
};
pub use attempt::Attempt;
pub use capacity::{Capacity, Turn, WholeMachine};
pub use captions::read as read_captions;
pub use failure::Failure;
pub use folders::TaskFolders;
pub use run::{MeasuredOutput, TaskOutcome, run};
pub use sandboxing::{Bounds, Sandboxing};
pub use source_files::{SourceFile, SourceReader};
pub use unbroken::unbroken;
pub use workbench::{InputHashes, Machine, TaskSink, Workbench};
