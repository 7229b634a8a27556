//! Plans the captions of an output: drawn into its video, packaged in its file, or delivered as a separate
//! output. It never adds captions that the job does not ask for.

use abanico_captions::StylePassthrough;
use abanico_media::ExactTime;
use abanico_model::generated::{CaptionDescription, ContainerType, HlsCaptionSegmentLengthControl, Output};

use super::outputs::{NamedOutput, OutputPlace};
use super::{Draft, GroupSettings, Packaging, SegmentedSettings, count, position_or_push};
use crate::captions::{self, CaptionSources, Destination};
use crate::packaging::format_identifiers::{NameFacts, OutputNameFacts};
use crate::packaging::hls;
use crate::packaging::segmented::StreamRole;
use crate::video::renditions::Decision;
use crate::{
    CaptionDelivery, CaptionForm, CaptionPart, CaptionTask, Error, GroupKind, Overlay, PlannedFacts,
    PlannedOutput, SegmentFormat, TextStream,
};

/// Length of caption segments that need not match the video (AWS's service model).
const LARGE_SEGMENT_SECONDS: i64 = 300;
/// Name of the subtitles group in a playlist.
const SUBTITLES: &str = "subs";

impl Draft<'_> {
    /// Returns whether an output has captions only.
    pub(super) fn is_captions(output: &Output) -> bool {
        let has = |list: Option<usize>| list.is_some_and(|length| length > 0);
        has(output.caption_descriptions.as_ref().map(Vec::len))
            && output.video_description.is_none()
            && !has(output.audio_descriptions.as_ref().map(Vec::len))
    }

    fn caption_parts(
        &mut self,
        description: &CaptionDescription,
        pointer: &str,
    ) -> Result<Vec<CaptionPart>, Error> {
        let zeros: Vec<ExactTime> = self
            .tracks
            .iter()
            .zip(self.request.inputs)
            .map(|(track, info)| track.as_ref().map_or(info.clock_start, |track| track.start))
            .collect();
        let sources = CaptionSources { inputs: self.inputs, clips: &self.clips, first_pictures: &zeros };
        captions::parts(description, sources, &mut self.caption_files, pointer)
    }

    /// Returns a task with the files that its parts name.
    fn caption_task(
        &self,
        parts: Vec<CaptionPart>,
        form: CaptionForm,
        delivery: Option<CaptionDelivery>,
    ) -> CaptionTask {
        let named = parts.iter().filter_map(|part| part.file);
        let file = |index: u32| Some((index, self.caption_files.get(index as usize)?.clone()));
        let files = named.filter_map(file).collect();
        CaptionTask { parts, files, merges: false, form, delivery }
    }

    fn caption_name(&self, description: &CaptionDescription, modifier: &str) -> (Option<String>, String) {
        let language = captions::language(description, self.inputs);
        let name = description.language_description.clone().or_else(|| language.clone());
        (language, name.unwrap_or_else(|| modifier.trim_start_matches(['_', '-']).to_owned()))
    }

    /// Adds the captions of an output with video or audio. Burnt-in captions become part of the decision; the
    /// others are returned as caption streams of the file.
    pub(super) fn add_captions(
        &mut self,
        settings: &GroupSettings<'_>,
        output: &Output,
        mut decision: Option<&mut Decision>,
        pointer: &str,
    ) -> Result<Vec<TextStream>, Error> {
        let mut texts = Vec::new();
        for (index, description) in output.caption_descriptions.iter().flatten().enumerate() {
            let pointer = format!("{pointer}/captionDescriptions/{index}");
            let destination = Destination::of(description, &pointer)?;
            let parts = self.caption_parts(description, &pointer)?;
            if destination == Destination::BurnIn {
                let Some(decision) = decision.as_deref_mut() else {
                    return Err(Error::setting(
                        &pointer,
                        "BURN_IN needs a videoDescription in the same output",
                    ));
                };
                if !self.request.capabilities.has_filter("ass") {
                    return Err(Error::filter_is_missing("ass"));
                }
                let style = captions::burn_in_style(description, &pointer)?;
                let form = CaptionForm::Script(Box::new(style), decision.frame);
                let task = self.caption_task(parts, form, None);
                let made = position_or_push(&mut self.captions, task);
                decision.overlays.push(Overlay::Captions(made));
                continue;
            }
            check_text_stream(settings, output, &pointer)?;
            let passthrough = captions::passthrough(description, destination);
            let form = CaptionForm::Srt(passthrough);
            let task = self.caption_task(parts, form, None);
            let captions = position_or_push(&mut self.captions, task);
            let (language, name) = self.caption_name(description, "");
            texts.push(TextStream { captions, language, name: Some(name).filter(|name| !name.is_empty()) });
        }
        Ok(texts)
    }

    /// Plans an output with captions only.
    pub(super) fn add_caption_output(
        &mut self,
        group: usize,
        settings: &GroupSettings<'_>,
        place: OutputPlace<'_>,
    ) -> Result<(), Error> {
        let OutputPlace { number, output, pointer } = place;
        let descriptions = output.caption_descriptions.as_deref().unwrap_or_default();
        let [description] = descriptions else {
            return Err(Error::setting(
                pointer,
                "an output with captions only must have exactly one caption description",
            ));
        };
        let at = format!("{pointer}/captionDescriptions/0");
        let destination = Destination::of(description, &at)?;
        if destination == Destination::BurnIn {
            return Err(Error::setting(&at, "BURN_IN needs a videoDescription in the same output"));
        }
        let parts = self.caption_parts(description, &at)?;
        let passthrough = captions::passthrough(description, destination);
        let merges = captions::merges(description) && destination == Destination::WebVtt;
        let (mut task, made) = match settings {
            GroupSettings::File(names) => {
                check_raw(output, pointer)?;
                let (form, extension, content_type) = match destination {
                    Destination::Srt => (CaptionForm::Srt(passthrough), "srt", "application/x-subrip"),
                    _ => (CaptionForm::WebVtt(passthrough), "vtt", "text/vtt"),
                };
                let extension = output.extension.clone().unwrap_or_else(|| extension.to_owned());
                let modifier = self.modifier(output, &self.caption_facts(&extension));
                let url = names.file_url(&modifier, &extension);
                let delivery = CaptionDelivery::File {
                    output: count(self.outputs.len()),
                    url: url.clone(),
                    content_type: content_type.to_owned(),
                };
                let task = self.caption_task(parts, form, Some(delivery));
                (task, NamedOutput { url, modifier, content_type })
            }
            GroupSettings::Segmented(segmented) => {
                if destination != Destination::WebVtt || segmented.kind != GroupKind::Hls {
                    let why = "an output with captions only must be WEBVTT in an HLS group, or SRT or WEBVTT in a file group";
                    return Err(Error::setting(&format!("{at}/destinationSettings/destinationType"), why));
                }
                self.caption_stream(segmented, output, parts, passthrough, pointer)?
            }
        };
        task.merges = merges;
        let planned = PlannedOutput {
            group: count(group),
            output: count(number),
            url: made.url,
            name_modifier: made.modifier,
            content_type: made.content_type.to_owned(),
            facts: PlannedFacts { video: None, audio: Vec::new(), fast_start: false },
        };
        self.push(planned, Packaging::Captions(Box::new(task)), pointer)
    }

    fn caption_facts(&self, extension: &str) -> NameFacts {
        let facts = OutputNameFacts { extension: extension.to_owned(), ..OutputNameFacts::default() };
        NameFacts { output: Some(facts), ..self.names.clone() }
    }

    fn caption_stream(
        &self,
        settings: &SegmentedSettings<'_>,
        output: &Output,
        parts: Vec<CaptionPart>,
        passthrough: StylePassthrough,
        pointer: &str,
    ) -> Result<(CaptionTask, NamedOutput), Error> {
        let named = self.caption_facts("vtt");
        let modifier = self.modifier(output, &named);
        if modifier.is_empty() {
            return Err(Error::setting(pointer, "nameModifier is a required property"));
        }
        let group = settings.hls.cloned().unwrap_or_default();
        let mut names =
            hls::names(settings.names.base(), settings.streams, &group, output, &modifier, &named);
        names.extension = "vtt".to_owned();
        let url = names.url(&names.playlist);
        let delivery = CaptionDelivery::Stream {
            output: count(self.outputs.len()),
            names,
            playlist: settings.group.playlists.clone(),
        };
        // The starts of the segments are filled in once the group's video is planned.
        let form =
            CaptionForm::Segments { passthrough, starts: vec![ExactTime::ZERO], first_pts: ExactTime::ZERO };
        let task = self.caption_task(parts, form, Some(delivery));
        Ok((task, NamedOutput { url, modifier, content_type: "application/vnd.apple.mpegurl" }))
    }

    /// Cuts the captions of a group like its first video stream, or into large segments. They share the
    /// video's clock.
    pub(super) fn align_captions(&mut self, first: usize, settings: &SegmentedSettings<'_>) {
        let length = self.length();
        let picture = self.outputs[first..].iter().find_map(|(_, packaging)| match packaging {
            Packaging::Segments(cut) if cut.streams.video.is_some() => Some(cut),
            _ => None,
        });
        let pts = picture.and_then(|cut| match &cut.format {
            SegmentFormat::TransportStream(numbers) => Some(numbers.first_pts),
            SegmentFormat::Fragmented(_) => None,
        });
        let control = settings.hls.and_then(|hls| hls.caption_segment_length_control.as_ref());
        let cut_like = picture
            .filter(|_| control == Some(&HlsCaptionSegmentLengthControl::MatchVideo))
            .map(|cut| starts(&cut.segmentation.durations()));
        let large = || -> Vec<ExactTime> {
            (0..)
                .map(|index: i64| ExactTime::from_millis(index * LARGE_SEGMENT_SECONDS * 1000))
                .take_while(|start| *start < length || *start == ExactTime::ZERO)
                .collect()
        };
        let wanted = cut_like.unwrap_or_else(large);
        for (_, packaging) in &mut self.outputs[first..] {
            let Packaging::Captions(task) = packaging else { continue };
            if let CaptionForm::Segments { starts, first_pts, .. } = &mut task.form {
                starts.clone_from(&wanted);
                *first_pts = pts.unwrap_or(ExactTime::ZERO);
            }
        }
    }

    /// Returns the language of captions and their role for a player.
    pub(super) fn subtitles_role(
        &self,
        planned: &PlannedOutput,
        output: Option<&Output>,
    ) -> (Option<String>, StreamRole) {
        let description = output.and_then(|output| output.caption_descriptions.as_ref()?.first());
        let (language, name) = description.map_or((None, planned.name_modifier.clone()), |one| {
            self.caption_name(one, &planned.name_modifier)
        });
        let is_accessible = description.is_some_and(captions::is_accessible);
        (language, StreamRole::Subtitles { group: SUBTITLES.to_owned(), name, is_accessible })
    }
}

