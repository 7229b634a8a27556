//! Plans one output group: how its outputs are packaged, and its manifests. It does not read the settings of
//! single outputs.

use abanico_model::generated::{Output, OutputGroup, OutputGroupSettings, OutputGroupType};
use abanico_model::output_groups::{GroupFacts, MADE, Manifest, Support};

use super::{Draft, GroupSettings, Packaging, SegmentedSettings, count};
use crate::packaging::segmented::{SegmentedGroup, pair_by_default};
use crate::packaging::{fragmented, hls};
use crate::setting::list;
use crate::{
    CaptionDelivery, DestinationNames, Error, GroupKind, GroupManifests, ListedStream, ListedVideo,
    PlannedGroup, PlannedOutput, SegmentedOutput, StreamRole,
};

impl Draft<'_> {
    pub(super) fn group_settings<'a>(
        &self,
        index: usize,
        group: &'a OutputGroup,
    ) -> Result<GroupSettings<'a>, Error> {
        let pointer = format!("/outputGroups/{index}/outputGroupSettings");
        let settings = group.output_group_settings.as_ref();
        let missing =
            |pointer: &str, what: &str| Error::setting(pointer, &format!("{what} is a required property"));
        let named = settings.and_then(|settings| settings.r#type.as_ref());
        let kind = kind(named.ok_or_else(|| missing(&pointer, "type"))?, &pointer)?;
        let member = kind.facts().member;
        let read = settings.and_then(|settings| read(kind, settings));
        let (destination, segmented) = read.ok_or_else(|| missing(&pointer, member))?;
        let destination =
            destination.ok_or_else(|| missing(&format!("{pointer}/{member}"), "destination"))?;
        let names = DestinationNames::new(destination, &self.names);
        let facts = kind.facts();
        let (Some(group), Some(streams)) = (segmented, &facts.streams) else {
            return Ok(GroupSettings::File(names));
        };
        if group.dash.as_ref().is_some_and(|dash| dash.on_demand) && !group.single_file {
            let why = "ON_DEMAND_PROFILE needs segmentControl SINGLE_FILE";
            return Err(Error::setting(&format!("{pointer}/{member}/mpdProfile"), why));
        }
        let hls = settings.and_then(|settings| settings.hls_group_settings.as_ref());
        let hls = hls.filter(|_| kind == GroupKind::Hls);
        Ok(GroupSettings::Segmented(Box::new(SegmentedSettings { kind, streams, names, group, hls })))
    }

    /// Records the group and plans its manifests, if it has any. `first` is the index of its first output.
    pub(super) fn end_group(
        &mut self,
        index: usize,
        first: usize,
        outputs: &[Output],
        settings: &GroupSettings<'_>,
    ) -> Result<(), Error> {
        let mut planned =
            PlannedGroup { group: count(index), kind: GroupKind::File, manifest_urls: Vec::new() };
        if let GroupSettings::Segmented(segmented) = settings {
            planned.kind = segmented.kind;
            self.align_captions(first, segmented);
            let group = &segmented.group;
            let mut streams: Vec<ListedStream> = self.outputs[first..]
                .iter()
                .filter_map(|output| self.listed(output, outputs, group))
                .collect();
            pair_by_default(&mut streams);
            self.check_audio_groups(index, &streams, segmented)?;
            let url = |manifest: Manifest| segmented.names.file_url("", manifest.extension());
            let manifests = GroupManifests {
                group: count(index),
                duration: self.length(),
                hls: group.playlists.clone().map(|style| (url(Manifest::Playlists), style)),
                dash: group.dash.clone().map(|style| (url(Manifest::Mpd), style)),
                streams,
            };
            planned.manifest_urls.extend(segmented.streams.manifests.iter().filter_map(|manifest| {
                match manifest {
                    Manifest::Mpd => manifests.dash.as_ref().map(|(url, _)| url.clone()),
                    Manifest::Playlists => manifests.hls.as_ref().map(|(url, _)| url.clone()),
                }
            }));
            if !planned.manifest_urls.is_empty() {
                self.manifests.push(manifests);
            }
        }
        self.check_manifests(&planned)?;
        self.groups.push(planned);
        Ok(())
    }

    /// Checks that a player can reach every stream of alternative audio.
    fn check_audio_groups(
        &self,
        index: usize,
        streams: &[ListedStream],
        settings: &SegmentedSettings<'_>,
    ) -> Result<(), Error> {
        let named = |group: &String| {
            streams.iter().any(|other| {
                matches!(&other.role, StreamRole::Variant { audio_groups } if audio_groups.contains(group))
            })
        };
        for stream in streams {
            let StreamRole::Audio { group, .. } = &stream.role else { continue };
            if !named(group) {
                let output = self.outputs.get(stream.output as usize).map_or(0, |(output, _)| output.output);
                let member = settings.streams.role_member;
                let pointer = format!("/outputGroups/{index}/outputs/{output}/{member}/audioGroupId");
                let why =
                    format!("no output with video names the audio group `{group}` in its audioRenditionSets");
                return Err(Error::setting(&pointer, &why));
            }
        }
        Ok(())
    }

    /// Checks that no manifest overwrites another manifest or an output.
    fn check_manifests(&self, planned: &PlannedGroup) -> Result<(), Error> {
        let of_groups = self.groups.iter().flat_map(|group| &group.manifest_urls);
        let mut taken = of_groups.chain(self.outputs.iter().map(|(output, _)| &output.url));
        match taken.find(|url| planned.manifest_urls.contains(url)) {
            None => Ok(()),
            Some(url) => {
                let pointer = format!("/outputGroups/{}/outputGroupSettings", planned.group);
                let why = format!("`{url}` would be written twice: give each group its own destination");
                Err(Error::setting(&pointer, &why))
            }
        }
    }

    /// Returns how a group's manifests list an output.
    fn listed(
        &self,
        (planned, packaging): &(PlannedOutput, Packaging),
        outputs: &[Output],
        group: &SegmentedGroup,
    ) -> Option<ListedStream> {
        match packaging {
            Packaging::Segments(cut) => Some(listed_media(planned, cut, group)),
            Packaging::Captions(captions) => {
                let CaptionDelivery::Stream { output, names, .. } = captions.delivery.as_ref()? else {
                    return None;
                };
                let (language, role) = self.subtitles_role(planned, outputs.get(planned.output as usize));
                Some(ListedStream {
                    output: *output,
                    names: names.clone(),
                    i_frames: false,
                    single_file: false,
                    segment_length: captions.length(),
                    video: None,
                    language,
                    channels: 0,
                    sample_rate_hz: 0,
                    role,
                })
            }
            Packaging::File(_) | Packaging::Images(_) => None,
        }
    }
}

