//! Tasks and their order, and the plan that holds them: in parts of the plan, out units of engine work.
//! Never state: whether a task ran is the engine's knowledge.

use std::fmt;

use abanico_media::{ExactTime, FieldOrder, FrameRate, Rational, Size};
use serde::{Deserialize, Serialize};

use crate::{
    AudioCoding, AudioEncode, CaptionFile, CaptionTask, Container, FrameCapture, GroupManifests,
    SegmentedOutput, VideoEncode,
};

/// Everything that a job will do and make, decided before the first frame is decoded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Tasks in an order in which each one's predecessors stand before it.
    pub tasks: Vec<Task>,
    /// Outputs in the job's order.
    pub outputs: Vec<PlannedOutput>,
    /// Output groups in the job's order.
    #[serde(default)]
    pub groups: Vec<PlannedGroup>,
    /// Caption files that are read.
    #[serde(default)]
    pub caption_files: Vec<CaptionFile>,
    /// URLs of images that are drawn into pictures.
    #[serde(default)]
    pub images: Vec<String>,
    /// What is odd about the inputs, by AWS's numbers.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// What the user should know about decisions: dropped rungs, missing audio, tone mapping. One sentence each.
    pub notes: Vec<String>,
}

impl Plan {
    /// The task with this id, if there is one.
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    /// What is made and what is to be told of it, without how.
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
        }
    }
}

/// Something odd about an input that the job goes on with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Warning {
    /// AWS's number of the warning (MediaConvert's user guide on warning codes).
    pub code: u32,
    /// What is odd, as a sentence that names the input.
    pub message: String,
}

/// Names a task within its plan, such as `video`, `audio-0`, `package-1`, `verify-1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(String);

impl TaskId {
    /// Takes a name as an id.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Who makes the files of all video renditions.
    pub fn video() -> Self {
        Self::new("video")
    }

    /// Who encodes chunk `number` of them.
    pub fn chunk(number: u32) -> Self {
        Self(format!("chunk-{number:04}"))
    }

    /// Who makes the first passes, of the whole film or of one of its chunks.
    pub fn analysis(chunk: Option<u32>) -> Self {
        let of_chunk = chunk.map(|number| format!("-{number:04}")).unwrap_or_default();
        Self(format!("analysis{of_chunk}"))
    }

    /// Who sums up the first passes of all chunks.
    pub fn first_passes() -> Self {
        Self::new("first-passes")
    }

    /// The name.
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
    /// Its name.
    pub id: TaskId,
    /// What is to be done.
    pub kind: TaskKind,
    /// Tasks that must be done before.
    pub after: Vec<TaskId>,
}

impl Task {
    /// Hexadecimal BLAKE3 hash of what is to be done: tasks with equal hashes of the same input give equal results.
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
    /// Decode the video once and encode it small, for the statistics that second passes read.
    AnalyseVideo(VideoEncode),
    /// Sum up what the first passes of all chunks say, so that each chunk can tell its share.
    SumFirstPasses {
        /// How many chunks there are.
        chunks: u32,
    },
    /// Decode the video once, encode all renditions; makes `video-INDEX.mp4` for each.
    EncodeVideo(VideoEncode),
    /// Join the chunks of all renditions; makes `video-INDEX.mp4` for each.
    StitchVideo(VideoStitch),
    /// Encode one sound whole; makes one file for it.
    EncodeAudio(AudioEncode),
    /// Read caption files and write captions from them.
    MakeCaptions(CaptionTask),
    /// Join streams into the file that the user gets.
    Package(FileOutput),
    /// Cut the streams of an output into segments and list them.
    Segment(SegmentedOutput),
    /// Decode the video and make images of it; they are measured as they are made.
    CaptureFrames(FrameCapture),
    /// List the streams of a group in its manifests.
    GroupManifests(GroupManifests),
    /// Compare the packaged file with [`PlannedOutput::facts`]; makes nothing.
    Verify {
        /// Index of the output in [`Plan::outputs`].
        output: u32,
    },
}

impl TaskKind {
    /// Whether the task makes files that the user gets.
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
    /// What is joined.
    pub renditions: Vec<StitchedRendition>,
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
    /// How full it is at the start, 0 to 100 %.
    pub buffer_fill_percent: u8,
    /// Most bits a second that it takes in.
    pub ceiling_bps: u64,
    /// Whether its encoder keeps to that buffer, so that chunks that do not are encoded again.
    #[serde(default = "keeps_buffer")]
    pub keeps_buffer: bool,
}

/// Plans of versions that did not say: their chunks were all of encoders that do.
fn keeps_buffer() -> bool {
    true
}

