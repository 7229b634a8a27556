//! Builds the ffmpeg command line of each planned task.
//!
//! Takes a task and file paths, and returns the arguments of one ffmpeg process. It spawns nothing and reads
//! no files. A comment explains each unusual flag.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use abanico_media::{ExactTime, FrameRate, Rational};
use abanico_plan::{
    AudioCodec, AudioEncode, AudioRate, Container, FileOutput, FrameCapture, Pass, QualityMetric, RateBranch,
    SegmentedOutput, SourceVideo, Streams, TransportStream, VideoEncode, VideoRendition, forced_before,
};

use crate::audio_graph::audio_graph;
use crate::encoder_args::{OneOfSeveral, Statistics, audio_args, video_args};
use crate::filter_graph::{capture_graph, video_graph};
use crate::graph_text::escaped;
use crate::overlays::overlay_images;

mod args;
mod excerpts;
mod steady;
mod test_picture;
mod unbroken;

pub(crate) use self::args::Args;
pub use self::excerpts::{MadeFiles, SHOWN_PICTURE, excerpt_files, show_excerpt};
pub use crate::audio_graph::Gain;
pub use steady::{STEADY_FILE, copy_steady};
pub use test_picture::{SELF_TEST_FILE, SELF_TEST_FRAMES, encode_test_picture};
pub use unbroken::{UNBROKEN_FILE, copy_unbroken};

/// Returns the name of a video rendition's intermediate file.
pub fn video_file_name(rendition: u32) -> String {
    format!("video-{rendition}.mp4")
}

/// Returns the name of the intermediate file of encoded audio: MP4, or MOV for codecs that MP4 cannot identify.
pub fn audio_file_name(audio: u32, codec: AudioCodec) -> String {
    format!("audio-{audio}.{}", audio_format(codec))
}

fn audio_format(codec: AudioCodec) -> &'static str {
    match codec {
        // MP4 has one name for MPEG-1 audio of both layers, and none for PCM.
        AudioCodec::Mp2 | AudioCodec::Wav | AudioCodec::Aiff => "mov",
        _ => "mp4",
    }
}

/// Returns the file name of an output.
pub fn output_file_name(output: &FileOutput) -> String {
    format!("output-{}.{}", output.output, output.container.extension())
}

/// The files that a video is encoded from.
#[derive(Clone, Copy, Default)]
pub struct EncodedFrom<'a> {
    /// Input files, by the job's input index.
    pub inputs: &'a [PathBuf],
    /// Caption scripts, by the index that overlays refer to.
    pub captions: &'a [PathBuf],
    /// Images, by the index that overlays refer to.
    pub images: &'a [PathBuf],
    /// Folder with the statistics of the first passes.
    pub analysis: Option<&'a Path>,
}

/// Returns the name of the statistics file that the first pass with this index writes. The encoder writes a
/// second file with a similar name beside it.
pub fn statistics_file(index: u32) -> String {
    format!("first-pass-{index}.log")
}

/// Returns the name of a sample file. `kind` is `source` for the original frames or `coded` for the encoded
/// ones.
fn sample_file(index: u32, kind: &str) -> String {
    format!("sample-{index}-{kind}.mp4")
}

/// Returns the names of the files of a sample that only the quality measurement needs.
pub fn sample_files(index: u32) -> [String; 2] {
    ["coded", "source"].map(|kind| sample_file(index, kind))
}

/// Returns the name of the file with the measured quality of a sample.
pub fn quality_file(index: u32) -> String {
    format!("quality-{index}.log")
}

/// Maximum number of threads for a metric; more do not help with frames this small.
const MOST_METRIC_THREADS: u32 = 4;

/// Adds an image as a one-frame input. The file's extension alone selects the decoder.
fn image_input(args: &mut Args, path: &Path, rate: FrameRate) {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let decoder = match extension.to_ascii_lowercase().as_str() {
        "bmp" => "bmp",
        "tga" => "targa",
        _ => "png",
    };
    args.pair("-protocol_whitelist", "file").all(["-f", "image2", "-pattern_type", "none"]);
    args.pair("-framerate", rate.to_string()).pair("-c:v", decoder).path(Some("-i"), path);
}

