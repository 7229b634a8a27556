//! HLS groups: in a group's settings and an output's names, out how its streams are cut, named and listed.
//! Never a manifest's text: crate `package` writes that, from what was measured.

use abanico_media::{ExactTime, FrameRate, Size};
use abanico_model::generated::{HlsGroupSettings, M2tsSettings, M3u8Settings, Output};
use serde::{Deserialize, Serialize};

use crate::format_identifiers::{NameFacts, expand};
use crate::segmentation::{SegmentRule, Segmentation};
use crate::setting::{text, whole};
use crate::{AudioCodec, AudioStream, Streams};

/// Length of a segment in seconds where the job names none (AWS's service model).
const SEGMENT_SECONDS: u64 = 10;
/// Packet identifiers of a transport stream where the job names none (AWS's service model): PMT, video, audio.
const PIDS: (u16, u16, u16) = (480, 481, 482);
/// Group of alternative sounds that name none (AWS's console).
const DEFAULT_AUDIO_GROUP: &str = "program_audio";
/// Distance of calendar times in a playlist in seconds where the job names none (AWS's service model).
const DATE_PERIOD_SECONDS: u64 = 600;

/// One stream of an HLS group: encoded video and sound, cut into MPEG-2 TS segments and listed in a media playlist.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HlsOutput {
    /// Index of the output in [`crate::Plan::outputs`].
    pub output: u32,
    /// Its streams.
    pub streams: Streams,
    /// Where segments begin.
    pub segmentation: Segmentation,
    /// Names of its files.
    pub names: HlsNames,
    /// Whether all segments lie in one file and playlists name byte ranges.
    pub single_file: bool,
    /// Whether there is a playlist of key frames.
    pub i_frames: bool,
    /// Numbers in the transport stream.
    pub transport: TransportStream,
    /// How playlists are written.
    pub style: PlaylistStyle,
    /// What the stream is to a player.
    pub role: HlsRole,
}

/// What a stream is to a player.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HlsRole {
    /// One of the streams to choose from; its sound comes from these groups where it has none itself.
    Variant {
        /// Names of audio groups, in the job's order.
        audio_groups: Vec<String>,
    },
    /// A sound that goes with variants.
    Audio {
        /// Its group.
        group: String,
        /// What a player shows.
        name: String,
        /// Whether it plays when the user has not chosen.
        is_default: bool,
        /// Whether a player may choose it by the user's language.
        auto_select: bool,
        /// Whether it describes the picture to the blind.
        describes_video: bool,
    },
}

/// Names of the files of one stream, as paths relative to the folder of the group's playlist.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HlsNames {
    /// URL of the folder that all paths are relative to, with a slash at its end.
    pub folder_url: String,
    /// The media playlist.
    pub playlist: String,
    /// Media files without number and extension.
    pub media: String,
    /// Segments in one folder before the next is begun; none puts all into one.
    pub segments_per_folder: Option<u64>,
}

impl HlsNames {
    /// Path of segment `index`, counted from 0: the file is numbered from 1 with five digits.
    pub fn segment(&self, index: usize) -> String {
        let number = index + 1;
        let Some(per_folder) = self.segments_per_folder else {
            return format!("{}_{number:05}.ts", self.media);
        };
        let folder = u64::try_from(index).unwrap_or(u64::MAX) / per_folder.max(1);
        match self.media.rsplit_once('/') {
            Some((folders, name)) => format!("{folders}/{folder:05}/{name}_{number:05}.ts"),
            None => format!("{folder:05}/{}_{number:05}.ts", self.media),
        }
    }

    /// Path of the file that holds all segments.
    pub fn single_file(&self) -> String {
        format!("{}.ts", self.media)
    }

    /// Path of the playlist of key frames.
    pub fn i_frame_playlist(&self) -> String {
        let stem = self.playlist.strip_suffix(".m3u8").unwrap_or(&self.playlist);
        format!("{stem}_I-Frame.m3u8")
    }

    /// The whole URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.folder_url)
    }
}

/// Numbers in a transport stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransportStream {
    /// `transport_stream_id`.
    pub id: u16,
    /// `program_number`.
    pub program: u16,
    /// Packet identifier of the program map.
    pub pmt_pid: u16,
    /// Packet identifier of the video.
    pub video_pid: u16,
    /// Packet identifiers of the sound, one for each track; further tracks count on from the last.
    pub audio_pids: Vec<u16>,
    /// Presentation time of the first frame.
    pub first_pts: ExactTime,
}

