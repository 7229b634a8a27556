//! One output of a plan: in its settings and the plan so far, out its streams, its name and its facts.
//! Never two outputs of one name, never a stream twice.

use abanico_media::{ExactTime, Size};
use abanico_model::generated::{FrameCaptureSettings, HlsGroupSettings, Output, VideoDescription};

use super::{Draft, GroupSettings, Packaging, count, position_or_push};
use crate::audio::{self, AudioDecision};
use crate::format_identifiers::{NameFacts, OutputNameFacts, expand};
use crate::frame_capture;
use crate::hls;
use crate::renditions::{self, Decision};
use crate::setting::text;
use crate::{
    AudioEncode, AudioStream, Container, Error, FileOutput, FrameCapture, HlsOutput, PlannedAudio,
    PlannedFacts, PlannedOutput, PlannedVideo, SegmentRule, Segmentation, Streams,
};

/// MIME type of a playlist (RFC 8216 section 4).
const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";

impl Draft<'_> {
    pub(super) fn add_output(
        &mut self,
        (group, number): (usize, usize),
        output: &Output,
        settings: &GroupSettings<'_>,
        size: Option<Size>,
    ) -> Result<(), Error> {
        let pointer = format!("/outputGroups/{group}/outputs/{number}");
        let description = output.video_description.as_ref();
        if let Some((description, wanted)) =
            description.and_then(|one| Some((one, frame_capture::settings(one)?)))
        {
            return self.add_images((group, number), output, description, settings, &wanted);
        }
        let decision = description
            .map(|one| {
                let pointer = format!("{pointer}/videoDescription");
                renditions::decide(one, &self.sources()?, size, &pointer)
            })
            .transpose()?;
        let rule = segment_rule(settings, decision.as_ref());
        let decision = decision.map(|mut decision| {
            decision.key_frame_every = rule.map(|rule| rule.length_at(decision.rate));
            decision
        });
        let audio = self.add_sounds(output, &pointer)?;
        if decision.is_none() && audio.is_empty() {
            let why = if output.audio_descriptions.iter().flatten().next().is_none() {
                "Should have a videoDescription or audioDescriptions"
            } else {
                "the output has no picture, and the input has no sound for it"
            };
            return Err(Error::setting(&pointer, why));
        }
        let video =
            decision.as_ref().map(|decision| position_or_push(&mut self.renditions, decision.clone()));
        let streams = Streams { video, audio };
        let (packaging, extension) = match settings {
            GroupSettings::Hls(..) => (None, "m3u8".to_owned()),
            GroupSettings::File(_) => {
                let file = self.file_output(output, streams.clone(), decision.as_ref(), &pointer)?;
                let extension = output.extension.clone();
                let extension = extension.unwrap_or_else(|| file.container.extension().to_owned());
                (Some(file), extension)
            }
        };
        let named = self.name_facts(decision.as_ref(), &streams, &extension);
        let modifier = expand(output.name_modifier.as_deref().unwrap_or_default(), &named);
        let (url, content_type, packaging) = match (settings, packaging) {
            (GroupSettings::Hls(_, hls), _) => {
                let rule = rule.unwrap_or_else(|| hls::segment_rule(hls, None));
                let names = (settings.names().base(), modifier.as_str(), &named);
                let made =
                    self.hls_output(names, hls, rule, output, (decision.as_ref(), streams), &pointer)?;
                (made.names.url(&made.names.playlist), PLAYLIST_TYPE, Packaging::Hls(Box::new(made)))
            }
            (GroupSettings::File(names), file) => {
                let file = file.expect("outputs of file groups have been made files above");
                let url = names.file_url(&modifier, &extension);
                let content_type = file.container.content_type(decision.is_some());
                (url, content_type, Packaging::File(Box::new(file)))
            }
        };
        let planned = PlannedOutput {
            group: count(group),
            output: count(number),
            url,
            name_modifier: modifier,
            content_type: content_type.to_owned(),
            facts: self.facts(decision.as_ref(), &packaging),
        };
        self.push(planned, packaging, &pointer)
    }

    fn push(&mut self, planned: PlannedOutput, packaging: Packaging, pointer: &str) -> Result<(), Error> {
        if self.outputs.iter().any(|(other, _)| other.url == planned.url) {
            let why =
                format!("two outputs would be written to `{}`: give each its own nameModifier", planned.url);
            return Err(Error::setting(pointer, &why));
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
        let rate = self.first_track()?.frame_rate;
        let wanted = frame_capture::wanted(capture, (self.length(), rate), &pointer)?;
        let (pictures, frame) = renditions::pictures(
            description,
            &self.sources()?,
            None,
            &format!("{pointer}/videoDescription"),
        )?;
        let facts = OutputNameFacts {
            width: Some(frame.width.into()),
            height: Some(frame.height.into()),
            extension: "jpg".to_owned(),
            ..OutputNameFacts::default()
        };
        let named = NameFacts { output: Some(facts), ..self.names.clone() };
        let modifier = expand(output.name_modifier.as_deref().unwrap_or_default(), &named);
        let made = FrameCapture {
            output: count(self.outputs.len()),
            clips: self.source_videos()?,
            row: (self.clips.len() > 1).then(|| (rate, self.clip_frames(rate))),
            rate: wanted.rate,
            captures: wanted.captures,
            pictures,
            frame,
            quality: wanted.quality,
            url_base: format!("{}{modifier}", names.base()),
        };
        let video = PlannedVideo {
            codec: "mjpeg".to_owned(),
            pixel_format: "yuvj420p".to_owned(),
            size: frame,
            rate: wanted.rate,
            frames: wanted.captures,
            bit_rate_bps: 0,
        };
        let planned = PlannedOutput {
            group: count(group),
            output: count(number),
            url: made.url(wanted.captures - 1),
            name_modifier: modifier,
            content_type: "image/jpeg".to_owned(),
            facts: PlannedFacts { video: Some(video), audio: Vec::new(), fast_start: false },
        };
        self.push(planned, Packaging::Images(Box::new(made)), &pointer)
    }

    fn file_output(
        &self,
        output: &Output,
        streams: Streams,
        decision: Option<&Decision>,
        pointer: &str,
    ) -> Result<FileOutput, Error> {
        let settings = output.container_settings.as_ref();
        let audio: Vec<_> = streams.audio.iter().map(|sound| sound.coding.codec).collect();
        let video = decision.map(|decision| decision.coding.codec());
        let container = Container::from_settings(settings, video, &audio, pointer)?;
        let mp4 = settings.and_then(|container| container.mp4_settings.as_ref());
        let is_normal = mp4.and_then(|mp4| text(&mp4.moov_placement)) == Some("NORMAL");
        let fast_start = container.has_boxes() && !is_normal;
        Ok(FileOutput { output: count(self.outputs.len()), streams, container, fast_start })
    }

    fn hls_output(
        &self,
        (base, modifier, named): (&str, &str, &NameFacts),
        settings: &HlsGroupSettings,
        rule: SegmentRule,
        output: &Output,
        (decision, streams): (Option<&Decision>, Streams),
        pointer: &str,
    ) -> Result<HlsOutput, Error> {
        if modifier.is_empty() {
            return Err(Error::setting(pointer, "nameModifier is a required property"));
        }
        if let Some(codec) = hls::unfit_codec(&streams) {
            let why = format!("{} does not go in HLS: use AAC, MP3, AC3 or EAC3", codec.wire_name());
            return Err(Error::setting(&format!("{pointer}/audioDescriptions/0/codecSettings/codec"), &why));
        }
        if let Some(decision) =
            decision.filter(|decision| !decision.coding.codec().goes_in_transport_streams())
        {
            let name = decision.coding.codec().wire_name();
            let why = format!("{name} does not go in MPEG-2 TS segments: use H_264 or H_265");
            return Err(Error::setting(&format!("{pointer}/videoDescription/codecSettings/codec"), &why));
        }
        let container = output.container_settings.as_ref();
        let segmentation = match (decision, streams.audio.first()) {
            (None, Some(sound)) => hls::sound_segments(&rule, sound, self.audio[sound.index as usize].end),
            (decision, _) => {
                let rate = decision.map_or(self.first_track()?.frame_rate, |decision| decision.rate);
                Segmentation::cut(&rule, rate, self.frames(rate))
            }
        };
        Ok(HlsOutput {
            output: count(self.outputs.len()),
            role: hls::role(output, &streams),
            i_frames: hls::has_i_frames(output) && streams.video.is_some(),
            streams,
            segmentation,
            names: hls::names(base, settings, output, modifier, named),
            single_file: text(&settings.segment_control) == Some("SINGLE_FILE"),
            transport: hls::transport_stream(container.and_then(|one| one.m3u8_settings.as_ref())),
            style: hls::playlist_style(settings),
        })
    }

    /// The output's sounds, each encoded once for all outputs that want the same.
    fn add_sounds(&mut self, output: &Output, pointer: &str) -> Result<Vec<AudioStream>, Error> {
        let mut streams = Vec::new();
        for (index, description) in output.audio_descriptions.iter().flatten().enumerate() {
            let pointer = format!("{pointer}/audioDescriptions/{index}");
            match audio::decide(description, self.sounds(), &pointer)? {
                AudioDecision::Silent(why) => self.note(why),
                AudioDecision::Encode(encode, language) => {
                    let same = |other: &AudioEncode| AudioEncode { index: 0, ..other.clone() } == *encode;
                    let index = self.audio.iter().position(same).unwrap_or(self.audio.len());
                    let coding = encode.coding;
                    if index == self.audio.len() {
                        self.audio.push(AudioEncode { index: count(index), ..*encode });
                    }
                    let name = description.stream_name.clone();
                    streams.push(AudioStream { index: count(index), language, name, coding });
                }
            }
        }
        Ok(streams)
    }

    /// What the output's name may tell.
    fn name_facts(&self, decision: Option<&Decision>, streams: &Streams, extension: &str) -> NameFacts {
        let sound = streams.audio.first().and_then(|sound| sound.coding.bit_rate_bps());
        let facts = OutputNameFacts {
            video_kbps: decision.map(|decision| decision.coding.rate_control.ceiling_bps() / 1000),
            audio_kbps: sound.map(|rate| rate / 1000),
            width: decision.map(|decision| decision.frame.width.into()),
            height: decision.map(|decision| decision.frame.height.into()),
            rate: decision.and_then(|decision| u64::try_from(decision.rate.per_second().floor()).ok()),
            extension: extension.to_owned(),
        };
        NameFacts { output: Some(facts), ..self.names.clone() }
    }

    fn facts(&self, decision: Option<&Decision>, packaging: &Packaging) -> PlannedFacts {
        let (streams, hides_delay, fast_start) = match packaging {
            Packaging::File(file) => (&file.streams, file.container.hides_delay(), file.fast_start),
            Packaging::Hls(hls) => (&hls.streams, false, false),
            Packaging::Images(_) => {
                return PlannedFacts { video: None, audio: Vec::new(), fast_start: false };
            }
        };
        let sound = |sound: &AudioStream| PlannedAudio {
            codec: sound.coding.probed_name().to_owned(),
            channels: sound.coding.channels,
            sample_rate_hz: sound.coding.sample_rate_hz,
            lead: sound.coding.delay(),
            hides_lead: hides_delay,
            end: self.audio.get(sound.index as usize).map_or(ExactTime::ZERO, |audio| audio.end),
        };
        PlannedFacts {
            video: decision.map(|decision| PlannedVideo {
                codec: decision.coding.codec().probed_name().to_owned(),
                pixel_format: decision.coding.pixel_format().to_owned(),
                size: decision.frame,
                rate: decision.rate,
                frames: self.frames(decision.rate),
                bit_rate_bps: decision.coding.rate_control.ceiling_bps(),
            }),
            audio: streams.audio.iter().map(sound).collect(),
            fast_start,
        }
    }
}

/// How an HLS group cuts an output; none for other groups.
fn segment_rule(settings: &GroupSettings<'_>, decision: Option<&Decision>) -> Option<SegmentRule> {
    let GroupSettings::Hls(_, hls) = settings else { return None };
    let fixed = decision.map(|decision| decision.coding.gop).filter(|gop| gop.is_fixed);
    Some(hls::segment_rule(hls, fixed.map(|gop| gop.frames.into())))
}