/// Decodes the inputs once and encodes every rendition into its own file in `folder`. `threads` limits the
/// threads of the decoder, the filters and each encoder; with `None`, each may use the whole machine.
pub fn encode_video(
    encode: &VideoEncode,
    files: EncodedFrom<'_>,
    folder: &Path,
    threads: Option<u32>,
) -> Vec<OsString> {
    let mut args = Args::of_foreign_files();
    if let Some(threads) = threads {
        args.pair("-filter_complex_threads", threads.to_string());
    }
    for clip in &encode.clips {
        if let Some(threads) = threads {
            args.pair("-threads", threads.to_string());
        }
        clip_input(&mut args, clip, files.inputs);
    }
    drawn_images(&mut args, encode, files.images);
    args.pair("-filter_complex", video_graph(encode, files.captions));
    for (branch, rendition) in encode.encoded() {
        args.pair("-map", format!("[v{}]", rendition.index));
        let statistics = match rendition.pass {
            Pass::Only | Pass::Sample(_) | Pass::Levelled(_) => None,
            Pass::First => Some(Statistics::Written(folder.join(statistics_file(rendition.index)))),
            Pass::Second(index) => {
                let from = files.analysis.unwrap_or(Path::new("missing"));
                Some(Statistics::Read(from.join(statistics_file(index))))
            }
        };
        let one_of_several = OneOfSeveral { is_chunk: encode.chunk.is_some(), statistics, threads };
        video_args(&mut args, &rendition.coding, &one_of_several);
        if let Some(distance) = rendition.key_frame_every {
            args.pair("-force_key_frames", key_frames_at(distance, branch));
        }
        if let Some(threads) = threads {
            args.pair("-threads", threads.to_string());
        }
        // The filter graph already delivers exactly the right frames, one per tick.
        args.pair("-fps_mode", "passthrough");
        if rendition.pass == Pass::First {
            args.all(["-f", "null", "-"]);
        } else {
            args.output("mp4", &folder.join(coded_file(rendition)));
        }
        if let Pass::Sample(_) = rendition.pass {
            // Keeps the original frames as well, lossless, for the comparison.
            args.pair("-map", format!("[w{}]", rendition.index));
            args.all(["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-fps_mode", "passthrough"]);
            if let Some(threads) = threads {
                args.pair("-threads", threads.to_string());
            }
            args.output("mp4", &folder.join(sample_file(rendition.index, "source")));
        }
    }
    args.finish()
}

/// Adds the images that are drawn over an encode's renditions, in the order in which the filter graph numbers them.
fn drawn_images(args: &mut Args, encode: &VideoEncode, images: &[PathBuf]) {
    for (branch, rendition) in encode.encoded() {
        for image in overlay_images(&rendition.overlays) {
            image_input(args, input(images, image.file), branch.rate);
        }
    }
}

fn coded_file(rendition: &VideoRendition) -> String {
    match rendition.pass {
        Pass::Sample(_) => sample_file(rendition.index, "coded"),
        Pass::Only | Pass::First | Pass::Second(_) | Pass::Levelled(_) => video_file_name(rendition.index),
    }
}

/// Measures one in this many frames if the metric can skip frames.
const MEASURED_OF: u32 = 2;

/// Measures how similar the encoded sample with this index in `folder` is to its source. Writes the result
/// into [`quality_file`] in the same folder, for [`crate::read_qualities`] to parse.
pub fn measure_quality(
    index: u32,
    metric: QualityMetric,
    folder: &Path,
    threads: Option<u32>,
) -> Vec<OsString> {
    let mut args = Args::new();
    for kind in ["coded", "source"] {
        if let Some(threads) = threads {
            args.pair("-threads", threads.to_string());
        }
        args.path(Some("-i"), &folder.join(sample_file(index, kind)));
    }
    let file = escaped(&folder.join(quality_file(index)).to_string_lossy());
    let measure = match metric {
        QualityMetric::Vmaf => {
            let threads = threads.unwrap_or(MOST_METRIC_THREADS).min(MOST_METRIC_THREADS);
            format!("libvmaf=n_threads={threads}:n_subsample={MEASURED_OF}:log_fmt=json:log_path={file}")
        }
        QualityMetric::Ssim => format!("ssim=stats_file={file}"),
    };
    // Pair frames by number: both files hold the same frames.
    let numbered = "settb=1/1000,setpts=N";
    args.pair(
        "-filter_complex",
        format!("[0:v]{numbered}[coded];[1:v]{numbered}[source];[coded][source]{measure}[measured]"),
    );
    args.all(["-map", "[measured]", "-f", "null", "-"]);
    args.finish()
}

