//! Parses ffprobe's JSON into typed streams: what a file's header claims. Packets must confirm the claims.

use std::path::Path;

use abanico_media::{Colour, ColourRange, ExactTime, FieldOrder, Orientation, Rational, StaticHdr};
use abanico_process::Exit;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::magic;
use super::reader::{self, Ended};
use crate::words::{self, Told};
use crate::{Error, ErrorKind, Tools};

/// Maximum length of a sensible file's header in JSON.
const LONGEST_HEADER_BYTES: usize = 8 << 20;

/// Codecs of interlaced video. All others have whole frames only.
const MAY_BE_INTERLACED: [&str; 22] = [
    "cfhd",
    "dnxhd",
    "dvvideo",
    "ffv1",
    "ffvhuff",
    "h264",
    "hevc",
    "huffyuv",
    "jpeg2000",
    "lagarith",
    "magicyuv",
    "mjpeg",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "prores",
    "rawvideo",
    "utvideo",
    "v210",
    "v410",
    "vc1",
    "wmv3",
];

/// The entries that ffprobe is asked to print.
pub(crate) const ENTRIES: &str = "format=format_name,start_time:format_tags=timecode:\
    stream=index,id,codec_name,codec_type,profile,width,height,pix_fmt,bits_per_raw_sample,sample_aspect_ratio,\
    field_order,color_range,color_space,color_transfer,color_primaries,r_frame_rate,avg_frame_rate,time_base,\
    nb_frames,sample_fmt,channels,channel_layout,sample_rate:\
    stream_disposition=default,attached_pic,comment,hearing_impaired,visual_impaired,descriptions:\
    stream_tags=language,timecode:stream_side_data";

/// ffprobe's whole answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Header {
    #[serde(default)]
    pub format: Format,
    #[serde(default)]
    pub streams: Vec<Stream>,
}

/// The container.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Format {
    #[serde(default)]
    pub format_name: String,
    start_time: Option<String>,
    #[serde(default)]
    tags: Tags,
}

