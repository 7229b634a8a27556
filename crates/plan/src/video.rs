//! The types that describe how video is decoded, filtered and encoded. They hold no ffmpeg arguments; crate
//! `ffmpeg` turns them into a command.

pub(crate) mod frame_capture;
pub(crate) mod ladder;
pub(crate) mod overlays;
pub(crate) mod renditions;
pub(crate) mod scaling;
pub(crate) mod video_coding;

use abanico_media::{Colour, ExactTime, FieldOrder, FrameRate, Orientation, Rational, Size, Window};
use serde::{Deserialize, Serialize};

use self::scaling::Rectangle;
use crate::cutting::chunks::FrameRun;
use crate::job_plan::is_false;
use crate::{Analysis, VideoCoding};

/// One decode of the inputs' video, which feeds every rendition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VideoEncode {
    /// The clips to decode, in order, and how each is prepared once for all renditions; at least one.
    pub clips: Vec<SourceVideo>,
    /// One branch for each combination of frame rate, dynamic range and interlacing, in the order in which they
    /// first occur in the job.
    pub branches: Vec<RateBranch>,
    /// Number of the chunk, from 0; `None` means the whole film.
    #[serde(default)]
    pub chunk: Option<u32>,
    /// Threads of the encoders; `None` lets them use all processors.
    #[serde(default)]
    pub threads: Option<u32>,
    /// The analyses whose results its passes use.
    #[serde(default)]
    pub analyses: Vec<Analysis>,
}

impl VideoEncode {
    /// Returns all renditions of all branches.
    pub fn renditions(&self) -> impl Iterator<Item = (&RateBranch, &VideoRendition)> {
        self.branches
            .iter()
            .flat_map(|branch| branch.renditions.iter().map(move |rendition| (branch, rendition)))
    }

    /// Returns all renditions that are encoded, without those that only serve as a source for scaling.
    pub fn encoded(&self) -> impl Iterator<Item = (&RateBranch, &VideoRendition)> {
        self.renditions().filter(|(_, rendition)| !rendition.only_scaled)
    }

    /// Returns the same encode with only these renditions. The renditions that they are scaled from are still
    /// scaled, but not encoded.
    pub fn only(&self, indices: &[u32]) -> Self {
        let mut own = self.clone();
        for branch in &mut own.branches {
            let mut needed: Vec<u32> = indices.to_vec();
            // A rendition comes after the one that it is scaled from.
            for rendition in branch.renditions.iter().rev() {
                if let (true, ScaleSource::Rendition(source)) =
                    (needed.contains(&rendition.index), rendition.scale_from)
                {
                    needed.push(source);
                }
            }
            branch.renditions.retain(|rendition| needed.contains(&rendition.index));
            for rendition in &mut branch.renditions {
                rendition.only_scaled = !indices.contains(&rendition.index);
            }
        }
        own.branches.retain(|branch| !branch.renditions.is_empty());
        own
    }

    /// Returns whether it begins with the film's first frame: it makes the whole film or the first chunk.
    pub fn begins_film(&self) -> bool {
        self.chunk.is_none_or(|chunk| chunk == 0)
    }

    /// Returns the number of frames of the fastest branch. Progress is measured against it.
    pub fn most_frames(&self) -> u64 {
        self.branches.iter().map(|branch| branch.frames).max().unwrap_or(0)
    }
}

/// The video track of one clip, and how each frame is prepared before scaling.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceVideo {
    /// Index of the input in the job, from 0.
    pub input: u32,
    /// Where reading may begin, from the start of the file; zero means that start. The reader looks for a key
    /// frame before this time.
    pub seek: ExactTime,
    /// Where reading begins to compare the clip's first frames with the source: two entry points before `seek`, or
    /// where `seek` says if that is the file's start. `None` if they are not compared, because much of the file would
    /// have to be decoded again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_from: Option<ExactTime>,
    /// Index of the stream in the file.
    pub stream_index: u32,
    /// Presentation time of the clip's first frame on the file's own clock. It becomes the clip's zero.
    pub start: ExactTime,
    /// Stored size of what is shown.
    pub size: Size,
    /// Aspect ratio of one stored sample.
    pub sample_aspect: Rational,
    /// Where the shown part lies in the stored frame; `None` if the whole frame is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Whether later frames have another shape than the first ones. They are fitted into it, with bars.
    #[serde(default, skip_serializing_if = "is_false")]
    pub changes_shape: bool,
    /// The rotation and mirroring to apply. Upright if the job asks for none, whatever the file says.
    pub orientation: Orientation,
    /// Field order if the source must be deinterlaced, otherwise progressive.
    pub deinterlace: FieldOrder,
    /// Whether it has more than 32 frames a second, about as many as interlaced video has fields.
    pub is_fast: bool,
    /// Whether its frames come at uneven times.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_uneven: bool,
    /// How high dynamic range is mapped to standard, if the source has it.
    pub tone_map: ToneMap,
    /// ffprobe's name of the source's pixel format.
    pub pixel_format: String,
    /// Colour description of the source, with the likely value where it does not say.
    pub colour: Colour,
}

