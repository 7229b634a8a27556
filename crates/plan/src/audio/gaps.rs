//! Gaps between sound and picture: in the parts of a sound and their inputs, out warnings of silence that is added and of
//! sound that is dropped. Never a change of either.

use abanico_media::{ExactTime, MediaInfo};

use super::{AudioPart, Sources};
use crate::Warning;

/// Gaps from this length on are told (MediaConvert's user guide on warning codes).
const TOLD_FROM_MS: i64 = 100;
/// Numbers of warnings.
const SILENCE_ADDED: u32 = 240_000;
const SOUND_DROPPED: u32 = 240_001;

/// Every gap of a tenth of a second or more.
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
                    format!("{length} s of silence stand for the sound that `{url}` does not have"),
                ));
            }
            continue;
        };
        let (late, early) = (start - clip.start, clip.start - start);
        if is_told(late) {
            found.push(of(
                SILENCE_ADDED,
                format!("{late} s of silence come first: the sound of `{url}` starts later than its picture"),
            ));
        }
        if is_told(early) && !is_clipped {
            found.push(of(
                SOUND_DROPPED,
                format!(
                    "{early} s of sound are dropped: the sound of `{url}` starts earlier than its picture"
                ),
            ));
        }
        if let Some(length) = part.length.filter(|_| !is_clipped || clip.ends_with_input) {
            let short = clip.start + length - end;
            if is_told(short) {
                found.push(of(SILENCE_ADDED, format!("{short} s of silence fill up the sound of `{url}`, which ends earlier than its picture")));
            }
        }
    }
    found
}

fn is_told(gap: ExactTime) -> bool {
    gap >= ExactTime::from_millis(TOLD_FROM_MS)
}

/// From the first sound of a part to its last, on its file's clock.
fn span(part: &AudioPart, info: &MediaInfo) -> Option<(ExactTime, ExactTime)> {
    let tracks = || info.audio.iter().filter(|track| part.streams.contains(&track.stream_index));
    let (start, end) = (tracks().map(|track| track.start).min()?, tracks().map(|track| track.end).max()?);
    Some((start + part.offset, end + part.offset))
}
