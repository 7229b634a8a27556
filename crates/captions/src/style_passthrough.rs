//! Whether looks and places of the input's captions reach the output. Never more than that choice.

use serde::{Deserialize, Serialize};

/// Whether a writer keeps styles, colours and placement. The default is not to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StylePassthrough {
    /// Plain text at the default place.
    #[default]
    Disabled,
    /// Whatever the format can say of styles, colours and placement.
    Enabled,
}

impl StylePassthrough {
    pub(crate) fn is_enabled(self) -> bool {
        self == Self::Enabled
    }
}
