//! Outputs in segments: the streams of HLS, CMAF and DASH groups, how they are cut, named and listed.
//! Never a manifest's text: crate `package` writes that, from what was measured.

use abanico_media::{ExactTime, FrameRate, Rational, Size};
use serde::{Deserialize, Serialize};

use crate::segmentation::{SegmentRule, Segmentation};
use crate::{Streams, TransportStream};

/// One stream of a group: encoded video and sound, cut into segments.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentedOutput {
    /// Index of the output in [`crate::Plan::outputs`].
    pub output: u32,
    /// Its streams; one where they are written in fragments.
    pub streams: Streams,
    /// Where segments begin.
    pub segmentation: Segmentation,
    /// What segments are.
    pub format: SegmentFormat,
    /// Names of its files.
    pub names: SegmentNames,
    /// Whether all segments lie in one file and manifests name byte ranges.
    pub single_file: bool,
    /// How its media playlist is written, if it has one.
    pub playlist: Option<PlaylistStyle>,
    /// Whether there is a playlist of key frames.
    pub i_frames: bool,
    /// What the stream is to a player.
    pub role: StreamRole,
}

impl SegmentedOutput {
    /// MIME type of its media (RFC 3555, RFC 4337).
    pub fn media_type(&self) -> &'static str {
        match (&self.format, self.streams.video.is_some()) {
            (SegmentFormat::TransportStream(_), _) => "video/mp2t",
            (SegmentFormat::Fragmented(_), true) => "video/mp4",
            (SegmentFormat::Fragmented(_), false) => "audio/mp4",
        }
    }
}

/// What segments are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentFormat {
    /// MPEG-2 transport streams.
    TransportStream(TransportStream),
    /// Fragments of ISO base media files.
    Fragmented(Fragmentation),
}

/// How a stream is written in fragments.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fragmentation {
    /// Whether files are marked as CMAF's; DASH's otherwise.
    pub is_cmaf: bool,
    /// A fragment ends with the first group of pictures that reaches this.
    pub least_length: ExactTime,
    /// Whether the first picture is shown at zero by signed offsets instead of an edit list.
    pub signed_offsets: bool,
}

/// What a stream is to a player.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamRole {
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
    /// Captions that go with variants.
    Subtitles {
        /// Their group.
        group: String,
        /// What a player shows.
        name: String,
        /// Whether they tell what is spoken and heard to those who do not hear.
        is_accessible: bool,
    },
}

/// Names of the files of one stream, as paths relative to the folder of the group's manifests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SegmentNames {
    /// URL of the folder that all paths are relative to, with a slash at its end.
    pub folder_url: String,
    /// The media playlist.
    pub playlist: String,
    /// Media files without number and extension.
    pub media: String,
    /// Extension of media files, such as `ts`.
    pub extension: String,
    /// Digits of a segment's number.
    pub digits: usize,
    /// Segments in one folder before the next is begun; none puts all into one.
    pub segments_per_folder: Option<u64>,
}

impl SegmentNames {
    /// Path of segment `index`, counted from 0: files are numbered from 1.
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

    /// What stands before and behind a segment's number.
    pub fn around_number(&self) -> (String, String) {
        (format!("{}_", self.media), format!(".{}", self.extension))
    }

    /// Path of the initialisation section (AWS's published packages have `init` at the end of the name).
    pub fn initialisation(&self) -> String {
        format!("{}init.{}", self.media, self.extension)
    }

    /// Path of the file that holds all segments.
    pub fn single_file(&self) -> String {
        format!("{}.{}", self.media, self.extension)
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

/// How HLS playlists of a group are written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlaylistStyle {
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
    /// Whether playlists are stored compressed (`Content-Encoding: gzip`).
    pub is_compressed: bool,
}

/// How a group's DASH manifest is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DashStyle {
    /// Whether the profile is on demand instead of main.
    pub on_demand: bool,
    /// Whether each segment's length is told exactly instead of one nominal length.
    pub exact_timeline: bool,
    /// What a player should hold before it starts.
    pub min_buffer: ExactTime,
    /// Whether pictures' bandwidth is the job's maximum instead of the measured mean.
    pub tells_maximum: bool,
    /// Put before every path, empty for nothing.
    pub base_url: String,
}

