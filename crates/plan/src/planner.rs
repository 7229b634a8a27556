//! Plans a whole job from its settings, the facts of its inputs and the capabilities of ffmpeg.
//!
//! Planning does no I/O and uses neither a clock nor random numbers. Renditions and audio that several
//! outputs share are encoded once.

use std::collections::BTreeMap;

use abanico_media::{ExactTime, MediaInfo, Orientation, Size, VideoTrack};
use abanico_model::generated::{HlsGroupSettings, Input, InputRotate, JobSettings, Output, OutputGroup};
use abanico_model::output_groups::StreamFacts;
use abanico_model::validate::unknown_value;

use crate::audio::Sources;
use crate::cutting::clips::{Clip, clips};
use crate::packaging::format_identifiers::NameFacts;
use crate::packaging::output_names::file_stem;
use crate::packaging::segmented::SegmentedGroup;
use crate::video::ladder::{self, FOLLOW_SOURCE, LADDER_KEY, Rung};
use crate::video::renditions::{self, Decision, Source};
use crate::{
    AudioEncode, AudioRate, Capabilities, CaptionFile, CaptionTask, Chunking, DestinationNames, Error,
    FileOutput, FrameCapture, GroupKind, GroupManifests, Plan, PlannedGroup, PlannedOutput, SegmentedOutput,
    Warning,
};

mod analyses;
mod assembly;
mod caption_outputs;
mod groups;
mod image_outputs;
mod outputs;
mod segmented_outputs;
mod settings_errors;

pub use settings_errors::settings_errors;

/// Everything that determines a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The job's settings, with templates and presets already merged in.
    pub settings: &'a JobSettings,
    /// The user's metadata. Only [`LADDER_KEY`] matters.
    pub user_metadata: &'a BTreeMap<String, String>,
    /// Facts of the inputs, in the job's order.
    pub inputs: &'a [MediaInfo],
    /// What the installed ffmpeg can do.
    pub capabilities: &'a Capabilities,
    /// Start of the job in milliseconds since 1970, for variables in file names.
    pub started_epoch_ms: i64,
    /// Whether films may be cut into chunks.
    pub chunking: Chunking,
}

/// Plans a job.
///
/// # Errors
/// Returns [`crate::ErrorKind::NoVideo`] if an output needs video and an input has none,
/// [`crate::ErrorKind::Settings`] if settings contradict each other or the input,
/// [`crate::ErrorKind::Clipping`] if a clipping is malformed or outside its input, and
/// [`crate::ErrorKind::MissingCapability`] if ffmpeg lacks an encoder or a filter.
pub fn plan(request: PlanRequest<'_>) -> Result<Plan, Error> {
    check_values(request.settings)?;
    let inputs = request.settings.inputs.as_deref().unwrap_or_default();
    let first = inputs.first().ok_or_else(|| Error::setting("/inputs", "Should have at least 1 items"))?;
    if inputs.len() != request.inputs.len() {
        return Err(Error::setting("/inputs", "the inputs were not all probed"));
    }
    let mut draft = Draft::new(request, inputs, first, clips(inputs, request.inputs)?);
    draft.note_jumps();
    for (index, group) in request.settings.output_groups.iter().flatten().enumerate() {
        draft.add_group(index, group)?;
    }
    draft.check_outputs()?;
    draft.check_encoders()?;
    Ok(draft.finish())
}

/// Refuses values that AWS's model does not list, so that nothing below takes one for a default.
fn check_values(settings: &JobSettings) -> Result<(), Error> {
    let unknown = unknown_value(settings);
    unknown.map_or(Ok(()), |problem| Err(Error::setting(&problem.pointer, &problem.message)))
}

/// How the streams of an output are packaged.
enum Packaging {
    File(Box<FileOutput>),
    Segments(Box<SegmentedOutput>),
    Images(Box<FrameCapture>),
    Captions(Box<CaptionTask>),
}

/// How the outputs of one group are packaged.
enum GroupSettings<'a> {
    File(DestinationNames),
    Segmented(Box<SegmentedSettings<'a>>),
}

