//! Writes HLS media playlists (RFC 8216 sections 4.3.2 and 4.3.3). All segments are known in advance, so every
//! playlist is VOD and ends with `EXT-X-ENDLIST`.

use abanico_media::{ExactTime, Rational};

use crate::ByteRange;
use crate::program_date_time::date_time;
use crate::text::{Attributes, uri};

/// How `EXTINF` durations are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DurationFormat {
    /// Decimal fractions of a second, exact to a microsecond.
    #[default]
    FloatingPoint,
    /// Whole seconds, rounded; for players of protocol version 2 and below.
    Integer,
}

/// One media segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaSegment {
    /// Path of the file relative to the playlist, not percent-encoded.
    pub path: String,
    /// Byte range within the file; `None` for the whole file.
    pub byte_range: Option<ByteRange>,
    /// Duration of the segment.
    pub duration: ExactTime,
}

/// `EXT-X-PROGRAM-DATE-TIME` tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProgramDateTime {
    /// Time of the first frame, in milliseconds since the Unix epoch.
    pub start_epoch_ms: i64,
    /// Minimum distance between two tags; zero tags every segment.
    pub period: ExactTime,
}

/// The playlist of one variant or rendition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaPlaylist {
    /// Segments in order, at least one.
    pub segments: Vec<MediaSegment>,
    /// Path and byte range of the initialisation section (fMP4); `None` for MPEG-2 TS.
    pub initialisation: Option<(String, Option<ByteRange>)>,
    /// How durations are written.
    pub duration_format: DurationFormat,
    /// Whether the target duration is rounded to the nearest second (RFC 8216). Otherwise it is rounded up.
    pub target_duration_rounds: bool,
    /// Prefix of every path; empty for none.
    pub base_url: String,
    /// Whether players may cache segments. `false` writes `EXT-X-ALLOW-CACHE:NO`, which version 7 of the
    /// protocol removed.
    pub client_cache: bool,
    /// `EXT-X-PROGRAM-DATE-TIME` tags, if wanted.
    pub program_date_time: Option<ProgramDateTime>,
    /// Whether each segment is one key frame (`EXT-X-I-FRAMES-ONLY`).
    pub i_frames_only: bool,
}

impl MediaPlaylist {
    /// Makes a playlist of MPEG-2 TS segments with default settings.
    pub fn new(segments: Vec<MediaSegment>) -> Self {
        Self {
            segments,
            initialisation: None,
            duration_format: DurationFormat::default(),
            target_duration_rounds: false,
            base_url: String::new(),
            client_cache: true,
            program_date_time: None,
            i_frames_only: false,
        }
    }

    /// Returns the text of the playlist, with a line feed after every line.
    pub fn render(&self) -> String {
        let mut lines = vec!["#EXTM3U".to_owned(), format!("#EXT-X-VERSION:{}", self.version())];
        lines.push(format!("#EXT-X-TARGETDURATION:{}", self.target_duration_seconds()));
        lines.push("#EXT-X-MEDIA-SEQUENCE:1".to_owned());
        lines.push("#EXT-X-PLAYLIST-TYPE:VOD".to_owned());
        if self.i_frames_only {
            lines.push("#EXT-X-I-FRAMES-ONLY".to_owned());
        }
        if !self.client_cache {
            lines.push("#EXT-X-ALLOW-CACHE:NO".to_owned());
        }
        if let Some((path, range)) = &self.initialisation {
            lines.push(format!("#EXT-X-MAP:{}", self.map_attributes(path, *range)));
        }
        self.push_segments(&mut lines);
        lines.push("#EXT-X-ENDLIST\n".to_owned());
        lines.join("\n")
    }

    /// Returns the lowest protocol version that supports everything the playlist uses (RFC 8216 section 7).
    fn version(&self) -> u8 {
        if self.initialisation.is_some() && !self.i_frames_only {
            6
        } else if self.initialisation.is_some() {
            5
        } else if self.i_frames_only || self.segments.iter().any(|segment| segment.byte_range.is_some()) {
            4
        } else if self.duration_format == DurationFormat::FloatingPoint {
            3
        } else {
            2
        }
    }

    /// Returns the duration of the longest segment in whole seconds, at least 1, rounded as
    /// `target_duration_rounds` says.
    pub fn target_duration_seconds(&self) -> i64 {
        let longest = self.segments.iter().map(|segment| segment.duration.seconds()).max();
        let longest = longest.unwrap_or(Rational::ZERO);
        let rounded = if self.target_duration_rounds { longest.round() } else { longest.ceil() };
        rounded.max(1)
    }

