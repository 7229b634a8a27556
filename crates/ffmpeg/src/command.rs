//! Tasks as ffmpeg commands: in a planned task and file paths, out the argument list of one ffmpeg process.
//!
//! Pure: nothing is spawned, no file is looked at. Every flag that is not plain has its reason beside it.

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

pub use crate::audio_graph::Gain;

/// An argument list in the making.
pub(crate) struct Args(Vec<OsString>);

impl Args {
    /// What every ffmpeg here starts with.
    fn new() -> Self {
        let mut args = Self(Vec::new());
        // Warnings only: stderr is for people who look into a failure. No terminal is read, progress is key=value text.
        args.all([
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "warning",
            "-nostats",
            "-progress",
            "pipe:1",
            "-y",
        ]);
        args
    }

    /// As [`Args::new`], for users' files: their own clock is kept. Left to itself ffmpeg moves a file's start to zero, and
    /// which start that is depends on the container and on the streams that are read (seen with 5.1.9: in a transport stream
    /// the picture's own start when only the picture is read).
    fn of_foreign_files() -> Self {
        let mut args = Self::new();
        args.all(["-copyts"]);
        args
    }

    /// Adds words.
    pub(crate) fn all<const N: usize>(&mut self, words: [&str; N]) -> &mut Self {
        self.0.extend(words.map(OsString::from));
        self
    }

    /// Adds a flag and its value.
    pub(crate) fn pair(&mut self, flag: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.push(flag.into());
        self.0.push(value.into());
        self
    }

    /// Adds a path that cannot be taken for a flag or a URL.
    fn path(&mut self, flag: Option<&str>, path: &Path) -> &mut Self {
        self.0.extend(flag.map(OsString::from));
        let mut url = OsString::from("file:");
        url.push(path);
        self.0.push(url);
        self
    }

    /// Adds a user's file as input, read by demuxers and protocols that reach nothing else.
    fn foreign_input(&mut self, path: &Path) -> &mut Self {
        self.pair("-protocol_whitelist", "file").pair("-format_whitelist", crate::probe::FORMATS);
        self.path(Some("-i"), path)
    }

    /// Ends an output: a file that says nothing about who made it when, so equal work gives equal bytes.
    fn output(&mut self, format: &str, path: &Path) -> &mut Self {
        self.all(["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-f", format]);
        self.path(None, path)
    }
}

/// Name of the intermediate file of a video rendition.
pub fn video_file_name(rendition: u32) -> String {
    format!("video-{rendition}.mp4")
}

/// Name of the intermediate file of encoded sound: MP4, where the codec has a place in it that keeps its name.
pub fn audio_file_name(audio: u32, codec: AudioCodec) -> String {
    format!("audio-{audio}.{}", audio_format(codec))
}

fn audio_format(codec: AudioCodec) -> &'static str {
    match codec {
        // MP4 has one name for both layers of MPEG-1 sound, and none for plain samples.
        AudioCodec::Mp2 | AudioCodec::Wav | AudioCodec::Aiff => "mov",
        _ => "mp4",
    }
}

/// Name of the file of an output.
pub fn output_file_name(output: &FileOutput) -> String {
    format!("output-{}.{}", output.output, output.container.extension())
}

/// What a video is encoded from.
#[derive(Clone, Copy, Default)]
pub struct EncodedFrom<'a> {
    /// The job's files by their index.
    pub inputs: &'a [PathBuf],
    /// Scripts of captions by the index that overlays name.
    pub captions: &'a [PathBuf],
    /// Images by the index that overlays name.
    pub images: &'a [PathBuf],
    /// Folder of the first passes.
    pub analysis: Option<&'a Path>,
}

/// Name of the statistics that the first pass with this index writes; the encoder puts a second file of a like name beside it.
pub fn statistics_file(index: u32) -> String {
    format!("first-pass-{index}.log")
}

/// Name of a sample: `source` as its frames were, `coded` as they came out.
fn sample_file(index: u32, kind: &str) -> String {
    format!("sample-{index}-{kind}.mp4")
}

