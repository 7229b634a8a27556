//! The stage plan: in settings, facts and capabilities, out the whole plan.
//!
//! Never: I/O, a clock, randomness. Renditions that two outputs share are made once, and so is sound.

use std::collections::BTreeMap;

use abanico_media::{DynamicRange, ExactTime, FieldOrder, MediaInfo, Orientation, Size, VideoTrack};
use abanico_model::generated::{
    FrameCaptureSettings, HlsGroupSettings, Input, JobSettings, Output, OutputGroup, VideoDescription,
};

use crate::audio::{self, AudioDecision};
use crate::frame_capture;
use crate::hls;
use crate::ladder::{self, FOLLOW_SOURCE, LADDER_KEY, Rung};
use crate::renditions::{self, Decision};
use crate::setting::text;
use crate::{
    AudioEncode, Capabilities, DestinationNames, Error, FrameCapture, GroupKind, HlsGroup, HlsOutput,
    HlsVariant, Mp4Output, Plan, PlannedGroup, PlannedOutput, RateBranch, ScaleSource, SegmentRule,
    Segmentation, SourceVideo, Task, TaskId, TaskKind, ToneMap, VideoEncode, VideoOutputFacts,
    VideoRendition,
};

/// Everything that a plan follows from.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The job's settings, templates and presets already merged in.
    pub settings: &'a JobSettings,
    /// The user's labels; [`LADDER_KEY`] is looked at.
    pub user_metadata: &'a BTreeMap<String, String>,
    /// Facts of the input.
    pub input: &'a MediaInfo,
    /// What the installed ffmpeg can do.
    pub capabilities: &'a Capabilities,
}

/// Plans a job.
///
/// # Errors
/// [`crate::ErrorKind::NoVideo`] when the input has no picture, [`crate::ErrorKind::Settings`] when settings contradict
/// each other or the input, [`crate::ErrorKind::MissingCapability`] when ffmpeg lacks an encoder.
pub fn plan(request: PlanRequest<'_>) -> Result<Plan, Error> {
    for encoder in ["libx264", "aac"] {
        if !request.capabilities.has_encoder(encoder) {
            return Err(Error::encoder_is_missing(encoder));
        }
    }
    let input = request.settings.inputs.iter().flatten().next();
    let input = input.ok_or_else(|| Error::setting("/inputs", "Should have at least 1 items"))?;
    let url = input.file_input.as_deref().unwrap_or_default();
    let stored = request.input.video.as_ref().ok_or_else(|| Error::input_has_no_video(url))?;
    let source = VideoTrack { orientation: wanted_orientation(input, stored), ..stored.clone() };
    let mut draft = Draft {
        request,
        input,
        url,
        source,
        renditions: Vec::new(),
        audio: Vec::new(),
        outputs: Vec::new(),
        groups: Vec::new(),
        group_playlists: Vec::new(),
        notes: Vec::new(),
    };
    for (index, group) in request.settings.output_groups.iter().flatten().enumerate() {
        draft.add_group(index, group)?;
    }
    if draft.outputs.is_empty() {
        return Err(Error::setting("/outputGroups", "Should have at least 1 items"));
    }
    if draft.renditions.is_empty() {
        let why = "a job of frame captures alone is not supported: add an output with video, as MediaConvert asks for";
        return Err(Error::setting("/outputGroups", why));
    }
    Ok(draft.finish())
}

/// What becomes of the streams of an output.
enum Packaging {
    Mp4(Mp4Output),
    Hls(Box<HlsOutput>),
    Images(Box<FrameCapture>),
}

/// How the outputs of one group are packaged.
enum GroupSettings<'a> {
    File(DestinationNames),
    Hls(DestinationNames, &'a HlsGroupSettings),
}

