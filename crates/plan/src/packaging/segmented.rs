//! Types for the segmented streams of HLS, CMAF and DASH groups: how they are cut, named and listed. Crate
//! `package` writes the manifests, from measured values.

use abanico_media::{ExactTime, FrameRate, Rational, Size};
use abanico_model::generated::{CmfcAudioTrackType, HlsAudioTrackType};
use serde::{Deserialize, Serialize};

use crate::packaging::segmentation::{SegmentRule, Segmentation};
use crate::{Streams, TransportStream};

/// One stream of a group: encoded video, audio or both, cut into segments.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentedOutput {
    /// Index of the output in [`crate::Plan::outputs`].
    pub output: u32,
    /// Its streams; exactly one if they are fragmented.
    pub streams: Streams,
    /// Where segments begin.
    pub segmentation: Segmentation,
    /// Format of the segments.
    pub format: SegmentFormat,
    /// Names of its files.
    pub names: SegmentNames,
    /// Whether all segments are in one file, so that manifests list byte ranges.
    pub single_file: bool,
    /// Style of its media playlist, if it has one.
    pub playlist: Option<PlaylistStyle>,
    /// Whether there is a playlist of key frames.
    pub i_frames: bool,
    /// Role of the stream for a player.
    pub role: StreamRole,
}

impl SegmentedOutput {
    /// Returns the MIME type of its media (RFC 3555, RFC 4337).
    pub fn media_type(&self) -> &'static str {
        match (&self.format, self.streams.video.is_some()) {
            (SegmentFormat::TransportStream(_), _) => "video/mp2t",
            (SegmentFormat::Fragmented(_), true) => "video/mp4",
            (SegmentFormat::Fragmented(_), false) => "audio/mp4",
        }
    }
}

/// Format of segments.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentFormat {
    /// MPEG-2 transport streams.
    TransportStream(TransportStream),
    /// Fragments of ISO base media files.
    Fragmented(Fragmentation),
}

/// How a fragmented stream is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fragmentation {
    /// Whether files are marked as CMAF, otherwise as DASH.
    pub is_cmaf: bool,
    /// Shortest length: a fragment ends with the first group of pictures that reaches it.
    pub least_length: ExactTime,
    /// Whether signed offsets, rather than an edit list, put the first frame at time zero.
    pub signed_offsets: bool,
}

/// Role of a stream for a player.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamRole {
    /// A stream that the player chooses from. If it contains no audio, its audio comes from these groups.
    Variant {
        /// Names of audio groups, in the job's order.
        audio_groups: Vec<String>,
    },
    /// Alternative audio for variants.
    Audio {
        /// Its group.
        group: String,
        /// Name that a player shows.
        name: String,
        /// Whether it plays if the user has not chosen.
        is_default: bool,
        /// Whether a player may choose it by the user's language.
        auto_select: bool,
        /// Whether it describes the video for the blind.
        describes_video: bool,
    },
    /// Captions for variants.
    Subtitles {
        /// Their group.
        group: String,
        /// Name that a player shows.
        name: String,
        /// Whether they describe speech and sounds for the deaf and hard of hearing.
        is_accessible: bool,
    },
}

/// Names of the files of one stream, as paths relative to the folder of the group's manifests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentNames {
    /// URL of the folder that all paths are relative to, with a trailing slash.
    pub folder_url: String,
    /// Path of the media playlist.
    pub playlist: String,
    /// Path of the media files, without number and extension.
    pub media: String,
    /// Extension of media files, such as `ts`.
    pub extension: String,
    /// Digits in a segment's number.
    pub digits: usize,
    /// Segments per folder; `None` puts all into one.
    pub segments_per_folder: Option<u64>,
}

