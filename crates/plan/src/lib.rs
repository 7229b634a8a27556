//! Plans a job: turns its settings, the facts of its inputs and the capabilities of ffmpeg into a [`Plan`] of
//! tasks and outputs.
//!
//! Planning is pure: it does no I/O and reads neither a clock nor random numbers. The same request always
//! gives the same plan, byte for byte.

mod audio;
mod capabilities;
mod captions;
mod chunks;
mod clips;
mod container;
mod error;
mod format_identifiers;
mod fragmented;
mod frame_capture;
mod hls;
mod job_plan;
mod joints;
mod ladder;
mod output_names;
mod overlays;
mod planned;
mod planner;
mod renditions;
mod scaling;
mod segmentation;
mod segmented;
mod setting;
mod task;
mod timecode;
mod transport_stream;
mod video;
mod video_coding;
mod waves;

pub use audio::coding::{AudioCodec, AudioCoding, AudioRate};
pub use audio::remix::Remix;
pub use audio::{AudioEncode, AudioPart, Loudness};
pub use capabilities::Capabilities;
pub use captions::{CaptionDelivery, CaptionFile, CaptionForm, CaptionPart, CaptionTask};
pub use chunks::{Chunking, FrameRun, forced_before};
pub use container::{Container, ProgramStream};
pub use error::{Error, ErrorKind};
pub use frame_capture::{FrameCapture, quantiser};
pub use job_plan::{PLAN_VERSION, Plan, Warning};
pub use joints::Joint;
pub use ladder::{FOLLOW_SOURCE, LADDER_KEY};
pub(crate) use output_names::DestinationNames;
pub use planned::{GroupKind, PlannedAudio, PlannedFacts, PlannedGroup, PlannedOutput, PlannedVideo};
pub use planner::{PlanRequest, plan, settings_errors};
pub use scaling::Rectangle;
pub use segmentation::{SegmentRule, Segmentation};
pub use segmented::{
    DashStyle, Fragmentation, GroupManifests, ListedStream, ListedVideo, PlaylistStyle, SegmentFormat,
    SegmentNames, SegmentedOutput, StreamRole,
};
pub use task::{
    Analysis, Artifact, AudioStream, BadTaskId, BufferedRendition, ChunkJoint, ChunkJudgement, FileOutput,
    PackageTask, RenditionAgain, StitchedRendition, Streams, Task, TaskId, TaskKind, TextStream,
    Verification, VideoStitch,
};
pub use transport_stream::TransportStream;
pub use video::{
    ColourCorrection, InsertedImage, NoiseReducer, Overlay, Pass, Picture, QualityMetric, RateBranch,
    Sampling, ScaleSource, SourceVideo, TimecodeStamp, ToneMap, VideoEncode, VideoRendition,
};
pub use video_coding::{
    CodecSettings, EntropyCoder, Gop, H264Level, H264Profile, H264Settings, H265Level, H265Settings,
    RateControl, SpeedPreset, VideoCodec, VideoCoding, Zone,
};
pub use waves::waves;
