//! Says what of an input the tasks of chunks read, for machines that fetch no more. It reads no input.

use abanico_media::ExactTime;
use abanico_package::{TimeRun, Tracks};
use abanico_plan::{RateBranch, SourceVideo, TaskId, TaskKind, VideoEncode};

use super::encode::described_in;
use super::judge::Verdict;
use crate::failure::Failure;
use crate::files::folders::TaskFolders;

/// Returns the task whose result says whether a task of this kind has anything to do.
pub(crate) fn decided_by(kind: &TaskKind) -> Option<TaskId> {
    matches!(kind, TaskKind::EncodeAgain(_)).then(TaskId::judgement)
}

/// Returns whether a task has anything to do, once [`decided_by`] is there.
///
/// # Errors
/// Fails if that cannot be read.
pub(crate) fn has_work(kind: &TaskKind, folders: &TaskFolders) -> Result<bool, Failure> {
    match kind {
        TaskKind::EncodeAgain(again) => {
            Ok(Verdict::read_in(folders)?.renditions.contains(&again.rendition.index))
        }
        _ => Ok(true),
    }
}

/// Returns the run of an input that a task reads, once all that it reads of other tasks is there. `clock_start` is the
/// start of the input's clock. `None` reads the whole input.
///
/// # Errors
/// Fails if what another task made cannot be read.
pub(crate) fn read_of(
    kind: &TaskKind,
    input: u32,
    clock_start: ExactTime,
    folders: &TaskFolders,
) -> Result<Option<TimeRun>, Failure> {
    Ok(match kind {
        TaskKind::AnalyseVideo(encode) | TaskKind::EncodeVideo(encode) => run_of(encode, input, clock_start),
        TaskKind::CompareJoint(seam) => {
            let around = seam.joint.around(&described_in(folders, seam.chunk)?);
            run_of(&around.encode, input, clock_start)
        }
        _ => None,
    })
}

/// Returns the run of an input that an encode of one clip reads.
fn run_of(encode: &VideoEncode, input: u32, clock_start: ExactTime) -> Option<TimeRun> {
    let [clip] = &encode.clips[..] else { return None };
    let to = encode.branches.iter().map(|branch| end_of(clip, branch)).max()?;
    // The first frames of a film are compared with the source, read from farther back.
    let compared = clip.compared_from.filter(|_| encode.begins_film());
    let from = compared.map_or(clip.seek, |from| from.min(clip.seek));
    (clip.input == input).then(|| TimeRun {
        // ffmpeg seeks from the start of the file's clock.
        from: (from > ExactTime::ZERO).then(|| from + clock_start),
        to: Some(to),
        tracks: Tracks::Video,
    })
}

/// Returns where the last frame of a branch ends, on the file's own clock.
fn end_of(clip: &SourceVideo, branch: &RateBranch) -> ExactTime {
    let first = branch.run.map_or(0, |run| run.first);
    clip.start + ExactTime::of_frames(first + branch.frames, branch.rate)
}

#[cfg(test)]
mod tests {
    use abanico_media::{Colour, Orientation};
    use serde_json::json;

    use super::*;

    fn encode(clips: usize) -> VideoEncode {
        let clip = json!({"input": 1, "seek": "20/1", "stream_index": 0, "start": "3/1",
            "size": {"width": 64, "height": 36}, "sample_aspect": "1/1", "orientation": Orientation::default(),
            "deinterlace": "progressive", "is_fast": false, "tone_map": "none", "pixel_format": "yuv420p",
            "colour": Colour::bt709()});
        let branch = |rate: &str, first: u64, frames: u64| {
            json!({"rate": rate, "frames": frames, "clip_frames": [frames], "run": {"first": first, "lead": 0},
                "from_fields": false, "keeps_range": false, "renditions": []})
        };
        let branches = [branch("25/1", 500, 100), branch("50/1", 1000, 210)];
        serde_json::from_value(json!({"clips": vec![clip; clips], "branches": branches})).unwrap()
    }

    fn seconds(seconds: i64, tenths: i64) -> ExactTime {
        ExactTime::from_millis(seconds * 1000 + tenths * 100)
    }

    #[test]
    fn run_of_a_chunk_ends_with_its_longest_branch() {
        let run = run_of(&encode(1), 1, seconds(3, 0)).unwrap();
        assert_eq!((run.from, run.to), (Some(seconds(23, 0)), Some(seconds(27, 2))));
        let mut compared = encode(1);
        compared.clips[0].compared_from = Some(seconds(12, 0));
        assert_eq!(run_of(&compared, 1, seconds(3, 0)).unwrap().from, Some(seconds(15, 0)));
        compared.chunk = Some(4);
        assert_eq!(run_of(&compared, 1, seconds(3, 0)).unwrap().from, Some(seconds(23, 0)), "it is no start");
        assert_eq!(run_of(&encode(1), 0, seconds(3, 0)), None);
        assert_eq!(run_of(&encode(2), 1, seconds(3, 0)), None, "several clips read the whole input");
    }
}
