//! Builds the video filter graphs of a plan, in ffmpeg's syntax.
//!
//! A graph delivers exactly the planned number of frames at the planned rate.

use std::path::PathBuf;

use abanico_media::{Colour, ExactTime, FieldOrder, FrameRate, Orientation, Rational, Shape, Size, Window};
use abanico_plan::{
    FrameCapture, FrameRun, NoiseReducer, Pass, Picture, RateBranch, Sampling, ScaleSource, SourceVideo,
    ToneMap, VideoEncode, VideoRendition,
};

use crate::overlays::{Drawing, corrected, overlay_images};

/// How many frames may be repeated at the end, where rounded time stamps lost one. If more are missing,
/// decoding ended early, and verification must notice.
const REPEATED_AT_END: u32 = 2;

/// Returns the graph from the decoded video to one output per rendition, labelled `[vINDEX]`. `captions` are
/// scripts by the index that overlays refer to.
pub(crate) fn video_graph(encode: &VideoEncode, captions: &[PathBuf]) -> String {
    let mut chains = Vec::new();
    let clips = encode.clips.len();
    for (number, source) in encode.clips.iter().enumerate() {
        let labels = Labels::of(number, clips);
        clip_chains(&mut chains, encode, GraphClip { source, number, labels });
    }
    if clips > 1 {
        for (_, rendition) in encode.encoded() {
            let parts: String =
                (0..clips).map(|number| Labels::of(number, clips).name("v", rendition.index)).collect();
            chains.push(format!("{parts}concat=n={clips}:v=1:a=0{}", finished(rendition)));
        }
    }
    let mut next_input = clips;
    for (branch, rendition) in encode.encoded().filter(|(_, rendition)| !rendition.overlays.is_empty()) {
        let matrix = scale_matrix(branch.colour.as_ref());
        let drawing = Drawing { rate: branch.rate, matrix, rendition, captions, first_input: next_input };
        next_input += overlay_images(&rendition.overlays).count();
        chains.extend(drawing.chains(&finished(rendition)));
    }
    chains.join(";")
}

/// Returns the pad of the finished frames, before any overlay is drawn.
fn finished(rendition: &VideoRendition) -> String {
    let index = rendition.index;
    match rendition.pass {
        // One copy to encode, one to keep as it was.
        Pass::Sample(_) => format!(",split[v{index}][w{index}]"),
        _ if rendition.overlays.is_empty() => format!("[v{index}]"),
        _ => format!("[f{index}]"),
    }
}

/// Names of pads. If there are several clips, each name starts with the clip's number.
#[derive(Clone, Copy)]
struct Labels(Option<usize>);

impl Labels {
    fn of(number: usize, clips: usize) -> Self {
        Self((clips > 1).then_some(number))
    }

    /// Returns a pad's name in brackets.
    fn name(self, kind: &str, index: impl std::fmt::Display) -> String {
        match self.0 {
            Some(clip) => format!("[c{clip}{kind}{index}]"),
            None => format!("[{kind}{index}]"),
        }
    }
}

/// A clip whose chains are built.
#[derive(Clone, Copy)]
struct GraphClip<'a> {
    source: &'a SourceVideo,
    /// Index among the clips of the encode.
    number: usize,
    /// Names of its pads.
    labels: Labels,
}

/// Adds all chains of one clip.
fn clip_chains(chains: &mut Vec<String>, encode: &VideoEncode, clip: GraphClip<'_>) {
    let GraphClip { source, number, labels } = clip;
    let branches = encode.branches.len();
    let all_mapped = encode.branches.iter().all(|branch| !branch.keeps_range);
    let map_once = all_mapped && source.tone_map == ToneMap::Hable;
    let pictures = || encode.renditions().map(|(_, rendition)| &rendition.pictures[number]);
    // A crop is measured in the source's own pixels, so nothing may be scaled down before it.
    let is_whole = pictures().all(|picture| picture.crop.is_none());
    let largest = pictures().map(|picture| picture.size).max_by_key(|size| size.area()).filter(|_| is_whole);
    let in_fields = encode.branches.iter().any(|branch| branch.from_fields);
    let mut first = prepared(source, number, in_fields);
    if map_once {
        first.push_str(&format!(",{}", tone_mapped(source, largest)));
    }
    chains.push(format!("{first}{}", labels.name("prepared", "")));
    if branches > 1 {
        let heads: String = (0..branches).map(|index| labels.name("r", index)).collect();
        chains.push(format!("{}split={branches}{heads}", labels.name("prepared", "")));
    }
    for (index, branch) in encode.branches.iter().enumerate() {
        let from = if branches > 1 { labels.name("r", index) } else { labels.name("prepared", "") };
        let map = (!all_mapped && !branch.keeps_range && source.tone_map == ToneMap::Hable)
            .then(|| tone_mapped(source, largest));
        branch_chains(chains, clip, branch, &from, map.as_deref());
    }
}

