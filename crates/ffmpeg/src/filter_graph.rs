//! Filter graphs: in the video or audio part of a plan, out the text that ffmpeg's filters are set up by.
//! Never a frame too many: the graph delivers exactly the planned number of frames at the planned rate.

use abanico_media::{ExactTime, FieldOrder, Orientation, Size};
use abanico_plan::{
    AudioEncode, FrameCapture, RateBranch, ScaleSource, SourceVideo, ToneMap, VideoEncode, VideoRendition,
};

/// Frames that may be repeated at the end where rounding of time stamps left one out. More missing frames mean that
/// decoding ended early: verification must see that.
const REPEATED_AT_END: u32 = 2;

/// The graph from the decoded video to one labelled output `[vINDEX]` for each rendition.
pub(crate) fn video_graph(encode: &VideoEncode) -> String {
    let mut chains = vec![prepared(&encode.source, largest(encode))];
    let branches = encode.branches.len();
    if branches > 1 {
        let labels: String = (0..branches).map(|index| format!("[r{index}]")).collect();
        chains.push(format!("[prepared]split={branches}{labels}"));
    }
    for (index, branch) in encode.branches.iter().enumerate() {
        let from = if branches > 1 { format!("r{index}") } else { "prepared".to_owned() };
        branch_chains(&mut chains, &encode.source, branch, index, &from);
    }
    chains.join(";")
}

/// What is done once for all renditions: time, fields, turn, dynamic range.
fn prepared(source: &SourceVideo, largest: Option<Size>) -> String {
    let mut filters = vec![format!("setpts={}", moved_to_zero(source.start))];
    match source.deinterlace {
        FieldOrder::Progressive => {}
        FieldOrder::TopFirst => filters.push("bwdif=mode=send_frame:parity=tff:deint=all".to_owned()),
        FieldOrder::BottomFirst => filters.push("bwdif=mode=send_frame:parity=bff:deint=all".to_owned()),
    }
    filters.extend(turned(source.orientation).iter().map(|filter| (*filter).to_owned()));
    if source.tone_map == ToneMap::Hable {
        filters.push(tone_mapped(source, largest));
    }
    format!("[0:{}]{}[prepared]", source.stream_index, filters.join(","))
}

fn largest(encode: &VideoEncode) -> Option<Size> {
    encode.renditions().map(|(_, rendition)| rendition.picture).max_by_key(|size| size.area())
}

/// The graph from the decoded video to the images of a capture, labelled `[images]`.
pub(crate) fn capture_graph(capture: &FrameCapture) -> String {
    let source = &capture.source;
    let step = capture.rate.frame_duration().seconds();
    let Size { width, height } = capture.picture;
    // The first frame at or after each moment; a microsecond forgives the expression's floating point. JPEG wants full
    // range.
    format!(
        "{};[prepared]select='gte(t+0.000001,selected_n*{}/{})',scale={width}:{height}:flags=bicubic:out_range=pc,\
         format=yuvj420p,{}setsar=1[images]",
        prepared(source, Some(capture.picture)),
        step.num(),
        step.den(),
        framed(capture.picture, capture.frame)
    )
}

/// Time stamps so moved that `start` becomes zero; rounded, because ffmpeg would cut the fraction off.
fn moved_to_zero(start: ExactTime) -> String {
    let seconds = start.seconds();
    format!("round(PTS-({})/({})/TB)", seconds.num(), seconds.den())
}

fn turned(orientation: Orientation) -> Vec<&'static str> {
    let mirror = orientation.mirrored.then_some("hflip");
    let turn: &[&str] = match orientation.quarter_turns {
        1 => &["transpose=clock"],
        2 => &["hflip", "vflip"],
        3 => &["transpose=cclock"],
        _ => &[],
    };
    mirror.into_iter().chain(turn.iter().copied()).collect()
}