/// One stream. What ffprobe leaves out is `None` or zero.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stream {
    pub index: u32,
    id: Option<String>,
    pub codec_name: Option<String>,
    pub codec_type: Option<String>,
    pub profile: Option<String>,
    pub width: u32,
    pub height: u32,
    pub pix_fmt: Option<String>,
    bits_per_raw_sample: Option<String>,
    sample_aspect_ratio: Option<String>,
    field_order: Option<String>,
    color_range: Option<String>,
    color_space: Option<String>,
    color_transfer: Option<String>,
    color_primaries: Option<String>,
    r_frame_rate: Option<String>,
    avg_frame_rate: Option<String>,
    time_base: Option<String>,
    nb_frames: Option<String>,
    sample_fmt: Option<String>,
    pub channels: u16,
    pub channel_layout: Option<String>,
    sample_rate: Option<String>,
    disposition: Disposition,
    tags: Tags,
    side_data_list: Vec<SideData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Disposition {
    default: u8,
    attached_pic: u8,
    comment: u8,
    hearing_impaired: u8,
    visual_impaired: u8,
    descriptions: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tags {
    language: Option<String>,
    timecode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SideData {
    displaymatrix: Option<String>,
}

/// Reads the header of `file`.
///
/// # Errors
/// Returns [`ErrorKind::NotMedia`] if ffprobe refuses the file, and [`ErrorKind::Unsupported`] if it refuses a track.
pub(crate) async fn read(tools: &Tools, file: &Path, cancel: &CancellationToken) -> Result<Header, Error> {
    let mut answer = Answer::default();
    let options = ["-of", "json", "-show_entries", ENTRIES];
    let ended = reader::run(tools, file, &options, cancel, |line| answer.push(line)).await?;
    answer.header(ended, file)
}

/// ffprobe's JSON, collected line by line.
#[derive(Default)]
pub(crate) struct Answer(String);

impl Answer {
    /// Adds the next line. Drops lines beyond the maximum length; the JSON then fails to parse.
    pub fn push(&mut self, line: &str) {
        if self.0.len() <= LONGEST_HEADER_BYTES {
            self.0.push_str(line);
        }
    }

    /// Parses the header once ffprobe has ended.
    pub fn header(self, ended: Ended, file: &Path) -> Result<Header, Error> {
        if ended.exit == Exit::Code(1) && ended.stderr.trim().is_empty() {
            // ffprobe ends like this if a decoder does not take its track's header, and only warns of that.
            return Err(Error::unsupported(
                file,
                "ffmpeg has no decoder for one of its tracks, such as sound in xHE-AAC; convert that track first, or \
                 use a newer ffmpeg",
            ));
        }
        if ended.exit == Exit::Code(1) {
            let refused = words::tell(&ended.stderr, Told::FormatIsRefused);
            let otherwise = if refused {
                "it is a playlist or another format that is not supported"
            } else {
                ended.last_words()
            };
            let why = magic::explanation(file).unwrap_or(otherwise);
            return Err(Error::not_media(file, why).lacking(words::lack(&ended.stderr)));
        }
        ended.check(file)?;
        serde_json::from_str(&self.0).map_err(|cause| {
            let message = format!("cannot parse ffprobe's output for `{}`: {cause}", file.display());
            Error::new(ErrorKind::Failed, message)
        })
    }
}

impl Format {
    /// Returns where the container's clock starts; zero if unknown.
    pub fn clock_start(&self) -> ExactTime {
        self.start_time.as_deref().and_then(decimal).map_or(ExactTime::ZERO, ExactTime::from_seconds)
    }
}

impl Header {
    /// Returns the timecode of the first frame: from a video stream, else from a timecode track, else from
    /// the container.
    pub fn timecode(&self) -> Option<String> {
        let video = self.streams.iter().filter(|stream| stream.is_real_video());
        let others = self.streams.iter().filter(|stream| !stream.is_real_video());
        video.chain(others).find_map(Stream::timecode).or_else(|| self.format.tags.timecode.clone())
    }
}

impl Stream {
    /// Whether this is a video stream and not cover art.
    pub fn is_real_video(&self) -> bool {
        self.codec_type.as_deref() == Some("video") && self.disposition.attached_pic == 0
    }

    /// Whether this is an audio stream.
    pub fn is_audio(&self) -> bool {
        self.codec_type.as_deref() == Some("audio")
    }

    /// Whether the codec's name is known. ffmpeg can know a codec that it cannot decode.
    pub fn has_known_codec(&self) -> bool {
        self.codec_name.as_deref().is_some_and(|name| !matches!(name, "none" | "unknown"))
    }

    /// Whether ffprobe has found out what the decoded sound is like.
    pub fn has_known_sound(&self) -> bool {
        let format = self.sample_fmt.as_deref();
        format.is_some_and(|format| format != "unknown") && self.channels > 0 && self.sample_rate_hz() > 0
    }

    /// Returns the length of a tick in seconds, if it is above zero.
    pub fn time_base(&self) -> Option<Rational> {
        fraction(self.time_base.as_deref()?).filter(|base| *base > Rational::ZERO)
    }

    /// Returns the header's base frame rate; only a hint.
    pub fn base_rate(&self) -> Option<Rational> {
        fraction(self.r_frame_rate.as_deref()?)
    }

    /// Returns the header's average frame rate; only a hint.
    pub fn average_rate(&self) -> Option<Rational> {
        fraction(self.avg_frame_rate.as_deref()?)
    }

    /// Returns how many frames the header promises, shown or not.
    pub fn promised_frames(&self) -> Option<u64> {
        self.nb_frames.as_deref()?.parse().ok()
    }

    /// Returns the samples per second; 0 if unknown.
    pub fn sample_rate_hz(&self) -> u32 {
        self.sample_rate.as_deref().and_then(|rate| rate.parse().ok()).unwrap_or(0)
    }

    /// Returns the sample aspect ratio; 1 if the stream states nothing sensible.
    pub fn sample_aspect(&self) -> Rational {
        let stated = self.sample_aspect_ratio.as_deref().and_then(fraction);
        stated.filter(|aspect| *aspect > Rational::ZERO).unwrap_or(Rational::ONE)
    }

    /// Returns the bits per sample: as the stream states, else by the name of the pixel format, else 8.
    pub fn bit_depth(&self) -> u8 {
        let stated = self.bits_per_raw_sample.as_deref().and_then(|bits| bits.parse().ok());
        stated
            .filter(|bits| *bits > 0)
            .unwrap_or_else(|| named_depth(self.pix_fmt.as_deref().unwrap_or_default()))
    }

    /// Returns the order in which fields are shown, as the header states it. `tb` and `bt` are frames with their fields
    /// interleaved, which begin with the field of the first letter: 9 and 14 in Matroska's specification and in
    /// Apple's TN2162. (ffmpeg's own comment on the names says the opposite, but it writes them like this.)
    pub fn field_order(&self) -> FieldOrder {
        match self.field_order.as_deref() {
            Some("tt" | "tb") => FieldOrder::TopFirst,
            Some("bb" | "bt") => FieldOrder::BottomFirst,
            _ => FieldOrder::Progressive,
        }
    }

    /// Whether only the frames themselves can tell the field order: the header says nothing, or says it with a name
    /// that programs use both ways.
    pub fn has_doubtful_fields(&self) -> bool {
        let codec = self.codec_name.as_deref().unwrap_or_default();
        let is_told = matches!(self.field_order.as_deref(), Some("progressive" | "tt" | "bb"));
        !is_told && MAY_BE_INTERLACED.contains(&codec)
    }

    /// Whether the header names an order of fields, whichever it means.
    pub fn tells_fields(&self) -> bool {
        matches!(self.field_order.as_deref(), Some("tt" | "bb" | "tb" | "bt"))
    }

    /// Returns the rotation and mirroring that make the picture upright, from the display matrix.
    pub fn orientation(&self) -> Orientation {
        let matrix = self.side_data_list.iter().find_map(|data| data.displaymatrix.as_deref());
        matrix.and_then(matrix_entries).and_then(Orientation::from_matrix).unwrap_or_default()
    }

    /// Returns the colour description. The pixel formats `yuvj…` are full range, whatever the stream states.
    pub fn colour(&self) -> Colour {
        let known =
            |name: &Option<String>| name.clone().filter(|name| !matches!(&**name, "unknown" | "reserved"));
        let full = self.color_range.as_deref() == Some("pc")
            || self.pix_fmt.as_deref().is_some_and(|format| format.starts_with("yuvj"));
        Colour {
            primaries: known(&self.color_primaries),
            transfer: known(&self.color_transfer),
            matrix: known(&self.color_space),
            static_hdr: StaticHdr::default(),
            range: if full { ColourRange::Full } else { ColourRange::Limited },
        }
    }

    /// Returns the profile, if it is known.
    pub fn known_profile(&self) -> Option<String> {
        self.profile.clone().filter(|profile| profile != "unknown")
    }

    /// Returns the language, if the stream states one.
    pub fn language(&self) -> Option<String> {
        self.tags.language.clone().filter(|language| language != "und")
    }

    /// Returns the timecode of the first frame, if this stream states one.
    pub fn timecode(&self) -> Option<String> {
        self.tags.timecode.clone()
    }

    /// Returns the container's ID of the stream, which ffprobe prints like `0x101`.
    pub fn container_id(&self) -> Option<u32> {
        let text = self.id.as_deref()?;
        text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
    }

    /// Whether the file marks the stream as default.
    pub fn is_default(&self) -> bool {
        self.disposition.default == 1
    }

    /// Whether the file marks the track as a commentary or as made for people who see or hear badly.
    pub fn is_aside(&self) -> bool {
        let marks = &self.disposition;
        [marks.comment, marks.hearing_impaired, marks.visual_impaired, marks.descriptions].contains(&1)
    }
}

/// Parses `30000/1001` or `32:27`. Returns `None` for `0/0`.
pub(crate) fn fraction(text: &str) -> Option<Rational> {
    let (num, den) = text.split_once(['/', ':'])?;
    Rational::checked(num.parse().ok()?, den.parse().ok()?)
}

/// Parses `-8.259022` as an exact number.
fn decimal(text: &str) -> Option<Rational> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let scale = 10_i64.checked_pow(u32::try_from(digits.len()).ok()?)?;
    Some(Rational::new(format!("{whole}{digits}").parse().ok()?, scale))
}

/// Returns the bit depth in a pixel format's name: 10 for `yuv420p10le`.
fn named_depth(pixel_format: &str) -> u8 {
    let bare = pixel_format.trim_end_matches("le").trim_end_matches("be");
    let digits = bare.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().ok().filter(|bits| (9..=16).contains(bits)).unwrap_or(8)
}

/// Returns the upper left 2x2 of a matrix that ffprobe prints as three numbered rows of three.
fn matrix_entries(text: &str) -> Option<[i64; 4]> {
    let mut rows = text.lines().filter_map(|line| {
        let mut entries = line.split_once(':')?.1.split_whitespace().map(str::parse::<i64>);
        Some([entries.next()?.ok()?, entries.next()?.ok()?])
    });
    let ([a, b], [c, d]) = (rows.next()?, rows.next()?);
    Some([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(json: &str) -> Stream {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn mirrored_quarter_turn_is_read_from_matrix() {
        let rows = "\\n00000000:            0       65536           0\\n00000001:        65536           0    \
                    0\\n00000002:            0           0  1073741824\\n";
        let mirrored = stream(&format!(
            "{{\"side_data_list\":[{{\"side_data_type\":\"x\"}},{{\"displaymatrix\":\"{rows}\"}}]}}"
        ));
        assert_eq!(mirrored.orientation(), Orientation { quarter_turns: 3, mirrored: true });
        assert_eq!(stream("{}").orientation(), Orientation::UPRIGHT);
    }

    #[test]
    fn decimal_start_is_exact() {
        let format = |text: &str| Format { start_time: Some(text.into()), ..Format::default() };
        assert_eq!(format("-8.259022").clock_start().micros(), -8_259_022);
        assert_eq!(format("-0.007000").clock_start().micros(), -7_000);
        assert_eq!(format("N/A").clock_start(), ExactTime::ZERO);
    }

    #[test]
    fn pixel_format_gives_missing_bit_depth() {
        for (format, bits) in
            [("yuv420p10le", 10), ("yuv420p", 8), ("yuv444p12be", 12), ("rgb24", 8), ("p010le", 10)]
        {
            assert_eq!(stream(&format!("{{\"pix_fmt\":\"{format}\"}}")).bit_depth(), bits, "{format}");
        }
        assert_eq!(stream("{\"pix_fmt\":\"yuv420p\",\"bits_per_raw_sample\":\"9\"}").bit_depth(), 9);
    }

    #[test]
    fn field_order_is_the_display_order() {
        let order = |name: &str| stream(&format!("{{\"field_order\":\"{name}\"}}")).field_order();
        assert_eq!((order("tt"), order("tb")), (FieldOrder::TopFirst, FieldOrder::TopFirst));
        assert_eq!((order("bb"), order("bt")), (FieldOrder::BottomFirst, FieldOrder::BottomFirst));
        assert_eq!(order("unknown"), FieldOrder::Progressive);
    }

    #[test]
    fn only_silent_headers_are_doubted() {
        let doubted = |codec: &str, order: &str| {
            stream(&format!("{{\"codec_name\":\"{codec}\",\"field_order\":\"{order}\"}}"))
                .has_doubtful_fields()
        };
        assert!(doubted("dvvideo", "unknown") && doubted("h264", "tb") && doubted("ffv1", "bt"));
        assert!(
            !doubted("h264", "progressive") && !doubted("mpeg2video", "tt") && !doubted("vp9", "unknown")
        );
        assert!(stream("{\"codec_name\":\"mpeg4\"}").has_doubtful_fields());
        assert!(!stream("{}").has_doubtful_fields());
    }

    #[test]
    fn unknown_colours_are_none_and_jpeg_full_range() {
        let colour = stream(
            "{\"color_primaries\":\"unknown\",\"color_transfer\":\"smpte2084\",\"pix_fmt\":\"yuvj420p\"}",
        );
        let colour = colour.colour();
        assert_eq!((colour.primaries, colour.transfer.as_deref()), (None, Some("smpte2084")));
        assert_eq!(colour.range, ColourRange::Full);
    }

    #[test]
    fn fractions_without_a_value_are_none() {
        let odd = stream("{\"r_frame_rate\":\"0/0\",\"time_base\":\"0/1\",\"sample_aspect_ratio\":\"0:1\"}");
        assert_eq!((odd.base_rate(), odd.time_base(), odd.sample_aspect()), (None, None, Rational::ONE));
    }
}