impl SegmentNames {
    /// Returns the path of segment `index`, counted from 0. File names count from 1.
    pub fn segment(&self, index: usize) -> String {
        let (number, digits, extension) = (index + 1, self.digits, &self.extension);
        let Some(per_folder) = self.segments_per_folder else {
            return format!("{}_{number:0digits$}.{extension}", self.media);
        };
        let folder = u64::try_from(index).unwrap_or(u64::MAX) / per_folder.max(1);
        match self.media.rsplit_once('/') {
            Some((folders, name)) => format!("{folders}/{folder:05}/{name}_{number:0digits$}.{extension}"),
            None => format!("{folder:05}/{}_{number:0digits$}.{extension}", self.media),
        }
    }

    /// Returns what comes before and after the number in a segment's path.
    pub fn around_number(&self) -> (String, String) {
        (format!("{}_", self.media), format!(".{}", self.extension))
    }

    /// Returns the path of the initialisation section (AWS's published packages have `init` at the end of the
    /// name).
    pub fn initialisation(&self) -> String {
        format!("{}init.{}", self.media, self.extension)
    }

    /// Returns the path of the file that holds all segments.
    pub fn single_file(&self) -> String {
        format!("{}.{}", self.media, self.extension)
    }

    /// Returns the path of the playlist of key frames.
    pub fn i_frame_playlist(&self) -> String {
        let stem = self.playlist.strip_suffix(".m3u8").unwrap_or(&self.playlist);
        format!("{stem}_I-Frame.m3u8")
    }

    /// Returns the full URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.folder_url)
    }
}

/// Style of a group's HLS playlists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlaylistStyle {
    /// Whether durations are whole seconds.
    pub whole_seconds: bool,
    /// Whether the target duration is rounded to the nearest second instead of up.
    pub target_rounds: bool,
    /// Whether players may cache segments.
    pub client_cache: bool,
    /// Prefix of every path; may be empty.
    pub base_url: String,
    /// Interval of calendar times; `None` writes no such times. They count from 1970-01-01, because a file
    /// has no date.
    pub date_period: Option<ExactTime>,
    /// Whether `RESOLUTION` is written.
    pub shows_resolution: bool,
    /// Whether playlists are stored compressed (`Content-Encoding: gzip`).
    pub is_compressed: bool,
}

/// Style of a group's DASH manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DashStyle {
    /// Whether the profile is on demand rather than main.
    pub on_demand: bool,
    /// Whether the exact length of each segment is written rather than one nominal length.
    pub exact_timeline: bool,
    /// How much a player should buffer before it starts.
    pub min_buffer: ExactTime,
    /// Whether the bandwidth of video is the job's maximum rather than the measured mean.
    pub tells_maximum: bool,
    /// Prefix of every path; may be empty.
    pub base_url: String,
}

/// The manifests of a group, written when all its streams are finished.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupManifests {
    /// Index of the output group in the job, from 0.
    pub group: u32,
    /// Its streams in the job's order.
    pub streams: Vec<ListedStream>,
    /// Length of the longest stream.
    pub duration: ExactTime,
    /// Full URL and style of the multivariant playlist, if there is one.
    pub hls: Option<(String, PlaylistStyle)>,
    /// Full URL and style of the MPD, if there is one.
    pub dash: Option<(String, DashStyle)>,
}

/// One stream in a group's manifests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListedStream {
    /// Index of the output in [`crate::Plan::outputs`].
    pub output: u32,
    /// Names of its files.
    pub names: SegmentNames,
    /// Whether there is a playlist of key frames.
    pub i_frames: bool,
    /// Whether all segments are in one file.
    pub single_file: bool,
    /// Length of every segment but the last.
    pub segment_length: ExactTime,
    /// Its video, if it has any.
    pub video: Option<ListedVideo>,
    /// Language of its first audio stream.
    pub language: Option<String>,
    /// Channels of its first audio stream, 0 if it has none.
    pub channels: u16,
    /// Sampling rate of its first audio stream, 0 if it has none.
    pub sample_rate_hz: u32,
    /// Its role for a player.
    pub role: StreamRole,
}

/// The video of a stream in a manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListedVideo {
    /// Size in pixels.
    pub size: Size,
    /// Pixel aspect ratio.
    pub sample_aspect: Rational,
    /// Frame rate.
    pub rate: FrameRate,
    /// The job's maximum bit rate.
    pub max_bps: u64,
}

