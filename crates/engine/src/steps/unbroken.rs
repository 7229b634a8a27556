//! Takes the jumps out of a fetched input's clock: replaces the file by a copy whose clock runs on. Every later step
//! then works on one clock, so picture and sound stay together wherever the film is cut. It never changes the user's
//! own file.

use std::path::Path;

use abanico_ffmpeg::command::{UNBROKEN_FILE, copy_unbroken};
use abanico_media::{AudioTrack, ClockJumps, MediaInfo, VideoTrack};
use abanico_plan::TaskId;

use super::JobContext;
use super::bounds;
use super::encode::{Outputs, begin, ffmpeg, light};
use crate::failure;
use crate::job_machine::Failure;

/// Replaces `file` by a copy with an unbroken clock if its clock jumps. Returns the facts of the file that is there
/// now.
pub(super) async fn unbroken(
    context: &JobContext,
    url: &str,
    file: &Path,
    info: MediaInfo,
) -> Result<MediaInfo, Failure> {
    if info.jumps.shifts.is_empty() {
        return Ok(info);
    }
    let _permit = light(context).await?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let task = TaskId::new(format!("{name}-unbroken"));
    let folder = begin(context, &task)?;
    let source = [file.to_owned()];
    let outputs = Outputs { folder: &folder, bounds: bounds::of_copies(&source) };
    let args = copy_unbroken(&info, file, &folder);
    ffmpeg(context, "taking the jumps out of the clock", args, &source, outputs, None).await?;
    std::fs::rename(folder.join(UNBROKEN_FILE), file)
        .map_err(|error| failure::from_disk("replace an input whose clock jumps", &error))?;
    context.work.discard(&task);
    let copied = abanico_ffmpeg::probe(&context.workshop.tools, file, &context.cancel).await;
    let copied = copied.map_err(|error| failure::from_probe(url, &file.display().to_string(), &error))?;
    if copied.audio.len() != info.audio.len() || copied.video.is_some() != info.video.is_some() {
        return Err(failure::broken("the copy with an unbroken clock lacks a track"));
    }
    Ok(described_as(info, copied))
}

/// Returns the copy's facts with what only the original says of its tracks.
fn described_as(original: MediaInfo, copied: MediaInfo) -> MediaInfo {
    let video = original.video.zip(copied.video).map(|(original, copied)| VideoTrack {
        stream_index: copied.stream_index,
        frame_rate: copied.frame_rate,
        variable_frame_rate: copied.variable_frame_rate,
        frames: copied.frames,
        start: copied.start,
        end: copied.end,
        bit_rate_bps: copied.bit_rate_bps,
        entry_points: copied.entry_points,
        ..original
    });
    let audio = original.audio.into_iter().zip(copied.audio).map(|(original, copied)| AudioTrack {
        stream_index: copied.stream_index,
        start: copied.start,
        end: copied.end,
        packet: copied.packet,
        ..original
    });
    MediaInfo {
        container: original.container,
        size_bytes: original.size_bytes,
        clock_start: copied.clock_start,
        video,
        audio: audio.collect(),
        jumps: ClockJumps { count: original.jumps.count, shifts: Vec::new() },
    }
}
