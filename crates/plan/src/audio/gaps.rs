//! Finds the gaps between audio and video, and warns of silence that is added and audio that is dropped. It
//! changes neither.

use abanico_media::{ExactTime, MediaInfo};

use super::{AudioPart, Sources};
use crate::Warning;

/// Shortest gap that gives a warning (MediaConvert's user guide on warning codes).
const TOLD_FROM_MS: i64 = 100;
/// AWS's warning codes.
const SILENCE_ADDED: u32 = 240_000;
const SOUND_DROPPED: u32 = 240_001;

/// Returns a warning for every gap of a tenth of a second or more.
pub(crate) fn gaps(parts: &[AudioPart], sources: Sources<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    for (part, clip) in parts.iter().zip(sources.clips) {
        let input = &sources.inputs[clip.input];
        let url = input.file_input.as_deref().unwrap_or_default();
        let is_clipped = input.input_clippings.iter().flatten().next().is_some();
        let of = |code, why: String| Warning { code, message: why };
        let Some((start, end)) = span(part, &sources.infos[clip.input]) else {
            if let Some(length) = part.length.filter(|_| parts.len() > 1) {
                found.push(of(
                    SILENCE_ADDED,
                    format!("added {length} s of silence, because `{url}` has no matching audio"),
                ));
            }
            continue;
        };
        let (late, early) = (start - clip.start, clip.start - start);
        if is_told(late) {
            found.push(of(
                SILENCE_ADDED,
                format!(
                    "added {late} s of silence at the start: the audio of `{url}` starts after its video"
                ),
            ));
        }
        if is_told(early) && !is_clipped {
            found.push(of(
                SOUND_DROPPED,
                format!(
                    "dropped {early} s of audio at the start: the audio of `{url}` starts before its video"
                ),
            ));
        }
        if let Some(length) = part.length.filter(|_| !is_clipped || clip.ends_with_input) {
            let short = clip.start + length - end;
            if is_told(short) {
                found.push(of(
                    SILENCE_ADDED,
                    format!(
                        "added {short} s of silence at the end: the audio of `{url}` ends before its video"
                    ),
                ));
            }
        }
    }
    found
}

fn is_told(gap: ExactTime) -> bool {
    gap >= ExactTime::from_millis(TOLD_FROM_MS)
}

/// Returns the start and end of a part's audio on its file's clock.
fn span(part: &AudioPart, info: &MediaInfo) -> Option<(ExactTime, ExactTime)> {
    let tracks = || info.audio.iter().filter(|track| part.streams.contains(&track.stream_index));
    let (start, end) = (tracks().map(|track| track.start).min()?, tracks().map(|track| track.end).max()?);
    Some((start + part.offset, end + part.offset))
}
