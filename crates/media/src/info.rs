//! `MediaInfo`, the result of the probe stage: the facts about an input that planning needs. Where a file's
//! header contradicts its packets, the packets win.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Colour, ExactTime, FrameRate, Orientation, Rational, Size};

/// Facts about one input file, measured from its packets as well as its header.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Demuxer names as ffprobe prints them, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// Start of the container's clock (`start_time` of ffprobe's format section). ffmpeg moves this point to
    /// zero when it reads the file; all other times here are on the file's own clock.
    pub clock_start: ExactTime,
    /// The first real video track, if any. Cover art does not count.
    pub video: Option<VideoTrack>,
    /// All audio tracks with at least one packet, in file order.
    pub audio: Vec<AudioTrack>,
    /// Jumps of the file's clock. The tracks' times are those after the jumps are taken out.
    #[serde(default)]
    pub jumps: ClockJumps,
}

/// Jumps of a file's clock, back or ahead, where recordings were joined without new time stamps.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClockJumps {
    /// Number of jumps.
    pub count: u32,
    /// What takes the jumps out, by stream and packet. Set by the probe and never serialized; empty once the jumps are
    /// taken out of the file.
    #[serde(skip)]
    pub shifts: Vec<ClockShift>,
}

/// What to add to the time stamps of a stream from one of its packets on, in place of what was added before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockShift {
    /// Index of the stream in the file, from 0.
    pub stream_index: u32,
    /// Number of the stream's first packet with this shift, from 0, in file order.
    pub first_packet: u64,
    /// The time to add, on the file's own clock.
    pub by: ExactTime,
}

impl MediaInfo {
    /// Returns the time from the earliest start to the latest end of all tracks; zero without tracks.
    pub fn duration(&self) -> ExactTime {
        let spans = || {
            let video = self.video.iter().map(|track| (track.start, track.end));
            video.chain(self.audio.iter().map(|track| (track.start, track.end)))
        };
        match (spans().map(|span| span.0).min(), spans().map(|span| span.1).max()) {
            (Some(start), Some(end)) => end - start,
            _ => ExactTime::ZERO,
        }
    }
}

/// How the fields of a frame are stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldOrder {
    /// Whole frames.
    #[default]
    Progressive,
    /// Interlaced, top field shown first.
    TopFirst,
    /// Interlaced, bottom field shown first.
    BottomFirst,
}

/// Size and shape of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// Stored size.
    pub size: Size,
    /// Sample aspect ratio, width over height.
    pub sample_aspect: Rational,
}

impl Shape {
    /// Returns width over height on a screen with square pixels.
    pub fn display_aspect(self) -> Rational {
        self.size.aspect() * self.sample_aspect
    }

    /// Returns whether frames of both shapes fill the same screen, but for one percent: rounded sides are no change.
    pub fn looks_like(self, other: Self) -> bool {
        let off = (self.display_aspect() / other.display_aspect() - Rational::ONE).abs();
        off <= Rational::new(1, 100)
    }
}

impl fmt::Display for Shape {
    /// Writes `720x576`, and the aspect ratio of a sample if it is not square: `720x576 (16:15)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aspect = self.sample_aspect;
        match aspect == Rational::ONE {
            true => write!(f, "{}", self.size),
            false => write!(f, "{} ({}:{})", self.size, aspect.num(), aspect.den()),
        }
    }
}

/// The part of stored frames that is shown, where the container crops them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Window {
    /// Stored size, and the sample aspect ratio that decoded frames have.
    pub stored: Shape,
    /// Pixels to the left of the part.
    pub x: u32,
    /// Pixels above the part.
    pub y: u32,
}

/// The video track of an input.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Index of the stream in the file, from 0, as in ffmpeg's `0:INDEX`.
    pub stream_index: u32,
    /// Codec name as ffprobe prints it, such as `h264`.
    pub codec: String,
    /// Codec profile, if the stream has one.
    pub profile: Option<String>,
    /// Pixel format as ffprobe prints it, such as `yuv420p10le`.
    pub pixel_format: String,
    /// Bits per sample.
    pub bit_depth: u8,
    /// Stored size of what is shown, before rotation and before the sample aspect ratio is applied.
    pub size: Size,
    /// Sample aspect ratio, width over height; 1 when the stream does not say.
    pub sample_aspect: Rational,
    /// Rotation and mirroring that make the frame upright.
    pub orientation: Orientation,
    /// The constant rate that represents this track: the customary rate nearest to the typical frame interval.
    pub frame_rate: FrameRate,
    /// Whether frame intervals deviate from that rate's by more than half a frame.
    pub variable_frame_rate: bool,
    /// Number of shown frames, that is, packets that no edit list hides.
    pub frames: u64,
    /// Presentation time of the first shown frame, on the file's own clock.
    pub start: ExactTime,
    /// End of the last shown frame, on the file's own clock.
    pub end: ExactTime,
    /// Whether the track is interlaced, and which field comes first.
    pub field_order: FieldOrder,
    /// Colour description.
    pub colour: Colour,
    /// Where the shown part lies in the stored frame; `None` if the whole frame is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Shapes of the stored frames, in the order in which they were seen in a sample; empty if all look like the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shapes: Vec<Shape>,
    /// Bit rate of the track's packets in bits per second, rounded.
    pub bit_rate_bps: u64,
    /// Timecode of the first frame, such as `01:00:00:00`, if the file has one.
    #[serde(default)]
    pub timecode: Option<String>,
    /// Where decoding can begin. Set by the probe and never serialized, because long inputs have many entry
    /// points.
    #[serde(skip)]
    pub entry_points: EntryPoints,
}

