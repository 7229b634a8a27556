//! The tasks of a plan, which are the engine's units of work. Each holds every value that it needs, and names everything
//! that it reads, so whoever runs it needs nothing else of the plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    AudioCoding, AudioEncode, CaptionTask, Container, FrameCapture, GroupManifests, Joint, Pass,
    PlannedOutput, RateControl, SegmentedOutput, VideoEncode, VideoRendition,
};

/// Longest name of a task, in bytes.
const LONGEST_ID: usize = 64;

/// Names a task within its plan, such as `video`, `audio-0`, `package-1`, `verify-1`: 1 to 64 small letters, digits and
/// hyphens. Only the constructors make names. What is read back is checked, because folders have these names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TaskId(String);

/// A text that is no name of a task.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no name of a task: it must have 1 to {LONGEST_ID} small letters, digits and hyphens")]
pub struct BadTaskId {
    text: String,
}

impl TryFrom<String> for TaskId {
    type Error = BadTaskId;

    fn try_from(text: String) -> Result<Self, BadTaskId> {
        let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(is_fine) {
            true => Ok(Self(text)),
            false => Err(BadTaskId { text: text.chars().take(80).collect() }),
        }
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.0
    }
}

impl TaskId {
    /// The only task of a job that another service does.
    pub fn elsewhere() -> Self {
        Self("elsewhere".to_owned())
    }

    /// The task that makes the files of all video renditions.
    pub fn video() -> Self {
        Self("video".to_owned())
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
        Self("first-passes".to_owned())
    }

    /// The task that compares chunk `number` with its source where it meets the chunk before it.
    pub fn joint(number: u32) -> Self {
        Self(format!("joint-{number:04}"))
    }

    /// The task that says which chunks must be encoded again.
    pub fn judgement() -> Self {
        Self("judgement".to_owned())
    }

    /// The task that encodes chunks of the video rendition with this index again.
    pub fn again(rendition: u32) -> Self {
        Self(format!("again-{rendition}"))
    }

    /// The task that encodes the audio stream with this index.
    pub fn audio(index: u32) -> Self {
        Self(format!("audio-{index}"))
    }

    /// The task that makes the captions with this index, which go into video or files.
    pub fn captions(index: u32) -> Self {
        Self(format!("captions-{index}"))
    }

    /// The task that makes the file of an output.
    pub fn package(output: u32) -> Self {
        Self(format!("package-{output}"))
    }

    /// The task that makes the segments, or the captions, of an output.
    pub fn segment(output: u32) -> Self {
        Self(format!("segment-{output}"))
    }

    /// The task that makes the images of an output.
    pub fn images(output: u32) -> Self {
        Self(format!("images-{output}"))
    }

    /// The task that compares an output with the plan.
    pub fn verify(output: u32) -> Self {
        Self(format!("verify-{output}"))
    }

    /// The task that lists the streams of an output group.
    pub fn manifests(group: u32) -> Self {
        Self(format!("manifests-{group}"))
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

/// Something that tasks read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Artifact {
    /// The input with this index in the job, from 0.
    Input(u32),
    /// The caption file with this index in [`crate::Plan::caption_files`].
    CaptionFile(u32),
    /// The image with this index in [`crate::Plan::images`].
    Image(u32),
    /// Everything that a task made.
    Made(TaskId),
}

/// One unit of engine work; running it twice gives the same files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Name of the task.
    pub id: TaskId,
    /// What it does, with all values.
    pub kind: TaskKind,
    /// Everything that it reads, in order, each once.
    pub reads: Vec<Artifact>,
}

impl Task {
    /// Creates a task that reads these artifacts.
    pub fn new(id: TaskId, kind: TaskKind, reads: impl IntoIterator<Item = Artifact>) -> Self {
        let mut reads: Vec<Artifact> = reads.into_iter().collect();
        reads.sort();
        reads.dedup();
        Self { id, kind, reads }
    }

    /// Returns the tasks that must finish first: those that make what it reads.
    pub fn after(&self) -> impl Iterator<Item = &TaskId> {
        self.reads.iter().filter_map(|artifact| match artifact {
            Artifact::Made(task) => Some(task),
            Artifact::Input(_) | Artifact::CaptionFile(_) | Artifact::Image(_) => None,
        })
    }

