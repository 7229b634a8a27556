//! Finds what is wrong with a job's settings whatever its inputs are, before any input is read.
//!
//! It plans each output for an imagined input that has all that the job asks for, and collects the errors instead of
//! stopping at the first. What only a real input can show, such as a clipping beyond its end, is left to the plan.

use std::collections::BTreeMap;

use abanico_media::{
    AudioTrack, Colour, EntryPoints, ExactTime, FieldOrder, FrameRate, MediaInfo, Orientation, Rational,
    Size, VideoTrack,
};
use abanico_model::generated::{AudioSelector, Input, JobSettings, OutputGroup};

use super::{Draft, PlanRequest, Rung, check_values};
use crate::cutting::clips::{Clip, of_input, whole};
use crate::setting::text;
use crate::{Capabilities, Chunking, Error};

/// Size of the imagined picture: larger than that of any output.
const SIZE: Size = Size::new(8192, 4320);
/// Length of the imagined input.
const LENGTH_MS: i64 = 60_000;
/// Most audio tracks of the imagined input.
const MOST_TRACKS: usize = 64;
/// Filters without which some plans fail; the imagined ffmpeg has them.
const FILTERS: [&str; 4] = ["ass", "drawtext", "tonemap", "zscale"];

/// Returns the errors of settings with templates and presets merged in, in the order of the settings: without
/// inputs, only that of a value that AWS's model does not list, which always comes first.
pub fn settings_errors(settings: &JobSettings, user_metadata: &BTreeMap<String, String>) -> Vec<Error> {
    let unknown = check_values(settings).err();
    let inputs = settings.inputs.as_deref().unwrap_or_default();
    let Some(first) = inputs.first() else { return Vec::from_iter(unknown) };
    let infos: Vec<MediaInfo> = inputs.iter().map(imagined).collect();
    let capabilities = Capabilities { filters: FILTERS.map(str::to_owned).into(), ..Capabilities::default() };
    let request = PlanRequest {
        settings,
        user_metadata,
        inputs: &infos,
        capabilities: &capabilities,
        started_epoch_ms: 0,
        chunking: Chunking::Off,
    };
    let mut found = Vec::new();
    let clips = clips(inputs, &infos, &mut found);
    let mut draft = Draft::new(request, inputs, first, clips);
    for (index, group) in settings.output_groups.iter().flatten().enumerate() {
        draft.check_group(index, group, &mut found);
    }
    // Without the outputs that have errors, it may look as if there were only images.
    if found.is_empty() && unknown.is_none() {
        found.extend(draft.check_outputs().err());
    }
    found.retain(|error| !error.depends_on_input());
    if let Some(unknown) = unknown {
        found.retain(|error| error.place().0 != unknown.place().0);
        found.insert(0, unknown);
    }
    found
}

/// Returns the clips of all inputs. An input whose clippings have errors is one clip.
fn clips(inputs: &[Input], infos: &[MediaInfo], found: &mut Vec<Error>) -> Vec<Clip> {
    let mut clips = Vec::new();
    for (index, (input, info)) in inputs.iter().zip(infos).enumerate() {
        match of_input(index, input, info) {
            Ok(made) => clips.extend(made),
            Err(error) => {
                found.push(error);
                clips.push(whole(index, info));
            }
        }
    }
    clips
}

impl Draft<'_> {
    fn check_group(&mut self, index: usize, group: &OutputGroup, found: &mut Vec<Error>) {
        let outputs = group.outputs.as_deref().unwrap_or_default();
        let settings = match self.group_settings(index, group) {
            Ok(settings) => settings,
            Err(error) => return found.push(error),
        };
        let (first, known) = (self.outputs.len(), found.len());
        let rungs = self.rungs(outputs).unwrap_or_default();
        for (number, output) in outputs.iter().enumerate() {
            let size = match rungs.get(number).copied().flatten() {
                Some(Rung::Made(size)) => Some(size),
                Some(Rung::Dropped) | None => None,
            };
            found.extend(self.add_output(index, number, output, &settings, size).err());
        }
        // Without the outputs that have errors, those that belong to them would seem to be wrong.
        if found.len() == known {
            found.extend(self.end_group(index, first, outputs, &settings).err());
        }
    }
}