/// Settings of a group whose outputs are cut into segments.
pub(crate) struct SegmentedGroup {
    /// Length of segments.
    pub segment_length: ExactTime,
    /// A shorter last segment is joined to the one before it.
    pub min_final_length: ExactTime,
    /// Whether segments are cut at their exact times, even if the job fixes the length of groups of pictures.
    pub is_exact: bool,
    /// Whether all segments of a stream are in one file.
    pub single_file: bool,
    /// How fragments are written; `None` if streams are not fragmented.
    pub fragments: Option<Fragmentation>,
    /// Style of HLS playlists, if the group has any.
    pub playlists: Option<PlaylistStyle>,
    /// Style of the DASH manifest, if the group has one.
    pub dash: Option<DashStyle>,
}

impl SegmentedGroup {
    /// Returns the rule for segments. `gop_frames` is the length of groups of pictures if the job fixes it.
    pub fn rule(&self, gop_frames: Option<u64>) -> SegmentRule {
        SegmentRule {
            length: self.segment_length,
            gop_frames: gop_frames.filter(|_| !self.is_exact),
            min_final_length: self.min_final_length,
        }
    }
}

/// How the audio of an output is offered to a player (`audioTrackType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TrackType {
    /// Alternative audio that plays if the user has not chosen.
    Default,
    /// Alternative audio that a player may choose by the user's language.
    AutoSelect,
    /// Alternative audio that plays only if the user chooses it.
    OnRequest,
    /// A stream of its own.
    Variant,
}

/// AWS's model has a type for each kind of group, all with the same values.
macro_rules! track_type_of {
    ($($named:ident),*) => {$(
        impl From<&$named> for TrackType {
            fn from(named: &$named) -> Self {
                match named {
                    $named::AlternateAudioAutoSelectDefault => Self::Default,
                    $named::AlternateAudioAutoSelect | $named::Other(_) => Self::AutoSelect,
                    $named::AlternateAudioNotAutoSelect => Self::OnRequest,
                    $named::AudioOnlyVariantStream => Self::Variant,
                }
            }
        }
    )*};
}

track_type_of!(HlsAudioTrackType, CmfcAudioTrackType);

/// Settings for the role of an output among a group's streams.
#[derive(Default)]
pub(crate) struct RoleSettings<'a> {
    /// `audioTrackType`.
    pub kind: Option<TrackType>,
    /// `audioGroupId`.
    pub group: Option<&'a str>,
    /// `audioRenditionSets`.
    pub sets: Option<&'a str>,
    /// Whether the audio describes the video.
    pub describes_video: bool,
    /// Name of the audio group of an output that is alternative audio but names no group.
    pub default_group: Option<String>,
}

impl RoleSettings<'_> {
    /// Returns the role of the stream for a player. An audio-only stream with a group, its own or the default
    /// one, is alternative audio. A player shows the audio's own name, its language, or the output's name
    /// modifier.
    pub fn role(self, streams: &Streams, modifier: &str) -> StreamRole {
        let group = self.group.map(str::to_owned).or(self.default_group);
        let is_alternative = streams.video.is_none() && self.kind != Some(TrackType::Variant);
        let Some(group) = group.filter(|_| is_alternative) else {
            let names =
                self.sets.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
            return StreamRole::Variant { audio_groups: names.map(str::to_owned).collect() };
        };
        let sound = streams.audio.first();
        let named = sound.and_then(|sound| sound.name.clone().or_else(|| sound.language.clone()));
        StreamRole::Audio {
            group,
            name: named.unwrap_or_else(|| modifier.trim_start_matches(['_', '-']).to_owned()),
            is_default: matches!(self.kind, None | Some(TrackType::Default)),
            auto_select: self.kind != Some(TrackType::OnRequest),
            describes_video: self.describes_video,
        }
    }
}

