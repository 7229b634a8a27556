//! `MediaInfo`, the payload of the stage probe: in what a probe measured, out the facts that planning needs.
//! Never a guess: what a file's header claims and its packets contradict does not get here.

use serde::{Deserialize, Serialize};

use crate::{Colour, ExactTime, FrameRate, Orientation, Rational, Size};

/// Facts about one input file, measured from its packets and not from its header alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Demuxer names as ffprobe prints them, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// Where the container says that its clock starts (ffprobe's `start_time` of the format): the point that ffmpeg
    /// moves to zero when it reads the file. All other times here are on the file's own clock.
    pub clock_start: ExactTime,
    /// The picture that would be shown: the first real video track (cover art is none), if any.
    pub video: Option<VideoTrack>,
    /// All audio tracks with at least one packet, in the file's order.
    pub audio: Vec<AudioTrack>,
}

impl MediaInfo {
    /// From the earliest start to the latest end of all tracks.
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

/// The video track of an input.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Index of the stream in the file, from 0, as ffmpeg's `0:INDEX`.
    pub stream_index: u32,
    /// Codec name as ffprobe prints it, such as `h264`.
    pub codec: String,
    /// Codec profile, if the stream says one.
    pub profile: Option<String>,
    /// Pixel format as ffprobe prints it, such as `yuv420p10le`.
    pub pixel_format: String,
    /// Bits of a sample.
    pub bit_depth: u8,
    /// Stored size, before any turn and with its own sample aspect ratio.
    pub size: Size,
    /// Shape of one sample, width over height; 1 when the stream says nothing.
    pub sample_aspect: Rational,
    /// What makes the picture upright.
    pub orientation: Orientation,
    /// The constant rate that represents this track: the customary rate nearest to its typical frame distance.
    pub frame_rate: FrameRate,
    /// Whether frame distances differ by more than half a frame from that rate's.
    pub variable_frame_rate: bool,
    /// Frames that are shown (packets that no edit list hides).
    pub frames: u64,
    /// Presentation time of the first shown frame, on the file's own clock.
    pub start: ExactTime,
    /// Presentation time at which the last shown frame ends, on the file's own clock.
    pub end: ExactTime,
    /// How fields are stored.
    pub field_order: FieldOrder,
    /// Colour description.
    pub colour: Colour,
    /// Bits of the track's packets a second, rounded.
    pub bit_rate_bps: u64,
    /// Timecode of the first frame, such as `01:00:00:00`, if the file carries one.
    #[serde(default)]
    pub timecode: Option<String>,
    /// Where decoding can begin. Known to who probed the file; never written down, because long films have many.
    #[serde(skip)]
    pub entry_points: EntryPoints,
}

/// Shown frames at which decoding can begin (sync samples, random access points).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryPoints {
    /// Length of a tick of the track's clock, in seconds; above zero.
    pub tick: Rational,
    /// Presentation times in ticks of the file's own clock, ascending.
    pub ticks: Vec<i64>,
}

impl Default for EntryPoints {
    /// None is known.
    fn default() -> Self {
        Self { tick: Rational::ONE, ticks: Vec::new() }
    }
}

impl EntryPoints {
    /// Points from `from` to `to`, each behind the one before it.
    pub fn between(&self, from: ExactTime, to: ExactTime) -> impl Iterator<Item = (ExactTime, ExactTime)> {
        let time = |ticks: &i64| ExactTime::from_ticks(*ticks, self.tick);
        let first = self.ticks.partition_point(|ticks| time(ticks) < from).max(1);
        let last = self.ticks.partition_point(|ticks| time(ticks) <= to).max(first);
        (first..last).map(move |index| (time(&self.ticks[index - 1]), time(&self.ticks[index])))
    }

    /// The last point at or before `time`.
    pub fn at_or_before(&self, time: ExactTime) -> Option<ExactTime> {
        let behind = self.ticks.partition_point(|ticks| ExactTime::from_ticks(*ticks, self.tick) <= time);
        Some(ExactTime::from_ticks(*self.ticks.get(behind.checked_sub(1)?)?, self.tick))
    }
}