    fn map_attributes(&self, path: &str, range: Option<ByteRange>) -> String {
        let mut attributes = Attributes::default();
        attributes.quoted("URI", &self.reference(path));
        if let Some(range) = range {
            attributes.quoted("BYTERANGE", &range.to_string());
        }
        attributes.text()
    }

    fn push_segments(&self, lines: &mut Vec<String>) {
        let (mut at, mut next_date) = (ExactTime::ZERO, ExactTime::ZERO);
        for segment in &self.segments {
            if let Some(dated) = self.program_date_time.filter(|_| at >= next_date) {
                lines.push(format!("#EXT-X-PROGRAM-DATE-TIME:{}", date_time(dated.start_epoch_ms, at)));
                next_date = at + dated.period;
            }
            lines.push(format!("#EXTINF:{},", self.duration_text(segment.duration)));
            lines.extend(segment.byte_range.map(|range| format!("#EXT-X-BYTERANGE:{range}")));
            lines.push(self.reference(&segment.path));
            at = at + segment.duration;
        }
    }

    fn duration_text(&self, duration: ExactTime) -> String {
        match self.duration_format {
            DurationFormat::FloatingPoint => duration.decimal(),
            DurationFormat::Integer => duration.seconds().round().to_string(),
        }
    }

    fn reference(&self, path: &str) -> String {
        format!("{}{}", self.base_url, uri(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(path: &str, millis: i64) -> MediaSegment {
        MediaSegment { path: path.to_owned(), byte_range: None, duration: ExactTime::from_millis(millis) }
    }

    #[test]
    fn plain_playlist_follows_the_specification() {
        let playlist = MediaPlaylist::new(vec![segment("a b_00001.ts", 6006), segment("a b_00002.ts", 2500)]);
        let expected = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:7\n#EXT-X-MEDIA-SEQUENCE:1\n\
                        #EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:6.006000,\na%20b_00001.ts\n#EXTINF:2.500000,\n\
                        a%20b_00002.ts\n#EXT-X-ENDLIST\n";
        assert_eq!(playlist.render(), expected);
    }

    #[test]
    fn integer_durations_need_only_version_two() {
        let playlist = MediaPlaylist {
            duration_format: DurationFormat::Integer,
            target_duration_rounds: true,
            client_cache: false,
            base_url: "https://cdn.example/".to_owned(),
            ..MediaPlaylist::new(vec![segment("1.ts", 6006)])
        };
        let text = playlist.render();
        assert!(text.contains("#EXT-X-VERSION:2\n#EXT-X-TARGETDURATION:6\n"), "{text}");
        assert!(text.contains("#EXT-X-ALLOW-CACHE:NO\n#EXTINF:6,\nhttps://cdn.example/1.ts\n"), "{text}");
    }

    #[test]
    fn single_file_has_byte_ranges_and_a_map() {
        let range = |offset_bytes, length_bytes| Some(ByteRange { offset_bytes, length_bytes });
        let first = MediaSegment { byte_range: range(700, 1000), ..segment("v.mp4", 2000) };
        let playlist = MediaPlaylist {
            initialisation: Some(("v.mp4".to_owned(), range(0, 700))),
            ..MediaPlaylist::new(vec![first])
        };
        let text = playlist.render();
        assert!(text.contains("#EXT-X-VERSION:6\n"), "{text}");
        assert!(text.contains("#EXT-X-MAP:URI=\"v.mp4\",BYTERANGE=\"700@0\"\n"), "{text}");
        assert!(text.contains("#EXTINF:2.000000,\n#EXT-X-BYTERANGE:1000@700\nv.mp4\n"), "{text}");
    }

    #[test]
    fn date_times_keep_their_distance() {
        let dated = ProgramDateTime { start_epoch_ms: 0, period: ExactTime::from_millis(5000) };
        let playlist = MediaPlaylist {
            program_date_time: Some(dated),
            ..MediaPlaylist::new((1..=4).map(|number| segment(&format!("{number}.ts"), 3000)).collect())
        };
        let text = playlist.render();
        let dates: Vec<&str> = text.lines().filter(|line| line.contains("DATE-TIME")).collect();
        assert_eq!(
            dates,
            [
                "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z",
                "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:06.000Z"
            ]
        );
    }

    #[test]
    fn i_frame_playlist_says_so() {
        let playlist =
            MediaPlaylist { i_frames_only: true, ..MediaPlaylist::new(vec![segment("1.ts", 400)]) };
        assert!(playlist.render().contains("#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:1\n"));
        assert!(playlist.render().contains("#EXT-X-I-FRAMES-ONLY\n"));
    }
}
