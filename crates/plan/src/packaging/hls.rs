//! Reads the settings of an HLS group and its outputs: how streams are cut into segments, named and listed.
//! It never writes a manifest. Crate `package` does that, from measured values.

use abanico_media::{ExactTime, FrameRate};
use abanico_model::generated::{
    HlsClientCache, HlsDescriptiveVideoServiceFlag, HlsDirectoryStructure, HlsGroupSettings,
    HlsIFrameOnlyManifest, HlsManifestCompression, HlsManifestDurationFormat, HlsOutputSelection,
    HlsProgramDateTime, HlsSegmentControl, HlsSegmentLengthControl, HlsStreamInfResolution,
    HlsTargetDurationCompatibilityMode, Output,
};
use abanico_model::output_groups::{Manifest, StreamFacts};

use crate::packaging::format_identifiers::{NameFacts, expand};
use crate::packaging::segmentation::{SegmentRule, Segmentation};
use crate::packaging::segmented::{PlaylistStyle, RoleSettings, SegmentNames, SegmentedGroup, TrackType};
use crate::setting::{decimal_seconds, seconds, segment_seconds, whole};
use crate::{AudioCodec, AudioStream, GroupKind, Streams};

/// Group of alternative audio for which the job names no group (AWS's console).
const DEFAULT_AUDIO_GROUP: &str = "program_audio";
/// Default interval of `EXT-X-PROGRAM-DATE-TIME` in seconds (AWS's service model).
const DATE_PERIOD_SECONDS: u64 = 600;

/// Reads the settings of an HLS group.
pub(crate) fn group(settings: &HlsGroupSettings) -> SegmentedGroup {
    let length = segment_seconds(settings.segment_length, GroupKind::Hls);
    let period = whole(settings.program_date_time_period).unwrap_or(DATE_PERIOD_SECONDS);
    let playlists =
        (settings.output_selection != Some(HlsOutputSelection::SegmentsOnly)).then(|| PlaylistStyle {
            whole_seconds: settings.manifest_duration_format == Some(HlsManifestDurationFormat::Integer),
            target_rounds: settings.target_duration_compatibility_mode
                == Some(HlsTargetDurationCompatibilityMode::SpecCompliant),
            client_cache: settings.client_cache != Some(HlsClientCache::Disabled),
            base_url: settings.base_url.clone().unwrap_or_default(),
            date_period: (settings.program_date_time == Some(HlsProgramDateTime::Include))
                .then(|| seconds(period)),
            shows_resolution: settings.stream_inf_resolution != Some(HlsStreamInfResolution::Exclude),
            is_compressed: settings.manifest_compression == Some(HlsManifestCompression::Gzip),
        });
    SegmentedGroup {
        segment_length: seconds(length),
        min_final_length: decimal_seconds(settings.min_final_segment_length),
        is_exact: settings.segment_length_control == Some(HlsSegmentLengthControl::Exact),
        single_file: settings.segment_control == Some(HlsSegmentControl::SingleFile),
        fragments: None,
        playlists,
        dash: None,
    }
}

/// Returns the names of an output's files. `base` is the group's destination, completed by a file name.
pub(crate) fn names(
    base: &str,
    facts: &StreamFacts,
    settings: &HlsGroupSettings,
    output: &Output,
    modifier: &str,
    named: &NameFacts,
) -> SegmentNames {
    let (folder, stem) = base.rsplit_once('/').unwrap_or(("", base));
    let hls = output.output_settings.as_ref().and_then(|settings| settings.hls_settings.as_ref());
    let segment_modifier = hls.and_then(|hls| hls.segment_modifier.as_deref()).unwrap_or_default();
    let segment_modifier = expand(segment_modifier, named);
    let media = format!("{stem}{modifier}{segment_modifier}");
    let by_stream = settings.directory_structure == Some(HlsDirectoryStructure::SubdirectoryPerStream);
    SegmentNames {
        folder_url: format!("{folder}/"),
        playlist: format!("{stem}{modifier}.{}", Manifest::Playlists.extension()),
        media: if by_stream { format!("{stem}{modifier}/{media}") } else { media },
        extension: facts.video_extension.to_owned(),
        digits: facts.digits,
        segments_per_folder: whole(settings.segments_per_subdirectory).filter(|_| by_stream),
    }
}

/// Reads the role of an output in its group. An audio-only output with a track type is alternative audio even
/// if it names no group (AWS's console writes it so).
pub(crate) fn role_settings(output: &Output) -> RoleSettings<'_> {
    let hls = output.output_settings.as_ref().and_then(|settings| settings.hls_settings.as_ref());
    let kind = hls.and_then(|hls| hls.audio_track_type.as_ref()).map(TrackType::from);
    RoleSettings {
        kind,
        group: hls.and_then(|hls| hls.audio_group_id.as_deref()),
        sets: hls.and_then(|hls| hls.audio_rendition_sets.as_deref()),
        describes_video: hls.is_some_and(|hls| {
            hls.descriptive_video_service_flag == Some(HlsDescriptiveVideoServiceFlag::Flag)
        }),
        default_group: kind.map(|_| DEFAULT_AUDIO_GROUP.to_owned()),
    }
}

/// Returns the first audio codec that transport streams do not support.
pub(crate) fn unfit_codec(streams: &Streams) -> Option<AudioCodec> {
    streams.audio.iter().map(|sound| sound.coding.codec).find(|codec| codec.manifest_name().is_none())
}

