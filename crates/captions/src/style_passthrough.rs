//! The choice whether the input's caption styles and placements reach the output.

use serde::{Deserialize, Serialize};

/// Whether a writer keeps styles, colours and placements. Default: it does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StylePassthrough {
    /// Plain text at the default position.
    #[default]
    Disabled,
    /// All styles, colours and placements that the format supports.
    Enabled,
}

impl StylePassthrough {
    pub(crate) fn is_enabled(self) -> bool {
        self == Self::Enabled
    }
}
