//! Takes the jumps out of a fetched input's clock: replaces the file by a copy whose clock runs on. Every later step
//! then works on one clock, so picture and sound stay together wherever the film is cut. Sound whose channels or sampling
//! rate change gets one form in the same way. It never changes the user's own file.

use std::ffi::OsString;
use std::path::Path;

use abanico_ffmpeg::command::{STEADY_FILE, UNBROKEN_FILE, copy_steady, copy_unbroken};
use abanico_media::{AudioTrack, ClockJumps, MediaInfo, VideoTrack};

use crate::failure::{self, Failure};
use crate::machine::bounds;
use crate::machine::caged::{Outputs, ffmpeg};
use crate::machine::workbench::Workbench;

/// Replaces `file` by a copy with an unbroken clock if its clock jumps, and by one whose sound keeps its channels and
/// its sampling rate if they change. Returns the facts of the file that is there now.
pub async fn unbroken(
    bench: &Workbench,
    url: &str,
    file: &Path,
    mut info: MediaInfo,
) -> Result<MediaInfo, Failure> {
    if !info.jumps.shifts.is_empty() {
        let copy =
            Copy { name: UNBROKEN_FILE, what: "taking the jumps out of the clock", args: copy_unbroken };
        let copied = replaced(bench, url, file, &info, copy).await?;
        info = described_as(info, copied);
    }
    if info.audio.iter().any(|track| !track.forms.is_empty()) {
        let copy = Copy { name: STEADY_FILE, what: "giving the sound one form", args: copy_steady };
        let copied = replaced(bench, url, file, &info, copy).await?;
        let of_sound = copied.audio.iter().map(|track| (track.codec.clone(), track.is_jittery));
        let of_sound: Vec<_> = of_sound.collect();
        info = described_as(info, copied);
        for (track, (codec, is_jittery)) in info.audio.iter_mut().zip(of_sound) {
            (track.codec, track.is_jittery) = (codec, is_jittery);
        }
    }
    Ok(info)
}

/// How a copy is made.
struct Copy {
    /// Name of the copy's file.
    name: &'static str,
    /// What making it does, for messages.
    what: &'static str,
    /// Returns ffmpeg's arguments for a file and the folder of its copy.
    args: fn(&MediaInfo, &Path, &Path) -> Vec<OsString>,
}

/// Replaces `file` by its copy, and returns the copy's facts.
async fn replaced(
    bench: &Workbench,
    url: &str,
    file: &Path,
    info: &MediaInfo,
    copy: Copy,
) -> Result<MediaInfo, Failure> {
    let _permit = bench.capacity.light().await?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let task = format!("{name}-{}", copy.name);
    let folder = bench.begin(&task)?;
    let source = [file.to_owned()];
    let outputs = Outputs { folder: &folder, bounds: bounds::of_decoded_copies(&source, info.duration()) };
    let args = (copy.args)(info, file, &folder);
    ffmpeg(bench, copy.what, args, &source, outputs, None).await?;
    std::fs::rename(folder.join(copy.name), file)
        .map_err(|error| failure::from_disk("replace an input by its copy", &error))?;
    bench.folders.discard(&task);
    let copied = abanico_ffmpeg::probe(&bench.machine.tools, file, &bench.cancel).await;
    let copied = copied.map_err(|error| failure::from_probe(url, &file.display().to_string(), &error))?;
    if copied.audio.len() != info.audio.len() || copied.video.is_some() != info.video.is_some() {
        return Err(failure::broken(&format!("{} lost a track", copy.what)));
    }
    Ok(copied)
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
        sample_rate_hz: copied.sample_rate_hz,
        channels: copied.channels,
        channel_layout: copied.channel_layout,
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