/// How playlists of a group are written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlaylistStyle {
    /// Whether playlists are written at all.
    pub written: bool,
    /// Whether durations are whole seconds.
    pub whole_seconds: bool,
    /// Whether the target duration is rounded to the nearest second instead of up.
    pub target_rounds: bool,
    /// Whether players may keep segments.
    pub client_cache: bool,
    /// Put before every path, empty for nothing.
    pub base_url: String,
    /// Distance of calendar times; none writes none. They count from 1970-01-01: a file has no date of its own.
    pub date_period: Option<ExactTime>,
    /// Whether `RESOLUTION` is told.
    pub shows_resolution: bool,
}

/// The playlist of a group, made when all its streams are there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HlsGroup {
    /// Index of the output group in the job, from 0.
    pub group: u32,
    /// Whole URL of the playlist.
    pub url: String,
    /// Its streams in the job's order.
    pub variants: Vec<HlsVariant>,
    /// How it is written.
    pub style: PlaylistStyle,
}

/// One stream in a group's playlist.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HlsVariant {
    /// Index of the output in [`crate::Plan::outputs`].
    pub output: u32,
    /// Path of its media playlist.
    pub playlist: String,
    /// Path of its playlist of key frames, if it has one.
    pub i_frame_playlist: Option<String>,
    /// Size and frames a second of the picture, if it has one.
    pub video: Option<(Size, FrameRate)>,
    /// Language of its first sound.
    pub language: Option<String>,
    /// Channels of its first sound, 0 without one.
    pub channels: u16,
    /// What it is to a player.
    pub role: HlsRole,
}

/// What a group asks of segments; groups of pictures are `gop_frames` long where the job fixes them.
pub(crate) fn segment_rule(settings: &HlsGroupSettings, gop_frames: Option<u64>) -> SegmentRule {
    let seconds = whole(settings.segment_length).filter(|seconds| *seconds > 0).unwrap_or(SEGMENT_SECONDS);
    let least = (settings.min_final_segment_length.unwrap_or(0.0).max(0.0) * 1000.0).round();
    let is_exact = text(&settings.segment_length_control) == Some("EXACT");
    SegmentRule {
        length: whole_seconds(seconds),
        gop_frames: gop_frames.filter(|_| !is_exact),
        min_final_length: ExactTime::from_millis(least as i64),
    }
}

/// How a group writes its playlists.
pub(crate) fn playlist_style(settings: &HlsGroupSettings) -> PlaylistStyle {
    let period = whole(settings.program_date_time_period).unwrap_or(DATE_PERIOD_SECONDS);
    PlaylistStyle {
        written: text(&settings.output_selection) != Some("SEGMENTS_ONLY"),
        whole_seconds: text(&settings.manifest_duration_format) == Some("INTEGER"),
        target_rounds: text(&settings.target_duration_compatibility_mode) == Some("SPEC_COMPLIANT"),
        client_cache: text(&settings.client_cache) != Some("DISABLED"),
        base_url: settings.base_url.clone().unwrap_or_default(),
        date_period: (text(&settings.program_date_time) == Some("INCLUDE")).then(|| whole_seconds(period)),
        shows_resolution: text(&settings.stream_inf_resolution) != Some("EXCLUDE"),
    }
}

/// Names of an output's files; `base` is the group's destination with its last part completed.
pub(crate) fn names(
    base: &str,
    settings: &HlsGroupSettings,
    output: &Output,
    modifier: &str,
    named: &NameFacts,
) -> HlsNames {
    let (folder, stem) = base.rsplit_once('/').unwrap_or(("", base));
    let hls = output.output_settings.as_ref().and_then(|settings| settings.hls_settings.as_ref());
    let segment_modifier = hls.and_then(|hls| hls.segment_modifier.as_deref()).unwrap_or_default();
    let segment_modifier = expand(segment_modifier, named);
    let media = format!("{stem}{modifier}{segment_modifier}");
    let by_stream = text(&settings.directory_structure) == Some("SUBDIRECTORY_PER_STREAM");
    HlsNames {
        folder_url: format!("{folder}/"),
        playlist: format!("{stem}{modifier}.m3u8"),
        media: if by_stream { format!("{stem}{modifier}/{media}") } else { media },
        segments_per_folder: whole(settings.segments_per_subdirectory).filter(|_| by_stream),
    }
}