fn starts(durations: &[ExactTime]) -> Vec<ExactTime> {
    let begin = |at: &mut ExactTime, duration: &ExactTime| {
        let start = *at;
        *at = *at + *duration;
        Some(start)
    };
    durations.iter().scan(ExactTime::ZERO, begin).collect()
}

/// Checks that the output's container supports caption streams.
fn check_text_stream(settings: &GroupSettings<'_>, output: &Output, pointer: &str) -> Result<(), Error> {
    let container = output.container_settings.as_ref().and_then(|settings| settings.container.as_ref());
    let is_file = matches!(settings, GroupSettings::File(_));
    if is_file && matches!(container, None | Some(ContainerType::Mp4 | ContainerType::Mov)) {
        return Ok(());
    }
    let why = "SRT or WEBVTT captions need an output of their own, or a file that is MP4 or MOV";
    Err(Error::setting(&format!("{pointer}/destinationSettings/destinationType"), why))
}

/// Checks that a captions-only file output names no container, or RAW.
fn check_raw(output: &Output, pointer: &str) -> Result<(), Error> {
    let container = output.container_settings.as_ref().and_then(|settings| settings.container.as_ref());
    match container.filter(|container| **container != ContainerType::Raw) {
        None => Ok(()),
        Some(other) => {
            let why = format!("an output with captions only cannot use the container {other}: use RAW");
            Err(Error::setting(&format!("{pointer}/containerSettings/container"), &why))
        }
    }
}
