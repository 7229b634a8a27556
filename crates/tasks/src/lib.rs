//! Does the tasks of a plan: takes one task with a workbench, and gives finished files in the task's folder. A task's
//! specification holds all its values and names all that it reads, so this crate knows no job, no plan, no record and no
//! database.
//!
//! [`run`] does one task. The files of a task are either complete or absent, and nothing is written outside the folders
//! of the workbench.

mod assignment;
mod assignment_list;
pub mod failure;
mod files;
mod kept;
mod kinds;
mod machine;
mod run;

pub use assignment::{
    Assignment, FetchedArtifact, Reading, Site, assignments, from_artifacts, key_of_fetched, place_made,
    store_fetched,
};
pub use assignment_list::{read_assignment, store_assignments};
pub use failure::Failure;
pub use files::folders::TaskFolders;
pub use files::source_files::{SourceFile, SourceReader};
pub use files::{packaged_files, sums};
pub use kept::results;
pub use kinds::captions::read as read_captions;
pub use kinds::unbroken::unbroken;
pub use machine::attempt::Attempt;
pub use machine::capacity::{Capacity, Turn, WholeMachine};
pub use machine::sandboxing::{Bounds, Sandboxing};
pub use machine::self_test::self_test;
pub use machine::workbench::{InputHashes, Machine, TaskSink, Workbench};
pub use run::{MeasuredOutput, TaskOutcome, run};