/// Settings of a group whose outputs are cut into segments.
struct SegmentedSettings<'a> {
    kind: GroupKind,
    /// How outputs of this kind are cut and named.
    streams: &'static StreamFacts,
    names: DestinationNames,
    group: SegmentedGroup,
    /// Settings of an HLS group, for file names and captions.
    hls: Option<&'a HlsGroupSettings>,
}

/// A plan under construction.
struct Draft<'a> {
    request: PlanRequest<'a>,
    inputs: &'a [Input],
    /// The video track of each input, with the orientation that the job asks for.
    tracks: Vec<Option<VideoTrack>>,
    clips: Vec<Clip>,
    names: NameFacts,
    renditions: Vec<Decision>,
    audio: Vec<AudioEncode>,
    /// Captions that are drawn into the video or packaged with it.
    captions: Vec<CaptionTask>,
    caption_files: Vec<CaptionFile>,
    images: Vec<String>,
    outputs: Vec<(PlannedOutput, Packaging)>,
    groups: Vec<PlannedGroup>,
    manifests: Vec<GroupManifests>,
    warnings: Vec<Warning>,
    notes: Vec<String>,
}

impl<'a> Draft<'a> {
    /// Starts a plan. `first` is the first of the inputs.
    fn new(request: PlanRequest<'a>, inputs: &'a [Input], first: &Input, clips: Vec<Clip>) -> Self {
        let input_name = file_stem(first.file_input.as_deref().unwrap_or_default()).to_owned();
        Self {
            request,
            inputs,
            tracks: inputs.iter().zip(request.inputs).map(|(input, info)| upright(input, info)).collect(),
            clips,
            names: NameFacts { started_epoch_ms: request.started_epoch_ms, input_name, output: None },
            renditions: Vec::new(),
            audio: Vec::new(),
            captions: Vec::new(),
            caption_files: Vec::new(),
            images: Vec::new(),
            outputs: Vec::new(),
            groups: Vec::new(),
            manifests: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl Draft<'_> {
    /// Checks that there is something to encode.
    fn check_outputs(&self) -> Result<(), Error> {
        if self.outputs.is_empty() {
            return Err(Error::setting("/outputGroups", "Should have at least 1 items"));
        }
        if self.renditions.is_empty() && self.audio.is_empty() {
            let why = "a job of frame captures alone is not supported: add an output with video, as MediaConvert requires";
            return Err(Error::setting("/outputGroups", why));
        }
        Ok(())
    }

    fn add_group(&mut self, index: usize, group: &OutputGroup) -> Result<(), Error> {
        let outputs = group.outputs.as_deref().unwrap_or_default();
        let settings = self.group_settings(index, group)?;
        let first = self.outputs.len();
        let rungs = self.rungs(outputs)?;
        for (number, output) in outputs.iter().enumerate() {
            match rungs.get(number).copied().flatten() {
                Some(Rung::Dropped) => self.note_dropped(output)?,
                Some(Rung::Made(size)) => self.add_output(index, number, output, &settings, Some(size))?,
                None => self.add_output(index, number, output, &settings, None)?,
            }
        }
        self.end_group(index, first, outputs, &settings)
    }

    /// Decides about each output as a rung, if the job asks for a ladder that follows its source.
    fn rungs(&self, outputs: &[Output]) -> Result<Vec<Option<Rung>>, Error> {
        if self.request.user_metadata.get(LADDER_KEY).map(String::as_str) != Some(FOLLOW_SOURCE) {
            return Ok(Vec::new());
        }
        let boxes: Vec<Option<Size>> = outputs
            .iter()
            .map(|output| output.video_description.as_ref().and_then(renditions::bounds))
            .collect();
        let known: Vec<Size> = boxes.iter().flatten().copied().collect();
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let mut decided = ladder::follow_source(&known, self.first_track()?.display_size()).into_iter();
        Ok(boxes.into_iter().map(|bounds| bounds.and_then(|_| decided.next())).collect())
    }

    /// Tells of inputs whose clock jumps.
    fn note_jumps(&mut self) {
        for (input, info) in self.inputs.iter().zip(self.request.inputs) {
            let url = input.file_input.as_deref().unwrap_or_default();
            let times = match info.jumps.count {
                0 => continue,
                1 => "once".to_owned(),
                count => format!("{count} times"),
            };
            self.note(format!(
                "the clock of `{url}` jumps {times}, as if recordings were joined: video and audio play on there \
                 without a gap"
            ));
        }
    }

    fn note_dropped(&mut self, output: &Output) -> Result<(), Error> {
        let bounds = output.video_description.as_ref().and_then(renditions::bounds);
        let name = output.name_modifier.as_deref().unwrap_or_default();
        let note = format!(
            "output `{name}` ({}) is left out because it would enlarge the source, which is {}",
            bounds.map(|bounds| bounds.to_string()).unwrap_or_default(),
            self.first_track()?.display_size()
        );
        self.notes.push(note);
        Ok(())
    }

    /// Returns the video track of the first clip.
    fn first_track(&self) -> Result<&VideoTrack, Error> {
        let index = self.clips.first().map_or(0, |clip| clip.input);
        self.track(index)
    }

    /// Returns the video track of an input.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::NoVideo`] if it has none.
    fn track(&self, index: usize) -> Result<&VideoTrack, Error> {
        self.tracks.get(index).and_then(Option::as_ref).ok_or_else(|| {
            let url = self.inputs.get(index).and_then(|input| input.file_input.as_deref());
            Error::input_has_no_video(url.unwrap_or_default())
        })
    }

    /// Returns the video source of each clip.
    fn sources(&self) -> Result<Vec<Source<'_>>, Error> {
        let of = |clip: &Clip| -> Result<Source<'_>, Error> {
            let input = &self.inputs[clip.input];
            Ok(Source { input, index: clip.input, track: self.track(clip.input)? })
        };
        self.clips.iter().map(of).collect()
    }