/// Names of the files of a sample that only a measurement needs.
pub fn sample_files(index: u32) -> [String; 2] {
    ["coded", "source"].map(|kind| sample_file(index, kind))
}

/// Name of what was measured of them.
pub fn quality_file(index: u32) -> String {
    format!("quality-{index}.log")
}

/// Threads of a metric at most: more do not help with frames this small.
const MOST_METRIC_THREADS: u32 = 4;

/// Adds an image as one frame, read by what its extension says and nothing else.
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

/// Decodes the inputs once and encodes every rendition into its own file in `folder`. `threads` is for decoder, filters and each
/// encoder; none lets each take what the machine has.
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
    for (branch, rendition) in encode.encoded() {
        for image in overlay_images(&rendition.overlays) {
            image_input(&mut args, input(files.images, image.file), branch.rate);
        }
    }
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
        // The filter graph already delivers exactly the frames that are wanted, one for each tick.
        args.pair("-fps_mode", "passthrough");
        if rendition.pass == Pass::First {
            args.all(["-f", "null", "-"]);
        } else {
            args.output("mp4", &folder.join(coded_file(rendition)));
        }
        if let Pass::Sample(_) = rendition.pass {
            // The same frames as they were, for the comparison.
            args.pair("-map", format!("[w{}]", rendition.index));
            args.all(["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-fps_mode", "passthrough"]);
            if let Some(threads) = threads {
                args.pair("-threads", threads.to_string());
            }
            args.output("mp4", &folder.join(sample_file(rendition.index, "source")));
        }
    }
    args.0
}

fn coded_file(rendition: &VideoRendition) -> String {
    match rendition.pass {
        Pass::Sample(_) => sample_file(rendition.index, "coded"),
        Pass::Only | Pass::First | Pass::Second(_) | Pass::Levelled(_) => video_file_name(rendition.index),
    }
}

/// Of how many frames one is looked at where a metric may leave some out.
const MEASURED_OF: u32 = 2;

/// Measures how like the source the sample with this index in `folder` came out; writes what
/// [`crate::read_qualities`] reads into [`quality_file`] there.
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
    // Frames are paired by their numbers: both files have the same.
    let numbered = "settb=1/1000,setpts=N";
    args.pair(
        "-filter_complex",
        format!("[0:v]{numbered}[coded];[1:v]{numbered}[source];[coded][source]{measure}[measured]"),
    );
    args.all(["-map", "[measured]", "-f", "null", "-"]);
    args.0
}

/// Forces a key frame at the first frame at or after each multiple, counted from the film's start; a microsecond forgives the
/// expression's floating point.
fn key_frames_at(distance: ExactTime, branch: &RateBranch) -> String {
    let seconds = distance.seconds();
    let (num, den) = (seconds.num(), seconds.den());
    let Some(run) = branch.run else { return format!("expr:gte(t+0.000001,n_forced*{num}/{den})") };
    let begins = ExactTime::of_frames(run.first, branch.rate).seconds();
    let forced = forced_before(distance, run.first, branch.rate);
    format!("expr:gte(t+{}/{}+0.000001,(n_forced+{forced})*{num}/{den})", begins.num(), begins.den())
}

/// Adds the file of a clip.
fn clip_input(args: &mut Args, clip: &SourceVideo, inputs: &[PathBuf]) {
    // The turn is ours (`SourceVideo::orientation`): ffmpeg 5.1 would ignore a mirror, and would turn where the job
    // asks for none.
    args.all(["-noautorotate"]);
    keep_going_over_size_changes(args, clip);
    if clip.seek > ExactTime::ZERO {
        args.pair("-ss", clip.seek.decimal());
    }
    args.foreign_input(input(inputs, clip.input));
}

/// The file of an input; a plan names only inputs that the job has.
fn input(inputs: &[PathBuf], index: u32) -> &Path {
    inputs.get(index as usize).map_or(Path::new("missing"), PathBuf::as_path)
}

