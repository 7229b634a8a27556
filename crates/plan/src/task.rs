//! The plan and its tasks, which are the engine's units of work. They have no state; only the engine knows
//! which tasks have run.

use std::fmt;

use abanico_media::{Colour, ExactTime, FieldOrder, FrameRate, Rational, Size};
use serde::{Deserialize, Serialize};

use crate::{
    AudioCoding, AudioEncode, CaptionFile, CaptionTask, Container, FrameCapture, GroupManifests, Joint,
    SegmentedOutput, VideoEncode,
};

/// Everything that a job will do and make, decided before the first frame is decoded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Tasks, each after the tasks that it depends on.
    pub tasks: Vec<Task>,
    /// Outputs in the job's order.
    pub outputs: Vec<PlannedOutput>,
    /// Output groups in the job's order.
    #[serde(default)]
    pub groups: Vec<PlannedGroup>,
    /// Caption files that the job reads.
    #[serde(default)]
    pub caption_files: Vec<CaptionFile>,
    /// URLs of the images that are drawn over the video.
    #[serde(default)]
    pub images: Vec<String>,
    /// Oddities of the inputs, with AWS's warning codes.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Decisions that the user should know about, such as dropped rungs, missing audio and tone mapping. One
    /// sentence each.
    pub notes: Vec<String>,
    /// Whether the video is cut into chunks, which encoders work on at the same time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_cut: bool,
}

/// Leaves a member that is usually false out of what is stored.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

impl Plan {
    /// Returns the task with this id.
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    /// Returns a copy without tasks: what the job makes and reports, but not how.
    #[must_use]
    pub fn without_tasks(&self) -> Self {
        Self {
            tasks: Vec::new(),
            outputs: self.outputs.clone(),
            groups: self.groups.clone(),
            caption_files: self.caption_files.clone(),
            images: self.images.clone(),
            warnings: self.warnings.clone(),
            notes: self.notes.clone(),
            is_cut: self.is_cut,
        }
    }
}

/// Something odd about an input that does not stop the job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Warning {
    /// AWS's code for the warning (MediaConvert's user guide on warning codes).
    pub code: u32,
    /// A sentence that names the input and says what is odd.
    pub message: String,
}

/// Names a task within its plan, such as `video`, `audio-0`, `package-1`, `verify-1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(String);

impl TaskId {
    /// Creates an id from a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The task that makes the files of all video renditions.
    pub fn video() -> Self {
        Self::new("video")
    }

    /// The task that encodes chunk `number` of all video renditions.
    pub fn chunk(number: u32) -> Self {
        Self(format!("chunk-{number:04}"))
    }

    /// The task that makes the first passes of the whole film (`None`) or of one of its chunks.
    pub fn analysis(chunk: Option<u32>) -> Self {
        let of_chunk = chunk.map(|number| format!("-{number:04}")).unwrap_or_default();
        Self(format!("analysis{of_chunk}"))
    }

    /// The task that sums up the first passes of all chunks.
    pub fn first_passes() -> Self {
        Self::new("first-passes")
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One unit of engine work; running it twice gives the same files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Name of the task.
    pub id: TaskId,
    /// What it does.
    pub kind: TaskKind,
    /// Tasks that must finish first.
    pub after: Vec<TaskId>,
}

impl Task {
    /// Returns the hexadecimal BLAKE3 hash of the task's kind. Tasks with equal hashes and the same input
    /// give equal results.
    pub fn spec_hash(&self) -> String {
        let spec = serde_json::to_vec(&self.kind)
            .expect("task kinds have string keys only, so they always serialise");
        blake3::hash(&spec).to_hex().to_string()
    }
}

/// What a task does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Decodes the video once and encodes it small, for the statistics that second passes read.
    AnalyseVideo(VideoEncode),
    /// Sums up the first passes of all chunks, so that each chunk knows its share of the bits.
    SumFirstPasses {
        /// Number of chunks.
        chunks: u32,
    },
    /// Decodes the video once and encodes all renditions. Makes `video-INDEX.mp4` for each.
    EncodeVideo(VideoEncode),
    /// Joins the chunks of all renditions. Makes `video-INDEX.mp4` for each.
    StitchVideo(VideoStitch),
    /// Encodes one audio stream as a whole, into one file.
    EncodeAudio(AudioEncode),
    /// Reads caption files and writes captions from them.
    MakeCaptions(CaptionTask),
    /// Joins streams into a file for the user.
    Package(FileOutput),
    /// Cuts the streams of an output into segments and lists them.
    Segment(SegmentedOutput),
    /// Decodes the video and makes images of it. The images are measured as they are made.
    CaptureFrames(FrameCapture),
    /// Lists the streams of a group in its manifests.
    GroupManifests(GroupManifests),
    /// Compares the packaged file with [`PlannedOutput::facts`]. Makes no files.
    Verify {
        /// Index of the output in [`Plan::outputs`].
        output: u32,
    },
}

