//! Exact facts about media: time, rates, sizes, orientation and colour, and [`MediaInfo`], the result of the
//! `probe` stage.
//!
//! Does no I/O, knows nothing of AWS's terms, and never holds time as a float.

mod colour;
mod info;
mod orientation;
mod rate;
mod rational;
mod size;
mod time;

pub use colour::{Colour, ColourRange, ContentLight, DynamicRange, MasteringDisplay, StaticHdr};
pub use info::{
    AudioTrack, ClockJumps, ClockShift, EntryPoints, FieldOrder, MediaInfo, Shape, SoundForm, VideoTrack,
    Window,
};
pub use orientation::Orientation;
pub use rate::FrameRate;
pub use rational::{ParseRationalError, Rational};
pub use size::Size;
pub use time::ExactTime;