impl SourceVideo {
    /// Returns where reading may begin instead if the clip's first frames come out wrong.
    pub fn farther_back(&self) -> Option<ExactTime> {
        self.compared_from.filter(|from| *from < self.seek)
    }
}

/// How a source with a high dynamic range becomes 8-bit standard dynamic range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToneMap {
    /// The source has a standard dynamic range. Nothing to do.
    None,
    /// Linearises, compresses highlights and converts to BT.709 (needs ffmpeg's `zscale` and `tonemap`).
    Hable,
    /// The filters are missing. Only the bit depth is lowered, and a note informs the user.
    Unavailable,
}

/// All renditions with the same frame rate, dynamic range and interlacing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RateBranch {
    /// Constant output rate.
    pub rate: FrameRate,
    /// Exact number of frames of each rendition of this branch, at least 1.
    pub frames: u64,
    /// Frames of each clip, at least 1 each; their sum is `frames`.
    pub clip_frames: Vec<u64>,
    /// Which frames of the film these are; `None` means all.
    #[serde(default)]
    pub run: Option<FrameRun>,
    /// Whether frames are woven from fields. Two pictures are then produced for each frame, at twice the
    /// rate.
    pub from_fields: bool,
    /// Whether the source's high dynamic range is kept rather than mapped to standard.
    pub keeps_range: bool,
    /// Colour description of all renditions. Older plans lack it; their streams have the source's.
    #[serde(default)]
    pub colour: Option<Colour>,
    /// Renditions, each after the one that its [`ScaleSource::Rendition`] names.
    pub renditions: Vec<VideoRendition>,
}

/// One encoded video stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VideoRendition {
    /// Number within the plan, from 0; the intermediate file is named after it.
    pub index: u32,
    /// What the picture is scaled from.
    pub scale_from: ScaleSource,
    /// How the picture of each clip is placed.
    pub pictures: Vec<Picture>,
    /// Size of the encoded frame; both sides are even. A frame smaller than the picture crops it around the
    /// centre, a larger one adds black bars.
    pub frame: Size,
    /// Pixel aspect ratio of the frame.
    pub pixel_aspect: Rational,
    /// Noise reduction of the scaled picture.
    pub noise_reducer: Option<NoiseReducer>,
    /// Colour correction.
    pub colour_correction: Option<ColourCorrection>,
    /// What is drawn over the finished frames, in this order.
    pub overlays: Vec<Overlay>,
    /// Interval at which key frames are forced; segments of all renditions begin there. `None` leaves key
    /// frames to the encoder.
    #[serde(default)]
    pub key_frame_every: Option<ExactTime>,
    /// Encoder settings.
    pub coding: VideoCoding,
    /// Role of this encode among those of the same frames.
    #[serde(default)]
    pub pass: Pass,
    /// Whether it is not encoded itself, and only other renditions are scaled from it.
    #[serde(default)]
    pub only_scaled: bool,
}

/// Role of an encode among those of the same frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// The only encode.
    #[default]
    Only,
    /// Writes statistics; its pictures are thrown away.
    First,
    /// Encodes parts of the film so that their quality can be measured.
    Sample(Sampling),
    /// The only encode, with its quality evened out by what the sample with this index measured.
    Levelled(u32),
    /// Distributes its bits by the statistics of the analysis with this index.
    Second(u32),
}