/// Shown frames at which decoding can begin (sync samples, random access points).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryPoints {
    /// Length of a tick of the track's clock in seconds, above zero.
    pub tick: Rational,
    /// Presentation times in ticks of the file's own clock, ascending.
    pub ticks: Vec<i64>,
}

impl Default for EntryPoints {
    /// No entry points.
    fn default() -> Self {
        Self { tick: Rational::ONE, ticks: Vec::new() }
    }
}

impl EntryPoints {
    /// Returns each entry point from `from` to `to` as a pair: the entry point before it, and the entry point
    /// itself.
    pub fn between(&self, from: ExactTime, to: ExactTime) -> impl Iterator<Item = (ExactTime, ExactTime)> {
        let time = |ticks: &i64| ExactTime::from_ticks(*ticks, self.tick);
        let first = self.ticks.partition_point(|ticks| time(ticks) < from).max(1);
        let last = self.ticks.partition_point(|ticks| time(ticks) <= to).max(first);
        (first..last).map(move |index| (time(&self.ticks[index - 1]), time(&self.ticks[index])))
    }

    /// Returns the last entry point at or before `time`.
    pub fn at_or_before(&self, time: ExactTime) -> Option<ExactTime> {
        self.places_before(time, 0)
    }

    /// Returns the entry point that lies `places` before the last one at or before `time`; the first one if there
    /// are fewer.
    pub fn places_before(&self, time: ExactTime, places: usize) -> Option<ExactTime> {
        let behind = self.ticks.partition_point(|ticks| ExactTime::from_ticks(*ticks, self.tick) <= time);
        let last = behind.checked_sub(1)?;
        Some(ExactTime::from_ticks(*self.ticks.get(last.saturating_sub(places))?, self.tick))
    }
}

impl VideoTrack {
    /// Returns the shape of the stored frames at the start.
    pub fn stored(&self) -> Shape {
        let shown = Shape { size: self.size, sample_aspect: self.sample_aspect };
        self.window.map_or(shown, |window| window.stored)
    }

    /// Returns the time from the start of the first frame to the end of the last.
    pub fn duration(&self) -> ExactTime {
        self.end - self.start
    }

    /// Returns width over height of the upright frame on a screen with square pixels.
    pub fn display_aspect(&self) -> Rational {
        let stored = self.size.aspect() * self.sample_aspect;
        if self.orientation.swaps_sides() { Rational::ONE / stored } else { stored }
    }

    /// Returns the size of the upright frame with square pixels, rounded to even sides. Stretches one side
    /// rather than shrink the other, so no detail is lost.
    pub fn display_size(&self) -> Size {
        let upright = self.orientation.upright_size(self.size);
        let aspect = self.display_aspect();
        let (width, height) = (Rational::from(upright.width), Rational::from(upright.height));
        let squared =
            if aspect >= upright.aspect() { (height * aspect, height) } else { (width, width / aspect) };
        let side = |exact: Rational| u32::try_from(exact.round()).unwrap_or(u32::MAX);
        Size::new(side(squared.0), side(squared.1)).even()
    }
}

/// Channels and sampling rate of decoded sound.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SoundForm {
    /// Number of channels, at least 1.
    pub channels: u16,
    /// Channel layout as ffmpeg prints it, such as `5.1(side)`.
    pub layout: String,
    /// Sample rate in hertz.
    pub sample_rate_hz: u32,
}

impl fmt::Display for SoundForm {
    /// Writes `5.1(side) at 48000 Hz`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} Hz", self.layout, self.sample_rate_hz)
    }
}

