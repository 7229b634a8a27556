//! Plans one output: its streams, its name and its facts. No two outputs have the same URL, and no stream is
//! made twice.

use abanico_media::{ExactTime, Size};
use abanico_model::generated::{Mp4MoovPlacement, Output, VideoDescription};

use super::{Draft, GroupSettings, Packaging, count, position_or_push};
use crate::audio::gaps::gaps;
use crate::audio::{self, AudioDecision};
use crate::packaging::format_identifiers::{NameFacts, OutputNameFacts, expand};
use crate::video::frame_capture;
use crate::video::overlays::{self, ClipPicture, OutputTimecode};
use crate::video::renditions::{self, Decision};
use crate::{
    AudioEncode, AudioRate, AudioStream, Container, DestinationNames, Error, FileOutput, InsertedImage,
    Overlay, PlannedAudio, PlannedFacts, PlannedOutput, PlannedVideo, SegmentFormat, SegmentRule, Streams,
    TextStream,
};

/// An output and its position in the job.
#[derive(Clone, Copy)]
pub(super) struct OutputPlace<'a> {
    /// Index in its group, from 0.
    pub number: usize,
    /// Its settings.
    pub output: &'a Output,
    /// JSON pointer to its settings.
    pub pointer: &'a str,
}

/// Name of an output.
pub(super) struct NamedOutput {
    /// Its URL.
    pub url: String,
    /// Its name modifier, with variables expanded.
    pub modifier: String,
    /// MIME type of the file at the URL.
    pub content_type: &'static str,
}