    /// Returns the hexadecimal BLAKE3 hash of the task's kind. Tasks with equal hashes that read the same give equal
    /// results.
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
        /// What was analysed in each of them.
        analyses: Vec<Analysis>,
    },
    /// Decodes the video once and encodes all renditions. Makes `video-INDEX.mp4` for each.
    EncodeVideo(VideoEncode),
    /// Compares the frames around a joint of two chunks with the source.
    CompareJoint(ChunkJoint),
    /// Says which chunks must be encoded again: those that do not show what their source shows, and those that empty
    /// the decoder's buffer.
    JudgeChunks(ChunkJudgement),
    /// Encodes chunks of one rendition again, one after the other, because each leaves another buffer to the next.
    /// Nearly always there is nothing to do.
    EncodeAgain(RenditionAgain),
    /// Joins the chunks of all renditions. Makes `video-INDEX.mp4` for each.
    StitchVideo(VideoStitch),
    /// Encodes one audio stream as a whole, into one file.
    EncodeAudio(AudioEncode),
    /// Reads caption files and writes captions from them.
    MakeCaptions(CaptionTask),
    /// Joins streams into a file for the user.
    Package(PackageTask),
    /// Cuts the streams of an output into segments and lists them.
    Segment(SegmentedOutput),
    /// Decodes the video and makes images of it. The images are measured as they are made.
    CaptureFrames(FrameCapture),
    /// Lists the streams of a group in its manifests.
    GroupManifests(GroupManifests),
    /// Compares a packaged output with its facts. Makes no files.
    Verify(Verification),
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
            | Self::CompareJoint(_)
            | Self::JudgeChunks(_)
            | Self::EncodeAgain(_)
            | Self::StitchVideo(_)
            | Self::EncodeAudio(_)
            | Self::Verify(_) => false,
        }
    }
}

/// What later passes need to know of a rendition that was analysed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Analysis {
    /// Index of the analysed rendition, which passes name.
    pub index: u32,
    /// How it was analysed.
    pub pass: Pass,
    /// Pixels of its frames.
    pub area: u64,
    /// libx264's rate factor that it was encoded with, in tenths; 0 if it had none.
    pub rate_factor_tenths: u32,
}

impl Analysis {
    /// Describes an analysed rendition.
    pub fn of(rendition: &VideoRendition) -> Self {
        Self {
            index: rendition.index,
            pass: rendition.pass,
            area: rendition.frame.area(),
            rate_factor_tenths: match rendition.coding.rate_control {
                RateControl::Quality { rate_factor_tenths, .. } => rate_factor_tenths,
                RateControl::Average { .. } | RateControl::Constant { .. } => 0,
            },
        }
    }
}

/// A file to make, and where it goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PackageTask {
    /// What is in the file.
    pub file: FileOutput,
    /// Full URL of its destination.
    pub url: String,
    /// MIME type.
    pub content_type: String,
}

/// An output to compare with its facts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verification {
    /// Index of the output in [`crate::Plan::outputs`].
    pub output: u32,
    /// What it must be.
    pub planned: PlannedOutput,
    /// The task that made it.
    pub made_by: TaskId,
}

/// The joint of a chunk with the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChunkJoint {
    /// Number of the chunk, from 1.
    pub chunk: u32,
    /// From where the source is read to see it.
    pub joint: Joint,
}

/// Chunks to judge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChunkJudgement {
    /// Number of chunks, at least 2.
    pub chunks: u32,
    /// Their renditions.
    pub renditions: Vec<BufferedRendition>,
}

/// Chunks of one rendition, of which some may have to be encoded again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RenditionAgain {
    /// Number of chunks, at least 2.
    pub chunks: u32,
    /// The rendition.
    pub rendition: BufferedRendition,
}

/// A rendition, and the buffer of its decoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BufferedRendition {
    /// Index of the rendition.
    pub index: u32,
    /// Size of the decoder's buffer model in bits.
    pub buffer_bits: u64,
    /// Initial fill of the buffer, 0 to 100 %.
    pub buffer_fill_percent: u8,
    /// Highest rate at which the buffer fills, in bits per second.
    pub ceiling_bps: u64,
    /// Whether the encoder respects that buffer. If it does, chunks that violate it are encoded again.
    pub keeps_buffer: bool,
}

/// Renditions that were encoded in chunks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VideoStitch {
    /// Number of chunks, at least 2.
    pub chunks: u32,
    /// The renditions to join.
    pub renditions: Vec<StitchedRendition>,
}

/// One rendition that was encoded in chunks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StitchedRendition {
    /// Index of the rendition.
    pub index: u32,
    /// Frames of each chunk.
    pub frames: Vec<u64>,
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
    /// Index of the output in [`crate::Plan::outputs`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_a_folder_are_refused() {
        let ids = [
            TaskId::video(),
            TaskId::chunk(u32::MAX),
            TaskId::joint(u32::MAX),
            TaskId::judgement(),
            TaskId::again(u32::MAX),
            TaskId::analysis(Some(3)),
            TaskId::verify(u32::MAX),
        ];
        for id in ids {
            let text = serde_json::to_string(&id).unwrap();
            assert_eq!(serde_json::from_str::<TaskId>(&text).unwrap(), id);
        }
        for text in ["", ".", "..", "../x", "/etc", "a/b", "a.partial", "A", "a b", "a\0", &"a".repeat(65)] {
            let read = serde_json::from_value::<TaskId>(text.into());
            assert!(read.unwrap_err().to_string().contains("is no name of a task"), "{text}");
        }
    }
}