impl TaskKind {
    /// Returns whether the task makes files for the user.
    pub fn is_packaging(&self) -> bool {
        match self {
            Self::MakeCaptions(captions) => captions.delivery.is_some(),
            Self::Package(_) | Self::Segment(_) | Self::GroupManifests(_) | Self::CaptureFrames(_) => true,
            Self::AnalyseVideo(_)
            | Self::SumFirstPasses { .. }
            | Self::EncodeVideo(_)
            | Self::StitchVideo(_)
            | Self::EncodeAudio(_)
            | Self::Verify { .. } => false,
        }
    }
}

/// Renditions that were encoded in chunks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VideoStitch {
    /// Number of chunks, at least 2.
    pub chunks: u32,
    /// The renditions to join.
    pub renditions: Vec<StitchedRendition>,
    /// Each chunk's joint with the one before it, from the second chunk on. Older plans lack the member; their joints
    /// are not compared.
    #[serde(default)]
    pub joints: Vec<Joint>,
}

/// One rendition that was encoded in chunks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StitchedRendition {
    /// Index of the rendition.
    pub index: u32,
    /// Frames of each chunk.
    pub frames: Vec<u64>,
    /// Size of the decoder's buffer model in bits.
    pub buffer_bits: u64,
    /// Initial fill of the buffer, 0 to 100 %.
    pub buffer_fill_percent: u8,
    /// Highest rate at which the buffer fills, in bits per second.
    pub ceiling_bps: u64,
    /// Whether the encoder respects that buffer. If it does, chunks that violate it are encoded again.
    #[serde(default = "keeps_buffer")]
    pub keeps_buffer: bool,
}

/// Older plans lack the member. All their chunks came from encoders that respect the buffer.
fn keeps_buffer() -> bool {
    true
}

/// The encoded streams of an output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Streams {
    /// Index of the video rendition, if the output has video.
    pub video: Option<u32>,
    /// Audio streams in the job's order.
    pub audio: Vec<AudioStream>,
}

/// One audio stream of an output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioStream {
    /// Index of the encoded audio.
    pub index: u32,
    /// Lower-case ISO 639-2 code of its language, if the job or the source names one.
    pub language: Option<String>,
    /// Label shown to people, if the job has one.
    pub name: Option<String>,
    /// How it is encoded.
    pub coding: AudioCoding,
}

/// A caption stream in a file with other streams.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TextStream {
    /// Index of the captions, which are in SubRip format.
    pub captions: u32,
    /// Lower-case ISO 639-2 code of its language, if the job names one.
    pub language: Option<String>,
    /// Label shown to people, if the job has one.
    pub name: Option<String>,
}

/// One file for the user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileOutput {
    /// Index of the output in [`Plan::outputs`].
    pub output: u32,
    /// Its streams, at least one.
    pub streams: Streams,
    /// Container of the file.
    pub container: Container,
    /// Caption streams, in containers that support them.
    #[serde(default)]
    pub texts: Vec<TextStream>,
    /// Whether `moov` comes before `mdat`; false if the container has neither.
    pub fast_start: bool,
}

/// Type of an output group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// Each output is one file.
    File,
    /// Apple HLS: each output is a stream of segments.
    Hls,
    /// CMAF: each output is a fragmented stream, listed for HLS and DASH.
    Cmaf,
    /// MPEG-DASH: each output is a fragmented stream.
    Dash,
}

impl GroupKind {
    /// Returns whether events and jobs report the path of each output. For DASH and CMAF they report only the
    /// manifests (MediaConvert's user guide on events).
    pub fn tells_paths(self) -> bool {
        matches!(self, Self::File | Self::Hls)
    }
}

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
