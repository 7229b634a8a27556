//! Tests a machine before it gets work: encodes a second of a test picture and its sound as a task would, in the sandbox,
//! and looks at what came out. It needs no input.

use std::path::Path;
use std::sync::Arc;

use abanico_ffmpeg::command::{SELF_TEST_FILE, SELF_TEST_FRAMES, encode_test_picture};
use abanico_plan::TaskId;
use tokio_util::sync::CancellationToken;

use crate::failure::{self, Failure};
use crate::files::folders::TaskFolders;
use crate::machine::attempt::Attempt;
use crate::machine::caged::{Outputs, ffmpeg};
use crate::machine::capacity::WholeMachine;
use crate::machine::sandboxing::Bounds;
use crate::machine::workbench::{Machine, TaskSink, Workbench};

/// What the test may use up. It takes a tenth of a second, and writes some kilobytes.
const BOUNDS: Bounds = Bounds { bytes: 16 << 20, cpu_seconds: 60 };
/// Name of the test's folder.
const NAME: &str = "self-test";

/// Reports go nowhere.
struct Nobody;

impl TaskSink for Nobody {
    fn begins(&self, _task: &TaskId, _renditions: &[u32]) {}

    fn delivered(&self, _task: &TaskId, _frames: u64) {}

    fn lost(&self, _cpu_ms: u64) {}
}

/// Encodes a short film below `folder`, and checks it.
///
/// # Errors
/// Fails if ffmpeg does, or if the film is not what was asked for.
pub async fn self_test(
    machine: &Arc<Machine>,
    folder: &Path,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let bench = Workbench {
        machine: machine.clone(),
        capacity: Arc::new(WholeMachine),
        attempt: Attempt::default(),
        name: NAME.to_owned(),
        subject: "the test picture".to_owned(),
        folders: TaskFolders::below(folder.to_owned()),
        files: Arc::default(),
        input_hashes: Arc::default(),
        sink: Arc::new(Nobody),
        cancel: cancel.clone(),
    };
    let made = bench.begin(NAME)?;
    let outputs = Outputs { folder: &made, bounds: BOUNDS };
    ffmpeg(&bench, "the test encode", encode_test_picture(&made), &[], outputs, None).await?;
    let file = made.join(SELF_TEST_FILE);
    let probed = abanico_ffmpeg::probe(&machine.tools, &file, cancel).await;
    let info =
        probed.map_err(|error| failure::from_probe("the test film", &file.display().to_string(), &error))?;
    bench.folders.discard(NAME);
    let frames = info.video.as_ref().map_or(0, |video| video.frames);
    if frames == SELF_TEST_FRAMES && info.audio.len() == 1 {
        return Ok(());
    }
    let message = format!(
        "the test film has {frames} frames and {} sounds instead of {SELF_TEST_FRAMES} and 1: run `abanico doctor`",
        info.audio.len()
    );
    Err(Failure::new(failure::codes::UNKNOWN, message, true))
}
