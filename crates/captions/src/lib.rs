//! Reads, retimes and writes captions. Parses SubRip and WebVTT into cues with exact times, and writes SubRip,
//! WebVTT (whole or in segments) and ASS scripts for burning in. Does no I/O, panics on no input, and never
//! holds time as a float.

mod ass;
mod cue;
mod error;
mod limits;
mod parsing;
mod placement;
mod srt;
mod style_passthrough;
#[cfg(test)]
mod test_tracks;
mod timing;
mod webvtt;

pub use ass::burn_in_style::{
    ApplyFontColour, BackdropColour, BurnInAlignment, BurnInStyle, FontColour, NamedColour,
};
pub use ass::write_ass;
pub use cue::{CaptionTrack, Cue, Rgb, Span, Style};
pub use error::{CaptionFormat, Error, ErrorKind};
pub use parsing::text::{DecodedText, TextEncoding, decode};
pub use placement::{Align, Line, LineAlign, Percent, Placement, PositionAlign, Third, Writing};
pub use srt::{parse_srt, write_srt};
pub use style_passthrough::StylePassthrough;
pub use timing::{Clip, clip, join, merge_simultaneous, scale, shift};
pub use webvtt::timestamp_map::TimestampMap;
pub use webvtt::writer::{write_webvtt, write_webvtt_segments};
pub use webvtt::{parse_webvtt, webvtt_timestamp_map};