/// Which frames of a film are sampled, and by which metric they are measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sampling {
    /// Metric.
    pub metric: QualityMetric,
    /// Frames from the start of one sample to the start of the next, above zero.
    pub every: u64,
    /// Frames in each sample: above zero, at most `every`.
    pub taken: u64,
}

/// A measure of how closely an encoded picture resembles the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityMetric {
    /// Netflix's VMAF, 0 to 100.
    Vmaf,
    /// Structural similarity of the luma in decibels, −10 log₁₀(1 − SSIM).
    Ssim,
}

/// How the picture of one clip is placed in one rendition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Picture {
    /// Part of the upright picture to use; `None` uses all of it.
    pub crop: Option<Rectangle>,
    /// Size to scale it to; both sides are even.
    pub size: Size,
    /// Upper left corner of the picture in the frame; `None` centres it.
    pub at: Option<(u32, u32)>,
}

/// Something that is drawn over finished frames.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlay {
    /// Captions of the task with this index, as a script.
    Captions(u32),
    /// An image.
    Image(InsertedImage),
    /// A running timecode.
    Timecode(TimecodeStamp),
}

/// An image over the picture. Parts outside the frame are cropped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InsertedImage {
    /// Index of the file in [`crate::Plan::images`].
    pub file: u32,
    /// Pixels from the frame's left edge; negative if it begins outside of the frame.
    pub x: i32,
    /// Pixels from the frame's top edge; negative if it begins outside of the frame.
    pub y: i32,
    /// Factors of its own width and height, for an image that is scaled with its input; `None` keeps its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<(Rational, Rational)>,
    /// Width to scale it to; `None` uses its own.
    pub width: Option<u32>,
    /// Height to scale it to; `None` uses its own.
    pub height: Option<u32>,
    /// Opacity: 0 makes it invisible, 100 hides everything below it.
    pub opacity_percent: u8,
    /// When it appears, from the output's first frame.
    pub start: ExactTime,
    /// How long it stays, including the fade-in but not the fade-out; `None` means until the end.
    pub duration: Option<ExactTime>,
    /// Length of the fade-in.
    pub fade_in: ExactTime,
    /// Length of the fade-out, which follows `duration`.
    pub fade_out: ExactTime,
}

/// A running timecode over the picture.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimecodeStamp {
    /// Timecode of the first frame, as `HH:MM:SS:FF`.
    pub first_frame: String,
    /// Whether numbers are dropped (drop-frame timecode) to stay in step with the clock at 30000/1001 and
    /// 60000/1001.
    pub drops: bool,
    /// Frames a second.
    pub rate: FrameRate,
    /// Height of its digits in pixels.
    pub pixels: u32,
    /// 0 for the top, 1 for the middle, 2 for the bottom.
    pub row: u8,
    /// 0 for the left, 1 for the middle, 2 for the right.
    pub column: u8,
    /// Text before it.
    pub prefix: String,
}

/// Colour levels from 1 to 100; 50 changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ColourCorrection {
    /// From black (1) to white (100).
    pub brightness: u8,
    /// From grey (1) to twice the contrast (100).
    pub contrast: u8,
    /// From grey (1) to twice the saturation (100).
    pub saturation: u8,
    /// Hue shift from -180 to 180; 0 changes nothing.
    pub hue_degrees: i16,
}

impl ColourCorrection {
    /// Levels that change nothing.
    pub const NEUTRAL: Self = Self { brightness: 50, contrast: 50, saturation: 50, hue_degrees: 0 };
}

/// A noise filter (AWS's `NoiseReducer`) with its strength: 0 to 16 for `Spatial` and `Temporal`, 0 to 3 for
/// the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseReducer {
    /// Smooths but keeps edges.
    Bilateral(u8),
    /// Replaces each pixel by the mean of its neighbours.
    Mean(u8),
    /// Replaces each pixel by a Gaussian-weighted mean of its neighbours.
    Gaussian(u8),
    /// Sharpens edges.
    Sharpen(u8),
    /// Clamps each pixel to the range of its neighbours.
    Conserve(u8),
    /// Reduces noise within a frame.
    Spatial(u8),
    /// Reduces noise between frames.
    Temporal(u8),
}

/// What a rendition is scaled from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleSource {
    /// The prepared source frame.
    Source,
    /// The scaled picture, before cropping and bars, of the rendition with this index in the same branch.
    Rendition(u32),
}
