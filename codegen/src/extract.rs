//! The extract as `extract.py` writes it: in JSON, out typed shapes. Never a default that the extract does not have.

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
    /// Path with `{name}` for members that stand in it.
    pub path: String,
    /// Status of success.
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
    /// Required members of a structure, Pascal case.
    #[serde(default)]
    pub required: Vec<String>,
    /// Allowed texts.
    #[serde(default, rename = "enum")]
    pub values: Vec<String>,
    /// Least number, length or count.
    pub min: Option<f64>,
    /// Most of the same.
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
    /// Its shape.
    pub shape: String,
    /// Its name on the wire.
    #[serde(rename = "locationName")]
    pub wire_name: Option<String>,
}

impl Member {
    /// The name on the wire of the member `name`.
    pub fn wire_name(&self, name: &str) -> String {
        self.wire_name.clone().unwrap_or_else(|| name.to_owned())
    }
}
