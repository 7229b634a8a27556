//! Exact facts about media, without I/O and without AWS's words.
//!
//! In: numbers that a probe read. Out: exact time, rates, sizes, orientation, colour, and [`MediaInfo`], the payload
//! of the stage `probe`. Never: a float as time, a file, a network call.

mod colour;
mod info;
mod orientation;
mod rate;
mod rational;
mod size;
mod time;

pub use colour::{Colour, ColourRange, ContentLight, DynamicRange, MasteringDisplay, StaticHdr};
pub use info::{AudioTrack, EntryPoints, FieldOrder, MediaInfo, VideoTrack};
pub use orientation::Orientation;
pub use rate::FrameRate;
pub use rational::{ParseRationalError, Rational};
pub use size::Size;
pub use time::ExactTime;
