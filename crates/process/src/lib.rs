//! Ends what must not outlive a process: child processes with their children, and folders of work in progress. Tells a
//! process's time, and what an error's causes say.
//!
//! It knows nothing of media, jobs or AWS.

mod causes;
pub mod clock;
mod exit;
mod lack;
mod output;
mod supervisor;
mod tail;
mod terminal;
mod work_folder;

pub use causes::with_causes;
pub use exit::Exit;
pub use lack::Lack;
pub use output::{Output, OutputError, output};
pub use supervisor::{Ended, Group, Kind, Started, exit_at_once, flattened, start};
pub use tail::{LineSplitter, Tail};
pub use work_folder::{WorkFolder, WorkPlace};