/// A picture size that changes in the stream reconfigures the graph, which would start frame counting anew; the scale
/// filter takes frames of any size, so the graph stays. Interlaced material never does that, and its filter would not
/// bear it.
fn keep_going_over_size_changes(args: &mut Args, source: &SourceVideo) {
    if source.deinterlace == abanico_media::FieldOrder::Progressive {
        args.all(["-reinit_filter", "0"]);
    }
}

/// Name of image `index`, counted from 0, in the folder of a capturing task.
pub fn image_file_name(index: u64) -> String {
    format!("image-{index:07}.jpg")
}

/// Makes images of the clips in `folder`.
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
    args.0
}

/// Adds the files of all parts of a sound, in the parts' order: the graph counts them so.
fn part_inputs(args: &mut Args, encode: &AudioEncode, inputs: &[PathBuf]) {
    for part in &encode.parts {
        args.foreign_input(input(inputs, part.input));
    }
}

/// Encodes one sound, whole, into its file in `folder`.
pub fn encode_audio(
    encode: &AudioEncode,
    gain: Option<Gain>,
    inputs: &[PathBuf],
    folder: &Path,
) -> Vec<OsString> {
    let mut args = Args::of_foreign_files();
    let file = folder.join(audio_file_name(encode.index, encode.coding.codec));
    if let (AudioRate::Copied(_), Some(part)) = (encode.coding.rate, encode.parts.first()) {
        // The picture's start becomes zero; what lies before it is hidden by an edit list.
        args.pair("-itsoffset", (ExactTime::ZERO - part.start).decimal());
        args.foreign_input(input(inputs, part.input));
        let stream = part.streams.first().copied().unwrap_or(0);
        args.pair("-map", format!("0:{stream}")).all(["-c:a", "copy", "-strict", "-2"]);
        args.output(audio_format(encode.coding.codec), &file);
        return args.0;
    }
    part_inputs(&mut args, encode, inputs);
    args.pair("-filter_complex", audio_graph(encode, gain)).all(["-map", "[sound]"]);
    audio_args(&mut args, &encode.coding);
    args.output(audio_format(encode.coding.codec), &file);
    args.0
}

/// Room before a transport stream's first frame that is enough for every reordering and priming.
const LEAST_ROOM_MS: i64 = 1000;

/// Name of the file that a measurement of loudness writes.
pub const LOUDNESS_FILE: &str = "loudness.txt";

/// Measures the loudness of one sound before it is encoded, by ITU-R BS.1770 with the gates of EBU R 128; the last lines of
/// [`LOUDNESS_FILE`] in `folder` have the result.
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
    args.0
}

/// Joins encoded streams without touching them; the finished file lies in `folder`. `video` and `audio` are the
/// intermediate files, `texts` those of the streams of text.
pub fn package(
    output: &FileOutput,
    (video, audio, texts): (Option<&Path>, &[PathBuf], &[PathBuf]),
    folder: &Path,
) -> Vec<OsString> {
    let mut args = Args::new();
    // All files start at the same zero; ffmpeg must not move any to its own first packet, which lies before zero where
    // B-frames or the encoder's priming need it.
    args.all(["-copyts"]);
    let is_webm = output.container == Container::WebM;
    stream_inputs(&mut args, &output.streams, (video, audio), is_webm);
    for text in texts {
        args.all(["-f", "srt"]).path(Some("-i"), text);
    }
    streams(&mut args, &output.streams);
    text_streams(&mut args, output);
    args.all(["-c", "copy"]);
    if !texts.is_empty() {
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
        // FLAC in MP4 counts as experimental in ffmpeg 5.1; its place is defined since 2016.
        args.all(["-strict", "-2"]);
    }
    args.output(format, &folder.join(output_file_name(output)));
    args.0
}

/// The muxer of a stream without a container.
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