/// Numbers of the transport stream of an HLS output as the job or the service's defaults have them.
pub(crate) fn transport_stream(settings: Option<&M3u8Settings>) -> TransportStream {
    let of = |read: fn(&M3u8Settings) -> Option<i64>| settings.and_then(read);
    let mode = settings.and_then(|settings| text(&settings.pts_offset_mode));
    TransportStream {
        id: number(of(|settings| settings.transport_stream_id), 1),
        program: number(of(|settings| settings.program_number), 1),
        pmt_pid: number(of(|settings| settings.pmt_pid), PIDS.0),
        video_pid: number(of(|settings| settings.video_pid), PIDS.1),
        audio_pids: audio_pids(settings.and_then(|settings| settings.audio_pids.as_deref())),
        first_pts: first_pts(mode, of(|settings| settings.pts_offset)),
    }
}

/// Numbers of a transport stream that lies in a file.
pub(crate) fn program_numbers(settings: Option<&M2tsSettings>) -> TransportStream {
    let of = |read: fn(&M2tsSettings) -> Option<i64>| settings.and_then(read);
    let mode = settings.and_then(|settings| text(&settings.pts_offset_mode));
    TransportStream {
        id: number(of(|settings| settings.transport_stream_id), 1),
        program: number(of(|settings| settings.program_number), 1),
        pmt_pid: number(of(|settings| settings.pmt_pid), PIDS.0),
        video_pid: number(of(|settings| settings.video_pid), PIDS.1),
        audio_pids: audio_pids(settings.and_then(|settings| settings.audio_pids.as_deref())),
        first_pts: first_pts(mode, of(|settings| settings.pts_offset)),
    }
}

fn number(member: Option<i64>, default: u16) -> u16 {
    member.and_then(|number| u16::try_from(number).ok()).unwrap_or(default)
}

fn audio_pids(named: Option<&[i64]>) -> Vec<u16> {
    let pids: Vec<u16> =
        named.unwrap_or_default().iter().filter_map(|pid| u16::try_from(*pid).ok()).collect();
    if pids.is_empty() { vec![PIDS.2] } else { pids }
}

fn first_pts(mode: Option<&str>, offset: Option<i64>) -> ExactTime {
    match mode {
        Some("SECONDS") => whole_seconds(whole(offset).unwrap_or(2)),
        Some("MILLISECONDS") => ExactTime::from_millis(offset.unwrap_or(2000).max(0)),
        _ => whole_seconds(2),
    }
}

impl TransportStream {
    /// Packet identifier of audio track `index`, counted from 0.
    pub fn audio_pid(&self, index: usize) -> u16 {
        let last = self.audio_pids.last().copied().unwrap_or(PIDS.2);
        let more = u16::try_from(index.saturating_sub(self.audio_pids.len().saturating_sub(1))).unwrap_or(0);
        self.audio_pids.get(index).copied().unwrap_or(last.saturating_add(more))
    }
}

/// What an output's stream is to a player: a sound that names a group is an alternative.
///
/// A sound alone is a default alternative where the job says nothing (AWS's console writes it so).
pub(crate) fn role(output: &Output, streams: &Streams) -> HlsRole {
    let hls = output.output_settings.as_ref().and_then(|settings| settings.hls_settings.as_ref());
    let kind = hls.and_then(|hls| text(&hls.audio_track_type));
    let sets = hls.and_then(|hls| hls.audio_rendition_sets.as_deref()).unwrap_or_default();
    let group = hls.and_then(|hls| hls.audio_group_id.clone());
    let is_alternative = streams.video.is_none()
        && kind != Some("AUDIO_ONLY_VARIANT_STREAM")
        && (kind.is_some() || group.is_some());
    if !is_alternative {
        let names = sets.split(',').map(str::trim).filter(|name| !name.is_empty());
        return HlsRole::Variant { audio_groups: names.map(str::to_owned).collect() };
    }
    let sound = streams.audio.first();
    let named = sound.and_then(|sound| sound.name.clone().or_else(|| sound.language.clone()));
    let modifier = output.name_modifier.as_deref().unwrap_or_default();
    HlsRole::Audio {
        group: group.unwrap_or_else(|| DEFAULT_AUDIO_GROUP.to_owned()),
        name: named.unwrap_or_else(|| modifier.trim_start_matches(['_', '-']).to_owned()),
        is_default: matches!(kind, None | Some("ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT")),
        auto_select: kind != Some("ALTERNATE_AUDIO_NOT_AUTO_SELECT"),
        describes_video: hls.and_then(|hls| text(&hls.descriptive_video_service_flag)) == Some("FLAG"),
    }
}

/// The first codec of a stream's sound that has no place in a transport stream.
pub(crate) fn unfit_codec(streams: &Streams) -> Option<AudioCodec> {
    streams.audio.iter().map(|sound| sound.coding.codec).find(|codec| codec.manifest_name().is_none())
}

