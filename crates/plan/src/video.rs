//! The video part of a plan: in decisions of the other files here, out one description of decode, filters and encodes.
//! Never an ffmpeg argument: crate `ffmpeg` turns this into a command.

use abanico_media::{Colour, ExactTime, FieldOrder, FrameRate, Orientation, Rational, Size};
use serde::{Deserialize, Serialize};

use crate::H264Encode;

/// One decode of the input's video that feeds every rendition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VideoEncode {
    /// What is decoded and how it is prepared once for all renditions.
    pub source: SourceVideo,
    /// One branch for each output frame rate, in the order in which the rates first occur in the job.
    pub branches: Vec<RateBranch>,
}

impl VideoEncode {
    /// All renditions of all branches.
    pub fn renditions(&self) -> impl Iterator<Item = (&RateBranch, &VideoRendition)> {
        self.branches
            .iter()
            .flat_map(|branch| branch.renditions.iter().map(move |rendition| (branch, rendition)))
    }

    /// Frames that the decoder must deliver, counted at the fastest branch: the measure of progress.
    pub fn most_frames(&self) -> u64 {
        self.branches.iter().map(|branch| branch.frames).max().unwrap_or(0)
    }
}

/// The video track to decode and what happens to each frame before scaling.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceVideo {
    /// Index of the stream in the file.
    pub stream_index: u32,
    /// Presentation time of the first shown frame after ffmpeg has moved the container's start to zero; becomes the
    /// zero of every output.
    pub start: ExactTime,
    /// Stored size.
    pub size: Size,
    /// Shape of one stored sample.
    pub sample_aspect: Rational,
    /// The turn and mirror to apply; upright when the job asks for none, whatever the file says.
    pub orientation: Orientation,
    /// Field order when the source is to be deinterlaced; progressive when nothing is to be done.
    pub deinterlace: FieldOrder,
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
    /// Size that the whole picture is scaled to, even.
    pub picture: Size,
    /// Size of the encoded frame, even: smaller than `picture` means a centred crop, larger centred black bars.
    pub frame: Size,
    /// Distance of moments at which a key frame stands whatever the encoder would do; none leaves it to the encoder.
    /// Segments of all renditions begin there.
    #[serde(default)]
    pub key_frame_every: Option<ExactTime>,
    /// Encoder settings.
    pub encode: H264Encode,
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