/// Returns the filters that run once for all renditions: time stamps, one shape for all frames, deinterlacing, the part
/// that is shown, and rotation. With `in_fields`, an interlaced source yields one frame per field.
fn prepared(source: &SourceVideo, number: usize, in_fields: bool) -> String {
    let mut filters = vec![format!("setpts={}", moved_to_zero(source.start))];
    if source.changes_shape {
        filters.push(fitted(source));
    }
    match source.deinterlace {
        FieldOrder::Progressive => {}
        order => {
            let mode = if in_fields { "send_field" } else { "send_frame" };
            let parity = if order == FieldOrder::TopFirst { "tff" } else { "bff" };
            filters.push(format!("bwdif=mode={mode}:parity={parity}:deint=all"));
        }
    }
    if let Some(Window { x, y, .. }) = source.window {
        filters.push(format!("crop={}:{}:{x}:{y}:exact=1", source.size.width, source.size.height));
    }
    filters.extend(turned(source.orientation).iter().map(|filter| (*filter).to_owned()));
    format!("[{number}:{}]{}", source.stream_index, filters.join(","))
}

/// Returns the filters that fit frames of any shape into the first frame's, with bars. The scale filter evaluates its
/// expressions again whenever the frames change. A difference of one percent is rounding, and gets no bars.
fn fitted(source: &SourceVideo) -> String {
    let own = Shape { size: source.size, sample_aspect: source.sample_aspect };
    let first = source.window.map_or(own, |window| window.stored);
    let (aspect, Size { width, height }) = (first.display_aspect(), first.size);
    let wider = format!("dar*{}/{}", aspect.den(), aspect.num());
    let side = |length: u32, share: &str| {
        format!("'if(between({wider},0.99,1.01),{length},max(2,2*round({length}*min(1,{share})/2)))'")
    };
    // Lines of two fields must not be mixed.
    let by_field = if source.deinterlace == FieldOrder::Progressive { "" } else { ":interl=1" };
    format!(
        "scale=w={}:h={}:flags=bicubic{by_field}:eval=frame,pad={width}:{height}:(ow-iw)/2:(oh-ih)/2:black:eval=frame",
        side(width, &wider),
        side(height, &format!("1/({wider})"))
    )
}

/// Returns the graph from the decoded video to the images of a frame capture, labelled `[images]`.
pub(crate) fn capture_graph(capture: &FrameCapture) -> String {
    let step = capture.rate.frame_duration().seconds();
    // Selects the first frame at or after each moment. The microsecond of slack absorbs floating-point error.
    let select = format!("select='gte(t+0.000001,selected_n*{}/{})'", step.num(), step.den());
    let of_clip = |number: usize, head: &str| {
        let (clip, picture) = (&capture.clips[number], &capture.pictures[number]);
        let largest = Some(picture.size).filter(|_| picture.crop.is_none());
        let map = (clip.tone_map == ToneMap::Hable).then(|| tone_mapped(clip, largest));
        let map = map.map(|map| format!(",{map}")).unwrap_or_default();
        let Size { width, height } = picture.size;
        // JPEG needs full range and the matrix of BT.601.
        format!(
            "{}{map},{head}{}scale={width}:{height}:flags=bicubic{}:out_range=pc,format=yuvj420p,{}setsar=1",
            prepared(clip, number, false),
            cropped(picture, clip),
            converted(decoded_matrix(clip, false), Some("smpte170m")),
            framed(picture, capture.frame)
        )
    };
    let Some((rate, frames)) = &capture.row else {
        return format!("{}[images]", of_clip(0, &format!("trim=start=0,{select},")));
    };
    let mut chains = Vec::new();
    let mut parts = String::new();
    for (number, frames) in frames.iter().enumerate() {
        chains.push(format!(
            "{}[c{number}]",
            of_clip(number, &format!("{},", timed(*rate, *frames, capture.clips[number].is_uneven)))
        ));
        parts.push_str(&format!("[c{number}]"));
    }
    chains.push(format!("{parts}concat=n={}:v=1:a=0,{select}[images]", frames.len()));
    chains.join(";")
}