/// The manifests of a group, made when all its streams are there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupManifests {
    /// Index of the output group in the job, from 0.
    pub group: u32,
    /// Its streams in the job's order.
    pub streams: Vec<ListedStream>,
    /// Length of the longest stream.
    pub duration: ExactTime,
    /// Whole URL of the multivariant playlist and how it is written, if there is one.
    pub hls: Option<(String, PlaylistStyle)>,
    /// Whole URL of the MPD and how it is written, if there is one.
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
    /// Whether all segments lie in one file.
    pub single_file: bool,
    /// Length that segments have, all but the last.
    pub segment_length: ExactTime,
    /// The picture, if it has one.
    pub video: Option<ListedVideo>,
    /// Language of its first sound.
    pub language: Option<String>,
    /// Channels of its first sound, 0 without one.
    pub channels: u16,
    /// Samples a second of its first sound, 0 without one.
    pub sample_rate_hz: u32,
    /// What it is to a player.
    pub role: StreamRole,
}

/// The picture of a stream in a manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListedVideo {
    /// Size in pixels.
    pub size: Size,
    /// Shape of its pixels.
    pub sample_aspect: Rational,
    /// Frames a second.
    pub rate: FrameRate,
    /// The job's maximum of the bit rate.
    pub max_bps: u64,
}

/// How a group of outputs in segments is made, as its settings say.
pub(crate) struct SegmentedGroup {
    /// Length of segments.
    pub segment_length: ExactTime,
    /// A last segment that is shorter is joined to the one before.
    pub min_final_length: ExactTime,
    /// Whether segments are cut at their exact times, through groups of pictures of fixed length.
    pub is_exact: bool,
    /// Whether all segments of a stream lie in one file.
    pub single_file: bool,
    /// Where streams are written in fragments: how.
    pub fragments: Option<Fragmentation>,
    /// How HLS playlists are written, if they are.
    pub playlists: Option<PlaylistStyle>,
    /// How the DASH manifest is written, if it is.
    pub dash: Option<DashStyle>,
}

impl SegmentedGroup {
    /// What the group asks of segments; groups of pictures are `gop_frames` long where the job fixes them.
    pub fn rule(&self, gop_frames: Option<u64>) -> SegmentRule {
        SegmentRule {
            length: self.segment_length,
            gop_frames: gop_frames.filter(|_| !self.is_exact),
            min_final_length: self.min_final_length,
        }
    }
}

/// What an output says of its place among a group's streams.
#[derive(Default)]
pub(crate) struct RoleSettings<'a> {
    /// `audioTrackType`.
    pub kind: Option<&'a str>,
    /// `audioGroupId`.
    pub group: Option<&'a str>,
    /// `audioRenditionSets`.
    pub sets: Option<&'a str>,
    /// Whether the sound describes the picture.
    pub describes_video: bool,
    /// Where it names no group and is an alternative all the same: its group's name.
    pub default_group: Option<String>,
}

impl RoleSettings<'_> {
    /// What the stream is to a player: a sound that names a group, or has one by default, is an alternative. What a
    /// player shows is the sound's own name, its language, or the output's name modifier.
    pub fn role(self, streams: &Streams, modifier: &str) -> StreamRole {
        let group = self.group.map(str::to_owned).or(self.default_group);
        let is_alternative = streams.video.is_none() && self.kind != Some("AUDIO_ONLY_VARIANT_STREAM");
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
            is_default: matches!(self.kind, None | Some("ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT")),
            auto_select: self.kind != Some("ALTERNATE_AUDIO_NOT_AUTO_SELECT"),
            describes_video: self.describes_video,
        }
    }
}

/// Lets pictures without sound go with all audio groups where they name none, as CMAF groups have it by default (AWS's
/// service model); sounds that no picture goes with are streams to choose from.
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
    fn are_fragments_named_as_in_published_packages() {
        let names = stream(0, true, variant(&[])).names;
        assert_eq!(names.segment(0), "a_b_000000001.cmfv");
        assert_eq!((names.initialisation(), names.single_file()), ("a_binit.cmfv".into(), "a_b.cmfv".into()));
        assert_eq!(names.around_number(), ("a_b_".to_owned(), ".cmfv".to_owned()));
    }

    #[test]
    fn do_pictures_go_with_all_sounds_unless_they_name_some() {
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
    fn is_a_sound_an_alternative_only_where_it_has_a_group() {
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
        let own = RoleSettings {
            group: Some("a"),
            kind: Some("AUDIO_ONLY_VARIANT_STREAM"),
            ..RoleSettings::default()
        };
        assert_eq!(own.role(&streams, "_es"), variant(&[]));
        let picture = Streams { video: Some(0), audio: Vec::new() };
        let sets =
            RoleSettings { sets: Some("a, b,"), default_group: Some("z".into()), ..RoleSettings::default() };
        assert_eq!(sets.role(&picture, "_v"), variant(&["a", "b"]));
    }
}