/// Adds the files of an output's streams, picture first.
fn stream_inputs(
    args: &mut Args,
    streams: &Streams,
    (video, audio): (Option<&Path>, &[PathBuf]),
    is_webm: bool,
) {
    if let Some(video) = video {
        args.path(Some("-i"), video);
    }
    for (sound, file) in streams.audio.iter().zip(audio) {
        if is_webm && sound.coding.codec == AudioCodec::Opus {
            // WebM states the encoder's start in the track's head, and players take it off the block times; ffmpeg's
            // muxer (seen with 5.1.9) does not add it to them, so sound would come early by as much.
            args.pair("-itsoffset", sound.coding.delay().decimal());
        }
        args.path(Some("-i"), file);
    }
}

/// Adds an output's streams, picture first.
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
        // The first sound is the one to play, whatever the intermediate files say.
        args.pair(&format!("-disposition:a:{index}"), if index == 0 { "default" } else { "0" });
    }
}

/// Adds an output's streams of text behind the others. None is marked as the default (ffmpeg's muxer of MP4 marks the first
/// one all the same).
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

/// Whether a transport stream's clock starts late enough for what lies before its first frame.
fn has_room(transport: &TransportStream) -> bool {
    transport.first_pts >= ExactTime::from_millis(LEAST_ROOM_MS)
}

/// Adds the numbers of a transport stream.
fn transport_args(args: &mut Args, transport: &TransportStream, streams: &Streams) {
    let first = usize::from(streams.video.is_some());
    if streams.video.is_some() {
        args.pair("-streamid", format!("0:{}", transport.video_pid));
    }
    for index in 0..streams.audio.len() {
        args.pair("-streamid", format!("{}:{}", first + index, transport.audio_pid(index)));
    }
    // The muxer puts the clock two delays ahead of the first packet.
    let delay = ExactTime::from_seconds(transport.first_pts.seconds() / Rational::from(2));
    args.pair("-muxdelay", delay.decimal());
    // What lies before zero (B-frames, the encoder's priming) stays there, so that the picture starts at the same time in
    // every stream of a group; moved to zero, a sound alone would start earlier than a picture alone. Clocks near zero have
    // no room before them.
    if has_room(transport) {
        args.all(["-avoid_negative_ts", "disabled"]);
    }
}

/// Name of segment `index`, counted from 0, in the folder of a segmenting task.
pub fn segment_file_name(index: usize) -> String {
    format!("segment-{:05}.ts", index + 1)
}

/// Cuts encoded streams into MPEG-2 TS segments in `folder`, each beginning with the tables and a key frame. Together
/// they are one transport stream. `video` and `audio` are the intermediate files.
pub fn segment(
    output: &SegmentedOutput,
    transport: &TransportStream,
    video: Option<&Path>,
    audio: &[PathBuf],
    folder: &Path,
) -> Vec<OsString> {
    let mut args = Args::new();
    args.all(["-copyts"]);
    stream_inputs(&mut args, &output.streams, (video, audio), false);
    streams(&mut args, &output.streams);
    transport_args(&mut args, transport, &output.streams);
    args.all(["-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]);
    let starts: Vec<String> = output.segmentation.starts().iter().skip(1).map(u64::to_string).collect();
    if starts.is_empty() {
        // No place to cut at; the muxer takes no empty list.
        args.pair("-segment_time", "1000000000");
    } else {
        args.pair("-segment_frames", starts.join(","));
    }
    // One stream across all segments: continuity counters go on, the tables are written anew at each start.
    args.all(["-individual_header_trailer", "0", "-segment_start_number", "1", "-segment_format", "mpegts"]);
    // The muxer of the segments decides for itself too.
    let room = if has_room(transport) { "avoid_negative_ts=0:" } else { "" };
    let format = format!(
        "{room}mpegts_transport_stream_id={}:mpegts_service_id={}:mpegts_pmt_start_pid={}",
        transport.id, transport.program, transport.pmt_pid
    );
    args.pair("-segment_format_options", format).all(["-f", "segment"]);
    args.path(None, &folder.join("segment-%05d.ts"));
    args.0
}

#[cfg(test)]
mod tests;
