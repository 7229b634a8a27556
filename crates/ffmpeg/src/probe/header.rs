//! What a file's header claims: in ffprobe's JSON, out typed streams. Never a fact that packets must confirm.

use std::path::Path;

use abanico_media::{Colour, ColourRange, ExactTime, FieldOrder, Orientation, Rational, StaticHdr};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::reader::{self, Ended};
use crate::{Error, ErrorKind, Tools};

/// Header output that is longer than this belongs to no sensible file.
const LONGEST_HEADER_BYTES: usize = 8 << 20;

/// What is asked of a header.
pub(crate) const ENTRIES: &str = "format=format_name,start_time:format_tags=timecode:\
    stream=index,id,codec_name,codec_type,profile,width,height,pix_fmt,bits_per_raw_sample,sample_aspect_ratio,\
    field_order,color_range,color_space,color_transfer,color_primaries,r_frame_rate,avg_frame_rate,time_base,\
    nb_frames,channels,channel_layout,sample_rate:\
    stream_disposition=default,attached_pic:stream_tags=language,timecode:stream_side_data";

/// The whole answer.
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

/// One stream; what ffprobe leaves out is none.
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
/// [`ErrorKind::NotMedia`] when ffprobe refuses the file.
pub(crate) async fn read(tools: &Tools, file: &Path, cancel: &CancellationToken) -> Result<Header, Error> {
    let mut answer = Answer::default();
    let options = ["-of", "json", "-show_entries", ENTRIES];
    let ended = reader::run(tools, file, &options, cancel, |line| answer.push(line)).await?;
    answer.header(ended, file)
}

/// An answer of ffprobe's in JSON, as it comes in.
#[derive(Default)]
pub(crate) struct Answer(String);

impl Answer {
    /// Takes the next line; more than a header can be is left out, and is no JSON then.
    pub fn push(&mut self, line: &str) {
        if self.0.len() <= LONGEST_HEADER_BYTES {
            self.0.push_str(line);
        }
    }

    /// What it says, once ffprobe has ended.
    pub fn header(self, ended: Ended, file: &Path) -> Result<Header, Error> {
        if ended.status.code() == Some(1) {
            let refused = ended.stderr.contains("not on whitelist");
            let why = if refused {
                "it is a playlist or another kind that is not handled"
            } else {
                ended.last_words()
            };
            return Err(Error::not_media(file, why));
        }
        ended.check(file)?;
        serde_json::from_str(&self.0).map_err(|cause| {
            let message = format!("ffprobe's answer about `{}` cannot be read: {cause}", file.display());
            Error::new(ErrorKind::Failed, message)
        })
    }
}

impl Format {
    /// Where the container's clock starts; zero when it does not say.
    pub fn clock_start(&self) -> ExactTime {
        self.start_time.as_deref().and_then(decimal).map_or(ExactTime::ZERO, ExactTime::from_seconds)
    }
}

impl Header {
    /// Timecode of the first frame: a video stream's own, else a timecode track's, else the container's.
    pub fn timecode(&self) -> Option<String> {
        let video = self.streams.iter().filter(|stream| stream.is_real_video());
        let others = self.streams.iter().filter(|stream| !stream.is_real_video());
        video.chain(others).find_map(Stream::timecode).or_else(|| self.format.tags.timecode.clone())
    }
}

impl Stream {
    /// Whether this is moving pictures and not cover art.
    pub fn is_real_video(&self) -> bool {
        self.codec_type.as_deref() == Some("video") && self.disposition.attached_pic == 0
    }

    /// Whether this is sound of a kind that is known.
    pub fn is_audio(&self) -> bool {
        self.codec_type.as_deref() == Some("audio") && self.channels > 0 && self.sample_rate_hz() > 0
    }

    /// Length of a tick in seconds, if it is above zero.
    pub fn time_base(&self) -> Option<Rational> {
        fraction(self.time_base.as_deref()?).filter(|base| *base > Rational::ZERO)
    }

    /// Base frame rate that the header leads to; only a hint.
    pub fn base_rate(&self) -> Option<Rational> {
        fraction(self.r_frame_rate.as_deref()?)
    }

    /// Average frame rate that the header leads to; only a hint.
    pub fn average_rate(&self) -> Option<Rational> {
        fraction(self.avg_frame_rate.as_deref()?)
    }

    /// Frames that the header promises, shown or not.
    pub fn promised_frames(&self) -> Option<u64> {
        self.nb_frames.as_deref()?.parse().ok()
    }

    /// Samples a second, 0 when unknown.
    pub fn sample_rate_hz(&self) -> u32 {
        self.sample_rate.as_deref().and_then(|rate| rate.parse().ok()).unwrap_or(0)
    }

    /// Shape of a sample; 1 when the stream says nothing sensible.
    pub fn sample_aspect(&self) -> Rational {
        let stated = self.sample_aspect_ratio.as_deref().and_then(fraction);
        stated.filter(|aspect| *aspect > Rational::ZERO).unwrap_or(Rational::ONE)
    }

    /// Bits of a sample: what the stream says, else what the pixel format's name says, else 8.
    pub fn bit_depth(&self) -> u8 {
        let stated = self.bits_per_raw_sample.as_deref().and_then(|bits| bits.parse().ok());
        stated
            .filter(|bits| *bits > 0)
            .unwrap_or_else(|| named_depth(self.pix_fmt.as_deref().unwrap_or_default()))
    }

