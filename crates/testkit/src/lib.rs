//! Media for tests: in a wish, out a small synthetic clip, or the folder of shared real ones.
//! Never part of the product, never a download.

mod clip;
mod shared;

pub use clip::{Clip, Sound};
pub use shared::{shared_media, skip_message};