/// Returns the kind of group of a `type`.
///
/// # Errors
/// Fails if it is not made.
fn kind(named: &OutputGroupType, pointer: &str) -> Result<GroupKind, Error> {
    let instead = match GroupFacts::of_type(named.text()).map(|facts| facts.support) {
        Some(Support::Made(kind)) => return Ok(kind),
        Some(Support::Instead(instead)) => format!(": {instead}"),
        None => String::new(),
    };
    let why = format!("type {named} is not supported, only [{}]{instead}", list(MADE));
    Err(Error::setting(&format!("{pointer}/type"), &why))
}

/// Returns the destination of a group and how it is cut, if its member is present.
fn read(kind: GroupKind, settings: &OutputGroupSettings) -> Option<(Option<&str>, Option<SegmentedGroup>)> {
    match kind {
        GroupKind::File => {
            settings.file_group_settings.as_ref().map(|file| (file.destination.as_deref(), None))
        }
        GroupKind::Hls => settings
            .hls_group_settings
            .as_ref()
            .map(|group| (group.destination.as_deref(), Some(hls::group(group)))),
        GroupKind::Cmaf => settings
            .cmaf_group_settings
            .as_ref()
            .map(|group| (group.destination.as_deref(), Some(fragmented::cmaf_group(group)))),
        GroupKind::Dash => settings
            .dash_iso_group_settings
            .as_ref()
            .map(|group| (group.destination.as_deref(), Some(fragmented::dash_group(group)))),
    }
}

fn listed_media(planned: &PlannedOutput, cut: &SegmentedOutput, group: &SegmentedGroup) -> ListedStream {
    let sound = cut.streams.audio.first();
    let video = planned.facts.video.as_ref();
    ListedStream {
        output: cut.output,
        names: cut.names.clone(),
        i_frames: cut.i_frames,
        single_file: cut.single_file,
        segment_length: cut.segmentation.durations().first().copied().unwrap_or(group.segment_length),
        video: video.map(|video| ListedVideo {
            size: video.size,
            sample_aspect: video.sample_aspect,
            rate: video.rate,
            max_bps: video.bit_rate_bps,
        }),
        language: sound.and_then(|sound| sound.language.clone()),
        channels: sound.map_or(0, |sound| sound.coding.channels),
        sample_rate_hz: sound.map_or(0, |sound| sound.coding.sample_rate_hz),
        role: cut.role.clone(),
    }
}