/// A plan in the making.
struct Draft<'a> {
    request: PlanRequest<'a>,
    input: &'a Input,
    url: &'a str,
    /// The video track, standing as the job wants it.
    source: VideoTrack,
    renditions: Vec<Decision>,
    audio: Vec<AudioEncode>,
    outputs: Vec<(PlannedOutput, Packaging)>,
    groups: Vec<PlannedGroup>,
    group_playlists: Vec<HlsGroup>,
    notes: Vec<String>,
}

impl Draft<'_> {
    fn add_group(&mut self, index: usize, group: &OutputGroup) -> Result<(), Error> {
        let outputs = group.outputs.as_deref().unwrap_or_default();
        let settings = self.group_settings(index, group)?;
        let first = self.outputs.len();
        let rungs = self.rungs(outputs);
        for (number, output) in outputs.iter().enumerate() {
            let place = (index, number);
            match rungs.get(number).copied().flatten() {
                Some(Rung::Dropped) => self.note_dropped(output),
                Some(Rung::Made(size)) => self.add_output(place, output, &settings, Some(size))?,
                None => self.add_output(place, output, &settings, None)?,
            }
        }
        self.end_group(index, first, &settings);
        Ok(())
    }

    fn group_settings<'a>(&self, index: usize, group: &'a OutputGroup) -> Result<GroupSettings<'a>, Error> {
        let pointer = format!("/outputGroups/{index}/outputGroupSettings");
        let missing = |member: &str, what: &str| {
            Error::setting(&format!("{pointer}{member}"), &format!("{what} is a required property"))
        };
        let settings = group.output_group_settings.as_ref();
        let named = |destination: &str| DestinationNames::new(destination, self.url);
        if settings.and_then(|settings| text(&settings.r#type)) == Some("HLS_GROUP_SETTINGS") {
            let hls = settings.and_then(|settings| settings.hls_group_settings.as_ref());
            let hls = hls.ok_or_else(|| missing("", "hlsGroupSettings"))?;
            let destination = hls.destination.as_deref();
            let destination = destination.ok_or_else(|| missing("/hlsGroupSettings", "destination"))?;
            return Ok(GroupSettings::Hls(named(destination), hls));
        }
        let file = settings.and_then(|settings| settings.file_group_settings.as_ref());
        let destination = file.and_then(|settings| settings.destination.as_deref());
        let destination = destination.ok_or_else(|| missing("/fileGroupSettings", "destination"))?;
        Ok(GroupSettings::File(named(destination)))
    }

    /// Notes the group, and plans its playlist where it has one; `first` is its first output.
    fn end_group(&mut self, index: usize, first: usize, settings: &GroupSettings<'_>) {
        let (kind, playlist_url) = match settings {
            GroupSettings::File(_) => (GroupKind::File, None),
            GroupSettings::Hls(names, settings) => {
                let style = hls::playlist_style(settings);
                let url = style.written.then(|| names.file_url("", "m3u8"));
                if let Some(url) = &url {
                    let variants = self.outputs[first..].iter().filter_map(variant).collect();
                    let group = HlsGroup { group: count(index), url: url.clone(), variants, style };
                    self.group_playlists.push(group);
                }
                (GroupKind::Hls, url)
            }
        };
        self.groups.push(PlannedGroup { group: count(index), kind, playlist_url });
    }

    /// What becomes of each output as a rung, where the job asks for a ladder that follows its source.
    fn rungs(&self, outputs: &[Output]) -> Vec<Option<Rung>> {
        if self.request.user_metadata.get(LADDER_KEY).map(String::as_str) != Some(FOLLOW_SOURCE) {
            return Vec::new();
        }
        let boxes: Vec<Option<Size>> = outputs
            .iter()
            .map(|output| output.video_description.as_ref().and_then(renditions::bounds))
            .collect();
        let known: Vec<Size> = boxes.iter().flatten().copied().collect();
        let mut decided = ladder::follow_source(&known, self.source.display_size()).into_iter();
        boxes.into_iter().map(|bounds| bounds.and_then(|_| decided.next())).collect()
    }

    fn note_dropped(&mut self, output: &Output) {
        let bounds = output.video_description.as_ref().and_then(renditions::bounds);
        let name = output.name_modifier.as_deref().unwrap_or_default();
        self.notes.push(format!(
            "output `{name}` ({}) is left out: it would enlarge the {} picture",
            bounds.map(|bounds| bounds.to_string()).unwrap_or_default(),
            self.source.display_size()
        ));
    }

    fn add_output(
        &mut self,
        (group, number): (usize, usize),
        output: &Output,
        settings: &GroupSettings<'_>,
        size: Option<Size>,
    ) -> Result<(), Error> {
        let pointer = format!("/outputGroups/{group}/outputs/{number}");
        let description: &VideoDescription = output.video_description.as_ref().ok_or_else(|| {
            Error::setting(
                &pointer,
                "videoDescription is a required property: sound alone is not made here yet",
            )
        })?;
        if let Some(wanted) = frame_capture::settings(description) {
            return self.add_images((group, number), output, description, settings, &wanted);
        }
        let mut decision =
            renditions::decide(description, &self.source, size, &format!("{pointer}/videoDescription"))?;
        let rule = match settings {
            GroupSettings::Hls(_, hls) => {
                Some(hls::segment_rule(hls, renditions::fixed_gop(description, &decision)))
            }
            GroupSettings::File(_) => None,
        };
        decision.key_frame_every = rule.map(|rule| rule.length_at(decision.rate));
        let sound = self.add_audio(output, &pointer)?;
        let (audio, language) = sound.map_or((None, None), |(index, language)| (Some(index), language));
        let streams =
            Streams { video: position_or_push(&mut self.renditions, decision.clone()), audio, language };
        let (url, content_type, packaging) = match settings {
            GroupSettings::Hls(names, hls) => {
                let rule = rule.unwrap_or_else(|| hls::segment_rule(hls, None));
                let made = self.hls_output(names, hls, rule, output, &decision, streams);
                if output.name_modifier.as_deref().is_none_or(str::is_empty) {
                    return Err(Error::setting(&pointer, "nameModifier is a required property"));
                }
                (
                    made.names.url(&made.names.playlist),
                    "application/vnd.apple.mpegurl",
                    Packaging::Hls(Box::new(made)),
                )
            }
            GroupSettings::File(names) => {
                let extension = output.extension.as_deref().unwrap_or("mp4");
                let url = names.file_url(output.name_modifier.as_deref().unwrap_or_default(), extension);
                (url, "video/mp4", Packaging::Mp4(self.mp4_output(output, streams)))
            }
        };
        let planned = PlannedOutput {
            group: count(group),
            output: count(number),
            url,
            name_modifier: output.name_modifier.clone().unwrap_or_default(),
            content_type: content_type.to_owned(),
            facts: self.facts(&decision, audio, &packaging),
        };
        if self.outputs.iter().any(|(other, _)| other.url == planned.url) {
            let why =
                format!("two outputs would be written to `{}`: give each its own nameModifier", planned.url);
            return Err(Error::setting(&pointer, &why));
        }
        self.outputs.push((planned, packaging));
        Ok(())
    }

    /// Plans an output of images, which goes beside outputs with moving pictures.
    fn add_images(
        &mut self,
        (group, number): (usize, usize),
        output: &Output,
        description: &VideoDescription,
        settings: &GroupSettings<'_>,
        capture: &FrameCaptureSettings,
    ) -> Result<(), Error> {
        let pointer = format!("/outputGroups/{group}/outputs/{number}");
        let GroupSettings::File(names) = settings else {
            return Err(Error::setting(&pointer, "FRAME_CAPTURE goes in a FILE_GROUP only"));
        };
        let wanted = frame_capture::wanted(capture, &self.source, &pointer)?;
        let fitted = renditions::fitted(description, &self.source);
        let modifier = output.name_modifier.clone().unwrap_or_default();
        let made = FrameCapture {
            output: count(self.outputs.len()),
            source: self.source_video(self.tone_map_of_source()),
            rate: wanted.rate,
            captures: wanted.captures,
            picture: fitted.picture,
            frame: fitted.frame,
            quality: wanted.quality,
            url_base: format!("{}{modifier}", names.base()),
        };
        let facts = VideoOutputFacts {
            video_codec: "mjpeg".to_owned(),
            size: fitted.frame,
            rate: wanted.rate,
            frames: wanted.captures,
            video_bit_rate_bps: 0,
            audio_codec: None,
            audio_channels: 0,
            audio_sample_rate_hz: 0,
            audio_lead: ExactTime::ZERO,
            audio_end: None,
            fast_start: false,
        };
        let planned = PlannedOutput {
            group: count(group),
            output: count(number),
            url: made.url(wanted.captures - 1),
            name_modifier: modifier,
            content_type: "image/jpeg".to_owned(),
            facts,
        };
        self.outputs.push((planned, Packaging::Images(Box::new(made))));
        Ok(())
    }

    fn mp4_output(&self, output: &Output, streams: Streams) -> Mp4Output {
        Mp4Output {
            output: count(self.outputs.len()),
            video: streams.video,
            audio: streams.audio,
            language: streams.language,
            fast_start: fast_start(output),
        }
    }

    fn hls_output(
        &self,
        names: &DestinationNames,
        settings: &HlsGroupSettings,
        rule: SegmentRule,
        output: &Output,
        decision: &Decision,
        streams: Streams,
    ) -> HlsOutput {
        let container = output.container_settings.as_ref();
        let frames = self.source.duration().frames(decision.rate).max(1);
        HlsOutput {
            output: count(self.outputs.len()),
            video: streams.video,
            audio: streams.audio,
            language: streams.language,
            segmentation: Segmentation::cut(&rule, decision.rate, frames),
            names: hls::names(names.base(), settings, output),
            single_file: text(&settings.segment_control) == Some("SINGLE_FILE"),
            i_frames: hls::has_i_frames(output),
            transport: hls::transport_stream(container.and_then(|one| one.m3u8_settings.as_ref())),
            style: hls::playlist_style(settings),
        }
    }

    /// Index and language of the output's sound, which is encoded once for all outputs that want the same.
    fn add_audio(&mut self, output: &Output, pointer: &str) -> Result<Option<(u32, Option<String>)>, Error> {
        let Some(description) = output.audio_descriptions.iter().flatten().next() else { return Ok(None) };
        let none = BTreeMap::new();
        let selectors = self.input.audio_selectors.as_ref().unwrap_or(&none);
        let pointer = format!("{pointer}/audioDescriptions/0");
        match audio::decide(description, selectors, self.request.input, &self.source, &pointer)? {
            AudioDecision::Silent(why) => {
                if !self.notes.contains(&why) {
                    self.notes.push(why);
                }
                Ok(None)
            }
            AudioDecision::Encode(encode, language) => {
                let same = |other: &AudioEncode| AudioEncode { index: 0, ..other.clone() } == encode;
                let index = self.audio.iter().position(same).unwrap_or(self.audio.len());
                if index == self.audio.len() {
                    self.audio.push(AudioEncode { index: count(index), ..encode });
                }
                Ok(Some((count(index), language)))
            }
        }
    }

    fn facts(&self, decision: &Decision, audio: Option<u32>, packaging: &Packaging) -> VideoOutputFacts {
        let audio = audio.and_then(|index| self.audio.get(index as usize));
        VideoOutputFacts {
            video_codec: "h264".to_owned(),
            size: decision.fitted.frame,
            rate: decision.rate,
            frames: self.source.duration().frames(decision.rate).max(1),
            video_bit_rate_bps: decision.encode.rate_control.ceiling_bps(),
            audio_codec: audio.map(|_| "aac".to_owned()),
            audio_channels: audio.map_or(0, |audio| audio.channels),
            audio_sample_rate_hz: audio.map_or(0, |audio| audio.sample_rate_hz),
            audio_lead: match packaging {
                Packaging::Hls(_) => audio.map_or(ExactTime::ZERO, AudioEncode::delay),
                Packaging::Mp4(_) | Packaging::Images(_) => ExactTime::ZERO,
            },
            audio_end: audio.map(|audio| audio.end),
            fast_start: matches!(packaging, Packaging::Mp4(mp4) if mp4.fast_start),
        }
    }

    fn finish(mut self) -> Plan {
        let tone_map = self.tone_map();
        if self.source.field_order != FieldOrder::Progressive {
            self.notes.push("the source is interlaced: it is deinterlaced into whole frames".to_owned());
        }
        let video = VideoEncode { source: self.source_video(tone_map), branches: self.branches() };
        let mut tasks =
            vec![Task { id: TaskId::new("video"), kind: TaskKind::EncodeVideo(video), after: vec![] }];
        for audio in self.audio {
            let id = TaskId::new(format!("audio-{}", audio.index));
            tasks.push(Task { id, kind: TaskKind::EncodeAudio(audio), after: vec![] });
        }
        let mut outputs = Vec::new();
        for (planned, packaged) in self.outputs {
            tasks.extend(output_tasks(packaged));
            outputs.push(planned);
        }
        tasks.extend(self.group_playlists.into_iter().map(group_playlist_task));
        Plan { tasks, outputs, groups: self.groups, notes: self.notes }
    }

    fn tone_map_of_source(&self) -> ToneMap {
        let capabilities = self.request.capabilities;
        if self.source.colour.dynamic_range() == DynamicRange::Sdr {
            ToneMap::None
        } else if capabilities.has_filter("zscale") && capabilities.has_filter("tonemap") {
            ToneMap::Hable
        } else {
            ToneMap::Unavailable
        }
    }

    fn tone_map(&mut self) -> ToneMap {
        let tone_map = self.tone_map_of_source();
        if tone_map == ToneMap::None {
            return tone_map;
        }
        if tone_map == ToneMap::Hable {
            self.notes.push(
                "the source has a high dynamic range: it is mapped to the standard one (BT.709)".to_owned(),
            );
            return ToneMap::Hable;
        }
        self.notes.push(
            "the source has a high dynamic range, and this ffmpeg lacks `zscale` or `tonemap`: colours will look pale".to_owned(),
        );
        ToneMap::Unavailable
    }

    fn source_video(&self, tone_map: ToneMap) -> SourceVideo {
        SourceVideo {
            stream_index: self.source.stream_index,
            start: self.source.start - self.request.input.clock_start,
            size: self.source.size,
            sample_aspect: self.source.sample_aspect,
            orientation: self.source.orientation,
            deinterlace: self.source.field_order,
            tone_map,
            pixel_format: self.source.pixel_format.clone(),
            colour: self.source.colour.clone(),
        }
    }

    /// Groups renditions by rate and lets each be scaled from the next larger one.
    fn branches(&self) -> Vec<RateBranch> {
        let mut rates = Vec::new();
        for decision in &self.renditions {
            position_or_push(&mut rates, decision.rate);
        }
        let branch = |rate| {
            let mut members: Vec<(usize, &Decision)> =
                self.renditions.iter().enumerate().filter(|(_, decision)| decision.rate == rate).collect();
            members
                .sort_by_key(|(index, decision)| (std::cmp::Reverse(decision.fitted.picture.area()), *index));
            let frames = self.source.duration().frames(rate).max(1);
            RateBranch { rate, frames, renditions: cascade(&members, self.source.display_size()) }
        };
        rates.into_iter().map(branch).collect()
    }
}