/// Imagines an input that has all tracks that the job's selectors name.
fn imagined(input: &Input) -> MediaInfo {
    let end = ExactTime::from_millis(LENGTH_MS);
    let video = VideoTrack {
        stream_index: 0,
        codec: "h264".to_owned(),
        profile: None,
        pixel_format: "yuv420p".to_owned(),
        bit_depth: 8,
        size: SIZE,
        sample_aspect: Rational::ONE,
        orientation: Orientation::UPRIGHT,
        frame_rate: FrameRate::from_rational(Rational::from(60)).expect("60 is above zero"),
        variable_frame_rate: false,
        frames: 3600,
        start: ExactTime::ZERO,
        end,
        field_order: FieldOrder::Progressive,
        colour: Colour::default(),
        window: None,
        shapes: Vec::new(),
        bit_rate_bps: 1,
        timecode: None,
        entry_points: EntryPoints::default(),
    };
    let selectors: Vec<&AudioSelector> =
        input.audio_selectors.iter().flat_map(|selectors| selectors.values()).collect();
    let mut audio: Vec<AudioTrack> = Vec::new();
    let track = |number: usize| AudioTrack {
        stream_index: u32::try_from(number + 1).unwrap_or(u32::MAX),
        codec: "aac".to_owned(),
        channels: 2,
        channel_layout: None,
        sample_rate_hz: 48_000,
        start: ExactTime::ZERO,
        end,
        packet: ExactTime::ZERO,
        is_jittery: false,
        language: None,
        is_default: number == 0,
        is_aside: false,
        is_undecodable: false,
        forms: Vec::new(),
        id: None,
    };
    for selector in &selectors {
        for pid in selector.pids.iter().flatten() {
            audio.push(AudioTrack { id: u32::try_from(*pid).ok(), ..track(audio.len()) });
        }
        let language = selector.custom_language_code.as_deref().or_else(|| text(&selector.language_code));
        audio.extend(
            language.map(|language| AudioTrack { language: Some(language.to_owned()), ..track(audio.len()) }),
        );
    }
    let numbers = selectors.iter().flat_map(|one| one.tracks.iter().chain(&one.streams).flatten());
    let most = numbers.filter_map(|number| usize::try_from(*number).ok()).max().unwrap_or(1);
    while audio.len() < most.clamp(1, MOST_TRACKS) {
        audio.push(track(audio.len()));
    }
    MediaInfo {
        container: "mov,mp4,m4a,3gp,3g2,mj2".to_owned(),
        size_bytes: 1,
        clock_start: ExactTime::ZERO,
        video: Some(video),
        audio,
        jumps: abanico_media::ClockJumps::default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::planner::tests::{job, output};

    fn told(job: &Value) -> Vec<String> {
        let settings: JobSettings = serde_json::from_value(job.clone()).unwrap();
        settings_errors(&settings, &BTreeMap::new()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn right_settings_have_no_errors() {
        assert_eq!(told(&job(vec![output("_a", 640, 360, json!({}))])), [""; 0]);
    }

    #[test]
    fn every_output_is_checked() {
        let mut settings = job(vec![
            output("_a", 640, 360, json!({"rateControlMode": "CBR"})),
            output("_b", 640, 360, json!({})),
            output("_b", 640, 360, json!({})),
            output("_c", 640, 362, json!({"interlaceMode": "TOP_FIELD"})),
            output("_d", 640, 360, json!({})),
        ]);
        settings["outputGroups"][0]["outputs"][4]["captionDescriptions"] =
            json!([{"captionSelectorName": "c", "destinationSettings": {"destinationType": "BURN_IN"}}]);
        let told = told(&settings);
        let expected = [
            "/outputGroups/0/outputs/0/videoDescription/codecSettings/h264Settings: bitrate is required",
            "/outputGroups/0/outputs/2: two outputs would be written to `s3://out/x/a.b_b.mp4`",
            "/outputGroups/0/outputs/3/videoDescription/codecSettings/h264Settings/interlaceMode: interlaced video",
            "/outputGroups/0/outputs/4/captionDescriptions/0/captionSelectorName: no input has",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn what_depends_on_the_input_is_left_to_the_plan() {
        let mut settings =
            job(vec![output("_$w$", 640, 360, json!({})), output("_$h$", 640, 640, json!({}))]);
        let input = &mut settings["inputs"][0];
        input["inputClippings"] = json!([{"startTimecode": "09:00:00:00", "endTimecode": "10:00:00:29"}]);
        input["crop"] = json!({"x": 0, "y": 0, "width": 20_000, "height": 360});
        input["audioSelectors"] = json!({"a": {"selectorType": "PID", "pids": [482]},
            "b": {"selectorType": "LANGUAGE_CODE", "languageCode": "FRA"}, "c": {"tracks": [7]}});
        let sounds = ["a", "b", "c"].map(
            |name| json!({"audioSourceName": name, "codecSettings": {"codec": "WAV", "wavSettings": {}}}),
        );
        assert_eq!(told(&settings), [""; 0]);
        // The tracks exist, so the codecs of their outputs are checked.
        settings["inputs"][0]["crop"] = Value::Null;
        settings["outputGroups"][0]["outputs"][1]["audioDescriptions"] = json!(sounds);
        let told = told(&settings);
        assert!(told.len() == 1 && told[0].contains("WAV is not supported in MP4"), "{told:?}");
    }

    #[test]
    fn copied_audio_is_judged_by_its_input() {
        let mut sound = output("_a", 640, 360, json!({}));
        sound["videoDescription"] = Value::Null;
        sound["containerSettings"]["container"] = json!("OGG");
        sound["audioDescriptions"] = json!([{"codecSettings": {"codec": "PASSTHROUGH"}}]);
        let mut settings = job(vec![sound]);
        assert_eq!(told(&settings), [""; 0], "the input may be Opus");
        let input = settings["inputs"][0].clone();
        settings["inputs"] = json!([input, input]);
        assert!(told(&settings)[0].contains("the audio of one input"));
    }

    #[test]
    fn unknown_values_come_first_and_hide_no_other_error() {
        let mut settings = job(vec![
            output("_a", 640, 360, json!({"rateControlMode": "CBR"})),
            output("_b", 640, 360, json!({})),
        ]);
        settings["outputGroups"][0]["outputs"][1]["containerSettings"]["container"] = json!("MP5");
        let told = told(&settings);
        assert!(
            told.len() == 2
                && told[0].starts_with(
                    "/outputGroups/0/outputs/1/containerSettings/container: container MP5 does not"
                )
                && told[1].contains("bitrate is required"),
            "{told:?}"
        );
        settings["inputs"] = json!([]);
        assert_eq!(self::told(&settings).len(), 1);
    }

    #[test]
    fn images_alone_are_no_job() {
        let images = json!({"containerSettings": {"container": "RAW"}, "videoDescription": {"codecSettings":
            {"codec": "FRAME_CAPTURE", "frameCaptureSettings": {}}}});
        let told = told(&job(vec![images]));
        assert!(
            told.len() == 1 && told[0].starts_with("/outputGroups: a job of frame captures alone"),
            "{told:?}"
        );
    }

    #[test]
    fn order_of_clippings_is_checked_before_the_input_is_known() {
        let mut settings = job(vec![output("_a", 640, 360, json!({}))]);
        settings["inputs"][0]["inputClippings"] =
            json!([{"startTimecode": "00:00:09:00", "endTimecode": "00:00:08:00"}]);
        assert_eq!(told(&settings), ["/inputs/0/inputClippings/0: endTimecode is before startTimecode"]);
    }
}
