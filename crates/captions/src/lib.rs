//! Reads, retimes and writes captions. Parses SubRip and WebVTT into cues with exact times, and writes SubRip,
//! WebVTT (whole or in segments) and ASS scripts for burning in. Does no I/O, panics on no input, and never
//! holds time as a float.

mod ass;
mod ass_placement;
mod burn_in_style;
mod colour_names;
mod cue;
mod error;
mod limits;
mod line_builder;
mod placement;
mod srt;
mod srt_markup;
mod style_passthrough;
#[cfg(test)]
mod test_tracks;
mod text;
mod timestamp;
mod timestamp_map;
mod timing;
mod webvtt;
mod webvtt_settings;
mod webvtt_text;
mod webvtt_writer;

pub use ass::write_ass;
pub use burn_in_style::{
    ApplyFontColour, BackdropColour, BurnInAlignment, BurnInStyle, FontColour, NamedColour,
};
pub use cue::{CaptionTrack, Cue, Rgb, Span, Style};
pub use error::{CaptionFormat, Error, ErrorKind};
pub use placement::{Align, Line, LineAlign, Percent, Placement, PositionAlign, Third, Writing};
pub use srt::{parse_srt, write_srt};
pub use style_passthrough::StylePassthrough;
pub use text::{DecodedText, TextEncoding, decode};
pub use timestamp_map::TimestampMap;
pub use timing::{Clip, clip, join, merge_simultaneous, scale, shift};
pub use webvtt::{parse_webvtt, webvtt_timestamp_map};
pub use webvtt_writer::{write_webvtt, write_webvtt_segments};