/// The encoded streams of an output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Streams {
    /// Index of the video rendition, if the output has a picture.
    pub video: Option<u32>,
    /// Its sounds in the job's order.
    pub audio: Vec<AudioStream>,
}

/// One sound of an output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioStream {
    /// Index of the encoded sound.
    pub index: u32,
    /// ISO 639-2 code of its language, lower case, if the job or the source says one.
    pub language: Option<String>,
    /// Label for people, if the job has one.
    pub name: Option<String>,
    /// What it is encoded as.
    pub coding: AudioCoding,
}

/// Captions as a stream of text beside others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TextStream {
    /// Index of the captions, which are SubRip.
    pub captions: u32,
    /// ISO 639-2 code of its language, lower case, if the job says one.
    pub language: Option<String>,
    /// Label for people, if the job has one.
    pub name: Option<String>,
}

/// One file of the user's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileOutput {
    /// Index of the output in [`Plan::outputs`].
    pub output: u32,
    /// Its streams, at least one.
    pub streams: Streams,
    /// The kind of file.
    pub container: Container,
    /// Its streams of text, for which the container has a place.
    #[serde(default)]
    pub texts: Vec<TextStream>,
    /// Whether `moov` stands before `mdat`; false for a file without these.
    pub fast_start: bool,
}

/// What an output group is made as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// Each output is a file.
    File,
    /// Apple HLS: each output is a stream of segments.
    Hls,
    /// CMAF: each output is a stream in fragments, listed for HLS and DASH.
    Cmaf,
    /// MPEG-DASH: each output is a stream in fragments.
    Dash,
}

impl GroupKind {
    /// Whether events and jobs tell the path of each output: for DASH and CMAF they tell the manifests' alone (MediaConvert's
    /// user guide on events).
    pub fn tells_paths(self) -> bool {
        matches!(self, Self::File | Self::Hls)
    }
}

/// One output group of the job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedGroup {
    /// Index in the job, from 0.
    pub group: u32,
    /// What it is made as.
    pub kind: GroupKind,
    /// Whole URLs of the manifests that list its outputs: the MPD before the playlist, as events tell them.
    pub manifest_urls: Vec<String>,
}

/// One output that the user gets: a file, or a stream of segments with the media playlist that lists them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedOutput {
    /// Index of its output group in the job, from 0.
    pub group: u32,
    /// Index of the output in its group as the job lists it, from 0.
    pub output: u32,
    /// Whole destination URL of the file, such as `s3://renditions/a.mp4/a_720p.mp4`; of the media playlist when the
    /// output is a stream of segments that has one, of its first file otherwise.
    pub url: String,
    /// NameModifier of the output, empty when it has none.
    pub name_modifier: String,
    /// MIME type of the file.
    pub content_type: String,
    /// What the file must be like to be published.
    pub facts: PlannedFacts,
}

/// Facts that verification holds against a finished file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedFacts {
    /// Its picture, if it has one.
    pub video: Option<PlannedVideo>,
    /// Its sounds in their order.
    pub audio: Vec<PlannedAudio>,
    /// Whether `moov` must stand before `mdat`.
    pub fast_start: bool,
}

/// What the picture of a file must be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedVideo {
    /// ffprobe's name of the codec.
    pub codec: String,
    /// ffprobe's name of the pixel format.
    pub pixel_format: String,
    /// Encoded size.
    pub size: Size,
    /// Shape of its pixels.
    pub sample_aspect: Rational,
    /// How its frames are made of fields.
    pub fields: FieldOrder,
    /// Constant frame rate.
    pub rate: FrameRate,
    /// Exact number of frames.
    pub frames: u64,
    /// Target of the bit rate (the maximum for QVBR).
    pub bit_rate_bps: u64,
}

/// What a sound of a file must be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedAudio {
    /// ffprobe's name of the codec.
    pub codec: String,
    /// Channels.
    pub channels: u16,
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// How long the encoder's own start lasts, before the sound begins.
    pub lead: ExactTime,
    /// Whether an edit list hides that start; elsewhere the first packet stands before the picture by as much.
    pub hides_lead: bool,
    /// Where the source's sound ends on the output's clock.
    pub end: ExactTime,
}

impl PlannedVideo {
    /// Length of the picture.
    pub fn duration(&self) -> ExactTime {
        ExactTime::of_frames(self.frames, self.rate)
    }
}

impl PlannedFacts {
    /// Length of the output: the picture's, or the longest sound's where there is none.
    pub fn duration(&self) -> ExactTime {
        let sound = || self.audio.iter().map(|audio| audio.end).max().unwrap_or(ExactTime::ZERO);
        self.video.as_ref().map_or_else(sound, PlannedVideo::duration)
    }
}