/// Forces a key frame at the first frame at or after each multiple of `distance`, counted from the start of
/// the whole video. The microsecond of slack absorbs rounding errors of the expression's floating point.
fn key_frames_at(distance: ExactTime, branch: &RateBranch) -> String {
    let seconds = distance.seconds();
    let (num, den) = (seconds.num(), seconds.den());
    let Some(run) = branch.run else { return format!("expr:gte(t+0.000001,n_forced*{num}/{den})") };
    let begins = ExactTime::of_frames(run.first, branch.rate).seconds();
    let forced = forced_before(distance, run.first, branch.rate);
    format!("expr:gte(t+{}/{}+0.000001,(n_forced+{forced})*{num}/{den})", begins.num(), begins.den())
}

/// Adds the input file of a clip.
fn clip_input(args: &mut Args, clip: &SourceVideo, inputs: &[PathBuf]) {
    // The filter graph rotates (`SourceVideo::orientation`): ffmpeg 5.1 would ignore a mirrored matrix, and
    // would rotate even where the job asks for no rotation.
    args.all(["-noautorotate"]);
    keep_going_over_size_changes(args, clip);
    if clip.seek > ExactTime::ZERO {
        args.pair("-ss", clip.seek.decimal());
    }
    args.foreign_input(input(inputs, clip.input));
}

/// Returns the path of an input. A plan names only inputs that the job has.
fn input(inputs: &[PathBuf], index: u32) -> &Path {
    inputs.get(index as usize).map_or(Path::new("missing"), PathBuf::as_path)
}

/// Keeps the filter graph when the frame size changes within the stream. By default ffmpeg would rebuild the
/// graph, which would restart frame counting; the scale filter takes frames of any size. The deinterlacer does
/// not, so interlaced video keeps its graph only if a scale filter comes first.
fn keep_going_over_size_changes(args: &mut Args, source: &SourceVideo) {
    if source.deinterlace == abanico_media::FieldOrder::Progressive || source.changes_shape {
        args.all(["-reinit_filter", "0"]);
    }
}

/// Returns the name of image `index`, counted from 0, in the folder of a frame capture task.
pub fn image_file_name(index: u64) -> String {
    format!("image-{index:07}.jpg")
}

/// Captures images from the clips into `folder`.
pub fn capture_frames(capture: &FrameCapture, inputs: &[PathBuf], folder: &Path) -> Vec<OsString> {
    let mut args = Args::of_foreign_files();
    for clip in &capture.clips {
        clip_input(&mut args, clip, inputs);
    }
    args.pair("-filter_complex", capture_graph(capture)).all(["-map", "[images]"]);
    args.all(["-c:v", "mjpeg"]).pair("-q:v", abanico_plan::quantiser(capture.quality).to_string());
    args.pair("-frames:v", capture.captures.to_string());
    args.all(["-fps_mode", "passthrough", "-fflags", "+bitexact", "-start_number", "0", "-f", "image2"]);
    args.path(None, &folder.join("image-%07d.jpg"));
    args.finish()
}

/// Adds the input files of all parts of an audio track, in the order in which the filter graph numbers them.
fn part_inputs(args: &mut Args, encode: &AudioEncode, inputs: &[PathBuf]) {
    for part in &encode.parts {
        args.foreign_input(input(inputs, part.input));
    }
}

/// Encodes one whole audio track into its file in `folder`.
pub fn encode_audio(
    encode: &AudioEncode,
    gain: Option<Gain>,
    inputs: &[PathBuf],
    folder: &Path,
) -> Vec<OsString> {
    let mut args = Args::of_foreign_files();
    let file = folder.join(audio_file_name(encode.index, encode.coding.codec));
    if let (AudioRate::Copied(_), Some(part)) = (encode.coding.rate, encode.parts.first()) {
        // Moves the start of the video to zero; an edit list hides the audio before it.
        args.pair("-itsoffset", (ExactTime::ZERO - part.start).decimal());
        args.foreign_input(input(inputs, part.input));
        let stream = part.streams.first().copied().unwrap_or(0);
        args.pair("-map", format!("0:{stream}")).all(["-c:a", "copy", "-strict", "-2"]);
        args.output(audio_format(encode.coding.codec), &file);
        return args.finish();
    }
    part_inputs(&mut args, encode, inputs);
    args.pair("-filter_complex", audio_graph(encode, gain)).all(["-map", "[sound]"]);
    audio_args(&mut args, &encode.coding);
    args.output(audio_format(encode.coding.codec), &file);
    args.finish()
}

/// Minimum time before a transport stream's first frame that leaves room for any reordering and priming.
const LEAST_ROOM_MS: i64 = 1000;

