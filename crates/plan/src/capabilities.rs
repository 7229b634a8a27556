//! Describes what the installed ffmpeg can do. `ffmpeg::capabilities` fills it in; this module spawns
//! nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Version, encoders and filters of an ffmpeg build.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Capabilities {
    /// Version as ffmpeg prints it, such as `5.1.9-0+deb12u1`.
    pub version: String,
    /// Names of encoders, such as `libx264`.
    pub encoders: BTreeSet<String>,
    /// Names of filters, such as `zscale`.
    pub filters: BTreeSet<String>,
}

impl Capabilities {
    /// Returns whether the build has this encoder.
    pub fn has_encoder(&self, name: &str) -> bool {
        self.encoders.contains(name)
    }

    /// Returns whether the build has this filter.
    pub fn has_filter(&self, name: &str) -> bool {
        self.filters.contains(name)
    }
}