/// Where segments of a sound alone begin: the first packet at or after each moment, the encoder's own start being the
/// first packet of all.
pub(crate) fn sound_segments(rule: &SegmentRule, sound: &AudioStream, end: ExactTime) -> Segmentation {
    let samples = sound.coding.codec.frame_samples().unwrap_or(1024);
    let rate = FrameRate::new(i64::from(sound.coding.sample_rate_hz), i64::from(samples));
    let rate = rate.expect("codecs have sampling rates and packets above zero");
    let length = end + sound.coding.delay();
    let packets = u64::try_from((length.seconds() * rate.per_second()).ceil()).unwrap_or(1);
    Segmentation::cut(rule, rate, packets)
}

/// Whether an output asks for a playlist of key frames.
pub(crate) fn has_i_frames(output: &Output) -> bool {
    let hls = output.output_settings.as_ref().and_then(|settings| settings.hls_settings.as_ref());
    hls.and_then(|hls| text(&hls.i_frame_only_manifest)) == Some("INCLUDE")
}

fn whole_seconds(seconds: u64) -> ExactTime {
    ExactTime::from_millis(i64::try_from(seconds).unwrap_or(i64::MAX / 1000).min(i64::MAX / 1000) * 1000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(value: serde_json::Value) -> HlsGroupSettings {
        serde_json::from_value(value).unwrap()
    }

    fn output(value: serde_json::Value) -> Output {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn are_files_named_as_the_service_names_them() {
        let output = output(json!({"nameModifier": "_720p",
            "outputSettings": {"hlsSettings": {"segmentModifier": "-seg"}}}));
        let names = names("s3://out/día/film", &settings(json!({})), &output, "_720p", &NameFacts::default());
        assert_eq!(names.url(&names.playlist), "s3://out/día/film_720p.m3u8");
        assert_eq!(names.segment(0), "film_720p-seg_00001.ts");
        assert_eq!(names.single_file(), "film_720p-seg.ts");
        assert_eq!(names.i_frame_playlist(), "film_720p_I-Frame.m3u8");
    }

    #[test]
    fn does_each_stream_get_its_folder_and_each_folder_its_share() {
        let settings =
            settings(json!({"directoryStructure": "SUBDIRECTORY_PER_STREAM", "segmentsPerSubdirectory": 2}));
        let output = output(json!({"nameModifier": "_a"}));
        let names = names("s3://out/film", &settings, &output, "_a", &NameFacts::default());
        let paths: Vec<String> = (0..3).map(|index| names.segment(index)).collect();
        assert_eq!(
            paths,
            ["film_a/00000/film_a_00001.ts", "film_a/00000/film_a_00002.ts", "film_a/00001/film_a_00003.ts"]
        );
    }

    #[test]
    fn do_lengths_follow_the_job() {
        let rule =
            segment_rule(&settings(json!({"segmentLength": 6, "minFinalSegmentLength": 1.5})), Some(90));
        assert_eq!(
            (rule.length.millis(), rule.gop_frames, rule.min_final_length.millis()),
            (6000, Some(90), 1500)
        );
        let exact = segment_rule(&settings(json!({"segmentLengthControl": "EXACT"})), Some(90));
        assert_eq!((exact.length.millis(), exact.gop_frames), (10_000, None));
    }

    #[test]
    fn are_numbers_the_services_unless_the_job_has_its_own() {
        let own: M3u8Settings = serde_json::from_value(
            json!({"videoPid": 500, "audioPids": [501, 502], "ptsOffset": 5, "ptsOffsetMode": "SECONDS"}),
        )
        .unwrap();
        let stream = transport_stream(Some(&own));
        assert_eq!((stream.pmt_pid, stream.video_pid, stream.audio_pid(1)), (480, 500, 502));
        assert_eq!(stream.audio_pid(3), 504);
        assert_eq!(stream.first_pts.millis(), 5000);
        assert_eq!(transport_stream(None).first_pts.millis(), 2000);
    }

    #[test]
    fn does_the_style_follow_the_job() {
        let plain = playlist_style(&settings(json!({})));
        assert!(plain.written && plain.client_cache && plain.shows_resolution && !plain.whole_seconds);
        let style =
            playlist_style(&settings(json!({"outputSelection": "SEGMENTS_ONLY", "clientCache": "DISABLED",
            "manifestDurationFormat": "INTEGER", "programDateTime": "INCLUDE", "programDateTimePeriod": 5})));
        assert!(!style.written && !style.client_cache && style.whole_seconds);
        assert_eq!(style.date_period, Some(ExactTime::from_millis(5000)));
    }
}