/// Scales each picture from the smallest one before it that is at least as large; from the source where that one is
/// itself enlarged, because its detail would be smeared twice.
fn cascade(members: &[(usize, &Decision)], source: Size) -> Vec<VideoRendition> {
    let mut made: Vec<VideoRendition> = Vec::new();
    for (index, decision) in members {
        let picture = decision.fitted.picture;
        let parent = made
            .iter()
            .rev()
            .find(|larger| picture.fits(larger.picture) && larger.picture.area() <= source.area());
        let scale_from = parent.map_or(ScaleSource::Source, |parent| ScaleSource::Rendition(parent.index));
        made.push(VideoRendition {
            index: count(*index),
            scale_from,
            picture,
            frame: decision.fitted.frame,
            key_frame_every: decision.key_frame_every,
            encode: decision.encode.clone(),
        });
    }
    made
}

/// The streams of an output, by their indices in the plan.
struct Streams {
    video: u32,
    audio: Option<u32>,
    language: Option<String>,
}

fn output_tasks(packaging: Packaging) -> Vec<Task> {
    let (output, audio, id, kind) = match packaging {
        Packaging::Images(images) => {
            let id = TaskId::new(format!("images-{}", images.output));
            return vec![Task { id, kind: TaskKind::CaptureFrames(*images), after: vec![] }];
        }
        Packaging::Mp4(mp4) => (mp4.output, mp4.audio, package_id(mp4.output), TaskKind::Package(mp4)),
        Packaging::Hls(hls) => (hls.output, hls.audio, segment_id(hls.output), TaskKind::Segment(*hls)),
    };
    let audio = audio.map(|index| TaskId::new(format!("audio-{index}")));
    let after = audio.into_iter().chain([TaskId::new("video")]).collect();
    vec![
        Task { id: id.clone(), kind, after },
        Task {
            id: TaskId::new(format!("verify-{output}")),
            kind: TaskKind::Verify { output },
            after: vec![id],
        },
    ]
}

