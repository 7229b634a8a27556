//! Reads the extract that `extract.py` writes into typed shapes. It adds no defaults.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Everything in `mediaconvert.json`.
#[derive(Debug, Deserialize)]
pub struct Extract {
    /// Where the facts come from.
    pub source: String,
    /// Operations by name.
    pub operations: BTreeMap<String, Operation>,
    /// Shapes by name.
    pub shapes: BTreeMap<String, Shape>,
}

/// One operation of the service.
#[derive(Debug, Deserialize)]
pub struct Operation {
    /// HTTP method.
    pub method: String,
    /// Path; `{name}` stands for a member that is part of the path.
    pub path: String,
    /// HTTP status of a successful response.
    pub status: u16,
}

/// One shape.
#[derive(Debug, Deserialize)]
pub struct Shape {
    /// `structure`, `list`, `map`, `string`, `integer`, `long`, `double`, `boolean`, `timestamp`.
    pub r#type: String,
    /// Members of a structure.
    #[serde(default)]
    pub members: BTreeMap<String, Member>,
    /// Required members of a structure, in Pascal case.
    #[serde(default)]
    pub required: Vec<String>,
    /// Allowed values of an enum; empty for other shapes.
    #[serde(default, rename = "enum")]
    pub values: Vec<String>,
    /// Smallest number, length or item count.
    pub min: Option<f64>,
    /// Largest number, length or item count.
    pub max: Option<f64>,
    /// Regular expression of a string.
    pub pattern: Option<String>,
    /// Shape of a list's items.
    pub member: Option<String>,
    /// Shape of a map's values.
    pub value: Option<String>,
}

/// A member of a structure.
#[derive(Debug, Deserialize)]
pub struct Member {
    /// Name of its shape.
    pub shape: String,
    /// Its name on the wire, if it differs from the member's name.
    #[serde(rename = "locationName")]
    pub wire_name: Option<String>,
}

impl Member {
    /// Returns the wire name of the member `name`.
    pub fn wire_name(&self, name: &str) -> String {
        self.wire_name.clone().unwrap_or_else(|| name.to_owned())
    }
}