    /// How fields are shown.
    pub fn field_order(&self) -> FieldOrder {
        match self.field_order.as_deref() {
            Some("tt" | "bt") => FieldOrder::TopFirst,
            Some("bb" | "tb") => FieldOrder::BottomFirst,
            _ => FieldOrder::Progressive,
        }
    }

    /// What makes the picture upright, if a display matrix says so.
    pub fn orientation(&self) -> Orientation {
        let matrix = self.side_data_list.iter().find_map(|data| data.displaymatrix.as_deref());
        matrix.and_then(matrix_entries).and_then(Orientation::from_matrix).unwrap_or_default()
    }

    /// Colour description; the pixel formats `yuvj…` are full range whatever else is said.
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

    /// Profile, if it is a known one.
    pub fn known_profile(&self) -> Option<String> {
        self.profile.clone().filter(|profile| profile != "unknown")
    }

    /// Language, if it says one.
    pub fn language(&self) -> Option<String> {
        self.tags.language.clone().filter(|language| language != "und")
    }

    /// Timecode of the first frame, if this stream says one.
    pub fn timecode(&self) -> Option<String> {
        self.tags.timecode.clone()
    }

    /// The container's number of the stream: ffprobe prints `0x101`.
    pub fn container_id(&self) -> Option<u32> {
        let text = self.id.as_deref()?;
        text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
    }

    /// Whether the file marks it as the one to play.
    pub fn is_default(&self) -> bool {
        self.disposition.default == 1
    }
}

/// `30000/1001` or `32:27`; none for `0/0`.
pub(crate) fn fraction(text: &str) -> Option<Rational> {
    let (num, den) = text.split_once(['/', ':'])?;
    Rational::checked(num.parse().ok()?, den.parse().ok()?)
}

/// `-8.259022` as an exact number.
fn decimal(text: &str) -> Option<Rational> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let scale = 10_i64.checked_pow(u32::try_from(digits.len()).ok()?)?;
    Some(Rational::new(format!("{whole}{digits}").parse().ok()?, scale))
}

/// Bits in a pixel format's name: `yuv420p10le` has 10.
fn named_depth(pixel_format: &str) -> u8 {
    let bare = pixel_format.trim_end_matches("le").trim_end_matches("be");
    let digits = bare.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().ok().filter(|bits| (9..=16).contains(bits)).unwrap_or(8)
}

/// The upper left 2x2 of the matrix that ffprobe prints in three numbered rows of three.
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
    fn is_a_mirrored_quarter_turn_read_from_the_printed_matrix() {
        let rows = "\\n00000000:            0       65536           0\\n00000001:        65536           0    \
                    0\\n00000002:            0           0  1073741824\\n";
        let mirrored = stream(&format!(
            "{{\"side_data_list\":[{{\"side_data_type\":\"x\"}},{{\"displaymatrix\":\"{rows}\"}}]}}"
        ));
        assert_eq!(mirrored.orientation(), Orientation { quarter_turns: 3, mirrored: true });
        assert_eq!(stream("{}").orientation(), Orientation::UPRIGHT);
    }

    #[test]
    fn is_a_decimal_start_exact() {
        let format = |text: &str| Format { start_time: Some(text.into()), ..Format::default() };
        assert_eq!(format("-8.259022").clock_start().micros(), -8_259_022);
        assert_eq!(format("-0.007000").clock_start().micros(), -7_000);
        assert_eq!(format("N/A").clock_start(), ExactTime::ZERO);
    }

    #[test]
    fn does_the_pixel_format_tell_bits_when_the_stream_does_not() {
        for (format, bits) in
            [("yuv420p10le", 10), ("yuv420p", 8), ("yuv444p12be", 12), ("rgb24", 8), ("p010le", 10)]
        {
            assert_eq!(stream(&format!("{{\"pix_fmt\":\"{format}\"}}")).bit_depth(), bits, "{format}");
        }
        assert_eq!(stream("{\"pix_fmt\":\"yuv420p\",\"bits_per_raw_sample\":\"9\"}").bit_depth(), 9);
    }

    #[test]
    fn is_the_order_in_which_fields_are_shown_taken() {
        let order = |name: &str| stream(&format!("{{\"field_order\":\"{name}\"}}")).field_order();
        assert_eq!((order("tt"), order("bt")), (FieldOrder::TopFirst, FieldOrder::TopFirst));
        assert_eq!((order("bb"), order("tb")), (FieldOrder::BottomFirst, FieldOrder::BottomFirst));
        assert_eq!(order("unknown"), FieldOrder::Progressive);
    }

    #[test]
    fn are_unknown_colours_none_and_jpeg_formats_full_range() {
        let colour = stream(
            "{\"color_primaries\":\"unknown\",\"color_transfer\":\"smpte2084\",\"pix_fmt\":\"yuvj420p\"}",
        );
        let colour = colour.colour();
        assert_eq!((colour.primaries, colour.transfer.as_deref()), (None, Some("smpte2084")));
        assert_eq!(colour.range, ColourRange::Full);
    }

    #[test]
    fn are_fractions_without_a_value_none() {
        let odd = stream("{\"r_frame_rate\":\"0/0\",\"time_base\":\"0/1\",\"sample_aspect_ratio\":\"0:1\"}");
        assert_eq!((odd.base_rate(), odd.time_base(), odd.sample_aspect()), (None, None, Rational::ONE));
    }
}
