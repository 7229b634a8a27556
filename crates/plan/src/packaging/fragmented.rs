//! Reads the settings of CMAF and DASH groups: how streams are cut into fragments, named and listed. It
//! writes neither manifests nor boxes.

use abanico_model::generated::{
    CmafClientCache, CmafGroupSettings, CmafManifestCompression, CmafManifestDurationFormat,
    CmafMpdManifestBandwidthType, CmafMpdProfile, CmafSegmentControl, CmafSegmentLengthControl,
    CmafStreamInfResolution, CmafTargetDurationCompatibilityMode, CmafVideoCompositionOffsets,
    CmafWriteDASHManifest, CmafWriteHLSManifest, CmafWriteSegmentTimelineInRepresentation,
    CmfcDescriptiveVideoServiceFlag, CmfcIFrameOnlyManifest, DashIsoGroupSettings,
    DashIsoMpdManifestBandwidthType, DashIsoMpdProfile, DashIsoSegmentControl, DashIsoSegmentLengthControl,
    DashIsoVideoCompositionOffsets, DashIsoWriteSegmentTimelineInRepresentation, Output,
};
use abanico_model::output_groups::{Manifest, StreamFacts};

use crate::GroupKind;
use crate::packaging::segmented::{
    DashStyle, Fragmentation, PlaylistStyle, RoleSettings, SegmentNames, SegmentedGroup, TrackType,
};
use crate::setting::{decimal_seconds, seconds, segment_seconds, whole};

/// Default length of fragments in seconds (AWS's service model).
const FRAGMENT_SECONDS: u64 = 2;

/// Reads the settings of a CMAF group.
pub(crate) fn cmaf_group(settings: &CmafGroupSettings) -> SegmentedGroup {
    let segment = segment_seconds(settings.segment_length, GroupKind::Cmaf);
    let base_url = settings.base_url.clone().unwrap_or_default();
    let dash = (settings.write_dash_manifest != Some(CmafWriteDASHManifest::Disabled)).then(|| DashStyle {
        on_demand: settings.mpd_profile == Some(CmafMpdProfile::OnDemandProfile),
        exact_timeline: settings.write_segment_timeline_in_representation
            == Some(CmafWriteSegmentTimelineInRepresentation::Enabled),
        min_buffer: seconds(whole(settings.min_buffer_time).unwrap_or(segment)),
        tells_maximum: settings.mpd_manifest_bandwidth_type == Some(CmafMpdManifestBandwidthType::Max),
        base_url: base_url.clone(),
    });
    let playlists =
        (settings.write_hls_manifest != Some(CmafWriteHLSManifest::Disabled)).then(|| PlaylistStyle {
            whole_seconds: settings.manifest_duration_format == Some(CmafManifestDurationFormat::Integer),
            target_rounds: settings.target_duration_compatibility_mode
                == Some(CmafTargetDurationCompatibilityMode::SpecCompliant),
            client_cache: settings.client_cache != Some(CmafClientCache::Disabled),
            base_url,
            date_period: None,
            shows_resolution: settings.stream_inf_resolution != Some(CmafStreamInfResolution::Exclude),
            is_compressed: settings.manifest_compression == Some(CmafManifestCompression::Gzip),
        });
    SegmentedGroup {
        segment_length: seconds(segment),
        min_final_length: decimal_seconds(settings.min_final_segment_length),
        is_exact: settings.segment_length_control == Some(CmafSegmentLengthControl::Exact),
        single_file: settings.segment_control != Some(CmafSegmentControl::SegmentedFiles),
        fragments: Some(fragmentation(
            true,
            settings.fragment_length,
            settings.video_composition_offsets == Some(CmafVideoCompositionOffsets::Signed),
        )),
        playlists,
        dash,
    }
}

/// Reads the settings of a DASH group.
pub(crate) fn dash_group(settings: &DashIsoGroupSettings) -> SegmentedGroup {
    let segment = segment_seconds(settings.segment_length, GroupKind::Dash);
    SegmentedGroup {
        segment_length: seconds(segment),
        min_final_length: decimal_seconds(settings.min_final_segment_length),
        is_exact: settings.segment_length_control == Some(DashIsoSegmentLengthControl::Exact),
        single_file: settings.segment_control != Some(DashIsoSegmentControl::SegmentedFiles),
        fragments: Some(fragmentation(
            false,
            settings.fragment_length,
            settings.video_composition_offsets == Some(DashIsoVideoCompositionOffsets::Signed),
        )),
        playlists: None,
        dash: Some(DashStyle {
            on_demand: settings.mpd_profile == Some(DashIsoMpdProfile::OnDemandProfile),
            exact_timeline: settings.write_segment_timeline_in_representation
                == Some(DashIsoWriteSegmentTimelineInRepresentation::Enabled),
            min_buffer: seconds(whole(settings.min_buffer_time).unwrap_or(segment)),
            tells_maximum: settings.mpd_manifest_bandwidth_type == Some(DashIsoMpdManifestBandwidthType::Max),
            base_url: settings.base_url.clone().unwrap_or_default(),
        }),
    }
}