/// Pairs video without audio groups with all audio groups, as CMAF groups do by default (AWS's service
/// model); a player could not reach them otherwise. In a group without video, audio streams become variants.
pub(crate) fn pair_by_default(streams: &mut [ListedStream]) {
    let mut groups: Vec<String> = Vec::new();
    for stream in streams.iter() {
        if let StreamRole::Audio { group, .. } = &stream.role
            && !groups.contains(group)
        {
            groups.push(group.clone());
        }
    }
    let has_video = streams.iter().any(|stream| stream.video.is_some());
    for stream in streams {
        match &mut stream.role {
            StreamRole::Variant { audio_groups } if audio_groups.is_empty() && stream.video.is_some() => {
                audio_groups.clone_from(&groups);
            }
            role @ StreamRole::Audio { .. } if !has_video => {
                *role = StreamRole::Variant { audio_groups: Vec::new() };
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(output: u32, video: bool, role: StreamRole) -> ListedStream {
        let video = video.then(|| ListedVideo {
            size: Size { width: 640, height: 360 },
            sample_aspect: Rational::ONE,
            rate: FrameRate::new(25, 1).unwrap(),
            max_bps: 1,
        });
        ListedStream {
            output,
            names: SegmentNames {
                folder_url: "s3://out/".to_owned(),
                playlist: "a_b.m3u8".to_owned(),
                media: "a_b".to_owned(),
                extension: "cmfv".to_owned(),
                digits: 9,
                segments_per_folder: None,
            },
            i_frames: false,
            single_file: false,
            segment_length: ExactTime::from_millis(4000),
            video,
            language: None,
            channels: 0,
            sample_rate_hz: 0,
            role,
        }
    }

    fn variant(groups: &[&str]) -> StreamRole {
        StreamRole::Variant { audio_groups: groups.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn audio(group: &str) -> StreamRole {
        StreamRole::Audio {
            group: group.to_owned(),
            name: "x".to_owned(),
            is_default: true,
            auto_select: true,
            describes_video: false,
        }
    }

    #[test]
    fn fragments_are_named_as_in_published_packages() {
        let names = stream(0, true, variant(&[])).names;
        assert_eq!(names.segment(0), "a_b_000000001.cmfv");
        assert_eq!((names.initialisation(), names.single_file()), ("a_binit.cmfv".into(), "a_b.cmfv".into()));
        assert_eq!(names.around_number(), ("a_b_".to_owned(), ".cmfv".to_owned()));
    }

    #[test]
    fn video_is_paired_with_all_audio_by_default() {
        let mut streams = [
            stream(0, true, variant(&[])),
            stream(1, true, variant(&["a"])),
            stream(2, false, audio("a")),
            stream(3, false, audio("b")),
        ];
        pair_by_default(&mut streams);
        assert_eq!(streams[0].role, variant(&["a", "b"]));
        assert_eq!(streams[1].role, variant(&["a"]));
        assert_eq!(streams[3].role, audio("b"));
        let mut alone = [stream(0, false, audio("a"))];
        pair_by_default(&mut alone);
        assert_eq!(alone[0].role, variant(&[]));
    }

    #[test]
    fn audio_is_alternative_only_in_a_group() {
        let streams = Streams { video: None, audio: Vec::new() };
        let role = RoleSettings { group: Some("a"), ..RoleSettings::default() }.role(&streams, "_es");
        assert_eq!(
            role,
            StreamRole::Audio {
                group: "a".into(),
                name: "es".into(),
                is_default: true,
                auto_select: true,
                describes_video: false,
            }
        );
        let own =
            RoleSettings { group: Some("a"), kind: Some(TrackType::Variant), ..RoleSettings::default() };
        assert_eq!(own.role(&streams, "_es"), variant(&[]));
        let picture = Streams { video: Some(0), audio: Vec::new() };
        let sets =
            RoleSettings { sets: Some("a, b,"), default_group: Some("z".into()), ..RoleSettings::default() };
        assert_eq!(sets.role(&picture, "_v"), variant(&["a", "b"]));
    }
}
