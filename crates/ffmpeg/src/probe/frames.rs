//! Looks at a sample of a video's decoded frames, for what headers and packets do not tell: frames of another size or
//! shape, and the field order.
//!
//! It decodes some dozens of frames at most. A frame that cannot be decoded tells nothing; that is no error here.

use std::path::Path;

use abanico_media::{ExactTime, FieldOrder, Rational, Shape, Size, VideoTrack};
use tokio_util::sync::CancellationToken;

use super::header::{Stream, fraction};
use super::reader;
use crate::{Error, ErrorKind, Tools};

/// Number of places in a film at which a key frame is looked at.
const MOST_PLACES: usize = 16;
/// A film with at most so many frames is read as a whole; seeking would take longer.
const SHORT_FRAMES: u64 = 1500;
/// Packets to read at each place of a file in which seeking may land between two key frames.
const PACKETS_A_PLACE: usize = 60;
/// A film of this length, in seconds, has its fields looked at in three places, a shorter one only at its start.
const LONG_SECONDS: i64 = 30;
/// Frames whose fields are looked at, at each place.
const FIELDS_A_PLACE: [&str; 2] = ["100", "40"];
/// Lines of the formats that have fields: those of ITU-R BT.601 and BT.709, with and without the lines that recorders add
/// or leave out. Elsewhere the detector is not asked, because fine patterns can look like fields to it.
const LINES_WITH_FIELDS: [u32; 9] = [480, 486, 488, 512, 576, 608, 1035, 1080, 1088];
/// Fewest frames from which the fields of a film are judged.
const LEAST_JUDGED: u32 = 4;

/// One decoded frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Frame {
    shape: Shape,
    fields: FieldOrder,
}

/// Looks at frames of the track and corrects what its header and its packets told: `shapes`, and the field order if
/// the header of `stream` leaves it in doubt.
///
/// # Errors
/// Fails only if `cancel` was triggered.
pub(super) async fn look(
    tools: &Tools,
    file: &Path,
    stream: &Stream,
    video: &mut VideoTrack,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let is_doubtful = stream.has_doubtful_fields();
    // Size and shape can change only at a key frame.
    if !is_doubtful && video.entry_points.ticks.len() < 2 {
        return Ok(());
    }
    let frames = sample(tools, file, video, cancel).await?;
    video.shapes = shapes(&frames, Shape { size: video.size, sample_aspect: video.sample_aspect });
    if is_doubtful {
        let may_have_fields = stream.tells_fields() || LINES_WITH_FIELDS.contains(&video.size.height);
        let seen = if may_have_fields { fields(tools, file, video, cancel).await? } else { None };
        video.field_order = seen.or_else(|| flagged(&frames)).unwrap_or(video.field_order);
    }
    Ok(())
}

/// Decodes key frames from all over the film.
async fn sample(
    tools: &Tools,
    file: &Path,
    video: &VideoTrack,
    cancel: &CancellationToken,
) -> Result<Vec<Frame>, Error> {
    let (stream, places) = (video.stream_index.to_string(), places(video));
    let mut options = vec!["-of", "compact=p=0", "-select_streams", &stream, "-skip_frame", "nokey"];
    if !places.is_empty() {
        options.extend(["-read_intervals", &places]);
    }
    options
        .extend(["-show_entries", "frame=width,height,sample_aspect_ratio,interlaced_frame,top_field_first"]);
    let mut frames = Vec::new();
    let ended = reader::run(tools, file, &options, cancel, |line| frames.extend(frame(line))).await;
    unless_cancelled(ended)?;
    Ok(frames)
}

/// Passes on an error only if the probe was cancelled. Without frames, header and packets have to do.
fn unless_cancelled<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
        _ => Ok(()),
    }
}