/// Name of the file that a loudness measurement writes.
pub const LOUDNESS_FILE: &str = "loudness.txt";

/// Measures the loudness of one audio track before it is encoded, by ITU-R BS.1770 with the gates of
/// EBU R 128. The result is in the last lines of [`LOUDNESS_FILE`] in `folder`.
pub fn measure_loudness(encode: &AudioEncode, inputs: &[PathBuf], folder: &Path) -> Vec<OsString> {
    let mut args = Args::of_foreign_files();
    part_inputs(&mut args, encode, inputs);
    let file = folder.join(LOUDNESS_FILE);
    let graph = format!(
        "{};[sound]ebur128=metadata=1:framelog=verbose,ametadata=print:key=lavfi.r128.I:file={}[measured]",
        audio_graph(encode, None),
        escaped(&file.to_string_lossy())
    );
    args.pair("-filter_complex", graph).all(["-map", "[measured]", "-f", "null", "-"]);
    args.finish()
}

/// The intermediate files of an output's streams.
#[derive(Clone, Copy, Default)]
pub struct StreamFiles<'a> {
    /// Its video.
    pub video: Option<&'a Path>,
    /// Its audio streams, in their order.
    pub audio: &'a [PathBuf],
    /// Its text streams, in their order; containers of segments have none.
    pub texts: &'a [PathBuf],
}

/// Muxes encoded streams into an output file in `folder` without re-encoding.
pub fn package(output: &FileOutput, files: StreamFiles<'_>, folder: &Path) -> Vec<OsString> {
    let mut args = Args::new();
    // All files start at the same zero. ffmpeg must not shift a file to its own first packet, which lies
    // before zero if there are B-frames or encoder priming.
    args.all(["-copyts"]);
    let is_webm = output.container == Container::WebM;
    stream_inputs(&mut args, &output.streams, files, is_webm);
    for text in files.texts {
        args.all(["-f", "srt"]).path(Some("-i"), text);
    }
    streams(&mut args, &output.streams);
    text_streams(&mut args, output);
    args.all(["-c", "copy"]);
    if !files.texts.is_empty() {
        args.all(["-c:s", "mov_text"]);
    }
    if output.fast_start {
        args.all(["-movflags", "+faststart"]);
    }
    let format = match &output.container {
        Container::Mp4 => "mp4",
        Container::Mov => "mov",
        Container::WebM => "webm",
        Container::Ogg => "ogg",
        Container::TransportStream(stream) => {
            transport_args(&mut args, &stream.transport, &output.streams);
            args.pair("-mpegts_transport_stream_id", stream.transport.id.to_string());
            args.pair("-mpegts_service_id", stream.transport.program.to_string());
            args.pair("-mpegts_pmt_start_pid", stream.transport.pmt_pid.to_string());
            if let Some(rate) = stream.constant_bps {
                args.pair("-muxrate", rate.to_string());
            }
            "mpegts"
        }
        Container::Raw(codec) => raw_format(*codec),
    };
    if format == "mp4" {
        // ffmpeg 5.1 treats FLAC in MP4 as experimental, although the mapping has been specified since 2016.
        args.all(["-strict", "-2"]);
    }
    args.output(format, &folder.join(output_file_name(output)));
    args.finish()
}

/// Returns the muxer of a stream without a container.
fn raw_format(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Aac => "adts",
        AudioCodec::Mp2 => "mp2",
        AudioCodec::Mp3 => "mp3",
        AudioCodec::Ac3 => "ac3",
        AudioCodec::Eac3 => "eac3",
        AudioCodec::Flac => "flac",
        AudioCodec::Wav => "wav",
        AudioCodec::Aiff => "aiff",
        AudioCodec::Opus | AudioCodec::Vorbis => "ogg",
    }
}

/// Adds the input files of an output's streams, video first.
fn stream_inputs(args: &mut Args, streams: &Streams, files: StreamFiles<'_>, is_webm: bool) {
    if let Some(video) = files.video {
        args.path(Some("-i"), video);
    }
    for (sound, file) in streams.audio.iter().zip(files.audio) {
        if is_webm && sound.coding.codec == AudioCodec::Opus {
            // WebM stores the encoder delay in the track header, and players subtract it from the block
            // times. ffmpeg's muxer (seen with 5.1.9) does not add it to the block times, so the audio would
            // play early by that much.
            args.pair("-itsoffset", sound.coding.delay().decimal());
        }
        args.path(Some("-i"), file);
    }
}