/// Linear light, highlights compressed, back to BT.709. Done at the size of the largest rendition, not of the source:
/// the arithmetic is in floating point and costs by the pixel.
fn tone_mapped(source: &SourceVideo, largest: Option<Size>) -> String {
    let upright = source.orientation.upright_size(source.size);
    let shrink = largest.filter(|size| size.area() < upright.area());
    let scale =
        shrink.map(|size| format!("scale={}:{}:flags=bicubic,", size.width, size.height)).unwrap_or_default();
    let colour = &source.colour;
    let transfer = colour.transfer.as_deref().unwrap_or("smpte2084");
    // Named explicitly: a source that leaves primaries or matrix out would have no path to linear light.
    format!(
        "{scale}zscale=tin={transfer}:pin=2020:min=2020_ncl:t=linear:npl=203,format=gbrpf32le,zscale=p=709,\
         tonemap=tonemap=hable:desat=0,zscale=t=709:m=709:r=limited,format=yuv420p"
    )
}

/// All chains of one rate: exact frames, then each picture from its source of scaling.
fn branch_chains(
    chains: &mut Vec<String>,
    source: &SourceVideo,
    branch: &RateBranch,
    index: usize,
    from: &str,
) {
    // Each tick gets the frame nearest in time: gaps are filled, bursts thinned. Then the count is made exact.
    let timed = format!(
        "[{from}]fps=fps={}:start_time=0:round=near,tpad=stop={REPEATED_AT_END}:stop_mode=clone,trim=end_frame={}",
        branch.rate, branch.frames
    );
    let roots: Vec<&VideoRendition> =
        branch.renditions.iter().filter(|rendition| rendition.scale_from == ScaleSource::Source).collect();
    let split = fan_out(&roots.iter().map(|root| format!("s{}", root.index)).collect::<Vec<_>>());
    chains.push(format!("{timed}{split}"));
    for rendition in &branch.renditions {
        scaled(chains, source, branch, rendition);
    }
    debug_assert!(!roots.is_empty(), "branch {index} has a rendition that is scaled from the source");
}

/// `[sN]` scaled, handed on to renditions that are scaled from it, and framed as `[vN]`.
fn scaled(chains: &mut Vec<String>, source: &SourceVideo, branch: &RateBranch, rendition: &VideoRendition) {
    let children =
        branch.renditions.iter().filter(|other| other.scale_from == ScaleSource::Rendition(rendition.index));
    let mut labels = vec![format!("p{}", rendition.index)];
    labels.extend(children.map(|child| format!("s{}", child.index)));
    let Size { width, height } = rendition.picture;
    // RGB has no matrix to keep; YUV keeps its own. Full range becomes limited, which every player expects.
    let is_rgb = ["rgb", "bgr", "gbr", "pal", "argb", "abgr", "0rgb", "0bgr"]
        .iter()
        .any(|rgb| source.pixel_format.starts_with(rgb));
    let matrix = if is_rgb { ":out_color_matrix=bt709" } else { "" };
    chains.push(format!(
        "[s{}]scale={width}:{height}:flags=bicubic:out_range=tv{matrix},format=yuv420p{}",
        rendition.index,
        fan_out(&labels)
    ));
    chains.push(format!(
        "[p{0}]{1}setsar=1[v{0}]",
        rendition.index,
        framed(rendition.picture, rendition.frame)
    ));
}

fn framed(picture: Size, frame: Size) -> String {
    if picture == frame {
        String::new()
    } else if frame.fits(picture) {
        format!("crop={}:{},", frame.width, frame.height)
    } else {
        format!("pad={}:{}:(ow-iw)/2:(oh-ih)/2:black,", frame.width, frame.height)
    }
}

/// The end of a chain that feeds several others.
fn fan_out(labels: &[String]) -> String {
    let names: String = labels.iter().map(|label| format!("[{label}]")).collect();
    if labels.len() > 1 { format!(",split={}{names}", labels.len()) } else { names }
}

/// The filter of one audio encode: its clock starts with the picture's, gaps become silence, drift is pulled straight.
pub(crate) fn audio_filter(encode: &AudioEncode) -> String {
    let layout = match encode.channels {
        1 => "mono",
        6 => "5.1",
        _ => "stereo",
    };
    // first_pts=0 cuts what comes before the picture and puts silence before sound that starts later; async=1000 lets
    // the resampler follow time stamps by at most 1000 samples a second (about 2 %, unheard) instead of drifting.
    format!(
        "asetpts={},aresample={}:async=1000:first_pts=0,aformat=channel_layouts={layout}",
        moved_to_zero(encode.start - encode.offset),
        encode.sample_rate_hz
    )
}