/// Returns how fragments are written, from settings that both kinds of groups have.
fn fragmentation(is_cmaf: bool, length_seconds: Option<i64>, signed_offsets: bool) -> Fragmentation {
    Fragmentation {
        is_cmaf,
        least_length: seconds(whole(length_seconds).unwrap_or(FRAGMENT_SECONDS)),
        signed_offsets,
    }
}

/// Returns the names of a stream's files. `base` is the group's destination, completed by a file name.
pub(crate) fn names(base: &str, modifier: &str, facts: &StreamFacts, is_video: bool) -> SegmentNames {
    let (folder, stem) = base.rsplit_once('/').unwrap_or(("", base));
    let extension = if is_video { facts.video_extension } else { facts.audio_extension };
    SegmentNames {
        folder_url: format!("{folder}/"),
        playlist: format!("{stem}{modifier}.{}", Manifest::Playlists.extension()),
        media: format!("{stem}{modifier}"),
        extension: extension.to_owned(),
        digits: facts.digits,
        segments_per_folder: None,
    }
}

/// Reads the role of a CMAF or DASH output in its group. Audio is alternative, by default in a separate audio
/// group (AWS's service model). `number` is the output's index in its output group.
pub(crate) fn role_settings(output: &Output, number: usize) -> RoleSettings<'_> {
    let cmfc = output.container_settings.as_ref().and_then(|container| container.cmfc_settings.as_ref());
    RoleSettings {
        kind: cmfc.and_then(|cmfc| cmfc.audio_track_type.as_ref()).map(TrackType::from),
        group: cmfc.and_then(|cmfc| cmfc.audio_group_id.as_deref()),
        sets: cmfc.and_then(|cmfc| cmfc.audio_rendition_sets.as_deref()),
        describes_video: cmfc.is_some_and(|cmfc| {
            cmfc.descriptive_video_service_flag == Some(CmfcDescriptiveVideoServiceFlag::Flag)
        }),
        default_group: Some(format!("program_audio_{number}")),
    }
}

/// Returns whether a CMAF output asks for a playlist of key frames.
pub(crate) fn has_i_frames(output: &Output) -> bool {
    let cmfc = output.container_settings.as_ref().and_then(|container| container.cmfc_settings.as_ref());
    cmfc.is_some_and(|cmfc| cmfc.i_frame_only_manifest == Some(CmfcIFrameOnlyManifest::Include))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cmaf(settings: Value) -> SegmentedGroup {
        cmaf_group(&serde_json::from_value(settings).unwrap())
    }

    fn dash(settings: Value) -> SegmentedGroup {
        dash_group(&serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn lengths_default_to_aws_model() {
        let plain = cmaf(json!({}));
        assert_eq!((plain.segment_length.millis(), plain.single_file, plain.is_exact), (10_000, true, false));
        assert_eq!(plain.fragments.unwrap().least_length.millis(), 2000);
        assert_eq!(plain.dash.unwrap().min_buffer.millis(), 10_000);
        let own = cmaf(json!({"segmentLength": 6, "fragmentLength": 3, "segmentControl": "SEGMENTED_FILES",
            "segmentLengthControl": "EXACT", "minFinalSegmentLength": 1.5, "minBufferTime": 7}));
        assert_eq!((own.segment_length.millis(), own.single_file, own.is_exact), (6000, false, true));
        assert_eq!((own.min_final_length.millis(), own.dash.unwrap().min_buffer.millis()), (1500, 7000));
        assert_eq!(dash(json!({})).segment_length.millis(), 30_000);
        assert_eq!(own.fragments.unwrap().least_length.millis(), 3000);
    }

    #[test]
    fn manifests_are_written_unless_disabled() {
        let group = cmaf(json!({"writeHlsManifest": "DISABLED", "mpdProfile": "ON_DEMAND_PROFILE",
            "mpdManifestBandwidthType": "MAX", "writeSegmentTimelineInRepresentation": "ENABLED", "baseUrl": "x/"}));
        assert_eq!(group.playlists, None);
        let style = group.dash.unwrap();
        assert!(style.on_demand && style.tells_maximum && style.exact_timeline && style.base_url == "x/");
        let group = cmaf(json!({"writeDashManifest": "DISABLED", "manifestCompression": "GZIP",
            "clientCache": "DISABLED", "manifestDurationFormat": "INTEGER", "streamInfResolution": "EXCLUDE"}));
        let style = group.playlists.unwrap();
        assert!(group.dash.is_none() && style.is_compressed && !style.client_cache && style.whole_seconds);
        assert!(!style.shows_resolution);
        assert!(dash(json!({})).playlists.is_none() && dash(json!({})).dash.is_some());
    }

    #[test]
    fn names_distinguish_video_from_audio() {
        let names = |kind: GroupKind, is_video| {
            names("s3://o/a/film", "_v", kind.facts().streams.as_ref().unwrap(), is_video)
        };
        assert_eq!(names(GroupKind::Cmaf, true).single_file(), "film_v.cmfv");
        assert_eq!(names(GroupKind::Cmaf, false).segment(1), "film_v_000000002.cmfa");
        assert_eq!(names(GroupKind::Dash, false).initialisation(), "film_vinit.mp4");
    }
}
