//! Cuts encoded streams into MPEG-2 TS segments, each beginning with the tables and a key frame. Fails unless there
//! are as many segments as planned.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use abanico_ffmpeg::command::{self, StreamFiles};
use abanico_package::key_frame_bytes;
use abanico_plan::{SegmentedOutput, TransportStream};

use super::{CutSegment, CutStream, segment_name};
use crate::failure::{self, Failure};
use crate::machine::bounds;
use crate::machine::caged::{Outputs, ffmpeg};
use crate::machine::workbench::Workbench;

/// Cuts with ffmpeg. Also returns its CPU time in milliseconds.
pub(super) async fn cut(
    bench: &Workbench,
    output: &SegmentedOutput,
    numbers: &TransportStream,
    files: StreamFiles<'_>,
    folder: &Path,
) -> Result<(CutStream, u64), Failure> {
    let args = command::segment(output, numbers, files, folder);
    let inputs: Vec<PathBuf> =
        files.video.iter().map(|path| path.to_path_buf()).chain(files.audio.iter().cloned()).collect();
    let outputs = Outputs { folder, bounds: bounds::of_copies(&inputs) };
    let finished = ffmpeg(bench, "cutting segments", args, &inputs, outputs, None).await?;
    check_count(output, folder)?;
    let segments = segments(output, numbers, folder);
    let segments = segments.map_err(|error| failure::from_disk("measure the segments", &error))?;
    Ok((CutStream { segments, fragmented: None }, finished.cpu_ms()))
}

fn check_count(output: &SegmentedOutput, folder: &Path) -> Result<(), Failure> {
    let planned = output.segmentation.count();
    let is_there = |index| folder.join(segment_name(output, index)).exists();
    if is_there(planned - 1) && !is_there(planned) {
        return Ok(());
    }
    Err(failure::broken(&format!(
        "ffmpeg did not cut {planned} segments: a key frame is not where one was forced"
    )))
}

fn segments(
    output: &SegmentedOutput,
    numbers: &TransportStream,
    folder: &Path,
) -> io::Result<Vec<CutSegment>> {
    let segment = |(index, duration)| {
        let file = File::open(folder.join(segment_name(output, index)))?;
        let size_bytes = file.metadata()?.len();
        let key_frame_bytes =
            if output.i_frames { key_frame_bytes(io::BufReader::new(file), numbers.video_pid)? } else { 0 };
        Ok(CutSegment { size_bytes, duration, ticks: 0, key_frame_bytes })
    };
    output.segmentation.durations().into_iter().enumerate().map(segment).collect()
}