    fn sounds(&self) -> Sources<'_> {
        Sources { inputs: self.inputs, infos: self.request.inputs, clips: &self.clips }
    }

    /// Returns the total length of all clips.
    fn length(&self) -> ExactTime {
        self.clips.iter().fold(ExactTime::ZERO, |sum, clip| sum + clip.length)
    }

    /// Checks that ffmpeg has every encoder that the plan needs.
    fn check_encoders(&self) -> Result<(), Error> {
        let videos = self.renditions.iter().map(|decision| decision.coding.codec().encoder());
        let encoded = self.audio.iter().filter(|audio| !matches!(audio.coding.rate, AudioRate::Copied(_)));
        let sounds = encoded.map(|audio| audio.coding.codec.encoder());
        let missing = videos.chain(sounds).find(|name| !self.request.capabilities.has_encoder(name));
        missing.map_or(Ok(()), |name| Err(Error::encoder_is_missing(name)))
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Returns the input's video track, rotated as the job says. MediaConvert rotates only on request: `AUTO`
/// takes the rotation from the file, degrees override it.
fn upright(input: &Input, info: &MediaInfo) -> Option<VideoTrack> {
    let track = info.video.as_ref()?;
    let rotate = input.video_selector.as_ref().and_then(|selector| selector.rotate.as_ref());
    let orientation = match rotate {
        Some(InputRotate::Auto) => track.orientation,
        Some(InputRotate::Degrees90) => Orientation::turned(1),
        Some(InputRotate::Degrees180) => Orientation::turned(2),
        Some(InputRotate::Degrees270) => Orientation::turned(3),
        None | Some(InputRotate::Degree0 | InputRotate::Other(_)) => Orientation::UPRIGHT,
    };
    Some(VideoTrack { orientation, ..track.clone() })
}

fn position_or_push<T: PartialEq>(items: &mut Vec<T>, item: T) -> u32 {
    let position = items.iter().position(|other| *other == item).unwrap_or(items.len());
    if position == items.len() {
        items.push(item);
    }
    count(position)
}

/// Converts an index to 32 bits. A job never has four billion of anything.
fn count(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tests_of_kinds;
#[cfg(test)]
mod tests_of_tasks;
