//! Cuts a job's inputs into clips. Takes the inputs with their clippings and returns the clips in order.
//! Every clip has at least one frame.

use abanico_media::{ExactTime, FrameRate, MediaInfo, Rational, VideoTrack};
use abanico_model::generated::{Input, InputClipping, InputTimecodeSource};

use crate::Error;
use crate::cutting::timecode::{clock, frame_number};
use crate::error::OutsideClipping;

/// A continuous range of one input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Clip {
    /// Index of the input in the job, from 0.
    pub input: usize,
    /// Where it begins on its file's own clock.
    pub start: ExactTime,
    /// Its length, above zero.
    pub length: ExactTime,
    /// Whether it ends with its input. Its audio may then end slightly later than its video.
    pub ends_with_input: bool,
}

/// Returns all clips of a job; `infos` has the facts of each input. An input without clippings is one clip.
///
/// # Errors
/// Returns [`crate::ErrorKind::Clipping`] if a timecode is malformed or outside the input.
pub(crate) fn clips(inputs: &[Input], infos: &[MediaInfo]) -> Result<Vec<Clip>, Error> {
    let mut clips = Vec::new();
    for (index, (input, info)) in inputs.iter().zip(infos).enumerate() {
        clips.extend(of_input(index, input, info)?);
    }
    Ok(clips)
}

/// Returns the clips of one input, whose index in the job is `index`.
pub(crate) fn of_input(index: usize, input: &Input, info: &MediaInfo) -> Result<Vec<Clip>, Error> {
    let whole = whole(index, info);
    let clippings: Vec<&InputClipping> = input.input_clippings.iter().flatten().collect();
    if clippings.is_empty() {
        return Ok(vec![whole]);
    }
    let clip = |(number, clipping): (usize, &InputClipping)| {
        clipped(whole, input, info, clipping, &format!("/inputs/{index}/inputClippings/{number}"))
    };
    clippings.into_iter().enumerate().map(clip).collect()
}

/// Returns the whole input as a clip: its video's range, or its audio's if it has no video.
pub(crate) fn whole(input: usize, info: &MediaInfo) -> Clip {
    let (start, end) = info.video.as_ref().map_or_else(
        || {
            let start = info.audio.iter().map(|track| track.start).min().unwrap_or(ExactTime::ZERO);
            (start, start + info.duration())
        },
        |video| (video.start, video.end),
    );
    Clip { input, start, length: end - start, ends_with_input: true }
}

fn clipped(
    whole: Clip,
    input: &Input,
    info: &MediaInfo,
    clipping: &InputClipping,
    pointer: &str,
) -> Result<Clip, Error> {
    let rate = info.video.as_ref().map_or_else(default_rate, |video| video.frame_rate);
    let zero = first_frame(input, info.video.as_ref(), rate, pointer)?;
    let place = |member: &str, timecode: &Option<String>| -> Result<Option<i64>, Error> {
        let Some(timecode) = timecode else { return Ok(None) };
        let pointer = format!("{pointer}/{member}");
        let number = frame_number(timecode, rate).ok_or_else(|| Error::timecode(&pointer, timecode))?;
        Ok(Some(number - zero))
    };
    let first = place("startTimecode", &clipping.start_timecode)?;
    let last = place("endTimecode", &clipping.end_timecode)?;
    if first.is_none() && last.is_none() {
        return Err(Error::clipping(pointer, "startTimecode or endTimecode is a required property"));
    }
    // The number of frames that begin within the input.
    let frames = (whole.length.seconds() * rate.per_second()).ceil().max(1);
    let (start, end) = (first.unwrap_or(0), last.map_or(frames, |last| last + 1));
    let outside = |member: &str, timecode: &Option<String>| {
        let timecode = timecode.as_deref().unwrap_or_default();
        let (first, last) = (clock(zero, rate), clock(zero + frames - 1, rate));
        let outside = OutsideClipping { member, timecode, first: &first, last: &last };
        Err(Error::outside(pointer, outside, input.timecode_source.as_ref()))
    };
    if start < 0 || start >= frames {
        return outside("startTimecode", &clipping.start_timecode);
    }
    if end <= start {
        return Err(Error::clipping(pointer, "endTimecode is before startTimecode"));
    }
    if last.is_some_and(|last| last >= frames) {
        return outside("endTimecode", &clipping.end_timecode);
    }
    let at = |frame: i64| ExactTime::of_frames(u64::try_from(frame).unwrap_or(0), rate);
    let ends_with_input = end == frames;
    let end = if ends_with_input { whole.length } else { at(end) };
    Ok(Clip { start: whole.start + at(start), length: end - at(start), ends_with_input, ..whole })
}

/// Returns the frame number that the input's timecodes give its first frame.
pub(crate) fn first_frame(
    input: &Input,
    video: Option<&VideoTrack>,
    rate: FrameRate,
    pointer: &str,
) -> Result<i64, Error> {
    let timecode = match &input.timecode_source {
        Some(InputTimecodeSource::Zerobased) => None,
        Some(InputTimecodeSource::Specifiedstart) => {
            Some(input.timecode_start.as_deref().ok_or_else(|| {
                Error::clipping(pointer, "timecodeSource SPECIFIEDSTART needs the input's timecodeStart")
            })?)
        }
        None | Some(InputTimecodeSource::Embedded | InputTimecodeSource::Other(_)) => {
            video.and_then(|video| video.timecode.as_deref())
        }
    };
    Ok(timecode.and_then(|timecode| frame_number(timecode, rate)).unwrap_or(0))
}

