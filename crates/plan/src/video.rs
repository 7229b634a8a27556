//! The video part of a plan: in decisions of the other files here, out one description of decode, filters and encodes.
//! Never an ffmpeg argument: crate `ffmpeg` turns this into a command.

use abanico_media::{Colour, ExactTime, FieldOrder, FrameRate, Orientation, Rational, Size};
use serde::{Deserialize, Serialize};

use crate::VideoCoding;
use crate::chunks::FrameRun;
use crate::scaling::Rectangle;

/// One decode of the inputs' video that feeds every rendition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VideoEncode {
    /// What is decoded and how it is prepared once for all renditions, clip after clip; at least one.
    pub clips: Vec<SourceVideo>,
    /// One branch for each output frame rate, in the order in which the rates first occur in the job.
    pub branches: Vec<RateBranch>,
    /// Number of the chunk that this is, from 0; none has the whole film.
    #[serde(default)]
    pub chunk: Option<u32>,
}

impl VideoEncode {
    /// All renditions of all branches.
    pub fn renditions(&self) -> impl Iterator<Item = (&RateBranch, &VideoRendition)> {
        self.branches
            .iter()
            .flat_map(|branch| branch.renditions.iter().map(move |rendition| (branch, rendition)))
    }

    /// All renditions that are encoded, not only scaled for others.
    pub fn encoded(&self) -> impl Iterator<Item = (&RateBranch, &VideoRendition)> {
        self.renditions().filter(|(_, rendition)| !rendition.only_scaled)
    }

    /// The same encode of these renditions alone. What they are scaled from is still scaled, but not encoded.
    pub fn only(&self, indices: &[u32]) -> Self {
        let mut own = self.clone();
        for branch in &mut own.branches {
            let mut needed: Vec<u32> = indices.to_vec();
            // Sources of scaling stand before what is scaled from them.
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

    /// Frames that the decoder must deliver, counted at the fastest branch: the measure of progress.
    pub fn most_frames(&self) -> u64 {
        self.branches.iter().map(|branch| branch.frames).max().unwrap_or(0)
    }
}

/// The video track of one clip and what happens to each frame before scaling.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceVideo {
    /// Index of the input in the job, from 0.
    pub input: u32,
    /// Where reading may begin, counted from the file's start, zero for that start: a key frame before it is looked for.
    pub seek: ExactTime,
    /// Index of the stream in the file.
    pub stream_index: u32,
    /// Presentation time of the clip's first frame on the file's own clock; becomes the clip's zero.
    pub start: ExactTime,
    /// Stored size.
    pub size: Size,
    /// Shape of one stored sample.
    pub sample_aspect: Rational,
    /// The turn and mirror to apply; upright when the job asks for none, whatever the file says.
    pub orientation: Orientation,
    /// Field order when the source is to be deinterlaced; progressive when nothing is to be done.
    pub deinterlace: FieldOrder,
    /// Whether it has more than 32 frames a second, as many as fields have moments.
    pub is_fast: bool,
    /// The way from high to standard dynamic range, if the source has the former.
    pub tone_map: ToneMap,
    /// Pixel format of the source, in ffprobe's name.
    pub pixel_format: String,
    /// Colour description of the source.
    pub colour: Colour,
}

/// How a high dynamic range source becomes an 8-bit standard one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToneMap {
    /// The source is standard: nothing to do.
    None,
    /// Linearise, compress highlights, convert to BT.709 (needs ffmpeg's `zscale` and `tonemap`).
    Hable,
    /// The filters are missing: only the bit depth is lowered, and the user is told.
    Unavailable,
}

/// All renditions of one frame rate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RateBranch {
    /// Constant output rate.
    pub rate: FrameRate,
    /// Exact number of frames of each rendition of this branch, at least 1.
    pub frames: u64,
    /// Frames of each clip, at least 1; together as many as `frames`.
    pub clip_frames: Vec<u64>,
    /// Which of the film's frames these are; none has all.
    #[serde(default)]
    pub run: Option<FrameRun>,
    /// Whether frames are made of fields: two pictures are then drawn for each, at twice the rate.
    pub from_fields: bool,
    /// Whether a source's high dynamic range is kept, rather than mapped to the standard one.
    pub keeps_range: bool,
    /// Renditions so ordered that each one's [`ScaleSource::Rendition`] stands before it.
    pub renditions: Vec<VideoRendition>,
}