/// One audio track of an input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioTrack {
    /// Index of the stream in the file, from 0.
    pub stream_index: u32,
    /// Codec name as ffprobe prints it, such as `aac`.
    pub codec: String,
    /// Number of channels, at least 1 if the track can be decoded. If it changes within the track, the largest.
    pub channels: u16,
    /// Channel layout as ffprobe prints it, such as `5.1`; `None` when the stream does not say.
    pub channel_layout: Option<String>,
    /// Sample rate in hertz. If it changes within the track, the highest.
    pub sample_rate_hz: u32,
    /// Presentation time of the first packet, on the file's own clock.
    pub start: ExactTime,
    /// End of the last packet, on the file's own clock.
    pub end: ExactTime,
    /// Typical length of a packet; zero if the track has a single one.
    #[serde(default)]
    pub packet: ExactTime,
    /// Whether many packets start far from where the one before them ends, as in live recordings. Otherwise such a
    /// packet shows lost sound.
    #[serde(default)]
    pub is_jittery: bool,
    /// ISO 639-2 language code, if the file has one.
    pub language: Option<String>,
    /// Whether the file marks the track as the default.
    pub is_default: bool,
    /// Whether the file marks the track as one beside the film's own sound: a commentary, a description of the
    /// pictures, or speech made clear for people who hear badly.
    #[serde(default)]
    pub is_aside: bool,
    /// Whether the installed ffmpeg cannot decode it: it lacks the codec, or the sound is encrypted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_undecodable: bool,
    /// Forms of the decoded sound in the order in which they come, each once; empty unless there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<SoundForm>,
    /// The container's own track number, such as the packet identifier in a transport stream.
    #[serde(default)]
    pub id: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(size: Size, sample_aspect: Rational, quarter_turns: u8) -> VideoTrack {
        VideoTrack {
            stream_index: 0,
            codec: "h264".into(),
            profile: None,
            pixel_format: "yuv420p".into(),
            bit_depth: 8,
            size,
            sample_aspect,
            orientation: Orientation::turned(quarter_turns),
            frame_rate: FrameRate::new(25, 1).unwrap(),
            variable_frame_rate: false,
            frames: 50,
            start: ExactTime::from_millis(1459),
            end: ExactTime::from_millis(3459),
            field_order: FieldOrder::Progressive,
            colour: Colour::default(),
            window: None,
            shapes: Vec::new(),
            bit_rate_bps: 1_000_000,
            timecode: None,
            entry_points: EntryPoints::default(),
        }
    }

    #[test]
    fn display_size_is_upright_with_square_pixels() {
        assert_eq!(track(Size::new(640, 360), Rational::from(2), 0).display_size(), Size::new(1280, 360));
        assert_eq!(track(Size::new(640, 360), Rational::from(2), 1).display_size(), Size::new(360, 1280));
        assert_eq!(
            track(Size::new(720, 480), Rational::new(32, 27), 0).display_aspect(),
            Rational::new(16, 9)
        );
        assert_eq!(track(Size::new(720, 480), Rational::new(8, 9), 0).display_size(), Size::new(720, 540));
    }

    #[test]
    fn duration_spans_all_tracks() {
        let video = track(Size::new(640, 360), Rational::ONE, 0);
        let audio = AudioTrack {
            stream_index: 1,
            codec: "aac".into(),
            channels: 2,
            channel_layout: None,
            sample_rate_hz: 48000,
            start: ExactTime::from_millis(1400),
            end: ExactTime::from_millis(3400),
            packet: ExactTime::ZERO,
            is_jittery: false,
            language: None,
            is_default: false,
            is_aside: false,
            is_undecodable: false,
            forms: Vec::new(),
            id: None,
        };
        let info = MediaInfo {
            container: "mpegts".into(),
            size_bytes: 1,
            clock_start: ExactTime::from_millis(1400),
            video: Some(video),
            audio: vec![audio],
            jumps: ClockJumps::default(),
        };
        assert_eq!(info.duration().millis(), 2059);
        assert_eq!(MediaInfo { video: None, audio: vec![], ..info }.duration(), ExactTime::ZERO);
    }

    #[test]
    fn shapes_look_alike_but_for_one_percent() {
        let shape = |width, height, num, den| Shape {
            size: Size::new(width, height),
            sample_aspect: Rational::new(num, den),
        };
        let wide = shape(1920, 1080, 1, 1);
        assert!(wide.looks_like(shape(1280, 720, 1, 1)) && wide.looks_like(shape(720, 576, 64, 45)));
        assert!(wide.looks_like(shape(1920, 1088, 1, 1)), "padded to whole blocks");
        assert!(!wide.looks_like(shape(720, 576, 16, 15)) && !wide.looks_like(shape(1080, 1920, 1, 1)));
        assert_eq!(
            wide.to_string() + " " + &shape(720, 576, 16, 15).to_string(),
            "1920x1080 720x576 (16:15)"
        );
    }

    #[test]
    fn entry_points_are_found_by_time() {
        let points = EntryPoints { tick: Rational::new(1, 10), ticks: vec![5, 20, 40] };
        let at = |millis: i64| points.at_or_before(ExactTime::from_millis(millis)).map(ExactTime::millis);
        assert_eq!([499, 500, 3999, 9000].map(at), [None, Some(500), Some(2000), Some(4000)]);
        let earlier = |places: usize| points.places_before(ExactTime::from_millis(4500), places);
        assert_eq!(
            [1, 2, 9].map(earlier).map(|time| time.map(ExactTime::millis)),
            [Some(2000), Some(500), Some(500)]
        );
        let between = |from: i64, to: i64| -> Vec<(i64, i64)> {
            let pairs = points.between(ExactTime::from_millis(from), ExactTime::from_millis(to));
            pairs.map(|(before, time)| (before.millis(), time.millis())).collect()
        };
        assert_eq!(between(0, 2000), [(500, 2000)]);
        assert_eq!(between(2000, 9000), [(500, 2000), (2000, 4000)]);
        assert_eq!(between(2001, 3000), []);
    }
}
