//! What the installed ffmpeg can do: in names that its capability probe read, out answers for planning.
//! Never a spawned process: `ffmpeg::capabilities` fills this in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Encoders and filters of an ffmpeg build.
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
    /// Whether an encoder of this name is there.
    pub fn has_encoder(&self, name: &str) -> bool {
        self.encoders.contains(name)
    }

    /// Whether a filter of this name is there.
    pub fn has_filter(&self, name: &str) -> bool {
        self.filters.contains(name)
    }
}
