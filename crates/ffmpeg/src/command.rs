//! Tasks as ffmpeg commands: in a planned task and file paths, out the argument list of one ffmpeg process.
//!
//! Pure: nothing is spawned, no file is looked at. Every flag that is not plain has its reason beside it.

use std::ffi::OsString;
use std::path::Path;

use abanico_media::{ExactTime, Rational};
use abanico_plan::{AudioEncode, FrameCapture, HlsOutput, Mp4Output, SourceVideo, VideoEncode};

use crate::encoder_args::h264_args;
use crate::filter_graph::{audio_filter, capture_graph, video_graph};

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

    /// Ends an output: an MP4 that says nothing about who made it when, so equal work gives equal bytes.
    fn mp4_output(&mut self, path: &Path) -> &mut Self {
        self.all(["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-f", "mp4"]);
        self.path(None, path)
    }
}

/// Name of the intermediate file of a video rendition.
pub fn video_file_name(rendition: u32) -> String {
    format!("video-{rendition}.mp4")
}

/// Name of the intermediate file of encoded sound.
pub fn audio_file_name(audio: u32) -> String {
    format!("audio-{audio}.mp4")
}

/// Name of the file of an output.
pub fn output_file_name(output: u32) -> String {
    format!("output-{output}.mp4")
}

/// Decodes `input` once and encodes every rendition into its own file in `folder`. `threads` is for each encoder; none
/// leaves it to libx264.
pub fn encode_video(
    encode: &VideoEncode,
    input: &Path,
    folder: &Path,
    threads: Option<u32>,
) -> Vec<OsString> {
    let mut args = Args::new();
    // The turn is ours (`SourceVideo::orientation`): ffmpeg 5.1 would ignore a mirror, and would turn where the job
    // asks for none.
    args.all(["-noautorotate"]);
    keep_going_over_size_changes(&mut args, &encode.source);
    args.foreign_input(input);
    args.pair("-filter_complex", video_graph(encode));
    for (_, rendition) in encode.renditions() {
        args.pair("-map", format!("[v{}]", rendition.index));
        h264_args(&mut args, &rendition.encode);
        if let Some(distance) = rendition.key_frame_every {
            // The first frame at or after each multiple; a microsecond forgives the expression's floating point.
            let seconds = distance.seconds();
            let expression = format!("expr:gte(t+0.000001,n_forced*{}/{})", seconds.num(), seconds.den());
            args.pair("-force_key_frames", expression);
        }
        if let Some(threads) = threads {
            args.pair("-threads", threads.to_string());
        }
        // The filter graph already delivers exactly the frames that are wanted, one for each tick.
        args.pair("-fps_mode", "passthrough");
        args.mp4_output(&folder.join(video_file_name(rendition.index)));
    }
    args.0
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

/// Makes images of `input` in `folder`.
pub fn capture_frames(capture: &FrameCapture, input: &Path, folder: &Path) -> Vec<OsString> {
    let mut args = Args::new();
    args.all(["-noautorotate"]);
    keep_going_over_size_changes(&mut args, &capture.source);
    args.foreign_input(input);
    args.pair("-filter_complex", capture_graph(capture)).all(["-map", "[images]"]);
    args.all(["-c:v", "mjpeg"]).pair("-q:v", abanico_plan::quantiser(capture.quality).to_string());
    args.pair("-frames:v", capture.captures.to_string());
    args.all(["-fps_mode", "passthrough", "-fflags", "+bitexact", "-start_number", "0", "-f", "image2"]);
    args.path(None, &folder.join("image-%07d.jpg"));
    args.0
}

/// Encodes one audio track of `input`, whole, into its file in `folder`.
pub fn encode_audio(encode: &AudioEncode, input: &Path, folder: &Path) -> Vec<OsString> {
    let mut args = Args::new();
    args.foreign_input(input);
    args.pair("-map", format!("0:{}", encode.stream_index)).all(["-vn", "-sn", "-dn"]);
    args.pair("-filter:a", audio_filter(encode));
    args.all(["-c:a", "aac", "-profile:a", "aac_low"]);
    args.pair("-b:a", encode.bit_rate_bps.to_string());
    args.pair("-ar", encode.sample_rate_hz.to_string()).pair("-ac", encode.channels.to_string());
    args.mp4_output(&folder.join(audio_file_name(encode.index)));
    args.0
}

/// Joins encoded streams without touching them; the finished file lies in `folder`. `video` and `audio` are the
/// intermediate files.
pub fn package(output: &Mp4Output, video: &Path, audio: Option<&Path>, folder: &Path) -> Vec<OsString> {
    let mut args = Args::new();
    // Both files start at the same zero; ffmpeg must not move either to its own first packet, which lies before zero
    // where B-frames or the AAC encoder's priming need it.
    args.all(["-copyts"]);
    args.path(Some("-i"), video);
    if let Some(audio) = audio {
        args.path(Some("-i"), audio);
    }
    args.all(["-map", "0:v:0"]);
    if audio.is_some() {
        args.all(["-map", "1:a:0"]);
    }
    args.all(["-c", "copy"]);
    if output.fast_start {
        args.all(["-movflags", "+faststart"]);
    }
    if let Some(language) = &output.language {
        args.pair("-metadata:s:a:0", format!("language={language}"));
    }
    args.mp4_output(&folder.join(output_file_name(output.output)));
    args.0
}

/// Name of segment `index`, counted from 0, in the folder of a segmenting task.
pub fn segment_file_name(index: usize) -> String {
    format!("segment-{:05}.ts", index + 1)
}

/// Cuts encoded streams into MPEG-2 TS segments in `folder`, each beginning with the tables and a key frame. Together
/// they are one transport stream. `video` and `audio` are the intermediate files.
pub fn segment(output: &HlsOutput, video: &Path, audio: Option<&Path>, folder: &Path) -> Vec<OsString> {
    let mut args = Args::new();
    args.all(["-copyts"]);
    args.path(Some("-i"), video);
    if let Some(audio) = audio {
        args.path(Some("-i"), audio);
    }
    let transport = &output.transport;
    args.all(["-map", "0:v:0"]).pair("-streamid", format!("0:{}", transport.video_pid));
    if audio.is_some() {
        args.all(["-map", "1:a:0"]).pair("-streamid", format!("1:{}", transport.audio_pid));
    }
    if let Some(language) = &output.language {
        args.pair("-metadata:s:a:0", format!("language={language}"));
    }
    args.all(["-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]);
    // The muxer puts the clock two delays ahead of the first packet.
    let delay = ExactTime::from_seconds(transport.first_pts.seconds() / Rational::from(2));
    args.pair("-muxdelay", delay.decimal());
    let starts: Vec<String> = output.segmentation.starts().iter().skip(1).map(u64::to_string).collect();
    if starts.is_empty() {
        // No place to cut at; the muxer takes no empty list.
        args.pair("-segment_time", "1000000000");
    } else {
        args.pair("-segment_frames", starts.join(","));
    }
    // One stream across all segments: continuity counters go on, the tables are written anew at each start.
    args.all(["-individual_header_trailer", "0", "-segment_start_number", "1", "-segment_format", "mpegts"]);
    let format = format!(
        "mpegts_transport_stream_id={}:mpegts_service_id={}:mpegts_pmt_start_pid={}",
        transport.id, transport.program, transport.pmt_pid
    );
    args.pair("-segment_format_options", format).all(["-f", "segment"]);
    args.path(None, &folder.join("segment-%05d.ts"));
    args.0
}

#[cfg(test)]
mod tests;