/// Frame rate of timecodes for an input without video.
fn default_rate() -> FrameRate {
    FrameRate::from_rational(Rational::from(25)).expect("25 is above zero")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;

    fn info(rate: (i64, i64), seconds: i64, timecode: Option<&str>) -> MediaInfo {
        let start = ExactTime::from_millis(1480);
        let video = serde_json::from_value(json!({"stream_index": 0, "codec": "h264", "profile": null,
            "pixel_format": "yuv420p", "bit_depth": 8, "size": {"width": 640, "height": 360},
            "sample_aspect": "1", "orientation": abanico_media::Orientation::UPRIGHT,
            "frame_rate": FrameRate::new(rate.0, rate.1).unwrap(), "variable_frame_rate": false, "frames": 1,
            "start": start, "end": start + ExactTime::from_millis(seconds * 1000),
            "field_order": "progressive", "colour": abanico_media::Colour::default(), "bit_rate_bps": 1,
            "timecode": timecode}))
        .unwrap();
        MediaInfo {
            container: "mov".into(),
            size_bytes: 1,
            clock_start: ExactTime::ZERO,
            video: Some(video),
            audio: vec![],
            jumps: abanico_media::ClockJumps::default(),
        }
    }

    fn one(input: serde_json::Value, info: &MediaInfo) -> Result<(i64, i64, bool), Error> {
        let input: Input = serde_json::from_value(input).unwrap();
        let clips = clips(&[input], std::slice::from_ref(info))?;
        assert_eq!(clips.len(), 1);
        Ok((clips[0].start.millis(), clips[0].length.millis(), clips[0].ends_with_input))
    }

    #[test]
    fn clip_contains_its_end_frame() {
        let clip = |clipping| {
            one(
                json!({"timecodeSource": "ZEROBASED", "inputClippings": [clipping]}),
                &info((25, 1), 10, None),
            )
        };
        let both = json!({"startTimecode": "00:00:01:00", "endTimecode": "00:00:02:24"});
        assert_eq!(clip(both).unwrap(), (2480, 2000, false));
        assert_eq!(clip(json!({"startTimecode": "00:00:09:24"})).unwrap(), (11_440, 40, true));
        assert_eq!(clip(json!({"endTimecode": "00:00:00:00"})).unwrap(), (1480, 40, false));
        assert_eq!(clip(json!({"endTimecode": "00:00:09:24"})).unwrap(), (1480, 10_000, true));
        assert_eq!(one(json!({}), &info((25, 1), 10, None)).unwrap(), (1480, 10_000, true));
    }

    #[test]
    fn timecodes_count_from_the_chosen_start() {
        let clipping = json!([{"startTimecode": "01:00:01:00"}]);
        let embedded = info((25, 1), 10, Some("01:00:00:00"));
        let start = |input, info: &MediaInfo| one(input, info).map(|clip| clip.0);
        assert_eq!(start(json!({"inputClippings": clipping}), &embedded).unwrap(), 2480);
        let specified = json!({"timecodeSource": "SPECIFIEDSTART", "timecodeStart": "00:59:59:00", "inputClippings": clipping});
        assert_eq!(start(specified, &embedded).unwrap(), 3480);
        let zero =
            start(json!({"timecodeSource": "ZEROBASED", "inputClippings": clipping}), &embedded).unwrap_err();
        let told = "startTimecode `01:00:01:00` is outside the input, whose timecodes are 00:00:00:00 to 00:00:09:24";
        assert_eq!((zero.kind(), zero.place()), (ErrorKind::Clipping, ("/inputs/0/inputClippings/0", told)));
        let early = json!({"inputClippings": [{"startTimecode": "00:00:01:00"}]});
        let told = start(early, &embedded).unwrap_err().to_string();
        assert!(
            told.contains("01:00:00:00 to 01:00:09:24: they start at the file's embedded one unless"),
            "{told}"
        );
    }

    #[test]
    fn invalid_timecodes_are_refused_by_name() {
        for wrong in ["1", "00:00:60:00", "00:00:00:25", "aa:00:00:00", "-1:00:00:00"] {
            let input = json!({"inputClippings": [{"startTimecode": wrong}]});
            let error = one(input, &info((25, 1), 10, None)).unwrap_err();
            assert!(error.to_string().contains("/inputs/0/inputClippings/0/startTimecode"), "{error}");
        }
        let swapped =
            json!({"inputClippings": [{"startTimecode": "00:00:02:00", "endTimecode": "00:00:01:00"}]});
        assert!(one(swapped, &info((25, 1), 10, None)).unwrap_err().to_string().contains("before"));
        let empty = json!({"inputClippings": [{}]});
        assert!(one(empty, &info((25, 1), 10, None)).is_err());
    }
}