impl VideoTrack {
    /// From the first frame's start to the last one's end.
    pub fn duration(&self) -> ExactTime {
        self.end - self.start
    }

    /// Width over height of the upright picture on a screen with square pixels.
    pub fn display_aspect(&self) -> Rational {
        let stored = self.size.aspect() * self.sample_aspect;
        if self.orientation.swaps_sides() { Rational::ONE / stored } else { stored }
    }

    /// Size of the upright picture with square pixels, even: the longer of the two ways to square a sample is taken,
    /// so that no detail is lost.
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

/// One audio track of an input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AudioTrack {
    /// Index of the stream in the file, from 0.
    pub stream_index: u32,
    /// Codec name as ffprobe prints it, such as `aac`.
    pub codec: String,
    /// Channels, at least 1.
    pub channels: u16,
    /// Channel layout as ffprobe prints it, such as `5.1`; none when the stream says nothing.
    pub channel_layout: Option<String>,
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Presentation time of the first packet, on the file's own clock.
    pub start: ExactTime,
    /// Presentation time at which the last packet ends, on the file's own clock.
    pub end: ExactTime,
    /// ISO 639-2 code, if the file says one.
    pub language: Option<String>,
    /// Whether the file marks the track as the one to play.
    pub is_default: bool,
    /// The container's own number of the track, such as the packet identifier in a transport stream.
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
            bit_rate_bps: 1_000_000,
            timecode: None,
            entry_points: EntryPoints::default(),
        }
    }

    #[test]
    fn is_a_turned_picture_with_odd_samples_shown_upright() {
        assert_eq!(track(Size::new(640, 360), Rational::from(2), 0).display_size(), Size::new(1280, 360));
        assert_eq!(track(Size::new(640, 360), Rational::from(2), 1).display_size(), Size::new(360, 1280));
        assert_eq!(
            track(Size::new(720, 480), Rational::new(32, 27), 0).display_aspect(),
            Rational::new(16, 9)
        );
        assert_eq!(track(Size::new(720, 480), Rational::new(8, 9), 0).display_size(), Size::new(720, 540));
    }

    #[test]
    fn does_the_duration_span_all_tracks() {
        let video = track(Size::new(640, 360), Rational::ONE, 0);
        let audio = AudioTrack {
            stream_index: 1,
            codec: "aac".into(),
            channels: 2,
            channel_layout: None,
            sample_rate_hz: 48000,
            start: ExactTime::from_millis(1400),
            end: ExactTime::from_millis(3400),
            language: None,
            is_default: false,
            id: None,
        };
        let info = MediaInfo {
            container: "mpegts".into(),
            size_bytes: 1,
            clock_start: ExactTime::from_millis(1400),
            video: Some(video),
            audio: vec![audio],
        };
        assert_eq!(info.duration().millis(), 2059);
        assert_eq!(MediaInfo { video: None, audio: vec![], ..info }.duration(), ExactTime::ZERO);
    }

    #[test]
    fn are_entry_points_found_by_their_times() {
        let points = EntryPoints { tick: Rational::new(1, 10), ticks: vec![5, 20, 40] };
        let at = |millis: i64| points.at_or_before(ExactTime::from_millis(millis)).map(ExactTime::millis);
        assert_eq!([499, 500, 3999, 9000].map(at), [None, Some(500), Some(2000), Some(4000)]);
        let between = |from: i64, to: i64| -> Vec<(i64, i64)> {
            let pairs = points.between(ExactTime::from_millis(from), ExactTime::from_millis(to));
            pairs.map(|(before, time)| (before.millis(), time.millis())).collect()
        };
        assert_eq!(between(0, 2000), [(500, 2000)]);
        assert_eq!(between(2000, 9000), [(500, 2000), (2000, 4000)]);
        assert_eq!(between(2001, 3000), []);
    }
}