/// Maps an output's streams, video first.
fn streams(args: &mut Args, streams: &Streams) {
    if streams.video.is_some() {
        args.all(["-map", "0:v:0"]);
    }
    let first = usize::from(streams.video.is_some());
    for (index, sound) in streams.audio.iter().enumerate() {
        args.pair("-map", format!("{}:a:0", first + index));
        if let Some(language) = &sound.language {
            args.pair(&format!("-metadata:s:a:{index}"), format!("language={language}"));
        }
        if let Some(name) = &sound.name {
            args.pair(&format!("-metadata:s:a:{index}"), format!("title={name}"));
        }
        // The first audio track is the default one, regardless of the intermediate files.
        args.pair(&format!("-disposition:a:{index}"), if index == 0 { "default" } else { "0" });
    }
}

/// Maps an output's text streams after the others. None is marked as default (ffmpeg's MP4 muxer marks the
/// first one anyway).
fn text_streams(args: &mut Args, output: &FileOutput) {
    let first = usize::from(output.streams.video.is_some()) + output.streams.audio.len();
    for (index, text) in output.texts.iter().enumerate() {
        args.pair("-map", format!("{}:s:0", first + index));
        if let Some(language) = &text.language {
            args.pair(&format!("-metadata:s:s:{index}"), format!("language={language}"));
        }
        if let Some(name) = &text.name {
            args.pair(&format!("-metadata:s:s:{index}"), format!("title={name}"));
        }
        args.pair(&format!("-disposition:s:{index}"), "0");
    }
}

/// Whether a transport stream's clock starts late enough for the packets before its first frame.
fn has_room(transport: &TransportStream) -> bool {
    transport.first_pts >= ExactTime::from_millis(LEAST_ROOM_MS)
}

/// Adds the PIDs and the clock of a transport stream.
fn transport_args(args: &mut Args, transport: &TransportStream, streams: &Streams) {
    let first = usize::from(streams.video.is_some());
    if streams.video.is_some() {
        args.pair("-streamid", format!("0:{}", transport.video_pid));
    }
    for index in 0..streams.audio.len() {
        args.pair("-streamid", format!("{}:{}", first + index, transport.audio_pid(index)));
    }
    // The muxer places the first packet two mux delays after the start of the clock.
    let delay = ExactTime::from_seconds(transport.first_pts.seconds() / Rational::from(2));
    args.pair("-muxdelay", delay.decimal());
    // Packets before zero (B-frames, encoder priming) stay there, so that the video starts at the same time
    // in every stream of a group. If they were shifted to zero, audio alone would start earlier than video
    // alone. A clock near zero has no room before it.
    if has_room(transport) {
        args.all(["-avoid_negative_ts", "disabled"]);
    }
}

/// Returns the name of segment `index`, counted from 0, in the folder of a segmenting task.
pub fn segment_file_name(index: usize) -> String {
    format!("segment-{:05}.ts", index + 1)
}

/// Cuts encoded streams into MPEG-2 TS segments in `folder`. Each segment begins with the tables and a key
/// frame; together the segments form one transport stream.
pub fn segment(
    output: &SegmentedOutput,
    transport: &TransportStream,
    files: StreamFiles<'_>,
    folder: &Path,
) -> Vec<OsString> {
    let mut args = Args::new();
    args.all(["-copyts"]);
    stream_inputs(&mut args, &output.streams, files, false);
    streams(&mut args, &output.streams);
    transport_args(&mut args, transport, &output.streams);
    args.all(["-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]);
    let starts: Vec<String> = output.segmentation.starts().iter().skip(1).map(u64::to_string).collect();
    if starts.is_empty() {
        // There is nowhere to cut, and the muxer does not accept an empty list.
        args.pair("-segment_time", "1000000000");
    } else {
        args.pair("-segment_frames", starts.join(","));
    }
    // The segments form one stream: continuity counters carry on, and the tables are repeated at each start.
    args.all(["-individual_header_trailer", "0", "-segment_start_number", "1", "-segment_format", "mpegts"]);
    // The inner muxer has its own `avoid_negative_ts`.
    let room = if has_room(transport) { "avoid_negative_ts=0:" } else { "" };
    let format = format!(
        "{room}mpegts_transport_stream_id={}:mpegts_service_id={}:mpegts_pmt_start_pid={}",
        transport.id, transport.program, transport.pmt_pid
    );
    args.pair("-segment_format_options", format).all(["-f", "segment"]);
    args.path(None, &folder.join("segment-%05d.ts"));
    args.finish()
}

#[cfg(test)]
mod tests;