fn group_playlist_task(group: HlsGroup) -> Task {
    let after = group.variants.iter().map(|variant| segment_id(variant.output)).collect();
    let id = TaskId::new(format!("playlist-{}", group.group));
    Task { id, kind: TaskKind::GroupPlaylist(group), after }
}

fn package_id(output: u32) -> TaskId {
    TaskId::new(format!("package-{output}"))
}

fn segment_id(output: u32) -> TaskId {
    TaskId::new(format!("segment-{output}"))
}

/// How a group's playlist lists an output.
fn variant((planned, packaging): &(PlannedOutput, Packaging)) -> Option<HlsVariant> {
    let Packaging::Hls(hls) = packaging else { return None };
    Some(HlsVariant {
        output: hls.output,
        playlist: hls.names.playlist.clone(),
        i_frame_playlist: hls.i_frames.then(|| hls.names.i_frame_playlist()),
        size: planned.facts.size,
        rate: planned.facts.rate,
    })
}

/// MediaConvert turns a picture only where the job says so: `AUTO` follows the file, degrees do not.
fn wanted_orientation(input: &Input, track: &VideoTrack) -> Orientation {
    match input.video_selector.as_ref().and_then(|selector| text(&selector.rotate)) {
        Some("AUTO") => track.orientation,
        Some("DEGREES_90") => Orientation::turned(1),
        Some("DEGREES_180") => Orientation::turned(2),
        Some("DEGREES_270") => Orientation::turned(3),
        _ => Orientation::UPRIGHT,
    }
}

fn fast_start(output: &Output) -> bool {
    let container = output.container_settings.as_ref().and_then(|container| container.mp4_settings.as_ref());
    container.and_then(|mp4| text(&mp4.moov_placement)) != Some("NORMAL")
}

fn position_or_push<T: PartialEq>(items: &mut Vec<T>, item: T) -> u32 {
    let position = items.iter().position(|other| *other == item).unwrap_or(items.len());
    if position == items.len() {
        items.push(item);
    }
    count(position)
}

/// Indices within one job: a job has far fewer than four thousand million of anything.
fn count(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