/// Returns the time stamp expression that moves `start` to zero. It rounds, because ffmpeg would truncate.
pub(crate) fn moved_to_zero(start: ExactTime) -> String {
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

/// Returns the tone mapping filters, which convert to linear light, compress highlights and convert to BT.709.
/// They run at the size of the largest rendition, not of the source, because they work in floating point and
/// their cost grows with the number of pixels.
fn tone_mapped(source: &SourceVideo, largest: Option<Size>) -> String {
    let upright = source.orientation.upright_size(source.size);
    let shrink = largest.filter(|size| size.area() < upright.area());
    let scale =
        shrink.map(|size| format!("scale={}:{}:flags=bicubic,", size.width, size.height)).unwrap_or_default();
    let colour = &source.colour;
    let transfer = colour.transfer.as_deref().unwrap_or("smpte2084");
    // Names primaries and matrix explicitly: without them, zscale finds no path to linear light. Colours outside of BT.709
    // have a negative part, which integers cut off; otherwise it would be taken from the brightness.
    format!(
        "{scale}zscale=tin={transfer}:pin=2020:min=2020_ncl:t=linear:npl=203,format=gbrpf32le,zscale=p=709,\
         tonemap=tonemap=hable:desat=0,zscale=t=709:m=gbr:r=full,format=gbrp12le,zscale=m=709:r=limited,\
         format=yuv420p"
    )
}

/// Returns the filters that give each tick the frame nearest in time (filling gaps and thinning bursts) and make
/// the number of frames exact. `pass` keeps the last frame if it comes late; it would be lost otherwise. If frames come
/// at uneven times, it may also be too early and too short to be kept, so it stays for the length of a tick.
fn timed(rate: FrameRate, frames: u64, is_uneven: bool) -> String {
    let tick = rate.frame_duration().decimal();
    let stays = if is_uneven { format!("tpad=stop_duration={tick}:stop_mode=clone,") } else { String::new() };
    format!(
        "{stays}fps=fps={rate}:start_time=0:round=near:eof_action=pass,\
         tpad=stop={REPEATED_AT_END}:stop_mode=clone,trim=end_frame={frames}"
    )
}

/// Returns the filters that select the frames of a chunk, counted from the chunk's own zero. They shift time so
/// that no frames are repeated before the chunk's first frame, and drop the lead frames, which only fill the
/// memory of other filters.
fn of_run(run: FrameRun, rate: FrameRate, frames: u64, is_uneven: bool) -> String {
    let begins = ExactTime::of_frames(run.first - run.lead, rate);
    let (lead, end) = (run.lead, run.lead + frames);
    let moved = format!("setpts={},{}", moved_to_zero(begins), timed(rate, end, is_uneven));
    if lead == 0 { moved } else { format!("{moved},trim=start_frame={lead},setpts=PTS-{lead}") }
}

/// Doubles a frame rate.
fn twice(rate: FrameRate) -> FrameRate {
    let per_second = rate.per_second() * Rational::from(2);
    FrameRate::from_rational(per_second).expect("twice a rate above zero is above zero")
}

/// Returns the filter that weaves the fields of two frames into one frame. If the two show different moments, it
/// softens the lines so that thin ones do not flicker, unless the frames themselves come from fields.
fn interlaced(rendition: &VideoRendition, clip: &SourceVideo) -> String {
    let scan = match rendition.coding.fields {
        FieldOrder::Progressive => return String::new(),
        FieldOrder::TopFirst => "tff",
        FieldOrder::BottomFirst => "bff",
    };
    let is_soft = clip.deinterlace == FieldOrder::Progressive && clip.is_fast;
    format!(",interlace=scan={scan}:lowpass={}", if is_soft { "linear" } else { "off" })
}

/// Adds all chains of one frame rate: the exact frames, then each rendition, scaled from the source or from
/// another rendition.
fn branch_chains(
    chains: &mut Vec<String>,
    clip: GraphClip<'_>,
    branch: &RateBranch,
    from: &str,
    map: Option<&str>,
) {
    let GraphClip { source, number, labels } = clip;
    let roots: Vec<&VideoRendition> =
        branch.renditions.iter().filter(|rendition| rendition.scale_from == ScaleSource::Source).collect();
    let heads: Vec<String> = roots.iter().map(|root| labels.name("s", root.index)).collect();
    let map = map.map(|map| format!(",{map}")).unwrap_or_default();
    let frames = branch.clip_frames[number];
    let (rate, pictures) =
        if branch.from_fields { (twice(branch.rate), 2 * frames) } else { (branch.rate, frames) };
    let timed = branch.run.map_or_else(
        || timed(rate, pictures, source.is_uneven),
        |run| of_run(run, branch.rate, frames, source.is_uneven),
    );
    chains.push(format!("{from}{timed}{map}{}", fan_out(&heads)));
    for rendition in &branch.renditions {
        scaled(chains, clip, branch, rendition);
    }
    debug_assert!(!roots.is_empty(), "a branch has a rendition that is scaled from the source");
}

/// Scales `[sN]`, passes the result to the renditions that are scaled from it, and fits it into its frame as `[vN]`.
fn scaled(chains: &mut Vec<String>, clip: GraphClip<'_>, branch: &RateBranch, rendition: &VideoRendition) {
    let GraphClip { source, number, labels } = clip;
    let children =
        branch.renditions.iter().filter(|other| other.scale_from == ScaleSource::Rendition(rendition.index));
    let own = (!rendition.only_scaled).then(|| labels.name("p", rendition.index));
    let mut heads: Vec<String> = own.into_iter().collect();
    heads.extend(children.map(|child| labels.name("s", child.index)));
    let picture = &rendition.pictures[number];
    let Size { width, height } = picture.size;
    // A rendition that is scaled from another one is already cropped, and its colours are already converted. Full
    // range becomes limited range, which every player expects.
    let is_first = rendition.scale_from == ScaleSource::Source;
    let crop = if is_first { cropped(picture, source) } else { String::new() };
    let written = scale_matrix(branch.colour.as_ref());
    let read = if is_first { decoded_matrix(source, branch.keeps_range) } else { written };
    let sampled = sampled(branch, rendition);
    chains.push(format!(
        "{}{sampled}{crop}scale={width}:{height}:flags={}{}:out_range=tv,format={}{}{}",
        labels.name("s", rendition.index),
        scaler(picture, source),
        converted(read, written),
        branch_format(branch),
        described(branch.colour.as_ref()),
        fan_out(&heads)
    ));
    if rendition.only_scaled {
        return;
    }
    let denoise =
        rendition.noise_reducer.map(|reducer| format!("{},", denoised(reducer))).unwrap_or_default();
    let corrected =
        rendition.colour_correction.map(|levels| format!("{},", corrected(levels))).unwrap_or_default();
    chains.push(format!(
        "{}{denoise}{corrected}{}setsar={}{}{}",
        labels.name("p", rendition.index),
        framed(picture, rendition.frame),
        aspect(rendition.pixel_aspect),
        interlaced(rendition, source),
        if labels.0.is_none() { finished(rendition) } else { labels.name("v", rendition.index) }
    ));
}

/// Returns the matrix of a clip's frames before they are scaled, in the scale filter's words.
fn decoded_matrix(clip: &SourceVideo, keeps_range: bool) -> Option<&'static str> {
    if clip.tone_map == ToneMap::Hable && !keeps_range {
        return Some("bt709");
    }
    scale_matrix(Some(&clip.colour))
}

