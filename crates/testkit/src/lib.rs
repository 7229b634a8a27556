//! Media for tests: small synthetic clips, and the folder of shared real media. Not part of the product;
//! downloads nothing.

mod clip;
mod shared;

pub use clip::{Clip, Sound};
pub use shared::shared_media;
