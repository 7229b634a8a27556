//! What a plan says of its outputs and groups: where they go, and the facts that their files must match. It makes
//! nothing.

use abanico_media::{Colour, ExactTime, FieldOrder, FrameRate, Rational, Size};
use abanico_model::output_groups::GroupKind;
use serde::{Deserialize, Serialize};

/// One output group of the job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedGroup {
    /// Index in the job, from 0.
    pub group: u32,
    /// Its type.
    pub kind: GroupKind,
    /// Full URLs of its manifests, the MPD before the playlist, as events report them.
    pub manifest_urls: Vec<String>,
}

/// One output for the user: a file, or a segmented stream with the media playlist that lists it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedOutput {
    /// Index of its output group in the job, from 0.
    pub group: u32,
    /// Index of the output in its group, in the job's order, from 0.
    pub output: u32,
    /// Full destination URL of the file, such as `s3://renditions/a.mp4/a_720p.mp4`. For a segmented stream
    /// it is the URL of the media playlist, or of the stream's first file if it has no playlist.
    pub url: String,
    /// Name modifier of the output, empty if it has none.
    pub name_modifier: String,
    /// MIME type of the file.
    pub content_type: String,
    /// Facts that the file must match before it is published.
    pub facts: PlannedFacts,
}

/// Facts that verification compares with a finished file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedFacts {
    /// Its video, if it has any.
    pub video: Option<PlannedVideo>,
    /// Its audio streams, in order.
    pub audio: Vec<PlannedAudio>,
    /// Whether `moov` must come before `mdat`.
    pub fast_start: bool,
}

/// Expected facts of a video stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedVideo {
    /// ffprobe's name of the codec.
    pub codec: String,
    /// ffprobe's name of the pixel format.
    pub pixel_format: String,
    /// Encoded size.
    pub size: Size,
    /// Pixel aspect ratio.
    pub sample_aspect: Rational,
    /// Field order.
    pub fields: FieldOrder,
    /// Constant frame rate.
    pub rate: FrameRate,
    /// Exact number of frames.
    pub frames: u64,
    /// Target bit rate (the maximum for QVBR).
    pub bit_rate_bps: u64,
    /// Colour description; `None` if any will do.
    #[serde(default)]
    pub colour: Option<Colour>,
}

/// Expected facts of an audio stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedAudio {
    /// ffprobe's name of the codec.
    pub codec: String,
    /// Number of channels.
    pub channels: u16,
    /// Sampling rate.
    pub sample_rate_hz: u32,
    /// Length of the encoder's priming, which comes before the audio proper.
    pub lead: ExactTime,
    /// Whether an edit list hides the priming. If not, the first packet is that much earlier than the video.
    pub hides_lead: bool,
    /// End of the source's audio on the output's clock.
    pub end: ExactTime,
    /// Length of the source's packets. The last one may sound for a shorter time than it states.
    #[serde(default)]
    pub source_packet: ExactTime,
    /// Samples per packet, if all packets but the last one must have the same number.
    #[serde(default)]
    pub packet_samples: Option<u32>,
    /// Whether the packets are the source's own, with whatever gaps they have.
    #[serde(default)]
    pub is_copied: bool,
}

impl PlannedVideo {
    /// Returns the length of the video.
    pub fn duration(&self) -> ExactTime {
        ExactTime::of_frames(self.frames, self.rate)
    }
}

impl PlannedFacts {
    /// Returns the length of the output: the video's, or the longest audio stream's if there is no video.
    pub fn duration(&self) -> ExactTime {
        let sound = || self.audio.iter().map(|audio| audio.end).max().unwrap_or(ExactTime::ZERO);
        self.video.as_ref().map_or_else(sound, PlannedVideo::duration)
    }
}