/// Returns the scale filter's name of a matrix; `None` for one that it does not know. It leaves such frames as they
/// are.
fn scale_matrix(colour: Option<&Colour>) -> Option<&'static str> {
    match colour?.matrix.as_deref()? {
        "bt709" => Some("bt709"),
        // The same coefficients.
        "smpte170m" | "bt470bg" => Some("smpte170m"),
        "bt2020nc" => Some("bt2020"),
        "fcc" => Some("fcc"),
        "smpte240m" => Some("smpte240m"),
        _ => None,
    }
}

/// Returns the scale filter's options that convert one matrix to another. Both are always named: the filter takes a
/// frame that does not say which it has for BT.601, and it does not note the matrix that it has converted to.
fn converted(from: Option<&str>, to: Option<&str>) -> String {
    from.zip(to)
        .map(|(from, to)| format!(":in_color_matrix={from}:out_color_matrix={to}"))
        .unwrap_or_default()
}

/// Returns the filter that describes the colours of frames. The encoder copies the description into the stream.
fn described(colour: Option<&Colour>) -> String {
    let told = |option: &str, name: &Option<String>| {
        name.as_ref().map(|name| format!(":{option}={name}")).unwrap_or_default()
    };
    let of = |colour: &Colour| {
        let (primaries, transfer) =
            (told("color_primaries", &colour.primaries), told("color_trc", &colour.transfer));
        format!(",setparams=range=tv{primaries}{transfer}{}", told("colorspace", &colour.matrix))
    };
    colour.map(of).unwrap_or_default()
}