/// Returns the places to read in ffprobe's syntax; empty for the whole film.
fn places(video: &VideoTrack) -> String {
    let points = &video.entry_points;
    if video.frames <= SHORT_FRAMES && points.ticks.len() <= MOST_PLACES {
        return String::new();
    }
    let last = points.ticks.len().saturating_sub(1);
    let count = MOST_PLACES.min(points.ticks.len());
    let indices = (0..count).map(|place| place * last / (count - 1).max(1));
    let place = |index: usize| {
        let time = ExactTime::from_ticks(points.ticks[index], points.tick);
        format!("{}%+#{PACKETS_A_PLACE}", time.decimal())
    };
    indices.map(place).collect::<Vec<_>>().join(",")
}

/// Parses a line like `width=320|height=180|sample_aspect_ratio=1:1|interlaced_frame=0|top_field_first=0`.
fn frame(line: &str) -> Option<Frame> {
    let value = |name: &str| line.split('|').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let size = Size::new(value("width")?.parse().ok()?, value("height")?.parse().ok()?);
    let told = value("sample_aspect_ratio").and_then(fraction);
    let sample_aspect = told.filter(|aspect| *aspect > Rational::ZERO).unwrap_or(Rational::ONE);
    let fields = match (value("interlaced_frame"), value("top_field_first")) {
        (Some("1"), Some("1")) => FieldOrder::TopFirst,
        (Some("1"), _) => FieldOrder::BottomFirst,
        _ => FieldOrder::Progressive,
    };
    Some(Frame { shape: Shape { size, sample_aspect }, fields })
}

/// Returns the shapes of the sample in order, each once, and `first` before them; none if all frames look the same.
/// Frames that only have more or fewer pixels, at the same shape, fill the picture as before.
fn shapes(frames: &[Frame], first: Shape) -> Vec<Shape> {
    let mut shapes = vec![first];
    for frame in frames {
        if !shapes.contains(&frame.shape) {
            shapes.push(frame.shape);
        }
    }
    if shapes.iter().all(|shape| shape.looks_like(first)) { Vec::new() } else { shapes }
}

/// Returns the field order that most frames of the sample are marked with; `None` without frames.
fn flagged(frames: &[Frame]) -> Option<FieldOrder> {
    let count = |order: FieldOrder| frames.iter().filter(|frame| frame.fields == order).count();
    let orders = [FieldOrder::Progressive, FieldOrder::TopFirst, FieldOrder::BottomFirst];
    orders.into_iter().max_by_key(|order| count(*order)).filter(|_| !frames.is_empty())
}

/// How many frames look as if they had each field order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Fields {
    top: u32,
    bottom: u32,
    whole: u32,
}

/// Returns the field order by what the frames show, with ffmpeg's detector; `None` if they do not show it, for example
/// because nothing moves.
async fn fields(
    tools: &Tools,
    file: &Path,
    video: &VideoTrack,
    cancel: &CancellationToken,
) -> Result<Option<FieldOrder>, Error> {
    let map = format!("0:{}", video.stream_index);
    let length = video.duration().seconds();
    let is_long = length >= Rational::from(LONG_SECONDS);
    let tenths: &[i64] = if is_long { &[1, 5, 9] } else { &[0] };
    let mut found = Fields::default();
    for tenth in tenths {
        let start = ExactTime::from_seconds(length * Rational::new(*tenth, 10)).decimal();
        // One thread takes less memory, which is limited.
        let before = ["-threads", "1", "-ss", &start];
        let after = [
            "-map",
            &map,
            "-frames:v",
            FIELDS_A_PLACE[usize::from(is_long)],
            "-vf",
            "idet,metadata=mode=print:key=lavfi.idet.multiple.current_frame:file=-",
            "-f",
            "null",
            "-",
        ];
        let options = reader::Options { before: &before, after: &after };
        let ended = reader::run_ffmpeg(tools, file, options, cancel, |line| found.add(line)).await;
        unless_cancelled(ended)?;
    }
    Ok(found.order())
}