impl Draft<'_> {
    pub(super) fn add_output(
        &mut self,
        group: usize,
        number: usize,
        output: &Output,
        settings: &GroupSettings<'_>,
        size: Option<Size>,
    ) -> Result<(), Error> {
        let pointer = format!("/outputGroups/{group}/outputs/{number}");
        let place = OutputPlace { number, output, pointer: &pointer };
        let description = output.video_description.as_ref();
        if let Some((description, wanted)) =
            description.and_then(|one| Some((one, frame_capture::settings(one)?)))
        {
            return self.add_images(group, place, description, settings, &wanted);
        }
        if Self::is_captions(output) {
            return self.add_caption_output(group, settings, place);
        }
        let mut decision = self.decide(output, settings, size, &pointer)?;
        let rule = segment_rule(settings, decision.as_ref());
        if let Some((description, decision)) = description.zip(decision.as_mut()) {
            self.add_overlays(description, decision, &pointer)?;
        }
        let texts = self.add_captions(settings, output, decision.as_mut(), &pointer)?;
        let audio = self.add_sounds(output, &pointer)?;
        if decision.is_none() && audio.is_empty() {
            let asks_for_sound = output.audio_descriptions.iter().flatten().next().is_some();
            let why = if asks_for_sound {
                "the output has no video, and the input has no audio for it"
            } else {
                "Should have a videoDescription or audioDescriptions"
            };
            return Err(Error::setting(&pointer, why).of_input_if(asks_for_sound));
        }
        let video =
            decision.as_ref().map(|decision| position_or_push(&mut self.renditions, decision.clone()));
        let streams = Streams { video, audio };
        let (packaging, made) = match settings {
            GroupSettings::Segmented(segmented) => {
                let rule = rule.unwrap_or_else(|| segmented.group.rule(None));
                self.segmented_output(segmented, rule, decision.as_ref(), streams, place)?
            }
            GroupSettings::File(names) => self.named_file(names, decision.as_ref(), streams, texts, place)?,
        };
        let planned = PlannedOutput {
            group: count(group),
            output: count(number),
            url: made.url,
            name_modifier: made.modifier,
            content_type: made.content_type.to_owned(),
            facts: self.facts(decision.as_ref(), &packaging),
        };
        self.push(planned, packaging, &pointer)
    }

    /// Decides how the output's video is encoded, with key frames where its group cuts segments.
    fn decide(
        &self,
        output: &Output,
        settings: &GroupSettings<'_>,
        size: Option<Size>,
        pointer: &str,
    ) -> Result<Option<Decision>, Error> {
        let Some(description) = &output.video_description else { return Ok(None) };
        let pointer = format!("{pointer}/videoDescription");
        let mut decision = renditions::decide(description, &self.sources()?, size, &pointer)?;
        let rule = segment_rule(settings, Some(&decision));
        decision.key_frame_every = rule.map(|rule| rule.length_at(decision.rate));
        Ok(Some(decision))
    }

    /// Adds images and timecodes over an output's video. Captions are drawn above them.
    fn add_overlays(
        &mut self,
        description: &VideoDescription,
        decision: &mut Decision,
        pointer: &str,
    ) -> Result<(), Error> {
        let pointer = format!("{pointer}/videoDescription");
        let Some(clip) = self.clips.first() else { return Ok(()) };
        let config = self.request.settings.timecode_config.as_ref();
        let (input, track) = (&self.inputs[clip.input], self.tracks[clip.input].as_ref());
        let timecode = OutputTimecode::of(config, input, track, clip, decision.rate)?;
        for image in self.input_images(decision)? {
            decision.overlays.push(Overlay::Image(image));
        }
        for image in overlays::images(description, timecode, &mut self.images, &pointer)? {
            overlays::check_place(&image, decision.frame, &pointer)
                .map_err(|error| error.of_input_if(renditions::bounds(description).is_none()))?;
            decision.overlays.push(Overlay::Image(image));
        }
        if let Some(stamp) = overlays::timecode_stamp(description, timecode, &pointer)? {
            if !self.request.capabilities.has_filter("drawtext") {
                return Err(Error::filter_is_missing("drawtext"));
            }
            decision.overlays.push(Overlay::Timecode(stamp));
        }
        Ok(())
    }

    /// Returns the images of all clips' inputs, as this output shows them.
    fn input_images(&mut self, decision: &Decision) -> Result<Vec<InsertedImage>, Error> {
        let (mut made, mut begins) = (Vec::new(), ExactTime::ZERO);
        for (clip, picture) in self.clips.iter().zip(&decision.pictures) {
            if let Some(track) = self.tracks[clip.input].as_ref() {
                let clip = (clip, &self.inputs[clip.input]);
                let of = ClipPicture { clip, track, begins, picture, frame: decision.frame };
                made.extend(overlays::input_images(of, &mut self.images)?);
            }
            begins = begins + clip.length;
        }
        Ok(made)
    }

    fn named_file(
        &self,
        names: &DestinationNames,
        decision: Option<&Decision>,
        streams: Streams,
        texts: Vec<TextStream>,
        place: OutputPlace<'_>,
    ) -> Result<(Packaging, NamedOutput), Error> {
        let mut file = self.file_output(place.output, streams.clone(), decision, place.pointer)?;
        file.texts = texts;
        let extension = place.output.extension.clone();
        let extension = extension.unwrap_or_else(|| file.container.extension().to_owned());
        let modifier = self.modifier(place.output, &self.name_facts(decision, &streams, &extension));
        let url = names.file_url(&modifier, &extension);
        let content_type = file.container.content_type(decision.is_some());
        Ok((Packaging::File(Box::new(file)), NamedOutput { url, modifier, content_type }))
    }

    pub(super) fn modifier(&self, output: &Output, named: &NameFacts) -> String {
        expand(output.name_modifier.as_deref().unwrap_or_default(), named)
    }

    pub(super) fn push(
        &mut self,
        planned: PlannedOutput,
        packaging: Packaging,
        pointer: &str,
    ) -> Result<(), Error> {
        let is_manifest = |url| self.groups.iter().any(|group| group.manifest_urls.contains(url));
        if self.outputs.iter().any(|(other, _)| other.url == planned.url) || is_manifest(&planned.url) {
            let why =
                format!("two outputs would be written to `{}`: give each its own nameModifier", planned.url);
            // A variable may give other names with another input.
            let groups = self.request.settings.output_groups.iter().flatten();
            let modifiers = groups.flat_map(|group| group.outputs.iter().flatten());
            let varies =
                modifiers.filter_map(|one| one.name_modifier.as_deref()).any(|one| one.contains('$'));
            return Err(Error::setting(pointer, &why).of_input_if(varies));
        }
        self.outputs.push((planned, packaging));
        Ok(())
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
        let is_copied = streams.audio.iter().any(|sound| matches!(sound.coding.rate, AudioRate::Copied(_)));
        let container = Container::from_settings(settings, video, &audio, pointer)
            .map_err(|error| error.of_input_if(is_copied))?;
        let mp4 = settings.and_then(|container| container.mp4_settings.as_ref());
        let is_normal = mp4.is_some_and(|mp4| mp4.moov_placement == Some(Mp4MoovPlacement::Normal));
        let fast_start = container.has_boxes() && !is_normal;
        Ok(FileOutput {
            output: count(self.outputs.len()),
            streams,
            container,
            texts: Vec::new(),
            fast_start,
        })
    }

    /// Adds the output's audio streams. Outputs that want the same share one encode.
    fn add_sounds(&mut self, output: &Output, pointer: &str) -> Result<Vec<AudioStream>, Error> {
        let mut streams = Vec::new();
        for (index, description) in output.audio_descriptions.iter().flatten().enumerate() {
            let pointer = format!("{pointer}/audioDescriptions/{index}");
            match audio::decide(description, self.sounds(), &pointer)? {
                AudioDecision::Silent(why) => self.note(why),
                AudioDecision::Encode(encode, language) => {
                    if !matches!(encode.coding.rate, AudioRate::Copied(_)) {
                        for warning in gaps(&encode.parts, self.sounds()) {
                            position_or_push(&mut self.warnings, warning);
                        }
                        for note in audio::notes(description, &encode.parts, self.sounds()) {
                            self.note(note);
                        }
                    }
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

    /// Returns the values of the variables in the output's name.
    pub(super) fn name_facts(
        &self,
        decision: Option<&Decision>,
        streams: &Streams,
        extension: &str,
    ) -> NameFacts {
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
            Packaging::Segments(cut) => {
                (&cut.streams, matches!(cut.format, SegmentFormat::Fragmented(_)), false)
            }
            Packaging::Images(_) | Packaging::Captions(_) => {
                return PlannedFacts { video: None, audio: Vec::new(), fast_start: false };
            }
        };
        let encode = |sound: &AudioStream| self.audio.get(sound.index as usize);
        let sound = |sound: &AudioStream| PlannedAudio {
            codec: sound.coding.probed_name().to_owned(),
            channels: sound.coding.channels,
            sample_rate_hz: sound.coding.sample_rate_hz,
            lead: sound.coding.delay(),
            hides_lead: hides_delay,
            end: encode(sound).map_or(ExactTime::ZERO, |audio| audio.end),
            source_packet: encode(sound).map_or(ExactTime::ZERO, |audio| audio.source_packet),
            packet_samples: sound.coding.packet_samples(),
            is_copied: matches!(sound.coding.rate, AudioRate::Copied(_)),
        };
        PlannedFacts {
            video: decision.map(|decision| PlannedVideo {
                codec: decision.coding.codec().probed_name().to_owned(),
                pixel_format: decision.coding.pixel_format().to_owned(),
                size: decision.frame,
                sample_aspect: decision.pixel_aspect,
                fields: decision.coding.fields,
                rate: decision.rate,
                frames: self.frames(decision.rate),
                bit_rate_bps: decision.coding.rate_control.ceiling_bps(),
                colour: self.colour(decision.keeps_range()),
            }),
            audio: streams.audio.iter().map(sound).collect(),
            fast_start,
        }
    }
}

/// Returns how a group cuts an output into segments; `None` for file groups.
fn segment_rule(settings: &GroupSettings<'_>, decision: Option<&Decision>) -> Option<SegmentRule> {
    let GroupSettings::Segmented(segmented) = settings else { return None };
    let fixed = decision.map(|decision| decision.coding.gop).filter(|gop| gop.is_fixed);
    Some(segmented.group.rule(fixed.map(|gop| gop.frames.into())))
}