/// Returns the filters that select the frames of a sample and close the gaps between them.
fn sampled(branch: &RateBranch, rendition: &VideoRendition) -> String {
    let Pass::Sample(Sampling { every, taken, .. }) = rendition.pass else { return String::new() };
    format!("select='lt(mod(n,{every}),{taken})',setpts=N/({})/TB,", branch.rate)
}

/// Returns the scaling filter. Lanczos keeps more detail when it scales down: for the same VMAF, the smaller
/// rungs of three films took 15 to 60 % fewer bits than with ffmpeg's default, bicubic. Bicubic rings less
/// when it scales up.
fn scaler(picture: &Picture, clip: &SourceVideo) -> &'static str {
    let shown = picture.crop.map_or(clip.orientation.upright_size(clip.size), |crop| crop.size);
    if picture.size.area() < shown.area() { "lanczos" } else { "bicubic" }
}

/// Formats a pixel aspect ratio for `setsar`.
fn aspect(aspect: Rational) -> String {
    if aspect == Rational::ONE { "1".to_owned() } else { format!("{}/{}", aspect.num(), aspect.den()) }
}

/// Returns the pixel format of a branch: 10 bits only if all its renditions have them.
fn branch_format(branch: &RateBranch) -> &'static str {
    branch.renditions.first().map_or("yuv420p", |rendition| rendition.coding.pixel_format())
}

/// Returns the filter that crops the upright picture. The job counts in square pixels; the stored pixels may
/// have another shape.
fn cropped(picture: &Picture, clip: &SourceVideo) -> String {
    let Some(crop) = picture.crop else { return String::new() };
    let upright = clip.orientation.upright_size(clip.size);
    let sample = if clip.orientation.swaps_sides() {
        clip.sample_aspect.inverse().unwrap_or(Rational::ONE)
    } else {
        clip.sample_aspect
    };
    // There are two ways to make a sample square: stretch one side or shrink the other. The job's numbers
    // refer to the picture with the stretched side.
    let (across, down) = if sample >= Rational::ONE {
        (sample, Rational::ONE)
    } else {
        (Rational::ONE, Rational::ONE / sample)
    };
    let stored = |pixels: u32, by: Rational| (Rational::from(pixels) / by).round();
    let (width, height) = (stored(crop.size.width, across), stored(crop.size.height, down));
    let (x, y) = (stored(crop.x, across), stored(crop.y, down));
    let (most_x, most_y) = (i64::from(upright.width) - width, i64::from(upright.height) - height);
    format!("crop={width}:{height}:{}:{}:exact=1,", x.min(most_x.max(0)), y.min(most_y.max(0)))
}

fn framed(picture: &Picture, frame: Size) -> String {
    match picture.at {
        Some((x, y)) => format!("pad={}:{}:{x}:{y}:black,", frame.width, frame.height),
        None if picture.size == frame => String::new(),
        None if frame.fits(picture.size) => format!("crop={}:{},", frame.width, frame.height),
        None => format!("pad={}:{}:(ow-iw)/2:(oh-ih)/2:black,", frame.width, frame.height),
    }
}

/// Returns the filter for one of AWS's noise reducers. AWS does not publish the strength of each step, so it
/// is our own choice.
fn denoised(reducer: NoiseReducer) -> String {
    let radius = |strength: u8| strength.clamp(1, 3);
    match reducer {
        NoiseReducer::Bilateral(strength) => {
            format!("bilateral=sigmaS={}:sigmaR=0.0{}", radius(strength), 2 * radius(strength))
        }
        NoiseReducer::Mean(strength) => format!("avgblur=sizeX={}", radius(strength)),
        NoiseReducer::Gaussian(strength) => format!("gblur=sigma=0.{}", 3 * radius(strength)),
        NoiseReducer::Sharpen(strength) => format!("unsharp=5:5:0.{}", 3 * radius(strength)),
        NoiseReducer::Conserve(_) => "removegrain=m0=1:m1=1:m2=1".to_owned(),
        NoiseReducer::Spatial(strength) => {
            format!(
                "hqdn3d=luma_spatial={0}:chroma_spatial={0}:luma_tmp=0:chroma_tmp=0",
                2 * u16::from(strength)
            )
        }
        NoiseReducer::Temporal(strength) => {
            format!("hqdn3d=luma_spatial=0:chroma_spatial=0:luma_tmp={strength}:chroma_tmp={strength}")
        }
    }
}

/// Ends a chain that feeds one or several others.
fn fan_out(labels: &[String]) -> String {
    let names: String = labels.concat();
    if labels.len() > 1 { format!(",split={}{names}", labels.len()) } else { names }
}