/// One encoded video stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VideoRendition {
    /// Number within the plan, from 0; the intermediate file is named after it.
    pub index: u32,
    /// Where the picture is scaled from.
    pub scale_from: ScaleSource,
    /// What becomes of the picture of each clip.
    pub pictures: Vec<Picture>,
    /// Size of the encoded frame, even: smaller than a picture means a centred crop, larger black bars.
    pub frame: Size,
    /// Shape of the frame's pixels.
    pub pixel_aspect: Rational,
    /// Noise to take out of the scaled picture.
    pub noise_reducer: Option<NoiseReducer>,
    /// How colours are corrected.
    pub colour_correction: Option<ColourCorrection>,
    /// What is drawn over the finished frames, one after the other.
    pub overlays: Vec<Overlay>,
    /// Distance of moments at which a key frame stands whatever the encoder would do; none leaves it to the encoder.
    /// Segments of all renditions begin there.
    #[serde(default)]
    pub key_frame_every: Option<ExactTime>,
    /// Encoder settings.
    pub coding: VideoCoding,
    /// Whether it is the only encode of its frames, or one of two.
    #[serde(default)]
    pub pass: Pass,
    /// Whether others are scaled from it, and it is not encoded itself.
    #[serde(default)]
    pub only_scaled: bool,
}

/// An encode among those of the same frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// There is no other.
    #[default]
    Only,
    /// It writes statistics, and its pictures are thrown away.
    First,
    /// Parts of the film, encoded to be measured.
    Sample(Sampling),
    /// The only one of its frames, of one quality throughout by what the sample with this index measured.
    Levelled(u32),
    /// It spends its bits by the statistics of the analysis with this index.
    Second(u32),
}

/// Which frames of a film are a sample of it, and what they are measured by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sampling {
    /// Metric.
    pub metric: QualityMetric,
    /// From one look at the film to the next, in frames, above zero.
    pub every: u64,
    /// How many frames each look takes in: above zero, at most all.
    pub taken: u64,
}

/// A measure of how like the source an encoded picture is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityMetric {
    /// Netflix's VMAF, 0 to 100.
    Vmaf,
    /// Structural similarity of the luma in decibels, −10 log₁₀(1 − SSIM).
    Ssim,
}

/// What becomes of the picture of one clip in one rendition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Picture {
    /// The part that is taken of the upright picture; none takes it whole.
    pub crop: Option<Rectangle>,
    /// Size that it is scaled to, even.
    pub size: Size,
    /// Where its upper left corner lies in the frame; none centres it.
    pub at: Option<(u32, u32)>,
}

/// Something that is drawn over finished frames.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlay {
    /// The captions of the task with this index, as a script.
    Captions(u32),
    /// An image.
    Image(InsertedImage),
    /// A running timecode.
    Timecode(TimecodeStamp),
}

/// An image over the picture. What hangs over the frame's edge is cropped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InsertedImage {
    /// Index of the file in [`crate::Plan::images`].
    pub file: u32,
    /// Pixels from the frame's left.
    pub x: u32,
    /// Pixels from the frame's top.
    pub y: u32,
    /// Width that it is scaled to; its own when none.
    pub width: Option<u32>,
    /// Height that it is scaled to; its own when none.
    pub height: Option<u32>,
    /// 0 shows nothing of it, 100 nothing of what is below.
    pub opacity_percent: u8,
    /// When it appears, counted from the output's first frame.
    pub start: ExactTime,
    /// How long it stays, with its fading in and without its fading out; none to the end.
    pub duration: Option<ExactTime>,
    /// How long it takes to appear.
    pub fade_in: ExactTime,
    /// How long it takes to disappear after its duration.
    pub fade_out: ExactTime,
}

/// A timecode that runs in the picture.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimecodeStamp {
    /// The first frame's, as `HH:MM:SS:FF`.
    pub first_frame: String,
    /// Whether numbers are left out, to keep with the clock at 30000/1001 and 60000/1001.
    pub drops: bool,
    /// Frames a second.
    pub rate: FrameRate,
    /// Height of its figures in pixels.
    pub pixels: u32,
    /// 0 at the top, 1 in the middle, 2 at the bottom.
    pub row: u8,
    /// 0 at the left, 1 in the middle, 2 at the right.
    pub column: u8,
    /// What stands before it.
    pub prefix: String,
}

/// Levels of a picture's colours; 50 of 1 to 100 changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ColourCorrection {
    /// From black to white.
    pub brightness: u8,
    /// From grey to twice as much.
    pub contrast: u8,
    /// From grey to twice as much.
    pub saturation: u8,
    /// From -180 to 180, 0 changes nothing.
    pub hue_degrees: i16,
}

impl ColourCorrection {
    /// The levels that change nothing.
    pub const NEUTRAL: Self = Self { brightness: 50, contrast: 50, saturation: 50, hue_degrees: 0 };
}

/// A filter against noise (AWS's `NoiseReducer`), with its strength from 0 to 3 or, for the last two, from 0 to 16.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseReducer {
    /// Keeps edges.
    Bilateral(u8),
    /// The mean of neighbours.
    Mean(u8),
    /// A bell-shaped mean of neighbours.
    Gaussian(u8),
    /// Makes edges sharper.
    Sharpen(u8),
    /// Between the least and the greatest neighbour.
    Conserve(u8),
    /// Within a frame.
    Spatial(u8),
    /// Between frames.
    Temporal(u8),
}

/// The picture from which a rendition is scaled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleSource {
    /// The prepared source frame.
    Source,
    /// The scaled picture (before crop and bars) of the rendition with this index, in the same branch.
    Rendition(u32),
}
