//! Plans a job: turns its settings, the facts of its inputs and the capabilities of ffmpeg into a [`Plan`] of
//! tasks and outputs.
//!
//! Planning is pure: it does no I/O and reads neither a clock nor random numbers. The same request always
//! gives the same plan, byte for byte.

mod audio;
mod capabilities;
mod captions;
mod cutting;
mod error;
mod job_plan;
mod packaging;
mod planner;
mod setting;
mod video;

pub use abanico_model::output_groups::GroupKind;
pub use audio::coding::{AudioCodec, AudioCoding, AudioRate};
pub use audio::remix::Remix;
pub use audio::{AudioEncode, AudioPart, Loudness};
pub use capabilities::Capabilities;
pub use captions::{CaptionDelivery, CaptionFile, CaptionForm, CaptionPart, CaptionTask};
pub use cutting::chunks::{Chunking, FrameRun, forced_before};
pub use cutting::joints::{Excerpt, ExcerptPlace, Joint};
pub use error::{Error, ErrorKind};
pub use job_plan::planned::{PlannedAudio, PlannedFacts, PlannedGroup, PlannedOutput, PlannedVideo};
pub use job_plan::task::{
    Analysis, Artifact, AudioStream, BadTaskId, BufferedRendition, ChunkJoint, ChunkJudgement, FileOutput,
    PackageTask, RenditionAgain, StitchedRendition, Streams, Task, TaskId, TaskKind, TextStream,
    Verification, VideoStitch,
};
pub use job_plan::waves::waves;
pub use job_plan::{PLAN_VERSION, Plan, Warning};
pub use packaging::container::{Container, ProgramStream};
pub(crate) use packaging::output_names::DestinationNames;
pub use packaging::segmentation::{SegmentRule, Segmentation};
pub use packaging::segmented::{
    DashStyle, Fragmentation, GroupManifests, ListedStream, ListedVideo, PlaylistStyle, SegmentFormat,
    SegmentNames, SegmentedOutput, StreamRole,
};
pub use packaging::transport_stream::TransportStream;
pub use planner::{PlanRequest, plan, settings_errors};
pub use video::frame_capture::{FrameCapture, quantiser};
pub use video::ladder::{FOLLOW_SOURCE, LADDER_KEY};
pub use video::scaling::Rectangle;
pub use video::video_coding::{
    CodecSettings, EntropyCoder, Gop, H264Level, H264Profile, H264Settings, H265Level, H265Settings,
    RateControl, SpeedPreset, VideoCodec, VideoCoding, Zone,
};
pub use video::{
    ColourCorrection, InsertedImage, NoiseReducer, Overlay, Pass, Picture, QualityMetric, RateBranch,
    Sampling, ScaleSource, SourceVideo, TimecodeStamp, ToneMap, VideoEncode, VideoRendition,
};