impl Fields {
    /// Adds a line like `lavfi.idet.multiple.current_frame=tff`.
    fn add(&mut self, line: &str) {
        match line.split_once("current_frame=").map(|(_, order)| order) {
            Some("tff") => self.top += 1,
            Some("bff") => self.bottom += 1,
            Some("progressive") => self.whole += 1,
            _ => {}
        }
    }

    /// Returns the order of most frames. Noise looks like both orders in turn, so one has to prevail.
    fn order(self) -> Option<FieldOrder> {
        let Self { top, bottom, whole } = self;
        let (most, least) = (top.max(bottom), top.min(bottom));
        if most + least + whole < LEAST_JUDGED {
            None
        } else if most <= whole || most < 3 * least {
            Some(FieldOrder::Progressive)
        } else {
            Some(if top > bottom { FieldOrder::TopFirst } else { FieldOrder::BottomFirst })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(width: u32, aspect: &str, fields: &str) -> Frame {
        let line = format!("width={width}|height=360|sample_aspect_ratio={aspect}|{fields}");
        frame(&line).unwrap()
    }

    const WHOLE: &str = "interlaced_frame=0|top_field_first=0";

    #[test]
    fn frames_are_parsed() {
        let shape =
            |width: u32, sample_aspect: Rational| Shape { size: Size::new(width, 360), sample_aspect };
        let found = line(640, "4:3", "interlaced_frame=1|top_field_first=0");
        assert_eq!((found.shape, found.fields), (shape(640, Rational::new(4, 3)), FieldOrder::BottomFirst));
        let found = line(480, "0:1", "interlaced_frame=1|top_field_first=1|side_datum/x=1");
        assert_eq!((found.shape, found.fields), (shape(480, Rational::ONE), FieldOrder::TopFirst));
        assert_eq!((line(480, "N/A", WHOLE).fields, frame("")), (FieldOrder::Progressive, None));
    }

    #[test]
    fn only_another_shape_counts_as_a_change() {
        let first = line(640, "1:1", WHOLE).shape;
        assert_eq!(shapes(&[line(640, "1:1", WHOLE)], first), []);
        let narrow = line(480, "1:1", WHOLE);
        assert_eq!(shapes(&[line(640, "1:1", WHOLE), narrow, narrow], first), [first, narrow.shape]);
        let oblong = line(640, "3:4", WHOLE);
        assert_eq!(shapes(&[oblong], first), [first, oblong.shape]);
        let larger = frame(&format!("width=1280|height=720|sample_aspect_ratio=1:1|{WHOLE}")).unwrap();
        assert_eq!(shapes(&[larger], first), []);
    }

    #[test]
    fn most_flags_win() {
        let (whole, top) =
            (line(640, "1:1", WHOLE), line(640, "1:1", "interlaced_frame=1|top_field_first=1"));
        assert_eq!(flagged(&[whole, top, top]), Some(FieldOrder::TopFirst));
        assert_eq!((flagged(&[whole, whole, top]), flagged(&[])), (Some(FieldOrder::Progressive), None));
    }

    #[test]
    fn fields_need_a_clear_majority() {
        let of = |top, bottom, whole| Fields { top, bottom, whole }.order();
        assert_eq!(
            (of(90, 0, 5), of(1, 60, 20)),
            (Some(FieldOrder::TopFirst), Some(FieldOrder::BottomFirst))
        );
        assert_eq!(
            (of(40, 0, 60), of(30, 25, 10)),
            (Some(FieldOrder::Progressive), Some(FieldOrder::Progressive))
        );
        assert_eq!((of(0, 0, 0), of(2, 0, 1)), (None, None));
        let mut found = Fields::default();
        for line in ["frame:0    pts:0", "lavfi.idet.multiple.current_frame=bff", "", "x=tff"] {
            found.add(line);
        }
        assert_eq!(found, Fields { bottom: 1, ..Fields::default() });
    }
}