/// Cuts an audio-only stream into segments. Each begins with the first packet at or after its time; the
/// encoder's priming is the very first packet.
pub(crate) fn sound_segments(rule: &SegmentRule, sound: &AudioStream, end: ExactTime) -> Segmentation {
    let samples = sound.coding.codec.frame_samples().unwrap_or(1024);
    let rate = FrameRate::new(i64::from(sound.coding.sample_rate_hz), i64::from(samples));
    let rate = rate.expect("codecs have sampling rates and packets above zero");
    let length = end + sound.coding.delay();
    let packets = u64::try_from((length.seconds() * rate.per_second()).ceil()).unwrap_or(1);
    // The priming moves the end of the audio, and so does the last packet, which is rarely full. A film whose length
    // is a multiple of the segments' would otherwise end with a segment of nothing else.
    let beyond = sound.coding.delay() + rate.frame_duration();
    let rule = SegmentRule { min_final_length: rule.min_final_length.max(beyond), ..*rule };
    Segmentation::cut(&rule, rate, packets)
}

/// Returns whether an output asks for a playlist of key frames.
pub(crate) fn has_i_frames(output: &Output) -> bool {
    let hls = output.output_settings.as_ref().and_then(|settings| settings.hls_settings.as_ref());
    hls.is_some_and(|hls| hls.i_frame_only_manifest == Some(HlsIFrameOnlyManifest::Include))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(value: serde_json::Value) -> HlsGroupSettings {
        serde_json::from_value(value).unwrap()
    }

    fn facts() -> &'static StreamFacts {
        GroupKind::Hls.facts().streams.as_ref().unwrap()
    }

    fn output(value: serde_json::Value) -> Output {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn files_are_named_as_by_mediaconvert() {
        let output = output(json!({"nameModifier": "_720p",
            "outputSettings": {"hlsSettings": {"segmentModifier": "-seg"}}}));
        let names = names(
            "s3://out/día/film",
            facts(),
            &settings(json!({})),
            &output,
            "_720p",
            &NameFacts::default(),
        );
        assert_eq!(names.url(&names.playlist), "s3://out/día/film_720p.m3u8");
        assert_eq!(names.segment(0), "film_720p-seg_00001.ts");
        assert_eq!(names.single_file(), "film_720p-seg.ts");
        assert_eq!(names.i_frame_playlist(), "film_720p_I-Frame.m3u8");
    }

    #[test]
    fn streams_and_segments_are_split_into_folders() {
        let settings =
            settings(json!({"directoryStructure": "SUBDIRECTORY_PER_STREAM", "segmentsPerSubdirectory": 2}));
        let output = output(json!({"nameModifier": "_a"}));
        let names = names("s3://out/film", facts(), &settings, &output, "_a", &NameFacts::default());
        let paths: Vec<String> = (0..3).map(|index| names.segment(index)).collect();
        assert_eq!(
            paths,
            ["film_a/00000/film_a_00001.ts", "film_a/00000/film_a_00002.ts", "film_a/00001/film_a_00003.ts"]
        );
    }

    #[test]
    fn lengths_follow_the_job() {
        let rule = group(&settings(json!({"segmentLength": 6, "minFinalSegmentLength": 1.5}))).rule(Some(90));
        assert_eq!(
            (rule.length.millis(), rule.gop_frames, rule.min_final_length.millis()),
            (6000, Some(90), 1500)
        );
        let exact = group(&settings(json!({"segmentLengthControl": "EXACT"}))).rule(Some(90));
        assert_eq!((exact.length.millis(), exact.gop_frames), (10_000, None));
    }

    #[test]
    fn sound_does_not_end_with_a_segment_of_priming() {
        let coding = |codec: &str| {
            let member = format!("{}Settings", codec.to_lowercase());
            let settings =
                json!({"codec": codec, member: {"sampleRate": 48_000, "codingMode": "CODING_MODE_2_0"}});
            crate::AudioCoding::from_settings(&serde_json::from_value(settings).unwrap(), 2, "/c").unwrap()
        };
        let segments = |codec: &str, millis: i64| {
            let sound = AudioStream { index: 0, language: None, name: None, coding: coding(codec) };
            let rule = SegmentRule::of_length(ExactTime::from_millis(10_000));
            sound_segments(&rule, &sound, ExactTime::from_millis(millis)).count()
        };
        for codec in ["AAC", "MP3", "AC3"] {
            assert_eq!((segments(codec, 10_000), segments(codec, 30_000)), (1, 3), "{codec}");
            assert_eq!((segments(codec, 12_000), segments(codec, 9000)), (2, 1), "{codec}");
        }
    }

    #[test]
    fn playlist_style_follows_the_job() {
        let plain = group(&settings(json!({}))).playlists.unwrap();
        assert!(plain.client_cache && plain.shows_resolution && !plain.whole_seconds && !plain.is_compressed);
        assert_eq!(group(&settings(json!({"outputSelection": "SEGMENTS_ONLY"}))).playlists, None);
        let style = group(&settings(json!({"clientCache": "DISABLED", "manifestCompression": "GZIP",
            "manifestDurationFormat": "INTEGER", "programDateTime": "INCLUDE", "programDateTimePeriod": 5})));
        let style = style.playlists.unwrap();
        assert!(!style.client_cache && style.whole_seconds && style.is_compressed);
        assert_eq!(style.date_period, Some(ExactTime::from_millis(5000)));
    }
}
