//! Planning: in a job's settings, the facts of its input and what ffmpeg can do, out a [`Plan`] of tasks and outputs.
//!
//! Never: I/O, a clock, randomness. The same three inputs give the same plan, byte for byte.

mod audio;
mod capabilities;
mod error;
mod frame_capture;
mod h264;
mod hls;
mod ladder;
mod output_names;
mod planner;
mod renditions;
mod scaling;
mod segmentation;
mod setting;
mod task;
mod video;

pub use audio::AudioEncode;
pub use capabilities::Capabilities;
pub use error::{Error, ErrorKind};
pub use frame_capture::{FrameCapture, quantiser};
pub use h264::{EntropyCoder, Gop, H264Encode, H264Level, H264Profile, RateControl, SpeedPreset};
pub use hls::{HlsGroup, HlsNames, HlsOutput, HlsVariant, PlaylistStyle, TransportStream};
pub use ladder::{FOLLOW_SOURCE, LADDER_KEY};
pub use output_names::DestinationNames;
pub use planner::{PlanRequest, plan};
pub use segmentation::{SegmentRule, Segmentation};
pub use task::{
    GroupKind, Mp4Output, Plan, PlannedGroup, PlannedOutput, Task, TaskId, TaskKind, VideoOutputFacts,
};
pub use video::{RateBranch, ScaleSource, SourceVideo, ToneMap, VideoEncode, VideoRendition};
