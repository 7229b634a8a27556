//! First passes: in an encode of all renditions, out small encodes whose statistics tell where bits are needed, one for all
//! rungs that put their frames together alike. Never one for a rendition that is told a quality instead of a rate.

use abanico_media::Size;

use super::position_or_push;
use crate::{
    CodecSettings, Gop, Pass, Picture, RateBranch, RateControl, ScaleSource, SpeedPreset, VideoEncode,
    VideoRendition,
};

/// Frames with more lines than the first are analysed at half their size, with more than the second at a quarter. Of waves at
/// 1080p, a first pass of 960x540 gave 94.4 VMAF where one of 640x360 gave 92.3, all at preset faster (libx264 of Debian 12).
const HALF_LINES: u32 = 360;
const QUARTER_LINES: u32 = 1200;
/// Quality of a first pass in tenths of libx264's rate factor. It has no mean of its own, so that the same film gives the same
/// statistics for every ladder.
const RATE_FACTOR_TENTHS: u32 = 230;
/// A ceiling that no film reaches, and two seconds of it.
const NO_CEILING_BPS: u64 = 1_000_000_000;

/// What the passes of a rendition must have in common: libx264 refuses statistics of other frames (types, order, distances),
/// and takes those of another size.
#[derive(Clone, PartialEq, Eq)]
struct Alike {
    branch: usize,
    gop: Gop,
    b_frames: u8,
    b_references: bool,
    fields: abanico_media::FieldOrder,
    key_frame_every: Option<abanico_media::ExactTime>,
}

/// Plans one decode with all first passes, and lets the renditions that are alike read theirs. None when no rendition has two.
pub(super) fn analysis(encode: &mut VideoEncode) -> Option<VideoEncode> {
    let mut kinds: Vec<Alike> = Vec::new();
    let mut largest: Vec<VideoRendition> = Vec::new();
    for (number, branch) in encode.branches.iter_mut().enumerate() {
        for rendition in &mut branch.renditions {
            let Some(alike) = alike(number, rendition) else { continue };
            let index = position_or_push(&mut kinds, alike);
            if largest.len() < kinds.len() {
                largest.push(rendition.clone());
            }
            rendition.pass = Pass::Second(index);
        }
    }
    let first_passes = |number: usize| {
        let of_branch =
            (0..).zip(kinds.iter().zip(&largest)).filter(move |(_, (kind, _))| kind.branch == number);
        of_branch.map(|(index, (_, rendition))| first_pass(rendition.clone(), index)).collect::<Vec<_>>()
    };
    let branches = encode
        .branches
        .iter()
        .enumerate()
        .map(|(number, branch)| RateBranch { renditions: first_passes(number), ..branch.clone() });
    let branches: Vec<RateBranch> = branches.filter(|branch| !branch.renditions.is_empty()).collect();
    let made = VideoEncode { clips: encode.clips.clone(), branches, chunk: None };
    (!made.branches.is_empty()).then_some(made)
}

fn alike(branch: usize, rendition: &VideoRendition) -> Option<Alike> {
    let coding = &rendition.coding;
    let CodecSettings::H264(own) = &coding.codec else { return None };
    coding.is_analysed.then_some(Alike {
        branch,
        gop: coding.gop,
        b_frames: coding.b_frames,
        b_references: own.b_references,
        fields: coding.fields,
        key_frame_every: rendition.key_frame_every,
    })
}

/// A quick encode of the same frames, smaller.
fn first_pass(mut rendition: VideoRendition, index: u32) -> VideoRendition {
    let lines = rendition.frame.height;
    let divisor = if lines <= HALF_LINES {
        1
    } else if lines <= QUARTER_LINES {
        2
    } else {
        4
    };
    let smaller = |size: Size| {
        // A multiple of four has whole fields of whole blocks of colour.
        let side = |length: u32| (length / divisor / 4 * 4).max(4);
        Size { width: side(size.width), height: side(size.height) }
    };
    for picture in &mut rendition.pictures {
        *picture = Picture {
            size: smaller(picture.size),
            at: picture.at.map(|(x, y)| (x / divisor / 2 * 2, y / divisor / 2 * 2)),
            ..*picture
        };
    }
    rendition.frame = smaller(rendition.frame);
    rendition.index = index;
    rendition.scale_from = ScaleSource::Source;
    rendition.overlays.clear();
    rendition.pass = Pass::First;
    rendition.coding.speed = SpeedPreset::VeryFast;
    rendition.coding.buffer_bits = 2 * NO_CEILING_BPS;
    rendition.coding.buffer_fill_percent = None;
    rendition.coding.rate_control =
        RateControl::Quality { rate_factor_tenths: RATE_FACTOR_TENTHS, max_bit_rate_bps: NO_CEILING_BPS };
    if let CodecSettings::H264(own) = &mut rendition.coding.codec {
        own.level = None;
    }
    rendition
}
